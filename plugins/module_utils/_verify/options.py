# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The options of ``trust_check`` that are lists of mappings: their fields and types. Pure data."""

from __future__ import annotations

from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import (
    CERTIFIERS,
    CLIENTS,
    NEGATIVE,
    POSITIVE,
    REFUSALS,
    TYPES,
)

Options = dict[str, dict[str, Any]]

_TEXT: dict[str, Any] = {"type": "str"}
_NAME: dict[str, Any] = {"type": "str", "required": True}

ISTIO_ROOT: Options = {
    "cluster": _NAME,
    "namespace": {"type": "str", "default": "istio-system"},
    "config_map": {"type": "str", "default": "istio-ca-root-cert"},
}

ENDPOINT: Options = {
    "name": _NAME,
    "cluster": _TEXT,
    "title": _TEXT,
    "server": _TEXT,
    "spiffe_id": _TEXT,
    "url": _TEXT,
    "address": _TEXT,
    "pod": _TEXT,
    "container": _TEXT,
    "namespace": {"type": "str", "default": "default"},
    "command": {"type": "list", "elements": "str"},
}

FILES: Options = {
    "folder": _TEXT,
    "certificate": _TEXT,
    "key": {"type": "str", "no_log": False},
    "authorities": _TEXT,
    "socket": _TEXT,
    "agent": _TEXT,
}

# The fields of all types of checks together. Which type takes which, needs which, and what it takes when one is not
# given, says model.TYPES; so none has a default here.
CHECK: Options = {
    "name": _NAME,
    "type": {"type": "str", "required": True, "choices": list(TYPES)},
    "kind": {"type": "str", "choices": [POSITIVE, NEGATIVE]},
    "hint": _TEXT,
    "from": _TEXT,
    "to": _TEXT,
    "url": _TEXT,
    "address": _TEXT,
    "certificate": {"type": "dict", "options": FILES},
    "path": _TEXT,
    "headers": {"type": "dict"},
    "status": {"type": "int"},
    "json_key": {"type": "str", "no_log": False},
    "json_value": _TEXT,
    "contains": _TEXT,
    "spiffe_id": _TEXT,
    "min_remaining": {"type": "int"},
    "certified_by": {"type": "str", "choices": list(CERTIFIERS)},
    "client": {"type": "str", "choices": list(CLIENTS)},
    "client_spiffe_id": _TEXT,
    "server_name": _TEXT,
    "alpn": {"type": "list", "elements": "str"},
    "port": {"type": "int"},
    "guard_port": {"type": "int"},
    "control": _TEXT,
    "refusal": {"type": "list", "elements": "str", "choices": list(REFUSALS)},
    "request": _TEXT,
    "hops": {"type": "list", "elements": "str"},
    "header_key": {"type": "str", "no_log": False},
    "container": _TEXT,
    "secret": {"type": "str", "no_log": False},
    "root_secret": {"type": "str", "no_log": False},
    "dns_names": {"type": "list", "elements": "str"},
    "length": {"type": "int"},
    "issuers": {"type": "list", "elements": "str"},
    "servers": {"type": "list", "elements": "str"},
    "trust_domain": _TEXT,
    "namespaces": {"type": "list", "elements": "str"},
    "config_map": _TEXT,
    "config_map_key": {"type": "str", "no_log": False},
    "service": _TEXT,
}


def many(options: Options, **more: Any) -> dict[str, Any]:
    """Return the option that is a list of such mappings."""
    return {"type": "list", "elements": "dict", "options": options, **more}

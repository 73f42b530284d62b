# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""SPIRE's configuration files as data: what the roles need, and on top of it whatever a user wants. Pure.

Servers and agents read JSON as well as HCL (spire, doc/spire_server.md and doc/spire_agent.md). In JSON the data of a
plugin stands in a list of one member, else a map with two keys becomes two plugins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

SECTIONS = ("server", "agent", "plugins", "telemetry", "health_checks")


def configuration(base: Mapping[str, Any], overlay: Mapping[str, Any], name: str) -> str:
    """Return ``base`` with ``overlay`` laid over it, as the text of a configuration file.

    Dictionaries are merged, everything else is replaced, and null takes a setting or a plugin out. ``name`` is the
    variable that holds the overlay.
    """
    if not isinstance(overlay, Mapping):
        raise InputError(f"{name}: expected a dictionary with {', '.join(SECTIONS)}, got {str(overlay)[:60]!r}.")
    for section in overlay:
        if section not in SECTIONS:
            raise InputError(f"{name}: unknown section {section!r}. SPIRE has {', '.join(SECTIONS)}.")
    merged = _merge(base, overlay)
    plugins = {kind: _plugins(kind, named, name) for kind, named in (merged.get("plugins") or {}).items()}
    merged["plugins"] = {kind: named for kind, named in plugins.items() if named}
    return json.dumps(merged, indent=2, sort_keys=True) + "\n"


def _merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overlay.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            under = merged.get(key)
            merged[key] = _merge(under if isinstance(under, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _plugins(kind: str, named: Any, name: str) -> dict[str, Any]:
    if not isinstance(named, Mapping):
        raise InputError(f"{name}: plugins.{kind}: expected a dictionary of plugins by name, got {str(named)[:60]!r}.")
    found = {}
    for plugin, settings in named.items():
        if not isinstance(settings, Mapping):
            raise InputError(
                f"{name}: plugins.{kind}.{plugin}: expected a dictionary with plugin_data, got {str(settings)[:60]!r}."
            )
        data = settings.get("plugin_data", {})
        found[plugin] = {**settings, "plugin_data": data if isinstance(data, list) else [data]}
    return found

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""From and to the text that kubectl speaks. Pure: no Ansible, no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject


def parse_list(text: str, doing: str) -> list[KubeObject]:
    """Return the objects that ``kubectl get -o json`` printed: a List, one object, or nothing."""
    if not text.strip():
        return []
    try:
        answer = loads(text)
    except ValueError as exc:
        raise ProcessError(f"{doing}: kubectl printed something that is no JSON: {text[:200]}") from exc
    if not isinstance(answer, dict):
        raise ProcessError(f"{doing}: kubectl printed no object: {text[:200]}")
    if answer.get("kind") == "List":
        return list(answer.get("items") or [])
    return [answer]


def render_list(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return the objects as one List for kubectl's standard input. JSON, so no value can be read as another type."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})

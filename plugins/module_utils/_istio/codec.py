# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""From and to the text that istioctl and kubectl speak. Pure: no Ansible, no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import KubeObject

try:
    import yaml
except ImportError:  # Ansible itself needs it, so it is missing only on a host that is no control node.
    yaml = None


def parse_manifest(text: str) -> list[KubeObject]:
    """Return the objects of a stream of YAML documents, as ``istioctl manifest generate`` prints it."""
    if yaml is None:
        raise ProcessError("The Python package PyYAML is needed to read what istioctl prints. Install it.")
    # The C parser is some fifty times faster on this megabyte; it is missing only from hand-made builds.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = list(yaml.load_all(text, Loader=loader))
    except yaml.YAMLError as exc:
        raise ProcessError(f"istioctl manifest generate printed something that is no YAML: {exc}") from exc
    objects = []
    for number, document in enumerate(documents, start=1):
        if document is None:
            continue
        metadata = document.get("metadata") if isinstance(document, dict) else None
        if not metadata or not metadata.get("name") or not document.get("kind") or not document.get("apiVersion"):
            raise ProcessError(f"istioctl manifest generate: document {number} is no Kubernetes object.")
        objects.append(document)
    if not objects:
        raise ProcessError("istioctl manifest generate printed no objects. Does the overlay switch everything off?")
    return objects


def parse_list(text: str, doing: str) -> list[KubeObject]:
    """Return the objects that ``kubectl get -o json`` printed: a List, one object, or nothing."""
    if not text.strip():
        return []
    try:
        answer = json.loads(text)
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


def parse_version(text: str) -> str:
    """Return the version out of ``istioctl version --remote=false -o json``."""
    try:
        version = json.loads(text)["clientVersion"]["version"]
    except (ValueError, KeyError, TypeError) as exc:
        raise ProcessError(f"istioctl version printed something unexpected: {text[:200]}") from exc
    return str(version)

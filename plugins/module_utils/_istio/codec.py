# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""From the text that istioctl speaks. Pure: no Ansible, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject

try:
    import yaml
except ImportError:  # Ansible itself needs it, so it is missing only on a host that is no control node.
    yaml = None

_UNKNOWN_PROFILE = re.compile(r'profile "([^"]*)" not found')
_UNKNOWN_FIELD = re.compile(r'unknown field "([^"]+)"(?: in ([\w.]+))?')


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


def parse_version(text: str) -> str:
    """Return the version out of ``istioctl version --remote=false -o json``."""
    try:
        version = loads(text)["clientVersion"]["version"]
    except (ValueError, KeyError, TypeError) as exc:
        raise ProcessError(f"istioctl version printed something unexpected: {text[:200]}") from exc
    return str(version)


def parse_trust_domain(mesh: str) -> str:
    """Return the trust domain that the settings of a mesh name, as YAML."""
    if yaml is None:
        raise ProcessError("The Python package PyYAML is needed to read the settings of a mesh. Install it.")
    try:
        settings = yaml.safe_load(mesh)
    except yaml.YAMLError:
        settings = None
    return str((settings.get("trustDomain") if isinstance(settings, dict) else None) or "cluster.local")


def unknown_profile(stderr: str) -> str | None:
    """Return the profile that istioctl did not find, when that is what it said."""
    match = _UNKNOWN_PROFILE.search(stderr)
    return match[1] if match else None


def unknown_field(stderr: str, overlay: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """Return the key that istioctl refused and each place where the overlay has it, when that is what it said."""
    match = _UNKNOWN_FIELD.search(stderr)
    return (match[1], list(_places(overlay, match[1], ""))) if match else None


def _places(value: Any, key: str, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            where = f"{path}.{name}".lstrip(".")
            if name == key:
                yield where
            yield from _places(below, key, where)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _places(below, key, f"{path}[{index}]")


def parse_messages(text: str, doing: str) -> list[dict[str, str]]:
    """Return what ``istioctl analyze`` or ``precheck`` found: code, level, object and message of each."""
    if not text.strip():
        return []
    try:
        found = loads(text)
        return [
            {
                "code": str(item["code"]),
                "level": str(item["level"]),
                "object": str(item.get("origin") or ""),
                "message": str(item["message"]),
            }
            for item in found or []
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ProcessError(f"{doing}: istioctl printed something unexpected: {text[:200]}") from exc

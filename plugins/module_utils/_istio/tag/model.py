# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""A revision tag: its objects, and what is there of it. Pure: no Ansible, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.guard import asked_revision, revision_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import (
    DEFAULT_VALIDATOR,
    DNS_LABEL,
    MANAGED,
    OWNER_NAME,
    TAG,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject

DEFAULT = "default"
"""The tag by which the label istio-injection=enabled, and objects that name no revision, find a revision."""
# Labels by which an installer knows what is its own. A tag is nobody's: it outlives the revision that it points to.
_INSTALLER = ("operator.istio.io/", "install.operator.istio.io/")


@dataclass(frozen=True)
class Tag:
    """A name that stands for a revision."""

    name: str
    revision: str
    namespace: str

    def overlay(self) -> dict[str, Any]:
        """Return what has istioctl render the objects of the tag, among others."""
        components: dict[str, Any] = {"pilot": {"enabled": True}}
        values: dict[str, Any] = {"revisionTags": [self.name], "global": {"istioNamespace": self.namespace}}
        if self.name == DEFAULT:
            components["base"] = {"enabled": True}
            values["defaultRevision"] = self.revision
        revision = {} if self.revision == DEFAULT else {"revision": self.revision}
        return {
            "apiVersion": "install.istio.io/v1alpha1",
            "kind": "IstioOperator",
            "metadata": {"name": "istio", "namespace": self.namespace},
            "spec": {"profile": "empty", "components": components, "values": values, **revision},
        }


def tag_of(params: Mapping[str, Any]) -> Tag:
    """Check the options and return the tag that they describe."""
    for option in ("name", "revision", "namespace"):
        value = params.get(option)
        if value is not None and not DNS_LABEL.fullmatch(value):
            raise InputError(
                f"{option}: {value!r} cannot be used; it must be made of lowercase letters, digits and dashes, 63 at "
                "most."
            )
    if params["name"] == params.get("revision"):
        raise InputError(f"name: {params['name']!r} is the revision itself, which needs no tag of that name.")
    return Tag(params["name"], params.get("revision") or "", params["namespace"])


def tag_objects(rendered: Iterable[KubeObject], tag: Tag) -> list[KubeObject]:
    """Return the objects of the tag among what was rendered, without the labels of an installation."""
    found = []
    for obj in rendered:
        metadata = obj["metadata"]
        labels = metadata.get("labels") or {}
        if labels.get(TAG) == tag.name or (tag.name == DEFAULT and is_default_validator(obj)):
            kept = {key: value for key, value in labels.items() if not key.startswith(_INSTALLER)}
            found.append({**obj, "metadata": {**metadata, "labels": kept}})
    return found


def is_default_validator(obj: Mapping[str, Any]) -> bool:
    """Whether this is what validates objects that name no revision."""
    return (obj["kind"], obj["metadata"]["name"]) == DEFAULT_VALIDATOR


def belongs_to(obj: Mapping[str, Any], tag: Tag) -> bool:
    """Whether an object of the cluster is one of the tag."""
    labels = obj["metadata"].get("labels") or {}
    return labels.get(TAG) == tag.name or (tag.name == DEFAULT and is_default_validator(obj) and not owner_of(obj))


def owner_of(obj: Mapping[str, Any]) -> str:
    """Return the installation that manages an object, or nothing."""
    labels = obj["metadata"].get("labels") or {}
    return str(labels.get(OWNER_NAME) or "unknown") if labels.get(MANAGED) else ""


def injectors(live: Iterable[KubeObject]) -> dict[str, KubeObject]:
    """Return the webhook by which each revision injects."""
    return {
        revision_of(obj): obj
        for obj in live
        if obj["kind"] == "MutatingWebhookConfiguration" and TAG not in (obj["metadata"].get("labels") or {})
    }


def points_to(live: Iterable[KubeObject], name: str) -> str:
    """Return the revision that a tag points to, or nothing when there is no such tag."""
    for obj in live:
        hook = obj["kind"] == "MutatingWebhookConfiguration"
        if hook and (obj["metadata"].get("labels") or {}).get(TAG) == name:
            return revision_of(obj)
    return ""


def namespaces_of(name: str, namespaces: Iterable[KubeObject]) -> list[str]:
    """Return the namespaces that ask for a tag or revision of the name."""
    return sorted(
        obj["metadata"]["name"] for obj in namespaces if asked_revision(obj["metadata"].get("labels") or {}) == name
    )

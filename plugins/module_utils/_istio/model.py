# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What an Istio installation is made of: its name, its objects, their order. Pure: no Ansible, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import WORKLOAD_KINDS, KubeObject, Ref

FIELD_MANAGER = "trustmesh"
"""The name under which the API server keeps which fields we set."""

# Istio's own installer marks what it owns with these labels, so its other commands recognise our objects too.
OWNER_NAME = "install.operator.istio.io/owning-resource"
OWNER_NAMESPACE = "install.operator.istio.io/owning-resource-namespace"
MANAGED = "operator.istio.io/managed"
REVISION = "istio.io/rev"
TAG = "istio.io/tag"
VERSION = "operator.istio.io/version"
NETWORK = "topology.istio.io/network"

# The kinds that are looked through for objects of this installation. All of them exist in every supported cluster, so
# one list call reads them all.
LISTED_KINDS = (
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("v1", "Namespace"),
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
)

# What has to be there before what. Kinds that are not named come last: they may need a definition from the first.
_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "ClusterRole",
    "Role",
    "ClusterRoleBinding",
    "RoleBinding",
    "Secret",
    "ConfigMap",
    "Service",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "Deployment",
    "DaemonSet",
    "StatefulSet",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
)
# Webhooks go first: while they stand and their server is gone, the API server refuses what they guard.
_DELETE_FIRST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")

# What all revisions of an installation have in common. On a namespace the revision label would also mean something
# else: it asks for injection, here into the control plane itself.
SHARED_KINDS = ("CustomResourceDefinition", "Namespace")
READER = ("ServiceAccount", "istio-reader-service-account")
"""Common to all revisions too, but it goes with the last of them."""
DEFAULT_VALIDATOR = ("ValidatingWebhookConfiguration", "istiod-default-validator")
"""Validates objects that name no revision. There is one in a cluster, whatever revisions there are."""
# Where the version of Istio is written down, as istioctl install does: what must not be set back to an older one.
_VERSIONED_KINDS = ("CustomResourceDefinition", "Deployment", "DaemonSet")

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def is_builtin(obj: Mapping[str, Any]) -> bool:
    """Whether the API server knows the kind by itself, without a CustomResourceDefinition of Istio."""
    group = Ref.of(obj).group
    return "." not in group or group.endswith(".k8s.io")


@dataclass(frozen=True)
class Installation:
    """Which installation is meant: several can live in one cluster, told apart by these three."""

    name: str
    namespace: str
    revision: str
    network: str = ""
    any_owner: bool = False
    """Whether it is meant whatever its name is: istioctl gives none, or not to all that it makes."""

    @property
    def selector(self) -> str:
        """Selects the objects of all revisions of this name: they share the kinds in SHARED_KINDS."""
        labels = self._of_owner()
        return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))

    def labels_for(self, kind: str, name: str = "") -> dict[str, str]:
        labels = self._of_owner()
        if kind not in SHARED_KINDS and (kind, name) != READER:
            labels[REVISION] = self.revision
        return labels

    def _of_owner(self) -> dict[str, str]:
        name = {} if self.any_owner else {OWNER_NAME: self.name}
        return {MANAGED: "Reconcile", **name, OWNER_NAMESPACE: self.namespace}

    def owns(self, obj: Mapping[str, Any]) -> bool:
        metadata = obj.get("metadata") or {}
        labels = metadata.get("labels") or {}
        wanted = self.labels_for(obj.get("kind", ""), metadata.get("name", ""))
        return all(labels.get(key) == value for key, value in wanted.items())

    def namespace_object(self) -> KubeObject:
        labels = self.labels_for("Namespace")
        if self.network:
            labels[NETWORK] = self.network
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}}


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"overlay: {where} must be a dictionary, not {type(value).__name__}.")
    return value


def installation_of(overlay: Mapping[str, Any]) -> Installation:
    """Check the head of an IstioOperator overlay and return the installation that it describes."""
    kind, version = overlay.get("kind", "IstioOperator"), overlay.get("apiVersion", "install.istio.io/v1alpha1")
    if kind != "IstioOperator" or version != "install.istio.io/v1alpha1":
        raise InputError(
            f"overlay: expected kind IstioOperator of install.istio.io/v1alpha1, found kind {kind} of {version}."
        )
    unknown = set(overlay) - {"apiVersion", "kind", "metadata", "spec"}
    if unknown:
        raise InputError(
            f"overlay: unknown key {', '.join(sorted(unknown))}. Settings of Istio belong below the key spec."
        )
    metadata = _mapping(overlay.get("metadata"), "metadata")
    spec = _mapping(overlay.get("spec"), "spec")
    values = _mapping(spec.get("values"), "spec.values")
    values_global = _mapping(values.get("global"), "spec.values.global")
    namespace = metadata.get("namespace") or spec.get("namespace") or "istio-system"
    istio_namespace = values_global.get("istioNamespace") or namespace
    if istio_namespace != namespace:
        raise InputError(
            f"overlay: metadata.namespace is {namespace} but spec.values.global.istioNamespace is {istio_namespace}. "
            "Give the same namespace in both."
        )
    found = Installation(
        name=str(metadata.get("name") or "istio"),
        namespace=str(namespace),
        revision=str(spec.get("revision") or values.get("revision") or "default"),
        network=str(values_global.get("network") or ""),
    )
    for field_name, value in (
        ("metadata.name", found.name),
        ("metadata.namespace", found.namespace),
        ("spec.revision", found.revision),
    ):
        if not DNS_LABEL.fullmatch(value):
            raise InputError(
                f"overlay: {field_name} is {value!r}; it must be made of lowercase letters, digits and dashes, "
                "63 at most."
            )
    return found


def complete_overlay(overlay: Mapping[str, Any], installation: Installation) -> dict[str, Any]:
    """Return the overlay with its head filled in, as istioctl wants to read it."""
    return {
        **overlay,
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "metadata": {
            **(overlay.get("metadata") or {}),
            "name": installation.name,
            "namespace": installation.namespace,
        },
    }


def stamped(objects: Iterable[KubeObject], installation: Installation, version: str = "") -> list[KubeObject]:
    """Return the objects with the labels that say which installation they belong to, and of what version it is."""
    result = []
    for obj in objects:
        metadata = dict(obj.get("metadata") or {})
        labels = installation.labels_for(obj["kind"], metadata.get("name", ""))
        if version and obj["kind"] in _VERSIONED_KINDS:
            labels[VERSION] = version
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        result.append({**obj, "metadata": metadata})
    return result


def own_objects(objects: Iterable[KubeObject], installation: Installation) -> list[KubeObject]:
    """Return what is rendered without the default validator of another revision, which brings it itself."""
    return [
        obj
        for obj in objects
        if (obj["kind"], obj["metadata"]["name"]) != DEFAULT_VALIDATOR
        or (obj["metadata"].get("labels") or {}).get(REVISION, installation.revision) == installation.revision
    ]


def awaited(objects: Iterable[KubeObject]) -> list[KubeObject]:
    """Return the objects that take time to become usable after they are written."""
    kinds = (*WORKLOAD_KINDS, "MutatingWebhookConfiguration", "CustomResourceDefinition")
    return [obj for obj in objects if obj["kind"] in kinds]


def apply_order(obj: Mapping[str, Any]) -> tuple[int, Ref]:
    """Sort key: what is needed by others comes first."""
    kind = obj.get("kind", "")
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), Ref.of(obj))


def delete_order(obj: Mapping[str, Any]) -> tuple[int, int, Ref]:
    """Sort key: webhooks first, then what needs others before what is needed."""
    kind = obj.get("kind", "")
    first = _DELETE_FIRST.index(kind) if kind in _DELETE_FIRST else len(_DELETE_FIRST)
    rank, ref = apply_order(obj)
    return (first, -rank, ref)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a Kubernetes object is, and the name it is held under. Pure: no Ansible, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

KubeObject = dict[str, Any]
"""A Kubernetes object as JSON gives it."""

WORKLOAD_KINDS = ("Deployment", "DaemonSet", "StatefulSet")
CERTIFYING_KINDS = ("Certificate", "Issuer", "ClusterIssuer")
"""The kinds of cert-manager that say of themselves whether they are ready."""
ROUTING_KINDS = ("Gateway", "HTTPRoute")
"""The kinds of the Gateway API whose controller says whether they are in force."""
AWAITED_VERSIONS = {
    **dict.fromkeys(WORKLOAD_KINDS, "apps/v1"),
    "Service": "v1",
    **dict.fromkeys(CERTIFYING_KINDS, "cert-manager.io/v1"),
    **dict.fromkeys(ROUTING_KINDS, "gateway.networking.k8s.io/v1"),
}
"""The kinds that can be waited for by name, with the version of each."""
ISTIOD_COPIES = ("istio-ca-root-cert", "istio-ca-crl")
"""The ConfigMaps that istiod writes into every namespace."""
ISTIOD_ELECTIONS = tuple(
    f"istio-{name}"
    for name in (
        *("leader", "status-leader", "analyze-leader", "gateway-status-leader", "gateway-inferencepool"),
        *("namespace-controller-election", "serviceexport-controller-election", "node-untaint", "ip-autoallocate"),
        "clustertrustbundle-controller-election",
    )
)
"""The ConfigMaps in istiod's own namespace that say who of them leads. They stay when none is left.

Source: pilot/pkg/leaderelection/leaderelection.go of Istio 1.31.
"""
ISTIOD_CA = "istio-ca-secret"
"""The Secret with the key of istiod's own CA. Source: security/pkg/pki/ca/ca.go of Istio 1.31."""
ISTIOD_SECRETS = ("cacerts", ISTIOD_CA)
"""Where istiod finds its CA, in its own order."""


@dataclass(frozen=True, order=True)
class Ref:
    """The name under which a cluster holds an object. The version is no part of it."""

    group: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> Ref:
        api_version = obj.get("apiVersion") or "v1"
        metadata = obj.get("metadata") or {}
        group = api_version.rpartition("/")[0]
        return cls(group, obj.get("kind", ""), metadata.get("namespace") or "", metadata.get("name", ""))

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, order=True)
class Awaited:
    """An object to wait for, or all of a kind in a namespace when there is no name."""

    kind: str
    namespace: str
    name: str = ""

    @property
    def version(self) -> str:
        return AWAITED_VERSIONS[self.kind]

    @property
    def ref(self) -> Ref:
        return Ref(self.version.rpartition("/")[0], self.kind, self.namespace, self.name)

    def stub(self) -> KubeObject:
        metadata = {"namespace": self.namespace} if self.namespace else {}
        return {"apiVersion": self.version, "kind": self.kind, "metadata": {**metadata, "name": self.name}}

    def covers(self, ref: Ref) -> bool:
        same = (ref.kind, ref.namespace) == (self.kind, self.namespace)
        return same and self.name in ("", ref.name)

    def __str__(self) -> str:
        return str(self.ref) if self.name else f"every {self.kind} of namespace {self.namespace}"


def stub(obj: Mapping[str, Any]) -> KubeObject:
    """Return as much of an object as kubectl needs to find it."""
    metadata = {"name": obj["metadata"]["name"]}
    if obj["metadata"].get("namespace"):
        metadata["namespace"] = obj["metadata"]["namespace"]
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}


def by_ref(objects: Iterable[KubeObject]) -> dict[Ref, KubeObject]:
    """Return the objects by the name that the cluster holds them under."""
    return {Ref.of(obj): obj for obj in objects}

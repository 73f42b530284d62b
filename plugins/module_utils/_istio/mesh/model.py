# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a mesh is made of, as istio_info tells it. Pure: no Ansible, no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.guard import (
    asked_revision,
    injected_by,
    installed_version,
    istiods,
    meshes,
    revision_of,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import REVISION, TAG
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.tag.model import injectors
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject, Ref
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.readiness import unready

_OUT_OF_SYNC = ("STALE", "ERROR")


@dataclass(frozen=True)
class Synced:
    """A proxy as an istiod knows it."""

    name: str
    namespace: str
    version: str = ""
    cluster: str = ""
    istiod: str = ""
    states: Mapping[str, str] = field(default_factory=dict)
    """By kind of configuration, such as CDS: SYNCED, NOT_SENT (there is nothing to send), STALE or ERROR."""


@dataclass(frozen=True)
class Certified:
    """A proxy's certificate and who signed it."""

    spiffe_id: str = ""
    issuer: str = ""
    issuers: tuple[str, ...] = ()
    root: str = ""
    expires_at: str = ""
    problem: str = ""

    @property
    def public(self) -> dict[str, Any]:
        return {
            "spiffe_id": self.spiffe_id,
            "issuer": self.issuer,
            "issuers": list(self.issuers),
            "root": self.root,
            "expires_at": self.expires_at,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Found:
    """What was read of a cluster."""

    control_planes: Sequence[KubeObject] = ()
    webhooks: Sequence[KubeObject] = ()
    namespaces: Sequence[KubeObject] = ()
    pods: Sequence[KubeObject] = ()
    entries: Sequence[KubeObject] = ()


def tags(webhooks: Iterable[KubeObject]) -> dict[str, str]:
    """Return the revision that each tag points to."""
    found = {}
    for obj in webhooks:
        tag = (obj["metadata"].get("labels") or {}).get(TAG)
        if tag and obj["kind"] == "MutatingWebhookConfiguration":
            found[tag] = revision_of(obj)
    return dict(sorted(found.items()))


def revisions(
    found: Found, spaces: Sequence[Mapping[str, Any]], pods: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return every revision: what it is, and who points to it."""
    deployments = {revision_of(obj): obj for obj in istiods(found.control_planes)}
    domains = meshes(found.control_planes)
    named = tags(found.webhooks)
    count = Counter(proxy["revision"] for proxy in pods)
    result = []
    for name in sorted({*deployments, *injectors(found.webhooks)}):
        istiod = deployments.get(name)
        problem = "no istiod of it is in the namespace"
        if istiod:
            problem = next(iter(unready([istiod], {Ref.of(istiod): istiod}).values()), "")
        result.append(
            {
                "name": name,
                "version": installed_version(istiod) if istiod else "",
                "trust_domain": domains.get(name, ""),
                "ready": not problem,
                "problem": problem,
                "tags": [tag for tag, revision in named.items() if revision == name],
                "namespaces": [space["name"] for space in spaces if space["revision"] == name],
                "proxies": count[name],
                "proxy_namespaces": sorted({proxy["namespace"] for proxy in pods if proxy["revision"] == name}),
            }
        )
    return result


def injection(found: Found) -> list[dict[str, str]]:
    """Return of each namespace by which label it asks for injection, and who answers to that."""
    named, there = tags(found.webhooks), injectors(found.webhooks)
    result = []
    for obj in sorted(found.namespaces, key=lambda obj: str(obj["metadata"]["name"])):
        labels = obj["metadata"].get("labels") or {}
        asked = asked_revision(labels)
        label = next((f"{key}={labels[key]}" for key in ("istio-injection", REVISION) if key in labels), "")
        tag = asked if asked in named and asked not in there else ""
        revision = named.get(tag, asked)
        if not asked:
            status, revision = ("disabled" if label else "none"), ""
        elif revision in there:
            status = "injected"
        else:
            status, revision = "dangling", ""
        about = {"name": obj["metadata"]["name"], "label": label, "status": status, "tag": tag, "revision": revision}
        result.append(about)
    return result


def proxies(found: Found, status: Iterable[Synced]) -> list[dict[str, Any]]:
    """Return every proxy: those of pods, known to an istiod or not, and what an istiod knows besides, on machines."""
    known = {(one.namespace, one.name): one for one in status}
    pods = {(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj for obj in found.pods if injected_by(obj)}
    result = []
    for key in sorted({*known, *pods}):
        namespace, name = key
        one, pod = known.get(key), pods.get(key)
        states = dict(one.states) if one else {}
        result.append(
            {
                "name": name,
                "namespace": namespace,
                "kind": "pod" if pod else "machine",
                "revision": injected_by(pod) if pod else "",
                "version": one.version if one else "",
                "cluster": one.cluster if one else "",
                "istiod": one.istiod if one else "",
                "connected": bool(one),
                "synced": bool(one) and not any(state in _OUT_OF_SYNC for state in states.values()),
                "states": states,
            }
        )
    return result


def machines(found: Found) -> list[dict[str, Any]]:
    """Return the machines that are written down as workloads, where istiod notes whether a proxy is connected."""
    result = []
    for obj in sorted(found.entries, key=lambda obj: (obj["metadata"]["namespace"], obj["metadata"]["name"])):
        annotations, spec = obj["metadata"].get("annotations") or {}, obj.get("spec") or {}
        connected = "istio.io/connectedAt" in annotations and "istio.io/disconnectedAt" not in annotations
        result.append(
            {
                "name": obj["metadata"]["name"],
                "namespace": obj["metadata"]["namespace"],
                "address": str(spec.get("address") or ""),
                "service_account": str(spec.get("serviceAccount") or ""),
                "connected": connected,
            }
        )
    return result


def summary(proxies_found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many proxies there are, and which are not in sync."""
    return {
        "total": len(proxies_found),
        "synced": sum(bool(one["synced"]) for one in proxies_found),
        "out_of_sync": [f"{one['namespace']}/{one['name']}" for one in proxies_found if not one["synced"]],
        "versions": dict(sorted(Counter(one["version"] for one in proxies_found if one["version"]).items())),
    }

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NetworkPolicies let in, as Kubernetes describes it, and the cases for which that is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import meshes
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import model
from playbook import ROOT
from rendering import Case

Data = dict[str, Any]

EVERY_PORT = frozenset(range(1, 65536))
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def open_ports(pod: Mapping[str, Any], namespace: str, objects: Iterable[Data]) -> frozenset[int]:
    """The TCP ports at which every pod and everybody outside reaches a pod with this template.

    Source: https://kubernetes.io/docs/concepts/services-networking/network-policies. A pod that no policy selects is
    open; for one that some select, what any of them admits is added up.
    """
    labels = pod["metadata"]["labels"]
    selecting = [
        item["spec"]
        for item in objects
        if item["kind"] == "NetworkPolicy"
        and item["metadata"]["namespace"] == namespace
        and _selects(item["spec"]["podSelector"], labels)
        and "Ingress" in item["spec"].get("policyTypes", ["Ingress"])
    ]
    if not selecting:
        return EVERY_PORT
    return frozenset(port for spec in selecting for rule in spec.get("ingress") or [] for port in _ports_of(rule))


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "nothing here reads matchExpressions"
    return selector.get("matchLabels", {}).items() <= labels.items()


def _ports_of(rule: Mapping[str, Any]) -> Iterable[int]:
    assert "from" not in rule, "a refusal that is silence proves nothing: who may not come is told so by the guard"
    if not rule.get("ports"):
        return EVERY_PORT
    found = []
    for port in rule["ports"]:
        assert set(port) <= {"port", "protocol"}, port
        assert isinstance(port["port"], int), "a name means another port in each pod"
        found += [port["port"]] if port.get("protocol", "TCP") == "TCP" else []
    return found


QUOTE: Data = {"app": "quote"}
CLIENT: Data = {"app": "client"}
MIXED = meshes.mesh(
    {
        "asks": {"host": "one", "namespace": "asks", **CLIENT},
        "prices": {"host": "one", "namespace": "prices", "listens": 9000, **QUOTE},
        "unused": {"host": "one", "namespace": "unused", **QUOTE},
        "leaves": {"host": "one", "namespace": "leaves", "app": "envoy", "listens": 8081},
        "bare": {"host": "two", "namespace": "bare", "identity": False, **QUOTE},
        "fronted": {"host": "two", "namespace": "fronted", "envoy": True, **QUOTE},
        "both": {"host": "two", "namespace": "fronted", "envoy": True, **CLIENT},
        "relay": {"host": "two", "namespace": "relay", "app": "envoy", "listens": 9443},
        "theirs": {"host": "two", "namespace": "theirs", "envoy": True, "port": 80, "labels": {"app": "theirs"}},
    },
    {"prices": ["asks"], "leaves": ["asks"], "fronted": ["leaves", "relay"], "relay": ["leaves"], "theirs": ["both"]},
    meshes.TWO,
    {
        "one": {"kubernetes_cluster": meshes.node(1)},
        "two": {
            "kubernetes_cluster": meshes.node(2),
            "kubernetes_objects_endpoints": {
                "fronted/fronted-envoy": "192.0.2.2:30443",
                "relay/relay": "192.0.2.2:30444",
            },
        },
    },
)
"""Every kind of workload, and hosts with and without a mesh."""


BOOKS = meshes.mesh(
    {
        **{name: {"host": "one", "namespace": "books", "app": name} for name in ("productpage", "details", "ratings")},
        **{
            f"reviews-{version}": {
                **{"host": "one", "namespace": "books", "app": "reviews", "service": "reviews"},
                "labels": {"version": version},
            }
            for version in ("v1", "v2", "v3")
        },
        "reader": {"host": "one", "namespace": "readers", **CLIENT},
        "nobody": {"host": "one", "namespace": "nobodies", "identity": False, **CLIENT},
    },
    {
        "productpage": ["reader"],
        "details": ["productpage"],
        "reviews": ["productpage"],
        "ratings": ["reviews-v2", "reviews-v3"],
    },
    meshes.ONE,
    {"one": {"kubernetes_cluster": meshes.node(1)}},
)
"""Bookinfo in a mesh, with an account for each of three that share a Service."""

MESHES = {
    "books": BOOKS,
    "blue_green": meshes.of_inventory(ROOT / "inventories" / "blue_green"),
    "own": meshes.of_inventory(ROOT / "examples" / "own"),
    "mixed": MIXED,
}
HOSTS = {f"{name}-{host}": (mesh, host) for name, mesh in MESHES.items() for host in mesh.hosts}
"""The clusters that are looked at: what they belong to, and their names there."""


def cases() -> dict[str, Case]:
    """These clusters, as :func:`rendering.render` takes them."""
    found = {}
    for name, (mesh, host) in HOSTS.items():
        duties = mesh.hosts[host].duties
        roles = ["envoy", "demo_app"]
        roles += ["spire_server"] if model.SPIRE_SERVER in duties else []
        roles += ["istio"] if model.MESH in duties else []
        found[name] = Case("packages", tuple(roles), {"trustmesh_derived": meshes.everything(mesh)[host]})
    return found


def guarded_ports(workload: model.Workload, called: bool) -> frozenset[int]:
    """Where something asks who calls a workload, as the two tables say it."""
    if workload.guard == "mesh" or workload.is_envoy:
        return frozenset([workload.listens] if workload.listens else [])
    return frozenset([model.ENVOY_PORT] if workload.envoy and called else [])

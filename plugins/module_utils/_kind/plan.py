# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a kind cluster should be, what was found, and the pure decision between them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError

# Source: kind's own limits (pkg/internal/apis/config/validate.go) and a host name's length with "-control-plane".
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,48}")


@dataclass(frozen=True)
class Wanted:
    """The cluster that is asked for. ``owner`` is the folder of the checkout that asks."""

    name: str
    image: str
    config: Mapping[str, Any]
    workers: int
    owner: str
    adopt: bool = False
    scenario: str = ""
    """What the cluster is for. Empty means that it is not looked at."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"name: {self.name!r} is not a kind cluster's name; use up to 49 of a-z, 0-9, '-' and '.', "
                "and start with a letter or a digit."
            )
        if not 0 <= self.workers <= 20:
            raise InputError(f"workers: {self.workers} is out of range; give 0 to 20.")

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides what the cluster is."""
        text = json.dumps([self.image, self.config, self.workers], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def document(self) -> dict[str, Any]:
        """Return the kind configuration (kind.x-k8s.io/v1alpha4)."""
        return {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "name": self.name,
            **self.config,
            "nodes": [{"role": "control-plane"}] + [{"role": "worker"}] * self.workers,
        }


@dataclass(frozen=True)
class Node:
    """A node's container."""

    name: str
    role: str
    running: bool
    image: str
    address: str
    api_port: int | None = None
    address6: str = ""


@dataclass(frozen=True)
class Found:
    """What there is. ``mark`` is what was written into the first node when it was complete."""

    nodes: tuple[Node, ...] = ()
    mark: Mapping[str, Any] | None = None
    begun_here: bool = False
    silent: str = ""
    """Why the mark of a node that should run could not be read. After a crash of its machine, an engine may take a
    container for running that is not."""

    @property
    def exists(self) -> bool:
        return bool(self.nodes)

    @property
    def scenario(self) -> str:
        """The scenario in the mark. Clusters that were made without one, or before there was any, have none."""
        return str((self.mark or {}).get("scenario") or "")

    @property
    def share(self) -> int | None:
        """Its share of the network's addresses for load balancers. None: it has none, or all were taken."""
        share = (self.mark or {}).get("share")
        return share if isinstance(share, int) else None


@dataclass
class Plan:
    """The actions, in order: ``delete``, ``create``, ``start``, ``adopt``, ``share``."""

    actions: list[str] = field(default_factory=list)
    before: str = ""
    after: str = ""


def plan_start(found: Found) -> bool:
    """Whether stopped nodes must be started before anything can be read from them."""
    return found.exists and not all(node.running for node in found.nodes)


def plan_present(wanted: Wanted, found: Found, owner_is_alive: bool) -> Plan:
    """Decide what to do for a cluster that should be there.

    ``owner_is_alive`` tells whether the checkout named in the mark still exists. Raises when the cluster is not ours to
    use, or is another one than the one that is asked for.
    """
    after = f"cluster {wanted.name}: {1 + wanted.workers} node(s) of {wanted.image}\n"
    if not found.exists:
        return Plan(["create"], "", after)
    before = f"cluster {wanted.name}: {len(found.nodes)} node(s) of {found.nodes[0].image}\n"
    if found.mark is None:
        if found.begun_here:
            return Plan(["delete", "create"], before + "its creation was interrupted\n", after)
        if found.silent:
            raise TrustmeshError(
                f"{found.silent}. Start it again with the engine's restart; when that fails, remove the cluster with "
                f"its data (make down, or kind delete cluster --name {wanted.name}) and run again."
            )
        raise TrustmeshError(
            f"A kind cluster named {wanted.name} exists and was not made by this collection. Remove it (kind delete "
            f"cluster --name {wanted.name}), give this one another kubernetes_cluster_name, or use it with "
            "kubernetes_cluster_provider=existing."
        )
    owner = str(found.mark.get("owner", ""))
    foreign = owner != wanted.owner
    if foreign and owner_is_alive and not wanted.adopt:
        raise TrustmeshError(
            f"The kind cluster {wanted.name} belongs to the checkout {owner}. Use that one, tear it down there, set "
            f"kubernetes_cluster_adopt=true to take it over, or give this one another kubernetes_cluster_name.",
            owner=owner,
        )
    _refuse_other_scenario(wanted, found, "used for it")
    if found.mark.get("fingerprint") != wanted.fingerprint:
        raise TrustmeshError(
            f"The kind cluster {wanted.name} exists with another image or configuration than the one asked for "
            f"({found.nodes[0].image}, {len(found.nodes)} node(s), against {wanted.image}, {1 + wanted.workers}). "
            "Tear it down first (make down), or give this one another kubernetes_cluster_name."
        )
    plan = Plan([], before, after)
    if plan_start(found):
        plan.actions.append("start")
        plan.before += "not all of its nodes run\n"
    other_scenario = bool(wanted.scenario) and found.scenario != wanted.scenario
    if foreign or other_scenario:
        plan.actions.append("adopt")
    if foreign:
        plan.before += f"it belongs to {owner}\n"
        plan.after += f"it belongs to {wanted.owner}\n"
    if other_scenario:
        plan.before += f"it is of {f'the scenario {found.scenario}' if found.scenario else 'no scenario'}\n"
        plan.after += f"it is of the scenario {wanted.scenario}\n"
    if "share" not in found.mark:
        plan.actions.append("share")
        plan.after += "it has addresses for load balancers\n"
    return plan


def mark_of(wanted: Wanted, found: Found, **share: int | None) -> dict[str, Any]:
    """Return what is to be written into the cluster about itself. A scenario that is not looked at stays.

    Its ``share`` of the network's addresses, or the one that it is about to take (``taking``), is added as it is.
    """
    mark = {"fingerprint": wanted.fingerprint, "owner": wanted.owner, **share}
    scenario = wanted.scenario or found.scenario
    return {**mark, "scenario": scenario} if scenario else mark


def shares_in(marks: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return the shares that clusters with these marks have, or are about to take."""
    found = [mark.get(key) for mark in marks for key in ("share", "taking")]
    return {share for share in found if isinstance(share, int)}


def _refuse_other_scenario(wanted: Wanted, found: Found, what: str) -> None:
    """Raise for a cluster of another scenario: it holds another trust domain's servers, keys and workloads."""
    if not wanted.scenario or not found.scenario or found.scenario == wanted.scenario or wanted.adopt:
        return
    raise TrustmeshError(
        f"The kind cluster {wanted.name} was made for the scenario {found.scenario} and not for {wanted.scenario}, "
        f"so it is not {what}. Tear {found.scenario} down first, or give trustmesh_instance another value, so that "
        "both stand side by side. To take the cluster over with all that is in it, set kubernetes_cluster_adopt=true.",
        scenario=found.scenario,
    )


def plan_absent(wanted: Wanted, found: Found, owner_is_alive: bool, has_kubeconfig: bool = False) -> Plan:
    """Decide what to do for a cluster that should not be there. Another checkout's cluster is never deleted.

    One that cannot say whose it is goes when this checkout has a kubeconfig for the very port on which it is published,
    or when whose it is does not matter.
    """
    if not found.exists:
        return Plan()
    before = f"cluster {wanted.name}: {len(found.nodes)} node(s) of {found.nodes[0].image}\n"
    if found.silent and (has_kubeconfig or wanted.adopt):
        return Plan(["delete"], before, "")
    if found.mark is None and not found.begun_here:
        if found.silent:
            raise TrustmeshError(
                f"{found.silent}. So it cannot say whose it is, and is not deleted. To delete it all the same, set "
                f"kubernetes_cluster_adopt=true, or: kind delete cluster --name {wanted.name}"
            )
        raise TrustmeshError(
            f"A kind cluster named {wanted.name} exists and was not made by this collection, so it is not deleted. "
            f"Remove it with: kind delete cluster --name {wanted.name}"
        )
    owner = str((found.mark or {}).get("owner", wanted.owner))
    if owner != wanted.owner and owner_is_alive and not wanted.adopt:
        raise TrustmeshError(
            f"The kind cluster {wanted.name} belongs to the checkout {owner}, so it is not deleted from here. Tear it "
            "down there, or set kubernetes_cluster_adopt=true.",
            owner=owner,
        )
    _refuse_other_scenario(wanted, found, "deleted from here")
    return Plan(["delete"], before, "")


@dataclass(frozen=True)
class CertificateRequest:
    """What a kubelet asks the cluster's CA for."""

    name: str
    username: str
    """Who asks, as the API server found out."""
    subject: str
    """The common name that the certificate is to have."""
    claims: frozenset[str]
    """The DNS names, addresses and anything else that the certificate is to be valid for."""


def plan_certificates(nodes: Iterable[Node], requests: Iterable[CertificateRequest]) -> list[str]:
    """Return the names of the ``requests`` to approve: all, or it raises.

    SPIRE's agents believe a kubelet with such a certificate. So each must be asked for by one of the cluster's
    ``nodes``, in its own name, and for nothing but the name and the addresses that the container engine gave it: what a
    kubelet tells the API server about itself proves nothing.
    """
    own = {f"system:node:{node.name}": {node.name, node.address, node.address6} - {""} for node in nodes}
    approved = []
    for request in requests:
        if request.username not in own:
            raise TrustmeshError(
                f"The certificate request {request.name} was made by {request.username}, which is no node of this "
                f"cluster, so it is not approved. Find out who made it, and deny it: kubectl certificate deny "
                f"{request.name}"
            )
        node = request.username.rpartition(":")[2]
        foreign = sorted(request.claims - own[request.username])
        if request.subject != request.username:
            foreign.insert(0, request.subject or "(no name)")
        if foreign or not request.claims:
            raise TrustmeshError(
                f"The node {node} asks for a certificate of {', '.join(foreign) or 'nothing'}, which is not its own, "
                f"so it is not approved. Of its own are {', '.join(sorted(own[request.username]))}. If its address has "
                f"just changed, the request is an old one; deny it: kubectl certificate deny {request.name}"
            )
        approved.append(request.name)
    return approved

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case behind the module kind_cluster: read, plan, apply, wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import replace
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind import client as _client
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.addresses import Network, addresses
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.client import (
    KindClient,
    Nodes,
    kubeconfig_is_current,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.plan import (
    Found,
    Wanted,
    plan_absent,
    plan_present,
    plan_start,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess, side_by_side
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome


def spec() -> ArgumentSpec:
    """Return the options of kind_cluster."""
    return ArgumentSpec(
        options={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "image": {"type": "str"},
            "config": {"type": "dict", "default": {}},
            "workers": {"type": "int", "default": 0},
            "kubeconfig": {"type": "path", "required": True},
            "owner": {"type": "path", "required": True},
            "adopt": {"type": "bool", "default": False},
            "scenario": {"type": "str", "default": ""},
            "engine": {"type": "str", "choices": ["docker", "podman"], "required": True},
            "network": {"type": "str", "default": "trustmesh"},
            "env": {"type": "dict", "default": {}},
            "kind": {"type": "path", "default": "kind"},
            "kubectl": {"type": "path", "default": "kubectl"},
            "timeout": {"type": "int", "default": 300},
            "wait": {"type": "bool", "default": True},
        },
        required_if=[("state", "present", ("image",))],
        free=["config", "env"],
    )


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Make sure that the cluster is there, or is not."""
    if _client.x509 is None:
        raise TrustmeshError("The Python library 'cryptography' is missing. Install it: pip install cryptography")
    wanted = Wanted(
        name=params["name"],
        image=params["image"] or "",
        config=params["config"],
        workers=params["workers"],
        owner=params["owner"],
        adopt=params["adopt"],
        scenario=params["scenario"],
    )
    kubeconfig = Path(params["kubeconfig"])
    env = {key: str(value) for key, value in params["env"].items()}
    env |= {
        "KIND_EXPERIMENTAL_PROVIDER": params["engine"],
        f"KIND_EXPERIMENTAL_{params['engine'].upper()}_NETWORK": params["network"],
    }
    client = KindClient(
        engine=params["engine"],
        kind=params["kind"],
        kubectl=params["kubectl"],
        network=params["network"],
        process=LocalProcess(env),
        state_dir=kubeconfig.parent,
    )
    if params["state"] == "absent":
        return _absent(client, wanted, client.read(wanted.name), kubeconfig, check_mode)
    there = client.read_beside(wanted.name, kubeconfig)
    started = plan_start(there[0]) and not check_mode
    if started:  # a stopped node tells nothing about itself
        client.start(there[0])
        there = client.read_beside(wanted.name, kubeconfig)
    outcome = _present(
        client, wanted, there, kubeconfig, timeout=params["timeout"], wait=params["wait"], check_mode=check_mode
    )
    if started:
        outcome.changed = True
        outcome.result["actions"].insert(0, "start")
    return outcome


def _present(
    client: KindClient,
    wanted: Wanted,
    there: tuple[Found, Network | None, Nodes | None],
    kubeconfig: Path,
    *,
    timeout: float,
    wait: bool,
    check_mode: bool,
) -> Outcome:
    found, network, nodes = there
    plan = plan_present(wanted, found, _is_alive(found))
    actions = list(plan.actions)
    share, made = found.share, ""
    needs_kubeconfig = "create" in actions or not kubeconfig_is_current(kubeconfig, found)
    approved = False
    needs_mark = bool({"create", "adopt", "share"} & set(actions))
    if needs_kubeconfig:
        actions.append("write_kubeconfig")
    if not check_mode:
        if "delete" in actions:
            client.delete(wanted.name)
        if "create" in actions:
            made = client.create(wanted, timeout)
            found = client.read_nodes(wanted.name)
        if needs_kubeconfig:
            kubeconfig.parent.mkdir(parents=True, exist_ok=True)
            replace(kubeconfig, made or client.kubeconfig(wanted.name))
        only_certify = "create" in actions and not wait
        if actions or nodes is None or not nodes.has_all({node.name for node in found.nodes}):
            approved, network, share = side_by_side(
                lambda: client.wait_ready(wanted, found, kubeconfig, timeout, only_certify),
                client.network_of_balancers,
                lambda: client.take_share(wanted, found) if needs_mark else share,
            )
        if approved and "create" not in actions:
            actions.append("approve_certificates")
        if needs_mark:
            client.mark(wanted, found, share)
    balanced = addresses(network, share) if network else ""
    return Outcome(
        changed=bool(actions),
        diff={"before": plan.before, "after": plan.after},
        warnings=_balancing_warnings(client.network, network) if balanced else [],
        result={
            "actions": actions,
            "cluster": {
                "name": wanted.name,
                "exists": found.exists,
                "kubeconfig": str(kubeconfig),
                "context": f"kind-{wanted.name}",
                "nodes": [asdict(node) for node in found.nodes],
                "balancer_addresses": balanced,
            },
        },
    )


def _balancing_warnings(name: str, network: Network | None) -> list[str]:
    if network is None or network.keeps_upper_half:
        return []
    return [
        f"The network {name} was made without a range, so that its engine may give a node an address that a load "
        "balancer has given to a Service, after some hundred starts of nodes. When no cluster uses the network, it "
        "goes, and the next cluster makes it anew with a range; or name another one with kubernetes_cluster_network."
    ]


def _absent(client: KindClient, wanted: Wanted, found: Found, kubeconfig: Path, check_mode: bool) -> Outcome:
    plan = plan_absent(wanted, found, _is_alive(found), kubeconfig_is_current(kubeconfig, found))
    actions = list(plan.actions)
    if kubeconfig.exists():
        actions.append("remove_kubeconfig")
    if check_mode:
        if client.network_is_unused({node.name for node in found.nodes}):
            actions.append("remove_network")
    else:
        if "delete" in actions:
            client.delete(wanted.name)
        kubeconfig.unlink(missing_ok=True)
        if client.remove_network_if_unused():
            actions.append("remove_network")
    return Outcome(
        changed=bool(actions),
        diff={"before": plan.before, "after": plan.after},
        result={"actions": actions, "cluster": {"name": wanted.name, "exists": False, "nodes": []}},
    )


def _is_alive(found: Found) -> bool:
    """Whether the checkout that owns the cluster still exists."""
    return found.mark is not None and Path(str(found.mark.get("owner", ""))).is_dir()

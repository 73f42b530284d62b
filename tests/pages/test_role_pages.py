# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first example of each role's page, run as it is written, on a cluster that exists and with nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from .conftest import ROOT, Estate, blocks, changed

CLUSTER = "eu"
POLICY, POLICIES = "networkpolicy.networking.k8s.io", ("networkpolicies", "-n")
# In an order in which each finds what its page takes for granted, with what somebody sees of it afterwards.
SEEN = {
    "toolchain": [],
    "images": [],
    "kubernetes_cluster": [],
    "trustmesh": [],
    "kubernetes_objects": [("configmap/prices", "configmaps", "-n", "shop")],
    "load_balancer": [
        ("deployment.apps/controller", "deployments", "-n", "metallb-system"),
        ("ipaddresspool.metallb.io/trustmesh", "ipaddresspools", "-n", "metallb-system"),
    ],
    "cert_manager": [
        ("deployment.apps/cert-manager", "deployments", "-n", "cert-manager"),
        ("secret/root", "secrets", "-n", "cert-manager"),
    ],
    "demo_app": [("deployment.apps/sleep", "deployments", "-n", "demo"), (f"{POLICY}/sleep", *POLICIES, "demo")],
    "spire_server": [
        ("statefulset.apps/spire-server", "statefulsets", "-n", "spire-server"),
        (f"{POLICY}/spire-server", *POLICIES, "spire-server"),
    ],
    "upstream_ca": [("secret/spire-upstream-ca", "secrets", "-n", "spire-server")],
    "spire_controller_manager": [("clusterspiffeid.spire.spiffe.io/default.web", "clusterspiffeids")],
    "spire_agent": [("daemonset.apps/spire-agent", "daemonsets", "-n", "spire-system")],
    # Here is nobody to federate with; molecule has a scenario for that.
    "spire_federation": [],
    "spire_entries": [],
    "envoy": [
        ("deployment.apps/billing-front", "deployments", "-n", "default"),
        (f"{POLICY}/billing-front", *POLICIES, "default"),
    ],
    "istio": [
        ("deployment.apps/istiod", "deployments", "-n", "istio-system"),
        (f"{POLICY}/istiod-doors", *POLICIES, "istio-system"),
        ("authorizationpolicy.security.istio.io/callers-of-web", "authorizationpolicies", "-n", "default"),
    ],
}
ELSEWHERE = {"verify": "test_your_own.py, where there is somebody to ask", "own_inventory": "a part of playbooks"}
ELSEWHERE |= {"machine": "integration/roles/test_machine.py, beside a server of this host"}
ELSEWHERE |= {"awx": "integration/awx, with a controller", "join_token": "integration/awx/test_join_token.py"}
ELSEWHERE |= {"drill": "molecule/istio_spire, where something can break"}
ELSEWHERE |= {"sidecar": "integration/roles/test_sidecar.py, and molecule/istio_vm with a mesh to be in"}
QUIET = ("toolchain", "images", "kubernetes_cluster", "trustmesh", "spire_federation")
"""They change nothing in a cluster."""


REGISTERED = {
    "spire_entries_connection": {
        "pod": "statefulset/spire-server",
        "namespace": "spire-server",
        "container": "spire-server",
    },
    "spire_entries_owner": "front",
    "spire_entries_entries": [
        {
            "spiffe_id": "spiffe://corp.example/ns/default/sa/billing-front",
            "parent_id": "spiffe://corp.example/node/eu",
            "selectors": ["k8s:ns:default", "k8s:sa:billing-front", "k8s:container-name:envoy"],
        }
    ],
}
"""The entry that the page of the role envoy takes for granted."""


def page(role: str) -> list[dict[str, Any]]:
    plays: list[dict[str, Any]] = yaml.safe_load(blocks(ROOT / "roles" / role / "README.md", "yaml")[0])
    return plays


def run(estate: Estate, plays: list[dict[str, Any]]) -> str:
    # Published images cannot be taken for granted where tests run; those that were built stand for them.
    return estate.play(plays, CLUSTER, trustmesh_images=estate.images, images_stock_envoy=True)


def backwards(play: dict[str, Any]) -> dict[str, Any]:
    """The same roles with the same variables, and ``tasks_from: remove``."""
    given = [*play.get("roles", []), *play.get("tasks", [])]
    roles = [{"role": one} if isinstance(one, str) else one for one in given]
    kept = [one for one in roles if one.get("ansible.builtin.import_role", {}).get("tasks_from")]
    removed = [
        {
            "ansible.builtin.include_role": {
                "name": one.get("role") or one["ansible.builtin.import_role"]["name"],
                "tasks_from": "remove",
            },
            "vars": one.get("vars", {}),
        }
        for one in reversed(roles)
        if one not in kept
    ]
    return {**{key: value for key, value in play.items() if key != "roles"}, "tasks": [*kept, *removed]}


def test_no_role_is_left_out() -> None:
    assert {path.parent.name for path in ROOT.glob("roles/*/README.md")} == {*SEEN, *ELSEWHERE}


@pytest.mark.parametrize("role", SEEN)
def test_the_example_runs_and_a_second_time_changes_nothing(estate: Estate, role: str) -> None:
    plays = page(role)
    if role == "envoy":
        entries = {"role": "trustmesh.spiffe.spire_entries", "vars": REGISTERED}
        run(estate, [{**page("spire_entries")[0], "roles": [entries]}])
    first = changed(run(estate, plays))
    if role not in QUIET:
        assert first > 0
        assert changed(run(estate, plays)) == 0
    for name, *words in SEEN[role]:
        assert name in estate.names(CLUSTER, *words)


@pytest.mark.parametrize("role", [role for role in reversed(SEEN) if role not in QUIET])
def test_remove_takes_what_the_role_made(estate: Estate, role: str) -> None:
    plays = [backwards(play) for play in page(role)]
    run(estate, plays)
    for name, *words in SEEN[role]:
        assert name not in estate.names(CLUSTER, *words)


def test_nothing_of_ours_is_left(estate: Estate) -> None:
    kinds = "deployments,daemonsets,statefulsets,services,secrets,clusterroles,clusterrolebindings"
    ours = "app.kubernetes.io/managed-by=trustmesh.spiffe"
    left = estate.names(CLUSTER, kinds, "--all-namespaces", "--selector", ours)
    assert {name for name in left if "node-network" not in name} == set()

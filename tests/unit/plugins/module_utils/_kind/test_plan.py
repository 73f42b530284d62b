# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done about a kind cluster: every way in which it can be found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.plan import (
    CertificateRequest,
    Found,
    Node,
    Wanted,
    mark_of,
    plan_absent,
    plan_certificates,
    plan_present,
    plan_start,
    shares_in,
)

WANTED = Wanted("blue", "node:v1", {"networking": {"disableDefaultCNI": True}}, 1, "/home/me/checkout")
NODES = (
    Node("blue-control-plane", "control-plane", True, "node:v1", "10.89.0.2", 40001),
    Node("blue-worker", "worker", True, "node:v1", "10.89.0.3"),
)


def found(nodes: tuple[Node, ...] = NODES, **more: Any) -> Found:
    mark = {"fingerprint": WANTED.fingerprint, "owner": WANTED.owner, "share": 3}
    return Found(nodes, **{"mark": mark, **more})


HALF_MADE = found(mark=None, begun_here=True)
STRANGER = found(mark=None)
OF_ANOTHER = found(mark={"fingerprint": WANTED.fingerprint, "owner": "/home/you/checkout", "share": 3})
OTHER_CONFIG = found(mark={"fingerprint": "0", "owner": WANTED.owner})
SILENT = found(mark=None, silent="the engine cannot run a command in blue-control-plane")
STOPPED = found((NODES[0], replace(NODES[1], running=False)))


# Present


def test_a_cluster_that_is_absent_is_created() -> None:
    plan = plan_present(WANTED, Found(), False)
    assert plan.actions == ["create"]
    assert (plan.before, plan.after) == ("", "cluster blue: 2 node(s) of node:v1\n")


def test_a_cluster_that_was_begun_but_has_no_node_yet_is_created() -> None:
    assert plan_present(WANTED, Found(begun_here=True), False).actions == ["create"]


def test_a_cluster_as_wanted_is_left_alone() -> None:
    plan = plan_present(WANTED, found(), True)
    assert plan.actions == []
    assert plan.before == plan.after


def test_a_cluster_whose_creation_was_interrupted_is_made_anew() -> None:
    plan = plan_present(WANTED, HALF_MADE, False)
    assert plan.actions == ["delete", "create"]
    assert "its creation was interrupted" in plan.before


def test_a_cluster_of_somebody_else_is_named_and_left_alone() -> None:
    with pytest.raises(TrustmeshError, match=r"named blue exists and was not made by this collection.*Remove it"):
        plan_present(WANTED, STRANGER, False)


def test_a_cluster_of_a_living_checkout_is_named_with_its_folder() -> None:
    with pytest.raises(
        TrustmeshError, match=r"blue belongs to the checkout /home/you/checkout.*cluster_adopt"
    ) as caught:
        plan_present(WANTED, OF_ANOTHER, True)
    assert caught.value.details == {"owner": "/home/you/checkout"}


@pytest.mark.parametrize(("adopt", "alive"), [(True, True), (False, False)], ids=["asked for", "its checkout is gone"])
def test_a_cluster_of_another_checkout_is_adopted(adopt: bool, alive: bool) -> None:
    plan = plan_present(replace(WANTED, adopt=adopt), OF_ANOTHER, alive)
    assert plan.actions == ["adopt"]
    assert "it belongs to /home/you/checkout" in plan.before
    assert "it belongs to /home/me/checkout" in plan.after


@pytest.mark.parametrize("adopt", [False, True])
def test_a_cluster_of_another_configuration_is_refused_also_when_adopting(adopt: bool) -> None:
    with pytest.raises(TrustmeshError, match=r"exists with another image or configuration.*make down"):
        plan_present(replace(WANTED, adopt=adopt), OTHER_CONFIG, True)


@pytest.mark.parametrize(
    "change", [{"image": "node:v2"}, {"workers": 2}, {"config": {}}], ids=lambda it: next(iter(it))
)
def test_image_workers_and_configuration_decide_what_a_cluster_is(change: dict[str, Any]) -> None:
    with pytest.raises(TrustmeshError, match="another image or configuration"):
        plan_present(replace(WANTED, **change), found(), True)


def test_stopped_nodes_are_started() -> None:
    assert plan_start(STOPPED)
    assert not plan_start(found())
    assert not plan_start(Found())
    plan = plan_present(WANTED, STOPPED, True)
    assert plan.actions == ["start"]
    assert plan.before != plan.after


def test_a_cluster_that_cannot_say_whose_it_is_is_named_with_what_to_do() -> None:
    with pytest.raises(TrustmeshError, match=r"cannot run a command in blue-control-plane\. Start it.*make down.*kind"):
        plan_present(replace(WANTED, adopt=True), SILENT, False)


# Absent


def test_what_is_absent_is_not_deleted() -> None:
    assert plan_absent(WANTED, Found(), False).actions == []


@pytest.mark.parametrize("there", [found(), HALF_MADE, OTHER_CONFIG, STOPPED])
def test_our_own_cluster_is_deleted_in_whatever_state_it_is(there: Found) -> None:
    plan = plan_absent(WANTED, there, True)
    assert plan.actions == ["delete"]
    assert plan.before.startswith("cluster blue: 2 node(s)")
    assert plan.after == ""


def test_a_cluster_of_somebody_else_is_not_deleted() -> None:
    with pytest.raises(TrustmeshError, match="was not made by this collection, so it is not deleted"):
        plan_absent(replace(WANTED, adopt=True), STRANGER, False)


def test_a_cluster_of_a_living_checkout_is_not_deleted() -> None:
    with pytest.raises(TrustmeshError, match="belongs to the checkout /home/you/checkout, so it is not deleted"):
        plan_absent(WANTED, OF_ANOTHER, True)


@pytest.mark.parametrize(("adopt", "alive"), [(True, True), (False, False)], ids=["asked for", "its checkout is gone"])
def test_a_foreign_cluster_is_deleted(adopt: bool, alive: bool) -> None:
    assert plan_absent(replace(WANTED, adopt=adopt), OF_ANOTHER, alive).actions == ["delete"]


@pytest.mark.parametrize(("adopt", "kubeconfig"), [(True, False), (False, True)], ids=["asked for", "ours by its port"])
def test_a_cluster_that_cannot_say_whose_it_is_is_deleted(adopt: bool, kubeconfig: bool) -> None:
    assert plan_absent(replace(WANTED, adopt=adopt), SILENT, False, kubeconfig).actions == ["delete"]


def test_a_cluster_that_cannot_say_whose_it_is_is_not_deleted_unasked() -> None:
    with pytest.raises(TrustmeshError, match=r"cannot run a command.*is not deleted\. To delete it.*cluster_adopt"):
        plan_absent(WANTED, SILENT, False, False)


# What is asked for


@pytest.mark.parametrize("name", ["", "Blue", "-blue", "blue_1", "b" * 50, "blue\n"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^name: .* is not a kind cluster's name; use up to 49 of a-z"):
        replace(WANTED, name=name)


@pytest.mark.parametrize("workers", [-1, 21])
def test_too_many_or_too_few_workers_are_refused(workers: int) -> None:
    with pytest.raises(InputError, match=rf"^workers: {workers} is out of range; give 0 to 20"):
        replace(WANTED, workers=workers)


def test_the_owner_and_adopting_do_not_change_the_fingerprint() -> None:
    assert replace(WANTED, owner="/", adopt=True, name="green").fingerprint == WANTED.fingerprint


def test_the_document_for_kind() -> None:
    assert WANTED.document() == {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": "blue",
        "networking": {"disableDefaultCNI": True},
        "nodes": [{"role": "control-plane"}, {"role": "worker"}],
    }


# Scenarios

MINE = replace(WANTED, scenario="blue_green")


def marked(scenario: str | None, owner: str = WANTED.owner) -> Found:
    mark = {"fingerprint": WANTED.fingerprint, "owner": owner, "share": 3}
    return found(mark=mark if scenario is None else {**mark, "scenario": scenario})


def test_a_cluster_of_the_same_scenario_is_left_alone() -> None:
    assert plan_present(MINE, marked("blue_green"), True).actions == []
    assert plan_absent(MINE, marked("blue_green"), True).actions == ["delete"]


@pytest.mark.parametrize("owner_is_alive", [True, False])
@pytest.mark.parametrize("plan", [plan_present, plan_absent])
def test_a_cluster_of_another_scenario_is_left_alone_and_named(plan: Any, owner_is_alive: bool) -> None:
    with pytest.raises(TrustmeshError, match="was made for the scenario federation and not for blue_green") as caught:
        plan(MINE, marked("federation"), owner_is_alive)
    assert "Tear federation down first, or give trustmesh_instance another value" in caught.value.message
    assert caught.value.details == {"scenario": "federation"}


def test_a_cluster_of_another_scenario_is_taken_over_when_told() -> None:
    plan = plan_present(replace(MINE, adopt=True), marked("federation"), True)
    assert plan.actions == ["adopt"]
    assert "it is of the scenario federation\n" in plan.before
    assert "it is of the scenario blue_green\n" in plan.after
    assert plan_absent(replace(MINE, adopt=True), marked("federation"), True).actions == ["delete"]


def test_a_cluster_marked_without_a_scenario_becomes_ones_own() -> None:
    plan = plan_present(MINE, marked(None), True)
    assert plan.actions == ["adopt"]
    assert "it is of no scenario\n" in plan.before
    assert plan_absent(MINE, marked(None), True).actions == ["delete"]
    with pytest.raises(TrustmeshError, match="belongs to the checkout /home/you"):
        plan_present(MINE, marked(None, "/home/you"), True)


def test_without_a_scenario_it_is_not_looked_at_and_stays() -> None:
    assert plan_present(WANTED, marked("federation"), True).actions == []
    assert plan_absent(WANTED, marked("federation"), True).actions == ["delete"]
    assert mark_of(WANTED, marked("federation"))["scenario"] == "federation"
    assert mark_of(MINE, marked("federation"))["scenario"] == "blue_green"
    assert "scenario" not in mark_of(WANTED, marked(None))


# Addresses for load balancers


def test_a_cluster_that_was_made_before_there_were_balancers_gets_addresses() -> None:
    earlier = found(mark={"fingerprint": WANTED.fingerprint, "owner": WANTED.owner})
    plan = plan_present(WANTED, earlier, True)
    assert plan.actions == ["share"]
    assert "it has addresses for load balancers" in plan.after


def test_a_cluster_for_which_none_were_left_is_not_changed_again_and_again() -> None:
    without = found(mark={"fingerprint": WANTED.fingerprint, "owner": WANTED.owner, "share": None})
    assert plan_present(WANTED, without, True).actions == []
    assert without.share is None


def test_shares_that_clusters_have_or_are_about_to_take() -> None:
    assert shares_in([{"share": 1}, {"taking": 2}, {"share": None}, {"share": "3"}, {}]) == {1, 2}


# Certificates of kubelets

CONTROL = "system:node:blue-control-plane"


def request(**fields: Any) -> CertificateRequest:
    own = {"name": "csr-1", "username": CONTROL, "subject": CONTROL, "claims": {"blue-control-plane", "10.89.0.2"}}
    return CertificateRequest(**{**own, **fields})  # type: ignore[arg-type]


def test_certificates_of_our_nodes_for_themselves_are_approved() -> None:
    worker = {"username": "system:node:blue-worker", "subject": "system:node:blue-worker", "claims": {"blue-worker"}}
    assert plan_certificates(NODES, [request(), request(name="csr-2", **worker)]) == ["csr-1", "csr-2"]
    both = [replace(NODES[0], address6="fc00::2")]
    assert plan_certificates(both, [request(claims={"blue-control-plane", "10.89.0.2", "fc00::2"})]) == ["csr-1"]
    assert plan_certificates(NODES, []) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"username": "system:node:green-worker"},
            "made by system:node:green-worker, which is no node of this cluster",
        ),
        ({"username": "blue-control-plane"}, "made by blue-control-plane, which is no node"),
        ({"username": "system:serviceaccount:kube-system:blue-control-plane"}, "which is no node"),
        ({"claims": {"blue-control-plane", "10.89.0.3"}}, "a certificate of 10.89.0.3, which is not its own"),
        ({"claims": {"blue-control-plane", "kubernetes"}}, "a certificate of kubernetes, which is not its own"),
        ({"claims": {"spiffe://example.org/x"}}, "which is not its own"),
        ({"claims": set()}, "asks for a certificate of nothing"),
        ({"subject": "system:node:blue-worker"}, "a certificate of system:node:blue-worker, which is not its own"),
        ({"subject": ""}, "a certificate of (no name)"),
    ],
)
def test_any_other_certificate_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(TrustmeshError) as caught:
        plan_certificates(NODES, [request(name="csr-0"), request(**fields)])
    assert words in caught.value.message
    assert "kubectl certificate deny csr-1" in caught.value.message


def test_a_node_whose_address_the_engine_does_not_know_may_claim_its_name_only() -> None:
    unknown = [replace(NODES[0], address="")]
    assert plan_certificates(unknown, [request(claims={"blue-control-plane"})]) == ["csr-1"]
    with pytest.raises(TrustmeshError, match=r"10\.89\.0\.2, which is not its own"):
        plan_certificates(unknown, [request()])

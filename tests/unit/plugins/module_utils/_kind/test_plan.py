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
    Found,
    Node,
    Wanted,
    plan_absent,
    plan_present,
    plan_start,
)

WANTED = Wanted("blue", "node:v1", {"networking": {"disableDefaultCNI": True}}, 1, "/home/me/checkout")
NODES = (
    Node("blue-control-plane", "control-plane", True, "node:v1", "10.89.0.2", 40001),
    Node("blue-worker", "worker", True, "node:v1", "10.89.0.3"),
)


def found(nodes: tuple[Node, ...] = NODES, **more: Any) -> Found:
    mark = {"fingerprint": WANTED.fingerprint, "owner": WANTED.owner}
    return Found(nodes, **{"mark": mark, **more})


HALF_MADE = found(mark=None, begun_here=True)
STRANGER = found(mark=None)
OF_ANOTHER = found(mark={"fingerprint": WANTED.fingerprint, "owner": "/home/you/checkout"})
OTHER_CONFIG = found(mark={"fingerprint": "0", "owner": WANTED.owner})
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

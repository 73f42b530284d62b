# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for relationships, and how their health is judged. Pure."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Authority, Bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.wanted import Wanted
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.endpoint import Served
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.info import judged
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import Relationship
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.plan import plan_absent, plan_present
from certificates import HOUR, NOW, issue

ONE, TWO = (Authority(issue(ca=True).pem, False) for _number in range(2))
OLD = Authority(issue(ca=True, begins=NOW - 2 * HOUR, ends=NOW - HOUR).pem, False)
OWN = Bundle("example.org", (ONE,), 1, 0)


def bundle(name: str, *authorities: Authority, sequence: int = 0) -> Bundle:
    return Bundle(name, authorities or (ONE,), sequence, 0)


def web(name: str) -> Relationship:
    return Relationship(name, f"https://{name}/", "https_web")


def spiffe(name: str, endpoint: str) -> Relationship:
    return Relationship(name, f"https://{name}/", "https_spiffe", f"spiffe://{endpoint}/spire/server")


def test_all_bundles_come_first_and_refreshes_last() -> None:
    wanted = [
        (Wanted(0, "a.org", bundle("a.org")), spiffe("a.org", "b.org")),
        (Wanted(1, "b.org", bundle("b.org")), spiffe("b.org", "b.org")),
        (Wanted(2, "c.org"), web("c.org")),
        (Wanted(3, "d.org"), spiffe("d.org", "example.org")),
    ]
    plan = plan_present(wanted, [web("c.org")], {}, OWN, refresh=True)
    assert [f"{step['verb']} {step['id']}" for step in plan.actions()] == [
        "set_bundle a.org",
        "set_bundle b.org",
        "create a.org",
        "create b.org",
        "create d.org",
        *[f"refresh {name}.org" for name in "abcd"],
    ]


def test_a_present_bundle_replaces_what_is_held_and_an_older_one_is_refused() -> None:
    held = {"a.org": bundle("a.org", TWO, sequence=3)}
    for sequence, actions in ((4, ["set_bundle"]), (0, ["set_bundle"])):
        wanted = [(Wanted(0, "a.org", bundle("a.org", sequence=sequence)), spiffe("a.org", "a.org"))]
        plan = plan_present(wanted, [spiffe("a.org", "a.org")], held, OWN, update_bundles=True)
        assert [step["verb"] for step in plan.actions()] == actions
        assert plan.after["a.org"].x509_authorities == (ONE,)
        assert not plan.warnings
        # Without it what is held is left alone, and the difference told.
        plan = plan_present(wanted, [spiffe("a.org", "a.org")], held, OWN)
        assert (plan.steps, len(plan.warnings)) == ([], 1)
    older = [(Wanted(0, "a.org", bundle("a.org", sequence=2)), spiffe("a.org", "a.org"))]
    with pytest.raises(InputError, match="older than what is there"):
        plan_present(older, [], held, OWN, update_bundles=True)


def test_nothing_but_a_refresh_is_no_change_until_it_brings_something() -> None:
    wanted = [(Wanted(0, "a.org"), web("a.org"))]
    plan = plan_present(wanted, [web("a.org")], {"a.org": bundle("a.org", sequence=5)}, OWN, refresh=True)
    plan.refreshed({"a.org": bundle("a.org")})
    assert not plan.changed
    plan.refreshed({"a.org": bundle("a.org", ONE, TWO, sequence=6)})
    assert plan.changed
    assert plan.diff()["after"]["bundles"]["a.org"]["sequence_number"] == 0
    assert plan.diff()["after"]["relationships"] == {}


def test_relationships_go_before_their_bundles_and_nothing_else_goes() -> None:
    held = {"a.org": bundle("a.org"), "b.org": bundle("b.org")}
    current = [web("a.org"), web("b.org")]
    plan = plan_absent([Wanted(0, "a.org")], current, held, "example.org", delete_bundles=True, entries=[])
    assert [step["verb"] for step in plan.actions()] == ["delete", "delete_bundle"]
    assert list(plan.after) == ["b.org"]
    plan = plan_absent([Wanted(0, "a.org")], current, held, "example.org", delete_bundles=False, entries=[])
    assert [step["verb"] for step in plan.actions()] == ["delete"]
    assert plan.diff()["before"]["bundles"] == {}


def test_a_bundle_that_another_endpoint_needs_is_kept() -> None:
    current = [spiffe("a.org", "a.org"), spiffe("b.org", "a.org")]
    held = {"a.org": bundle("a.org")}
    with pytest.raises(InputError, match=r"the bundle endpoint of b\.org"):
        plan_absent([Wanted(0, "a.org")], current, held, "example.org", delete_bundles=True, entries=[])
    both = [Wanted(0, "a.org"), Wanted(1, "b.org")]
    assert plan_absent(both, current, held, "example.org", delete_bundles=True, entries=[]).changed


@pytest.mark.parametrize(
    ("held", "served", "health", "words"),
    [
        (None, None, "no_bundle", "holds no bundle"),
        (None, Served(error="nothing listens"), "no_bundle", "nothing listens"),
        (None, Served(bundle("a.org")), "no_bundle", "holds no bundle"),
        (bundle("a.org", OLD), Served(bundle("a.org", OLD)), "expired", "is valid now"),
        (bundle("a.org"), None, "not_probed", ""),
        (bundle("a.org"), Served(error="no answer in time"), "unreachable", "no answer in time"),
        (bundle("a.org"), Served(bundle("a.org", TWO)), "bundles_differ", "other authorities"),
        (bundle("a.org"), Served(bundle("a.org", ONE, sequence=9)), "healthy", ""),
        (bundle("a.org", ONE, OLD), Served(bundle("a.org", OLD, ONE)), "healthy", ""),
    ],
)
def test_health(held: Bundle | None, served: Served | None, health: str, words: str) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    found, error = judged(web("a.org"), held, served, now)
    assert found == health
    assert words in (error or "")
    assert (error is None) == (health in ("healthy", "not_probed"))

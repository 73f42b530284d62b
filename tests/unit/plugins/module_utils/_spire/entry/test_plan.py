# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: what happens for which wanted and which existing entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry, Wanted, wanted_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.plan import (
    Plan,
    Rules,
    plan_absent,
    plan_present,
)
from hypothesis import given
from hypothesis import strategies as st


def wanted(*items: dict[str, Any]) -> list[Wanted]:
    base = {"parent_id": "spiffe://td/n", "selectors": ["k8s:ns:x"]}
    return wanted_entries([{**base, "spiffe_id": f"spiffe://td/{item.pop('name')}", **item} for item in items])


def existing(name: str, entry_id: str = "theirs", **fields: Any) -> Entry:
    return replace(Entry(f"spiffe://td/{name}", "spiffe://td/n", ("k8s:ns:x",), entry_id=entry_id), **fields)


def verbs(plan: Plan) -> list[str]:
    return [step.verb for step in plan.steps]


def apply(plan: Plan, current: list[Entry]) -> list[Entry]:
    """What the server holds after the plan."""
    held = {entry.entry_id: entry for entry in current}
    for step in plan.steps:
        if step.after is None:
            del held[step.entry.entry_id]
        else:
            assert (step.before is None) == (step.entry.entry_id not in held)
            held[step.entry.entry_id] = step.after
    return list(held.values())


def test_create_with_the_id_that_the_key_gives() -> None:
    (one,) = wanted({"name": "a", "hint": "h"})
    plan = plan_present([one], [existing("other")])
    assert verbs(plan) == ["create"]
    assert plan.steps[0].entry == Entry(*one.key, entry_id=one.key.entry_id, hint="h")


def test_nothing_to_do() -> None:
    plan = plan_present(wanted({"name": "a"}), [existing("a", hint="h", dns_names=("x",))])
    assert not plan.changed
    assert plan.diff() == {"before": {}, "after": {}}
    assert plan.entries == {0: existing("a", hint="h", dns_names=("x",))}


def test_update_carries_the_whole_entry_and_shows_only_what_differs() -> None:
    old = existing("a", hint="h", jwt_svid_ttl=5, additional_attributes={"jwt_svid_include_jti": True})
    plan = plan_present(wanted({"name": "a", "x509_svid_ttl": 60}), [old])
    assert plan.steps[0].after == replace(old, x509_svid_ttl=60)
    assert plan.diff() == {
        "before": {"theirs": {"spiffe_id": "spiffe://td/a", "x509_svid_ttl": 0}},
        "after": {"theirs": {"spiffe_id": "spiffe://td/a", "x509_svid_ttl": 60}},
    }


def test_the_order_of_a_set_is_no_change() -> None:
    old = existing("a", federates_with=("x", "y"), dns_names=("a", "b", "c"))
    one = {"name": "a", "federates_with": ["y", "x"], "dns_names": ["a", "c", "b"]}
    assert not plan_present(wanted(one), [old]).changed
    plan = plan_present(wanted({"name": "a", "dns_names": ["b", "a", "c"]}), [old])
    assert plan.steps[0].entry.dns_names == ("b", "a", "c")


def test_an_entry_with_our_id_and_another_key_is_led_back() -> None:
    (one,) = wanted({"name": "a"})
    moved = existing("b", entry_id=one.key.entry_id, hint="kept")
    plan = plan_present([one], [moved])
    assert verbs(plan) == ["update"]
    assert plan.steps[0].entry == replace(moved, spiffe_id="spiffe://td/a")
    assert plan.diff()["before"] == {one.key.entry_id: {"spiffe_id": "spiffe://td/b"}}


def test_a_named_id_lets_the_key_change_in_place() -> None:
    plan = plan_present(wanted({"name": "a", "entry_id": "x", "selectors": ["k8s:ns:new"]}), [existing("a", "x")])
    assert verbs(plan) == ["update"]
    assert plan.steps[0].entry.selectors == ("k8s:ns:new",)


@pytest.mark.parametrize("planner", [plan_present, plan_absent])
def test_an_id_cannot_change(planner: Any) -> None:
    with pytest.raises(InputError, match=r"entries\[0\] \(spiffe://td/a\)\.entry_id.*under the id theirs"):
        planner(wanted({"name": "a", "entry_id": "x"}), [existing("a")])


def test_an_id_that_another_wanted_entry_holds_is_refused() -> None:
    with pytest.raises(InputError, match=r"entries\[0\].*the id x belongs to the entry that entries\[1\]"):
        plan_present(wanted({"name": "new", "entry_id": "x"}, {"name": "a"}), [existing("a", "x")])


def test_of_duplicates_ours_is_managed_then_the_oldest_and_all_are_named() -> None:
    (one,) = wanted({"name": "a", "hint": "new"})
    old, young = existing("a", "old", created_at=1), existing("a", "young", created_at=2)
    plan = plan_present([one], [young, old])
    assert [step.entry.entry_id for step in plan.steps] == ["old"]
    assert "old, young" in plan.warnings()[0]
    ours = existing("a", one.key.entry_id, created_at=3)
    assert plan_present([one], [young, old, ours]).steps[0].entry.entry_id == one.key.entry_id


def test_absent_deletes_all_duplicates_and_nothing_else() -> None:
    current = [existing("a", "1"), existing("a", "2"), existing("b", "3")]
    plan = plan_absent(wanted({"name": "a"}, {"name": "c"}), current)
    assert [action["id"] for action in plan.actions()] == ["1", "2"]
    assert plan.diff()["after"] == {}
    assert set(plan.diff()["before"]) == {"1", "2"}


fields = st.fixed_dictionaries(
    {},
    optional={
        "hint": st.sampled_from(["", "a", "b"]),
        "x509_svid_ttl": st.integers(0, 2),
        "dns_names": st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
        "federates_with": st.lists(st.sampled_from(["x", "y"]), unique=True),
        "admin": st.booleans(),
    },
)
wanted_sets = st.dictionaries(st.sampled_from("abcdef"), fields)


@given(wanted_sets, st.dictionaries(st.sampled_from("abcdef"), fields))
def test_after_the_plan_a_second_plan_is_empty_and_others_are_untouched(
    items: dict[str, dict[str, Any]], held: dict[str, dict[str, Any]]
) -> None:
    current = [
        existing(name, f"id-{name}", **{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
        for name, values in held.items()
    ]
    ours = wanted_entries(
        [
            {"spiffe_id": f"spiffe://td/{n}", "parent_id": "spiffe://td/n", "selectors": ["k8s:ns:x"], **values}
            for n, values in items.items()
        ],
        acknowledge_privileged=True,
    )
    after = apply(plan_present(ours, current), current)
    assert not plan_present(ours, after).changed
    untouched = [entry for entry in current if entry.spiffe_id[-1] not in items]
    assert all(entry in after for entry in untouched)
    gone = apply(plan_absent(ours, after), after)
    assert sorted(entry.entry_id for entry in gone) == sorted(entry.entry_id for entry in untouched)


def test_an_update_comes_before_a_create_whose_key_it_sets_free() -> None:
    a, b = wanted({"name": "b"}, {"name": "a"})
    plan = plan_present([a, b], [existing("b", entry_id=b.key.entry_id)])
    assert verbs(plan) == ["update", "create"]
    assert not plan_present([a, b], apply(plan, [existing("b", entry_id=b.key.entry_id)])).changed


def test_an_entry_is_never_two_wanted_ones_when_keys_were_moved_in_a_circle() -> None:
    a, b, c = wanted({"name": "a"}, {"name": "b"}, {"name": "c"})
    current = [existing("a", entry_id=b.key.entry_id), existing("c", entry_id=a.key.entry_id)]
    plan = plan_present([a, b, c], current)
    assert {step.entry.entry_id: step.entry.key for step in plan.steps} == {
        one.key.entry_id: one.key for one in (a, b, c)
    }
    assert verbs(plan) == ["update", "update", "create"]
    assert not plan_present([a, b, c], apply(plan, current)).changed


def test_an_id_tells_nothing_where_an_entry_has_the_key() -> None:
    a, b = wanted({"name": "a"}, {"name": "b"})
    twin = existing("a", entry_id="twin")
    current = [existing("b", entry_id=a.key.entry_id), existing("a", entry_id=b.key.entry_id), twin]
    assert not plan_present([a, b], current).changed


def test_many_duplicates_give_few_warnings() -> None:
    names = [f"n{number}" for number in range(30)]
    current = [existing(name, f"{name}-{copy}") for name in names for copy in "ab"]
    plan = plan_present(wanted(*({"name": name} for name in names)), current)
    assert len(plan.duplicates) == 30
    assert len(plan.warnings()) == 11
    assert "20 more keys" in plan.warnings()[-1]


# Entries in the hands of several: some ours, some of another owner, some of nobody, with keys moved about by hand.
OWNERS = ("us", "them", None)
keys = st.sampled_from("abcd")
makers = st.sampled_from([*OWNERS, "hand"])


def of_owner(name: str, owner: str | None) -> str:
    return existing(name).key.id_for(owner)


@st.composite
def servers(draw: st.DrawFn) -> list[Entry]:
    made = draw(st.lists(st.tuples(keys, makers, keys), max_size=8, unique_by=lambda one: one[:2]))
    # The last is the key that an update by hand has given the entry since.
    return [
        existing(now, f"hand-{name}" if maker == "hand" else of_owner(name, maker), created_at=position)
        for position, (name, maker, now) in enumerate(made)
    ]


@given(servers(), st.lists(keys, unique=True), st.booleans(), st.booleans())
def test_whatever_the_server_holds_an_owners_plan_converges_and_leaves_others_alone(
    current: list[Entry], names: list[str], adopt: bool, purge: bool
) -> None:
    rules = Rules("us", adopt, purge)
    items = [
        {"spiffe_id": f"spiffe://td/{n}", "parent_id": "spiffe://td/n", "selectors": ["k8s:ns:x"], "hint": "h"}
        for n in names
    ]
    ours = wanted_entries(items, owner="us")
    try:
        plan = plan_present(ours, current, rules)
    except InputError as error:
        assert error.details["conflicts"]  # never without the entries that stand in the way
        return
    after = apply(plan, current)
    again = plan_present(ours, after, rules)
    assert not again.changed
    assert {entry.key for entry in again.entries.values()} == {one.key for one in ours}
    assert all(entry.hint == "h" for entry in again.entries.values())
    them = [entry for entry in current if ".them." in entry.entry_id]
    assert [entry for entry in after if ".them." in entry.entry_id] == them
    kept = {entry.entry_id for entry in again.entries.values()}
    if purge:
        assert all(entry.entry_id in kept for entry in after if ".us." in entry.entry_id)
    if not adopt or not names:
        foreign = [entry for entry in current if ".us." not in entry.entry_id]
        assert [entry for entry in after if ".us." not in entry.entry_id] == foreign
    # Nothing that is not ours is ever deleted.
    assert {e.entry_id for e in current if ".us." not in e.entry_id} <= {e.entry_id for e in after}


@given(servers(), st.lists(keys, unique=True), st.booleans())
def test_absent_leaves_no_entry_of_the_keys_and_none_of_others_goes(
    current: list[Entry], names: list[str], adopt: bool
) -> None:
    items = [{"spiffe_id": f"spiffe://td/{n}", "parent_id": "spiffe://td/n", "selectors": ["k8s:ns:x"]} for n in names]
    ours = wanted_entries(items, owner="us")
    try:
        after = apply(plan_absent(ours, current, Rules("us", adopt)), current)
    except InputError as error:
        assert error.details["conflicts"]
        return
    assert not {entry.key for entry in after} & {one.key for one in ours}
    assert not {entry.entry_id for entry in after} & {one.target_id for one in ours}
    assert [e for e in after if ".them." in e.entry_id] == [e for e in current if ".them." in e.entry_id]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an authority stands, and the steps from there. Real servers: tests/integration/test_spire_authority.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.model import (
    JWT,
    UPSTREAM,
    X509,
    Authorities,
    Slot,
    Trusted,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.plan import (
    Step,
    needed_by_peers,
    plan_rotation,
    plan_rotations,
    plan_step,
    targets,
)

NOW = 1000
PLAIN = Authorities(X509, Slot("a", 5), None, None, {"a": Trusted(False, 900), "f": Trusted(False, 100)})
PREPARED = replace(PLAIN, prepared=Slot("p", 6), bundle={**PLAIN.bundle, "p": Trusted(False, 990)})
AFTER = replace(PLAIN, old=Slot("o", 4), bundle={**PLAIN.bundle, "o": Trusted(False, 100)})
TAINTED = replace(PLAIN, old=Slot("o", 4), bundle={**PLAIN.bundle, "o": Trusted(True, 100)})
DONE = replace(PLAIN, old=Slot("o", 4))
NESTED = Authorities(X509, Slot("a", 5, "root"), None, Slot("o", 4, "gone"), {"root": Trusted(False, 1)})


def verbs(state: Authorities, authority_id: str) -> list[tuple[str, str]]:
    return [(step.verb, step.authority_id) for step in plan_rotation(state, authority_id).steps]


@pytest.mark.parametrize(
    ("state", "authority_id", "steps"),
    [
        (PLAIN, "a", [("prepare", ""), ("activate", ""), ("taint", "a"), ("revoke", "a")]),
        (PREPARED, "a", [("activate", "p"), ("taint", "a"), ("revoke", "a")]),
        (AFTER, "o", [("taint", "o"), ("revoke", "o")]),
        (TAINTED, "o", [("revoke", "o")]),
        (DONE, "o", []),
        (DONE, "never", []),
        (DONE, "a", [("prepare", ""), ("activate", ""), ("taint", "a"), ("revoke", "a")]),
    ],
)
def test_a_rotation_goes_on_where_it_stands(
    state: Authorities, authority_id: str, steps: list[tuple[str, str]]
) -> None:
    assert verbs(state, authority_id) == steps


@pytest.mark.parametrize(
    ("state", "authority_id", "words"),
    [
        (PREPARED, "p", "signs nothing yet"),
        (PLAIN, "f", "another server of the trust domain"),
        (TAINTED, "a", "Finish first"),
        (NESTED, "a", "type=upstream with authority_id=root"),
    ],
)
def test_what_cannot_be_rotated_says_why(state: Authorities, authority_id: str, words: str) -> None:
    with pytest.raises(TrustmeshError, match=words):
        plan_rotation(state, authority_id)


@pytest.mark.parametrize(
    ("state", "older_than", "ids"),
    [
        (PLAIN, 99, ["a"]),
        (PLAIN, 100, []),
        (AFTER, 100, []),
        # An interrupted rotation is finished, also when the active one is young, and first when it is not.
        (TAINTED, 100, ["o"]),
        (TAINTED, 99, ["o", "a"]),
    ],
)
def test_age_chooses_what_must_go(state: Authorities, older_than: int, ids: list[str]) -> None:
    assert targets(state, None, older_than, NOW) == ids
    assert plan_rotations(state, ids).changed is bool(ids)


def test_two_rotations_are_one_plan() -> None:
    plan = plan_rotations(TAINTED, ["o", "a"])
    assert [step.verb for step in plan.steps] == ["revoke", "prepare", "activate", "taint", "revoke"]
    assert plan.after == {"o": "revoked", "a": "revoked", "(new)": "active"}


@pytest.mark.parametrize(
    ("state", "wanted", "authority_id", "steps"),
    [
        (PLAIN, "prepared", "", ["prepare"]),
        (PREPARED, "prepared", "", []),
        (PREPARED, "active", "p", ["activate"]),
        (PLAIN, "active", "a", []),
        (AFTER, "tainted", "o", ["taint"]),
        (TAINTED, "tainted", "o", []),
        (DONE, "tainted", "o", []),
        (TAINTED, "revoked", "o", ["revoke"]),
        (DONE, "revoked", "o", []),
        (replace(AFTER, kind=JWT), "tainted", "o", ["taint"]),
        (
            replace(NESTED, kind=UPSTREAM, bundle={"root": Trusted(False), "gone": Trusted(False)}),
            "tainted",
            "gone",
            ["taint"],
        ),
        (NESTED, "prepared", "", ["prepare"]),
    ],
)
def test_single_steps(state: Authorities, wanted: str, authority_id: str, steps: list[str]) -> None:
    assert [step.verb for step in plan_step(state, wanted, authority_id).steps] == steps


@pytest.mark.parametrize(
    ("state", "wanted", "authority_id", "words"),
    [
        (TAINTED, "prepared", "", "Finish first"),
        (PLAIN, "active", "x", "and none is"),
        (PREPARED, "active", "x", "which is p"),
        (PLAIN, "tainted", "a", "use state=rotated"),
        (PREPARED, "tainted", "p", "signs nothing yet"),
        (AFTER, "revoked", "o", "Taint it first"),
        (PLAIN, "tainted", "f", "Another server"),
        (NESTED, "tainted", "o", "An upstream authority signs"),
    ],
)
def test_a_step_out_of_order_says_what_comes_first(
    state: Authorities, wanted: str, authority_id: str, words: str
) -> None:
    with pytest.raises(TrustmeshError, match=words):
        plan_step(state, wanted, authority_id)


def test_slots_are_shown_with_what_has_become_of_them() -> None:
    assert [TAINTED.public()["old"]["status"], DONE.public()["old"]["status"], AFTER.public()["old"]["status"]] == [
        "tainted",
        "revoked",
        "old",
    ]
    assert NESTED.public()["old"]["status"] == "old"


UNDER = Authorities(X509, Slot("a", 5, "first"), None, None, {"first": Trusted(False, 1)})
BOTH = {"first": Trusted(False, 1), "second": Trusted(False, 2)}


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        (UNDER, ["prepare"]),
        # What the server has prepared by itself, by the old issuer.
        (replace(UNDER, prepared=Slot("p", 6, "first")), ["prepare"]),
        (replace(UNDER, prepared=Slot("p", 6, "second"), bundle=BOTH), []),
        # One more would take the old authority out of its slot.
        (replace(UNDER, active=Slot("p", 6, "second"), old=Slot("a", 5, "first"), bundle=BOTH), []),
        # An old one of the same issuer, or of the wanted one, loses nothing.
        (replace(UNDER, old=Slot("o", 4, "first")), ["prepare"]),
        (replace(UNDER, old=Slot("o", 4, "second"), bundle=BOTH), ["prepare"]),
        (replace(UNDER, old=Slot("o", 4, "gone")), ["prepare"]),
        # From a server that signs for itself.
        (PLAIN, ["prepare"]),
    ],
)
def test_prepared_is_what_the_wanted_upstream_authority_has_signed(state: Authorities, steps: list[str]) -> None:
    assert [step.verb for step in plan_step(state, "prepared", "", "second").steps] == steps


@pytest.mark.parametrize(
    ("state", "step", "needed"),
    [
        (PLAIN, Step("prepare"), ""),
        (PREPARED, Step("activate", "p"), "p"),
        (AFTER, Step("taint", "o"), "a"),
        (TAINTED, Step("revoke", "o"), "a"),
        # What an upstream authority signs is believed by the one above, of which ever type the step is.
        (replace(UNDER, prepared=Slot("p", 6, "second"), bundle=BOTH), Step("activate", "p"), "second"),
        (
            replace(UNDER, kind=UPSTREAM, prepared=Slot("p", 6, "second"), bundle=BOTH),
            Step("activate", "p"),
            "second",
        ),
        (replace(UNDER, kind=UPSTREAM), Step("taint", "zero"), "first"),
    ],
)
def test_peers_must_hold_what_signs_after_the_step(state: Authorities, step: Step, needed: str) -> None:
    assert needed_by_peers(state, step) == needed


@pytest.mark.parametrize("step", [Step("prepare"), Step("taint", "o")])
def test_peers_cannot_hold_what_is_below_the_root(step: Step) -> None:
    with pytest.raises(TrustmeshError, match="the authority below is not in the server's own bundle"):
        needed_by_peers(replace(UNDER, active=Slot("a", 5, "below")), step)


def test_an_upstream_authority_that_is_still_to_go_comes_first() -> None:
    state = replace(UNDER, old=Slot("o", 4, "zero"), bundle={**UNDER.bundle, "zero": Trusted(True, 1)})
    with pytest.raises(TrustmeshError, match="Finish first, with type=upstream state=rotated and authority_id=zero"):
        plan_step(state, "prepared", "", "second")

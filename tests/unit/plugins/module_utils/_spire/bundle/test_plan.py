# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for bundles. Pure; the server's part: tests/integration/test_spire_bundle.py."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import (
    Authority,
    Bundle,
    JwtAuthority,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.plan import plan_delete, plan_set
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.wanted import Wanted
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from certificates import issue

OWN = "example.org"
OTHER = "other.org"
ONE, TWO = (Authority(issue(ca=True).pem, False) for _number in range(2))
KEY = JwtAuthority("key", b"public")


def bundle(*authorities: Authority, sequence: int = 0, hint: int = 0, keys: tuple[JwtAuthority, ...] = ()) -> Bundle:
    return Bundle(OTHER, authorities, sequence, hint, keys)


def wanted(content: Bundle | None = None, form: str = "spiffe") -> list[Wanted]:
    return [Wanted(0, OTHER, content, form)]


def entry(name: str, *federates_with: str) -> Entry:
    return Entry(f"spiffe://{OWN}/{name}", f"spiffe://{OWN}/n", ("a:b",), entry_id=name, federates_with=federates_with)


@pytest.mark.parametrize(
    ("form", "held", "given", "changed"),
    [
        ("spiffe", bundle(ONE, TWO), bundle(TWO, ONE), False),
        ("spiffe", bundle(ONE), bundle(ONE, sequence=3, hint=60), False),
        ("spiffe", bundle(ONE, keys=(KEY,)), bundle(ONE), True),
        ("pem", bundle(ONE, keys=(KEY,)), bundle(ONE), False),
        ("pem", bundle(ONE), bundle(ONE, TWO), True),
        ("pem", bundle(ONE, TWO), bundle(ONE), True),
        ("spiffe", bundle(dataclasses.replace(ONE, tainted=True)), bundle(ONE), False),
        ("spiffe", bundle(ONE, keys=(KEY,)), bundle(ONE, keys=(dataclasses.replace(KEY, expires_at=9),)), False),
        ("spiffe", bundle(ONE, keys=(KEY,)), bundle(ONE, keys=(JwtAuthority("key", b"another"),)), True),
    ],
)
def test_only_other_authorities_are_a_change(form: str, held: Bundle, given: Bundle, changed: bool) -> None:
    plan = plan_set(wanted(given, form), {OTHER: held}, OWN, False)
    assert plan.changed == changed
    assert plan.bundles == [plan.steps[0].after if changed else held]


def test_pem_keeps_what_it_does_not_tell() -> None:
    held = bundle(ONE, sequence=4, hint=60, keys=(KEY,))
    (step,) = plan_set(wanted(bundle(TWO), "pem"), {OTHER: held}, OWN, False).steps
    assert step.after == bundle(TWO, sequence=4, hint=60, keys=(KEY,))


@pytest.mark.parametrize(
    ("given", "held", "refused"), [(3, 4, True), (4, 4, False), (5, 4, False), (0, 4, False), (3, 0, False)]
)
def test_a_sequence_number_goes_back_only_when_asked(given: int, held: int, refused: bool) -> None:
    arguments = wanted(bundle(TWO, sequence=given)), {OTHER: bundle(ONE, sequence=held)}, OWN
    assert plan_set(*arguments, allow_older=True).changed
    if refused:
        with pytest.raises(InputError, match="allow_older"):
            plan_set(*arguments, allow_older=False)
    else:
        assert plan_set(*arguments, allow_older=False).changed


def test_many_entries_are_counted_and_some_named() -> None:
    entries = [entry(f"e{number}", OTHER) for number in range(7)] + [entry("free", "third.org")]
    with pytest.raises(InputError, match=r"7 registration entries .* and 2 more\. Nothing was changed"):
        plan_delete(wanted(), {OTHER: bundle(ONE)}, OWN, "restrict", entries)


def test_a_bundle_that_is_not_there_is_not_deleted() -> None:
    assert not plan_delete(wanted(), {}, OWN, "restrict", [entry("e", OTHER)]).changed


def test_the_diff_of_two_deletions_shows_an_entry_once() -> None:
    both = [Wanted(0, OTHER), Wanted(1, "third.org")]
    held = {OTHER: bundle(ONE), "third.org": dataclasses.replace(bundle(TWO), trust_domain="third.org")}
    plan = plan_delete(both, held, OWN, "dissociate", [entry("e", OTHER, "third.org", "last.org")])
    assert plan.diff()["after"] == {
        "bundles": {},
        "entries": {"e": {"spiffe_id": f"spiffe://{OWN}/e", "federates_with": ["last.org"]}},
    }
    assert sorted(plan.diff()["before"]["bundles"]) == [OTHER, "third.org"]

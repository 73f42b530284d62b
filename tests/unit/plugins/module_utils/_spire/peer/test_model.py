# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a peer holds, and what is said of it. Real servers: tests/integration/test_spire_authority_peers.py."""

from __future__ import annotations

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.peer.model import Seen, not_held, refusal


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Seen("other.org", frozenset("a")), ""),
        # What it holds may be old: it is waited for.
        (Seen("other.org", frozenset(), related=True), ""),
        (Seen("example.org", frozenset("a")), "a server of example.org itself"),
        (Seen("other.org", None), "Make the relationship with spire_federation, or set the bundle with spire_bundle"),
        (Seen("other.org", None, related=True), "have it fetch the bundle with spire_federation and refresh"),
    ],
)
def test_a_peer_that_can_never_get_the_authority_is_refused(seen: Seen, words: str) -> None:
    told = refusal(seen, "example.org")
    assert words in told
    assert bool(told) == bool(words)


@pytest.mark.parametrize(
    ("verb", "seconds", "words"),
    [
        (
            "activate",
            60,
            "The authority a is prepared and not activated: the peer shop does not hold n in its bundle of ",
        ),
        ("taint", 0, "The authority a is not tainted: the peer shop does"),
        ("revoke", 0, "The authority a is tainted and not revoked: the peer shop does"),
    ],
)
def test_who_does_not_hold_it_is_named(verb: str, seconds: int, words: str) -> None:
    error = not_held({"shop": "It says no."}, verb, "a", needed="n", own="example.org", seconds=seconds)
    assert words in error.message
    assert ("after 60 s" in error.message) == bool(seconds)
    assert "It says no. Look at it there with spire_federation_info and probe." in error.message
    assert error.details == {"peers_missing": ["shop"]}


def test_of_several_the_first_is_told_and_all_are_returned() -> None:
    error = not_held({"shop": "", "bank": ""}, "activate", "a", needed="n", own="example.org", seconds=1)
    assert "the peer shop (and 1 more, see peers_missing)" in error.message
    assert error.details == {"peers_missing": ["bank", "shop"]}

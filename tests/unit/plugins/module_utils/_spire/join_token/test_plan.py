# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a token is minted: tables over the agents and entries under the alias."""

from __future__ import annotations

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import Agent
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.plan import (
    DAY,
    StoredToken,
    Wanted,
    describe,
    plan_token,
)

ALIAS = "spiffe://td/node"
NOW = 10 * DAY


def wanted(force: bool = False, ttl: int = 600) -> Wanted:
    return Wanted(ALIAS, ttl, "/run/token", force)


def agent(name: str, expires_at: int = NOW + 1000, banned: bool = False) -> Agent:
    return Agent(f"spiffe://td/spire/agent/join_token/{name}", "join_token", expires_at, banned, False, "1", ())


def alias(name: str, created_at: int = NOW) -> Entry:
    parent = f"spiffe://td/spire/agent/join_token/{name}"
    return Entry(ALIAS, parent, (f"spiffe_id:{parent}",), entry_id=f"id-{name}", created_at=created_at)


@pytest.mark.parametrize(
    ("agents", "force", "mint", "state", "evicted"),
    [
        ([], False, True, "absent", []),
        ([agent("a")], False, False, "alive", []),
        ([agent("a", NOW)], False, True, "expired", ["a"]),
        ([agent("a", NOW + 1)], False, False, "alive", []),
        ([agent("other")], False, True, "absent", []),
        ([agent("a"), agent("b", 5)], False, False, "alive", []),
        ([agent("a"), agent("b", 5)], True, True, "alive", ["a", "b"]),
        ([agent("a"), agent("b", banned=True)], False, False, "alive", []),
        ([agent("b", banned=True)], True, True, "banned", []),
        ([agent("a", 5), agent("b", banned=True)], True, True, "banned", ["a"]),
        ([agent("a", 5), agent("other", 5)], True, True, "expired", ["a"]),
        ([], True, True, "absent", []),
    ],
)
def test_plan(agents: list[Agent], force: bool, mint: bool, state: str, evicted: list[str]) -> None:
    plan = plan_token(wanted(force), agents, [alias("a"), alias("b")], None, NOW)
    assert (plan.mint, plan.state) == (mint, state)
    assert [one.spiffe_id.rsplit("/", 1)[1] for one in plan.evict] == evicted
    assert plan.reason


@pytest.mark.parametrize(
    ("stored", "agents", "force", "mint"),
    [
        (StoredToken("a", NOW + 300), [], False, False),
        (StoredToken("a", NOW + 299), [], False, True),
        (StoredToken("a", NOW + 600), [], True, True),
        # It was used, and its agent expired.
        (StoredToken("a", NOW + 600), [agent("a", 5)], False, True),
        # It is of another server, or of another alias.
        (StoredToken("c", NOW + 600), [], False, True),
        # The last agent expired, and a new token waits to be used.
        (StoredToken("b", NOW + 600), [agent("a", 5)], False, False),
        # A file whose time somebody changed tells nothing.
        (StoredToken("a", NOW), [], False, True),
    ],
)
def test_a_token_in_the_file_is_kept_while_it_is_good(
    stored: StoredToken, agents: list[Agent], force: bool, mint: bool
) -> None:
    assert plan_token(wanted(force), agents, [alias("a"), alias("b")], stored, NOW).mint is mint


def test_entries_of_lost_tokens_go_when_a_token_is_minted() -> None:
    entries = [alias("old", NOW - DAY - 1), alias("young", NOW - DAY + 1), alias("used", 5)]
    plan = plan_token(wanted(), [agent("used", NOW - 1)], entries, None, NOW)
    assert [action["verb"] for action in plan.actions(ALIAS)] == ["evict", "delete", "mint"]
    assert [entry.entry_id for entry in plan.delete] == ["id-old"]
    assert plan.diff(wanted())["before"]["entries_of_lost_tokens"] == ["id-old"]
    assert plan_token(wanted(ttl=DAY), [], [alias("old", NOW - DAY - 1)], None, NOW).delete == ()
    assert plan_token(wanted(), [agent("used")], entries, None, NOW).actions(ALIAS) == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry(ALIAS, "spiffe://td/spire/server", ("k8s_psat:cluster:blue",)), "node alias"),
        (Entry(ALIAS, "spiffe://td/node/blue", ("unix:uid:0",)), "identity of a workload"),
        (
            Entry(ALIAS, "spiffe://td/spire/agent/x509pop/1", ("spiffe_id:spiffe://td/spire/agent/x509pop/1",)),
            "attested in another way",
        ),
        (Entry(ALIAS, "spiffe://td/spire/agent/join_token/a", ("unix:uid:0",)), "identity of a workload"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_an_alias_that_others_have_is_refused(entry: Entry, words: str, force: bool) -> None:
    with pytest.raises(TrustmeshError, match=words) as caught:
        plan_token(wanted(force), [], [alias("b"), entry], None, NOW)
    assert "join_token/a" not in caught.value.message


def test_a_ban_is_not_lifted_without_force() -> None:
    with pytest.raises(TrustmeshError, match="banned"):
        plan_token(wanted(), [agent("a", banned=True)], [alias("a")], None, NOW)


def test_an_agent_and_a_token_are_shown_without_the_token() -> None:
    shown = describe(agent("29d05e32"), "alive")
    assert "29d05e32" not in str(shown)
    assert shown["state"] == "alive"
    assert "29d05e32" not in repr(StoredToken("29d05e32", 5))

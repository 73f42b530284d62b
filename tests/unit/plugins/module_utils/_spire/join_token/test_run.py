# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a token is minted: a table over the agents under the alias."""

from __future__ import annotations

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import Agent
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.run import describe, plan_token

NOW = 1000


def agent(name: str, expires_at: int = 2000, banned: bool = False) -> Agent:
    return Agent(f"spiffe://td/spire/agent/join_token/{name}", "join_token", expires_at, banned, False, "1", ())


def aliases(*names: str) -> list[Entry]:
    return [Entry("spiffe://td/node", f"spiffe://td/spire/agent/join_token/{name}", ("a:b",)) for name in names]


@pytest.mark.parametrize(
    ("agents", "force", "mint", "state", "evicted"),
    [
        ([], False, True, "absent", []),
        ([agent("a")], False, False, "alive", []),
        ([agent("a", 1000)], False, True, "expired", ["a"]),
        ([agent("a", 1001)], False, False, "alive", []),
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
    plan = plan_token(agents, aliases("a", "b"), force, NOW)
    assert (plan.mint, plan.state) == (mint, state)
    assert [one.spiffe_id.rsplit("/", 1)[1] for one in plan.evict] == evicted
    assert plan.reason


def test_a_ban_is_not_lifted_without_force() -> None:
    with pytest.raises(TrustmeshError, match="banned"):
        plan_token([agent("a", banned=True)], aliases("a"), False, NOW)


def test_an_agent_is_described_without_its_token() -> None:
    shown = describe(agent("29d05e32"), "alive")
    assert "29d05e32" not in str(shown)
    assert shown["state"] == "alive"

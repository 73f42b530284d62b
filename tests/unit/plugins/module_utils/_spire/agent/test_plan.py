# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which agents are meant, and what happens to them. Real servers: tests/integration/test_spire_agent.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import Agent, Aliases, check_agent_id
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.plan import (
    Wanted,
    plan_banned,
    plan_evicted,
    plan_purged,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry

NOW = 1000
PSAT = Agent("spiffe://td/spire/agent/k8s_psat/b/1", "k8s_psat", 2000, False, True, "1", ("p:cluster:b", "p:node:1"))
POP = Agent("spiffe://td/spire/agent/x509pop/2", "x509pop", 2000, False, True, "2", ("x:cn:n",))
AWS = Agent("spiffe://td/spire/agent/aws_iid/3", "aws_iid", 2000, False, False, "3", ())
TOKEN = Agent("spiffe://td/spire/agent/join_token/t", "join_token", 2000, False, False, "4", ())
ALL = (PSAT, POP, AWS, TOKEN)
ENTRIES = (
    Entry("spiffe://td/node/b", "spiffe://td/spire/server", ("p:cluster:b",)),
    Entry("spiffe://td/node/t", TOKEN.spiffe_id, (f"spiffe_id:{TOKEN.spiffe_id}",)),
    Entry("spiffe://td/workload", TOKEN.spiffe_id, ("unix:uid:0",)),
)


def test_aliases_come_from_node_aliases_and_from_tokens() -> None:
    book = Aliases.of(ENTRIES)
    assert [book.of_agent(one) for one in ALL] == [["spiffe://td/node/b"], [], [], ["spiffe://td/node/t"]]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (Wanted(agent_ids=(POP.spiffe_id,)), [POP]),
        (Wanted(agent_ids=(check_agent_id("x", TOKEN.spiffe_id),)), [TOKEN]),
        (Wanted(aliases=("spiffe://td/node/b", "spiffe://td/node/t")), [TOKEN, PSAT]),
        (Wanted(selectors=("p:cluster:b", "p:node:1")), [PSAT]),
        (Wanted(selectors=("p:cluster:b", "x:cn:n")), []),
        (Wanted(agent_ids=(POP.spiffe_id,), aliases=("spiffe://td/node/b",)), [PSAT, POP]),
        (Wanted(agent_ids=(POP.spiffe_id,), attestation_type="k8s_psat"), []),
    ],
)
def test_who_is_meant(wanted: Wanted, meant: list[Agent]) -> None:
    assert list(plan_evicted(wanted, ALL, ENTRIES, False).agents) == meant


def test_the_ban_of_one_holds_up_the_eviction_of_all() -> None:
    agents = (PSAT, replace(POP, banned=True))
    wanted = Wanted(agent_ids=(PSAT.spiffe_id, POP.spiffe_id))
    with pytest.raises(TrustmeshError, match="lift_ban"):
        plan_evicted(wanted, agents, ENTRIES, False)
    assert len(plan_evicted(wanted, agents, ENTRIES, True).agents) == 2


def test_a_banned_agent_is_not_banned_again() -> None:
    plan = plan_banned(Wanted(agent_ids=(POP.spiffe_id,)), [replace(POP, banned=True)], ())
    assert (plan.changed, plan.diff()) == (False, {"before": {}, "after": {}})


@pytest.mark.parametrize(
    ("agent", "purged"),
    [
        (replace(PSAT, expires_at=899), True),
        (replace(PSAT, expires_at=900), False),
        (replace(TOKEN, expires_at=5), True),
        (replace(AWS, expires_at=5), False),
        (replace(PSAT, expires_at=5, banned=True), False),
    ],
)
def test_who_is_purged(agent: Agent, purged: bool) -> None:
    plan = plan_purged(Wanted(), [agent], ENTRIES, 100, NOW)
    assert plan.changed is purged
    assert bool(plan.matched) is purged


@pytest.mark.parametrize(
    "text", ["spiffe://td/spire/agent/join_token/sha256:0123456789abcdeX", "spiffe://td/spire/server"]
)
def test_what_names_no_agent_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="here"):
        check_agent_id("here", text)

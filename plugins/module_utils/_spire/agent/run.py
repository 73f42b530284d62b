# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_agent: read, plan, apply, report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import (
    ban_agent,
    evict_agent,
    list_agents,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import (
    check_agent_id,
    check_alias,
    check_selectors,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.plan import (
    Plan,
    Wanted,
    plan_banned,
    plan_evicted,
    plan_purged,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.carry_out import carry_out
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries

NAMES = ("spiffe_ids", "aliases", "selectors")
THIRTY_DAYS = 30 * 24 * 3600


def spec() -> ArgumentSpec:
    """The options of spire_agent."""
    return ArgumentSpec(
        options={
            "state": {"type": "str", "choices": ["evicted", "banned", "purged"], "required": True},
            "spiffe_ids": {"type": "list", "elements": "str"},
            "aliases": {"type": "list", "elements": "str"},
            "selectors": {"type": "list", "elements": "str"},
            "attestation_type": {"type": "str"},
            "expired_for": {"type": "int", "default": THIRTY_DAYS},
            "lift_ban": {"type": "bool", "default": False},
        }
    ).merge(spire_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Make the server forget or refuse the agents of ``params``."""
    wanted = _check_input(params)
    server = connect(params)
    plan = _plan(server, wanted, params)
    if not check_mode:
        _apply(server, plan)
    return Outcome(
        changed=plan.changed,
        diff=plan.diff(),
        result={"agents": list(plan.matched), "actions": plan.actions()},
    )


def _plan(server: SpireServer, wanted: Wanted, params: Mapping[str, Any]) -> Plan:
    agents, entries = list_agents(server), list_entries(server)
    if params["state"] == "evicted":
        return plan_evicted(wanted, agents, entries, params["lift_ban"])
    if params["state"] == "banned":
        return plan_banned(wanted, agents, entries)
    return plan_purged(wanted, agents, entries, params["expired_for"], time.time())


def _apply(server: SpireServer, plan: Plan) -> None:
    """Carry the plan out, one call for each agent, since the server takes no more. What was done is told on failure."""
    change = evict_agent if plan.verb == "evict" else ban_agent
    carry_out(plan.steps, lambda step: change(server, step.agent.spiffe_id))


def _check_input(params: Mapping[str, Any]) -> Wanted:
    """Refuse what would mean all agents by mistake, such as a list that a template left empty."""
    for name in NAMES:
        if params[name] is not None and not params[name]:
            raise InputError(
                f"{name}: the list is empty, and an empty list would mean no agent or all of them. Name one."
            )
    if params["attestation_type"] == "":
        raise InputError("attestation_type: it is empty, which no agent has. Give a value, or leave the option out.")
    wanted = Wanted(
        agent_ids=tuple(
            check_agent_id(f"spiffe_ids[{i}]", agent_id) for i, agent_id in enumerate(params["spiffe_ids"] or ())
        ),
        aliases=tuple(check_alias(f"aliases[{i}]", alias) for i, alias in enumerate(params["aliases"] or ())),
        selectors=check_selectors("selectors", params["selectors"] or ()),
        attestation_type=params["attestation_type"],
    )
    if params["state"] != "purged" and wanted.everything:
        raise InputError(
            f"state={params['state']} needs the agents: give {', '.join(NAMES[:-1])} or {NAMES[-1]}. Without them "
            "every agent of the trust domain would be meant."
        )
    if params["expired_for"] < 0:
        raise InputError(f"expired_for: {params['expired_for']} is negative. Give a number of seconds.")
    return wanted

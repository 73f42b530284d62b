# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_join_token: ask who lives under the alias, then mint only if nobody does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import SecretFile
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import Agent
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeId, redact

MAX_TTL = 2**31 - 1


def join_token_spec() -> ArgumentSpec:
    """The options of spire_join_token."""
    return ArgumentSpec(
        options={
            "spiffe_id": {"type": "str", "required": True},
            "ttl": {"type": "int", "default": 600},
            "dest": {"type": "path"},
            "force": {"type": "bool", "default": False},
        }
    ).merge(spire_spec())


@dataclass(frozen=True)
class TokenPlan:
    """Whether to mint, why, and which agents are forgotten first. Made by :func:`plan_token`, which is pure."""

    mint: bool
    reason: str
    agent: Agent | None
    state: str
    evict: tuple[Agent, ...] = ()


def plan_token(agents: Iterable[Agent], aliases: Iterable[Entry], force: bool, now: float) -> TokenPlan:
    """Decide from the agents of the server and from the entries that carry the alias."""
    parents = {entry.parent_id for entry in aliases}
    mine = sorted((a for a in agents if a.spiffe_id in parents), key=lambda a: a.expires_at, reverse=True)
    alive = [agent for agent in mine if agent.is_alive(now)]
    banned = [agent for agent in mine if agent.banned]
    gone = tuple(agent for agent in mine if not agent.banned)
    if alive and not force:
        return TokenPlan(False, "a living agent holds the alias", alive[0], "alive")
    if alive:
        return TokenPlan(True, "force: the living agent of the alias is evicted", alive[0], "alive", gone)
    if banned:
        if not force:
            raise TrustmeshError(
                f"The agent {redact(banned[0].spiffe_id)} under this alias is banned, and a new token would let its "
                "node in again. Set force to true if that is meant.",
                agent=describe(banned[0], "banned"),
            )
        return TokenPlan(True, "force: the agent of the alias is banned", banned[0], "banned", gone)
    if gone:
        return TokenPlan(True, "the agent of the alias is expired and is evicted", gone[0], "expired", gone)
    return TokenPlan(True, "no attested agent holds the alias", None, "absent")


def describe(agent: Agent | None, state: str) -> dict[str, Any]:
    """What may be shown of an agent. Its id holds the text of its token, so that is replaced by a digest."""
    if agent is None:
        return {"state": state}
    return {
        "state": state,
        "id": redact(agent.spiffe_id),
        "attestation_type": agent.attestation_type,
        "expires_at": agent.expires_at,
    }


def run_join_token(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Make sure that the node of the alias has joined, or has a token to join with."""
    alias, ttl = _check_input(params)
    server = connect(params)
    plan = plan_token(server.list_agents(), server.list_entries(spiffe_id=alias), params["force"], time.time())
    outcome = Outcome(
        changed=plan.mint,
        diff={
            "before": {"agent": plan.state, "token": None},
            "after": {
                "agent": "evicted" if plan.evict else plan.state,
                "token": f"minted for {alias}, valid {ttl} s",
            },
        }
        if plan.mint
        else {"before": {}, "after": {}},
        result={
            "reason": plan.reason,
            "agent": describe(plan.agent, plan.state),
            "actions": _actions(plan, alias),
        },
    )
    if params["dest"]:
        outcome.result["dest"] = params["dest"]
    if check_mode or not plan.mint:
        return outcome
    # The file is opened first: a token that cannot be written would be lost, and an agent evicted for nothing.
    target = SecretFile.open(params["dest"]) if params["dest"] else None
    try:
        for agent in plan.evict:
            server.evict_agent(agent.spiffe_id)
        token = server.generate_token(alias, ttl)
        outcome.result["expires_at"] = token.expires_at
        if target:
            target.commit(token.value)
        else:
            outcome.result["token"] = token.value
    finally:
        if target:
            target.close()
    return outcome


def _actions(plan: TokenPlan, alias: str) -> list[dict[str, str]]:
    if not plan.mint:
        return []
    evicted = [{"verb": "evict", "id": redact(agent.spiffe_id), "spiffe_id": alias} for agent in plan.evict]
    return [*evicted, {"verb": "mint", "id": "", "spiffe_id": alias}]


def _check_input(params: Mapping[str, Any]) -> tuple[str, int]:
    try:
        spiffe_id = SpiffeId.parse(params["spiffe_id"])
    except InputError as error:
        raise InputError(f"spiffe_id: {error.message}.") from error
    if not spiffe_id.path or spiffe_id.is_reserved:
        raise InputError(
            f"spiffe_id: {spiffe_id} cannot be an alias. It needs a path, and not one below /spire, such as "
            f"spiffe://{spiffe_id.trust_domain}/node/green."
        )
    if not 1 <= params["ttl"] <= MAX_TTL:
        raise InputError(f"ttl: {params['ttl']} is not between 1 and {MAX_TTL} seconds.")
    dest = params["dest"]
    if dest:
        if Path(dest).is_dir():
            raise InputError(f"dest: {dest} is a folder; name the file.")
        if not Path(dest).parent.is_dir():
            raise InputError(f"dest: the folder {Path(dest).parent} does not exist. Create it first, with mode 0700.")
    return str(spiffe_id), params["ttl"]

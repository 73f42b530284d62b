# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Whether a join token is minted, and what is cleared away before. Pure: values in, a plan out.

The server tells nothing of its tokens. What can be known comes from the alias entry that it writes for each: which
token it is for, and since when it is there. Whether the token was used shows in the list of agents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import Agent, is_token_alias
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact

DAY = 24 * 3600


@dataclass(frozen=True)
class Wanted:
    """A node that shall join. ``where`` is its place in the options, for messages."""

    alias: str
    ttl: int
    dest: str | None
    force: bool
    where: str = ""

    def field(self, name: str) -> str:
        """The place of one of its options."""
        return f"{self.where}.{name}" if self.where else name


@dataclass(frozen=True)
class StoredToken:
    """A token that stands in a file, and until when it is good. ``repr`` does not show it."""

    value: str
    expires_at: float

    def __repr__(self) -> str:
        return f"StoredToken(value='***', expires_at={self.expires_at})"


@dataclass(frozen=True)
class TokenPlan:
    """Whether to mint, why, which agents are forgotten first, and which entries of lost tokens are deleted."""

    mint: bool
    reason: str
    agent: Agent | None
    state: str
    evict: tuple[Agent, ...] = ()
    delete: tuple[Entry, ...] = ()

    def actions(self, alias: str) -> list[dict[str, str]]:
        if not self.mint:
            return []
        evicted = [{"verb": "evict", "id": redact(agent.spiffe_id), "spiffe_id": alias} for agent in self.evict]
        deleted = [{"verb": "delete", "id": entry.entry_id, "spiffe_id": alias} for entry in self.delete]
        return [*evicted, *deleted, {"verb": "mint", "id": "", "spiffe_id": alias}]

    def diff(self, wanted: Wanted) -> dict[str, Any]:
        if not self.mint:
            return {"before": {}, "after": {}}
        before: dict[str, Any] = {"agent": self.state, "token": None}
        after: dict[str, Any] = {
            "agent": "evicted" if self.evict else self.state,
            "token": f"minted for {wanted.alias}, valid {wanted.ttl} s",
        }
        if self.delete:
            before["entries_of_lost_tokens"] = [entry.entry_id for entry in self.delete]
            after["entries_of_lost_tokens"] = []
        return {"before": before, "after": after}


def plan_token(
    wanted: Wanted,
    agents: Iterable[Agent],
    entries: Iterable[Entry],
    stored: StoredToken | None,
    now: float,
) -> TokenPlan:
    """Decide from the agents of the server, its entries, and the token that stands in the file already."""
    aliases = [entry for entry in entries if entry.spiffe_id == wanted.alias]
    _refuse_conflict(wanted, aliases)
    parents = {entry.parent_id for entry in aliases}
    mine = sorted((a for a in agents if a.spiffe_id in parents), key=lambda a: a.expires_at, reverse=True)
    alive = [agent for agent in mine if agent.is_alive(now)]
    banned = [agent for agent in mine if agent.banned]
    gone = tuple(agent for agent in mine if not agent.banned)
    lost = _lost(wanted, aliases, mine, now)
    if alive and not wanted.force:
        return TokenPlan(False, "a living agent holds the alias", alive[0], "alive")
    if alive:
        return TokenPlan(True, "force: the living agent of the alias is evicted", alive[0], "alive", gone, lost)
    if banned:
        if not wanted.force:
            raise TrustmeshError(
                f"{wanted.field('spiffe_id')}: The agent {redact(banned[0].spiffe_id)} under this alias is banned, and "
                "a new token would let its node in again. Set force to true if that is meant.",
                agent=describe(banned[0], "banned"),
            )
        return TokenPlan(True, "force: the agent of the alias is banned", banned[0], "banned", gone, lost)
    if not wanted.force and _still_good(wanted, aliases, mine, stored, now):
        state = "expired" if gone else "absent"
        return TokenPlan(False, "the token in dest is not used yet and still good", gone[0] if gone else None, state)
    if gone:
        return TokenPlan(True, "the agent of the alias is expired and is evicted", gone[0], "expired", gone, lost)
    return TokenPlan(True, "no attested agent holds the alias", None, "absent", (), lost)


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


def _refuse_conflict(wanted: Wanted, aliases: Sequence[Entry]) -> None:
    """Refuse an alias that others have: the new agent would share their identity, and they its workloads."""
    for entry in aliases:
        if is_token_alias(entry):
            continue
        if entry.parent_id.split("/", 3)[3:] == ["spire/server"]:
            whose = "is a node alias for every agent with these selectors"
        elif entry.selectors == (f"spiffe_id:{entry.parent_id}",):
            whose = "is the alias of an agent that attested in another way"
        else:
            whose = "is the identity of a workload"
        raise TrustmeshError(
            f"{wanted.field('spiffe_id')}: {wanted.alias} {whose}: entry {entry.entry_id} below "
            f"{redact(entry.parent_id)} with {redact(', '.join(entry.selectors))}. Choose another alias for the node, "
            "or delete that entry first.",
            entry_id=entry.entry_id,
        )


def _still_good(
    wanted: Wanted, aliases: Sequence[Entry], mine: Sequence[Agent], stored: StoredToken | None, now: float
) -> bool:
    """Whether the token in the file was minted for this alias by this server, is not used, and has half its life left.

    The server says nothing of a token, but it keeps the alias entry that it wrote for it.
    """
    if stored is None or stored.expires_at - now < wanted.ttl / 2:
        return False
    suffix = f"/spire/agent/join_token/{stored.value}"
    return any(entry.parent_id.endswith(suffix) for entry in aliases) and not any(
        agent.spiffe_id.endswith(suffix) for agent in mine
    )


def _lost(wanted: Wanted, aliases: Sequence[Entry], mine: Sequence[Agent], now: float) -> tuple[Entry, ...]:
    """The alias entries of tokens that nobody used and that must have expired long ago: nothing else removes them."""
    known = {agent.spiffe_id for agent in mine}
    limit = now - max(DAY, 2 * wanted.ttl)
    return tuple(entry for entry in aliases if entry.parent_id not in known and 0 < entry.created_at < limit)

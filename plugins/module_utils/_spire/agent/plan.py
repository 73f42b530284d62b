# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Which agents are meant, and what must happen to them. Pure: values in, a plan out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import Agent, Aliases, public
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact


@dataclass(frozen=True)
class Wanted:
    """Which agents are meant: by id as it is shown, by alias or by selectors, and of which attestation type, if any."""

    agent_ids: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    attestation_type: str | None = None

    @property
    def everything(self) -> bool:
        return not (self.agent_ids or self.aliases or self.selectors)

    def means(self, agent: Agent, aliases: Sequence[str]) -> bool:
        if self.attestation_type not in (None, agent.attestation_type):
            return False
        if self.everything:
            return True
        return (
            redact(agent.spiffe_id) in self.agent_ids
            or bool(set(self.aliases) & set(aliases))
            or (bool(self.selectors) and set(self.selectors) <= set(agent.selectors))
        )


@dataclass(frozen=True)
class Step:
    """One thing to do: ``evict`` or ``ban`` an agent."""

    verb: str
    agent: Agent

    def action(self) -> dict[str, str]:
        return {"verb": self.verb, "id": redact(self.agent.spiffe_id)}


@dataclass(frozen=True)
class Plan:
    """What is done with each agent, all of the same verb: ``evict`` or ``ban``. ``matched`` are all that were meant."""

    verb: str
    agents: tuple[Agent, ...]
    matched: tuple[dict[str, Any], ...]

    @property
    def changed(self) -> bool:
        return bool(self.agents)

    @property
    def steps(self) -> list[Step]:
        return [Step(self.verb, agent) for agent in self.agents]

    def actions(self) -> list[dict[str, str]]:
        return [step.action() for step in self.steps]

    def diff(self) -> dict[str, Any]:
        """Before and after of each agent that changes, by id."""
        before = {redact(agent.spiffe_id): _shown(agent) for agent in self.agents}
        if self.verb == "evict":
            return {"before": before, "after": {}}
        return {"before": before, "after": {name: {**shown, "banned": True} for name, shown in before.items()}}


def plan_evicted(wanted: Wanted, agents: Iterable[Agent], entries: Iterable[Entry], lift_ban: bool) -> Plan:
    """Plan so that the server forgets the agents that are meant."""
    meant, matched = _meant(wanted, agents, entries)
    banned = [agent for agent in meant if agent.banned]
    if banned and not lift_ban:
        raise TrustmeshError(
            f"The agent {redact(banned[0].spiffe_id)} is banned{_more(banned)}. Evicting it would forget the ban, and "
            "an agent that can attest again would come back. Set lift_ban to true if that is meant.",
            agents=matched,
        )
    return Plan("evict", tuple(meant), tuple(matched))


def plan_banned(wanted: Wanted, agents: Iterable[Agent], entries: Iterable[Entry]) -> Plan:
    """Plan so that the agents that are meant are refused. Only an agent that the server knows can be banned."""
    meant, matched = _meant(wanted, agents, entries)
    known = {redact(agent.spiffe_id) for agent in meant}
    held = {alias for agent in matched for alias in agent["aliases"]}
    missing = [agent for agent in wanted.agent_ids if agent not in known]
    missing += [alias for alias in wanted.aliases if alias not in held]
    if missing:
        raise TrustmeshError(
            f"The server knows no agent {missing[0]}{_more(missing)}, and only an agent that has attested can be "
            "banned. To keep a node out that has never attested, give it no token and no place in the attestor's "
            "configuration.",
            missing=missing,
        )
    return Plan("ban", tuple(agent for agent in meant if not agent.banned), tuple(matched))


def plan_purged(
    wanted: Wanted, agents: Iterable[Agent], entries: Iterable[Entry], expired_for: int, now: float
) -> Plan:
    """Plan so that no agent is kept that is expired for longer than ``expired_for`` seconds.

    Banned agents stay, since forgetting them would lift the ban. So does an agent that attested with trust on first
    use (it cannot attest again, but not for a used token): its record is what keeps a stranger from taking its place.
    """
    meant, matched = _meant(wanted, agents, entries)
    gone = tuple(
        agent
        for agent in meant
        if not agent.banned
        and agent.expires_at + expired_for < now
        and (agent.can_reattest or agent.attestation_type == "join_token")
    )
    ids = {redact(agent.spiffe_id) for agent in gone}
    return Plan("evict", gone, tuple(agent for agent in matched if agent["id"] in ids))


def _meant(
    wanted: Wanted, agents: Iterable[Agent], entries: Iterable[Entry]
) -> tuple[list[Agent], list[dict[str, Any]]]:
    meant = []
    known_aliases = Aliases.of(entries)
    for agent in sorted(agents, key=lambda agent: agent.spiffe_id):
        aliases = known_aliases.of_agent(agent)
        if wanted.means(agent, aliases):
            meant.append((agent, public(agent, aliases)))
    return [agent for agent, _shown in meant], [shown for _agent, shown in meant]


def _shown(agent: Agent) -> dict[str, Any]:
    return {
        "attestation_type": agent.attestation_type,
        "banned": agent.banned,
        "expires_at": agent.expires_at,
        "selectors": list(agent.selectors),
    }


def _more(items: Sequence[Any]) -> str:
    return f" (and {len(items) - 1} more)" if len(items) > 1 else ""

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Agents as values: by which names they are known, and what may be shown of them. Pure.

The id of an agent that joined by token holds the token. Such a token is used up, but it looks like a secret and it
stands in logs, so that no output shows it: a digest stands in its place. That shown id names the agent as well as the
real one does, wherever a module takes an agent's id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry, check_selector
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeId, redact

_DIGEST = re.compile(r"(/spire/agent/join_token/)sha256:([0-9a-f]{16})\Z")


@dataclass(frozen=True)
class Agent:
    """An agent that the server knows."""

    spiffe_id: str
    attestation_type: str
    expires_at: int
    banned: bool
    can_reattest: bool
    serial_number: str
    selectors: tuple[str, ...]
    version: str = ""

    def is_alive(self, now: float) -> bool:
        """Whether it may still renew its SVID: neither banned nor expired."""
        return not self.banned and self.expires_at > now


def check_agent_id(place: str, text: str) -> str:
    """Return the id as it is shown when ``text`` names an agent, else raise naming ``place``."""
    try:
        spiffe_id = SpiffeId.parse(_DIGEST.sub(r"\1\2", text))
    except InputError as error:
        raise InputError(f"{place}: {error.message}.") from error
    if not spiffe_id.is_agent:
        raise InputError(
            f"{place}: {redact(text)} is no agent's SPIFFE ID, which starts with "
            f"spiffe://{spiffe_id.trust_domain}/spire/agent/. For a node alias use aliases."
        )
    return redact(text)


def check_alias(place: str, text: str) -> str:
    """Return ``text`` when it can be the alias of a node, else raise naming ``place``."""
    try:
        spiffe_id = SpiffeId.parse(text)
    except InputError as error:
        raise InputError(f"{place}: {error.message}.") from error
    if not spiffe_id.path or spiffe_id.is_reserved:
        raise InputError(
            f"{place}: {redact(text)} cannot be an alias. It needs a path, and not one below /spire, such as "
            f"spiffe://{spiffe_id.trust_domain}/node/green."
        )
    return text


def check_selectors(place: str, selectors: Sequence[str]) -> tuple[str, ...]:
    """Return the selectors when each is one, else raise naming the item."""
    for number, selector in enumerate(selectors):
        check_selector(f"{place}[{number}]", selector, lambda name, why: InputError(f"{name}: {why}"))
    return tuple(selectors)


def is_token_alias(entry: Entry) -> bool:
    """Whether the entry is what ``token generate`` writes: it gives the agent of one token a second SPIFFE ID."""
    return "/spire/agent/join_token/" in entry.parent_id and entry.selectors == (f"spiffe_id:{entry.parent_id}",)


@dataclass(frozen=True)
class Aliases:
    """The aliases that registration entries give to agents.

    An entry does so when it hangs below the agent itself with the agent's id as its only selector, or when it is a
    node alias: it hangs below the server, and the agent has all of its selectors (pkg/server/authorizedentries).
    """

    own: Mapping[str, Sequence[str]]
    nodes: Sequence[Entry]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Aliases:
        own: dict[str, list[str]] = {}
        nodes = []
        for entry in entries:
            if entry.selectors == (f"spiffe_id:{entry.parent_id}",):
                own.setdefault(entry.parent_id, []).append(entry.spiffe_id)
            elif entry.parent_id.split("/", 3)[3:] == ["spire/server"]:
                nodes.append(entry)
        return cls(own, nodes)

    def of_agent(self, agent: Agent) -> list[str]:
        """Return the aliases of ``agent``, sorted."""
        names = {entry.spiffe_id for entry in self.nodes if set(entry.selectors) <= set(agent.selectors)}
        return sorted(names.union(self.own.get(agent.spiffe_id, ())))


def public(agent: Agent, aliases: Sequence[str]) -> dict[str, Any]:
    """What modules show of an agent."""
    return {
        "id": redact(agent.spiffe_id),
        "attestation_type": agent.attestation_type,
        "aliases": list(aliases),
        "banned": agent.banned,
        "can_reattest": agent.can_reattest,
        "expires_at": agent.expires_at,
        "serial_number": agent.serial_number,
        "selectors": list(agent.selectors),
        "version": agent.version,
    }

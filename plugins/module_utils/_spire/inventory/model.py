# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The agents of servers as hosts: their names, groups and variables. Pure: no Ansible, no I/O.

What was read of the servers is plain data, which a cache can keep. Whether an agent is expired is worked out from it
each time, since it may expire while it is kept.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

LIVING, EXPIRED, BANNED = "living", "expired", "banned"
STATES = (LIVING, EXPIRED, BANNED)
ALIAS, ID = "alias", "id"
HOSTNAMES = ("k8s_psat:agent_node_name", "x509pop:subject:cn", ALIAS, ID)
"""By what an agent is called when nothing else is asked for: the first that it has."""
EVERY = "attested"
"""The group of all, and what the other groups and the variable are called by."""

_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_NO_GROUP = re.compile(r"[^A-Za-z0-9_]")

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Host:
    """An agent as a host."""

    name: str
    groups: tuple[str, ...]
    variables: dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """By what hosts are called, which agents are hosts, and by which selectors they are in groups."""

    hostnames: Sequence[str] = HOSTNAMES
    states: Sequence[str] = STATES
    selector_groups: Sequence[str] = ("*",)

    def check(self) -> None:
        """Raise InputError for what means nothing."""
        if not self.hostnames:
            raise InputError("hostnames: it is empty, so hosts would have no names. Leave it out.")
        for index, wanted in enumerate(self.hostnames):
            if wanted not in (ALIAS, ID) and not re.fullmatch(r"[^:\s]+:[^\s]*[^:\s]", wanted):
                raise InputError(
                    f"hostnames[{index}]: {wanted!r} is neither {ALIAS} nor {ID} nor the beginning of a selector, such "
                    f"as {HOSTNAMES[0]}."
                )


def hosts(servers: Sequence[Data], rules: Rules, now: float) -> list[Host]:
    """Return every agent of ``servers`` as a host. Each name is there once."""
    agents = [
        {
            **agent,
            "server": server["name"],
            "trust_domain": server["trust_domain"],
            "expired": agent["expires_at"] <= now,
        }
        for server in servers
        for agent in server["agents"]
    ]
    agents = [agent for agent in agents if state_of(agent) in rules.states]
    names = _names(agents, rules.hostnames)
    return [
        Host(name, _groups(agent, rules.selector_groups), {EVERY: agent})
        for name, agent in sorted(zip(names, agents, strict=True), key=lambda pair: pair[0])
    ]


def state_of(agent: Data) -> str:
    """Return the one word on an agent. A banned one is never anything else."""
    if agent["banned"]:
        return BANNED
    return EXPIRED if agent["expired"] else LIVING


def group_name(*words: str) -> str:
    """Return the name of a group, with a line for each sign that no group may have."""
    return _NO_GROUP.sub("_", "_".join((EVERY, *words)))


def _groups(agent: Data, patterns: Sequence[str]) -> tuple[str, ...]:
    selectors = [one for one in agent["selectors"] if any(fnmatchcase(one, pattern) for pattern in patterns)]
    found = [
        EVERY,
        group_name("at", agent["server"]),
        group_name("in", agent["trust_domain"]),
        group_name("by", agent["attestation_type"]),
        group_name(state_of(agent)),
        *(group_name("with", selector) for selector in selectors),
    ]
    return tuple(dict.fromkeys(found))


def _names(agents: Sequence[Data], wanted: Sequence[str]) -> list[str]:
    """The name of each agent.

    Nodes of two servers that are called the same get the name of the server, too. Of agents of one server that are
    called the same, such as the one of now and those of former lives of a node, the one that lives longest keeps the
    name.
    """
    bare = [_bare(agent, wanted) for agent in agents]
    servers = Counter(name for name, _server in {(n, a["server"]) for n, a in zip(bare, agents, strict=True)})
    names = [f"{n}.{_clean(a['server'])}" if servers[n] > 1 else n for n, a in zip(bare, agents, strict=True)]
    best: dict[str, int] = {}
    for index, (name, agent) in enumerate(zip(names, agents, strict=True)):
        if name not in best or _rank(agent) > _rank(agents[best[name]]):
            best[name] = index
    return [
        name if best[name] == index else f"{name}-{hashlib.sha256(agents[index]['id'].encode()).hexdigest()[:8]}"
        for index, name in enumerate(names)
    ]


def _rank(agent: Data) -> tuple[bool, int, str]:
    return state_of(agent) == LIVING, agent["expires_at"], agent["id"]


def _bare(agent: Data, wanted: Sequence[str]) -> str:
    for one in wanted:
        if one == ID:
            break
        if one == ALIAS:
            found = [_path(alias) for alias in agent["aliases"]]
        else:
            found = [selector[len(one) + 1 :] for selector in agent["selectors"] if selector.startswith(f"{one}:")]
        name = next((clean for text in found if (clean := _clean(text))), "")
        if name:
            return name
    return _clean(_path(agent["id"]).removeprefix("spire/agent/")) or "agent"


def _path(spiffe_id: str) -> str:
    return spiffe_id.split("/", 3)[3] if spiffe_id.count("/") >= 3 else spiffe_id


def _clean(text: str) -> str:
    return _NO_NAME.sub("-", text.replace("/", ".")).strip("-.")

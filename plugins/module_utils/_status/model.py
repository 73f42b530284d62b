# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What an estate is like, as one list of lines: servers, agents, entries, federation and Istio. Pure.

What was read of a server or a mesh is plain data. From it come the lines of the table, each with one word on how it is.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry, owner_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import HEALTHY, NOT_PROBED
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.frame import day_and_time

OK, LOOK, BAD = "ok", "look", "bad"
"""How a line is: as it should be, worth a look, or not as it should be."""
OTHERS, NOBODY = "(others)", "(no owner)"
"""Whose entries are that carry no owner's name: those of somebody else, or of tasks without an owner."""
_OWNERS = {OTHERS: "made by others", NOBODY: "without an owner"}
SCHEMA_VERSION = 1
SOONEST = 10
"""So many of the entries that end are named."""

_NUMBER = re.compile(r"2\.5\.4\.5=[^,]*,?")
"""The attribute serialNumber, as RFC 4514 writes one that has no short name."""

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    kind: str
    name: str
    state: str
    text: str
    of: str = ""
    """The server or the cluster that it is about."""


def entries_told(entries: Sequence[Entry], now: float) -> dict[str, Any]:
    """Return what is told of the entries of a server: how many, whose, which may do more than others, which end."""
    owners = Counter(_whose(entry) for entry in entries)
    ending = sorted((entry for entry in entries if entry.expires_at > now), key=lambda entry: entry.expires_at)
    return {
        "total": len(entries),
        "owners": dict(sorted(owners.items())),
        "admin": sorted(entry.spiffe_id for entry in entries if entry.admin),
        "downstream": sorted(entry.spiffe_id for entry in entries if entry.downstream),
        "federated": sum(bool(entry.federates_with) for entry in entries),
        "ending": [
            {"entry_id": entry.entry_id, "spiffe_id": entry.spiffe_id, "expires_at": entry.expires_at}
            for entry in ending[:SOONEST]
        ],
    }


def _whose(entry: Entry) -> str:
    owner = owner_of(entry.entry_id)
    return OTHERS if owner is None else owner or NOBODY


def make(scenario: str, servers: Sequence[Data], meshes: Sequence[Data], now: datetime.datetime) -> dict[str, Any]:
    """Return the whole status as it is written to a file."""
    seconds = now.timestamp()
    lines = [line for server in servers for line in server_lines(server, seconds)]
    lines += [line for mesh in meshes for line in mesh_lines(mesh)]
    return {
        "schema_version": SCHEMA_VERSION,
        "scenario": scenario,
        "finished": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "servers": list(servers),
        "meshes": list(meshes),
        "lines": [vars(line) for line in lines],
        "summary": {state: sum(line.state == state for line in lines) for state in (OK, LOOK, BAD)},
    }


def problems(status: Data) -> list[str]:
    """Return a text for each line that is not as it should be."""
    return [f"{line['kind']} {line['name']}: {line['text']}" for line in status["lines"] if line["state"] == BAD]


def outcome(status: Data) -> str:
    """How it is, as one line."""
    count = status["summary"]
    words = [f"{count[BAD]} not as it should be"] if count[BAD] else []
    words += [f"{count[LOOK]} worth a look"] if count[LOOK] else []
    return f"{status['scenario']}: {', '.join([*words, f'{count[OK]} as it should be'])}"


def server_lines(server: Data, now: float) -> Iterator[Line]:
    """The lines of a server. One that was not reached has one."""
    name = server["name"]
    if server["problem"]:
        yield Line("server", name, BAD, server["problem"], name)
        return
    ends = server["ca_expires_at"]
    whole = server["healthy"] and ends > now
    told = [
        server["trust_domain"],
        f"SPIRE {server['version']}",
        server["health"] if not server["healthy"] else "healthy",
        f"its CA {ends_words(ends, now)}",
        counted(len(server["agents"]), "agent"),
        counted(server["entries"]["total"], "entry", "entries"),
    ]
    yield Line("server", name, OK if whole else BAD, ", ".join(told), name)
    for agent in server["agents"]:
        yield _agent_line(name, agent, now)
    yield _entries_line(name, server["entries"], now)
    for relationship in server["federation"]:
        yield _federation_line(name, relationship)


def _agent_line(server: str, agent: Data, now: float) -> Line:
    state, words = OK, []
    if agent["banned"]:
        state, words = LOOK, ["banned"]
    elif agent["expires_at"] <= now:
        state = LOOK
    words += [agent["attestation_type"], ends_words(agent["expires_at"], now), *agent["aliases"]]
    return Line("agent", agent["id"], state, ", ".join(words), server)


def _entries_line(server: str, entries: Data, now: float) -> Line:
    words = [f"{number} {_OWNERS.get(owner, f'of {owner}')}" for owner, number in entries["owners"].items()]
    words += [f"{len(entries[power])} {power}" for power in ("admin", "downstream") if entries[power]]
    if entries["federated"]:
        words.append(f"{entries['federated']} federate")
    if entries["ending"]:
        first = entries["ending"][0]
        words.append(f"{first['spiffe_id']} {ends_words(first['expires_at'], now)}")
    return Line("entries", server, OK, ", ".join(words) or "none", server)


def _federation_line(server: str, relationship: Data) -> Line:
    good = relationship["health"] in (HEALTHY, NOT_PROBED)
    words = [relationship["health"].replace("_", " ")]
    if relationship["bundle"] is not None and relationship["age"] is not None:
        words.append(f"youngest authority {span(relationship['age'])} old")
    words.append(f"{relationship['bundle_endpoint_profile']} {relationship['bundle_endpoint_url']}")
    if relationship["error"]:
        words.append(relationship["error"])
    return Line(
        "federation", f"{server} → {relationship['trust_domain']}", OK if good else BAD, ", ".join(words), server
    )


def mesh_lines(mesh: Data) -> Iterator[Line]:
    """The lines of Istio in a cluster."""
    name = mesh["cluster"]
    if mesh["problem"]:
        yield Line("istio", name, BAD, mesh["problem"], name)
        return
    if not mesh["revisions"]:
        yield Line("istio", name, LOOK, f"no istiod in the namespace {mesh['namespace']}", name)
    for revision in mesh["revisions"]:
        words = [f"Istio {revision['version'] or '?'}", revision["trust_domain"] or "no trust domain told"]
        words += [f"tags {', '.join(revision['tags'])}"] if revision["tags"] else []
        words.append(f"injected {counted(revision['proxies'], 'pod')}")
        words += [revision["problem"]] if revision["problem"] else []
        state = OK if revision["ready"] else BAD
        yield Line("istio", f"{name}: {revision['name']}", state, ", ".join(words), name)
    dangling = [space["name"] for space in mesh["namespaces"] if space["status"] == "dangling"]
    if dangling:
        told = f"no revision answers to the label of {', '.join(dangling)}: what starts there gets no proxy"
        yield Line("istio", f"{name}: namespaces", BAD, told, name)
    yield from _proxies_lines(name, mesh)


def _proxies_lines(name: str, mesh: Data) -> Iterator[Line]:
    count = mesh["summary"]
    if not count["total"]:
        return
    versions = ", ".join(f"{number} of {version}" for version, number in count["versions"].items())
    words = [f"{count['synced']} of {count['total']} in sync"] + ([versions] if versions else [])
    out = count["out_of_sync"]
    words += [f"not: {', '.join(out[:5])}{' …' if len(out) > 5 else ''}"] if out else []
    yield Line("proxies", f"{name}: proxies", LOOK if out else OK, ", ".join(words), name)
    signed = Counter(_issuer(certificate) for certificate in _certificates(mesh) if not certificate["problem"])
    if signed:
        told = "; ".join(f"{number} by {issuer}" for issuer, number in sorted(signed.items()))
        yield Line("signed", f"{name}: certificates", OK, told, name)
    for proxy in mesh["proxies"]:
        problem = (proxy.get("certificate") or {}).get("problem")
        if problem and proxy["kind"] == "pod":
            yield Line("signed", f"{name}: {proxy['namespace']}/{proxy['name']}", BAD, problem, name)


def _issuer(certificate: Data) -> str:
    """The name of who signed it, without its number, by which SPIRE tells its authorities apart."""
    return _NUMBER.sub("", certificate["issuer"])


def _certificates(mesh: Data) -> Iterable[Data]:
    return [proxy["certificate"] for proxy in mesh["proxies"] if proxy.get("certificate")]


def counted(number: int, noun: str, many: str = "") -> str:
    """``1 agent``, ``2 agents``."""
    return f"{number} {noun if number == 1 else many or noun + 's'}"


def ends_words(at: int, now: float) -> str:
    """When something ends or has ended, for people."""
    left = int(at - now)
    when = datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = f"ends in {span(left)}" if left > 0 else f"ended {span(-left)} ago"
    return f"{told} ({day_and_time(when)})"


def span(seconds: int) -> str:
    """``45 s``, ``12 min``, ``5 h``, ``3 days``: rounded down."""
    for size, unit in ((2 * 86400, "days"), (2 * 3600, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // {'days': 86400, 'h': 3600, 'min': 60}[unit]} {unit}"
    return f"{seconds} s"

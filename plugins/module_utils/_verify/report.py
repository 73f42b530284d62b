# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The report of a run, and what is printed of it. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import (
    NOT_JUDGED,
    PROVEN,
    REFUTED,
    Verdict,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import HERE, Endpoint

Report = dict[str, Any]

SCHEMA_VERSION = 1
TABLE_WIDTH = 132
"""Columns of the table. With the 8 by which Ansible moves it to the right it fits a terminal of 140."""
_NAME_WIDTH = 50
_RESULTS = {PROVEN: "proven", REFUTED: "REFUTED", NOT_JUDGED: "not judged"}


@dataclass(frozen=True)
class Tested:
    """What was tested: versions by name, clusters with their contexts, and servers with their trust domains."""

    versions: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)
    servers: Mapping[str, str] = field(default_factory=dict)


MAX_AGENTS = 8
"""How many agents of a server are named below the table. The report names all."""


def make(
    *,
    scenario: str,
    endpoints: Mapping[str, Endpoint],
    tested: Tested,
    verdicts: Sequence[Verdict],
    started: datetime.datetime,
    finished: datetime.datetime,
    agents: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> Report:
    """Return the report as it is written to <scenario>.json. ``agents`` are those of each server that has told them."""
    checks = [_entry(verdict) for verdict in verdicts]
    count = {word: sum(check["verdict"] == word for check in checks) for word in _RESULTS}
    used = {place for check in checks for place in (check["from"], check["to"])}
    return {
        "schema_version": SCHEMA_VERSION,
        "scenario": scenario,
        "started": _time(started),
        "finished": _time(finished),
        "duration_s": round((finished - started).total_seconds(), 3),
        "trust_domains": list(dict.fromkeys(tested.servers.values())),
        "versions": dict(tested.versions),
        "checks": checks,
        "summary": {
            "passed": count[PROVEN],
            "failed": len(checks) - count[PROVEN],
            "refuted": count[REFUTED],
            "not_judged": count[NOT_JUDGED],
        },
        "clusters": [{"name": name, "context": context} for name, context in tested.clusters.items()],
        "servers": [
            {"name": name, "trust_domain": domain, "agents": list((agents or {}).get(name, ()))}
            for name, domain in tested.servers.items()
        ],
        "endpoints": [
            {
                "name": endpoint.name,
                "cluster": endpoint.cluster,
                "title": endpoint.title or endpoint.name,
                "spiffe_id": endpoint.spiffe_id,
            }
            for endpoint in endpoints.values()
            if endpoint.name != HERE or HERE in used
        ],
    }


def _entry(verdict: Verdict) -> dict[str, Any]:
    check, attempt = verdict.check, verdict.attempt
    entry: dict[str, Any] = {
        "name": check.name,
        "kind": check.kind,
        "type": check.type,
        "status": "pass" if attempt.ok else "fail",
        "verdict": verdict.word,
        "breach": attempt.breach,
        "expected": attempt.expected,
        "observed": attempt.observed,
        "duration_s": round(verdict.duration, 3),
        "attempts": verdict.attempts,
        "from": check.fields.get("from"),
        "to": check.fields.get("to"),
    }
    if verdict.builds_on:
        entry["builds_on"] = verdict.builds_on
    if not attempt.ok:
        hints = [hint for hint in (check.hint, attempt.hint) if hint]
        if hints:
            entry["hint"] = " ".join(hints)
    entry.update({key: value for key, value in attempt.details.items() if key not in entry})
    return entry


def table(report: Report, width: int = TABLE_WIDTH) -> list[str]:
    """Lines for a terminal: the checks with what was seen, the sum, and the quote."""
    checks = report["checks"]
    names_width = min(max([len("check"), *(len(check["name"]) for check in checks)]), _NAME_WIDTH, width // 2)
    rows = [
        ("BREACH" if check["breach"] else _RESULTS[check["verdict"]], check["kind"], check["name"], check["observed"])
        for check in checks
    ]
    widths = (10, 8, names_width, width - names_width - 24)
    lines = grid(("result", "kind", "check", "observed"), rows, widths)
    return [*lines, "", *_agents(report), summary(report), *quoted(report)]


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """The lines of a table. What is wider than its column goes on below."""
    rule = [*("-" * width for width in widths[:-1]), "-" * len(heads[-1])]
    lines = [_line(heads, widths), _line(rule, widths)]
    for row in rows:
        cells = [wrap(words, width) for words, width in zip(row, widths, strict=True)]
        height = max(len(cell) for cell in cells)
        lines += [_line([(cell[n : n + 1] or [""])[0] for cell in cells], widths) for n in range(height)]
    return lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _agents(report: Mapping[str, Any]) -> Iterator[str]:
    """The agents by which the servers know their nodes: nobody has to look them up in a log."""
    for server in report["servers"]:
        for agent in server["agents"][:MAX_AGENTS]:
            yield plain(f"agent of {server['name']}: {agent['id']}")
        if (more := len(server["agents"]) - MAX_AGENTS) > 0:
            yield f"agents of {server['name']}: {more} more, in the report"


def wrap(text: str, width: int) -> list[str]:
    """Break ``text`` into lines, at spaces; inside a word only behind a slash, as long as its parts fit at all."""
    width = max(width, 10)
    lines = [""]
    for word in plain(text).split(" "):
        space = " " if lines[-1] else ""
        for part in [word] if len(word) <= width else _parts(word, width):
            if len(lines[-1]) + len(space) + len(part) <= width:
                lines[-1] += space + part
            else:
                lines.append(part)
            space = ""
    return lines


def _parts(word: str, width: int) -> Iterator[str]:
    for part in re.findall(r"[^/]*/+|[^/]+", word):
        for start in range(0, len(part), width):
            yield part[start : start + width]


def plain(text: str) -> str:
    """One line without signs that a terminal would obey: part of the text comes from the network."""
    return "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))


def quoted(report: Mapping[str, Any]) -> list[str]:
    """What the requests were asked to bring back, as ``quote: «…»``."""
    found = {
        f"{check['json_key']}: «{plain(str(check['value']))[:300]}»"
        for check in report["checks"]
        if check["status"] == "pass" and check.get("json_key") and "value" in check
    }
    return sorted(found)


def counted(number: int, noun: str) -> str:
    """``1 check is``, ``2 checks are``."""
    return f"{number} {noun} is" if number == 1 else f"{number} {noun}s are"


def outcome(report: Mapping[str, Any]) -> str:
    """How it went, as a part of a sentence: ``2 refuted (1 BREACH), 4 not judged, 8 proven``."""
    count = report["summary"]
    if not count["failed"]:
        return f"{count['passed']} check{'' if count['passed'] == 1 else 's'} passed"
    breaches = sum(check["breach"] for check in report["checks"])
    let_in = f" ({breaches} BREACH{'' if breaches == 1 else 'ES'})" if breaches else ""
    words = [f"{count['refuted']} refuted{let_in}"] if count["refuted"] else []
    words += [f"{count['not_judged']} not judged"] if count["not_judged"] else []
    return ", ".join([*words, f"{count['passed']} proven"])


def summary(report: Report) -> str:
    """One line: how it went."""
    return f"{report['scenario']}: {outcome(report)} in {report['duration_s']:.1f} s"


def breach(check: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """Say in words who was let in, and where."""
    where = titles.get(check["to"], check["to"])
    if check["type"] == "token_reuse":
        return f"An agent with a used join token was let in by {where}"
    if check["type"] == "closed_port":
        return f"{titles.get(check['from'], check['from'])} got an answer from {where} itself, around its guard"
    who = {
        "none": "A client without a certificate",
        "other_identity": f"{check.get('client_spiffe_id')}, which is not listed,",
        "foreign_ca": f"{check.get('client_spiffe_id')}, certified by another CA,",
        "istiod": f"{check.get('client_spiffe_id')}, certified by istiod,",
        "expired": f"{check.get('client_spiffe_id')}, by a certificate whose time is over,",
    }.get(str(check.get("client")), titles.get(check["from"], check["from"]))
    if check.get("client") == "none" and check["from"] != HERE:
        who = f"{titles.get(check['from'], check['from'])}, without a certificate,"
    return f"{who} was let in by {where}"


def titles(report: Mapping[str, Any]) -> dict[str, str]:
    """The titles of the endpoints, by name."""
    return {place["name"]: place["title"] for place in report["endpoints"]}


def failures(report: Report) -> list[str]:
    """What a user needs of each check that was refuted, who was let in first; then those that were not judged."""
    names = titles(report)
    refuted = [check for check in report["checks"] if check["verdict"] == REFUTED]
    texts = []
    for check in sorted(refuted, key=lambda check: not check["breach"]):
        start = f"{breach(check, names)}: " if check["breach"] else ""
        observed = check["observed"].rstrip(".")
        text = f"{start}{check['name']} ({check['kind']}): expected {check['expected']}; observed {observed}."
        texts.append(plain(f"{text} {check['hint']}" if "hint" in check else text))
    waiting = [check["name"] for check in report["checks"] if check["verdict"] == NOT_JUDGED]
    if waiting:
        texts.append(plain(f"Not judged, for they build on a check that failed: {'; '.join(waiting)}."))
    return texts


def _time(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

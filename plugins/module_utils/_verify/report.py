# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The report of a run, and what is printed of it. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import HERE, Endpoint

Report = dict[str, Any]

TABLE_WIDTH = 132
"""Columns of the table. With the 8 by which Ansible moves it to the right it fits a terminal of 140."""
_NAME_WIDTH = 50


def make(
    *,
    scenario: str,
    trust_domain: str,
    endpoints: Mapping[str, Endpoint],
    verdicts: Sequence[Verdict],
    started: datetime.datetime,
    finished: datetime.datetime,
) -> Report:
    """Return the report as it is written to <scenario>.json."""
    checks = [_entry(verdict) for verdict in verdicts]
    passed = sum(check["status"] == "pass" for check in checks)
    used = {place for check in checks for place in (check["from"], check["to"])}
    return {
        "scenario": scenario,
        "trust_domain": trust_domain,
        "started": _time(started),
        "finished": _time(finished),
        "duration_s": round((finished - started).total_seconds(), 3),
        "checks": checks,
        "summary": {"passed": passed, "failed": len(checks) - passed},
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
        "expected": attempt.expected,
        "observed": attempt.observed,
        "duration_s": round(verdict.duration, 3),
        "attempts": verdict.attempts,
        "from": check.fields.get("from"),
        "to": check.fields.get("to"),
    }
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
    rule = f"{'-' * 6}  {'-' * 8}  {'-' * names_width}  {'-' * 8}"
    lines = [f"result  {'kind':8}  {'check':{names_width}}  observed", rule]
    for check in checks:
        start = f"{'pass' if check['status'] == 'pass' else 'FAIL':6}  {check['kind']:8}  "
        names = wrap(check["name"], names_width)
        seen = wrap(check["observed"], width - len(start) - names_width - 2)
        for row in range(max(len(names), len(seen))):
            name = names[row] if row < len(names) else ""
            text = seen[row] if row < len(seen) else ""
            lines.append(f"{start if row == 0 else ' ' * len(start)}{name:{names_width}}  {text}".rstrip())
    return [*lines, "", summary(report), *quoted(report)]


def wrap(text: str, width: int) -> list[str]:
    """Break ``text`` into lines, at spaces; inside a word only behind a slash, as long as its parts fit at all."""
    width = max(width, 10)
    lines = [""]
    for word in _plain(text).split(" "):
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


def _plain(text: str) -> str:
    """One line without signs that a terminal would obey: part of the text comes from the network."""
    return "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))


def quoted(report: Mapping[str, Any]) -> list[str]:
    """What the requests were asked to bring back, as ``quote: «…»``."""
    found = {
        f"{check['json_key']}: «{_plain(str(check['value']))[:300]}»"
        for check in report["checks"]
        if check["status"] == "pass" and check.get("json_key") and "value" in check
    }
    return sorted(found)


def summary(report: Report) -> str:
    """One line: how it went."""
    passed, failed = report["summary"]["passed"], report["summary"]["failed"]
    outcome = f"{passed} checks passed" if not failed else f"{failed} of {passed + failed} checks FAILED"
    return f"{report['scenario']}: {outcome} in {report['duration_s']:.1f} s"


def failures(report: Report) -> list[str]:
    """What a user needs of each check that failed by itself, and one line for those that only build on such a one."""
    texts, waiting = [], []
    for check in report["checks"]:
        if check["status"] != "fail":
            continue
        if "builds_on" in check:
            waiting.append(check["name"])
            continue
        observed = check["observed"].rstrip(".")
        text = f"{check['name']} ({check['kind']}): expected {check['expected']}; observed {observed}."
        texts.append(_plain(f"{text} {check['hint']}" if "hint" in check else text))
    if waiting:
        texts.append(f"Not judged, for they build on a check that failed: {'; '.join(waiting)}.")
    return texts


def _time(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

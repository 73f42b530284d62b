# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The report, the table and the picture of a run, from the same verdicts. Pure."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import HERE, POSITIVE, Endpoint

Report = dict[str, Any]

TABLE_WIDTH = 112


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


def table(report: Report) -> list[str]:
    """Lines for a terminal: the checks with what was seen, the reasons of those that failed, and the sum."""
    checks = report["checks"]
    width = min(max(len(check["name"]) for check in checks), 54)
    lines = [f"result  {'kind':8}  {'check':{width}}  observed", f"{'-' * 6}  {'-' * 8}  {'-' * width}  {'-' * 8}"]
    for check in checks:
        start = f"{'pass' if check['status'] == 'pass' else 'FAIL':6}  {check['kind']:8}  "
        names = textwrap.wrap(check["name"], width) or [""]
        seen = textwrap.wrap(check["observed"], TABLE_WIDTH - len(start) - width - 2) or [""]
        for row in range(max(len(names), len(seen))):
            name = names[row] if row < len(names) else ""
            text = seen[row] if row < len(seen) else ""
            lines.append(f"{start if row == 0 else ' ' * len(start)}{name:{width}}  {text}".rstrip())
    lines.append("")
    lines.append(summary(report))
    return lines


def summary(report: Report) -> str:
    """One line: how it went."""
    passed, failed = report["summary"]["passed"], report["summary"]["failed"]
    outcome = f"{passed} checks passed" if not failed else f"{failed} of {passed + failed} checks FAILED"
    return f"{report['scenario']}: {outcome} in {report['duration_s']:.1f} s"


def failures(report: Report) -> list[str]:
    """What a user needs of each failed check: what was expected, what was seen, and what to look at."""
    texts = []
    for check in report["checks"]:
        if check["status"] == "fail":
            text = f"{check['name']} ({check['kind']}): expected {check['expected']}; observed {check['observed']}."
            texts.append(f"{text} {check['hint']}" if "hint" in check else text)
    return texts


# The picture. Clusters stand side by side, their endpoints below each other, the control node below the gap. Each
# check is one edge with the number that it has in the list of checks.
_BOX_W, _BOX_H, _GAP, _COLUMN_GAP, _TOP, _MARGIN, _PORT = 300, 64, 34, 260, 66, 30, 26


def picture(report: Report) -> str:
    """Return an SVG of clusters, identities and edges, complete in itself."""
    columns: dict[str, list[dict[str, Any]]] = {}
    for endpoint in report["endpoints"]:
        if endpoint["name"] != HERE:
            columns.setdefault(endpoint["cluster"], []).append(endpoint)
    edges = [
        (number, check)
        for number, check in enumerate(report["checks"], 1)
        if check["from"] and check["to"] and check["from"] != check["to"]
    ]
    boxes, bottom = _place(columns, edges)
    width = 2 * _MARGIN + max(len(columns), 1) * (_BOX_W + _COLUMN_GAP) - _COLUMN_GAP + 40
    middle = width / 2
    here_used = any(HERE in (check["from"], check["to"]) for _number, check in edges)
    height = bottom + _MARGIN
    if here_used:
        ports = sum(HERE in (check["from"], check["to"]) for _number, check in edges)
        here_w = max(_BOX_W - 60, _PORT * (ports + 1))
        boxes[HERE] = (middle - here_w / 2, bottom + 70, here_w, 44)
        height = bottom + 70 + 44 + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img"'
        f' aria-label="Clusters, identities and checked connections of {escape(report["scenario"])}">',
        "<title>Clusters, identities and checked connections</title>",
        "<defs>" + "".join(_marker(name, colour) for name, colour in _COLOURS.items()) + "</defs>",
    ]
    for index, (cluster, members) in enumerate(columns.items()):
        x = _MARGIN + index * (_BOX_W + _COLUMN_GAP)
        deep = max(boxes[member["name"]][1] + boxes[member["name"]][3] for member in members) - _TOP + 60
        parts.append(
            f'<rect x="{x}" y="20" width="{_BOX_W + 40}" height="{deep:.0f}" rx="14" class="cluster"/>'
            f'<text x="{x + 20}" y="46" class="cluster-name">{escape(cluster or "no cluster")}</text>'
        )
    parts += _boxes(report, boxes)
    parts += _edges(edges, boxes, middle)
    return "\n".join([*parts, "</svg>"])


_COLOURS = {"verified": "#1a7f37", "refused": "#57606a", "failed": "#cf222e"}


def _marker(name: str, colour: str) -> str:
    shape = "M0,0 L8,4 L0,8 z" if name != "refused" else "M1,1 L7,7 M7,1 L1,7"
    paint = f'fill="{colour}"' if name != "refused" else f'stroke="{colour}" stroke-width="2" fill="none"'
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
        f' markerUnits="userSpaceOnUse" orient="auto"><path d="{shape}" {paint}/></marker>'
    )


Box = tuple[float, float, float, float]


def _place(
    columns: Mapping[str, list[dict[str, Any]]], edges: Sequence[tuple[int, Mapping[str, Any]]]
) -> tuple[dict[str, Box], float]:
    boxes: dict[str, Box] = {}
    bottom = float(_TOP)
    for index, members in enumerate(columns.values()):
        y = float(_TOP)
        for member in members:
            ports = sum(member["name"] in (check["from"], check["to"]) for _number, check in edges)
            tall = max(_BOX_H, _PORT * (ports + 1))
            boxes[member["name"]] = (_MARGIN + 20 + index * (_BOX_W + _COLUMN_GAP), y, _BOX_W, tall)
            y += tall + _GAP
        bottom = max(bottom, y)
    return boxes, bottom


def _boxes(report: Report, boxes: Mapping[str, Box]) -> list[str]:
    parts = []
    for endpoint in report["endpoints"]:
        if endpoint["name"] not in boxes:
            continue
        x, y, w, h = boxes[endpoint["name"]]
        own = [
            str(number)
            for number, check in enumerate(report["checks"], 1)
            if check["to"] == endpoint["name"] and not check["from"]
        ]
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{w:.0f}" height="{h:.0f}" rx="8" class="box"/>')
        title = endpoint["title"] + (f"   (check {', '.join(own)})" if own else "")
        parts.append(f'<text x="{x + 14:.0f}" y="{y + h / 2 - 4:.0f}" class="title">{escape(title)}</text>')
        identity = endpoint["spiffe_id"] or ("runs the checks" if endpoint["name"] == HERE else "no identity")
        shown = identity.removeprefix("spiffe://")
        # About 45 signs of this size fit into a box; a longer ID is squeezed rather than cut.
        squeeze = f' textLength="{w - 28:.0f}" lengthAdjust="spacingAndGlyphs"' if len(shown) > 44 else ""
        parts.append(f'<text x="{x + 14:.0f}" y="{y + h / 2 + 15:.0f}" class="id"{squeeze}>{escape(shown)}</text>')
    return parts


def _edges(edges: Sequence[tuple[int, Mapping[str, Any]]], boxes: Mapping[str, Box], middle: float) -> list[str]:
    total = {name: sum(name in (c["from"], c["to"]) for _number, c in edges) for name in boxes}
    taken = dict.fromkeys(boxes, 0)

    def port(name: str, toward: float) -> tuple[float, float, float, float]:
        """Where the next edge leaves a box, and the direction in which it does."""
        x, y, w, h = boxes[name]
        taken[name] += 1
        share = taken[name] / (total[name] + 1)
        if name == HERE:
            return x + w * share, y, 0.0, -1.0
        right = x + w / 2 < toward
        return (x + w if right else x), y + h * share, (1.0 if right else -1.0), 0.0

    parts = []
    for number, check in edges:
        source, target = boxes[check["from"]], boxes[check["to"]]
        same = source[0] == target[0]
        x1, y1, dx1, dy1 = port(check["from"], middle if same or check["to"] == HERE else target[0])
        x2, y2, dx2, dy2 = port(check["to"], middle if same or check["from"] == HERE else source[0])
        bend = 60 + 10 * (number % 5) if same else 90
        c1, c2 = (x1 + dx1 * bend, y1 + dy1 * bend), (x2 + dx2 * bend, y2 + dy2 * bend)
        # Nearer to the target the edges of one source are already apart.
        px, py = (_bezier(0.62, a, b, c, d) for a, b, c, d in zip((x1, y1), c1, c2, (x2, y2), strict=True))
        style = "failed" if check["status"] == "fail" else "verified" if check["kind"] == POSITIVE else "refused"
        path = f"M{x1:.0f},{y1:.0f} C{c1[0]:.0f},{c1[1]:.0f} {c2[0]:.0f},{c2[1]:.0f} {x2:.0f},{y2:.0f}"
        parts.append(
            f'<g class="{style}"><title>{number}. {escape(check["name"])}: {escape(check["observed"])}</title>'
            f'<path d="{path}" marker-end="url(#{style})"/>'
            f'<circle cx="{px:.0f}" cy="{py:.0f}" r="10"/>'
            f'<text x="{px:.0f}" y="{py + 4:.0f}" class="number">{number}</text></g>'
        )
    return parts


def _bezier(t: float, a: float, b: float, c: float, d: float) -> float:
    u = 1 - t
    return u**3 * a + 3 * u**2 * t * b + 3 * u * t**2 * c + t**3 * d


def _time(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

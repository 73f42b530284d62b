# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Draws a report: clusters, identities, and the checks as edges between them. Pure.

Checks of the same two places that ended alike share one edge, which carries their numbers. A number leads to the row of
its check in the table, and that row leads back. Where there would be so many edges that nobody could follow one,
refusals that are as they should be, and looks, are numbers in the box of whom they are about: what is left is who is
let in, and what is wrong.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import NOT_JUDGED, PROVEN
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.layout import (
    BOX_W,
    NUMBER,
    Box,
    Edge,
    Frame,
    Layout,
    Point,
    lay_out,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import HERE, LOOKS, POSITIVE
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.report import wrap

MOST_EDGES = 40
"""With more than this a picture has edges only for who is let in, and for what is wrong."""
QUIET = ("refused", "looked")
_TITLE_SIGNS, _ID_SIGNS, _TITLE_LINES, _ID_LINES = 18, 22, 2, 4
_LINE, _PAD, _TOGETHER = 16.0, 12.0, 3
_RADIUS = 6.0

STYLES = {
    "let_in": "let in, identity verified",
    "refused": "tried, and refused as it should be",
    "looked": "only looked at: its certificate is the right one",
    "breach": "let in, and should have been refused",
    "failed": "not as it should be",
    "waiting": "not judged: it builds on a check that failed",
}
"""How an edge is drawn, and what that means."""

COLOURS = """
--good:#1a7f37;--calm:#57606a;--look:#0969da;--bad:#cf222e;--wait:#9a6700;
--ink:#1f2328;--soft:#57606a;--paper:#fff;--frame:#f6f8fa;--line:#d0d7de;"""
DARK = """
--good:#3fb950;--calm:#9ea7b3;--look:#58a6ff;--bad:#ff7b72;--wait:#d29922;
--ink:#e6edf3;--soft:#9ea7b3;--paper:#0d1117;--frame:#161b22;--line:#3d444d;"""

STYLE = f"""
.mesh{{{COLOURS}font-family:system-ui,sans-serif}}
@media (prefers-color-scheme:dark){{.mesh{{{DARK}}}}}
.mesh .cluster{{fill:var(--frame);stroke:var(--line)}}
.mesh .cluster-name{{font-size:15px;font-weight:600;fill:var(--soft)}}
.mesh .box{{fill:var(--paper);stroke:var(--soft)}}
.mesh .title{{font-size:14px;font-weight:600;fill:var(--ink)}}
.mesh .id{{font-size:11px;font-family:ui-monospace,monospace;fill:var(--soft)}}
.mesh .way{{fill:none;stroke-width:2}}
.mesh .badge{{fill:var(--paper);stroke-width:1.5}}.mesh .badge.refused{{stroke-dasharray:3 2}}
.mesh .number{{font-size:11px;text-anchor:middle;fill:var(--ink)}}
.mesh a:hover .badge,.mesh a:focus .badge,.mesh a:target .badge{{fill:var(--line)}}
.mesh .let_in{{stroke:var(--good)}}.mesh .refused{{stroke:var(--calm)}}.mesh .looked{{stroke:var(--look)}}
.mesh .failed,.mesh .breach{{stroke:var(--bad)}}.mesh .waiting{{stroke:var(--wait)}}
.mesh .way.refused{{stroke-dasharray:6 4}}.mesh .way.looked{{stroke-width:1.5;stroke-dasharray:2 3}}
.mesh .way.failed{{stroke-width:3;stroke-dasharray:9 4}}.mesh .way.breach{{stroke-width:4}}
.mesh .way.waiting{{stroke-dasharray:2 6}}
.mesh .solid{{stroke:none}}.mesh .solid.let_in{{fill:var(--good)}}.mesh .solid.breach{{fill:var(--bad)}}
.mesh .open{{fill:none;stroke-width:2}}
"""


def picture(report: Mapping[str, Any]) -> str:
    """Return an SVG, complete in itself."""
    places = {place["name"]: place for place in report["endpoints"]}
    checks = dict(enumerate(report["checks"], 1))
    inside = styles_inside(report)
    edges = [edge for edge in _edges(checks, places) if edge.style not in inside]
    own = _own(checks, places, inside)
    clusters: dict[str, list[str]] = {}
    for place in report["endpoints"]:
        if place["name"] != HERE:
            clusters.setdefault(place["cluster"], []).append(place["name"])
    least = {name: _least(place, len(own[name])) for name, place in places.items()}
    layout = lay_out(clusters, edges, least)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" class="mesh"'
        f' role="group" aria-labelledby="mesh-title mesh-text"'
        f' style="min-width:{layout.width:.0f}px;max-width:{layout.width * 1.25:.0f}px">',
        f'<title id="mesh-title">Checked connections of {escape(report["scenario"])}</title>',
        '<desc id="mesh-text">Clusters with their identities, and a line for each connection that was tried. Each'
        " number leads to its row in the table below.</desc>",
        f"<style>{STYLE}</style>",
        markers(),
        *(_frame(frame) for frame in layout.frames),
        *(f'<path d="{_path(way)}" class="way {edge.style}"{end(edge.style)}/>' for edge, way in layout.ways),
        *(_box(box, places[name], _where(places[name], layout)) for name, box in layout.boxes.items()),
    ]
    badges: list[tuple[int, float, float]] = []
    for edge, way in layout.ways:
        badges += _along(edge, way)
    for name, numbers in own.items():
        badges += _inside(layout.boxes[name], numbers)
    return "\n".join([*parts, *(_badge(n, checks[n], x, y) for n, x, y in sorted(badges)), "</svg>"])


def styles_inside(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The styles that are numbers in boxes: where there would be more edges than anybody could follow."""
    places = {place["name"]: place for place in report["endpoints"]}
    return QUIET if len(_edges(dict(enumerate(report["checks"], 1)), places)) > MOST_EDGES else ()


def style_of(check: Mapping[str, Any]) -> str:
    """How a check is drawn."""
    if check["breach"]:
        return "breach"
    if check["verdict"] == NOT_JUDGED:
        return "waiting"
    if check["verdict"] != PROVEN:
        return "failed"
    if check["type"] in LOOKS:
        return "looked"
    return "let_in" if check["kind"] == POSITIVE else "refused"


def markers() -> str:
    """What stands at the end of an edge. The legend uses them, too."""
    arrow, cross, ring = "M0,0 L8,4 L0,8 z", "M1,1 L7,7 M7,1 L1,7", "M4,1 a3,3 0 1,0 0.01,0 z"
    shapes = {
        "let_in": (arrow, "solid"),
        "breach": (arrow, "solid"),
        "refused": (cross, "open"),
        "failed": (cross, "open"),
        "looked": (ring, "open"),
        "waiting": (ring, "open"),
    }
    return "<defs>" + "".join(_marker(name, *shape) for name, shape in shapes.items()) + "</defs>"


def _marker(name: str, shape: str, how: str) -> str:
    return (
        f'<marker id="mesh-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="10" markerHeight="10"'
        f' markerUnits="userSpaceOnUse" orient="auto"><path d="{shape}" class="{how} {name}"/></marker>'
    )


def end(style: str) -> str:
    """The attribute by which a line ends as its style says."""
    return f' marker-end="url(#mesh-{style})"'


def _edges(checks: Mapping[int, Mapping[str, Any]], places: Mapping[str, Any]) -> list[Edge]:
    together: dict[tuple[str, str, str], list[int]] = {}
    for number, check in checks.items():
        source, target = check["from"], check["to"]
        if source in places and target in places and source != target:
            together.setdefault((source, target, style_of(check)), []).append(number)
    return [
        Edge(*key, tuple(numbers[start : start + _TOGETHER]))
        for key, numbers in together.items()
        for start in range(0, len(numbers), _TOGETHER)
    ]


def _own(
    checks: Mapping[int, Mapping[str, Any]], places: Mapping[str, Any], inside: Sequence[str]
) -> dict[str, list[int]]:
    """The numbers of checks that are about one place only, or whose style is drawn ``inside``, by place."""
    return {
        name: [
            number
            for number, check in checks.items()
            if check["to"] == name
            and (check["from"] in (None, name) or (check["from"] in places and style_of(check) in inside))
        ]
        for name in places
    }


def _texts(place: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The lines of a box: title and identity."""
    if place["name"] == HERE:
        return [place["title"]], ["runs the checks"]
    identity = (place["spiffe_id"] or "").removeprefix("spiffe://")
    return _lines(place["title"], _TITLE_SIGNS, _TITLE_LINES), _lines(identity, _ID_SIGNS, _ID_LINES)


def _lines(text: str, signs: int, most: int) -> list[str]:
    lines = [line for line in wrap(text, signs // 2 if _is_wide(text) else signs) if line]
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1][:-1] + "…"]


def _is_wide(text: str) -> bool:
    return any(unicodedata.east_asian_width(sign) in "WF" for sign in text)


def _least(place: Mapping[str, Any], own: int) -> float:
    title, identity = _texts(place)
    return 2 * _PAD + _LINE * len(title) + (_LINE - 2) * len(identity) + NUMBER * -(-own // _per_row())


def _per_row() -> int:
    return int((BOX_W - 2 * _PAD) // NUMBER)


def _where(place: Mapping[str, Any], layout: Layout) -> str:
    words = [place["title"], place["spiffe_id"] or "no identity of its own"]
    if place["cluster"] and len(layout.frames) > 0:
        words.append(f"in {place['cluster']}")
    return ", ".join(words)


def _frame(frame: Frame) -> str:
    name = _lines(frame.name or "outside of the clusters", int(frame.w // 9), 1)[0]
    return (
        f'<rect x="{frame.x:.0f}" y="{frame.y:.0f}" width="{frame.w:.0f}" height="{frame.h:.0f}" rx="14"'
        f' class="cluster"/><text x="{frame.x + _PAD:.0f}" y="{frame.y + 24:.0f}" class="cluster-name">'
        f"{escape(name)}</text>"
    )


def _box(box: Box, place: Mapping[str, Any], label: str) -> str:
    title, identity = _texts(place)
    y = box.y + _PAD + 12
    texts = []
    for lines, kind, step in ((title, "title", _LINE), (identity, "id", _LINE - 2)):
        for line in lines:
            texts.append(f'<text x="{box.x + _PAD:.0f}" y="{y:.0f}" class="{kind}">{escape(line)}</text>')
            y += step
    return (
        f'<g role="group" aria-label="{escape(label)}"><title>{escape(label)}</title>'
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.w:.0f}" height="{box.h:.0f}" rx="8" class="box"/>'
        f"{''.join(texts)}</g>"
    )


def _path(way: Sequence[Point]) -> str:
    """The way with round corners."""
    start, *corners, last = way
    words = [f"M{start[0]:.1f},{start[1]:.1f}"]
    for before, corner, after in zip([start, *corners], corners, [*corners[1:], last], strict=False):
        words.append(f"L{_towards(corner, before)} Q{corner[0]:.1f},{corner[1]:.1f} {_towards(corner, after)}")
    return " ".join([*words, f"L{last[0]:.1f},{last[1]:.1f}"])


def _towards(corner: Point, other: Point) -> str:
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)
    share = min(_RADIUS, length / 2) / length if length else 0.0
    return f"{corner[0] + dx * share:.1f},{corner[1] + dy * share:.1f}"


def _along(edge: Edge, way: Sequence[Point]) -> Iterator[tuple[int, float, float]]:
    """Where the numbers of an edge stand: one beside the other, before its end."""
    (_x, y1), (x2, y2) = way[-2], way[-1]
    for index, number in enumerate(reversed(edge.numbers)):
        away = 14 + NUMBER * (index + 0.5)
        yield (number, x2 - away, y2) if y1 == y2 else (number, x2, y2 - away if y1 < y2 else y2 + away)


def _inside(box: Box, numbers: Sequence[int]) -> Iterator[tuple[int, float, float]]:
    rows = -(-len(numbers) // _per_row())
    for index, number in enumerate(numbers):
        row, place = divmod(index, _per_row())
        yield number, box.x + _PAD + NUMBER * (place + 0.5), box.y + box.h - NUMBER * (rows - row - 0.5) - 4


def _badge(number: int, check: Mapping[str, Any], x: float, y: float) -> str:
    label = escape(f"{number}. {check['name']}: {check['observed']}")
    width = 18 if number < 100 else 25
    return (
        f'<a id="edge-{number}" href="#check-{number}" aria-label="{label}"><title>{label}</title>'
        f'<rect x="{x - width / 2:.1f}" y="{y - 9:.1f}" width="{width}" height="18" rx="9"'
        f' class="badge {style_of(check)}"/><text x="{x:.1f}" y="{y + 4:.1f}" class="number">{number}</text></a>'
    )

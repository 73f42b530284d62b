# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Draws a report: clusters, identities, and one edge for each check. Pure.

Clusters stand side by side, callers to the left of those that they call, the control node below all. An edge carries
the number that its check has in the list of checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import HERE, POSITIVE

_BOX_W, _BOX_H = 248, 60
_ROW_GAP, _COLUMN_GAP, _CLUSTER_GAP = 28, 130, 150
_PAD, _HEAD, _MARGIN, _PORT = 20, 44, 16, 26
_LIFT = 96
"""Room between the clusters and the control node below them."""
_BEND = 64
"""How far an edge leaves its box before it turns."""
_ID_SIGNS = 34
"""About so many signs of an identity fit into a box; a longer one is squeezed rather than cut."""

_COLOURS = {"verified": "#1a7f37", "refused": "#57606a", "failed": "#cf222e"}
_STYLE = """
.cluster{fill:#f6f8fa;stroke:#d0d7de}.cluster-name{font-size:16px;font-weight:600;fill:#57606a}
.box{fill:#fff;stroke:#57606a}.title{font-size:15px;font-weight:600;fill:#1f2328}
.id{font-size:11.5px;font-family:ui-monospace,monospace;fill:#57606a}
g path{fill:none;stroke-width:2}g circle{fill:#fff;stroke-width:2}
.number{font-size:11px;text-anchor:middle;fill:#1f2328}
.verified path,.verified circle{stroke:#1a7f37}
.refused path,.refused circle{stroke:#57606a}.refused path{stroke-dasharray:6 4}
.failed path,.failed circle{stroke:#cf222e;stroke-width:3}
"""


@dataclass
class _Box:
    """A place on the picture, and the edges that touch each of its sides."""

    name: str
    x: float = 0.0
    y: float = 0.0
    w: float = _BOX_W
    h: float = _BOX_H
    sides: dict[str, list[tuple[float, int, bool]]] = field(default_factory=dict)
    """Side to (where the other end is, the edge's number, whether it starts here)."""

    def port(self, side: str, number: int, start: bool) -> tuple[float, float, float, float]:
        """Where an edge touches this box, and the direction in which it leaves."""
        touching = sorted(self.sides[side])
        place = next(i for i, (_other, edge, own) in enumerate(touching, 1) if (edge, own) == (number, start))
        share = place / (len(touching) + 1)
        return {
            "left": (self.x, self.y + self.h * share, -1.0, 0.0),
            "right": (self.x + self.w, self.y + self.h * share, 1.0, 0.0),
            "top": (self.x + self.w * share, self.y, 0.0, -1.0),
            "bottom": (self.x + self.w * share, self.y + self.h, 0.0, 1.0),
        }[side]


@dataclass(frozen=True)
class _Edge:
    number: int
    check: Mapping[str, Any]

    @property
    def source(self) -> str:
        return str(self.check["from"])

    @property
    def target(self) -> str:
        return str(self.check["to"])


def picture(report: Mapping[str, Any]) -> str:
    """Return an SVG, complete in itself."""
    places = {place["name"]: place for place in report["endpoints"]}
    edges = [_Edge(n, c) for n, c in enumerate(report["checks"], 1) if c["from"] and c["to"] and c["from"] != c["to"]]
    columns = _columns(report["endpoints"], edges)
    boxes, frames, width, bottom = _place(columns, edges)
    height = bottom + _MARGIN
    to_here = [edge for edge in edges if HERE in (edge.source, edge.target)]
    if to_here:
        ends = [boxes[e.target if e.source == HERE else e.source] for e in to_here]
        w = max(_BOX_W, _PORT * 1.3 * (len(to_here) + 1))
        middle = sum(box.x + box.w / 2 for box in ends) / len(ends)
        x = min(max(middle - w / 2, _MARGIN), max(width - _MARGIN - w, _MARGIN))
        boxes[HERE] = _Box(HERE, x, bottom + _LIFT, w, _BOX_H)
        width, height = max(width, x + w + _MARGIN), bottom + _LIFT + _BOX_H + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img"'
        f' aria-label="Clusters, identities and checked connections of {escape(report["scenario"])}">',
        "<title>Clusters, identities and checked connections</title>",
        f"<style>{_STYLE}</style>",
        "<defs>" + "".join(_marker(name, colour) for name, colour in _COLOURS.items()) + "</defs>",
    ]
    for cluster, (x, y, w, h) in frames.items():
        name = escape(cluster or "no cluster")
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{w:.0f}" height="{h:.0f}" rx="14" class="cluster"/>'
            f'<text x="{x + _PAD:.0f}" y="{y + 28:.0f}" class="cluster-name">{name}</text>'
        )
    parts += [_box(boxes[name], places[name]) for name in boxes]
    parts += _edges(edges, boxes)
    parts += _own(report["checks"], boxes)
    return "\n".join([*parts, "</svg>"])


def _columns(places: Sequence[Mapping[str, Any]], edges: Sequence[_Edge]) -> dict[str, list[list[str]]]:
    """Return the columns of each cluster. Who is called stands to the right of who calls."""
    cluster_of = {place["name"]: place["cluster"] for place in places if place["name"] != HERE}
    pairs = [(e.source, e.target) for e in edges if e.source in cluster_of and e.target in cluster_of]
    inner = [(a, b) for a, b in pairs if cluster_of[a] == cluster_of[b]]
    rank = _ranks(list(cluster_of), inner)
    outer = [(cluster_of[a], cluster_of[b]) for a, b in pairs if cluster_of[a] != cluster_of[b]]
    names = list(dict.fromkeys(cluster_of.values()))
    order = _ranks(names, outer)
    columns: dict[str, list[list[str]]] = {}
    for cluster in sorted(names, key=lambda name: (order[name], names.index(name))):
        members = [name for name, where in cluster_of.items() if where == cluster]
        last = max(rank[name] for name in members)
        # Whoever has nobody to talk to inside the cluster stands with those that are called.
        alone = [name for name in members if not any(name in pair for pair in inner)]
        columns[cluster] = [
            [name for name in members if (last if name in alone else rank[name]) == level] for level in range(last + 1)
        ]
    return columns


def _ranks(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return how far to the right each name belongs. Of names that call each other in a circle the result is finite."""
    rank = dict.fromkeys(names, 0)
    for _round in range(len(names) - 1):
        for source, target in pairs:
            rank[target] = min(max(rank[target], rank[source] + 1), len(names) - 1)
    used = {value: index for index, value in enumerate(sorted(set(rank.values())))}
    return {name: used[value] for name, value in rank.items()}


Frame = tuple[float, float, float, float]


def _place(
    columns: Mapping[str, list[list[str]]], edges: Sequence[_Edge]
) -> tuple[dict[str, _Box], dict[str, Frame], float, float]:
    """Give each box its place and each cluster its frame; return them with the width and where the lowest one ends."""
    boxes: dict[str, _Box] = {}
    frames: dict[str, Frame] = {}
    x, bottom = float(_MARGIN), 0.0
    for cluster, levels in columns.items():
        left, low = x, 0.0
        for level in levels:
            y = float(_MARGIN + _HEAD)
            for name in level:
                ports = sum(name in (e.source, e.target) and HERE not in (e.source, e.target) for e in edges)
                boxes[name] = _Box(name, x + _PAD, y, _BOX_W, max(_BOX_H, _PORT * (ports + 1)))
                y += boxes[name].h + _ROW_GAP
            low = max(low, y - _ROW_GAP + _PAD)
            x += _BOX_W + _COLUMN_GAP
        x += 2 * _PAD - _COLUMN_GAP
        frames[cluster] = (left, _MARGIN, x - left, low - _MARGIN)
        bottom = max(bottom, low)
        x += _CLUSTER_GAP
    width = x - _CLUSTER_GAP + _MARGIN if columns else 2.0 * _MARGIN + _BOX_W
    # An edge between two boxes of one column goes around on the right.
    pairs = [(boxes[e.source], boxes[e.target]) for e in edges if HERE not in (e.source, e.target)]
    width = max([width, *(a.x + a.w + _BEND + _MARGIN for a, b in pairs if a.x == b.x)])
    return boxes, frames, width, bottom or float(_MARGIN)


def _box(box: _Box, place: Mapping[str, Any]) -> str:
    identity = place["spiffe_id"] or ("runs the checks" if box.name == HERE else "")
    shown = identity.removeprefix("spiffe://")
    squeeze = f' textLength="{box.w - 24:.0f}" lengthAdjust="spacingAndGlyphs"' if len(shown) > _ID_SIGNS else ""
    middle = box.y + box.h / 2 + (0 if shown else 8)
    text = f'<text x="{box.x + 12:.0f}" y="{middle - 4:.0f}" class="title">{escape(place["title"])}</text>'
    if shown:
        text += f'<text x="{box.x + 12:.0f}" y="{middle + 14:.0f}" class="id"{squeeze}>{escape(shown)}</text>'
    return f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.w:.0f}" height="{box.h:.0f}" rx="8" class="box"/>{text}'


def _edges(edges: Sequence[_Edge], boxes: Mapping[str, _Box]) -> Iterator[str]:
    sides: dict[int, tuple[str, str]] = {}
    for edge in edges:
        source, target = boxes[edge.source], boxes[edge.target]
        start, end = _side(source, target, boxes), _side(target, source, boxes)
        sides[edge.number] = start, end
        # Edges touch a side in the order in which their other ends stand, so that they do not cross.
        source.sides.setdefault(start, []).append((_order(start, target), edge.number, True))
        target.sides.setdefault(end, []).append((_order(end, source), edge.number, False))
    for edge in edges:
        start, end = sides[edge.number]
        x1, y1, dx1, dy1 = boxes[edge.source].port(start, edge.number, True)
        x2, y2, dx2, dy2 = boxes[edge.target].port(end, edge.number, False)
        c1, c2 = (x1 + dx1 * _BEND, y1 + dy1 * _BEND), (x2 + dx2 * _BEND, y2 + dy2 * _BEND)
        px, py = (_bezier(0.5, a, b, c, d) for a, b, c, d in zip((x1, y1), c1, c2, (x2, y2), strict=True))
        style = _style(edge.check)
        path = f"M{x1:.0f},{y1:.0f} C{c1[0]:.0f},{c1[1]:.0f} {c2[0]:.0f},{c2[1]:.0f} {x2:.0f},{y2:.0f}"
        yield _numbered(edge.number, edge.check, px, py, f'<path d="{path}" marker-end="url(#{style})"/>')


def _side(box: _Box, other: _Box, boxes: Mapping[str, _Box]) -> str:
    """The side on which an edge between ``box`` and ``other`` touches ``box``."""
    if box.name == HERE:
        return "top"
    if other.name == HERE:
        below = any(b.x == box.x and b.y > box.y for b in boxes.values() if b.name != HERE)
        return "right" if below else "bottom"
    return "left" if other.x < box.x else "right"


def _order(side: str, other: _Box) -> float:
    return other.x + other.w / 2 if side in ("top", "bottom") else other.y + other.h / 2


def _own(checks: Sequence[Mapping[str, Any]], boxes: Mapping[str, _Box]) -> Iterator[str]:
    """Numbers of checks that look at one place only; they stand on its upper edge."""
    taken = dict.fromkeys(boxes, 0)
    for number, check in enumerate(checks, 1):
        box = boxes.get(str(check["to"]))
        if box is None or check["from"]:
            continue
        taken[box.name] += 1
        yield _numbered(number, check, box.x + box.w + 8 - _PORT * taken[box.name], box.y)


def _numbered(number: int, check: Mapping[str, Any], x: float, y: float, path: str = "") -> str:
    return (
        f'<g class="{_style(check)}"><title>{number}. {escape(check["name"])}: {escape(check["observed"])}</title>'
        f'{path}<circle cx="{x:.0f}" cy="{y:.0f}" r="10"/>'
        f'<text x="{x:.0f}" y="{y + 4:.0f}" class="number">{number}</text></g>'
    )


def _style(check: Mapping[str, Any]) -> str:
    if check["status"] == "fail":
        return "failed"
    return "verified" if check["kind"] == POSITIVE else "refused"


def _marker(name: str, colour: str) -> str:
    shape = "M0,0 L8,4 L0,8 z" if name != "refused" else "M1,1 L7,7 M7,1 L1,7"
    paint = f'fill="{colour}"' if name != "refused" else f'stroke="{colour}" stroke-width="2" fill="none"'
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9"'
        f' markerUnits="userSpaceOnUse" orient="auto"><path d="{shape}" {paint}/></marker>'
    )


def _bezier(t: float, a: float, b: float, c: float, d: float) -> float:
    u = 1 - t
    return u**3 * a + 3 * u**2 * t * b + 3 * u * t**2 * c + t**3 * d

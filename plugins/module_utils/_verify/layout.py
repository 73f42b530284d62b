# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Where everything on the picture stands, and which way each edge takes. Pure geometry, in pixels.

Boxes stand in columns that run through all rows of clusters, so that between two columns there is a street without a
box from top to bottom. An edge leaves its box on the right, and enters one on the left: by the street between them, or
over a cross street above or below the clusters. Each edge has a lane of its own where it would lie upon another.
The control node is a bar below all: its edges go straight up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import HERE

WIDTH = 1180.0
"""What a page has room for: a picture is no wider when there is any way to it."""
BOX_W, NUMBER = 168.0, 26.0
_MARGIN, _GAP, _LANE, _PORT, _OUT = 12.0, 22.0, 9.0, 26.0, 14.0
_FRAME, _HEAD = 14.0, 38.0
_ARROW, _BAR = 14.0, 52.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Edge:
    """One line from a place to another, for one or more checks of the same outcome."""

    source: str
    target: str
    style: str
    numbers: tuple[int, ...]


@dataclass
class Box:
    """A place on the picture."""

    name: str
    least: float
    """The height that its texts need."""
    column: int = 0
    row: int = 0
    x: float = 0.0
    y: float = 0.0
    w: float = BOX_W
    h: float = 0.0
    into: list[Edge] = field(default_factory=list)
    out: list[Edge] = field(default_factory=list)


@dataclass(frozen=True)
class Frame:
    """The frame of a cluster."""

    name: str
    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True)
class Layout:
    """Everything with its place. ``ways`` has the corners of each edge; its numbers stand before its last one."""

    boxes: dict[str, Box]
    frames: list[Frame]
    ways: list[tuple[Edge, list[Point]]]
    width: float
    height: float


def lay_out(clusters: Mapping[str, Sequence[str]], edges: Sequence[Edge], least: Mapping[str, float]) -> Layout:
    """Place the members of ``clusters``, each at least as high as ``least`` says, and the edges between them."""
    ranks = _ranks([name for members in clusters.values() for name in members], edges, clusters)
    order = _order(clusters, edges)
    deepest = max([0, *ranks.values()]) + 1
    tries = [
        _Plan({name: clusters[name] for name in order}, edges, least, ranks, per_row=per_row, levels=levels).layout()
        for levels in range(deepest, 0, -1)
        for per_row in range(len(clusters), 0, -1)
    ] or [_Plan({}, edges, least, {}, per_row=1, levels=1).layout()]
    fitting = [one for one in tries if one.width <= WIDTH]
    return min(fitting, key=lambda one: one.height) if fitting else min(tries, key=lambda one: one.width)


def _ranks(names: Sequence[str], edges: Sequence[Edge], clusters: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the column of each place in its cluster: who is called stands to the right of who calls."""
    home = {name: cluster for cluster, members in clusters.items() for name in members}
    inner = [(e.source, e.target) for e in edges if e.source in home and home.get(e.target) == home[e.source]]
    rank = _levels(names, inner)
    for members in clusters.values():
        last = max([0, *(rank[name] for name in members)])
        # Whoever has nobody to talk to inside the cluster stands with those that are called.
        rank.update({name: last for name in members if not any(name in pair for pair in inner)})
    return rank


def _order(clusters: Mapping[str, Sequence[str]], edges: Sequence[Edge]) -> list[str]:
    home = {name: cluster for cluster, members in clusters.items() for name in members}
    pairs = [(home[e.source], home[e.target]) for e in edges if e.source in home and e.target in home]
    names = list(clusters)
    level = _levels(names, [(a, b) for a, b in pairs if a != b])
    return sorted(names, key=lambda name: (level[name], names.index(name)))


def _levels(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return how far to the right each name belongs. Of names that call each other in a circle the result is finite."""
    level = dict.fromkeys(names, 0)
    # Who is reached from a place that it reaches itself is not put behind it: a circle has no first.
    for _round in range(len(names) - 1):
        for source, target in pairs:
            if (target, source) not in pairs or names.index(source) < names.index(target):
                level[target] = min(max(level[target], level[source] + 1), len(names) - 1)
    used = {value: index for index, value in enumerate(sorted(set(level.values())))}
    return {name: used[value] for name, value in level.items()}


class _Lanes:
    """The lanes of one street: intervals that overlap get different ones."""

    def __init__(self) -> None:
        self._lanes: list[list[tuple[float, float]]] = []

    def __len__(self) -> int:
        return len(self._lanes)

    def take(self, start: float, end: float, room: float) -> int:
        low, high = min(start, end) - room, max(start, end) + room
        for number, lane in enumerate(self._lanes):
            if all(high <= a or b <= low for a, b in lane):
                lane.append((low, high))
                return number
        self._lanes.append([(low, high)])
        return len(self._lanes) - 1


class _Plan:
    """One way to place everything: so many clusters in a row, so many columns in a cluster."""

    def __init__(
        self,
        clusters: Mapping[str, Sequence[str]],
        edges: Sequence[Edge],
        least: Mapping[str, float],
        ranks: Mapping[str, int],
        *,
        per_row: int,
        levels: int,
    ) -> None:
        self.edges = edges
        self.grid = {name: (i // per_row, i % per_row) for i, name in enumerate(clusters)}
        self.rows = max([0, *(row + 1 for row, _place in self.grid.values())])
        self.boxes = {HERE: Box(HERE, _BAR, -1, self.rows)} if HERE in least else {}
        self.members = {
            name: [[m for m in members if min(ranks[m], levels - 1) == level] for level in range(levels)]
            for name, members in clusters.items()
        }
        self.members = {name: [column for column in columns if column] for name, columns in self.members.items()}
        widths = [
            max([0, *(len(self.members[name]) for name, (_row, at) in self.grid.items() if at == place)])
            for place in range(min(per_row, len(clusters)))
        ]
        self.first = [sum(widths[:place]) for place in range(len(widths) + 1)]
        self.columns = sum(widths)
        for name, columns in self.members.items():
            row, place = self.grid[name]
            for level, column in enumerate(columns):
                for member in column:
                    self.boxes[member] = Box(member, least[member], self.first[place] + level, row)
        # Street to its lanes: those between columns by number from the left, those between rows from the top.
        self.down = [_Lanes() for _column in range(self.columns + 1)]
        self.cross = [_Lanes() for _row in range(self.rows + 1)]
        self.outs: dict[Edge, float] = {}

    def layout(self) -> Layout:
        for edge in self.edges:
            self.boxes[edge.source].out.append(edge)
            self.boxes[edge.target].into.append(edge)
        crossings = self._take_cross_streets()
        frames, bottom = self._place_rows()
        lanes = self._take_streets(crossings, bottom)
        lefts, width = self._place_columns()
        for box in self.boxes.values():
            if box.name != HERE:
                box.x = lefts[box.column]
        if HERE in self.boxes:
            here = self.boxes[HERE]
            here.x, here.y, here.w, here.h = _MARGIN, bottom, width - 2 * _MARGIN, _BAR
            bottom += _BAR + _MARGIN
        ways = [(edge, self._way(edge, lanes[edge], crossings.get(edge))) for edge in self.edges]
        done = [
            Frame(
                frame.name,
                self._left_of(frame.name),
                frame.y,
                self._right_of(frame.name) - self._left_of(frame.name),
                frame.h,
            )
            for frame in frames
        ]
        return Layout(self.boxes, done, ways, width, bottom)

    def _take_cross_streets(self) -> dict[Edge, tuple[int, int]]:
        """Return street and lane of each edge that has to go past a column."""
        taken = {}
        for edge in self.edges:
            source, target = self.boxes[edge.source], self.boxes[edge.target]
            if HERE in (edge.source, edge.target) or source.column + 1 == target.column:
                continue
            street = source.row if target.row < source.row else source.row + 1
            if source.row == target.row and self._place_in_column(source) + self._place_in_column(target) < 1:
                street = source.row
            taken[edge] = street, self.cross[street].take(source.column + 1, target.column, 0.5)
        return taken

    def _place_in_column(self, box: Box) -> float:
        """0 for the first box of a column, 1 for the last one, 0.5 for one that is alone."""
        column = next(c for columns in self.members.values() for c in columns if box.name in c)
        return column.index(box.name) / (len(column) - 1) if len(column) > 1 else 0.5

    def _place_rows(self) -> tuple[list[Frame], float]:
        """Give each box its height and its place from the top; return the frames, and where the last street ends."""
        y, frames = _MARGIN, []
        for row in range(self.rows):
            y += self._street(row)
            low = y
            inside = [name for name, (at, _place) in self.grid.items() if at == row]
            for name in inside:
                for column in self.members[name]:
                    top = y + _HEAD
                    for member in column:
                        box = self.boxes[member]
                        box.y = top
                        box.h = max(box.least, _PORT * len(box.into) + 8, _OUT * (len(box.out) + 1))
                        top += box.h + _GAP
                    low = max(low, top - _GAP + _FRAME)
            frames += [Frame(name, 0.0, y, 0.0, low - y) for name in inside]
            y = low
        return frames, y + self._street(self.rows) + (_GAP if HERE in self.boxes else _MARGIN)

    def _street(self, row: int) -> float:
        lanes = len(self.cross[row])
        return (lanes + 1) * _LANE if lanes else (0.0 if row in (0, self.rows) else _GAP)

    def _cross_y(self, street: int, lane: int) -> float:
        inside = [box for box in self.boxes.values() if box.row == street and box.name != HERE]
        if inside:
            top = min(box.y for box in inside) - _HEAD
            return top - _LANE * (lane + 1)
        above = max(box.y + box.h for box in self.boxes.values() if box.row == street - 1 and box.name != HERE)
        return above + _FRAME + _LANE * (lane + 1)

    def _take_streets(self, crossings: Mapping[Edge, tuple[int, int]], bottom: float) -> dict[Edge, list[int]]:
        """Return the lanes of each edge: in the street where it starts, and in the one where it ends."""
        parts: dict[int, list[tuple[float, float, Edge, int]]] = {}
        for edge in self.edges:
            start, end = self._out_y(edge), self._in_y(edge)
            source, target = self.boxes[edge.source], self.boxes[edge.target]
            if edge.source == HERE:
                parts.setdefault(target.column, []).append((bottom, end, edge, 1))
            elif edge.target == HERE:
                parts.setdefault(source.column + 1, []).append((start, bottom, edge, 0))
            elif edge in crossings:
                y = self._cross_y(*crossings[edge])
                parts.setdefault(source.column + 1, []).append((start, y, edge, 0))
                parts.setdefault(target.column, []).append((y, end, edge, 1))
            else:
                parts.setdefault(target.column, []).append((start, end, edge, 0))
        lanes: dict[Edge, list[int]] = {edge: [0, 0] for edge in self.edges}
        for street, taken in parts.items():
            # So they cross least: what goes down starts the further right the higher it starts, what goes up the lower.
            down = sorted((part for part in taken if part[0] <= part[1]), key=lambda part: -part[0])
            up = sorted((part for part in taken if part[0] > part[1]), key=lambda part: (part[0], -part[1]))
            for start, end, edge, which in [*down, *up]:
                lanes[edge][which] = self.down[street].take(start, end, 6)
        return lanes

    def _place_columns(self) -> tuple[list[float], float]:
        """Return where each column of boxes begins, and how wide all is."""
        self.lane_x: list[float] = []
        lefts: list[float] = []
        x = _MARGIN
        for column in range(self.columns + 1):
            border = column in self.first
            x += (_FRAME if border else _LANE) if column else 0.0
            self.lane_x.append(x + _LANE)
            lanes = len(self.down[column])
            x += (lanes + 1) * _LANE if lanes else (_GAP if 0 < column < self.columns else 0.0)
            if column < self.columns:
                x += (_FRAME if border else 0.0) + self._stub(column)
                lefts.append(x)
                x += BOX_W
        return lefts, max(x + _MARGIN, 2 * _MARGIN + BOX_W)

    def _stub(self, column: int) -> float:
        """The room for numbers and arrows before a column."""
        longest = [len(e.numbers) for box in self.boxes.values() if box.column == column for e in box.into]
        return max(longest) * NUMBER + _ARROW if longest else 4.0

    def _left_of(self, cluster: str) -> float:
        column = self.first[self.grid[cluster][1]]
        box = next(box for box in self.boxes.values() if box.column == column and box.name != HERE)
        return box.x - self._stub(column) - _FRAME + 4

    def _right_of(self, cluster: str) -> float:
        last = self.first[self.grid[cluster][1]] + len(self.members[cluster]) - 1
        return (
            next(box.x for box in self.boxes.values() if box.column == last and box.name != HERE) + BOX_W + _FRAME - 4
        )

    def _out_y(self, edge: Edge) -> float:
        """Where an edge leaves its box: beside the ends of other edges in the next column, never level with one."""
        if edge not in self.outs:
            box = self.boxes[edge.source]
            order = sorted(box.out, key=lambda e: (*self._where(e.target), e.numbers))
            ends = [
                (self._in_y(end), end)
                for other in self.boxes.values()
                if other.column == box.column + 1 and other.name != HERE
                for end in other.into
            ]
            for index, own in enumerate(order):
                y = box.y + box.h * (index + 1) / (len(order) + 1)
                taken = [at for at, end in ends if end != own] + [self.outs[e] for e in order[:index]]
                nudged = (y + step for step in (0, 5, -5, 3, -3, 7, -7) if all(abs(y + step - at) >= 4 for at in taken))
                self.outs[own] = next(nudged, y)
        return self.outs[edge]

    def _in_y(self, edge: Edge) -> float:
        box = self.boxes[edge.target]
        order = sorted(box.into, key=lambda e: (*self._where(e.source), e.numbers))
        return box.y + box.h * (order.index(edge) + 0.5) / len(order)

    def _where(self, name: str) -> tuple[float, float]:
        box = self.boxes[name]
        return (float(self.rows + 1), 0.0) if name == HERE else (box.row, box.y)

    def _way(self, edge: Edge, lanes: list[int], crossing: tuple[int, int] | None) -> list[Point]:
        source, target = self.boxes[edge.source], self.boxes[edge.target]
        start = (source.x + source.w, self._out_y(edge))
        end = (target.x, self._in_y(edge))
        if edge.source == HERE:
            x = self.lane_x[target.column] + lanes[1] * _LANE
            return [(x, source.y), (x, end[1]), end]
        x = self.lane_x[min(source.column + 1, self.columns)] + lanes[0] * _LANE
        if edge.target == HERE:
            return [start, (x, start[1]), (x, target.y)]
        if crossing is None:
            return [start, (x, start[1]), (x, end[1]), end]
        y = self._cross_y(*crossing)
        other = self.lane_x[target.column] + lanes[1] * _LANE
        return [start, (x, start[1]), (x, y), (other, y), (other, end[1]), end]

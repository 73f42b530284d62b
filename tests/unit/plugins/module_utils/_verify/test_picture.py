# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture: what stands where, which way the edges take, and what they lead to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import layout
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.picture import STYLE, picture, style_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import check as made
from sites import circle, many, mesh, nothing, only, place, report, site

SVG = "{http://www.w3.org/2000/svg}"
SHAPES = [site, circle, many, mesh, only, nothing]
Rect = tuple[float, float, float, float]


def drawn(data: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(picture(data))  # noqa: S314 - our own text


def rects(root: ElementTree.Element, kind: str) -> Iterator[Rect]:
    for box in root.iter(f"{SVG}rect"):
        if kind in box.get("class", "").split():
            x, y, w, h = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
            yield x, y, x + w, y + h


def apart(one: Rect, other: Rect) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def corners(root: ElementTree.Element) -> Iterator[list[tuple[float, float]]]:
    for path in root.iter(f"{SVG}path"):
        if path.get("class", "").startswith("way "):
            yield [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path.attrib["d"])]


def test_each_check_is_drawn_as_what_became_of_it() -> None:
    styles = ["let_in", "failed", "refused", "looked", "waiting", "looked", "breach"]
    assert [style_of(check) for check in site()["checks"]] == styles
    root = drawn(site())
    badges = [box.attrib["class"] for box in root.iter(f"{SVG}rect") if "badge" in box.attrib["class"]]
    assert badges == [f"badge {style}" for style in styles]
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert {"Blue's <Envoy>", "control node", "blue", "green", "td/sleep"} <= set(texts)


def test_who_only_looks_has_no_arrow_of_one_who_is_let_in() -> None:
    looks = report([place("out", "a"), place("in", "a")], [made("out", "in", type="peer_certificate")])
    ways = [p for p in drawn(looks).iter(f"{SVG}path") if p.get("class", "").startswith("way ")]
    assert [(way.attrib["class"], way.attrib["marker-end"]) for way in ways] == [("way looked", "url(#mesh-looked)")]


def judge_geometry(data: dict[str, Any]) -> None:
    """Nothing lies outside of the picture, and nothing upon anything else."""
    root = drawn(data)
    _x, _y, width, height = map(float, root.attrib["viewBox"].split())
    boxes, clusters, badges = (list(rects(root, kind)) for kind in ("box", "cluster", "badge"))
    ways = list(corners(root))
    assert len(boxes) == len(data["endpoints"])
    for left, top, right, bottom in boxes + clusters + badges:
        assert left >= 0 and top >= 0 and right <= width and bottom <= height
    for way in ways:
        assert all(0 <= x <= width and 0 <= y <= height for x, y in way)
    for group in (boxes, clusters, badges):
        for one, other in combinations(group, 2):
            assert apart(one, other)
    inner = [(left + 1, top + 1, right - 1, bottom - 1) for left, top, right, bottom in boxes]
    pieces = []
    for number, way in enumerate(ways):
        for (x1, y1), (x2, y2) in pairwise(way):
            piece = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
            assert all(apart(piece, box) for box in inner), "no edge runs through a box"
            if abs(x1 - x2) + abs(y1 - y2) > 14:  # the rest is a round corner
                pieces.append((number, x1 == x2, piece))
    for (one, upright, (x1, y1, x2, y2)), (other, also, piece) in combinations(pieces, 2):
        if one != other and upright == also:
            assert apart((x1 - 1, y1 - 1, x2 + 1, y2 + 1), piece), "no edge lies upon another"


@pytest.mark.parametrize("make", SHAPES, ids=lambda make: make.__name__)
def test_everything_has_a_place_of_its_own(make: Callable[[], dict[str, Any]]) -> None:
    judge_geometry(make())


@st.composite
def sites(draw: st.DrawFn) -> dict[str, Any]:
    homes = draw(st.lists(st.sampled_from(["", "a", "b", "c", "d", "e"]), min_size=1, max_size=12))
    names = [f"p{n}" for n in range(len(homes))]
    places = [place("here", "", None, "control node"), *map(place, names, homes)]
    ends = st.tuples(
        st.sampled_from([*names, "here"]), st.sampled_from(names), st.sampled_from(["positive", "negative"])
    )
    return report(places, [made(*end) for end in draw(st.lists(ends, max_size=24))])


@given(sites())
@settings(max_examples=60, deadline=None)
def test_so_has_it_in_any_other_site(data: dict[str, Any]) -> None:
    judge_geometry(data)


def test_callers_stand_to_the_left_of_those_that_they_call() -> None:
    left = {
        "".join(text.itertext()): float(text.attrib["x"])
        for text in drawn(site()).iter(f"{SVG}text")
        if text.get("class") == "title"
    }
    assert left["sleep"] < left["Blue's <Envoy>"] == left["server"] < left["green"]


def test_four_clusters_are_readable_on_a_page() -> None:
    data = mesh()
    assert len(data["checks"]) == 36
    root = drawn(data)
    width = float(root.attrib["viewBox"].split()[2])
    assert width <= layout.WIDTH
    assert f"min-width:{width:.0f}px" in root.attrib["style"], "so it is never drawn smaller"
    sizes = [float(size) for size in re.findall(r"font-size:([\d.]+)px", STYLE)]
    assert len(sizes) == 4 and min(sizes) >= 11
    assert not [
        text for text in root.iter(f"{SVG}text") if {"textLength", "font-size", "transform"} & text.attrib.keys()
    ]
    assert len({rect[1] for rect in rects(root, "cluster")}) == 2, "in two rows"
    numbers = sorted(int(text.text or 0) for text in root.iter(f"{SVG}text") if text.get("class") == "number")
    assert numbers == list(range(1, 37))


def crowd(*more: dict[str, Any]) -> dict[str, Any]:
    """Everybody of twelve tries everybody of ten, in vain, and two are let in."""
    callers, callees = [place(f"a{n}", "one") for n in range(12)], [place(f"b{n}", "two") for n in range(10)]
    tried = [made(a["name"], b["name"], "negative") for a in callers for b in callees]
    return report([*callers, *callees], [*tried, made("a0", "b0"), made("a1", "b1"), *more])


def test_a_picture_that_would_be_crowded_has_lines_for_who_is_let_in_and_for_what_is_wrong() -> None:
    breach = made("a2", "b2", "negative", verdict="refuted", breach=True)
    root = drawn(crowd(breach, made("a3", "b3", verdict="refuted"), made("a4", "b4", type="peer_certificate")))
    ways = sorted(p.attrib["class"] for p in root.iter(f"{SVG}path") if p.get("class", "").startswith("way "))
    assert ways == ["way breach", "way failed", "way let_in", "way let_in"]
    numbers = sorted(int(text.text or 0) for text in root.iter(f"{SVG}text") if text.get("class") == "number")
    assert numbers == list(range(1, 126)), "each check is there once"


def test_nothing_lies_upon_anything_else_in_a_crowd() -> None:
    judge_geometry(crowd())


def test_checks_of_the_same_places_that_ended_alike_share_an_edge() -> None:
    places = [place("a", "one"), place("b", "one")]
    checks = [made("a", "b", name=str(n)) for n in range(3)] + [made("a", "b", "negative")]
    assert len(list(corners(drawn(report(places, checks))))) == 2


def test_a_number_leads_to_its_row_and_says_what_it_is() -> None:
    root = drawn(site())
    assert root.attrib["role"] == "group" and root.attrib["aria-labelledby"]
    links = list(root.iter(f"{SVG}a"))
    assert [(a.attrib["id"], a.attrib["href"]) for a in links] == [(f"edge-{n}", f"#check-{n}") for n in range(1, 8)]
    assert links[0].attrib["aria-label"] == links[0].findtext(f"{SVG}title") == "1. sleep to gate: HTTP 200"
    labels = [group.get("aria-label") for group in root.iter(f"{SVG}g")]
    assert "sleep, spiffe://td/sleep, in blue" in labels


def test_a_title_stays_inside_its_box() -> None:
    data = report([place("a", "c" * 300, "spiffe://td/" + "y" * 2000, "W" * 300), place("b", "x", None, "名" * 90)], [])
    root = drawn(data)
    for text in root.iter(f"{SVG}text"):
        said = "".join(text.itertext())
        size = {"title": 11.5, "id": 6.7, "cluster-name": 10.0}[text.attrib["class"]] * (1.4 if "名" in said else 1)
        assert len(said) * size <= layout.BOX_W * 1.35, said

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page for people, and the picture on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.page import html
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.picture import picture

SVG = "{http://www.w3.org/2000/svg}"
EVIL = """</style></title><script>alert('x')</script>"&"""


def place(name: str, cluster: str, spiffe_id: str | None = None, title: str = "") -> dict[str, Any]:
    return {"name": name, "cluster": cluster, "title": title or name, "spiffe_id": spiffe_id}


def check(source: str | None, target: str, kind: str = "positive", status: str = "pass", **more: Any) -> dict[str, Any]:
    return {
        "name": f"{source} to {target}",
        "kind": kind,
        "type": "request",
        "status": status,
        "expected": "HTTP 200",
        "observed": "HTTP 200",
        "duration_s": 0.5,
        "attempts": 1,
        "from": source,
        "to": target,
        **more,
    }


def report(places: list[dict[str, Any]], checks: list[dict[str, Any]], scenario: str = "site") -> dict[str, Any]:
    failed = sum(check["status"] == "fail" for check in checks)
    return {
        "scenario": scenario,
        "trust_domain": "example.org",
        "started": "2026-11-21T10:00:00.000Z",
        "finished": "2026-11-21T10:00:01.250Z",
        "duration_s": 1.25,
        "summary": {"passed": len(checks) - failed, "failed": failed},
        "endpoints": places,
        "checks": checks,
    }


def site() -> dict[str, Any]:
    return report(
        [
            place("here", "", None, "control node"),
            place("sleep", "blue", "spiffe://td/sleep"),
            place("gate", "blue", "spiffe://td/" + "x" * 80, "Blue's <Envoy>"),
            place("server", "blue"),
            place("green", "green"),
        ],
        [
            check("sleep", "gate", json_key="quote", value="a <quote>"),
            check("gate", "green", status="fail", hint="Look <here>."),
            check("here", "green", "negative"),
            check("here", "gate"),
            check("here", "server", "negative"),
            check(None, "sleep"),
        ],
    )


def drawn(data: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(picture(data))  # noqa: S314 - our own text


def rects(root: ElementTree.Element, kind: str) -> Iterator[tuple[float, float, float, float]]:
    for box in root.iter(f"{SVG}rect"):
        if box.get("class") == kind:
            x, y, w, h = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
            yield x, y, x + w, y + h


def test_the_picture_shows_each_check_as_what_became_of_it() -> None:
    root = drawn(site())
    groups = [group.get("class") for group in root.iter(f"{SVG}g")]
    assert groups == ["verified", "failed", "refused", "verified", "refused", "verified"]
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert {"Blue's <Envoy>", "control node", "blue", "green", "td/sleep"} <= set(texts)


def circle() -> dict[str, Any]:
    names = ["a", "b", "c"]
    return report([place(n, "one") for n in names], [check(a, b) for a in names for b in names if a != b])


def many() -> dict[str, Any]:
    places = [place("here", "", None, "control node"), *(place(f"p{n}", f"c{n % 4}") for n in range(12))]
    return report(places, [check("here", f"p{n}") for n in range(12)] + [check(f"p{n}", "p0") for n in range(1, 12)])


SHAPES = [site(), circle(), many(), report([place("only", "one")], [check(None, "only")]), report([], [])]


@pytest.mark.parametrize("data", SHAPES, ids=["site", "circle", "many", "one place", "no place"])
def test_nothing_lies_outside_the_picture_and_no_box_upon_another(data: dict[str, Any]) -> None:
    root = drawn(data)
    _x, _y, width, height = map(float, root.attrib["viewBox"].split())
    boxes, clusters = list(rects(root, "box")), list(rects(root, "cluster"))
    assert len(boxes) == len(data["endpoints"])
    for left, top, right, bottom in boxes + clusters:
        assert left >= 0 and top >= 0 and right <= width and bottom <= height
    for group in (boxes, clusters):
        for one, other in combinations(group, 2):
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for found in root.iter(f"{SVG}circle"):
        assert 0 <= float(found.attrib["cx"]) <= width and 0 <= float(found.attrib["cy"]) <= height


def test_callers_stand_to_the_left_of_those_that_they_call() -> None:
    root = drawn(site())
    left = {
        "".join(text.itertext()): float(text.attrib["x"])
        for text in root.iter(f"{SVG}text")
        if text.get("class") == "title"
    }
    assert left["sleep"] < left["Blue's <Envoy>"] == left["server"] < left["green"]


class Tags(HTMLParser):
    """Counts tags, and sees whether each one is closed."""

    void = ("meta", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not {name for name, _value in attrs} & {"src", "href", "onload", "onclick"}
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing() -> None:
    page = html(site())
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.seen.count("tr") == 1 + 6
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\((?!#)", page)
    assert "5 passed, 1 failed" in page and "NOT verified" in page
    assert "quote: «a &lt;quote&gt;»" in page
    assert "Look &lt;here&gt;." in page


def test_everything_from_outside_is_escaped() -> None:
    data = report(
        [place("a", EVIL, EVIL, EVIL), place("b", "blue")],
        [check("a", "b", name=EVIL, expected=EVIL, observed=EVIL, hint=EVIL, status="fail", serial=EVIL)],
        EVIL,
    )
    page = html(data)
    assert "<script" not in page
    assert page.count("</title>") == 1 + 1 + 1, "of the page, of the picture and of one edge"
    tags = Tags()
    tags.feed(page)
    assert tags.open == []

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page for people."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.frame import day_and_time
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.page import html
from sites import EVIL, check, place, report, site


class Tags(HTMLParser):
    """Counts tags, and sees whether each one is closed, and that links stay on the page."""

    void = ("meta", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        given = dict(attrs)
        assert not given.keys() & {"src", "onload", "onclick", "xlink:href"}
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(page: str) -> Tags:
    found = Tags()
    found.feed(page)
    assert found.open == []
    return found


def test_the_page_is_whole_and_loads_nothing() -> None:
    page = html(site())
    assert tags(page).seen.count("tr") == 1 + 7
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\((?!#)", page)
    assert "2 refuted (1 BREACH), 1 not judged, 4 proven" in page and "NOT verified" in page
    assert "quote: «a &lt;quote&gt;»" in page
    assert "Look &lt;here&gt;." in page


def test_numbers_lead_to_rows_and_back() -> None:
    found = tags(html(site()))
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert {f"#check-{n}" for n in range(1, 8)} | {f"#edge-{n}" for n in range(1, 8)} <= set(found.links)


def test_who_was_let_in_is_told_first() -> None:
    page = html(site())
    assert page.index("sleep was let in by green") < page.index("<svg") < page.index("<table")
    assert "Somebody was let in" not in html(report([place("a", "x")], [check(None, "a")]))


def test_what_was_tested_and_what_it_proves() -> None:
    page = html(site())
    tested = page[page.index("What was tested") :]
    for words in ("example.org (server one); other.org (server two)", "blue (context kind-blue)", "O=SPIFFE"):
        assert words in tested
    assert "<dt>SPIRE</dt><dd>1.15.3</dd>" in tested and "<dt>Istio &lt;x&gt;</dt>" in tested
    assert "25 Nov 2026 10:15:02 UTC" in tested
    assert "not all of it is as it should be" in page
    assert "who is listed was let in" in html(report([place("a", "x")], [check(None, "a")]))


def test_the_legend_explains_each_line_that_is_drawn_and_no_other() -> None:
    legend = html(site()).split('<ul class="legend"')[1].split("</ul>")[0]
    for style in ("let_in", "failed", "refused", "looked", "waiting", "breach"):
        assert f'class="way {style}"' in legend
    assert 'class="way failed"' not in html(report([place("a", "x")], [check(None, "a")])).split("<ul")[1]


def test_the_legend_of_a_crowded_picture_shows_numbers_where_there_are_no_lines() -> None:
    places = [place(f"p{n}", "x") for n in range(10)]
    crowded = report(places, [check(a["name"], b["name"], "negative") for a in places for b in places if a is not b])
    legend = html(crowded).split('<ul class="legend"')[1].split("</ul>")[0]
    assert 'class="badge refused"' in legend
    assert 'class="way refused"' not in html(crowded)


def test_it_is_dark_where_the_reader_wants_it_and_fits_a_phone() -> None:
    page = html(site())
    assert page.count("prefers-color-scheme") == 2 and page.count("prefers-color-scheme:dark") == 1
    assert "@media (max-width: 48rem)" in page and 'data-label="Observed"' in page
    assert "overflow-wrap: anywhere" in page and "table-layout: fixed" in page
    assert "move it sideways" in page


@pytest.mark.parametrize(
    ("stamp", "words"),
    [
        ("2026-11-25T10:15:02.250Z", "25 Nov 2026 10:15:02 UTC"),
        ("2027-01-03T00:00:00.000Z", "3 Jan 2027 00:00:00 UTC"),
    ],
)
def test_a_time_as_people_write_it(stamp: str, words: str) -> None:
    assert day_and_time(stamp) == words


def test_everything_from_outside_is_escaped() -> None:
    data = report(
        [place("a", EVIL, EVIL, EVIL), place("b", "blue")],
        [check("a", "b", name=EVIL, expected=EVIL, observed=EVIL, hint=EVIL, verdict="refuted", serial=EVIL)],
        EVIL,
    )
    data["versions"] = {EVIL: EVIL}
    data["servers"] = [{"name": EVIL, "trust_domain": EVIL, "agents": [{"id": EVIL}]}]
    data["clusters"] = [{"name": EVIL, "context": EVIL}]
    data["checks"][0] |= {"breach": True, "client": "other_identity", "client_spiffe_id": EVIL, "issuer": EVIL}
    page = html(data)
    assert "<script" not in page
    assert page.count("</title>") == 1 + 1 + 2 + 1, "of the page, the picture, two boxes and one number"
    tags(page)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The status as lines for a terminal, and as a page. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._status.model import BAD, LOOK, OK, outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.frame import day_and_time, page, text
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.report import grid, plain

Data = Mapping[str, Any]

MOST = 12
"""So many lines of one kind and one server are printed. The page has all."""
_NAME_WIDTH = 44
_WORDS = {OK: "ok", LOOK: "LOOK", BAD: "BAD"}
_CLASSES = {OK: "proven", LOOK: "not_judged", BAD: "refuted"}
_SECTIONS = (
    ("SPIRE servers", ("server",)),
    ("Agents", ("agent",)),
    ("Registration entries", ("entries",)),
    ("Federation", ("federation",)),
    ("Istio", ("istio", "proxies", "signed")),
)


def table(status: Data, width: int) -> list[str]:
    """Lines for a terminal, and how it is in one."""
    lines = list(_short(status["lines"]))
    names = min(max([4, *(len(line["name"]) for line in lines)]), _NAME_WIDTH, width // 3)
    rows = [(line["kind"], _WORDS[line["state"]], line["name"], line["text"]) for line in lines]
    return [*grid(("what", "is", "name", "told"), rows, (10, 4, names, width - names - 20)), "", plain(outcome(status))]


def _short(lines: Sequence[Data]) -> Iterator[Data]:
    """The lines, of very many of a kind only some: what is not as it should be, and the first of the others."""
    groups: dict[tuple[str, str], list[Data]] = {}
    for line in lines:
        groups.setdefault((line["of"], line["kind"]), []).append(line)
    for (of, kind), members in groups.items():
        chosen = sorted(members, key=lambda line: [BAD, LOOK, OK].index(line["state"]))[:MOST]
        yield from (line for line in members if line in chosen)
        if len(members) > MOST:
            more = f"{len(members) - MOST} more, on the page"
            yield {"kind": kind, "name": of, "state": OK, "text": more, "of": of}


def html(status: Data) -> str:
    """The page. Everything that comes from outside is escaped."""
    count = status["summary"]
    state = BAD if count[BAD] else LOOK if count[LOOK] else OK
    wrong = [(number, line) for number, line in enumerate(status["lines"], 1) if line["state"] == BAD]
    alarm = "".join(f'<li><a href="#line-{n}">{text(line["name"])}</a>: {text(line["text"])}</li>' for n, line in wrong)
    body = [
        f"<h1>{escape(status['scenario'])}</h1>\n",
        f'<p><span class="{_CLASSES[state]}">{escape(outcome(status))}</span> &middot; ',
        f"{escape(day_and_time(status['finished']))}</p>\n",
        f'<div class="alarm"><h2>Not as it should be</h2><ul>{alarm}</ul></div>\n' if alarm else "",
        *(_section(status, title, kinds) for title, kinds in _SECTIONS),
    ]
    return page(f"{status['scenario']}: status", "".join(body))


def _section(status: Data, title: str, kinds: Sequence[str]) -> str:
    rows = [(number, line) for number, line in enumerate(status["lines"], 1) if line["kind"] in kinds]
    if not rows:
        return ""
    heads = "".join(f'<th role="columnheader">{head}</th>' for head in ("Of", "Name", "Is", "Told"))
    return (
        f'<h2>{title}</h2>\n<table class="rows" role="table">\n'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{"".join(_row(number, line) for number, line in rows)}</tbody>\n</table>\n'
    )


def _row(number: int, line: Data) -> str:
    state = f' class="{_CLASSES[line["state"]]}"'
    cells = (
        ("Of", text(line["of"]), ""),
        ("Name", text(line["name"]), ""),
        ("Is", _WORDS[line["state"]], state),
        ("Told", text(line["text"]), ""),
    )
    inner = "".join(f'<td role="cell" data-label="{head}"{of}>{words}</td>' for head, words, of in cells)
    return f'<tr id="line-{number}" role="row">{inner}</tr>\n'

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The frame of every page: one HTML file that loads nothing, dark where the reader wants it, good on a phone. Pure."""

from __future__ import annotations

from html import escape
from string import Template

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.picture import COLOURS, DARK

_FRAME = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root {$colours }
@media (prefers-color-scheme: dark) { :root {$dark } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
a { color: var(--look); }
.proven { color: var(--good); font-weight: 600; } .refuted, .breach { color: var(--bad); font-weight: 600; }
.not_judged { color: var(--wait); font-weight: 600; }
.alarm { border: 2px solid var(--bad); border-radius: 8px; padding: .6rem 1rem; margin: 1rem 0; }
.alarm h2 { margin: 0 0 .3rem; color: var(--bad); } .alarm ul { margin: 0; padding-left: 1.2rem; }
.said { font-size: 1.15rem; margin: .6rem 0; }
.picture { overflow-x: auto; } .picture > svg { display: block; width: 100%; height: auto; }
.scroll { display: none; color: var(--soft); font-size: .85em; margin: .5rem 0; }
.rows th:nth-child(1) { width: 6.5rem; } .rows th:nth-child(2) { width: 22rem; } .rows th:nth-child(3) { width: 5rem; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .6rem 0; padding: 0;
  color: var(--soft); font-size: .9em; }
.legend svg { vertical-align: middle; margin-right: .4rem; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
.checks th:nth-child(1) { width: 3.2rem; } .checks th:nth-child(2) { width: 6.5rem; }
.checks th:nth-child(3) { width: 6rem; }
tr:target { background: var(--frame); outline: 2px solid var(--look); }
.hint { color: var(--wait); } .small { color: var(--soft); font-size: .85em; }
code, .mono { font-family: ui-monospace, monospace; font-size: .85em; }
summary { cursor: pointer; color: var(--soft); font-size: .85em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; }
@media (max-width: 48rem) {
  .scroll { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, td { display: block; width: auto; }
  tr { border: 1px solid var(--line); border-radius: 8px; margin: .8rem 0; padding: .4rem .2rem; }
  td { border: 0; padding: .15rem .6rem; }
  .checks td:nth-child(-n+3) { display: inline-block; }
  td[data-label]::before { content: attr(data-label); display: block; color: var(--soft); font-size: .8em; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
}
</style>
</head>
<body>
$body</body>
</html>
"""
)

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def page(title: str, body: str) -> str:
    """Return the page around ``body``, which is HTML; the title is text."""
    return _FRAME.substitute(colours=COLOURS, dark=DARK, title=escape(title), body=body)


def day_and_time(stamp: str) -> str:
    """Return an ISO time of UTC as people write it: ``25 Nov 2026 10:15:02 UTC``."""
    day, _t, time = stamp.partition("T")
    year, month, number = day.split("-")
    return f"{int(number)} {_MONTHS[int(month) - 1]} {year} {time[:8]} UTC"


def text(words: str) -> str:
    """Escaped, and with the places where a long SPIFFE ID may be broken."""
    return escape(words).replace("/", "/<wbr>")

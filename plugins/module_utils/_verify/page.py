# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Makes the page for people from a report: one HTML file that loads nothing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import report as reports
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import NOT_JUDGED, PROVEN, REFUTED
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.picture import (
    COLOURS,
    DARK,
    STYLES,
    end,
    picture,
    style_of,
    styles_inside,
)

_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$scenario: $word</title>
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
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .6rem 0; padding: 0;
  color: var(--soft); font-size: .9em; }
.legend svg { vertical-align: middle; margin-right: .4rem; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
th:nth-child(1) { width: 3.2rem; } th:nth-child(2) { width: 6.5rem; } th:nth-child(3) { width: 6rem; }
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
  td:nth-child(-n+3) { display: inline-block; }
  td[data-label]::before { content: attr(data-label); display: block; color: var(--soft); font-size: .8em; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
}
</style>
</head>
<body>
<h1>$scenario</h1>
<p><span class="$state">$outcome</span> in $duration s &middot; $finished</p>
$alarm$said<p>$proof</p>
<p class="scroll" id="scroll">The picture is wider than this screen: move it sideways.</p>
<div class="picture" role="region" aria-label="Picture of the checked connections" tabindex="0">
$picture
</div>
<ul class="legend" aria-label="What the lines mean">
$legend
</ul>
<h2>Checks</h2>
<table role="table">
<thead role="rowgroup"><tr role="row"><th role="columnheader">#</th><th role="columnheader">Result</th>
<th role="columnheader">Kind</th><th role="columnheader">Check</th><th role="columnheader">Expected</th>
<th role="columnheader">Observed</th></tr></thead>
<tbody role="rowgroup">
$rows
</tbody>
</table>
<h2>What was tested</h2>
<dl>
$tested
</dl>
</body>
</html>
"""
)

_SHOWN = (
    *("name", "kind", "type", "status", "verdict", "breach", "expected", "observed", "duration_s", "attempts"),
    *("from", "to", "hint"),
)
_RESULTS = {PROVEN: "proven", REFUTED: "refuted", NOT_JUDGED: "not judged"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_PROVEN = (
    "It was tried on the wire, with real TLS handshakes and real requests: who is listed was let in, who is not was"
    " refused, and every certificate that was looked at led to the trust bundle of its own trust domain."
)
_NOT_PROVEN = (
    "It was tried on the wire, with real TLS handshakes and real requests, and not all of it is as it should be: see"
    " the checks that are not proven."
)


def html(report: Mapping[str, Any]) -> str:
    """Return the whole page. Everything that comes from outside is escaped."""
    count = report["summary"]
    return _PAGE.substitute(
        colours=COLOURS,
        dark=DARK,
        scenario=escape(report["scenario"]),
        word="NOT verified" if count["failed"] else "verified",
        state="refuted" if count["refuted"] else "not_judged" if count["failed"] else "proven",
        outcome=escape(reports.outcome(report)),
        duration=f"{report['duration_s']:.1f}",
        finished=escape(day_and_time(report["finished"])),
        alarm=_alarm(report),
        said="".join(f'<p class="said">{escape(line)}</p>\n' for line in reports.quoted(report)),
        proof=_NOT_PROVEN if count["failed"] else _PROVEN,
        picture=picture(report),
        legend=_legend(report),
        rows="\n".join(_row(number, check) for number, check in enumerate(report["checks"], 1)),
        tested=_tested(report),
    )


def day_and_time(stamp: str) -> str:
    """Return an ISO time of UTC as people write it: ``25 Nov 2026 10:15:02 UTC``."""
    day, _t, time = stamp.partition("T")
    year, month, number = day.split("-")
    return f"{int(number)} {_MONTHS[int(month) - 1]} {year} {time[:8]} UTC"


def _alarm(report: Mapping[str, Any]) -> str:
    """Who was let in and should not have been, in words."""
    titles = reports.titles(report)
    items = "".join(
        f'<li>{_text(reports.breach(check, titles))} (<a href="#check-{number}">check {number}</a>)</li>'
        for number, check in enumerate(report["checks"], 1)
        if check["breach"]
    )
    return f'<div class="alarm"><h2>Somebody was let in</h2><ul>{items}</ul></div>\n' if items else ""


def _legend(report: Mapping[str, Any]) -> str:
    """A sample of each line that the picture has, and what it means."""
    used = {style_of(check) for check in report["checks"]}
    inside = styles_inside(report)
    return "\n".join(
        f'<li><svg class="mesh" width="46" height="18" aria-hidden="true">{_sample(style, style in inside)}</svg>'
        f"{escape(words)}</li>"
        for style, words in STYLES.items()
        if style in used
    )


def _sample(style: str, is_inside: bool) -> str:
    """How a check of this style is drawn: as a line, or as a number in the box of whom it is about."""
    if is_inside:
        return (
            f'<rect x="14" y="1" width="18" height="16" rx="8" class="badge {style}"/>'
            '<text x="23" y="13" class="number">n</text>'
        )
    return f'<path d="M1,9 L42,9" class="way {style}"{end(style)}/>'


def _row(number: int, check: Mapping[str, Any]) -> str:
    way = f"{check['from']} → {check['to']}" if check["from"] and check["to"] else check["to"] or ""
    hint = f'<div class="hint">{_text(check["hint"])}</div>' if check.get("hint") else ""
    attempts = f"{check['attempts']} attempt" + ("" if check["attempts"] == 1 else "s")
    details = "".join(
        f'<div class="mono">{escape(str(key))}: {_text(_shown(value))}</div>'
        for key, value in check.items()
        if key not in _SHOWN and value is not None
    )
    result = "let in" if check["breach"] else _RESULTS[check["verdict"]]
    place = f'<a href="#edge-{number}" aria-label="check {number} on the picture">{number}</a>' if way else str(number)
    return (
        f'<tr id="check-{number}" role="row">'
        f'<td role="cell">{place}</td>'
        f'<td role="cell" class="{check["verdict"]}">{result}</td>'
        f'<td role="cell">{escape(check["kind"])}</td>'
        f'<td role="cell" data-label="Check">{_text(check["name"])}<div class="small">{_text(way)}</div></td>'
        f'<td role="cell" data-label="Expected">{_text(check["expected"])}</td>'
        f'<td role="cell" data-label="Observed">{_text(check["observed"])}{hint}'
        f"<details><summary>{check['duration_s']} s, {attempts}</summary>{details}</details></td></tr>"
    )


def _tested(report: Mapping[str, Any]) -> str:
    """What was tested: trust domains, servers and their agents, clusters, versions, who issued the certificates."""
    servers: dict[str, list[str]] = {}
    for server in report["servers"]:
        servers.setdefault(server["trust_domain"], []).append(server["name"])
    clusters = [
        f"{cluster['name']} (context {cluster['context']})" if cluster["context"] else cluster["name"]
        for cluster in report["clusters"]
    ]
    issuers = dict.fromkeys(str(check["issuer"]) for check in report["checks"] if check.get("issuer"))
    facts = [
        ("Trust domains", "; ".join(f"{domain} (server {', '.join(names)})" for domain, names in servers.items())),
        ("Clusters", ", ".join(clusters)),
        ("Agents", "; ".join(agent["id"] for server in report["servers"] for agent in server["agents"])),
        *report["versions"].items(),
        ("Certificates issued by", "; ".join(issuers)),
        ("Started", day_and_time(report["started"])),
        ("Finished", day_and_time(report["finished"])),
    ]
    return "\n".join(f"<dt>{escape(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts if value)


def _shown(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def _text(words: str) -> str:
    """Escaped, and with the places where a long SPIFFE ID may be broken."""
    return escape(words).replace("/", "/<wbr>")

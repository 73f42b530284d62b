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
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.frame import day_and_time, page, text
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.picture import (
    STYLES,
    end,
    picture,
    style_of,
    styles_inside,
)

_BODY = Template(
    """<h1>$scenario</h1>
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
<table class="checks" role="table">
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
"""
)

_SHOWN = (
    *("name", "kind", "type", "status", "verdict", "breach", "expected", "observed", "duration_s", "attempts"),
    *("from", "to", "hint"),
)
_RESULTS = {PROVEN: "proven", REFUTED: "refuted", NOT_JUDGED: "not judged"}

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
    body = _BODY.substitute(
        scenario=escape(report["scenario"]),
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
    return page(f"{report['scenario']}: {'NOT verified' if count['failed'] else 'verified'}", body)


def _alarm(report: Mapping[str, Any]) -> str:
    """Who was let in and should not have been, in words."""
    titles = reports.titles(report)
    items = "".join(
        f'<li>{text(reports.breach(check, titles))} (<a href="#check-{number}">check {number}</a>)</li>'
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
    hint = f'<div class="hint">{text(check["hint"])}</div>' if check.get("hint") else ""
    attempts = f"{check['attempts']} attempt" + ("" if check["attempts"] == 1 else "s")
    details = "".join(
        f'<div class="mono">{escape(str(key))}: {text(_shown(value))}</div>'
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
        f'<td role="cell" data-label="Check">{text(check["name"])}<div class="small">{text(way)}</div></td>'
        f'<td role="cell" data-label="Expected">{text(check["expected"])}</td>'
        f'<td role="cell" data-label="Observed">{text(check["observed"])}{hint}'
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
    return "\n".join(f"<dt>{escape(name)}</dt><dd>{text(value)}</dd>" for name, value in facts if value)


def _shown(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)

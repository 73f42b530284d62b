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

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.picture import picture
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.report import quoted

_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$scenario: $word</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1f2328;
  background: #fff; }
h1 { font-size: 1.5rem; margin: 0; }
.pass { color: #1a7f37; font-weight: 600; } .fail { color: #cf222e; font-weight: 600; }
.said { font-size: 1.15rem; margin: .6rem 0; }
.picture { overflow-x: auto; } .picture svg { display: block; width: 100%; min-width: 46rem; height: auto; }
.key { color: #57606a; } .key span { margin-right: 1.2rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #d0d7de; }
th { white-space: nowrap; } td:nth-child(4) { min-width: 15rem; } td:nth-child(n+5) { min-width: 14rem; }
tr.bad td { background: #fff5f5; }
.hint { color: #9a6700; } .way { color: #57606a; font-size: .85em; }
code, .mono { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere; }
summary { cursor: pointer; color: #57606a; font-size: .85em; }
</style>
</head>
<body>
<h1>$scenario</h1>
<p><span class="$status">$passed passed, $failed failed</span> in $duration s &middot; trust domain
<code>$trust_domain</code> &middot; $started</p>
$said<div class="picture">
$picture
</div>
<p class="key"><span>Solid green: let in, identity verified.</span> <span>Dashed grey: tried, and refused as it should
be.</span> <span>Red: a check failed, or could not be judged.</span> <span>Numbers are the rows of the table.</span></p>
<div class="table"><table>
<thead><tr><th>#</th><th>Result</th><th>Kind</th><th>Check</th><th>Expected</th><th>Observed</th></tr></thead>
<tbody>
$rows
</tbody>
</table></div>
</body>
</html>
"""
)

_SHOWN = ("name", "kind", "type", "status", "expected", "observed", "duration_s", "attempts", "from", "to", "hint")


def html(report: Mapping[str, Any]) -> str:
    """Return the whole page. Everything that comes from outside is escaped."""
    failed = report["summary"]["failed"]
    return _PAGE.substitute(
        scenario=escape(report["scenario"]),
        word="NOT verified" if failed else "verified",
        status="fail" if failed else "pass",
        passed=report["summary"]["passed"],
        failed=failed,
        duration=f"{report['duration_s']:.1f}",
        trust_domain=escape(report["trust_domain"]),
        started=escape(report["started"]),
        said="".join(f'<p class="said">{escape(line)}</p>\n' for line in quoted(report)),
        picture=picture(report),
        rows="\n".join(_row(number, check) for number, check in enumerate(report["checks"], 1)),
    )


def _row(number: int, check: Mapping[str, Any]) -> str:
    way = f"{check['from']} → {check['to']}" if check["from"] and check["to"] else check["to"] or ""
    hint = f'<div class="hint">{escape(check["hint"])}</div>' if check.get("hint") else ""
    attempts = f"{check['attempts']} attempt" + ("" if check["attempts"] == 1 else "s")
    details = "".join(
        f'<div class="mono">{escape(str(key))}: {escape(str(value))}</div>'
        for key, value in check.items()
        if key not in _SHOWN and value is not None
    )
    return (
        f'<tr class="{"bad" if check["status"] == "fail" else "good"}"><td>{number}</td>'
        f'<td class="{escape(check["status"])}">{escape(check["status"])}</td>'
        f'<td>{escape(check["kind"])}</td><td>{escape(check["name"])}<div class="way">{escape(way)}</div></td>'
        f"<td>{_text(check['expected'])}</td><td>{_text(check['observed'])}{hint}"
        f"<details><summary>{check['duration_s']} s, {attempts}</summary>{details}</details></td></tr>"
    )


def _text(words: str) -> str:
    """Escaped, and with the places where a long SPIFFE ID may be broken."""
    return escape(words).replace("/", "/<wbr>")

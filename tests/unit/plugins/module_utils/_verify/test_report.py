# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report, the table and the picture."""

from __future__ import annotations

import datetime
import json
from xml.etree import ElementTree

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import report
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check, Endpoint, read_endpoints

T0 = datetime.datetime(2026, 11, 21, 10, tzinfo=datetime.timezone.utc)
SVG = "{http://www.w3.org/2000/svg}"


def places() -> dict[str, Endpoint]:
    return read_endpoints(
        {
            "sleep": {"cluster": "blue", "pod": "deploy/sleep", "spiffe_id": "spiffe://td/sleep"},
            "gate": {"cluster": "blue", "title": "Blue's <Envoy>", "spiffe_id": "spiffe://td/" + "x" * 80},
            "green": {"cluster": "green"},
        }
    )


def verdict(name: str, ok: bool, kind: str = "positive", **fields: str) -> Verdict:
    check = Check(name, "request", kind, fields, hint="Look here.")
    attempt = Attempt(ok, "HTTP 200", "HTTP 200" if ok else "HTTP <503>", "And there.", {"serial": "ab", "name": "no"})
    return Verdict(check, attempt, 2, 0.5)


def made() -> report.Report:
    verdicts = [
        verdict("a quote", True, **{"from": "sleep", "to": "gate"}),
        verdict("across", False, **{"from": "gate", "to": "green"}),
        verdict("a stranger", True, "negative", **{"from": "here", "to": "green"}),
        verdict("its own certificate", True, to="sleep"),
    ]
    return report.make(
        scenario="site",
        trust_domain="td",
        endpoints=places(),
        verdicts=verdicts,
        started=T0,
        finished=T0 + datetime.timedelta(seconds=1.25),
    )


def test_the_contract() -> None:
    data = json.loads(json.dumps(made()))
    assert (data["scenario"], data["duration_s"]) == ("site", 1.25)
    assert (data["started"], data["finished"]) == ("2026-11-21T10:00:00.000Z", "2026-11-21T10:00:01.250Z")
    assert data["summary"] == {"passed": 3, "failed": 1}
    first, second = data["checks"][:2]
    assert first["name"] == "a quote", "details never cover what the contract names"
    assert {"kind": "positive", "status": "pass", "serial": "ab", "attempts": 2}.items() <= first.items()
    assert "hint" not in first
    assert second["hint"] == "Look here. And there."


def test_the_table() -> None:
    lines = report.table(made())
    assert lines[-1] == "site: 1 of 4 checks FAILED in 1.2 s"
    assert any(line.startswith("FAIL    positive  across") for line in lines)
    assert all(len(line) <= report.TABLE_WIDTH for line in lines)


def test_failures_name_expected_observed_and_hint() -> None:
    (text,) = report.failures(made())
    assert text == "across (positive): expected HTTP 200; observed HTTP <503>. Look here. And there."


def test_the_picture_is_well_formed_and_shows_each_edge() -> None:
    picture = ElementTree.fromstring(report.picture(made()))  # noqa: S314 - our own text
    assert [group.get("class") for group in picture.iter(f"{SVG}g")] == ["verified", "failed", "refused"]
    texts = ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]
    assert "Blue's <Envoy>" in texts
    assert "control node" in texts
    assert "sleep   (check 4)" in texts
    _x, _y, width, height = map(float, picture.attrib["viewBox"].split())
    for box in picture.iter(f"{SVG}rect"):
        x, y, w, h = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height

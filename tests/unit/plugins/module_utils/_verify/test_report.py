# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report, and what is printed of it."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import report
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check, Endpoint
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.reading import read_mesh

T0 = datetime.datetime(2026, 11, 21, 10, tzinfo=datetime.timezone.utc)


def places() -> dict[str, Endpoint]:
    raw = [
        {"name": "sleep", "cluster": "blue", "pod": "deploy/sleep", "spiffe_id": "spiffe://td/sleep"},
        {"name": "gate", "cluster": "blue", "title": "Blue's <Envoy>", "spiffe_id": "spiffe://td/" + "x" * 80},
        {"name": "green", "cluster": "green"},
    ]
    return dict(read_mesh(raw, {"blue": "td", "far": "far.td", "second": "td"}, ["blue"]).endpoints)


def verdict(name: str, ok: bool, kind: str = "positive", **fields: str) -> Verdict:
    check = Check(name, "request", kind, fields, hint="Look here.")
    attempt = Attempt(ok, "HTTP 200", "HTTP 200" if ok else "HTTP <503>", "And there.", {"serial": "ab", "name": "no"})
    return Verdict(check, attempt, 2, 0.5)


def refused(name: str, attempt: Attempt, kind: str = "refused_request", **fields: str) -> Verdict:
    return Verdict(Check(name, kind, "negative", {"from": "here", "to": "green", **fields}), attempt, 1, 0.1)


def what() -> report.Tested:
    servers = {"blue": "td", "far": "far.td", "second": "td"}
    return report.Tested({"SPIRE": "1.15.3"}, {"blue": "kind-blue", "green": ""}, servers)


def made(*more: Verdict) -> report.Report:
    verdicts = [
        verdict("a quote", True, **{"from": "sleep", "to": "gate"}),
        verdict("across", False, **{"from": "gate", "to": "green"}),
        verdict("a stranger", True, "negative", **{"from": "here", "to": "green"}),
        verdict("its own certificate", True, to="sleep"),
        *more,
    ]
    return report.make(
        scenario="site",
        tested=what(),
        endpoints=places(),
        verdicts=verdicts,
        started=T0,
        finished=T0 + datetime.timedelta(seconds=1.25),
        agents={"blue": [{"id": f"spiffe://td/spire/agent/k8s_psat/blue/{n}"} for n in range(10)]},
    )


def entry(**more: Any) -> dict[str, Any]:
    status = "pass" if more.get("verdict", "proven") == "proven" else "fail"
    known = {"name": "n", "kind": "positive", "type": "request", "status": status, "verdict": "proven"}
    return {**known, "breach": False, "expected": "e", "observed": "o", "from": "here", "to": "green", **more}


def of(*checks: dict[str, Any]) -> report.Report:
    count = {word: sum(check["verdict"] == word for check in checks) for word in ("proven", "refuted", "not_judged")}
    failed = count["refuted"] + count["not_judged"]
    return {
        "scenario": "site",
        "duration_s": 1.0,
        "summary": {"passed": count.pop("proven"), "failed": failed, **count},
        "checks": list(checks),
        "endpoints": [{"name": "green", "title": "Green's Envoy"}],
        "servers": [],
    }


def test_the_contract() -> None:
    data = json.loads(json.dumps(made()))
    assert (data["scenario"], data["duration_s"]) == ("site", 1.25)
    assert (data["started"], data["finished"]) == ("2026-11-21T10:00:00.000Z", "2026-11-21T10:00:01.250Z")
    assert data["summary"] == {"passed": 3, "failed": 1, "refuted": 1, "not_judged": 0}
    assert (data["schema_version"], data["versions"]) == (1, {"SPIRE": "1.15.3"})
    assert data["trust_domains"] == ["td", "far.td"]
    assert data["clusters"][0] == {"name": "blue", "context": "kind-blue"}
    assert [len(server["agents"]) for server in data["servers"]] == [10, 0, 0]
    assert [check["verdict"] for check in data["checks"]] == ["proven", "refuted", "proven", "proven"]
    assert [check["breach"] for check in data["checks"]] == [False] * 4
    first, second = data["checks"][:2]
    assert first["name"] == "a quote", "details never cover what the contract names"
    assert {"kind": "positive", "status": "pass", "serial": "ab", "attempts": 2}.items() <= first.items()
    assert "hint" not in first
    assert second["hint"] == "Look here. And there."


def test_the_table() -> None:
    lines = report.table(made())
    assert lines[-1] == "site: 1 refuted, 3 proven in 1.2 s"
    assert lines[-3] == "agent of blue: spiffe://td/spire/agent/k8s_psat/blue/7"
    assert lines[-2] == "agents of blue: 2 more, in the report"
    assert any(line.startswith("REFUTED     positive  across") for line in lines)
    assert all(len(line) <= report.TABLE_WIDTH for line in lines)


def test_failures_name_expected_observed_and_hint() -> None:
    (text,) = report.failures(made())
    assert text == "across (positive): expected HTTP 200; observed HTTP <503>. Look here. And there."


def test_the_quote_stands_below_the_sum() -> None:
    lines = report.table(of(entry(json_key="quote", value="Short lives\nmake \x1b[31mhonest certificates.")))
    assert lines[-2:] == ["site: 1 check passed in 1.0 s", "quote: «Short lives make  [31mhonest certificates.»"]


def test_nothing_from_the_network_commands_the_terminal() -> None:
    lines = report.table(of(entry(observed="HTTP 503:\x1b]0;owned\x07\r\nbad\u202e")))
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("width", [72, 100, 132])
def test_a_spiffe_id_breaks_only_behind_a_slash(width: int) -> None:
    spiffe_id = "spiffe://example.org/ns/a-namespace-with-a-long-name/sa/gateway"
    lines = report.table(of(entry(name="the gateway's sidecar presents its SPIFFE ID", observed=spiffe_id)), width)
    column = lines[0].index("observed")
    parts = [line[column:] for line in lines[2 : lines.index("")]]
    assert "".join(parts) == spiffe_id
    assert all(part.endswith("/") for part in parts[:-1]) or width == 72
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, [""]),
        ("a b", 10, ["a b"]),
        ("refused: TLS alert", 12, ["refused: TLS", "alert"]),
        ("it is spiffe://example.org/ns/demo", 22, ["it is spiffe://", "example.org/ns/demo"]),
        ("x" * 25, 10, ["x" * 10, "x" * 10, "x" * 5]),
    ],
)
def test_wrapping(text: str, width: int, lines: list[str]) -> None:
    assert report.wrap(text, width) == lines


def test_checks_that_build_on_a_failed_one_are_named_once_and_last() -> None:
    data = of(
        entry(name="first", verdict="refuted"),
        entry(name="second", verdict="not_judged", builds_on="first"),
        entry(name="third", verdict="not_judged", builds_on="first"),
        entry(),
    )
    assert report.failures(data) == [
        "first (positive): expected e; observed o.",
        "Not judged, for they build on a check that failed: second; third.",
    ]
    assert report.summary(data) == "site: 1 refuted, 2 not judged, 1 proven in 1.0 s"
    assert any(line.startswith("not judged  positive  second") for line in report.table(data))


def test_who_was_let_in_stands_first_and_in_words() -> None:
    open_door = Attempt(False, "refused: connection reset", "let in: HTTP 200", "Close it.", breach=True)
    data = made(
        refused("plain", open_door, **{"from": "sleep"}), refused("quiet", Attempt(False, "refused", "no answer"))
    )
    texts = report.failures(data)
    assert texts[0] == (
        "sleep was let in by green: plain (negative): expected refused: connection reset; observed let in: HTTP 200."
        " Close it."
    )
    assert [text.split(" (")[0] for text in texts[1:]] == ["across", "quiet"]
    assert report.summary(data) == "site: 3 refuted (1 BREACH), 3 proven in 1.2 s"
    assert any(line.startswith("BREACH      negative  plain") for line in report.table(data))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"type": "refused_handshake", "client": "none"}, "A client without a certificate was let in by Green's Envoy"),
        (
            {"type": "refused_handshake", "client": "none", "from": "outsider"},
            "outsider, without a certificate, was let in by Green's Envoy",
        ),
        (
            {"type": "refused_handshake", "client": "other_identity", "client_spiffe_id": "spiffe://td/x"},
            "spiffe://td/x, which is not listed, was let in by Green's Envoy",
        ),
        (
            {"type": "refused_handshake", "client": "foreign_ca", "client_spiffe_id": "spiffe://td/x"},
            "spiffe://td/x, certified by another CA, was let in by Green's Envoy",
        ),
        ({"type": "token_reuse"}, "An agent with a used join token was let in by Green's Envoy"),
        ({"type": "refused_request", "from": "stranger"}, "stranger was let in by Green's Envoy"),
    ],
)
def test_a_breach_in_words(more: dict[str, Any], words: str) -> None:
    assert report.breach(entry(**more), {"green": "Green's Envoy"}) == words

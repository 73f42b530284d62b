# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role verify on a real site: what it prints, writes, and how it fails."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from playbook import play

from ..kubernetes_api import running_api
from .conftest import BLUE, GREEN, TRUST_DOMAIN, Site

LET_IN = {"name": "Blue is let in", "type": "accepted_handshake", "to": "green", "client_spiffe_id": BLUE}
QUOTE = {"name": "a quote for sleep", "type": "request", "from": "sleep", "to": "blue", "json_key": "quote"}
SAW = {
    "name": "Green saw <Blue>",
    "type": "forwarded_certificate",
    "from": "blue",
    "to": "green",
    "request": "a quote for sleep",
}
STRANGER = {
    "name": "a stranger",
    "type": "refused_handshake",
    "client": "other_identity",
    "to": "green",
    "control": "Blue is let in",
}
# Its program is the text of a file inside the archive that Ansible makes of a module.
FROM_POD = {**STRANGER, "name": "from a pod", "client": "none", "from": "sleep"}


def verify(
    site: Site,
    folder: Path,
    checks: list[dict[str, Any]],
    *more: str,
    green: str | None = None,
    env: dict[str, str] | None = None,
    **other: Any,
) -> subprocess.CompletedProcess[str]:
    variables: dict[str, Any] = {
        "verify_scenario": "site",
        "verify_clusters": [{"name": "blue", "kubectl": site.kubectl}],
        "verify_servers": [
            {
                "name": "blue",
                "trust_domain": TRUST_DOMAIN,
                "binary": site.server_binary,
                "socket_path": site.server_socket,
            }
        ],
        "verify_checks": checks,
        "verify_versions": {"SPIRE": "1.15.3"},
        "verify_spire_agent_binary": site.agent_binary,
        "verify_report_dir": str(folder / "reports"),
        "verify_timeout": 20,
        "verify_settle": 0,
        "verify_endpoints": [
            {"name": "sleep", "cluster": "blue", "pod": "deploy/sleep", "title": "sleep"},
            {"name": "blue", "cluster": "blue", "url": site.blue_url, "spiffe_id": BLUE, "title": "Blue's Envoy"},
            {
                "name": "green",
                "cluster": "green",
                "address": green or site.strict,
                "spiffe_id": GREEN,
                "title": "Green's Envoy",
            },
        ],
        **other,
    }
    plays = [{"hosts": "localhost", "vars": variables, "roles": ["trustmesh.spiffe.verify"]}]
    return play(plays, folder, *more, **env or {})


def remove(folder: Path) -> subprocess.CompletedProcess[str]:
    """Call the other entry point with nothing but what it needs."""
    variables = {"verify_scenario": "site", "verify_report_dir": str(folder / "reports")}
    role = {"name": "trustmesh.spiffe.verify", "tasks_from": "remove"}
    tasks = [{"name": "Remove", "ansible.builtin.include_role": role}]
    return play([{"hosts": "localhost", "vars": variables, "tasks": tasks}], folder)


def test_a_healthy_site(site: Site, tmp_path: Path) -> None:
    for _twice in range(2):
        done = verify(site, tmp_path, [QUOTE, LET_IN, SAW, STRANGER, FROM_POD])
        assert done.returncode == 0, done.stdout + done.stderr
        assert "changed=0" in done.stdout
    assert "site: 5 checks passed" in done.stdout
    assert re.search(r"^ *quote: «.+\.»$", done.stdout, re.MULTILINE)
    assert f"report: {tmp_path / 'reports' / 'site.html'}" in done.stdout
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == ["site.html", "site.json", "site.xml"]
    report = json.loads((tmp_path / "reports" / "site.json").read_text())
    assert list(report)[:5] == ["schema_version", "scenario", "started", "finished", "duration_s"]
    assert report["summary"] == {"passed": 5, "failed": 0, "refuted": 0, "not_judged": 0}
    assert (report["trust_domains"], report["versions"]) == ([TRUST_DOMAIN], {"SPIRE": "1.15.3"})
    page = (tmp_path / "reports" / "site.html").read_text()
    assert "Green saw &lt;Blue&gt;" in page and "<Blue>" not in page
    picture = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314 - our own page
    badges = [
        r.attrib["class"] for r in picture.iter("{http://www.w3.org/2000/svg}rect") if "badge" in r.attrib["class"]
    ]
    assert badges == [f"badge {style}" for style in ("let_in", "let_in", "looked", "refused", "refused")]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page), "the page loads nothing"
    suite = ElementTree.parse(tmp_path / "reports" / "site.xml").getroot()  # noqa: S314 - our own report
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("5", "0")
    (tmp_path / "reports" / "other.json").write_text("")
    done = remove(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["other.json"]


def test_a_failed_check_fails_the_play_after_the_report(site: Site, tmp_path: Path) -> None:
    done = verify(site, tmp_path, [LET_IN, STRANGER], green=site.open)
    assert done.returncode != 0
    assert "site: 1 refuted (1 BREACH), 1 proven in " in done.stdout
    assert "was let in by Green's Envoy: a stranger (negative): expected refused: TLS alert; observed" in done.stdout
    assert done.stdout.count("BREACH      negative") == 1, "the table is shown once"
    assert "attempts" not in done.stdout, "and the report is in the files"
    report = json.loads((tmp_path / "reports" / "site.json").read_text())
    assert [check["status"] for check in report["checks"]] == ["pass", "fail"]
    assert "NOT verified" in (tmp_path / "reports" / "site.html").read_text()


def test_check_mode_says_that_nothing_was_tried(site: Site, tmp_path: Path) -> None:
    done = verify(site, tmp_path, [LET_IN], "--check", green=site.nobody)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 check is well-formed. In check mode nothing is tried" in done.stdout
    assert "changed=0" in done.stdout
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({**LET_IN, "too": "green"}, ("verify_checks.too", "Supported parameters include", "client_spiffe_id")),
        ({**LET_IN, "to": "grene"}, ("checks[0] ('Blue is let in')", "names the endpoint 'grene'")),
        (
            {**LET_IN, "control": "x"},
            ("checks[0] ('Blue is let in')", "control is no field of a check of type"),
        ),
        ({"name": "x", "type": "nonsense"}, ("value of type must be one of: request", "nonsense", "verify_checks")),
    ],
)
def test_a_typing_mistake_is_named(site: Site, tmp_path: Path, check: dict[str, Any], words: tuple[str, ...]) -> None:
    done = verify(site, tmp_path, [check], green=site.nobody)
    assert done.returncode != 0
    for word in words:
        assert word in done.stdout
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("verify_scenario=../elsewhere", 'scenario: "../elsewhere" cannot name a file'),
        ("verify_report_dir=/proc/none", "report_dir: /proc/none cannot be made a folder"),
        ('{"verify_checks": []}', "checks: there is none"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_before_any_attempt(
    site: Site, tmp_path: Path, setting: str, words: str
) -> None:
    done = verify(site, tmp_path, [LET_IN], "-e", setting, green=site.nobody)
    assert done.returncode != 0
    assert words in done.stdout
    assert not (tmp_path / "reports").exists()


def test_it_needs_no_other_role_and_no_variable_of_one(tmp_path: Path) -> None:
    variables = {
        "verify_scenario": "mine",
        "verify_endpoints": [{"name": "a", "url": "http://127.0.0.1:1/"}],
        "verify_checks": [{"name": "it answers", "type": "request", "to": "a"}],
        "verify_timeout": 1,
    }
    one = {"hosts": "localhost", "vars": variables, "roles": ["trustmesh.spiffe.verify"]}
    done = play([one], tmp_path, PWD=str(tmp_path))
    assert done.returncode != 0
    assert "mine: 1 refuted, 0 proven in " in done.stdout
    assert (
        "it answers (positive): expected HTTP 200; observed connection refused: nothing listens there. " in done.stdout
    )
    assert (tmp_path / "build" / "reports" / "mine.xml").is_file()


STATS = {"ANSIBLE_SHOW_CUSTOM_STATS": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the run leaves to whoever comes after it, as AWX keeps it."""
    told = done.stdout[done.stdout.index("RUN: ") + 5 :]
    left: dict[str, Any] = json.JSONDecoder().raw_decode(told)[0]["trustmesh_outcome"]
    return left


def test_the_outcome_is_left_to_whoever_comes_after(site: Site, tmp_path: Path) -> None:
    done = verify(site, tmp_path, [LET_IN, STRANGER], env=STATS)
    summary = {"passed": 2, "failed": 0, "refuted": 0, "not_judged": 0}
    assert outcome(done) == {"scenario": "site", "summary": summary, "failures": []}
    done = verify(site, tmp_path, [LET_IN, STRANGER], green=site.open, env=STATS)
    assert done.returncode != 0
    assert outcome(done)["summary"]["refuted"] == 1
    assert "was let in by Green's Envoy" in outcome(done)["failures"][0]


def test_the_report_is_kept_where_it_outlives_the_run(site: Site, tmp_path: Path) -> None:
    with running_api() as api:
        api.kubectl("create", "namespace", "reports")
        clusters = [{"name": "kept", "kubeconfig": api.kubeconfig}, {"name": "blue", "kubectl": site.kubectl}]
        for _twice in range(2):
            done = verify(site, tmp_path, [LET_IN], verify_clusters=clusters, verify_config_map_namespace="reports")
            assert done.returncode == 0, done.stdout + done.stderr
            assert "changed=0" in done.stdout
        kept = api.get("configmap", "trustmesh-report-site", "-n", "reports")
    assert kept["data"].keys() == {"report.json", "report.html", "report.xml"}
    for name, text in kept["data"].items():
        written = tmp_path / "reports" / f"site.{name.rpartition('.')[2]}"
        assert text.strip() == written.read_text().strip()
    assert "annotations" not in kept["metadata"]

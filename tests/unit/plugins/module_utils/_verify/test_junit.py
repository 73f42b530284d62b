# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as CI systems read it."""

from __future__ import annotations

from xml.etree import ElementTree

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.junit import xml
from sites import EVIL, check, mesh, place, report, site


def read(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314 - our own text


def test_one_case_for_each_check() -> None:
    suite = read(xml(site()))
    assert suite.tag == "testsuite"
    counts = {name: suite.attrib[name] for name in ("name", "tests", "failures", "skipped", "errors", "time")}
    wanted = {"name": "site", "tests": "7", "failures": "2", "skipped": "1", "errors": "0", "time": "2.250"}
    assert counts == wanted
    assert suite.attrib["timestamp"] == "2026-11-25T10:15:00"
    cases = list(suite.iter("testcase"))
    assert [case.attrib["name"] for case in cases] == [check["name"] for check in site()["checks"]]
    assert cases[0].attrib["classname"] == "site.request" and len(cases[0]) == 0
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.attrib == {"message": "HTTP 200", "type": "refuted"}
    assert failure.text == "expected: HTTP 200\nobserved: HTTP 200\nLook <here>."
    skipped = cases[4].find("skipped")
    assert skipped is not None and skipped.attrib["message"] == "HTTP 200"
    breach = cases[6].find("failure")
    assert breach is not None and breach.attrib["type"] == "breach"
    assert [p.attrib["name"] for p in suite.iter("property")] == ["SPIRE", "Istio <x>"]


def test_a_site_where_all_is_proven_has_no_failure() -> None:
    suite = read(xml(mesh()))
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["skipped"]) == ("36", "0", "0")
    assert not list(suite.iter("failure"))


def test_whatever_the_network_said_it_is_well_formed() -> None:
    evil = EVIL + "\x00\x1b[31m\x0b\udcff\ufffe\U0001f600"
    data = report([place("a", "b")], [check(None, "a", name=evil, observed=evil, hint=evil, verdict="refuted")])
    data["versions"] = {evil: evil}
    (case,) = read(xml(data).encode().decode()).iter("testcase")
    assert case.attrib["name"] == EVIL + "??[31m???\U0001f600"

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The report in the form that CI systems read: JUnit's XML. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import NOT_JUDGED, REFUTED


def xml(report: Mapping[str, Any]) -> str:
    """Return one test suite: a failure for each check that was refuted, a skipped case for each that was not judged."""
    count = report["summary"]
    suite = ET.Element(
        "testsuite",
        name=_clean(report["scenario"]),
        tests=str(len(report["checks"])),
        failures=str(count["refuted"]),
        skipped=str(count["not_judged"]),
        errors="0",
        time=f"{report['duration_s']:.3f}",
        timestamp=report["started"].split(".")[0],
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in report["versions"].items():
        ET.SubElement(properties, "property", name=_clean(name), value=_clean(value))
    for check in report["checks"]:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"{_clean(report['scenario'])}.{check['type']}",
            name=_clean(check["name"]),
            time=f"{check['duration_s']:.3f}",
        )
        if check["verdict"] == REFUTED:
            failure = ET.SubElement(
                case, "failure", message=_clean(check["observed"]), type="breach" if check["breach"] else REFUTED
            )
            words = [f"expected: {check['expected']}", f"observed: {check['observed']}", check.get("hint", "")]
            failure.text = _clean("\n".join(word for word in words if word))
        elif check["verdict"] == NOT_JUDGED:
            ET.SubElement(case, "skipped", message=_clean(check["observed"]))
    ET.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """Without the signs that XML cannot hold at all, however they are written: part of the text is the network's."""
    return "".join(
        sign if sign in "\t\n" or " " <= sign <= "\ud7ff" or "\ue000" <= sign <= "\ufffd" or sign > "\uffff" else "?"
        for sign in text
    )

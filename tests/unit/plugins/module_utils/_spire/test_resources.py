# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.resources import faults, resources, unregistered

POD = {"name": "pod", "spec": {"spiffeIDTemplate": "spiffe://example.org/pod"}}
ENTRY = {"name": "entry", "spec": {"spiffeID": "x", "parentID": "y", "selectors": ["unix:uid:1"]}}


def test_both_kinds_are_objects() -> None:
    found = resources([POD], [ENTRY])
    assert [(item["kind"], item["metadata"], item["spec"]) for item in found] == [
        ("ClusterSPIFFEID", {"name": "pod"}, POD["spec"]),
        ("ClusterStaticEntry", {"name": "entry"}, ENTRY["spec"]),
    ]
    assert {item["apiVersion"] for item in found} == {"spire.spiffe.io/v1alpha1"}


def test_absent_ones_are_apart() -> None:
    gone = {"name": "gone", "state": "absent"}
    assert [item["metadata"]["name"] for item in resources([POD, gone], [])] == ["pod"]
    (found,) = resources([POD, gone], [], "absent")
    assert (found["metadata"]["name"], found["spec"]) == ("gone", {})


def test_good_ones_have_no_faults() -> None:
    assert faults(resources([POD], [ENTRY]), False) == []


def test_what_could_not_become_an_entry_is_told() -> None:
    found = faults(resources([{"name": "a"}], [{"name": "b", "spec": {"spiffeID": "x"}}]), False)
    assert found == [
        "ClusterSPIFFEID a: spec is incomplete. Give spiffeIDTemplate.",
        "ClusterStaticEntry b: spec is incomplete. Give parentID, selectors.",
    ]


@pytest.mark.parametrize("power", ["admin", "downstream"])
def test_power_over_the_server_must_be_meant(power: str) -> None:
    wanted = resources([{"name": "a", "spec": {**POD["spec"], power: True}}], [])
    (text,) = faults(wanted, False)
    assert text == (
        f"ClusterSPIFFEID a: {power} gives a workload power over the SPIRE server. If that is meant, set"
        " spire_controller_manager_acknowledge_privileged to true."
    )
    assert faults(wanted, True) == []


@pytest.mark.parametrize(
    ("kind", "status", "good"),
    [
        ("ClusterSPIFFEID", {"stats": {"podEntryRenderFailures": 0, "entryFailures": 0}}, True),
        ("ClusterSPIFFEID", {"stats": {}}, True),
        ("ClusterSPIFFEID", {"stats": {"podEntryRenderFailures": 1}}, False),
        ("ClusterSPIFFEID", {"stats": {"entryFailures": 2}}, False),
        ("ClusterSPIFFEID", {}, False),
        ("ClusterStaticEntry", {"rendered": True, "set": False}, True),
        ("ClusterStaticEntry", {"rendered": True, "masked": True}, False),
        ("ClusterStaticEntry", {"rendered": False}, False),
        ("ClusterStaticEntry", None, False),
    ],
)
def test_what_was_acted_on(kind: str, status: Any, good: bool) -> None:
    wanted = [{"kind": kind, "metadata": {"name": "a"}}]
    live = [{"kind": kind, "metadata": {"name": "a"}, "status": status}]
    assert unregistered(wanted, live) == ([] if good else [f"{kind} a"])


def test_what_is_not_there_was_not_acted_on() -> None:
    assert unregistered(resources([POD], []), []) == ["ClusterSPIFFEID pod"]

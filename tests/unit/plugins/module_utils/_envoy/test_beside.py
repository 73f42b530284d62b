# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory says of workloads that exist, and what they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._envoy import beside
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError

INSTANCE = {
    "name": "ledger-envoy",
    "namespace": "books",
    "service_account": "ledger",
    "labels": {"app": "ledger"},
    "beside": {"kind": "Deployment", "name": "ledger", "existing": True, "container": "ledger"},
}
WORKLOAD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "ledger", "namespace": "books"},
    "spec": {
        "template": {
            "metadata": {"labels": {"app": "ledger", "tier": "back"}},
            "spec": {"serviceAccountName": "ledger", "containers": [{"name": "ledger"}, {"name": "logs"}]},
        }
    },
}


def faults(found: Any = None, **changed: Any) -> list[str]:
    return beside.beside_faults([{**INSTANCE, **changed}], json.dumps(found or WORKLOAD))


def test_what_is_as_it_is_said_has_no_fault() -> None:
    assert faults() == []
    assert faults({"kind": "List", "items": [WORKLOAD]}) == []
    assert faults(service_account=None, labels={}, beside={"kind": "Deployment", "name": "ledger"}) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"beside": {**INSTANCE["beside"], "name": "legder"}}, "no Deployment legder in the namespace books"),  # type: ignore[dict-item]
        ({"beside": {**INSTANCE["beside"], "kind": "StatefulSet"}}, "no StatefulSet ledger"),  # type: ignore[dict-item]
        ({"namespace": "book"}, "no Deployment ledger in the namespace book,"),
        (
            {"service_account": "default"},
            "under the service account ledger, and default is said",
        ),
        ({"labels": {"app": "leger"}}, "do not carry app=leger. Correct labels; they have: app=ledger, tier=back"),
        ({"beside": {**INSTANCE["beside"], "container": "app"}}, "no container app in its pods. Correct container"),  # type: ignore[dict-item]
    ],
)
def test_what_is_said_wrongly_is_told_by_its_field(changed: dict[str, Any], words: str) -> None:
    (fault,) = faults(**changed)
    assert words in fault


def test_nothing_is_there_yet() -> None:
    assert beside.beside_faults([], "") == []
    assert "There is no Deployment ledger" in beside.beside_faults([INSTANCE], "")[0]
    with pytest.raises(ProcessError, match="no JSON"):
        beside.beside_faults([INSTANCE], "<html>")


def test_what_the_same_run_brings_is_judged_as_it_will_be() -> None:
    assert beside.beside_faults([INSTANCE], "", [WORKLOAD]) == []
    (fault,) = beside.beside_faults([{**INSTANCE, "labels": {"app": "x"}}], "", [WORKLOAD])
    assert "do not carry app=x" in fault


def test_they_are_asked_for_by_name() -> None:
    (item,) = json.loads(beside.stubs([INSTANCE]))["items"]
    assert (item["kind"], item["metadata"]) == ("Deployment", {"name": "ledger", "namespace": "books"})

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.renewal import (
    RENEWED_FOR,
    workloads_to_renew,
)

EARLY, LATE = "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"


def result(account_made: str, renewed_for: str | None = None, account: str = "quote") -> list[dict[str, Any]]:
    annotations = {RENEWED_FOR: renewed_for} if renewed_for else None
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "quote", "namespace": "quotes", "creationTimestamp": EARLY},
        "spec": {"template": {"metadata": {"annotations": annotations}, "spec": {"serviceAccountName": account}}},
    }
    service_account = {
        "kind": "ServiceAccount",
        "metadata": {"name": "quote", "namespace": "quotes", "creationTimestamp": account_made, "uid": "new"},
    }
    return [service_account, workload]


def test_pods_older_than_their_account_are_renewed_for_it() -> None:
    (patch,) = workloads_to_renew(result(LATE))
    assert (patch["kind"], patch["metadata"]["name"]) == ("Deployment", "quote")
    assert patch["spec"]["template"]["metadata"]["annotations"] == {RENEWED_FOR: "new"}


@pytest.mark.parametrize(
    "applied",
    [result(EARLY), result(LATE, renewed_for="new"), result(LATE, account="another")],
    ids=["account came first", "renewed before", "another account"],
)
def test_pods_are_left_alone(applied: list[dict[str, Any]]) -> None:
    assert workloads_to_renew(applied) == []


def test_an_account_made_anew_twice_renews_twice() -> None:
    assert len(workloads_to_renew(result(LATE, renewed_for="old"))) == 1

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an istiod tells of the clusters that it reads. The answers are cut from those of Istio 1.31."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.reading import has_read, strangers

CLUSTERS = [
    {"id": "blue", "syncStatus": "synced"},
    {"id": "green", "secretName": "istio-system/istio-remote-secret-green", "syncStatus": "synced"},
    {"id": "red", "secretName": "istio-system/istio-remote-secret-red", "syncStatus": "syncing"},
]


def endpoint(identity: str, mode: str = "istio") -> dict[str, Any]:
    return {"Addresses": ["192.0.2.1"], "ServiceAccount": identity, "TLSMode": mode, "Network": "green"}


def shards(*endpoints: dict[str, Any], cluster: str = "green") -> str:
    held = {"Shards": {f"Kubernetes/{cluster}": list(endpoints)}, "ServiceAccounts": {}}
    return json.dumps({"reviews.shop.svc.cluster.local": {"shop": held}})


@pytest.mark.parametrize(("cluster", "read"), [("green", True), ("red", False), ("white", False)])
def test_a_cluster_is_read_when_istiod_says_so(cluster: str, read: bool) -> None:
    assert has_read(json.dumps(CLUSTERS), cluster) is read


@pytest.mark.parametrize(
    "identity", ["spiffe://cluster.local/ns/shop/sa/reviews", "spiffe://green.example.org/ns/a/sa/b"]
)
def test_a_workload_of_another_trust_domain_is_a_stranger(identity: str) -> None:
    right = endpoint("spiffe://green.example/ns/shop/sa/reviews")
    assert strangers(shards(endpoint(identity), right, endpoint(identity)), "green", "green.example") == [
        f"reviews.shop.svc.cluster.local ({identity})"
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        shards(),
        shards(endpoint("spiffe://green.example/ns/shop/sa/reviews")),
        shards(endpoint("spiffe://cluster.local/ns/kube-system/sa/coredns", mode="disabled")),
        shards(endpoint("spiffe://blue.example/ns/shop/sa/reviews"), cluster="blue"),
        shards(endpoint("")),
        json.dumps({"a": {"b": {"Shards": {"Kubernetes/green": None}}}}),
    ],
)
def test_others_are_none(answer: str) -> None:
    assert strangers(answer, "green", "green.example") == []


@pytest.mark.parametrize("answer", ["", "no such handler", "7", "null"])
def test_an_answer_of_another_kind_is_told(answer: str) -> None:
    for ask in (lambda: has_read(answer, "green"), lambda: strangers(answer, "green", "green.example")):
        with pytest.raises(ProcessError, match=r"Asking istiod for /debug/.* failed: .* something else"):
            ask()

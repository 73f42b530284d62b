# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubernetes_workload_wait against a real API server: what a user sees."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import binary, run_module
from ..kubernetes_api import Api

READY = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}


def wait(api: Api, *workloads: dict[str, str], check: bool = False, **more: Any) -> dict[str, Any]:
    args = {"kubectl": binary("kubectl"), "kubeconfig": api.kubeconfig, "timeout": 1, "workloads": [*workloads]}
    return run_module("kubernetes_workload_wait", {**args, **more}, check=check)


def create(api: Api, obj: dict[str, Any], status: dict[str, Any] | None = None) -> None:
    api.kubectl("create", "-f", "-", stdin=json.dumps(obj))
    if status:
        set_status(api, obj, status)


def set_status(api: Api, obj: dict[str, Any], status: dict[str, Any]) -> None:
    metadata = obj["metadata"]
    where = (obj["kind"].lower(), metadata["name"], "-n", metadata["namespace"], "--subresource=status")
    api.patch(*where, body={"status": status})


def pod_template(name: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "registry.test/a"}]},
    }


def deployment(namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": pod_template(name)},
    }


@pytest.fixture
def shop(api: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    # Without a controller a namespace is never gone once deleted, so every test has one of its own.
    name = request.node.name.removeprefix("test_").replace("_", "-")[:60].strip("-")
    api.kubectl("create", "namespace", name)
    yield name
    api.kubectl("delete", "deployments,pods,events", "--all", "-n", name)


def test_what_is_ready_is_not_waited_for(api: Api, shop: str) -> None:
    for name in ("cart", "till"):
        create(api, deployment(shop, name), READY)
    result = wait(api, {"kind": "Deployment", "namespace": shop})
    assert not result["changed"]
    assert result["ready"]
    assert [item["name"] for item in result["workloads"]] == ["cart", "till"]


def test_it_ends_as_soon_as_all_is_ready(api: Api, shop: str) -> None:
    cart = deployment(shop, "cart")
    create(api, cart)
    timer = threading.Timer(1.5, set_status, (api, cart, READY))
    timer.start()
    result = wait(api, {"kind": "Deployment", "namespace": shop, "name": "cart"}, timeout=60)
    timer.join()
    assert result.get("ready"), result


def test_the_limit_names_what_was_waited_for_and_what_pods_and_events_say(api: Api, shop: str) -> None:
    create(api, deployment(shop, "cart"), {**READY, "availableReplicas": 0})
    pod = {"apiVersion": "v1", "kind": "Pod", **pod_template("cart")}
    pod["metadata"] |= {"name": "cart-1", "namespace": shop}
    hanging = {"name": "main", "ready": False, "image": "a", "imageID": "", "restartCount": 0}
    create(
        api,
        pod,
        {"containerStatuses": [{**hanging, "state": {"waiting": {"reason": "ContainerCreating"}}}]},
    )
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "one", "namespace": shop},
        "type": "Warning",
        "reason": "FailedMount",
        "message": "driver csi.spiffe.io not found",
        "lastTimestamp": "2026-01-01T10:00:00Z",
        "involvedObject": {"kind": "Pod", "name": "cart-1", "namespace": shop},
    }
    create(api, event)
    result = wait(
        api,
        {"kind": "Deployment", "namespace": shop, "name": "cart"},
        {"kind": "DaemonSet", "namespace": shop},
    )
    assert result["failed"]
    assert result["waited"] == 1
    assert result["last_seen"] == [
        f"DaemonSet {shop}/*: there is none",
        f"Deployment {shop}/cart: 1 of 1 replicas updated, 0 available",
        "pod cart-1, container main: ContainerCreating",
        "pod cart-1: FailedMount: driver csi.spiffe.io not found",
    ]
    assert f"Waited for every DaemonSet of namespace {shop}, Deployment {shop}/cart." in result["msg"]
    assert all(line in result["msg"] for line in result["last_seen"])


def test_check_mode_looks_once_and_does_not_fail(api: Api, shop: str) -> None:
    result = wait(api, {"kind": "StatefulSet", "namespace": shop, "name": "db"}, check=True, timeout=60)
    assert not result.get("failed")
    assert not result["ready"]
    (seen,) = result["workloads"]
    assert seen == {"kind": "StatefulSet", "namespace": shop, "name": "db", "problem": "not there", "address": ""}


def test_a_load_balancer_is_waited_for_until_it_gives_an_address(api: Api, shop: str) -> None:
    envoy = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "envoy", "namespace": shop},
        "spec": {"type": "LoadBalancer", "selector": {"app": "envoy"}, "ports": [{"port": 443}]},
    }
    create(api, envoy)
    work = {"kind": "Service", "namespace": shop, "name": "envoy"}
    result = wait(api, work)
    assert result["last_seen"] == [f"Service {shop}/envoy: no load balancer has given it an address"]
    timer = threading.Timer(1.5, set_status, (api, envoy, {"loadBalancer": {"ingress": [{"ip": "192.0.2.200"}]}}))
    timer.start()
    result = wait(api, work, timeout=60)
    timer.join()
    assert result["workloads"] == [{**work, "problem": "", "address": "192.0.2.200"}], result


def test_a_cluster_that_never_answered_fails_at_once(api: Api, tmp_path: Path) -> None:
    config = json.loads(Path(api.kubeconfig).read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    work = {"kind": "Deployment", "namespace": "shop"}
    result = wait(api, work, kubeconfig=str(tmp_path / "kubeconfig"), timeout=600)
    assert result["failed"]
    assert "refused" in result["msg"]


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        ({"kind": "Deployment", "namespace": ""}, "workloads[0]: namespace is empty"),
        ({"kind": "Deployment", "namespace": "a", "name": " "}, "workloads[0]: name is empty"),
        ({"kind": "Job", "namespace": "a"}, "workloads[0]: value of kind must be one of"),
    ],
)
def test_bad_input_is_refused_with_the_field(api: Api, workload: dict[str, str], words: str) -> None:
    result = wait(api, workload)
    assert result["failed"]
    assert words in result["msg"]


def test_a_limit_below_a_second_is_refused(api: Api) -> None:
    assert "timeout is 0" in wait(api, timeout=0)["msg"]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server in a pod: each way in which it cannot be reached, and another registrar beside it.

The API server and kubectl are real, and so are their words. No node runs the pods: where a command must really run in
one, a stand-in for kubectl runs it on this host and leaves everything else to the real kubectl.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries
from peers import free_port

from .conftest import TRUST_DOMAIN, Server, binary, calls, run_module, through
from .kubernetes_api import Api, kubeconfig, running_api

NAMESPACE = "spire-server"
LABELS = {"app.kubernetes.io/name": "spire-server"}
SELECTOR = "app.kubernetes.io/name=spire-server"
ENTRY = {
    "spiffe_id": f"spiffe://{TRUST_DOMAIN}/cart",
    "parent_id": f"spiffe://{TRUST_DOMAIN}/node/blue",
    "selectors": ["unix:uid:1"],
}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with running_api(users=("stranger", "reader", "podreader")) as one:
        one.kubectl("create", "namespace", NAMESPACE)
        for name, resources in (("reader", "pods,configmaps"), ("podreader", "pods")):
            in_it = ("--namespace", NAMESPACE)
            one.kubectl("create", "role", name, "--verb=get,list", f"--resource={resources}", *in_it)
            one.kubectl("create", "rolebinding", name, f"--role={name}", f"--user={name}", *in_it)
        yield one


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "api" in request.fixturenames:
        api = request.getfixturevalue("api")
        kinds = "pods,configmaps,statefulsets"
        api.kubectl("delete", kinds, "--all", "--namespace", NAMESPACE, "--force", "--grace-period=0")
    if "server" in request.fixturenames:
        server = request.getfixturevalue("server")
        for one in list_entries(server.client):
            server.cli("entry", "delete", "-entryID", one.entry_id)


def create(api: Api, **body: Any) -> None:
    api.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", **body}))


def make_pod(api: Api, name: str, ready: bool | None = None, **more: Any) -> None:
    """A pod of a server. Its status is written here, as its node would."""
    containers = more.pop("containers", [{"name": "spire-server", "image": "spire-server:1"}])
    metadata = {"name": name, "namespace": NAMESPACE, "labels": LABELS, **more.pop("metadata", {})}
    create(api, kind="Pod", metadata=metadata, spec={"containers": containers, **more})
    if ready is not None:
        conditions = [{"type": "Ready", "status": str(ready)}]
        body = {"status": {"phase": "Running", "conditions": conditions}}
        api.patch("pod", name, "--namespace", NAMESPACE, "--subresource=status", body=body)


def failure(api: Api, **options: Any) -> str:
    """Run a task that would change nothing, and return why it failed: it must not pass for done."""
    args = {
        "kubectl": binary("kubectl"),
        "kubeconfig": api.kubeconfig,
        "entries": [ENTRY],
        "state": "absent",
        **options,
    }
    result = run_module("spire_entry", args)
    assert result.get("failed"), result
    assert not result.get("changed")
    return str(result["msg"])


def test_pod_that_is_absent(api: Api) -> None:
    words = failure(api, pod="spire-server-0")
    assert "the pod, or what is to lead to it, was not found. Fix pod, namespace or context" in words
    assert 'pods "spire-server-0" not found' in words
    assert 'statefulsets.apps "spire-server" not found' in failure(api, pod="statefulset/spire-server")
    assert "the cluster knows no such kind. Fix pod" in failure(api, pod="satefulset/spire-server")


def test_namespace_that_is_absent(api: Api) -> None:
    assert "the namespace was not found. Fix namespace" in failure(api, pod="spire-server-0", namespace="other")


def test_container_that_is_absent(api: Api) -> None:
    make_pod(api, "spire-server-0", ready=True)
    words = failure(api, pod="spire-server-0", container="sever")
    assert "the pod has no such container. Fix container" in words


def test_pod_that_no_node_has_taken_yet(api: Api) -> None:
    make_pod(api, "spire-server-0")
    assert "the pod is down" in failure(api, pod="spire-server-0")


def test_workload_without_pods_is_not_taken_for_a_server_that_hangs(api: Api) -> None:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "spire-server", "image": "x"}]}}
    spec = {"selector": {"matchLabels": LABELS}, "serviceName": "x", "template": template}
    metadata = {"name": "spire-server", "namespace": NAMESPACE}
    create(api, apiVersion="apps/v1", kind="StatefulSet", metadata=metadata, spec=spec)
    words = failure(api, pod="statefulset/spire-server", timeout=4)
    assert "the workload has no running pod" in words
    assert "not known" not in words


def test_node_that_is_down(api: Api) -> None:
    create(api, kind="Node", metadata={"name": "n"})
    endpoint = {"kubeletEndpoint": {"Port": free_port()}}
    status = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}], "daemonEndpoints": endpoint}
    api.patch("node", "n", "--subresource=status", body={"status": status})
    make_pod(api, "spire-server-0", ready=True, nodeName="n")
    assert "the cluster answers, but the pod's node does not" in failure(api, pod="spire-server-0")
    api.kubectl("delete", "node", "n")


def test_kubeconfig_that_cannot_be_used(api: Api, tmp_path: Path) -> None:
    (tmp_path / "garbage").write_text("][")
    assert "the kubeconfig was not found. Fix kubeconfig" in failure(api, pod="x", kubeconfig=str(tmp_path / "none"))
    assert "the kubeconfig cannot be used" in failure(api, pod="x", kubeconfig=str(tmp_path / "garbage"))
    assert "the kubeconfig cannot be used" in failure(api, pod="x", kubeconfig=str(tmp_path))
    assert "the kubeconfig has no such context. Fix context" in failure(api, pod="x", context="nope")
    assert "was not found. Install the program" in failure(api, pod="x", kubectl=str(tmp_path / "kubectl"))


def test_cluster_that_cannot_be_reached(api: Api, tmp_path: Path) -> None:
    def at(address: str, **more: str) -> str:
        (tmp_path / "kubeconfig").write_bytes(kubeconfig({"server": address, **more}, "no-token-of-anybody"))
        return str(tmp_path / "kubeconfig")

    mine = json.loads(Path(api.kubeconfig).read_text())["clusters"][0]["cluster"]
    unreachable = "the cluster's API server cannot be reached. Is it up"
    assert unreachable in failure(api, pod="x", kubeconfig=at(f"https://127.0.0.1:{free_port()}"))
    assert unreachable in failure(api, pod="x", kubeconfig=at("https://nohost.invalid:6443"))
    # Without the CA of the cluster in it.
    assert "shows a certificate that the CA in this kubeconfig did not sign" in failure(
        api, pod="x", kubeconfig=at(mine["server"])
    )
    ca = {"certificate-authority": mine["certificate-authority"]}
    assert "does not accept the credentials of this kubeconfig" in failure(
        api, pod="x", kubeconfig=at(mine["server"], **ca)
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        words = failure(api, pod="x", timeout=2, kubeconfig=at(f"https://127.0.0.1:{silent.getsockname()[1]}"))
        assert "no answer" in words


def test_user_who_may_not(api: Api) -> None:
    make_pod(api, "spire-server-0", ready=True)
    stranger, reader = (str(api.folder / f"{name}.kubeconfig") for name in ("stranger", "reader"))
    assert "may not do that. Grant it get and list on pods" in failure(api, pod="spire-server-0", kubeconfig=stranger)
    assert "may not do that. Grant it get and list on pods" in failure(api, pod_selector=SELECTOR, kubeconfig=stranger)
    assert "Grant it create on pods/exec" in failure(api, pod="spire-server-0", kubeconfig=reader)


def test_selector_that_finds_none(api: Api) -> None:
    words = failure(api, pod_selector="app=nothing")
    assert "pod_selector: app=nothing finds no pod in namespace spire-server. Fix pod_selector" in words
    assert "pod_selector is no label selector" in failure(api, pod_selector="a b c")
    assert "pod_selector is no label selector" in failure(api, pod_selector="--all-namespaces")
    make_pod(api, "spire-server-1", ready=False)
    make_pod(api, "spire-server-0")
    words = failure(api, pod_selector=SELECTOR)
    assert "none is ready: spire-server-0, spire-server-1. Look at their events" in words


def test_selector_takes_the_first_ready_pod(api: Api, server: Server, tmp_path: Path) -> None:
    for name, ready in (("spire-server-0", False), ("spire-server-2", True), ("spire-server-1", True)):
        make_pod(api, name, ready=ready)
    args = {**through(server, tmp_path), "kubeconfig": api.kubeconfig, "pod_selector": SELECTOR, "entries": [ENTRY]}
    assert run_module("spire_entry", {**args, "container": "spire-server"})["changed"]
    seen = calls(tmp_path)
    # The pod is looked for once, however many calls follow, and other registrars are too.
    assert len([one for one in seen if " get pods " in one]) == 1
    execs = [one for one in seen if " exec " in one]
    assert len(execs) >= 2
    assert len([one for one in seen if " get pods,deployments.apps,configmaps,services " in one]) == 1
    assert all(" exec spire-server-1 " in one and " --container spire-server " in one for one in execs)
    assert not run_module("spire_entry", args)["changed"]


def test_selector_waits_for_a_pod(api: Api, server: Server, tmp_path: Path) -> None:
    args = {**through(server, tmp_path), "kubeconfig": api.kubeconfig, "pod_selector": SELECTOR, "entries": [ENTRY]}
    later = threading.Timer(2, make_pod, (api, "spire-server-0", True))
    later.start()
    started = time.monotonic()
    result = run_module("spire_entry", {**args, "wait_timeout": 60})
    later.join()
    assert result["changed"], result
    assert time.monotonic() - started < 30


# Another registrar

HARMFUL = (None, "trustDomain: example.org\n", "entryIDPrefix: ''\n", "entryIDPrefix: trustmesh\n")


def registrar(api: Api, config: str | None, **more: Any) -> None:
    """The server's pod with a controller manager in it, as the charts of SPIRE make it."""
    container: dict[str, Any] = {"name": "manager", "image": "registry.example/spiffe/spire-controller-manager:0.6.4"}
    volumes: list[dict[str, Any]] = []
    if config is not None:
        metadata = {"name": "manager", "namespace": NAMESPACE}
        create(api, kind="ConfigMap", metadata=metadata, data={"manager.yaml": config})
        volumes = [{"name": "config", "configMap": {"name": "manager"}}]
        container |= {
            "args": ["--config=/etc/manager/manager.yaml"],
            "volumeMounts": [{"name": "config", "mountPath": "/etc/manager", "readOnly": True}],
        }
    containers = [{"name": "spire-server", "image": "spire-server:1"}, container]
    make_pod(api, "spire-server-0", ready=True, containers=containers, volumes=volumes, **more)


@pytest.mark.parametrize("config", HARMFUL)
def test_a_registrar_that_would_delete_our_entries_is_refused(
    api: Api, server: Server, tmp_path: Path, config: str | None
) -> None:
    registrar(api, config)
    args = {**through(server, tmp_path), "kubeconfig": api.kubeconfig, "pod": "spire-server-0", "entries": [ENTRY]}
    for check in (True, False):
        result = run_module("spire_entry", args, check=check)
        assert result.get("failed"), result
        assert not result.get("changed")
        assert "The container manager of pod spire-server-0 is a spire-controller-manager" in result["msg"]
        assert "Give it an entryIDPrefix" in result["msg"]
    assert list_entries(server.client) == []
    # Taking entries away cannot be undone by it, and what does not change needs no look.
    assert not run_module("spire_entry", {**args, "state": "absent"})["changed"]
    assert run_module("spire_entry", {**args, "check_registrar": False})["changed"]
    assert not run_module("spire_entry", args)["changed"]
    assert run_module("spire_entry", {**args, "state": "absent"})["changed"]


@pytest.mark.parametrize("config", ["entryIDPrefix: blue\n", '{"entryIDPrefix": "blue."}'])
def test_a_registrar_with_its_own_prefix_is_no_harm(api: Api, server: Server, tmp_path: Path, config: str) -> None:
    registrar(api, config)
    args = {**through(server, tmp_path), "kubeconfig": api.kubeconfig, "pod_selector": SELECTOR, "entries": [ENTRY]}
    assert run_module("spire_entry", args)["changed"]
    assert len([one for one in calls(tmp_path) if " get pods,deployments.apps,configmaps,services " in one]) == 1
    assert not run_module("spire_entry", args)["changed"]
    # An entry with an id that begins like the manager's would be taken for its own.
    other = {**ENTRY, "spiffe_id": f"spiffe://{TRUST_DOMAIN}/quote", "entry_id": "blue.mine"}
    result = run_module("spire_entry", {**args, "entries": [other]})
    assert result.get("failed"), result
    assert "blue.mine" in result["msg"]


def test_a_registrar_whose_configuration_may_not_be_read(api: Api, server: Server, tmp_path: Path) -> None:
    registrar(api, "entryIDPrefix: blue\n")
    args = {**through(server, tmp_path), "pod": "spire-server-0", "entries": [ENTRY]}
    result = run_module("spire_entry", {**args, "kubeconfig": str(api.folder / "podreader.kubeconfig")})
    assert "whose configuration cannot be read" in result["msg"]
    assert "configmaps is forbidden" in result["msg"]
    result = run_module("spire_entry", {**args, "kubeconfig": str(api.folder / "stranger.kubeconfig")})
    assert "Looking for another registrar beside the server failed" in result["msg"]
    assert "Grant the user of this kubeconfig get and list on them" in result["msg"]
    # Without a manager in the pod nothing needs to be read.
    make_pod(api, "alone", ready=True)
    alone = {**args, "kubeconfig": str(api.folder / "podreader.kubeconfig"), "pod": "alone"}
    assert run_module("spire_entry", alone)["changed"]


def test_a_registrar_of_another_server_does_not_count(api: Api, server: Server, tmp_path: Path) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "other", "uid": "1"}
    registrar(api, None, metadata={"ownerReferences": [owner]})
    args = {**through(server, tmp_path), "kubeconfig": api.kubeconfig, "entries": [ENTRY]}
    assert "failed" in run_module("spire_entry", {**args, "pod": "statefulset/other"})
    assert run_module("spire_entry", {**args, "pod": "statefulset/spire-server"})["changed"]

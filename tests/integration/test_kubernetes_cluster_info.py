# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said about a kubeconfig that leads nowhere, with the real kubectl, and about a cluster that answers."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.cluster.info import run as cluster_info

from .conftest import binary
from .kubernetes_api import running_api


@pytest.fixture
def kubectl() -> str:
    return binary("kubectl")


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def kubeconfig(folder: Path, server: str) -> str:
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("one", "two")],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "current-context": "one",
            }
        )
    )
    return str(path)


def info(kubectl: str, path: str, context: str | None = None) -> dict[str, Any]:
    params = {"kubectl": kubectl, "kubeconfig": path, "context": context, "timeout": 2}
    return cluster_info(params, False).result["cluster"]


def test_a_kubeconfig_that_is_missing(kubectl: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^kubeconfig: {tmp_path}/none is not a file"):
        info(kubectl, str(tmp_path / "none"))


def test_a_kubeconfig_that_is_none(kubectl: str, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("][")
    with pytest.raises(ProcessError, match=f"reading the kubeconfig {tmp_path}/kubeconfig failed"):
        info(kubectl, str(tmp_path / "kubeconfig"))


def test_a_wrong_context_names_those_there_are(kubectl: str, tmp_path: Path, closed_port: int) -> None:
    path = kubeconfig(tmp_path, f"https://127.0.0.1:{closed_port}")
    with pytest.raises(InputError, match=f"^context: 'three' is not in {path}; it has one, two"):
        info(kubectl, path, "three")


def test_a_kubeconfig_without_contexts(kubectl: str, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("{apiVersion: v1, kind: Config}")
    with pytest.raises(InputError, match=r"^context: '' is not in .*; it has none"):
        info(kubectl, str(tmp_path / "kubeconfig"))


def test_a_server_that_is_not_there_is_named_within_seconds(kubectl: str, tmp_path: Path, closed_port: int) -> None:
    begun = time.monotonic()
    with pytest.raises(
        TrustmeshError, match=f"context two did not answer at https://127.0.0.1:{closed_port}: .*refused"
    ):
        info(kubectl, kubeconfig(tmp_path, f"https://127.0.0.1:{closed_port}"), "two")
    assert time.monotonic() - begun < 10


def test_a_server_that_keeps_silent_is_named_within_seconds(kubectl: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(TrustmeshError, match=f"context one did not answer at {address}: "):
            info(kubectl, kubeconfig(tmp_path, address))
        assert time.monotonic() - begun < 5


def node(name: str, addresses: dict[str, str], *roles: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {f"node-role.kubernetes.io/{role}": "" for role in roles}},
        "status": {"addresses": [{"type": kind, "address": address} for kind, address in addresses.items()]},
    }


@contextlib.contextmanager
def api_server(nodes: list[dict[str, Any]], namespaces: list[dict[str, Any]] | None = None) -> Iterator[str]:
    """Serve the lists of nodes and of namespaces as the API server does; without the latter it forbids them."""
    lists = {"/api/v1/nodes": nodes, "/api/v1/namespaces": namespaces}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            items = lists.get(self.path.partition("?")[0])
            body = json.dumps({"kind": "List", "apiVersion": "v1", "items": items or []}).encode()
            self.send_response(403 if items is None else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_nodes_of_a_cluster_the_control_plane_first(kubectl: str, tmp_path: Path) -> None:
    nodes = [
        node("a", {"InternalIP": "10.0.0.2", "Hostname": "a"}),
        node("b", {"InternalIP": "10.0.0.1", "ExternalIP": "192.0.2.1"}, "control-plane"),
    ]
    labels = {"kubernetes.io/metadata.name": "shop", "istio-injection": "enabled"}
    with api_server(nodes, [{"metadata": {"name": "shop", "labels": labels}}, {"metadata": {"name": "b"}}]) as server:
        path = kubeconfig(tmp_path, server)
        assert info(kubectl, path) == {
            "exists": True,
            "kubeconfig": path,
            "context": "one",
            "server": server,
            "nodes": [
                {"name": "b", "role": "control-plane", "address": "192.0.2.1"},
                {"name": "a", "role": "worker", "address": "10.0.0.2"},
            ],
            "namespaces": [{"name": "shop", "labels": labels}, {"name": "b", "labels": {}}],
        }


def test_namespaces_that_may_not_be_listed_are_nothing(kubectl: str, tmp_path: Path) -> None:
    with api_server([node("a", {})]) as server:
        found = info(kubectl, kubeconfig(tmp_path, server))
    assert found["namespaces"] is None
    assert [item["name"] for item in found["nodes"]] == ["a"]


def test_a_cluster_by_host_and_token(kubectl: str) -> None:
    with running_api() as api:
        cluster = json.loads(Path(api.kubeconfig).read_text())["clusters"][0]["cluster"]
        params = {
            "kubectl": kubectl,
            "host": cluster["server"],
            "ca_cert": cluster["certificate-authority"],
            "timeout": 5,
        }
        found = cluster_info({**params, "api_key": "test-token"}, False).result["cluster"]
        with pytest.raises(TrustmeshError, match=r"of host did not answer at https://.*Unauthorized"):
            cluster_info({**params, "api_key": "no-token"}, False)
        with pytest.raises(TrustmeshError, match=r"of host did not answer at https://.*certificate"):
            cluster_info({**params, "api_key": "test-token", "ca_cert": None}, False)
    assert (found["server"], found["kubeconfig"], found["context"]) == (cluster["server"], "", "")
    assert "kube-system" in [item["name"] for item in found["namespaces"]]
    assert "test-token" not in json.dumps(found)

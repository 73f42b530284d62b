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
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.cluster_info import cluster_info

from .conftest import binary


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
def api_server(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """Serve the list of nodes as the API server does, and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"kind": "NodeList", "apiVersion": "v1", "items": nodes}).encode()
            self.send_response(200 if self.path.partition("?")[0] == "/api/v1/nodes" else 404)
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
    with api_server(nodes) as server:
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
        }

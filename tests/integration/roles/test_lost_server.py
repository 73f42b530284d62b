# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents whose server has lost all that it knew begin anew: asked of a real SPIRE server and a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playbook import play

from ..conftest import Server, binary
from ..kubernetes_api import Api, running_api

AGENT = {
    "id": {"trust_domain": "example.org", "path": "/spire/agent/k8s_psat/blue/node-uid"},
    "attestation_type": "k8s_psat",
    "x509svid_expires_at": "4102444800",
    "selectors": [{"type": "k8s_psat", "value": "cluster:blue"}],
    "banned": False,
    "can_reattest": True,
}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with running_api() as one:
        one.kubectl("create", "namespace", "spire-system")
        yield one


def pod(label: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "spire-system", "labels": {"app.kubernetes.io/name": label}},
        "spec": {"containers": [{"name": "x", "image": "x"}]},
    }


@pytest.fixture
def pods(api: Api) -> Iterator[set[str]]:
    """The names of an agent's pod, and of another one in its namespace."""
    names = {"spire-agent": "a", "other": "b"}
    made = [pod(label, name) for label, name in names.items()]
    api.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    yield set(names.values())
    api.kubectl("-n", "spire-system", "delete", "pods", "--all", "--now")


def renewed(api: Api, folder: Path, connection: dict[str, Any], *before: dict[str, Any]) -> set[str]:
    """Take the step of the role, after these tasks, and return the names of the pods that are left."""
    given = {
        "trustmesh_derived": {
            "kubernetes_cluster_name": "blue",
            "spire_agent_server_host": "localhost",
            "spire_agent_attestor": "k8s_psat",
            "spire_agent_sds": {},
            "spire_agent_workload_attestors": [],
        },
        "spire_agent_cluster": "blue",
        "spire_agent_server_connection": connection,
        "spire_agent_access": {"kubeconfig": api.kubeconfig},
        "spire_agent_timeout": 10,
        "spire_agent_validate": False,
    }
    role = {"name": "trustmesh.spiffe.spire_agent", "tasks_from": "install", "rolespec_validate": False}
    tasks = [*before, {"ansible.builtin.include_role": role}]
    done = play([{"hosts": "localhost", "vars": given, "tasks": tasks}], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    found = api.get("pods", "-n", "spire-system")["items"]
    return {item["metadata"]["name"] for item in found if "deletionTimestamp" not in item["metadata"]}


def test_pods_of_agents_that_the_server_does_not_know_are_made_anew(
    api: Api, pods: set[str], server: Server, tmp_path: Path
) -> None:
    assert renewed(api, tmp_path, server.connection) == pods - {"a"}


def test_a_server_that_still_has_an_entry_is_not_asked_for_its_agents(
    api: Api, pods: set[str], server: Server, tmp_path: Path
) -> None:
    node = {"spiffe_id": "spiffe://example.org/node/blue", "parent_id": "spiffe://example.org/spire/server"}
    entries = {
        "ansible.builtin.include_role": {
            "name": "trustmesh.spiffe.spire_entries",
            "tasks_from": "configure",
            "rolespec_validate": False,
        },
        "vars": {
            "spire_entries_entries": [{**node, "selectors": ["k8s_psat:cluster:blue"]}],
            "spire_entries_owner": "lost",
            "spire_entries_connection": server.connection,
        },
    }
    # What a server has to be told anew, it may have lost with all else.
    assert renewed(api, tmp_path, server.connection, entries) == pods - {"a"}
    api.kubectl("apply", "-f", "-", stdin=json.dumps(pod("spire-agent", "a")))
    assert renewed(api, tmp_path, server.connection, entries) == pods


def test_agents_that_the_server_knows_are_left_alone(api: Api, pods: set[str], tmp_path: Path) -> None:
    # A node attests by k8s_psat in a cluster alone, so here another one says what the server would.
    server = tmp_path / "spire-server"
    version = binary("spire-server")
    server.write_text(
        f"""#!/bin/sh
        case "$*" in
          *"agent list"*) echo '{json.dumps({"agents": [AGENT], "next_page_token": ""})}' ;;
          *"entry show"*) echo '{{"entries": [], "next_page_token": ""}}' ;;
          *) exec {version} "$@" ;;
        esac
        """
    )
    server.chmod(0o755)
    assert renewed(api, tmp_path, {"binary": str(server), "socket_path": "/nonexistent/api.sock"}) == pods

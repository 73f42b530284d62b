# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role join_token, at a real SPIRE server and a real API server: a node joins by what is in the Secret."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

from playbook import play

from ..conftest import TRUST_DOMAIN, Server, running_agent, wait_until
from ..kubernetes_api import Api, running_api

NODE = f"spiffe://{TRUST_DOMAIN}/node/one"


def run(server: Server, api: Api, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the role, with the name of the Secret as a survey gives it when nobody answers."""
    variables = {
        "join_token_spiffe_id": NODE,
        "join_token_secret_namespace": "provisioning",
        "join_token_secret_name": "",
        "join_token_connection": server.connection,
        "join_token_access": {"kubeconfig": api.kubeconfig},
    }
    done = play([{"hosts": "localhost", "vars": variables, "roles": ["trustmesh.spiffe.join_token"]}], folder, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def secrets(api: Api) -> list[str]:
    return api.kubectl("get", "secrets", "-n", "provisioning", "-o", "name").split()


def test_a_node_joins_by_the_secret_and_then_it_goes(server: Server, tmp_path: Path) -> None:
    with running_api() as api:
        api.kubectl("create", "namespace", "provisioning")
        run(server, api, tmp_path, "--check")
        assert secrets(api) == []
        done = run(server, api, tmp_path, "-vvv")
        kept = api.get("secret", "spire-join-token", "-n", "provisioning")
        token = base64.b64decode(kept["data"]["token"]).decode()
        assert token and token not in done.stdout + done.stderr
        assert "annotations" not in kept["metadata"], "a client's apply would have left a copy here"
        assert "The token is in the Secret provisioning/spire-join-token" in " ".join(done.stdout.split())
        with running_agent(server, token):
            wait_until("the node has joined", lambda: server.cli("agent", "list")["agents"])
            done = run(server, api, tmp_path)
            assert secrets(api) == []
            done = run(server, api, tmp_path)
            assert "changed=0" in done.stdout

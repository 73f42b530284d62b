# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin against real servers with real agents, as ansible-inventory runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token
from playbook import ROOT

from .conftest import Server, calls, running_agent, running_server, through, wait_until


def ask(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(path), "--list", *words]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
    }
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


def listed(path: Path, *words: str) -> dict[str, Any]:
    done = ask(path, *words)
    assert done.returncode == 0, done.stderr
    # ansible-inventory marks what is no template.
    found: dict[str, Any] = json.loads(done.stdout, object_hook=lambda data: data.get("__ansible_unsafe", data))
    return found


def write(folder: Path, *servers: tuple[str, Server], **options: Any) -> Path:
    path = folder / "estate.spire.yml"
    items = [{"name": name, **server.connection} for name, server in servers]
    path.write_text(yaml.safe_dump({"plugin": "trustmesh.spiffe.spire", "servers": items, **options}))
    return path


def test_agents_are_hosts_and_groups(tmp_path: Path) -> None:
    with running_server() as one, running_server(trust_domain="other.org") as two:
        token = generate_token(one.client, "spiffe://example.org/node/green", 60).value
        with running_agent(one, token):
            (agent,) = wait_until("the agent joins", lambda: list_agents(one.client))
            cache = {
                "cache": True,
                "cache_plugin": "ansible.builtin.jsonfile",
                "cache_connection": str(tmp_path / "cache"),
            }
            composed = {"compose": {"ansible_host": "'10.0.0.' ~ attested.aliases | length"}, "strict": True}
            path = write(tmp_path, ("blue", one), ("spare", two), **cache, **composed)
            # The first one as if it were in a pod.
            content = yaml.safe_load(path.read_text())
            content["servers"][0] |= {**through(one, tmp_path), "pod": "spire-server-0"}
            path.write_text(yaml.safe_dump(content))
            found = listed(path)
            assert all(" exec spire-server-0 " in f" {call} " for call in calls(tmp_path))
            assert found["attested"]["hosts"] == found["attested_at_blue"]["hosts"] == ["node.green"]
            groups = {"attested_in_example_org", "attested_by_join_token", "attested_living"}
            assert groups <= found.keys()
            variables = found["_meta"]["hostvars"]["node.green"]
            assert variables["ansible_host"] == "10.0.0.1"
            assert variables["attested"]["expires_at"] == agent.expires_at
            assert variables["attested"]["aliases"] == ["spiffe://example.org/node/green"]
            assert variables["attested"]["server"] == "blue"
            assert token not in json.dumps(found)
            assert all(token not in kept.read_text() for kept in (tmp_path / "cache").iterdir())
            one.cli("agent", "ban", "-spiffeID", agent.spiffe_id)
            # What was read a moment ago is kept, and asked for anew on demand.
            assert "attested_living" in listed(path)
            assert "attested_banned" in listed(path, "--flush-cache")
        one.stop()
        assert "attested_banned" in listed(path)
        done = ask(path, "--flush-cache")
        assert done.returncode != 0
        assert "servers: blue: Reading the trust bundle failed" in done.stderr
        assert "nobody answers at" in " ".join(done.stderr.split())


def test_what_is_wrong_in_the_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.spire.yml"
    path.write_text(yaml.safe_dump({"plugin": "trustmesh.spiffe.spire", "servers": [{"name": "a", "pods": "b"}]}))
    done = ask(path)
    assert done.returncode != 0
    assert "servers[0]: pods. Supported parameters" in " ".join(done.stderr.split())

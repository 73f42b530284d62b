# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""trust_status against real servers: what it says, what it writes, and that nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token
from playbook import play

from .conftest import run_module, run_playbook, running_agent, running_server, wait_until
from .entries import entry, run


def test_servers_agents_entries_and_federation(tmp_path: Path) -> None:
    with running_server() as server:
        bundle = show_bundle(server.client).pem
        server.cli("bundle", "set", "-id", "spiffe://b.org", "-format", "pem", stdin=bundle)
        words = ["-bundleEndpointURL", "https://b.org/", "-bundleEndpointProfile", "https_web", "-trustDomain", "b.org"]
        server.cli("federation", "create", *words)
        run(server, [entry("cart", federates_with=["b.org"])], owner="shop")
        token = generate_token(server.client, "spiffe://example.org/node/green", 60).value
        with running_agent(server, token):
            wait_until("the agent joins", lambda: list_agents(server.client))
            before = list_entries(server.client)
            there = {**server.connection, "name": "blue", "trust_domain": "example.org"}
            gone = {**there, "name": "gone", "socket_path": "/nonexistent/api.sock"}
            wrong = {**there, "name": "wrong", "trust_domain": "other.org"}
            given = {"scenario": "mine", "servers": [there, gone, wrong], "report_dir": str(tmp_path / "reports")}
            result = run_module("trust_status", given)
            assert not result.get("failed"), result
            assert not result["changed"]
            assert list_entries(server.client) == before
    blue = result["status"]["servers"][0]
    assert blue["entries"]["owners"] == {"(others)": 1, "shop": 1}
    assert blue["federation"][0]["health"] == "not_probed"
    assert blue["agents"][0]["aliases"] == ["spiffe://example.org/node/green"]
    kinds = [(line["of"], line["kind"], line["state"]) for line in result["status"]["lines"]]
    assert kinds == [
        *(("blue", kind, "ok") for kind in ("server", "agent", "entries", "federation")),
        ("gone", "server", "bad"),
        ("wrong", "server", "bad"),
    ]
    assert "there is no socket at /nonexistent/api.sock" in result["problems"][0]
    assert "signs for the trust domain example.org, and not for other.org" in result["problems"][1]
    assert token not in json.dumps(result)
    assert json.loads((tmp_path / "reports" / "mine-status.json").read_text()) == result["status"]
    page = (tmp_path / "reports" / "mine-status.html").read_text()
    assert "node/<wbr>green" in page and token not in page
    failed = run_module("trust_status", {**given, "fail_on_problems": True})
    assert failed["failed"]
    assert "server gone" in failed["msg"]


def test_the_role_shows_it_and_fails_when_it_is_asked_to(tmp_path: Path) -> None:
    with running_server() as server:
        there = {**server.connection, "name": "blue", "trust_domain": "example.org"}
        variables = {
            "verify_scenario": "mine",
            "verify_clusters": [],
            "verify_servers": [there],
            "verify_meshes": [],
            "verify_report_dir": str(tmp_path / "reports"),
        }
        role = {"name": "trustmesh.spiffe.verify", "tasks_from": "status"}
        tasks = [{"name": "Status", "ansible.builtin.include_role": role}]
        shown = run_playbook(tasks, tmp_path, vars=variables)
        assert "server" in shown and "example.org, SPIRE 1.15" in shown
        assert "mine: 2 as it should be" in shown
        assert "changed=0" in shown
    failing = {**variables, "verify_fail_on_problems": True}
    done = play([{"hosts": "localhost", "vars": failing, "tasks": tasks}], tmp_path)
    assert done.returncode != 0
    assert "BAD" in done.stdout
    assert "server blue: Asking for the server's health failed" in " ".join((done.stdout + done.stderr).split())
    gone = [{"name": "Remove", "ansible.builtin.include_role": {**role, "tasks_from": "remove"}}]
    run_playbook(gone, tmp_path, vars=variables)
    assert list((tmp_path / "reports").iterdir()) == []


def test_what_is_refused() -> None:
    def refused(**given: Any) -> str:
        result = run_module("trust_status", {"scenario": "mine", **given})
        assert result["failed"]
        return str(result["msg"])

    assert "Name what is to be looked at" in refused()
    assert "cannot name a file" in refused(scenario="a/b")
    assert "meshes[0]: cluster is 'blue', which is none of clusters" in refused(meshes=[{"cluster": "blue"}])

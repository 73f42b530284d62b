# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_join_token against a real server, with real agents that join by the tokens it mints."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Server, run_module, running_agent, running_server, wait_until

ALIAS = "spiffe://example.org/node/green"


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


def run(server: Server, check: bool = False, **options: Any) -> dict[str, Any]:
    result = run_module("spire_join_token", {**server.connection, "spiffe_id": ALIAS, **options}, check=check)
    assert not result.get("failed"), result
    return result


def attested(server: Server, count: int = 1) -> None:
    wait_until("the agent joins", lambda: len(server.client.list_agents()) >= count)


def test_life_of_a_token(server: Server, tmp_path: Path) -> None:
    check = run(server, check=True)
    assert check["changed"]
    assert "token" not in check
    assert check["agent"] == {"state": "absent"}
    assert server.client.list_entries() == []

    dest = tmp_path / "token"
    dest.write_text("old")
    dest.chmod(0o644)
    check = run(server, check=True, dest=str(dest))
    assert dest.read_text() == "old"
    minted = run(server, dest=str(dest), ttl=60)
    assert minted["diff"]["before"] == check["diff"]["before"]
    assert minted["actions"] == check["actions"]
    token = dest.read_text()
    assert dest.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["token"]
    assert token not in str(minted)
    assert 0 < minted["expires_at"] - time.time() <= 61

    with running_agent(server, token):
        attested(server)
        alive = run(server, dest=str(dest))
        assert not alive["changed"]
        assert alive["agent"]["state"] == "alive"
        assert alive["agent"]["expires_at"] > time.time()
        assert token not in str(alive)
        assert "sha256:" in alive["agent"]["id"]
        # The token was used: another agent cannot join with it.
        with running_agent(server, token, "thief"):
            log = server.folder / "thief" / "agent.log"
            wait_until("the thief is refused", lambda: "has already been used" in log.read_text())
        assert len(server.client.list_agents()) == 1

    # The agent is down but its identity lives on; the caller who knows that it is lost says so.
    assert not run(server)["changed"]
    check = run(server, check=True, force=True)
    assert len(server.client.list_agents()) == 1
    forced = run(server, force=True)
    assert (check["diff"], check["actions"]) == (forced["diff"], forced["actions"])
    assert [action["verb"] for action in forced["actions"]] == ["evict", "mint"]
    assert server.client.list_agents() == []
    assert forced["token"] != token
    assert token not in str(forced)
    with running_agent(server, forced["token"], "again"):
        attested(server)
        assert not run(server)["changed"]

    # Evicted by an operator: the next run mints.
    server.client.evict_agent(server.client.list_agents()[0].spiffe_id)
    evicted = run(server)
    assert evicted["changed"]
    assert evicted["agent"]["state"] == "absent"


def test_a_banned_agent_is_not_let_in_again_by_accident(server: Server) -> None:
    with running_agent(server, run(server)["token"]):
        attested(server)
        agent = server.client.list_agents()[0].spiffe_id
        server.cli("agent", "ban", "-spiffeID", agent)
    result = run_module("spire_join_token", {**server.connection, "spiffe_id": ALIAS})
    assert result["failed"]
    assert "banned" in result["msg"]
    assert agent.rsplit("/", 1)[1] not in str(result)
    assert run(server, force=True)["token"]
    assert [one.banned for one in server.client.list_agents()] == [True]


def test_an_expired_agent_is_evicted_before_minting() -> None:
    with running_server(agent_ttl="3s") as server:
        with running_agent(server, run(server)["token"]):
            attested(server)
        (agent,) = server.client.list_agents()
        wait_until("the agent's SVID expires", lambda: time.time() > agent.expires_at, 30)
        result = run(server)
        assert result["agent"]["state"] == "expired"
        assert [action["verb"] for action in result["actions"]] == ["evict", "mint"]
        assert server.client.list_agents() == []


def test_another_alias_does_not_count(server: Server) -> None:
    with running_agent(server, run(server)["token"]):
        attested(server)
        assert run(server, spiffe_id="spiffe://example.org/node/other")["changed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spiffe_id": "green"}, "spiffe_id: 'green' does not start with spiffe://"),
        ({"spiffe_id": "spiffe://example.org"}, "cannot be an alias"),
        ({"spiffe_id": "spiffe://example.org/spire/agent/x"}, "cannot be an alias"),
        ({"ttl": 0}, "ttl: 0"),
        ({"dest": "/"}, "is a folder"),
        ({"dest": "/nonexistent/token"}, "does not exist"),
        ({"container": "spire-server"}, "without pod"),
        ({"timeout": 0}, "timeout: 0"),
    ],
)
def test_bad_input_is_refused_before_the_server_is_asked(options: dict[str, Any], words: str) -> None:
    args = {"binary": "/nonexistent/spire-server", "spiffe_id": ALIAS, **options}
    result = run_module("spire_join_token", args)
    assert result["failed"]
    assert words in result["msg"]


def test_no_output_of_ansible_holds_the_token_at_the_highest_verbosity(server: Server, tmp_path: Path) -> None:
    dest = tmp_path / "token"
    playbook = tmp_path / "play.yml"
    connection = "".join(f"        {name}: {value}\n" for name, value in server.connection.items())
    playbook.write_text(
        f"""
- hosts: localhost
  gather_facts: false
  tasks:
    - trustmesh.spiffe.spire_join_token:
        spiffe_id: {ALIAS}
        dest: {dest}
{connection}
    - trustmesh.spiffe.spire_join_token:
        spiffe_id: {ALIAS}
{connection}
      register: minted
      no_log: true
    - ansible.builtin.copy:
        content: "{{{{ minted.token }}}}"
        dest: {tmp_path}/returned
        mode: "0600"
      no_log: true
"""
    )
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-vvvv", "--diff", str(playbook)],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    tokens = [dest.read_text(), (tmp_path / "returned").read_text()]
    assert len(set(tokens)) == 2
    for token in tokens:
        assert len(token) == 36
        assert token not in output

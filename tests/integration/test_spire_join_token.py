# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_join_token against a real server, with real agents that join by the tokens it mints."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import evict_agent, list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries

from .conftest import Server, run_module, run_playbook, running_agent, running_server, wait_until

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
    wait_until("the agent joins", lambda: len(list_agents(server.client)) >= count)


def test_life_of_a_token(server: Server, tmp_path: Path) -> None:
    check = run(server, check=True)
    assert check["changed"]
    assert "token" not in check
    assert check["agent"] == {"state": "absent"}
    assert list_entries(server.client) == []

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
        assert len(list_agents(server.client)) == 1

    # The agent is down but its identity lives on; the caller who knows that it is lost says so.
    assert not run(server)["changed"]
    check = run(server, check=True, force=True)
    assert len(list_agents(server.client)) == 1
    forced = run(server, force=True)
    assert (check["diff"], check["actions"]) == (forced["diff"], forced["actions"])
    assert [action["verb"] for action in forced["actions"]] == ["evict", "mint"]
    assert list_agents(server.client) == []
    assert forced["token"] != token
    assert token not in str(forced)
    with running_agent(server, forced["token"], "again"):
        attested(server)
        assert not run(server)["changed"]

    # Evicted by an operator: the next run mints.
    evict_agent(server.client, list_agents(server.client)[0].spiffe_id)
    evicted = run(server)
    assert evicted["changed"]
    assert evicted["agent"]["state"] == "absent"


def test_a_banned_agent_is_not_let_in_again_by_accident(server: Server) -> None:
    with running_agent(server, run(server)["token"]):
        attested(server)
        agent = list_agents(server.client)[0].spiffe_id
        server.cli("agent", "ban", "-spiffeID", agent)
    result = run_module("spire_join_token", {**server.connection, "spiffe_id": ALIAS})
    assert result["failed"]
    assert "banned" in result["msg"]
    assert agent.rsplit("/", 1)[1] not in str(result)
    assert run(server, force=True)["token"]
    assert [one.banned for one in list_agents(server.client)] == [True]


def test_an_expired_agent_is_evicted_before_minting() -> None:
    with running_server(agent_ttl="3s") as server:
        with running_agent(server, run(server)["token"]):
            attested(server)
        (agent,) = list_agents(server.client)
        wait_until("the agent's SVID expires", lambda: time.time() > agent.expires_at, 30)
        result = run(server)
        assert result["agent"]["state"] == "expired"
        assert [action["verb"] for action in result["actions"]] == ["evict", "mint"]
        assert list_agents(server.client) == []


def test_another_alias_does_not_count(server: Server) -> None:
    with running_agent(server, run(server)["token"]):
        attested(server)
        assert run(server, spiffe_id="spiffe://example.org/node/other")["changed"]


def test_a_token_in_the_file_that_is_still_good_is_kept(server: Server, tmp_path: Path) -> None:
    dest = tmp_path / "token"
    options = {"dest": str(dest), "ttl": 60}
    first = run(server, **options)
    token = dest.read_text()
    assert dest.stat().st_mtime == first["expires_at"]
    for check in (True, False):
        kept = run(server, check=check, **options)
        assert not kept["changed"]
        assert "still good" in kept["reason"]
    assert (dest.read_text(), len(list_entries(server.client))) == (token, 1)

    # Less than half of its life is left, or the file tells nothing: a new one.
    os.utime(dest, (time.time(), time.time() + 29))
    assert run(server, **options)["changed"]
    dest.write_text("not a token\n")
    assert run(server, **options)["changed"]

    # What was minted is good: the agent joins with it, and then the file does not matter.
    kept_token = dest.read_text()
    with running_agent(server, kept_token):
        attested(server)
        assert run(server, **options)["agent"]["state"] == "alive"
    # Its agent is forgotten, so that the token in the file is a used one, although its time has not come.
    evict_agent(server.client, list_agents(server.client)[0].spiffe_id)
    assert run(server, **options)["changed"]
    assert dest.read_text() != kept_token


def test_many_nodes_in_one_task(server: Server, tmp_path: Path) -> None:
    def node(name: str, **options: Any) -> dict[str, Any]:
        return {"spiffe_id": f"spiffe://example.org/node/{name}", "dest": str(tmp_path / name), **options}

    def many(tokens: list[dict[str, Any]], check: bool = False, **options: Any) -> dict[str, Any]:
        result = run_module("spire_join_token", {**server.connection, "tokens": tokens, **options}, check=check)
        assert not result.get("failed"), result
        return result

    nodes = [node("one"), node("two", ttl=60), {"spiffe_id": "spiffe://example.org/node/three"}]
    check = many(nodes, check=True)
    assert list(tmp_path.iterdir()) == []
    real = many(nodes)
    assert (check["diff"], check["actions"]) == (real["diff"], real["actions"])
    assert [one["spiffe_id"] for one in real["tokens"]] == [one["spiffe_id"] for one in nodes]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert real["tokens"][1]["expires_at"] - time.time() < 61 < real["tokens"][0]["expires_at"] - time.time()
    assert "token" not in real["tokens"][0]
    assert all(path.read_text() not in str(real) for path in tmp_path.iterdir())
    with running_agent(server, real["tokens"][2]["token"]):
        attested(server)
        again = many(nodes)
        assert (again["changed"], again["actions"], again["diff"]) == (False, [], [])
        # One of many was lost.
        nodes[2]["force"] = True
        forced = many(nodes)
        assert [action["verb"] for action in forced["actions"]] == ["evict", "mint"]
    assert not many([])["changed"]


def test_what_was_done_before_a_failure_is_told(server: Server, tmp_path: Path) -> None:
    """A stand-in for the program that refuses the second mint, which a healthy server never does."""
    program = tmp_path / "spire-server"
    real = server.connection["binary"]
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *node/two*) echo "rpc error: code = Internal" >&2; exit 1;; esac\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    tokens = [
        {"spiffe_id": f"spiffe://example.org/node/{name}", "dest": str(tmp_path / name)} for name in ("one", "two")
    ]
    result = run_module("spire_join_token", {**server.connection, "binary": str(program), "tokens": tokens})
    assert result["failed"]
    assert result["changed"]
    assert result["actions"] == [{"verb": "mint", "id": "", "spiffe_id": "spiffe://example.org/node/one"}]
    # The file of the first holds its token, and nothing half made is left beside it.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "spire-server"]
    assert (tmp_path / "one").read_text() not in str(result)


def test_an_alias_that_others_have_is_refused(server: Server) -> None:
    server.cli("entry", "create", "-node", "-spiffeID", ALIAS, "-selector", "k8s_psat:cluster:blue", "-entryID", "psat")
    for options in ({}, {"force": True}):
        result = run_module("spire_join_token", {**server.connection, "spiffe_id": ALIAS, **options})
        assert result["failed"]
        assert "node alias" in result["msg"]
        assert result["entry_id"] == "psat"
    server.cli("entry", "delete", "-entryID", "psat")
    assert run(server)["changed"]


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
        ({"tokens": []}, "mutually exclusive"),
        ({"spiffe_id": None}, "one of the following is required"),
        ({"spiffe_id": None, "tokens": [{"spiffe_id": ALIAS}], "dest": "/tmp/x"}, "mutually exclusive"),
        ({"spiffe_id": None, "tokens": [{"spiffe_id": ALIAS}, {"spiffe_id": "x"}]}, "tokens[1].spiffe_id: 'x'"),
        (
            {"spiffe_id": None, "tokens": [{"spiffe_id": ALIAS}] * 2},
            "tokens[1].spiffe_id: spiffe://example.org/node/green",
        ),
        ({"spiffe_id": None, "tokens": [{"spiffe_id": ALIAS, "ttl": 0}]}, "tokens[0].ttl: 0"),
        ({"spiffe_id": None, "tokens": [{"spiffe_id": ALIAS, "dest": "/nonexistent/t"}]}, "tokens[0].dest: the folder"),
        ({"spiffe_id": None, "tokens": [{"dest": "/tmp/t"}]}, "tokens[0]: missing required arguments: spiffe_id"),
        ({"spiffe_id": None, "tokens": [{"spiffe_id": ALIAS, "tll": 5}]}, "tokens[0]: Unsupported parameters"),
    ],
)
def test_bad_input_is_refused_before_the_server_is_asked(options: dict[str, Any], words: str) -> None:
    args = {"binary": "/nonexistent/spire-server", "spiffe_id": ALIAS, **options}
    result = run_module("spire_join_token", {name: value for name, value in args.items() if value is not None})
    assert result["failed"]
    assert words in result["msg"]


def test_no_output_of_ansible_holds_the_token_at_the_highest_verbosity(server: Server, tmp_path: Path) -> None:
    dest, many = tmp_path / "token", tmp_path / "many"
    module = "trustmesh.spiffe.spire_join_token"
    output = run_playbook(
        [
            {module: {**server.connection, "spiffe_id": ALIAS, "dest": str(dest)}},
            {module: {**server.connection, "tokens": [{"spiffe_id": f"{ALIAS}2", "dest": str(many)}]}},
            {module: {**server.connection, "spiffe_id": ALIAS}, "register": "minted", "no_log": True},
            {
                "ansible.builtin.copy": {
                    "content": "{{ minted.token }}",
                    "dest": f"{tmp_path}/returned",
                    "mode": "0600",
                },
                "no_log": True,
            },
        ],
        tmp_path,
        "-vvvv",
        "--diff",
    )
    tokens = [path.read_text() for path in (dest, many, tmp_path / "returned")]
    assert len(set(tokens)) == 3
    for token in tokens:
        assert len(token) == 36
        assert token not in output
    assert "no_log for tokens" not in output

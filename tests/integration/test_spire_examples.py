# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in the documentation, run against a real server: those of agents, tokens, authorities and the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Server, examples, run_playbook, running_agent, running_server, wait_until


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as one:
        token = one.client.generate_token("spiffe://example.org/node/blue", 60).value
        with running_agent(one, token):
            wait_until("the agent joins", one.client.list_agents)
            yield one


@pytest.mark.parametrize(
    "module", ["spire_agent", "spire_agent_info", "spire_authority", "spire_join_token", "spire_server_info"]
)
def test_the_examples_run(module: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    text = examples(module)
    for pattern, here in (
        # Where the agents and files of the examples are in this test.
        (
            "spiffe://example.org/spire/agent/k8s_psat/blue/7d1f0c5e-7f0e-4f8b-9d4b-2c9a8f0f6b11",
            server.client.list_agents()[0].spiffe_id,
        ),
        ("/etc/spire/agent", str(tmp_path)),
        ("build/tokens", f"{tmp_path}/tokens"),
    ):
        text = text.replace(pattern, here)
    tasks: list[dict[str, Any]] = yaml.safe_load(text)
    for task in tasks:
        for action in [name for name in task if name.startswith("trustmesh.spiffe.")]:
            elsewhere = ("pod", "kubeconfig", "propagation")
            options = {name: value for name, value in (task[action] or {}).items() if name not in elsewhere}
            wait = {"propagation": 1} if options.get("state") == "rotated" else {}
            task[action] = {**options, **wait, **server.connection}
    run_playbook(tasks, tmp_path, "--diff")
    if module == "spire_agent":
        assert [one.banned for one in server.client.list_agents()] == [True]
    if module == "spire_join_token":
        assert len(list(tmp_path.glob("tokens/*"))) == 2

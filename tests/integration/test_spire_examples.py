# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in the documentation of the SPIRE modules, run as a user runs them, against real servers and agents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import list_federated_bundles
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.client import list_relationships
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token
from certificates import issue

from .conftest import MODULES, Server, example_tasks, run_playbook, running_agent, running_server, wait_until
from .entries import entry
from .federation import OTHER, running_partner, running_site

OF_AGENTS = ("spire_agent", "spire_agent_info", "spire_authority", "spire_join_token", "spire_server_info")
OF_ENTRIES = ("spire_entry", "spire_entry_info")
OF_BUNDLES = ("spire_bundle_info", "spire_bundle", "spire_federation", "spire_federation_info")


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


def test_no_module_is_left_out() -> None:
    assert {path.stem for path in MODULES.glob("spire_*.py")} == {*OF_AGENTS, *OF_ENTRIES, *OF_BUNDLES}


@pytest.mark.parametrize("module", OF_AGENTS)
def test_agents_tokens_authorities_and_the_server(module: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "build" / "tokens").mkdir(parents=True)
    token = generate_token(server.client, "spiffe://example.org/node/blue", 60).value
    with running_agent(server, token):
        (agent,) = wait_until("the agent joins", lambda: list_agents(server.client))
        psat = "spiffe://example.org/spire/agent/k8s_psat/blue/7d1f0c5e-7f0e-4f8b-9d4b-2c9a8f0f6b11"
        tasks = example_tasks(module, server, {psat: agent.spiffe_id, "/etc/spire/agent": str(tmp_path)})
        for options in [task.get("trustmesh.spiffe.spire_authority", {}) for task in tasks]:
            if options.get("state") == "rotated":
                options["propagation"] = 1
        run_playbook(tasks, tmp_path, "--diff")
    if module == "spire_agent":
        assert [one.banned for one in list_agents(server.client)] == [True]
    if module == "spire_join_token":
        assert len(list(tmp_path.glob("build/tokens/*"))) == 2


def test_entries(server: Server, tmp_path: Path) -> None:
    shop = [entry("one"), entry("two")]
    (tmp_path / "shop.json").write_text(json.dumps(shop))
    texts = {"/etc/trustmesh/shop.json": f"{tmp_path}/shop.json"}
    tasks = [task for module in OF_ENTRIES for task in example_tasks(module, server, texts)]
    output = run_playbook(tasks, tmp_path, "--diff", vars={"shop_entries": shop})
    assert "changed=6" in output
    left = {found.spiffe_id for found in list_entries(server.client)}
    assert left == {"spiffe://example.org/node/blue", "spiffe://example.org/ns/shop/sa/quote"}


def test_bundles_and_federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        running_partner() as partner,
        running_site(tmp_path, monkeypatch) as site,
        running_server() as server,
    ):
        document = partner.bundle["spiffe"]
        site.answers["/bundle.json"] = (200, document)
        (tmp_path / "partner.example.json").write_text(document)
        (tmp_path / "supplier.example.pem").write_text(issue("spiffe://supplier.example", ca=True).pem)
        texts = {
            "https://192.0.2.10:8443": partner.url,
            "https://supplier.example/": f"{site.url}/",
            "/etc/spire/federated": str(tmp_path),
            "/etc/spire/agent": str(tmp_path),
        }
        others = {"build/clusters/partner.kubeconfig": partner.server}
        tasks = [task for module in OF_BUNDLES for task in example_tasks(module, server, texts, others)]
        run_playbook(tasks, tmp_path, "--diff")
        assert [one.trust_domain for one in list_relationships(server.client)] == [OTHER]
        assert [one.trust_domain for one in list_federated_bundles(server.client)] == [OTHER]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in the documentation of the SPIRE modules, run as a user runs them, against real servers and agents."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import list_federated_bundles
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.client import list_relationships
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token
from certificates import issue

from .authorities import active
from .conftest import (
    MODULES,
    Server,
    binary,
    example_tasks,
    run_module,
    run_playbook,
    running_agent,
    running_server,
    wait_until,
)
from .entries import entry
from .federation import OTHER, federate, running_partner, running_site
from .kubernetes_api import running_api

OF_AGENTS = ("spire_agent", "spire_agent_info", "spire_authority", "spire_join_token", "spire_server_info")
OF_ENTRIES = ("spire_entry", "spire_entry_info")
OF_FILES = ("spire_entry_export", "spire_svid")
AGENT_SOCKET = "/run/spire/agent.sock"
OF_UPSTREAM = ("spire_upstream_ca",)
OF_MACHINES = ("spire_node_certificate",)
OF_BUNDLES = ("spire_bundle_info", "spire_bundle", "spire_federation", "spire_federation_info")


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


def test_no_module_is_left_out() -> None:
    known = {*OF_AGENTS, *OF_ENTRIES, *OF_FILES, *OF_BUNDLES, *OF_UPSTREAM, *OF_MACHINES}
    assert {path.stem for path in MODULES.glob("spire_*.py")} == known


@pytest.mark.parametrize("module", OF_AGENTS)
def test_agents_tokens_authorities_and_the_server(module: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "build" / "tokens").mkdir(parents=True)
    token = generate_token(server.client, "spiffe://example.org/node/blue", 60).value
    with running_agent(server, token):
        (agent,) = wait_until("the agent joins", lambda: list_agents(server.client))
        psat = "spiffe://example.org/spire/agent/k8s_psat/blue/7d1f0c5e-7f0e-4f8b-9d4b-2c9a8f0f6b11"
        tasks = example_tasks(module, server, {psat: agent.spiffe_id, "/etc/spire/agent": str(tmp_path)})
        # The others are for a server that signs by itself, and with which nobody federates.
        tasks = [
            task
            for task in tasks
            if not {"upstream_authority_id", "peers"} & task.get("trustmesh.spiffe.spire_authority", {}).keys()
        ]
        for options in [task.get("trustmesh.spiffe.spire_authority", {}) for task in tasks]:
            if options.get("state") == "rotated":
                options["propagation"] = 1
        run_playbook(tasks, tmp_path, "--diff")
    if module == "spire_agent":
        assert [one.banned for one in list_agents(server.client)] == [True]
    if module == "spire_join_token":
        assert len(list(tmp_path.glob("build/tokens/*"))) == 2


@pytest.mark.parametrize("module", OF_MACHINES)
def test_certificates_of_machines(module: str, server: Server, tmp_path: Path) -> None:
    run_playbook(example_tasks(module, server, {"/var/lib/trustmesh": str(tmp_path)}), tmp_path, "--diff")
    assert len(list(tmp_path.glob("machines/*/current/tls.key"))) == 2


def test_an_upstream_ca(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    wanted = {"path": str(folder), "trust_domain": "example.org"}
    first = run_module("spire_upstream_ca", wanted)["upstream_ca"]["authority_id"]
    paths = {"cert": "tls.crt", "key": "tls.key", "bundle": "ca.crt"}
    data = " ".join(f'{name}_file_path = "{folder}/current/{file}"' for name, file in paths.items())
    with (
        running_api() as api,
        running_server(plugins=f'UpstreamAuthority "disk" {{ plugin_data {{ {data} }} }}') as server,
    ):
        tasks = example_tasks("spire_upstream_ca", server, {"/var/lib/trustmesh/upstream_ca": str(folder)})
        for task in tasks:
            task["trustmesh.spiffe.spire_upstream_ca"] |= {"kubeconfig": api.kubeconfig, "kubectl": binary("kubectl")}
        run_playbook(tasks, tmp_path, "--diff")
        second = run_module("spire_upstream_ca", wanted)["upstream_ca"]["authority_id"]
        assert second != first
        assert api.get("secret", "spire-upstream-ca", "-n", "spire-server")["data"]["tls.key"]
        for task in example_tasks("spire_authority", server, {"6e4ff0e9b5d1c7e1a3d2c8b7f0a9d8c7b6a59483": second}):
            options = task.get("trustmesh.spiffe.spire_authority", {})
            if "upstream_authority_id" in options:
                options["propagation"] = 1
                run_playbook([task], tmp_path)
        slots = server.cli("localauthority", "x509", "show")
        assert slots["prepared"]["upstream_authority_subject_key_id"] == second


def test_a_rotation_that_waits_for_a_partner(server: Server, tmp_path: Path) -> None:
    with running_partner() as partner:
        federate(server, partner)
        others = {"build/clusters/partner.kubeconfig": server}
        first, *tasks = example_tasks("spire_authority", partner.server, {}, others)
        tasks = [task for task in tasks if "peers" in task["trustmesh.spiffe.spire_authority"]]
        for task in tasks:
            task["trustmesh.spiffe.spire_authority"]["propagation"] = 1
        before = active(partner.server)
        run_playbook([first, *tasks], tmp_path, "--diff")
        assert active(partner.server) != before


def test_entries(server: Server, tmp_path: Path) -> None:
    shop = [entry("one"), entry("two")]
    (tmp_path / "shop.json").write_text(json.dumps(shop))
    texts = {"/etc/trustmesh/shop.json": f"{tmp_path}/shop.json"}
    tasks = [task for module in OF_ENTRIES for task in example_tasks(module, server, texts)]
    output = run_playbook(tasks, tmp_path, "--diff", vars={"shop_entries": shop})
    assert "changed=6" in output
    left = {found.spiffe_id for found in list_entries(server.client)}
    assert left == {"spiffe://example.org/node/blue", "spiffe://example.org/ns/shop/sa/quote"}


def test_files_of_entries_and_svids(server: Server, tmp_path: Path) -> None:
    run_module("spire_entry", {**server.connection, "entries": [entry("one"), entry("two")]})
    texts = {"/etc/trustmesh": str(tmp_path), "/var/lib/trustmesh": str(tmp_path)}
    wanted = {"spiffe_id": "spiffe://example.org/me", "parent_id": "spiffe://example.org/node/blue"}
    own = {**wanted, "selectors": [f"unix:uid:{os.geteuid()}"]}
    run_module("spire_entry", {**server.connection, "entries": [own], "owner": "me"})
    token = generate_token(server.client, "spiffe://example.org/node/blue", 60).value
    with running_agent(server, token):
        socket = f"{server.folder}/agent/agent.sock"
        tasks = [task for module in OF_FILES for task in example_tasks(module, server, {**texts, AGENT_SOCKET: socket})]
        for task in tasks:
            if task.get("trustmesh.spiffe.spire_svid", {}).get("source"):
                task["trustmesh.spiffe.spire_svid"]["agent_binary"] = binary("spire-agent")
        output = run_playbook(tasks, tmp_path, "--diff")
    assert "changed=4" in output
    assert "PRIVATE KEY" not in output
    assert {path.name for path in tmp_path.glob("*/current/*")} == {"svid.pem", "svid.key", "bundle.pem", "svid.jwt"}


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

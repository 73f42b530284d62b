# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents as hosts: names that are there once, groups, and the options of the plugin."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.inventory.model import (
    HOSTNAMES,
    STATES,
    Rules,
    group_name,
    hosts,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.inventory.read import (
    check_servers,
    server_options,
)

NOW = 1000


def agent(path: str, *selectors: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"spiffe://example.org/spire/agent/{path}",
        "attestation_type": path.split("/", maxsplit=1)[0],
        "aliases": [],
        "banned": False,
        "can_reattest": True,
        "expires_at": 2000,
        "serial_number": "1",
        "selectors": list(selectors),
        "version": "1.15.3",
        **fields,
    }


def at(name: str, *agents: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "trust_domain": "example.org", "agents": list(agents)}


def names(*servers: dict[str, Any], **rules: Any) -> list[str]:
    return [host.name for host in hosts(servers, Rules(**rules), NOW)]


def test_a_host_has_groups_and_one_variable() -> None:
    one = agent("k8s_psat/blue/uid", "k8s_psat:agent_node_name:blue-1", "k8s_psat:cluster:blue")
    (host,) = hosts([at("main", one)], Rules(), NOW)
    assert host.name == "blue-1"
    assert host.groups == (
        "attested",
        "attested_at_main",
        "attested_in_example_org",
        "attested_by_k8s_psat",
        "attested_living",
        "attested_with_k8s_psat_agent_node_name_blue_1",
        "attested_with_k8s_psat_cluster_blue",
    )
    assert host.variables == {"attested": {**one, "server": "main", "trust_domain": "example.org", "expired": False}}


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        ({"expires_at": NOW}, "attested_expired"),
        ({"expires_at": NOW + 1}, "attested_living"),
        ({"banned": True}, "attested_banned"),
        ({"banned": True, "expires_at": NOW}, "attested_banned"),
    ],
)
def test_an_agent_is_in_one_state(fields: dict[str, Any], group: str) -> None:
    (host,) = hosts([at("main", agent("x509pop/a", **fields))], Rules(), NOW)
    assert [one for one in host.groups if one in {f"attested_{state}" for state in STATES}] == [group]


def test_by_what_a_host_is_called() -> None:
    joined = agent("join_token/sha256:ba7816bf8f01cfea", aliases=["spiffe://example.org/node/green"])
    machine = agent("x509pop/0123", "x509pop:subject:cn:vm1 (rack 2)")
    assert names(at("main", joined, machine)) == ["node.green", "vm1-rack-2"]
    assert names(at("main", joined, machine), hostnames=["id"]) == [
        "join_token.sha256-ba7816bf8f01cfea",
        "x509pop.0123",
    ]
    assert names(at("main", machine), hostnames=["alias"]) == ["x509pop.0123"]


def test_a_name_is_there_once() -> None:
    node = "k8s_psat:agent_node_name:node-1"
    living, former = agent("k8s_psat/a/2", node), agent("k8s_psat/a/1", node, expires_at=900)
    alone = names(at("a", former, living))
    assert alone[0] == "node-1"
    assert alone[1].startswith("node-1-")
    found = {host.name: host.variables["attested"] for host in hosts([at("a", former, living)], Rules(), NOW)}
    assert not found["node-1"]["expired"]
    assert names(at("a", living), at("b", agent("k8s_psat/b/1", node))) == ["node-1.a", "node-1.b"]


def test_what_is_left_out() -> None:
    server = at("main", agent("x509pop/a", "x509pop:ca:1"), agent("x509pop/b", expires_at=1))
    assert names(server, states=["living"], hostnames=["id"]) == ["x509pop.a"]
    (host, _expired) = hosts([server], Rules(selector_groups=["k8s*"]), NOW)
    assert group_name("with", "x509pop:ca:1") not in host.groups


@pytest.mark.parametrize("wanted", [[], ["name"], ["a:"], [":a"], ["alias", "a b:c"]])
def test_hostnames_that_are_refused(wanted: list[str]) -> None:
    with pytest.raises(InputError, match="hostnames"):
        Rules(hostnames=wanted).check()


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        ([], "it is empty"),
        ([{"name": "a"}, {}], r"servers\[1\]: missing required arguments: name"),
        ([{"name": "a"}, {"name": "a"}], r"servers\[1\]: there is another one of the name a"),
        ([{"name": "a", "pods": "x"}], r"servers\[0\]: pods"),
        ([{"name": "a", "pod": "x", "pod_selector": "a=b"}], r"servers\[0\]: .*mutually exclusive"),
        ([{"name": "{{ x }}"}], r"servers\[0\]: .*template"),
        ([{"name": " "}], r"servers\[0\]: name is empty"),
    ],
)
def test_servers_that_are_refused(servers: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_servers(servers)


def test_the_documentation_has_the_options_of_a_server_and_the_defaults_of_the_rules() -> None:
    plugin = importlib.import_module("ansible_collections.trustmesh.spiffe.plugins.inventory.spire")
    told = yaml.safe_load(plugin.DOCUMENTATION)["options"]
    suboptions = told["servers"]["suboptions"]
    wanted = server_options()
    assert {name: (option["type"], option.get("default")) for name, option in suboptions.items()} == {
        name: (option["type"], option.get("default")) for name, option in wanted.items()
    }
    assert told["hostnames"]["default"] == list(HOSTNAMES)
    assert told["states"]["choices"] == told["states"]["default"] == list(STATES)
    assert told["selector_groups"]["default"] == list(Rules().selector_groups)

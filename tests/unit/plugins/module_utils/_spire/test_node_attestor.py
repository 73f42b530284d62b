# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What agent and server need of each node attestor, and by what a machine is known."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_attestor import (
    agent_data,
    alias_entry,
    faults,
    server_overlay,
)

ALIAS, SERVER = "spiffe://example.org/host/vm1", "spiffe://example.org/spire/server"


def machine(**changes: Any) -> dict[str, Any]:
    return {
        "attestor": "x509pop",
        "mode": "external_pki",
        "name": "vm1",
        "trust_domain": "example.org",
        "spiffe_id": ALIAS,
        "data": {},
        "server_data": {},
        "selectors": [],
        "certificate": "/a/tls.crt",
        "key": "/a/tls.key",
        "ca_path": "/ca.crt",
        "ssh_authorities": [],
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        ({}, {"certificate_path": "/a/tls.crt", "private_key_path": "/a/tls.key"}),
        ({"data": {"spiffe_endpoint_socket": "unix:///s"}}, {"spiffe_endpoint_socket": "unix:///s"}),
        (
            {"data": {"intermediates_path": "/i"}},
            {"certificate_path": "/a/tls.crt", "private_key_path": "/a/tls.key", "intermediates_path": "/i"},
        ),
        ({"attestor": "join_token"}, {}),
        ({"attestor": "http_challenge"}, {"hostname": "vm1", "port": 80}),
        (
            {"attestor": "http_challenge", "data": {"hostname": "vm1.corp.example"}},
            {"hostname": "vm1.corp.example", "port": 80},
        ),
        ({"attestor": "sshpop"}, {}),
        ({"attestor": "tpm", "data": {"ca_path": "/t"}}, {"ca_path": "/t"}),
    ],
)
def test_the_agents_side(changes: dict[str, Any], data: dict[str, Any]) -> None:
    assert agent_data(machine(**changes)) == data


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        ({}, {"ca_bundle_paths": ["/ca.crt"]}),
        ({"server_data": {"ca_bundle_path": "/own"}}, {"ca_bundle_path": "/own"}),
        ({"mode": "spiffe"}, {"mode": "spiffe"}),
        ({"attestor": "join_token"}, {}),
        (
            {"attestor": "http_challenge", "name": "vm1.example"},
            {"required_port": 80, "tofu": False, "allowed_dns_patterns": ["^vm1\\.example$"]},
        ),
        (
            {"attestor": "sshpop", "ssh_authorities": ["ssh-ed25519 A"]},
            {
                "cert_authorities": ["ssh-ed25519 A"],
                "agent_path_template": "/{{ .PluginName }}/{{ index .ValidPrincipals 0 }}",
            },
        ),
        ({"attestor": "aws_iid", "server_data": {"partition": "aws"}}, {"partition": "aws"}),
    ],
)
def test_the_servers_side(changes: dict[str, Any], data: dict[str, Any]) -> None:
    given = machine(**changes)
    assert server_overlay(given) == {"plugins": {"NodeAttestor": {given["attestor"]: {"plugin_data": data}}}}


@pytest.mark.parametrize(
    ("changes", "parent", "selectors"),
    [
        ({}, SERVER, ["x509pop:subject:cn:vm1"]),
        ({"selectors": ["x509pop:ca:fingerprint:0a"]}, SERVER, ["x509pop:ca:fingerprint:0a"]),
        ({"attestor": "http_challenge"}, SERVER, ["http_challenge:hostname:vm1"]),
        ({"attestor": "aws_iid", "selectors": ["aws_iid:tag:name:a"]}, SERVER, ["aws_iid:tag:name:a"]),
        *[
            (changes, agent, [f"spiffe_id:{agent}"])
            for changes, agent in (
                ({"mode": "spiffe"}, "spiffe://example.org/spire/agent/x509pop/vm1"),
                ({"attestor": "sshpop"}, "spiffe://example.org/spire/agent/sshpop/vm1"),
            )
        ],
    ],
)
def test_the_alias(changes: dict[str, Any], parent: str, selectors: list[str]) -> None:
    assert alias_entry(machine(**changes)) == {"spiffe_id": ALIAS, "parent_id": parent, "selectors": selectors}


@pytest.mark.parametrize("attestor", ["join_token", "aws_iid", "tpm"])
def test_where_no_alias_can_be_known_there_is_none(attestor: str) -> None:
    assert alias_entry(machine(attestor=attestor)) == {}


@pytest.mark.parametrize(
    ("changes", "folder", "socket", "words"),
    [
        ({"name": "a b"}, "/opt/a", "/run/a/s", "machine_name: 'a b'"),
        ({"spiffe_id": "vm1"}, "/opt/a", "/run/a/s", "machine_spiffe_id: 'vm1' does not start"),
        ({"spiffe_id": "spiffe://example.org"}, "/opt/a", "/run/a/s", "is no alias of a node"),
        ({"spiffe_id": "spiffe://example.org/spire/a"}, "/opt/a", "/run/a/s", "is no alias of a node"),
        ({"spiffe_id": "spiffe://other.org/a"}, "/opt/a", "/run/a/s", "not in the trust domain"),
        ({}, "/opt", "/run/a/s", "machine_dir: '/opt'"),
        ({}, "opt/a", "/run/a/s", "machine_dir: 'opt/a'"),
        ({}, "/opt/../etc", "/run/a/s", "machine_dir: "),
        ({}, "/opt/a b", "/run/a/s", "machine_dir: "),
        ({}, "/opt/a/", "/run/a/s", "machine_dir: "),
        ({}, "/opt/a", "s", "machine_socket_path: 's'"),
        ({}, "/opt/a", "/s", "machine_socket_path: '/s'"),
        ({}, "/opt/a", "/run/" + "s" * 110, "107 bytes"),
        ({"attestor": "sshpop"}, "/opt/a", "/run/a/s", "machine_ssh_authorities is empty"),
    ],
)
def test_what_cannot_work_is_named(changes: dict[str, Any], folder: str, socket: str, words: str) -> None:
    (fault,) = faults(machine(**changes), folder, socket)
    assert words in fault


def test_what_can_work_has_no_faults() -> None:
    assert faults(machine(), "/opt/spire-agent", "/run/spire/agent-sockets/spire-agent.sock") == []
    given = machine(attestor="sshpop", server_data={"cert_authorities_path": "/a"})
    assert faults(given, "/opt/spire-agent", "/run/a/s") == []

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""How a machine attests: what its agent needs of each attestor, what the server needs, and by what it is known. Pure.

A machine is a mapping with the role's own words: ``attestor``, ``mode``, ``name``, ``trust_domain``, ``spiffe_id`` (the
node alias), ``data`` and ``server_data`` (what a user lays over the plugins of agent and server), ``selectors`` (those
of a user), ``certificate`` and ``key`` (files on the machine), ``ca_path`` (a file at the server), ``ssh_authorities``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.model import SPIFFE
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeId, SpiffeIdError

X509POP, JOIN_TOKEN, HTTP_CHALLENGE, SSHPOP = "x509pop", "join_token", "http_challenge", "sshpop"
MAX_SOCKET_BYTES = 107
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_PATH = re.compile(r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._-]+)+\Z")


def agent_data(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``plugin_data`` of the attestor in the agent."""
    base: dict[str, Any] = {}
    if machine["attestor"] == X509POP and not own_identity(machine):
        base = {"certificate_path": machine["certificate"], "private_key_path": machine["key"]}
    if machine["attestor"] == HTTP_CHALLENGE:
        base = {"hostname": machine["name"], "port": 80}
    return {**base, **machine["data"]}


def own_identity(machine: Mapping[str, Any]) -> bool:
    """Whether a machine brings what it attests with by x509pop, so that nothing is made for it."""
    return bool({"certificate_path", "spiffe_endpoint_socket"} & set(machine["data"]))


def server_overlay(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the server needs to know its node, in the form of C(spire_server_overlay)."""
    base: dict[str, Any] = {}
    if machine["attestor"] == X509POP:
        if machine["mode"] == SPIFFE:
            base = {"mode": SPIFFE}
        elif "ca_bundle_path" not in machine["server_data"]:
            # A list, beside which clusters whose nodes have certificates, too, may name theirs.
            base = {"ca_bundle_paths": [machine["ca_path"]]}
    if machine["attestor"] == HTTP_CHALLENGE:
        # A port below 1024 is root's, so who answers there may attest again.
        host = re.escape(str(agent_data(machine)["hostname"]))
        base = {"required_port": 80, "tofu": False, "allowed_dns_patterns": [f"^{host}$"]}
    if machine["attestor"] == SSHPOP:
        # By the host's name in its certificate. The fingerprint, SPIRE's default, changes with each certificate.
        base = {
            "cert_authorities": list(machine["ssh_authorities"]),
            "agent_path_template": "/{{ .PluginName }}/{{ index .ValidPrincipals 0 }}",
        }
    data = {**base, **machine["server_data"]}
    return {"plugins": {"NodeAttestor": {machine["attestor"]: {"plugin_data": data}}}}


def alias_entry(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the registration entry that gives the node its alias, or nothing where there is none to make.

    Who joins by token has the alias by the token. Where SPIRE has no selector for a node, the entry hangs below the
    agent's own SPIFFE ID, as those of tokens do.
    """
    if machine["attestor"] == JOIN_TOKEN:
        return {}
    base = f"spiffe://{machine['trust_domain']}"
    if machine["selectors"]:
        return _alias(machine, f"{base}/spire/server", list(machine["selectors"]))
    if machine["attestor"] == X509POP and machine["mode"] != SPIFFE:
        return _alias(machine, f"{base}/spire/server", [f"x509pop:subject:cn:{machine['name']}"])
    if machine["attestor"] == HTTP_CHALLENGE:
        hostname = agent_data(machine)["hostname"]
        return _alias(machine, f"{base}/spire/server", [f"http_challenge:hostname:{hostname}"])
    if machine["attestor"] in (X509POP, SSHPOP):
        agent = f"{base}/spire/agent/{machine['attestor']}/{machine['name']}"
        return _alias(machine, agent, [f"spiffe_id:{agent}"])
    return {}


def _alias(machine: Mapping[str, Any], parent: str, selectors: list[str]) -> dict[str, Any]:
    return {"spiffe_id": machine["spiffe_id"], "parent_id": parent, "selectors": selectors}


def faults(machine: Mapping[str, Any], folder: str, socket: str) -> list[str]:
    """Return a text for each thing that cannot work, whatever the server is."""
    found = []
    if not _NAME.match(str(machine["name"])):
        found.append(
            f"machine_name: {str(machine['name'])[:80]!r} is no name of a node. Use 1 to 64 letters, digits, dots,"
            " dashes and underscores."
        )
    try:
        spiffe_id = SpiffeId.parse(str(machine["spiffe_id"]))
    except SpiffeIdError as error:
        found.append(f"machine_spiffe_id: {error}.")
    else:
        if spiffe_id.trust_domain != machine["trust_domain"]:
            found.append(f"machine_spiffe_id: {spiffe_id} is not in the trust domain {machine['trust_domain']}.")
        if not spiffe_id.path or spiffe_id.is_reserved:
            found.append(
                f"machine_spiffe_id: {spiffe_id} is no alias of a node. It needs a path, and not one below /spire."
            )
    # They stand in a unit of systemd and in a script.
    if not _PATH.match(folder) or folder.count("/") < 2:
        found.append(
            f"machine_dir: {folder[:80]!r} is no absolute path of a folder for the agent alone, such as"
            " /opt/spire-agent."
        )
    if not _PATH.match(socket) or socket.count("/") < 2:
        found.append(f"machine_socket_path: {socket[:80]!r} is no absolute path of a socket in a folder.")
    elif len(socket.encode()) > MAX_SOCKET_BYTES:
        found.append(
            f"machine_socket_path: {socket} is longer than the {MAX_SOCKET_BYTES} bytes that the system allows."
        )
    judges = machine["ssh_authorities"] or "cert_authorities_path" in machine["server_data"]
    if machine["attestor"] == SSHPOP and not judges:
        found.append(
            "machine_ssh_authorities is empty, so the server could not judge a host's certificate. Give the public keys"
            " of your SSH CA, as in authorized_keys."
        )
    return found

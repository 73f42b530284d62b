# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Reading the agents of several servers, side by side: what the inventory plugin asks, without Ansible's inventory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import unclean
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import Aliases, public
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries

_AT_ONCE = 8


def server_options() -> dict[str, dict[str, Any]]:
    """The options of one server: its name, and those by which the modules reach one."""
    return {"name": {"type": "str", "required": True}, **spire_spec().options}


def check_servers(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the servers with their defaults. Raises InputError naming the item and the option."""
    if not given:
        raise InputError("servers: it is empty. Name at least one SPIRE server.")
    validator = ArgumentSpecValidator(server_options(), mutually_exclusive=spire_spec().mutually_exclusive)
    checked: list[dict[str, Any]] = []
    for index, item in enumerate(given):
        result = validator.validate(dict(item))
        wrong = result.error_messages or unclean(item)
        if wrong:
            raise InputError(f"servers[{index}]: {' '.join(wrong)}")
        server = result.validated_parameters
        if not server["name"].strip():
            raise InputError(f"servers[{index}]: name is empty.")
        if server["name"] in [other["name"] for other in checked]:
            raise InputError(f"servers[{index}]: there is another one of the name {server['name']}.")
        checked.append(server)
    return checked


def read_servers(servers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return name, trust domain and agents of each server, as plain data without any secret."""
    clients = [_connected(server) for server in servers]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(_read, [server["name"] for server in servers], clients))


def _connected(server: Mapping[str, Any]) -> SpireServer:
    try:
        return connect(server)
    except InputError as error:
        raise InputError(f"servers: {server['name']}: {error.message}") from error


def _read(name: str, server: SpireServer) -> dict[str, Any]:
    try:
        domain = show_bundle(server).trust_domain
        aliases = Aliases.of(list_entries(server))
        agents = sorted(list_agents(server), key=lambda agent: agent.spiffe_id)
    except TrustmeshError as error:
        raise TrustmeshError(f"servers: {name}: {error.message}") from error
    return {
        "name": name,
        "trust_domain": domain,
        "agents": [public(agent, aliases.of_agent(agent)) for agent in agents],
    }

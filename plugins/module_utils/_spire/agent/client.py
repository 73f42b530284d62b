# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Agents, as spire-server lists, evicts and bans them."""

from __future__ import annotations

from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.codec import (
    agent_filters,
    agent_from_server,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import Agent
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import (
    read_list,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact


def list_agents(server: SpireServer, **filters: Any) -> list[Agent]:
    """Return every agent that the server knows, the expired and banned ones too, or those that pass ``filters``.

    They are the options of spire_agent_info by which the server itself can filter.
    """
    doing = "Reading the list of agents"
    reply = server.call(["agent", "list", *agent_filters(filters)], doing)
    return read_list(reply, "agents", agent_from_server, doing)


def evict_agent(server: SpireServer, agent_id: str) -> None:
    """Forget an agent, if the server still knows it. One that joined by token needs a new token to come back."""
    try:
        server.call(["agent", "evict", "-spiffeID", agent_id], f"Evicting the agent {redact(agent_id)}")
    except ProcessError as error:
        if "code = NotFound" not in str(error.details.get("stderr")):
            raise


def ban_agent(server: SpireServer, agent_id: str) -> None:
    """Refuse an agent from now on. It is kept as banned, so that it cannot attest anew."""
    server.call(["agent", "ban", "-spiffeID", agent_id], f"Banning the agent {redact(agent_id)}")

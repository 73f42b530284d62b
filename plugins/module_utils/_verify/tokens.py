# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The check that a join token works only once."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.rejoin import rejoin
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import World

_AGENT_TOKEN = "/spire/agent/join_token/"  # noqa: S105 - a path


def token_reuse(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """The server that ``to`` is refuses the token of an agent that joined."""
    expected = "refused: the token was used"
    endpoint = world.mesh.endpoints[check["to"]]
    name = endpoint.server or ""
    now = time.time()
    agents = [a for a in world.servers[name].agents() if _AGENT_TOKEN in a.spiffe_id and a.is_alive(now)]
    if not agents:
        return Attempt(
            False,
            expected,
            "the server knows no living agent that joined with a token",
            "The agent did not join, or its SVID expired: run the playbook that joins it.",
        )
    host, port = endpoint.host_port
    end = rejoin(
        world.spire_agent_binary,
        host=host,
        port=port,
        trust_domain=world.mesh.servers[name],
        bundle_pem=world.bundle_pem(name),
        token=agents[0].spiffe_id.partition(_AGENT_TOKEN)[2],
    )
    if end.refused:
        return Attempt(True, expected, f"refused: {end.words}")
    if end.joined:
        return Attempt(False, expected, "a second agent joined with the used token", final=True, breach=True)
    return Attempt(False, expected, f"the server was not heard: {end.words}", "Is the server's address right?")

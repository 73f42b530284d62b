# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_agent_info."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import side_by_side
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import (
    Aliases,
    check_agent_id,
    check_alias,
    check_selectors,
    public,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import MATCHES
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact

YEAR_9999 = 253402300799


def spec() -> ArgumentSpec:
    """The options of spire_agent_info."""
    return ArgumentSpec(
        options={
            "spiffe_ids": {"type": "list", "elements": "str"},
            "aliases": {"type": "list", "elements": "str"},
            "read_aliases": {"type": "bool", "default": True},
            "attestation_type": {"type": "str"},
            "banned": {"type": "bool"},
            "can_reattest": {"type": "bool"},
            "expires_before": {"type": "int"},
            "selectors": {"type": "list", "elements": "str"},
            "selectors_match": {"type": "str", "choices": list(MATCHES), "default": "superset"},
        }
    ).merge(spire_spec())


def run(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Read the agents that pass all filters."""
    ids = {check_agent_id(f"spiffe_ids[{i}]", agent_id) for i, agent_id in enumerate(params["spiffe_ids"] or ())}
    wanted_aliases = {check_alias(f"aliases[{i}]", alias) for i, alias in enumerate(params["aliases"] or ())}
    check_selectors("selectors", params["selectors"] or ())
    for name in ("selectors", "attestation_type"):
        if params[name] is not None and not params[name]:
            raise InputError(f"{name}: it is empty, which would filter nothing. Give a value, or leave the option out.")
    if wanted_aliases and not params["read_aliases"]:
        raise InputError("aliases: they are not known without read_aliases. Leave one of the two options out.")
    moment = params["expires_before"]
    if moment is not None and not 0 < moment <= YEAR_9999:
        raise InputError(f"expires_before: {moment} is no time. Give seconds since 1970, before the year 10000.")
    server = connect(params)
    entries, agents = side_by_side(
        lambda: list_entries(server) if params["read_aliases"] else [], lambda: list_agents(server, **params)
    )
    known_aliases = Aliases.of(entries)
    found = []
    for agent in sorted(agents, key=lambda agent: redact(agent.spiffe_id)):
        aliases = known_aliases.of_agent(agent)
        if params["spiffe_ids"] is not None and redact(agent.spiffe_id) not in ids:
            continue
        if params["aliases"] is not None and not wanted_aliases & set(aliases):
            continue
        found.append(public(agent, aliases))
    return Outcome(result={"agents": found})

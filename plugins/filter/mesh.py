# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From who is there and who may call whom to the variables of the roles."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import derive, hosts, model
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.proof import proof

_READ: dict[str, model.Mesh] = {}
_VARIABLES: dict[tuple[str, str], dict[str, Any]] = {}
"""What a task has read, and what followed for a host, by what it was read from. A task asks a dozen times."""


def _told(intent: Mapping[str, Any]) -> str:
    """Return what stands for this intent in this process, or nothing where what hosts are known by may change.

    A process of its own works on each task, and ends with it. Once the inventory was taken down it has a digest.
    """
    if multiprocessing.parent_process() is None:
        return ""
    return str(intent.get("digest") or "") or json.dumps(intent, default=str)


def _read(intent: Mapping[str, Any], hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> model.Mesh:
    told = _told(intent)
    mesh = _READ.get(told) or _read_now(intent, hostvars, groups)
    if told:
        _READ[told] = mesh
    return mesh


def _read_now(
    intent: Mapping[str, Any], hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]
) -> model.Mesh:
    found = hosts.read_hosts(hostvars, groups, str(intent.get("trust_domain")), str(intent.get("instance") or ""))
    federated = bool(intent.get("federated", True))
    without = intent.get("without") or []
    return model.read(
        intent.get("workloads"),
        intent.get("callers"),
        found,
        federated=federated,
        without=without,
        gateway_api=bool(intent.get("gateway_api")),
    )


def mesh_variables(
    intent: Mapping[str, Any], hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str
) -> dict[str, Any]:
    """The variables of the roles for one host."""
    told = _told(intent)
    found = _VARIABLES.get((told, host))
    if found is None:
        try:
            found = derive.role_variables(_read(intent, hostvars, groups), host)
        except InputError as error:
            raise AnsibleFilterError(error.message) from error
    if told:
        _VARIABLES[told, host] = found
    return found


def mesh_settled(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the variables for one host that nothing which a run finds out changes."""
    return {name: variables[name] for name in derive.SETTLED}


def mesh_proof(
    intent: Mapping[str, Any], hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The variables of the role verify, for the whole mesh."""
    try:
        return proof(_read(intent, hostvars, groups)).data()
    except InputError as error:
        raise AnsibleFilterError(error.message) from error


def mesh_summary(
    intent: Mapping[str, Any], hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """All that follows, for people to read."""
    try:
        mesh = _read(intent, hostvars, groups)
    except InputError as error:
        raise AnsibleFilterError(error.message) from error
    made = proof(mesh)
    return {
        **derive.summary(mesh),
        "proof": [f"{check['name']} ({check['type']})" for check in made.checks],
        "not tried": made.untried,
    }


def mesh_faults(
    intent: Mapping[str, Any], hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]
) -> list[str]:
    """What is wrong with an inventory, a text for each fault."""
    try:
        _read(intent, hostvars, groups)
    except InputError as error:
        return error.message.splitlines()
    return []


def duties_told(groups: Mapping[str, Sequence[str]]) -> str:
    """Who is there, and with which duties."""
    everybody = (model.CLUSTERS, model.MACHINES)
    duties = {duty: groups.get(duty) or () for duty in model.DUTIES if duty not in everybody}
    return ", ".join(
        f"{host} ({', '.join(duty for duty, members in duties.items() if host in members) or 'no duty'})"
        for group in everybody
        for host in groups.get(group) or ()
    )


def steps_for(
    steps: list[dict[str, Any]],
    duties: Sequence[str],
    provider: str,
    host: str,
    *,
    roles: Sequence[str] = (),
    given: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The steps that a host with these duties takes. A step may be for clusters of one provider only.

    A step may be ``for`` something, as its template says on the host: where that is empty or false, it is left out.

    Of a part (``roles``) only the steps of its roles are taken, and none that is for the ``whole`` alone.

    A step that checks what a role was ``given`` (names of variables) has that validated by the role's argument
    specification where there is any. Its own defaults need none.

    Each step names its host: Ansible runs equal includes of several hosts as one, in the order of whichever host came
    first, and a host would take its own steps after those that it shares.
    """
    return [
        {**step, "host": host, "validate": step.get("tasks") == "preflight" and _has_any(step["role"], given)}
        for step in steps
        if step["duty"] in duties
        and step.get("provider", provider) == provider
        and step.get("for", True)
        and (not roles or (step["role"] in roles and not step.get("whole")))
    ]


def _has_any(role: str, given: Sequence[str]) -> bool:
    return any(name.startswith(f"{role}_") for name in given)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {
            "mesh_variables": mesh_variables,
            "mesh_settled": mesh_settled,
            "mesh_proof": mesh_proof,
            "mesh_summary": mesh_summary,
            "mesh_faults": mesh_faults,
            "duties_told": duties_told,
            "steps_for": steps_for,
        }

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files of SPIRE and Envoy as data. What each filter does stands in module_utils."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build import manifest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._envoy import beside
from ansible_collections.trustmesh.spiffe.plugins.module_utils._envoy import config as envoy
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import place_faults
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import unclean as unclean_values
from ansible_collections.trustmesh.spiffe.plugins.module_utils._machine.model import text_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire import configuration as spire
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire import node_attestor, resources
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation import peers as federation
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token import request


def spire_configuration(base: Mapping[str, Any], overlay: Mapping[str, Any], name: str = "overlay") -> str:
    """The text of a configuration file of SPIRE."""
    try:
        return spire.configuration(base, overlay, name)
    except InputError as error:
        raise AnsibleFilterError(error.message) from error


def envoy_configuration(
    instance: Mapping[str, Any],
    socket: str,
    max_age: int = envoy.Limits.max_age,
    connections: int = envoy.Limits.connections,
    heap: int = envoy.Limits.heap,
    *,
    all_bundles: str = envoy.ALL_BUNDLES,
    admin: str = "",
) -> dict[str, Any]:
    """Envoy's bootstrap configuration."""
    limits = envoy.Limits(int(max_age), int(connections), int(heap))
    try:
        return envoy.configuration(instance, socket, limits, all_bundles, admin)
    except InputError as error:
        raise AnsibleFilterError(error.message) from error


def envoy_faults(instances: list[Mapping[str, Any]], addresses: bool = True) -> list[str]:
    """What cannot work in instances of Envoy."""
    return [text for instance in instances for text in envoy.faults(instance, addresses)]


def beside_faults(
    instances: list[Mapping[str, Any]], found: str, coming: list[Mapping[str, Any]] | None = None
) -> list[str]:
    """What is not as an inventory says of workloads that exist."""
    try:
        return beside.beside_faults(instances, found, coming or [])
    except TrustmeshError as error:
        raise AnsibleFilterError(error.message) from error


def problems(conditions: list[Any]) -> list[str]:
    """The texts of the conditions that do not hold."""
    return [text for holds, text in conditions if not holds]


def unclean(names: Sequence[str], values: Sequence[Any], free: Sequence[str] = ()) -> list[str]:
    """What no option may hold, of options and their values. They come by name: a template for each takes its time."""
    return unclean_values(dict(zip(names, values, strict=True)), free)


def machine_server_overlay(machine: Mapping[str, Any]) -> Any:
    """What a server needs to know a machine. SPIRE has templates of its own in it, which are none for Ansible."""
    return wrap_var(node_attestor.server_overlay(machine))


def seen_lines(files: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What a look at a machine tells of each of these, when it is there as it is to be."""
    return {name: _seen_line(one) for name, one in files.items()}


def machine_due(
    files: Mapping[str, Mapping[str, Any]],
    seen: Sequence[str],
    needed: Sequence[str],
    started_by: Sequence[str],
    *,
    note: str = "",
    name: str = "",
) -> dict[str, Any]:
    """What a program of a machine is to be started with, whether it was, and whether all is as it is to be."""
    lines = seen_lines(files)
    state = hashlib.sha256(("".join(lines[one] for one in started_by) + note).encode()).hexdigest()
    started = " ".join(filter(None, ("started", name, state))) in seen
    as_wanted = started and {*needed, *lines.values()} <= {*seen}
    return {"state": state, "program": lines["program"], "started": started, "as_wanted": as_wanted}


def _seen_line(one: Mapping[str, Any]) -> str:
    if "link" in one:
        return f"seen {one['path']} link {one['link']}"
    what = "folder"
    if "content" in one:
        what = hashlib.sha256(text_of(one["content"]).encode()).hexdigest()
    elif "src" in one:
        what = _digest(Path(str(one["src"])))
    owner, group = (one.get(name) or "root" for name in ("owner", "group"))
    return f"seen {one['path']} {owner}:{group} {str(one['mode']).lstrip('0')} {what}"


# Each task has a process of its own, which asks more than once. Programs are large; of those built here it is kept.
@functools.cache
def _digest(path: Path) -> str:
    if not path.is_file():
        return "absent"
    if known := manifest.digest(path):
        return known
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pull_policy(image: str) -> str:
    """Whether a node may ask a registry for an image. One that was made here is there, or nowhere."""
    return "Never" if image.startswith("localhost/") else "IfNotPresent"


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {
            "spire_configuration": spire_configuration,
            "envoy_configuration": envoy_configuration,
            "envoy_faults": envoy_faults,
            "attachments": envoy.attachments,
            "beside_stubs": beside.stubs,
            "beside_faults": beside_faults,
            "registrar_resources": resources.resources,
            "registrar_faults": resources.faults,
            "unregistered": resources.unregistered,
            "token_requests": request.token_requests,
            "joined_with": request.joined_with,
            "federation_peers": federation.peers,
            "federation_health": federation.health,
            "federation_connections": federation.connections,
            "machine_agent_data": node_attestor.agent_data,
            "machine_server_overlay": machine_server_overlay,
            "machine_alias_entry": node_attestor.alias_entry,
            "machine_faults": node_attestor.faults,
            "problems": problems,
            "seen_lines": seen_lines,
            "machine_due": machine_due,
            "pull_policy": pull_policy,
            "unclean": unclean,
            "place_faults": place_faults,
        }

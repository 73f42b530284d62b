# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes for tests: made up, and read from inventories as Ansible itself reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import derive, hosts, model
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.apps import App

Data = dict[str, Any]

ONE = {"clusters": ["one"], "spire_server": ["one"], "spire_agent": ["one"], "mesh": ["one"]}
"""A cluster with everything but the controller manager."""
TWO = {"clusters": ["one", "two"], "spire_server": ["one"], "spire_agent": ["one", "two"], "mesh": ["one"]}
"""A mesh, and a cluster beside it whose agents join by token."""


def node(number: int) -> Data:
    """What a cluster of one node tells when it is up."""
    return {"nodes": [{"name": f"node-{number}"}], "address": f"192.0.2.{number}"}


def mesh(
    workloads: Any,
    callers: Any = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    variables: Mapping[str, Data] | None = None,
    apps: Mapping[str, App] | None = None,
) -> model.Mesh:
    """Read a mesh. ``variables`` are those of hosts, by name."""
    groups = groups or ONE
    names = {name for members in groups.values() for name in members}
    found = hosts.read_hosts({name: (variables or {}).get(name, {}) for name in names}, groups, "example.org")
    return model.read(workloads, callers, found, apps)


def inventory(folder: Path) -> tuple[Data, Mapping[str, Data], Mapping[str, list[str]]]:
    """Return what an inventory says: its intent, the variables of its hosts, and its groups."""
    loader = DataLoader()
    manager = InventoryManager(loader=loader, sources=[str(folder / "hosts.ini")])
    variables = VariableManager(loader=loader, inventory=manager)
    found = {host.name: variables.get_vars(host=host, include_hostvars=False) for host in manager.get_hosts()}
    first = next(iter(found.values()))
    intent = {
        "workloads": first.get("trustmesh_workloads"),
        "callers": first.get("trustmesh_callers"),
        "without": first.get("trustmesh_without", []),
        "trust_domain": first.get("trustmesh_trust_domain", "example.org"),
    }
    return intent, found, manager.get_groups_dict()


def of_inventory(
    folder: Path,
    up: bool = True,
    federated: bool = True,
    without: Sequence[str] | None = None,
    gateway_api: bool = False,
) -> model.Mesh:
    """Read an inventory as a mesh, with what its clusters would tell when they are ``up``."""
    intent, variables, groups = inventory(folder)
    found = hosts.read_hosts(variables, groups, intent["trust_domain"])
    left_out = intent["without"] if without is None else without
    options: Data = {"federated": federated, "without": left_out, "gateway_api": gateway_api}
    planned = model.read(intent["workloads"], intent["callers"], found, **options)
    if not up:
        return planned
    told = {name: {**variables[name], **_facts(planned, found[name], number)} for number, name in enumerate(found, 1)}
    again = hosts.read_hosts(told, groups, intent["trust_domain"])
    return model.read(intent["workloads"], intent["callers"], again, **options)


def _facts(planned: model.Mesh, host: model.Host, number: int) -> Data:
    if model.MACHINES in host.duties:
        agent = {"address": f"192.0.2.{number}", "command": ["podman", "exec", host.name]}
        paths = {"binary": "/opt/spire-agent/spire-agent", "socket_path": "/run/spire/agent-sockets/spire-agent.sock"}
        return {"machine_agent": {**agent, **paths, "alias_entry": {}}} if host.istiod_host else {}
    exposed = [f"{item.namespace}/{item.envoy_name}" for item in planned.on(host.name) if planned.is_exposed(item)]
    endpoints = {name: f"192.0.2.{number}:{30000 + port}" for port, name in enumerate([host.server_service, *exposed])}
    # What a balancer gives: an address of its own, and the Service's port.
    balanced = [item for item in planned.on(host.name) if item.is_gateway and planned.is_exposed(item)]
    east_west = planned.east_west_gateway(host.name)
    balanced += [east_west] if east_west else []
    if east_west:
        place = f"{east_west.namespace}/{east_west.name}:{derive.ISTIOD_DOOR}"
        endpoints[place] = f"192.0.2.{100 + number}:{model.ISTIOD_PORT}"
    endpoints |= {f"{item.namespace}/{item.envoy_name}": f"192.0.2.{100 + number}:{item.port}" for item in balanced}
    endpoints |= {
        f"{item.namespace}/{item.envoy_name}:{'http' if planned.is_open(item) else 'https'}": endpoints[
            f"{item.namespace}/{item.envoy_name}"
        ]
        for item in planned.on(host.name)
        if item.gateway_api and item in balanced
    }
    return {
        "kubernetes_cluster": {**node(number), "name": host.cluster, "kubectl": "kubectl", "context": host.name},
        "kubernetes_objects_endpoints": endpoints,
        "spire_server_connection": {"pod": "statefulset/spire-server", "namespace": "spire-server"},
    }


def names(items: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(item["name"]) for item in items]


def everything(made: model.Mesh) -> dict[str, Data]:
    """Derive the variables of all roles for all hosts."""
    return {host: derive.role_variables(made, host) for host in made.hosts}

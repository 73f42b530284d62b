# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What the variables and facts of an inventory's hosts say about them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._envoy.config import is_loopback
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import is_ip
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.model import (
    BY_TOKEN,
    CLUSTERS,
    DUTIES,
    K8S_PSAT,
    MACHINES,
    MESH,
    SPIRE_AGENT,
    SPIRE_SERVER,
    X509POP,
    Host,
    Wiring,
)

SERVER_OPTIONS = ("namespace", "pod", "pod_selector", "container", "binary", "socket_path")
ACCESS = ("kubectl", "kubeconfig", "context")


def read_hosts(
    hostvars: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    trust_domain: str,
    instance: str = "",
) -> dict[str, Host]:
    """Return the hosts that have one of our duties. Those of other groups are somebody else's.

    ``trust_domain`` is that of hosts whose inventory names none.
    """
    duties = {duty: list(groups.get(duty) or ()) for duty in DUTIES}
    names = [*duties[CLUSTERS], *duties[MACHINES]]
    # Ansible gathers a host's variables anew each time that it is asked for them.
    variables = {name: hostvars[name] for name in dict.fromkeys(names)}
    domains = {name: str(said.get("trustmesh_trust_domain") or trust_domain) for name, said in variables.items()}
    found = {name: _host(name, said, duties, domains, instance) for name, said in variables.items()}
    return {name: _in_a_network(host, found) for name, host in found.items()}


def _in_a_network(host: Host, hosts: Mapping[str, Host]) -> Host:
    """A machine in a mesh reaches pods by a gateway, and so it and its cluster are two networks, unless it is said."""
    has_machines = any(other.istiod_host == host.name for other in hosts.values() if other is not host)
    return replace(host, network=host.name) if has_machines and not host.network else host


def _host(
    name: str,
    variables: Mapping[str, Any],
    duties: Mapping[str, list[str]],
    domains: Mapping[str, str],
    instance: str,
) -> Host:
    own = frozenset(duty for duty, members in duties.items() if name in members)
    has_sidecar = {MACHINES, MESH} <= own
    cluster: Mapping[str, Any] = variables.get("kubernetes_cluster") or {}
    connection: Mapping[str, Any] = variables.get("spire_server_connection") or {}
    machine: Mapping[str, Any] = variables.get("machine_agent") or {}
    server = variables.get("spire_agent_server_host") or _server(name, own, duties, domains)
    namespace = variables.get("spire_server_namespace") or "spire-server"
    return Host(
        name=name,
        duties=own,
        trust_domain=domains[name],
        cluster=str(
            cluster.get("name")
            or variables.get("kubernetes_cluster_name")
            or (f"{instance}-{name}" if instance else name)
        ),
        server=server,
        attestor=_attestor(variables, own, at_home=server == name),
        node_selectors=tuple(variables.get("spire_agent_node_selectors") or ()),
        attestor_server_data=dict(variables.get("spire_agent_attestor_server_data") or {}),
        attestor_server_files=dict(variables.get("spire_agent_attestor_server_files") or {}),
        nodes=tuple(node["name"] for node in cluster["nodes"]) if "nodes" in cluster else None,
        endpoints=dict(variables.get("kubernetes_objects_endpoints") or {}),
        address=_address(name, variables) if MACHINES in own else cluster.get("address"),
        api_server=str(variables.get("kubernetes_cluster_api_server") or cluster.get("api_server") or ""),
        mesh_id=variables.get("istio_mesh_id"),
        # Clusters of one mesh rarely share a network. Where they do, that is said.
        network=str(variables.get("istio_network") or (name if variables.get("istio_mesh_id") or has_sidecar else "")),
        access={key: cluster[key] for key in ACCESS if cluster.get(key)},
        server_options={key: connection[key] for key in SERVER_OPTIONS if connection.get(key)},
        server_service=f"{namespace}/spire-server",
        istio_namespace=str(variables.get("istio_namespace") or "istio-system"),
        istio_revision=_revision(variables),
        istiod_by_spire=MESH in own and not has_sidecar and variables.get("istio_control_plane_identity") == "spire",
        upstream_is_root=(variables.get("upstream_ca") or {}).get("self_signed", not variables.get("istio_wire_from")),
        wiring=_wiring(variables) if {MESH, CLUSTERS} <= own else None,
        istiod_host=_istiod_host(name, variables, duties, domains, server) if MESH in own else None,
        node_alias=str(variables.get("machine_spiffe_id") or f"spiffe://{domains[name]}/host/{name}"),
        alias_entry=dict(machine.get("alias_entry") or {}),
        command=tuple(str(word) for word in machine.get("command") or ()),
        agent={"agent": machine["binary"], "socket": machine["socket_path"]} if machine.get("command") else {},
        envoys_dir=str(variables.get("envoy_machine_dir") or "/opt"),
        sidecar_dir=str(variables.get("sidecar_dir") or "/opt/istio-proxy"),
        sidecar_user=str(variables.get("sidecar_user") or "istio-proxy"),
        exposed_as=str(variables.get("kubernetes_cluster_exposes_by") or "LoadBalancer"),
    )


def _address(name: str, variables: Mapping[str, Any]) -> str | None:
    """Where others reach a machine: as it is said or told, else where Ansible does, if others can reach that."""
    told = variables.get("machine_address") or (variables.get("machine_agent") or {}).get("address")
    if told:
        return str(told)
    if variables.get("machine_provider") == "container":
        return None
    here = str(variables.get("ansible_host") or name)
    return here if is_ip(here) and ":" not in here and not is_loopback(here) else ""


def _attestor(variables: Mapping[str, Any], own: frozenset[str], *, at_home: bool) -> str:
    if MACHINES in own:
        return str(variables.get("machine_attestor") or X509POP)
    return str(variables.get("spire_agent_attestor") or (K8S_PSAT if at_home else BY_TOKEN))


def _server(name: str, own: frozenset[str], duties: Mapping[str, list[str]], domains: Mapping[str, str]) -> str | None:
    """Whose server the agents of a host join: its own, else the first one of its trust domain."""
    if SPIRE_AGENT not in own and SPIRE_SERVER not in own:
        return None
    if SPIRE_SERVER in own:
        return name
    return next((host for host in duties[SPIRE_SERVER] if domains.get(host) == domains[name]), None)


def _istiod_host(
    name: str,
    variables: Mapping[str, Any],
    duties: Mapping[str, list[str]],
    domains: Mapping[str, str],
    server: str | None,
) -> str | None:
    """Whose istiod the proxies of a host ask: its own, or for a machine that of its server's cluster, or another."""
    if name in duties[CLUSTERS]:
        return name
    said = variables.get("sidecar_istiod_host")
    if said:
        return str(said)
    meshes = [host for host in duties[MESH] if host in duties[CLUSTERS] and domains[host] == domains[name]]
    return server if server in meshes else next(iter(meshes), None)


def _wiring(variables: Mapping[str, Any]) -> Wiring | None:
    """How far the workloads of an Istio that was there have come over. Nothing is known before it was looked at."""
    leaving = str(variables.get("istio_wire_from") or "")
    told: Mapping[str, Any] = variables.get("istio_wiring") or {}
    if not leaving or told.get("over"):
        return None
    spaces = {name: frozenset(told.get(name) or ()) for name in ("moved", "moving")}
    return Wiring(leaving, begun=bool(told.get("begun")), **spaces)


def _revision(variables: Mapping[str, Any]) -> str:
    """The revision of its istiod, which an overlay may name in two places."""
    spec: Mapping[str, Any] = (variables.get("istio_overlay") or {}).get("spec") or {}
    return str(spec.get("revision") or (spec.get("values") or {}).get("revision") or "")

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What follows from a mesh: identities, policies, Envoys, applications, federation. Pure.

Each function gives the default of a variable of one role, in that role's own form.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import is_ip
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.apps import ENVOY, EXISTING, GATEWAY
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.model import (
    BY_ID,
    BY_TOKEN,
    CLUSTERS,
    CONTROLLER_MANAGER,
    ISTIOD_PORT,
    K8S_PSAT,
    MACHINES,
    NETWORK_LABEL,
    SPIRE_SERVER,
    UPSTREAM_CA,
    Host,
    Mesh,
    Workload,
)

Data = dict[str, Any]

KINDS = {
    "": "Pod",
    "pod": "Pod",
    "deploy": "Deployment",
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
}
ENVOY_CONTAINER, ISTIO_PROXY, FILES_CONTAINER = "envoy", "istio-proxy", "svid"
"""What the containers of our Envoys, of Istio's proxies, and of the program that writes certificates are called."""
ISTIOD_DOOR = "tls-istiod"
"""The port of an east-west gateway at which machines ask istiod."""
GATEWAY_GROUP = "gateway.networking.k8s.io"
"""The group of the Gateway API."""
UPSTREAM_CA_FILES = "spire-upstream-ca"
"""The Secret into which the role upstream_ca puts the CA of a server, unless it is told another name."""
SETTLED = (
    "kubernetes_cluster_name",
    "spire_agent_server_host",
    "spire_agent_attestor",
    "spire_agent_sds",
    "spire_agent_workload_attestors",
    "spire_server_service_type",
    "spire_server_bundle_endpoint",
    "spire_server_bundle_service_type",
    "spire_server_node_attestors",
    "spire_server_node_attestor_files",
    "spire_server_machines",
    "spire_server_upstream_ca_secret",
    "istio_network",
    "istio_trusted_domains",
)
"""The variables of the roles that follow from an inventory alone: nothing that a run finds out changes them."""
UNKNOWN = "?"
"""In place of what is known only when the clusters are up. No module accepts it."""


def node_aliases(host: Host) -> list[str]:
    """The SPIFFE IDs that stand for the nodes of ``host``: the parents of its workloads' entries."""
    if MACHINES in host.duties:
        return [host.node_alias]
    prefix = f"spiffe://{host.trust_domain}/node/{host.cluster}"
    if host.attestor != BY_TOKEN:
        return [prefix]
    return [f"{prefix}/{node}" for node in (host.nodes if host.nodes is not None else (UNKNOWN,))]


def entries(mesh: Mesh, server: str) -> list[Data]:
    """The registration entries at the SPIRE server of the host ``server``, as ``spire_entries_entries``.

    Pods of its own cluster are left to the controller manager where there is one.
    """
    found: list[Data] = []
    for host in mesh.served_by(server):
        if host.name == server and CONTROLLER_MANAGER in host.duties:
            continue
        workloads = _with_identity(mesh, host.name)
        aliases = node_aliases(host)
        if workloads and host.attestor != BY_TOKEN and MACHINES not in host.duties:
            found += _alias_entries(host, aliases[0])
        if workloads and host.alias_entry:
            found.append(dict(host.alias_entry))
        found += [
            _entry(mesh, workload, parent, selectors)
            for workload in workloads
            for parent in aliases
            for selectors in _shown_by(mesh, workload)
        ]
    return found


def _alias_entries(host: Host, alias: str) -> list[Data]:
    """What gives nodes of a cluster their alias: an entry where selectors tell them, else one below each agent."""
    if host.nodes_by_id:
        return [{"spiffe_id": alias, "parent_id": agent, "selectors": [BY_ID + agent]} for agent in host.nodes_by_id]
    by_cluster = [f"k8s_psat:cluster:{host.cluster}"]
    selectors = by_cluster if host.attestor == K8S_PSAT else list(host.node_selectors)
    return [{"spiffe_id": alias, "parent_id": f"spiffe://{host.trust_domain}/spire/server", "selectors": selectors}]


def _with_identity(mesh: Mesh, host: str) -> list[Workload]:
    """Who gets an identity on a host: workloads of the inventory, and what its mesh needs besides them."""
    needed = [mesh.control_plane(host), mesh.east_west_gateway(host)]
    return [*(one for one in needed if one), *(workload for workload in mesh.on(host) if workload.identity)]


def _shown_by(mesh: Mesh, workload: Workload) -> list[list[str]]:
    """By what the agent recognises each that shows its identity: an entry holds only when all of its selectors do."""
    if not mesh.is_on_machine(workload):
        return [_selectors(workload, container) for container in _containers(workload)]
    own = [list(workload.selectors)] if workload.selectors else []
    if workload.mesh:
        # The user alone: whoever is that user could run a program that may. It is for the sidecar and nothing else.
        return [*own, [f"unix:user:{mesh.hosts[workload.host].sidecar_user}"]]
    return [*own, *([_envoy_selectors(mesh, workload)] if workload.has_envoy else [])]


def _envoy_selectors(mesh: Mesh, workload: Workload) -> list[str]:
    """The Envoy of a workload on a machine: its user, whose number nobody knows before, and its program."""
    folder = f"{mesh.hosts[workload.host].envoys_dir}/{workload.envoy_user}"
    return [f"unix:user:{workload.envoy_user}", f"unix:path:{folder}/envoy"]


def _entry(mesh: Mesh, workload: Workload, parent: str, selectors: list[str]) -> Data:
    entry: Data = {"spiffe_id": mesh.spiffe_id(workload), "parent_id": parent, "selectors": selectors}
    if workload.dns_names:
        entry["dns_names"] = list(workload.dns_names)
    if workload.x509_svid_ttl:
        entry["x509_svid_ttl"] = workload.x509_svid_ttl
    if domains := mesh.foreign_domains(workload):
        entry["federates_with"] = domains
    return entry


def _containers(workload: Workload) -> list[str]:
    """The containers of its pod that show its identity; an empty name where that is its own program's matter.

    Each has an entry of its own, for an entry holds only when all of its selectors do. Another container of the pod,
    such as one that somebody adds to debug it, gets nothing.
    """
    if workload.selectors:
        return [""]
    shown_by = {
        ENVOY_CONTAINER: workload.has_envoy,
        ISTIO_PROXY: workload.mesh,
        FILES_CONTAINER: workload.files,
    }
    return [container for container, shows in shown_by.items() if shows] or [""]


def _selectors(workload: Workload, container: str) -> list[str]:
    """By what SPIRE's agent recognises it: the pod's namespace, service account and labels, and the container."""
    if workload.selectors:
        return list(workload.selectors)
    return [
        f"k8s:ns:{workload.namespace}",
        f"k8s:sa:{workload.service_account}",
        *(f"k8s:pod-label:{key}:{value}" for key, value in sorted(workload.labels.items())),
        *([f"k8s:container-name:{container}"] if container else []),
        *workload.extra_selectors,
    ]


def cluster_spiffe_ids(mesh: Mesh, host: str) -> list[Data]:
    """What the controller manager of ``host`` registers, as ``spire_controller_manager_cluster_spiffe_ids``."""
    if CONTROLLER_MANAGER not in mesh.hosts[host].duties or mesh.hosts[host].server != host:
        return []
    return [
        _cluster_spiffe_id(mesh, workload, container, f".{container}" if number else "")
        for workload in _with_identity(mesh, host)
        for number, container in enumerate(_containers(workload))
    ]


def _cluster_spiffe_id(mesh: Mesh, workload: Workload, container: str, suffix: str) -> Data:
    spec: Data = {
        "spiffeIDTemplate": mesh.spiffe_id(workload),
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": workload.namespace}},
        "podSelector": {"matchLabels": dict(workload.labels)},
        # The entry is for one pod; these say once more who may be in it.
        "workloadSelectorTemplates": [s for s in _selectors(workload, container) if not s.startswith("k8s:pod-label:")],
        "dnsNameTemplates": list(workload.dns_names),
        "federatesWith": mesh.foreign_domains(workload),
        "ttl": f"{workload.x509_svid_ttl}s" if workload.x509_svid_ttl else "",
    }
    if not workload.labels:
        del spec["podSelector"]
    return {
        "name": f"{workload.namespace}.{workload.name}{suffix}",
        "spec": {key: spec[key] for key in spec if spec[key]},
    }


def policies(mesh: Mesh, host: str) -> list[Data]:
    """Who may call the workloads of the mesh on ``host``, as ``istio_authorization_policies``."""
    found = _callers_of_istiod(mesh, host)
    for workload in mesh.asking(host):
        if workload.name not in mesh.callers:
            continue
        policy: Data = {
            "name": f"callers-of-{workload.name}"[:63].rstrip("-"),
            "namespace": workload.namespace,
            "selector": dict(workload.labels),
        }
        if mesh.is_open(workload):
            policy["anyone"] = True
        else:
            policy["principals"] = [_id(mesh, caller).removeprefix("spiffe://") for caller in mesh.callers_of(workload)]
        for key, values in (("methods", workload.methods), ("paths", workload.paths)):
            if values:
                policy[key] = list(values)
        found.append(policy)
    return found


def _callers_of_istiod(mesh: Mesh, host: str) -> list[Data]:
    """Machines ask istiod through the gateway, which passes their TLS on: istiod itself says whom it takes."""
    gateway = mesh.east_west_gateway(host)
    if gateway is None or not mesh.on_machines_of(host):
        return []
    return [
        {
            "name": "callers-of-istiod",
            "namespace": gateway.namespace,
            "selector": dict(gateway.labels),
            "anyone": True,
            "ports": [ISTIOD_PORT],
        }
    ]


def gateways(mesh: Mesh, host: str) -> list[Data]:
    """The gateways of the mesh on ``host``, as ``istio_gateways``."""
    east_west = mesh.east_west_gateway(host)
    return [
        *([_east_west_gateway(mesh, east_west)] if east_west else []),
        *_ingress_gateways(mesh, host),
    ]


def _east_west_gateway(mesh: Mesh, gateway: Workload) -> Data:
    """Where other networks of the mesh come in. It passes their TLS on, and sees nothing of what is in it."""
    return {
        "name": gateway.name,
        "namespace": gateway.namespace,
        "service_account": gateway.service_account,
        "labels": dict(gateway.labels),
        "ports": [
            {"name": "tls", "port": gateway.port, "target_port": gateway.listens},
            *(
                [{"name": ISTIOD_DOOR, "port": ISTIOD_PORT, "target_port": ISTIOD_PORT}]
                if mesh.on_machines_of(gateway.host)
                else []
            ),
        ],
        "service_type": mesh.hosts[gateway.host].exposed_as,
        # It leads to what is in this network, and not to other gateways.
        "env": [{"name": "ISTIO_META_REQUESTED_NETWORK_VIEW", "value": gateway.labels[NETWORK_LABEL]}],
    }


def _ingress_gateways(mesh: Mesh, host: str) -> list[Data]:
    return [
        {
            "name": workload.name,
            "namespace": workload.namespace,
            "service_account": workload.service_account,
            "labels": dict(workload.labels),
            "ports": [
                {
                    "name": _door_name(mesh, workload),
                    "port": workload.port,
                    "target_port": workload.listens,
                }
            ],
            "service_type": mesh.hosts[host].exposed_as if mesh.is_exposed(workload) else "ClusterIP",
            **({"gateway_api": True} if workload.gateway_api else {}),
        }
        for workload in mesh.on(host)
        if workload.is_gateway
    ]


def ways_in(mesh: Mesh, host: str) -> list[Data]:
    """What the gateways of ``host`` take in, and where that goes, as ``istio_objects``: Gateway and VirtualService.

    What one of the Gateway API takes in stands in its Gateway, which the role makes; here is where that goes.
    """
    if CLUSTERS not in mesh.hosts[host].duties:
        return []
    found: list[Data] = [
        *_names_of_others(mesh, host),
        *_way_between_networks(mesh, host),
        *_way_to_istiod(mesh, host),
        *_machines(mesh, host),
    ]
    for workload in mesh.on(host):
        if not workload.is_gateway or workload.name not in mesh.callers:
            continue
        if workload.gateway_api:
            found += _ways_of_gateway_api(mesh, workload)
            continue
        meta = {"name": workload.name, "namespace": workload.namespace}
        names = list(workload.dns_names) or ["*"]
        # It answers by its certificate whoever asks, also one who looks at it by the address. Routes go by the name.
        server: Data = {
            "port": {"number": workload.listens, "name": "https", "protocol": "HTTPS"},
            "tls": {"mode": "ISTIO_MUTUAL", "minProtocolVersion": "TLSV1_3"},
            "hosts": ["*"],
        }
        if mesh.is_open(workload):
            server = {"port": {"number": workload.listens, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
        gateway = {"selector": dict(workload.labels), "servers": [server]}
        routes = {"hosts": names, "gateways": [workload.name], "http": _http_routes(mesh.callees_of(workload))}
        found += [
            {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": meta, "spec": gateway},
            {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta, "spec": routes},
        ]
    return found


def _way_between_networks(mesh: Mesh, host: str) -> list[Data]:
    """What others may ask for at the east-west gateway: the Services that somebody in their networks calls."""
    gateway = mesh.east_west_gateway(host)
    if gateway is None or not mesh.called_across(host):
        return []
    server = {
        "port": {"number": gateway.listens, "name": "tls", "protocol": "TLS"},
        # The workloads themselves speak mutual TLS with each other, through it.
        "tls": {"mode": "AUTO_PASSTHROUGH"},
        "hosts": sorted({callee.dns for callee in mesh.called_across(host)}),
    }
    return [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"name": gateway.name, "namespace": gateway.namespace},
            "spec": {"selector": dict(gateway.labels), "servers": [server]},
        }
    ]


def _way_to_istiod(mesh: Mesh, host: str) -> list[Data]:
    """Where the sidecars of machines ask istiod: the gateway passes their TLS on by the name that they ask for."""
    gateway, istiod = mesh.east_west_gateway(host), mesh.control_plane(host)
    if gateway is None or istiod is None or not mesh.on_machines_of(host):
        return []
    name = istiod.dns_names[0]
    server = {
        "port": {"number": ISTIOD_PORT, "name": ISTIOD_DOOR, "protocol": "TLS"},
        "tls": {"mode": "PASSTHROUGH"},
        "hosts": [name],
    }
    route = {
        "match": [{"port": ISTIOD_PORT, "sniHosts": [name]}],
        "route": [{"destination": {"host": f"{name}.cluster.local", "port": {"number": ISTIOD_PORT}}}],
    }
    meta = {"name": "istiod-for-machines", "namespace": gateway.namespace}
    return [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": meta,
            "spec": {"selector": dict(gateway.labels), "servers": [server]},
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": meta,
            "spec": {"hosts": [name], "gateways": [meta["name"]], "tls": [route]},
        },
    ]


def _machines(mesh: Mesh, host: str) -> list[Data]:
    """As what istiod registers the machines that ask it, and how a sidecar there hands on what it lets in."""
    found: list[Data] = []
    for workload in mesh.on_machines_of(host):
        meta = {"name": workload.name, "namespace": workload.namespace}
        group = {
            "metadata": {"labels": dict(workload.labels)},
            "template": {
                "serviceAccount": workload.service_account,
                "network": mesh.hosts[workload.host].network,
            },
        }
        found.append({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup", "metadata": meta, "spec": group})
        if workload.listens is None:
            continue
        # Its program listens on loopback, so that nothing leads around its sidecar, and nothing in while that is away.
        ingress = {
            "port": {"number": workload.listens, "name": "http", "protocol": "HTTP"},
            "defaultEndpoint": f"127.0.0.1:{workload.listens}",
        }
        spec = {"workloadSelector": {"labels": dict(workload.labels)}, "ingress": [ingress]}
        found.append({"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": meta, "spec": spec})
    return found


def _names_of_others(mesh: Mesh, host: str) -> list[Data]:
    """A Service for each that is called from here, or is on a machine of this mesh, because DNS asks for one here."""
    here = {(one.namespace, one.service) for one in mesh.on(host) if one.mesh and one.port is not None}
    namespaces = {one.namespace for one in mesh.on(host)}
    found: dict[tuple[str, str], Data] = {}
    spaces: dict[str, Data] = {}
    machines = mesh.on_machines_of(host)
    for one in machines:
        if one.namespace not in namespaces:
            spaces[one.namespace] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one.namespace}}
    callees = [callee for caller in [*mesh.on(host), *machines] for callee in mesh.callees_of(caller)]
    for callee in [*callees, *(one for one in machines if mesh.callers.get(one.name))]:
        key = (callee.namespace, callee.service)
        if callee.host == host or callee.guard != "mesh" or key in here:
            continue
        if callee.namespace not in namespaces:
            spaces[callee.namespace] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": callee.namespace}}
        found[key] = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": callee.service, "namespace": callee.namespace},
            "spec": {
                "selector": mesh.in_common(callee),
                "ports": [{"name": "http", "port": callee.port, "targetPort": callee.listens}],
            },
        }
    return [*spaces.values(), *found.values()]


def trusted_domains(mesh: Mesh, host: str) -> list[str]:
    """The other trust domains whose workloads call those of the mesh on ``host``, as ``istio_trusted_domains``."""
    callers = {
        mesh.trust_domain(caller)
        for callee in mesh.on(host)
        if callee.mesh
        for caller in mesh.trusted_callers_of(callee)
    }
    return sorted(callers - {mesh.hosts[host].trust_domain})


def remote_clusters(mesh: Mesh, host: str) -> list[Data]:
    """The clusters whose API servers the istiod of ``host`` reads, as ``istio_remote_clusters``."""
    return [
        {
            "host": other.name,
            "cluster": other.cluster,
            "server": other.api_server,
            "trust_domain": other.trust_domain,
        }
        for other in mesh.mesh_of(host)
        if other.name != host and CLUSTERS in other.duties & mesh.hosts[host].duties
    ]


def sidecar(mesh: Mesh, host: str) -> Data:
    """What the sidecar of a machine is of, as ``sidecar_workload``. Empty for a host without one."""
    if MACHINES not in mesh.hosts[host].duties:
        return {}
    return next(
        (
            {
                "name": workload.name,
                "namespace": workload.namespace,
                "service_account": workload.service_account,
                "service": workload.service,
                "labels": dict(workload.labels),
                "ports": [workload.listens] if workload.listens and mesh.callers.get(workload.name) else [],
            }
            for workload in mesh.on(host)
            if workload.mesh
        ),
        {},
    )


def sidecar_variables(mesh: Mesh, host: str) -> Data:
    """The variables of the role ``sidecar``: of what it is, and where the istiod is that it asks."""
    workload, istiod = sidecar(mesh, host), mesh.istiod_of(host)
    plane, gateway = mesh.control_plane(istiod.name), mesh.east_west_gateway(istiod.name)
    if not workload or plane is None or gateway is None:
        workload, plane, gateway = {}, None, None
    place = f"{gateway.namespace}/{gateway.name}:{ISTIOD_DOOR}" if gateway else ""
    return {
        "sidecar_workload": workload,
        "sidecar_istiod_host": istiod.name if workload else "",
        "sidecar_cluster": istiod.cluster if workload else "",
        "sidecar_mesh_id": (istiod.mesh_id or "") if workload else "",
        "sidecar_network": mesh.hosts[host].network if workload else "",
        "sidecar_istiod_name": plane.dns_names[0] if plane else "",
        "sidecar_istiod_address": istiod.endpoints.get(place, "") if workload else "",
    }


def agent_sds(mesh: Mesh, host: str) -> Data:
    """How the agents of ``host`` hand out bundles, as ``spire_agent_sds``.

    Istio asks for ``ROOTCA``. Where trust domains may federate that has to be a bundle for each of them, and not the
    own one alone; the agent takes two names only when they differ.
    """
    if not any(mesh.other_domains(workload) for workload in mesh.on(host) if workload.mesh):
        return {}
    return {"default_bundle_name": "null", "default_all_bundles_name": "ROOTCA"}


def node_attestors(mesh: Mesh, server: str) -> Data:
    """What the server needs to know nodes by other plugins, as ``spire_server_node_attestors``."""
    return {
        host.attestor: {"plugin_data": dict(host.attestor_server_data)}
        for host in mesh.served_by(server)
        if MACHINES not in host.duties and host.attestor not in (K8S_PSAT, BY_TOKEN)
    }


def node_attestor_files(mesh: Mesh, server: str) -> dict[str, str]:
    """The files that those plugins read, as ``spire_server_node_attestor_files``."""
    return {
        name: text
        for host in mesh.served_by(server)
        if MACHINES not in host.duties and host.attestor not in (K8S_PSAT, BY_TOKEN)
        for name, text in host.attestor_server_files.items()
    }


def workload_attestors(mesh: Mesh, host: str) -> list[str]:
    """What the agents of a cluster ask besides the kubelet, as ``spire_agent_workload_attestors``."""
    if MACHINES in mesh.hosts[host].duties:
        return []
    named = [text for workload in mesh.on(host) for text in (*workload.selectors, *workload.extra_selectors)]
    return sorted({text.partition(":")[0] for text in named} - {"k8s"})


def _http_routes(callees: list[Workload]) -> list[Data]:
    """Those with paths of their own first; the one without gets the rest."""
    routes: dict[tuple[str, int | None], Data] = {}
    for callee in sorted(callees, key=lambda callee: not callee.paths):
        place = {"host": callee.dns, "port": {"number": callee.port}}
        route = routes.setdefault((callee.dns, callee.port), {"route": [{"destination": place}]})
        if callee.paths:
            matches = [{"uri": _uri_match(path)} for path in callee.paths]
            route["match"] = [
                *route.get("match", []),
                *(match for match in matches if match not in route.get("match", [])),
            ]
    return list(routes.values())


def _ways_of_gateway_api(mesh: Mesh, gateway: Workload) -> list[Data]:
    """Where a gateway of the Gateway API leads: an HTTPRoute, and that it may lead into other namespaces."""
    callees = mesh.callees_of(gateway)
    meta = {"name": gateway.name, "namespace": gateway.namespace}
    names = {"hostnames": list(gateway.dns_names)} if gateway.dns_names else {}
    spec = {"parentRefs": [{"name": gateway.name}], **names, "rules": _route_rules(callees)}
    found: list[Data] = [{"apiVersion": f"{GATEWAY_GROUP}/v1", "kind": "HTTPRoute", "metadata": meta, "spec": spec}]
    for namespace in sorted({callee.namespace for callee in callees} - {gateway.namespace}):
        services = sorted({callee.service for callee in callees if callee.namespace == namespace})
        found.append(
            {
                # Served by all releases since 0.5, and v1 by the latest only.
                "apiVersion": f"{GATEWAY_GROUP}/v1beta1",
                "kind": "ReferenceGrant",
                "metadata": {"name": gateway.name, "namespace": namespace},
                "spec": {
                    "from": [{"group": GATEWAY_GROUP, "kind": "HTTPRoute", "namespace": gateway.namespace}],
                    "to": [{"group": "", "kind": "Service", "name": name} for name in services],
                },
            }
        )
    return found


def _route_rules(callees: list[Workload]) -> list[Data]:
    """Those with paths of their own first; the one without gets the rest."""
    rules: dict[tuple[str, str, int | None], Data] = {}
    for callee in sorted(callees, key=lambda callee: not callee.paths):
        place = {"name": callee.service, "namespace": callee.namespace, "port": callee.port}
        rule = rules.setdefault((callee.service, callee.namespace, callee.port), {"backendRefs": [place]})
        if callee.paths:
            matches = [{"path": _path_match(path)} for path in callee.paths]
            rule["matches"] = [
                *rule.get("matches", []),
                *(match for match in matches if match not in rule.get("matches", [])),
            ]
    return list(rules.values())


def _path_match(path: str) -> Data:
    """A prefix of the Gateway API is one of whole elements: ``/static`` leads on what is below it."""
    if path.endswith("*"):
        return {"type": "PathPrefix", "value": path[:-1].rstrip("/") or "/"}
    return {"type": "Exact", "value": path}


def _uri_match(path: str) -> Data:
    return {"prefix": path[:-1]} if path.endswith("*") else {"exact": path}


def published_bundles(mesh: Mesh, server: str) -> list[Data]:
    """Where proxies read by whom they know istiod, as ``spire_server_published_bundles``."""
    # An istiod that is a CA writes them by itself.
    if not mesh.hosts[server].istiod_by_spire or mesh.hosts[server].wiring:
        return []
    return [
        {"namespace": namespace, "configmap_name": "istio-ca-root-cert", "configmap_key": "root-cert.pem"}
        for namespace in sorted({one.namespace for one in _with_identity(mesh, server) if one.mesh})
    ]


def gateway_address(mesh: Mesh, callee: Workload) -> str:
    """Where a gateway is reached, as ``host:port``; unknown while its cluster is not up."""
    if mesh.is_on_machine(callee):
        return envoy_address(mesh, None, callee)
    known, place = mesh.hosts[callee.host].endpoints, f"{callee.namespace}/{callee.envoy_name}"
    # The first port of a Service of the Gateway API is that of the proxy's health.
    place += f":{_door_name(mesh, callee)}" if callee.gateway_api else ""
    return known.get(place, f"{UNKNOWN}:{callee.port}")


def _door_name(mesh: Mesh, gateway: Workload) -> str:
    """What the port of a gateway is called: by what it takes in."""
    return "http" if mesh.is_open(gateway) else "https"


def host_aliases(mesh: Mesh, workload: Workload) -> list[Data]:
    """The names of those that it calls by name, where no DNS knows them. A balancer that has a name is in DNS."""
    names: dict[str, list[str]] = {}
    for callee in mesh.callees_of(workload):
        address = gateway_address(mesh, callee).rpartition(":")[0].strip("[]")
        named = callee.is_gateway or (mesh.is_exposed(callee) and mesh.shows_files_to(workload, callee))
        if named and (address == UNKNOWN or is_ip(address)):
            names.setdefault(address, []).extend(callee.dns_names)
    return [{"ip": address, "hostnames": hostnames} for address, hostnames in names.items()]


def _id(mesh: Mesh, workload: Workload) -> str:
    spiffe_id = mesh.spiffe_id(workload)
    if spiffe_id is None:
        raise ValueError(f"{workload.name} has no identity")  # read() has refused it
    return spiffe_id


def envoys(mesh: Mesh, host: str) -> list[Data]:
    """The Envoys of ``host``, as ``envoy_instances``: whom they admit, whom they expect, and where that is."""
    return [_envoy(mesh, workload) for workload in mesh.on(host) if workload.has_envoy]


def _envoy(mesh: Mesh, workload: Workload) -> Data:
    callees = mesh.callees_of(workload)
    upstreams = [_upstream(mesh, workload, callee) for callee in callees]
    instance: Data = {
        "name": workload.envoy_name,
        "namespace": workload.namespace,
        "spiffe_id": mesh.spiffe_id(workload),
    }
    if mesh.is_on_machine(workload):
        instance["user"] = workload.envoy_user
    else:
        instance |= {
            "service_account": workload.service_account,
            "mesh": workload.mesh,
            "labels": dict(workload.labels),
        }
    if workload.is_envoy:
        instance["listeners"] = [_front(mesh, workload, _routes(callees))]
    else:
        if not mesh.is_on_machine(workload):
            instance["beside"] = _beside(workload)
        instance["listeners"] = [
            {
                "name": f"to-{callee.name}",
                "address": "127.0.0.1",
                "port": callee.local_port,
                "routes": [{"upstream": callee.name}],
            }
            for callee in callees
        ]
        if mesh.callers.get(workload.name):
            upstreams.append({"name": workload.name, "address": "127.0.0.1", "port": workload.listens})
            instance["listeners"].insert(0, _front(mesh, workload, [{"upstream": workload.name}]))
    instance["upstreams"] = upstreams
    if mesh.callers.get(workload.name) and not mesh.is_on_machine(workload):
        instance["service"] = _service(mesh, workload)
    return instance


def _beside(workload: Workload) -> Data:
    """The workload of Kubernetes into whose pods an Envoy is put."""
    kind, _slash, name = workload.pod.rpartition("/")
    beside: Data = {"kind": KINDS[kind], "name": name, "existing": workload.app == EXISTING}
    if workload.app == EXISTING and workload.tools:
        beside["container"] = workload.container
    return beside


def _front(mesh: Mesh, workload: Workload, routes: list[Data]) -> Data:
    """Where an Envoy takes requests in: behind its sidecar, or by SPIFFE mTLS from those who are listed."""
    listener: Data = {"name": "inbound", "port": workload.envoy_port}
    if not workload.mesh:
        listener["allowed_spiffe_ids"] = [_id(mesh, caller) for caller in mesh.callers_of(workload)]
        if mesh.is_behind_proxies(workload):
            listener["forwarded_client_cert"] = "append"
        if workload.on_behalf_of:
            listener["on_behalf_of"] = [_id(mesh, mesh.workloads[name]) for name in workload.on_behalf_of]
        for key, values in (("methods", workload.methods), ("paths", workload.paths)):
            if values:
                listener[key] = list(values)
    return {**listener, "routes": routes}


def _routes(callees: list[Workload]) -> list[Data]:
    """The only callee gets everything; several are told apart by the name that is asked for."""
    if len(callees) == 1:
        return [{"upstream": callees[0].name}]
    return [
        {
            "domains": list(dict.fromkeys([callee.name, callee.service, callee.dns])),
            "upstream": callee.name,
        }
        for callee in callees
    ]


def _service(mesh: Mesh, workload: Workload) -> Data:
    exposed = mesh.hosts[workload.host].exposed_as if mesh.is_exposed(workload) else "ClusterIP"
    if workload.mesh:
        port = {"name": "http", "port": workload.port, "target_port": workload.listens}
    else:
        port = {
            "name": "https",
            "port": workload.port if workload.is_envoy else workload.envoy_port,
            "target_port": workload.envoy_port,
        }
    return {"type": exposed, "ports": [port]}


def _upstream(mesh: Mesh, caller: Workload, callee: Workload) -> Data:
    upstream: Data = {"name": callee.name}
    if callee.guard == "envoy":
        host, _colon, port = envoy_address(mesh, caller.host, callee).rpartition(":")
        return {**upstream, "address": host, "port": int(port or 0), "spiffe_ids": [_id(mesh, callee)]}
    # Its own sidecar makes the mesh's mTLS of it.
    return {**upstream, "address": callee.dns, "port": callee.port}


def envoy_address(mesh: Mesh, host: str | None, callee: Workload) -> str:
    """Where the Envoy of ``callee`` is reached from ``host``, as ``host:port``; unknown while its cluster is not up."""
    port = callee.port if callee.is_envoy else callee.envoy_port
    if mesh.is_on_machine(callee):
        address = mesh.hosts[callee.host].address or UNKNOWN
        return f"127.0.0.1:{port}" if host == callee.host else f"{address}:{port}"
    if host == callee.host:
        return f"{callee.envoy_name}.{callee.namespace}.svc.cluster.local:{port}"
    return mesh.hosts[callee.host].endpoints.get(f"{callee.namespace}/{callee.envoy_name}", f"{UNKNOWN}:{port}")


def demo_apps(mesh: Mesh, host: str) -> list[Data]:
    """The applications of ours on ``host``, as ``demo_app_workloads``."""
    found = []
    for workload in mesh.on(host):
        if workload.app in (EXISTING, ENVOY, GATEWAY):
            continue
        app: Data = {
            "name": workload.name,
            "app": workload.app,
            "namespace": workload.namespace,
            "service_account": workload.service_account,
            "labels": dict(workload.labels),
            "mesh": workload.mesh,
        }
        if workload.port is not None:
            app["port"] = workload.listens
        if workload.envoy:
            app["envoy"] = workload.envoy_name
        elif workload.mesh and workload.port is not None:
            # Where nothing asks who calls, nobody may.
            app["service"] = {"name": workload.service, "port": workload.port}
            if len(mesh.sharing(workload)) > 1:
                app["service"]["selector"] = mesh.in_common(workload)
        if workload.files:
            app["files"] = True
        if aliases := host_aliases(mesh, workload):
            app["host_aliases"] = aliases
        if upstreams := _asked(mesh, workload):
            app["upstreams"] = upstreams
        found.append(app)
    return found


def _asked(mesh: Mesh, workload: Workload) -> dict[str, str]:
    """Where those are that an application asks, as far as that is not at a Service of their name beside it."""
    found: dict[str, str] = {}
    for callee in mesh.callees_of(workload):
        beside = callee.host == workload.host and callee.namespace == workload.namespace
        usual = beside and callee.guard == "mesh" and callee.service == callee.app and callee.port == callee.traits.port
        if callee.app in workload.traits.asks and not usual:
            found.setdefault(callee.app, way_to(callee))
    return found


def way_by_name(callee: Workload) -> str:
    """Where those send requests who show a certificate by themselves, and verify the name."""
    port = callee.envoy_port if callee.envoy else callee.port
    return f"https://{callee.dns_names[0]}:{port}"


def way_to(callee: Workload) -> str:
    """Where callers send requests for ``callee``: to their own Envoy, to a gateway's name, or into the mesh."""
    if callee.is_gateway:
        return way_by_name(callee)
    if callee.guard == "envoy":
        return f"http://127.0.0.1:{callee.local_port}"
    return f"http://{callee.dns}:{callee.port}"


def federation(mesh: Mesh, server: str) -> list[Data]:
    """The servers that the one of ``server`` federates with: a workload here calls, or is called by, one there.

    Those with the state ``absent`` it would federate with, and shall not.
    """
    domains = {
        domain
        for host in mesh.served_by(server)
        for workload in mesh.on(host.name)
        if workload.identity
        for domain in mesh.other_domains(workload)
    }
    # Servers of one trust domain show the same authorities, or none would believe the others' workloads: one will do.
    peers: dict[str, Data] = {}
    for host in mesh.servers():
        if host.trust_domain in domains:
            peer: Data = {"trust_domain": host.trust_domain, "host": host.name}
            peers.setdefault(host.trust_domain, peer if mesh.federated else {**peer, "state": "absent"})
    return list(peers.values())


def shows_bundle(mesh: Mesh, server: str) -> bool:
    """Whether servers of other trust domains ask the one of ``server`` for its bundle, now or once they may again."""
    return any(peer["host"] == server for other in mesh.servers() for peer in federation(mesh, other.name))


def server_service_type(mesh: Mesh, server: str) -> str:
    """How the SPIRE server of ``server`` is reached: from outside its cluster only where agents elsewhere join it."""
    elsewhere = any(host.name != server for host in mesh.served_by(server))
    return mesh.hosts[server].exposed_as if elsewhere else "ClusterIP"


def machines_of(mesh: Mesh, server: str) -> list[str]:
    """The machines whose agents join the server of ``server``, which has to know how they attest."""
    return [host.name for host in mesh.served_by(server) if MACHINES in host.duties]


def joins_by_token(mesh: Mesh, server: str) -> list[str]:
    """The hosts whose agents join the server of ``server`` by token."""
    return [host.name for host in mesh.served_by(server) if host.attestor == BY_TOKEN]


def role_variables(mesh: Mesh, host: str) -> Data:
    """The variables of the roles for ``host``. A host without one of our duties gets those of somebody alone."""
    if host not in mesh.hosts:
        mesh = Mesh({host: Host(host, frozenset(), "", host, None, K8S_PSAT)}, {}, {})
    this = mesh.hosts[host]
    is_server = SPIRE_SERVER in this.duties
    bundle_is_shown = is_server and shows_bundle(mesh, host)
    return {
        "kubernetes_cluster_name": this.cluster,
        "spire_agent_server_host": this.server or "",
        "spire_agent_attestor": this.attestor,
        "spire_server_service_type": server_service_type(mesh, host) if is_server else "ClusterIP",
        "spire_entries_entries": entries(mesh, host) if is_server else [],
        "spire_federation_peers": federation(mesh, host) if is_server else [],
        "spire_server_bundle_endpoint": bundle_is_shown,
        "spire_server_bundle_service_type": this.exposed_as if bundle_is_shown else "ClusterIP",
        "spire_agent_sds": agent_sds(mesh, host),
        "spire_agent_workload_attestors": workload_attestors(mesh, host),
        "spire_server_published_bundles": published_bundles(mesh, host) if is_server else [],
        "spire_server_node_attestors": node_attestors(mesh, host) if is_server else {},
        "spire_server_node_attestor_files": node_attestor_files(mesh, host) if is_server else {},
        "spire_server_machines": machines_of(mesh, host) if is_server else [],
        "upstream_ca_istio_namespace": this.istio_namespace if this.wiring else "",
        "spire_server_upstream_ca_secret": UPSTREAM_CA_FILES if UPSTREAM_CA in this.duties else "",
        "spire_controller_manager_cluster_spiffe_ids": cluster_spiffe_ids(mesh, host),
        "istio_authorization_policies": policies(mesh, host),
        "istio_gateways": gateways(mesh, host),
        "istio_objects": ways_in(mesh, host),
        "istio_network": this.network,
        "istio_trusted_domains": trusted_domains(mesh, host),
        "istio_remote_clusters": remote_clusters(mesh, host),
        "envoy_instances": envoys(mesh, host),
        **sidecar_variables(mesh, host),
        "demo_app_workloads": demo_apps(mesh, host),
    }


def summary(mesh: Mesh) -> Data:
    """All that was derived, host by host, for people to read."""
    return {
        host.name: {
            "duties": sorted(host.duties),
            "trust_domain": host.trust_domain,
            "workloads": {workload.name: mesh.spiffe_id(workload) or "no identity" for workload in mesh.on(host.name)},
            **{
                key: value for key, value in role_variables(mesh, host.name).items() if value not in ([], {}, "", False)
            },
        }
        for host in mesh.hosts.values()
    }

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""An inventory as a mesh: who is there, and who may call whom. Pure: no I/O, no Ansible.

Everything is read and refused here, and all faults are told at once, before anything is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.trustmesh.spiffe.plugins.module_utils._envoy.config import is_loopback
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import HOST, PORT, is_host, is_port, unclean
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.apps import (
    APPS,
    ENVOY,
    EXISTING,
    GATEWAY,
    App,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import (
    SpiffeId,
    SpiffeIdError,
    check_trust_domain,
)

ANYONE = "anyone"
"""In place of a caller: whoever comes, with or without an identity."""

RESERVED = {ANYONE: "whoever calls", "here": "the control node, in the proof"}
"""Names that no workload can have."""

CLUSTERS, MACHINES = "clusters", "machines"
SPIRE_SERVER, CONTROLLER_MANAGER, SPIRE_AGENT, MESH = "spire_server", "spire_controller_manager", "spire_agent", "mesh"
UPSTREAM_CA, CERT_MANAGER = "upstream_ca", "cert_manager"
DUTIES: Mapping[str, str] = {
    CLUSTERS: "Kubernetes clusters",
    MACHINES: "machines outside Kubernetes",
    SPIRE_SERVER: "clusters with a SPIRE server",
    UPSTREAM_CA: "those whose server stands under the CA that the control node keeps",
    CONTROLLER_MANAGER: "those whose server has the controller manager beside it",
    SPIRE_AGENT: "clusters and machines whose workloads get identities",
    MESH: "clusters with an Istio mesh, and machines in one",
    CERT_MANAGER: "clusters whose certificates cert-manager makes, such as the CA of an istiod",
}
"""The groups that mean something here. An inventory may hold any others."""

K8S_PSAT, BY_TOKEN, X509POP = "k8s_psat", "join_token", "x509pop"
BY_ID = "spiffe_id:"
"""A selector of SPIRE that stands for one agent."""
ENVOY_PORT = 8443
"""Where an Envoy of ours takes SPIFFE mTLS."""
OWN_CONTAINERS = {ENVOY: "envoy", GATEWAY: "istio-proxy"}
"""What the container is called of those that are a proxy and nothing else."""
EAST_WEST_GATEWAY, EAST_WEST_PORT = "istio-eastwestgateway", 15443
"""Istio's names for where requests of another network come in, mutual TLS and all."""
ISTIOD_PORT = 15012
"""Where istiod takes proxies, in its cluster and at the east-west gateway for those of machines."""
NETWORK_LABEL = "topology.istio.io/network"
GATEWAY_CLASS = "istio"
"""The class of the Gateway API's Gateways that istiod makes a Deployment and a Service for, named after both."""
PROXY_PORTS = (15020, 15021, 15090)
"""Where the proxy of such a gateway tells how it is."""
MAX_USER = 32
"""How long the name of a user can be (useradd, LOGIN_NAME_MAX)."""
LOCAL_PORTS = 10000
"""Added to a service's port: where a caller's own Envoy listens for it, on loopback."""

# RFC 1123: what Kubernetes takes as the name of a Service, a namespace or a service account.
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_DNS_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_METHOD = re.compile(r"[A-Z]{1,20}")
_SELECTOR = re.compile(r"[a-z0-9_]+:[^\s].*")


@dataclass(frozen=True)
class Wiring:
    """An Istio that was there, whose workloads come from its istiod's certificates to SPIRE's by namespaces."""

    leaving: str
    """Its revision."""
    begun: bool = False
    """Whether the revision with SPIRE is beside it."""
    moved: frozenset[str] = frozenset()
    """The namespaces that have come over."""
    moving: frozenset[str] = frozenset()
    """Those that have workloads of both, because a run was stopped in between."""


@dataclass(frozen=True)
class Host:
    """A cluster or a machine, with what is known of it at this moment."""

    name: str
    duties: frozenset[str]
    trust_domain: str
    cluster: str
    """The name under which its agents attest."""
    server: str | None
    """The host whose SPIRE server its agents join."""
    attestor: str
    node_selectors: tuple[str, ...] = ()
    """By which the server knows its nodes, where they attest neither by their cluster nor by tokens."""
    attestor_server_data: Mapping[str, Any] = field(default_factory=dict)
    """What the server's own plugin needs for that."""
    attestor_server_files: Mapping[str, str] = field(default_factory=dict)
    """The files that this plugin reads, by name."""
    nodes: tuple[str, ...] | None = None
    """Names of its nodes. None: the cluster is not there yet."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Addresses as ``host:port`` at which others reach its Services, by ``namespace/name``."""
    address: str | None = None
    """The address of a node that others can reach, or of a machine. None: not known yet. Empty: nobody will tell it."""
    api_server: str = ""
    """Where pods of the other clusters reach its API server, as a URL; empty while that is not known."""
    mesh_id: str | None = None
    """What several clusters of one Istio mesh have in common."""
    network: str = ""
    """What Istio calls the network of its pods, or of a machine. Requests into that of a cluster go by its gateway."""
    access: Mapping[str, str] = field(default_factory=dict)
    """How kubectl reaches it."""
    server_options: Mapping[str, Any] = field(default_factory=dict)
    """How the modules reach its SPIRE server."""
    server_service: str = "spire-server/spire-server"
    """The Service of its SPIRE server, as ``namespace/name``."""
    istio_namespace: str = "istio-system"
    istio_revision: str = ""
    istiod_by_spire: bool = False
    """Whether its istiod has its own certificate from SPIRE, and issues none."""
    upstream_is_root: bool = True
    """Whether the CA above its server is a root. One that comes from an Istio need not be."""
    wiring: Wiring | None = None
    """Set while workloads of its mesh have certificates from an istiod that has a CA."""
    istiod_host: str | None = None
    """The cluster whose istiod its proxies ask: itself, or for a machine the one that it is in the mesh of."""
    node_alias: str = ""
    """The SPIFFE ID of a machine, below which its workloads' entries hang."""
    alias_entry: Mapping[str, Any] = field(default_factory=dict)
    """The registration entry by which a machine is known under that ID; empty where the machine brings it."""
    command: tuple[str, ...] = ()
    """The words by which the control node runs a program on a machine; ``{uid}`` stands for the workload's user."""
    agent: Mapping[str, str] = field(default_factory=dict)
    """The agent's program on a machine (``agent``), and its ``socket``."""
    envoys_dir: str = "/opt"
    """The folder in which each Envoy of a machine has one of its own."""
    sidecar_dir: str = "/opt/istio-proxy"
    """The folder of Istio's sidecar on a machine."""
    sidecar_user: str = "istio-proxy"
    """The user that it runs as there."""
    exposed_as: str = "LoadBalancer"
    """The type of a Service that others reach: ``LoadBalancer``, or ``NodePort`` where nothing balances."""

    @property
    def nodes_by_id(self) -> list[str]:
        """The SPIFFE IDs of its agents, where their plugin has no selectors and the inventory names them one by one."""
        return [text.removeprefix(BY_ID) for text in self.node_selectors if text.startswith(BY_ID)]


@dataclass(frozen=True)
class Workload:
    """Something that has, or calls for, an identity."""

    name: str
    host: str
    namespace: str
    app: str
    traits: App
    mesh: bool
    envoy: bool
    files: bool
    """Whether its certificate is in files of its pod, kept fresh by the container ``svid``."""
    identity: bool
    service_account: str
    service: str
    port: int | None
    listens: int | None
    local_port: int | None
    envoy_port: int | None
    """Where its Envoy takes SPIFFE mTLS, in its pod or on its machine."""
    labels: Mapping[str, str]
    pod: str
    container: str
    tools: tuple[str, ...]
    spiffe_path: str
    dns_names: tuple[str, ...]
    x509_svid_ttl: int | None
    """Seconds that its certificate is good; None for the server's own time."""
    selectors: tuple[str, ...]
    extra_selectors: tuple[str, ...]
    """What has to hold besides the selectors that are derived."""
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    on_behalf_of: tuple[str, ...]
    """The clients for whom the proxies in front of it may ask, by names of workloads. Empty: for all of theirs."""
    expose: bool
    gateway_api: bool
    """Whether this gateway is one of the Kubernetes Gateway API, and not of Istio's own."""
    probe_path: str
    probe_status: int

    @property
    def is_envoy(self) -> bool:
        """Whether it is an Envoy by itself, and not one beside an application."""
        return self.app == ENVOY

    @property
    def is_gateway(self) -> bool:
        """Whether it is a gateway of its mesh, whose callers are outside and show a certificate of their own."""
        return self.app == GATEWAY

    @property
    def has_envoy(self) -> bool:
        """Whether an Envoy of ours stands before it, or is it."""
        return self.is_envoy or self.envoy

    @property
    def forwards_clients(self) -> bool:
        """Whether it takes requests of others by SPIFFE mTLS, and tells those that it asks for whom it asks."""
        return self.is_envoy and not self.mesh

    @property
    def envoy_name(self) -> str:
        """The name of the objects of its Envoy, or of its gateway."""
        if self.gateway_api:
            return f"{self.name}-{GATEWAY_CLASS}"
        return self.name if self.is_envoy or self.is_gateway else f"{self.name}-envoy"

    @property
    def envoy_user(self) -> str:
        """The user of its Envoy on a machine, and the name of that one's folder and unit."""
        return f"envoy-{self.name}"

    @property
    def guard(self) -> str | None:
        """What keeps out those who are not listed: ``mesh`` (its sidecar), ``gateway``, ``envoy``, or nothing."""
        if self.is_gateway:
            return "gateway"
        if self.mesh:
            return "mesh"
        return "envoy" if self.has_envoy else None

    @property
    def answer_key(self) -> str | None:
        """A key of its JSON answer to the proof, by which the proof knows that it was this application."""
        return self.traits.answers if self.traits.answers_at in (None, self.probe_path) else None

    @property
    def answer_value(self) -> str | None:
        """The value of that key that no other application gives behind the same Service."""
        return self.labels.get(self.traits.answers_by_label or "") if self.answer_key else None

    @property
    def shows_callers(self) -> bool:
        """Whether its answer to the proof says who was forwarded as the caller."""
        return self.traits.shows_callers and self.traits.answers_at in (None, self.probe_path)

    @property
    def dns(self) -> str:
        """The name of its Service inside its cluster."""
        return f"{self.service}.{self.namespace}.svc.cluster.local"


@dataclass(frozen=True)
class Mesh:
    """The whole: hosts, workloads, and for each workload those that may call it."""

    hosts: Mapping[str, Host]
    workloads: Mapping[str, Workload]
    callers: Mapping[str, tuple[str, ...]]
    """Callee to callers, by names of workloads. ``anyone`` may be among the callers."""
    federated: bool = True
    """Whether trust domains know each other's authorities, where a call goes from one to another."""

    def on(self, host: str) -> list[Workload]:
        """The workloads of a host, in the order in which the inventory names them."""
        return [workload for workload in self.workloads.values() if workload.host == host]

    def asking(self, host: str) -> list[Workload]:
        """The workloads whose proxies ask the istiod of a cluster: its own, and those of machines in its mesh."""
        return [
            workload
            for workload in self.workloads.values()
            if workload.mesh and self.istiod_of(workload.host).name == host
        ]

    def on_machines_of(self, host: str) -> list[Workload]:
        """Those of them that are on machines."""
        return [workload for workload in self.asking(host) if self.is_on_machine(workload)]

    def istiod_of(self, host: str) -> Host:
        """The host whose istiod the proxies of a host ask: itself, but for a machine in a mesh."""
        return self.hosts.get(self.hosts[host].istiod_host or host, self.hosts[host])

    def callers_of(self, workload: Workload) -> list[Workload]:
        """Who may call it, as far as they are workloads."""
        return [self.workloads[name] for name in self.callers.get(workload.name, ()) if name != ANYONE]

    def trusted_callers_of(self, workload: Workload) -> list[Workload]:
        """Those of them whose certificates it can judge."""
        return [caller for caller in self.callers_of(workload) if self.trusts(caller, workload)]

    def callees_of(self, workload: Workload) -> list[Workload]:
        """Whom it may call."""
        return [self.workloads[name] for name, callers in self.callers.items() if workload.name in callers]

    def is_behind_proxies(self, workload: Workload) -> bool:
        """Whether all that may call it are proxies of ours, whose word for whom they ask it takes."""
        callers = self.callers_of(workload)
        return bool(callers) and all(caller.is_envoy for caller in callers)

    def shows_files_to(self, caller: Workload, callee: Workload) -> bool:
        """Whether a caller comes to an Envoy with a certificate of its own, and verifies the name that it asks for."""
        return callee.guard == "envoy" and not caller.has_envoy and bool(callee.dns_names)

    def is_open(self, workload: Workload) -> bool:
        """Whether anyone may call it."""
        return ANYONE in self.callers.get(workload.name, ())

    def sharing(self, workload: Workload) -> list[Workload]:
        """Those that its Service leads to: itself, and others of the mesh in its namespace that name the same one.

        A Service is one of a cluster, and of the machines in the mesh of it.
        """
        others = self.behind_the_same_name(workload)
        here = self.istiod_of(workload.host)
        return [
            other
            for other in self.workloads.values()
            if other is workload or (other in others and self.istiod_of(other.host) is here)
        ]

    def behind_the_same_name(self, workload: Workload) -> list[Workload]:
        """The others, in all clusters of its mesh, that a request to the name of its Service may be answered by."""
        if _led_to(workload) is None:
            return []
        here = {host.name for host in self.mesh_of(workload.host)}
        return [
            other
            for other in self.workloads.values()
            if other is not workload and other.host in here and _led_to(other) == _led_to(workload)
        ]

    def in_common(self, workload: Workload) -> dict[str, str]:
        """The labels of all that its Service leads to."""
        all_of_them = [other.labels.items() for other in self.sharing(workload)]
        return {
            key: text for key, text in workload.labels.items() if all((key, text) in labels for labels in all_of_them)
        }

    def trust_domain(self, workload: Workload) -> str:
        return self.hosts[workload.host].trust_domain

    def spiffe_id(self, workload: Workload) -> str | None:
        """Its SPIFFE ID, or None for one without an identity."""
        return f"spiffe://{self.trust_domain(workload)}{workload.spiffe_path}" if workload.identity else None

    def is_on_machine(self, workload: Workload) -> bool:
        """Whether it runs outside of Kubernetes, where neither a pod nor a Service is around it."""
        return MACHINES in self.hosts[workload.host].duties

    def is_called_from_elsewhere(self, workload: Workload) -> bool:
        """Whether a caller is on another host."""
        return any(caller.host != workload.host for caller in self.callers_of(workload))

    def is_exposed(self, workload: Workload) -> bool:
        """Whether its Service must be reached from outside its cluster: from another host, or because it is said."""
        if workload.is_gateway and self.callers.get(workload.name):
            return True
        if self.is_on_machine(workload):
            # Its Envoy listens at the machine's own address.
            return workload.guard == "envoy" and bool(self.callers.get(workload.name))
        return workload.expose or (workload.guard == "envoy" and self.is_called_from_elsewhere(workload))

    def certified_by(self, workload: Workload) -> str:
        """Who has signed the certificate of a workload of a mesh: ``spire``, ``istiod``, or ``either`` of them."""
        wiring = self.hosts[workload.host].wiring
        if wiring is None or not workload.mesh or workload.namespace in wiring.moved:
            return "spire"
        return "either" if workload.namespace in wiring.moving else "istiod"

    def control_plane(self, host: str) -> Workload | None:
        """The istiod of a host, where it has an identity from SPIRE. It is in no table of the inventory."""
        if not self.hosts[host].istiod_by_spire:
            return None
        this = self.hosts[host]
        name = f"istiod-{this.istio_revision}" if this.istio_revision else "istiod"
        given = {
            "namespace": this.istio_namespace,
            "mesh": False,
            "files": True,
            "labels": {"app": "istiod"},
            # The first one is the name by which proxies and webhooks ask for it, and becomes the certificate's CN.
            "dns_names": [f"{name}.{this.istio_namespace}.svc", f"istio-pilot.{this.istio_namespace}.svc"],
        }
        return _fill(name, given, this, APPS[EXISTING], EXISTING)

    def mesh_of(self, host: str) -> list[Host]:
        """The hosts of one mesh with ``host``: itself, the clusters of its mesh ID, and the machines of all of them."""
        this = self.istiod_of(host)

        def is_of_it(istiod: Host) -> bool:
            both = MESH in istiod.duties & this.duties
            return istiod is this or bool(both and this.mesh_id and istiod.mesh_id == this.mesh_id)

        return [other for other in self.hosts.values() if is_of_it(self.istiod_of(other.name))]

    def called_across(self, host: str) -> list[Workload]:
        """The workloads of the mesh on ``host`` that somebody calls from another network of the same mesh."""
        this = self.hosts[host]
        return [
            callee
            for callee in self.on(host)
            if callee.guard == "mesh"
            and any(
                self.share_a_mesh(caller, callee) and self.hosts[caller.host].network != this.network
                for caller in self.callers_of(callee)
            )
        ]

    def leads_to(self, host: str, callee: Workload) -> bool:
        """Whether a sidecar on ``host`` finds a workload of its mesh: by a Service there, and through a gateway."""
        if host in (callee.host, self.istiod_of(callee.host).name):
            return True
        near = self.hosts[host].network == self.hosts[callee.host].network
        named = any(
            (one.namespace, one.service) == (callee.namespace, callee.service) or callee in self.callees_of(one)
            for one in self.on(host)
        )
        return named and (near or callee in self.called_across(callee.host))

    def east_west_gateway(self, host: str) -> Workload | None:
        """Where others of its mesh come in that are in another network. It is in no table of the inventory.

        The sidecars of machines ask istiod by it, too. A machine has none: whoever calls it does so at its own address.
        """
        if CLUSTERS not in self.hosts[host].duties:
            return None
        if not self.called_across(host) and not self.on_machines_of(host):
            return None
        this = self.hosts[host]
        labels = {"app": EAST_WEST_GATEWAY, "istio": "eastwestgateway", NETWORK_LABEL: this.network}
        given = {"namespace": this.istio_namespace, "port": EAST_WEST_PORT, "listens": EAST_WEST_PORT, "labels": labels}
        return _fill(EAST_WEST_GATEWAY, given, this, APPS[GATEWAY], GATEWAY)

    def servers(self) -> list[Host]:
        """The hosts with a SPIRE server."""
        return [host for host in self.hosts.values() if SPIRE_SERVER in host.duties]

    def served_by(self, server: str) -> list[Host]:
        """The hosts whose agents join this server."""
        return [host for host in self.hosts.values() if host.server == server]

    def foreign_domains(self, workload: Workload) -> list[str]:
        """The other trust domains that it knows. None where nothing is federated."""
        return self.other_domains(workload) if self.federated else []

    def other_domains(self, workload: Workload) -> list[str]:
        """The trust domains of those that it calls or is called by, without its own."""
        own = self.trust_domain(workload)
        others = [*self.callers_of(workload), *self.callees_of(workload)]
        return sorted({self.trust_domain(other) for other in others if other.identity} - {own})

    def share_a_mesh(self, one: Workload, other: Workload) -> bool:
        """Whether a sidecar of the one reaches the other: on one host, or in clusters of one mesh."""
        if not (one.mesh and other.mesh):
            return False
        return self.hosts[other.host] in self.mesh_of(one.host)

    def trusts(self, one: Workload, other: Workload) -> bool:
        """Whether each can tell the other by its certificate: of one trust domain, or of two that are federated."""
        return self.federated or self.trust_domain(one) == self.trust_domain(other)


def _led_to(workload: Workload) -> tuple[str, str] | None:
    """The Service that leads to the sidecar of a workload, if one does: an Envoy of ours has one of its own."""
    led = workload.mesh and not workload.is_gateway and workload.port is not None
    return (workload.namespace, workload.service) if led else None


class Faults:
    """Collects what is wrong, so that all of it is told at once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, text: str) -> None:
        if text not in self.texts:
            self.texts.append(text)

    def raise_any(self) -> None:
        if self.texts:
            raise InputError("\n".join(self.texts))


@dataclass(frozen=True)
class Field:
    """A field of a workload: what it must be, in words, and the test for it."""

    expected: str
    good: Callable[[Any], bool]


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _list_of(good: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (list, tuple)) and len(value) > 0 and all(good(item) for item in value)


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and is_port(value)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 10 <= value <= 365 * 86400


def _is_path(value: Any) -> bool:
    try:
        return isinstance(value, str) and value.startswith("/") and not SpiffeId.parse(f"spiffe://x{value}").is_reserved
    except SpiffeIdError:
        return False


def _is_http_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/") and value.isprintable() and " " not in value


def _are_labels(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(_matches(_LABEL_KEY)(key) and _matches(_LABEL_VALUE)(text) for key, text in value.items())
    )


def _is_pod(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    kind, _slash, name = value.rpartition("/")
    return kind in ("", "pod", "deployment", "deploy", "statefulset", "daemonset") and _is_dns_name(name)


_is_dns_name = _matches(_DNS_NAME)
_NAME = Field("a name of 1 to 63 lower case letters, digits and dashes", _matches(_LABEL))
_FLAG = Field("true or false", lambda value: isinstance(value, bool))
_PORT = Field("a port from 1 to 65535", _is_port)

FIELDS: Mapping[str, Field] = {
    "host": Field("the name of a host of the inventory", lambda value: isinstance(value, str) and bool(value)),
    "namespace": _NAME,
    "app": Field("the name of an application", lambda value: isinstance(value, str)),
    "mesh": _FLAG,
    "envoy": _FLAG,
    "files": _FLAG,
    "identity": _FLAG,
    "expose": _FLAG,
    "gateway_api": _FLAG,
    "service_account": Field("the name of a service account", _is_dns_name),
    "service": _NAME,
    "port": _PORT,
    "listens": _PORT,
    "local_port": _PORT,
    "envoy_port": _PORT,
    "labels": Field("a dictionary of Kubernetes labels", _are_labels),
    "pod": Field("a pod's name, or kind and name such as deployment/shop", _is_pod),
    "container": _NAME,
    "tools": Field("a list of curl and python3", _list_of(lambda item: item in ("curl", "python3"))),
    "spiffe_path": Field("a path such as /ns/shop/sa/shop, and not below /spire (SPIFFE-ID 2.2)", _is_path),
    "dns_names": Field("a list of DNS names", _list_of(_is_dns_name)),
    "x509_svid_ttl": Field("a number of seconds from 10 to 31536000", _is_seconds),
    "selectors": Field("a list of selectors such as unix:uid:1000", _list_of(_matches(_SELECTOR))),
    "extra_selectors": Field("a list of selectors such as unix:uid:1337", _list_of(_matches(_SELECTOR))),
    "methods": Field("a list of HTTP methods such as GET", _list_of(_matches(_METHOD))),
    "paths": Field("a list of HTTP paths such as /orders", _list_of(_is_http_path)),
    "on_behalf_of": Field("a list of workloads", _list_of(_NAME.good)),
    "probe_path": Field("a path such as /healthz", _is_http_path),
    "probe_status": Field("an HTTP status from 100 to 599", lambda value: _is_port(value) and 100 <= value < 600),
}


def read(
    workloads: Any,
    callers: Any,
    hosts: Mapping[str, Host],
    apps: Mapping[str, App] | None = None,
    *,
    federated: bool = True,
    without: Any = (),
    gateway_api: bool = False,
) -> Mesh:
    """Read the two tables of an inventory, or raise InputError with everything that is wrong in them.

    Workloads named in ``without`` are as if they were not there. With ``gateway_api`` gateways that do not say it are
    of the Gateway API.
    """
    faults = Faults()
    workloads, callers = _left_out(workloads, callers, without, faults)
    for host in hosts.values():
        try:
            check_trust_domain(host.trust_domain)
        except SpiffeIdError as error:
            faults.add(f"trustmesh_trust_domain of {host.name}: {error.message}.")
        _judge_places(host, faults)
    found: dict[str, Workload] = {}
    for name, values in _table("trustmesh_workloads", workloads, "names of workloads", faults).items():
        said = values
        if gateway_api and isinstance(values, Mapping) and values.get("app") == GATEWAY:
            said = {"gateway_api": True, **values}
        workload = _read_workload(name, said, hosts, APPS if apps is None else apps, faults)
        if workload is not None:
            found[workload.name] = workload
    known = {str(name) for name in workloads} if isinstance(workloads, Mapping) else set()
    mesh = Mesh(dict(hosts), found, _read_callers(callers, found, known, faults), federated)
    faults.raise_any()
    _judge(mesh, faults)
    faults.raise_any()
    return mesh


def _left_out(workloads: Any, callers: Any, without: Any, faults: Faults) -> tuple[Any, Any]:
    """Both tables without some workloads. What is no table is told of where it is read."""
    if not isinstance(without, (list, tuple)) or not all(isinstance(name, str) for name in without):
        faults.add(f"trustmesh_without: expected a list of names of workloads, got {_shown(without)}.")
        return workloads, callers
    names = {str(name) for name in workloads} if isinstance(workloads, Mapping) else set()
    for name in without:
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            faults.add(f"trustmesh_without: {_shown(name)} is none of trustmesh_workloads. Known: {known}.")
    if isinstance(workloads, Mapping):
        workloads = {name: values for name, values in workloads.items() if name not in without}
    if isinstance(callers, Mapping):
        left = {
            callee: [name for name in given if name not in without] if isinstance(given, (list, tuple)) else given
            for callee, given in callers.items()
            if callee not in without
        }
        # Nobody may call it any more. One that was empty before is told of.
        callers = {callee: given for callee, given in left.items() if given or not callers[callee]}
    return workloads, callers


def _judge_places(host: Host, faults: Faults) -> None:
    """What a cluster tells of itself goes into configurations of the others."""
    if host.address and not is_host(host.address):
        said = "machine_address of {}:" if MACHINES in host.duties else "kubernetes_cluster of {}: address is"
        faults.add(f"{said.format(host.name)} {_shown(host.address)}, expected {HOST}.")
    elif host.address and ":" in host.address and MACHINES in host.duties:
        faults.add(f"machine_address of {host.name}: {host.address} is of IPv6, and its Envoys listen on IPv4.")
    for service, place in host.endpoints.items():
        address, _colon, port = str(place).rpartition(":")
        if not is_host(address) or not is_port(port):
            faults.add(
                f"kubernetes_objects_endpoints of {host.name}: {_shown(service)} is at {_shown(place)}, expected"
                f" {HOST}, a colon and {PORT}."
            )


def _table(name: str, value: Any, keys: str, faults: Faults) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        faults.add(f"{name}: expected a dictionary with {keys} as its keys, got {_shown(value)}.")
        return {}
    return value


def _read_workload(
    name: Any, values: Any, hosts: Mapping[str, Host], apps: Mapping[str, App], faults: Faults
) -> Workload | None:
    where = f"trustmesh_workloads: {name}"
    before = len(faults.texts)
    if not _NAME.good(name):
        faults.add(f"trustmesh_workloads: {_shown(name)} cannot name a workload. Use {_NAME.expected}.")
        return None
    if name in RESERVED:
        faults.add(f"{where}: this name stands for {RESERVED[name]}. Take another one.")
        return None
    if not isinstance(values, Mapping):
        faults.add(f"{where}: expected a dictionary such as {{host: blue, app: client}}, got {_shown(values)}.")
        return None
    given = {key: value for key, value in values.items() if value is not None}
    for key, value in given.items():
        if key not in FIELDS:
            faults.add(f"{where}: unknown field {_shown(key)}. Known: {', '.join(FIELDS)}.")
        elif unclean({key: value}) or not FIELDS[key].good(value):
            faults.add(f"{where}: {key} is {_shown(value)}, expected {FIELDS[key].expected}.")
    if "host" not in given:
        faults.add(f"{where}: host is missing. Say on which host of the inventory it runs.")
    elif isinstance(given["host"], str) and given["host"] not in hosts:
        known = ", ".join(hosts) or "none"
        faults.add(
            f"{where}: host is {_shown(given['host'])}, which is in neither of the groups {CLUSTERS} and {MACHINES}."
            f" Hosts that are: {known}."
        )
    app = given.get("app", EXISTING)
    if isinstance(app, str) and app not in apps:
        faults.add(f"{where}: app is {_shown(app)}. Known: {', '.join(apps)}.")
    if len(faults.texts) > before:
        return None
    return _fill(name, given, hosts[given["host"]], apps[app], app)


def _fill(name: str, given: Mapping[str, Any], host: Host, traits: App, app: str) -> Workload:
    """Fill in what is not said."""
    identity = given.get("identity", True)
    envoy = given.get("envoy", False)
    namespace = given.get("namespace", "default")
    account = given.get("service_account", name)
    mesh = given.get("mesh", MESH in host.duties and identity and not envoy)
    port = given.get("port", traits.port)
    listens = given.get("listens", traits.listens or port)
    if app == ENVOY and not mesh:
        port = given.get("port", ENVOY_PORT)
        # No Service stands before a machine.
        listens = given.get("listens", port if MACHINES in host.duties else ENVOY_PORT)
    gateway_api = given.get("gateway_api", False)
    if gateway_api:
        listens = given.get("listens", port)
    # Labels of pods are their owner's matter; a machine has those by which its mesh is to know it.
    own = app != EXISTING or (mesh and MACHINES in host.duties)
    return Workload(
        name=name,
        host=host.name,
        namespace=namespace,
        app=app,
        traits=traits,
        mesh=mesh,
        envoy=envoy,
        files=given.get("files", False),
        identity=identity,
        service_account=account,
        service=given.get("service", name),
        port=port,
        listens=listens,
        local_port=given.get("local_port", port + LOCAL_PORTS if port and port + LOCAL_PORTS < 65536 else None),
        envoy_port=given.get("envoy_port", listens if app == ENVOY else ENVOY_PORT),
        labels={**traits.labels, **given.get("labels", {"app.kubernetes.io/name": name} if own else {})},
        pod=given.get("pod", f"deployment/{name}-{GATEWAY_CLASS}" if gateway_api else f"deployment/{name}"),
        container=given.get("container", OWN_CONTAINERS.get(app, name)),
        tools=tuple(given.get("tools", traits.tools)),
        spiffe_path=given.get("spiffe_path", f"/ns/{namespace}/sa/{account}"),
        dns_names=tuple(given.get("dns_names", ())),
        x509_svid_ttl=given.get("x509_svid_ttl"),
        selectors=tuple(given.get("selectors", ())),
        extra_selectors=tuple(given.get("extra_selectors", ())),
        methods=tuple(given.get("methods", ())),
        paths=tuple(given.get("paths", ())),
        on_behalf_of=tuple(given.get("on_behalf_of", ())),
        expose=given.get("expose", False),
        gateway_api=gateway_api,
        probe_path=given.get("probe_path", _probe_path(traits, given.get("paths", ()))),
        probe_status=given.get("probe_status", 200),
    )


def _probe_path(traits: App, paths: Sequence[str]) -> str:
    """Where the application says who it is, if callers may ask that."""
    if paths and traits.answers_at not in paths:
        return paths[0]
    return traits.answers_at or "/"


def _read_callers(
    callers: Any, workloads: Mapping[str, Workload], known: Iterable[str], faults: Faults
) -> dict[str, tuple[str, ...]]:
    """Callee to callers. A callee may also be named by a Service that several workloads share."""
    found: dict[str, tuple[str, ...]] = {}
    services: dict[str, list[str]] = {}
    for workload in workloads.values():
        services.setdefault(workload.service, []).append(workload.name)
    for callee, names in _table("trustmesh_callers", callers, "those that are called", faults).items():
        where = f"trustmesh_callers: {callee}"
        if not isinstance(names, (list, tuple)) or not names or not all(isinstance(item, str) for item in names):
            faults.add(f"{where}: expected a list of workloads that may call it, got {_shown(names)}.")
            continue
        targets = [callee] if callee in workloads else services.get(callee, [])
        if not targets and callee not in known:
            faults.add(
                f"trustmesh_callers: {_shown(callee)} is neither a workload nor a service of one."
                f" Known: {', '.join(sorted({*workloads, *services})) or 'none'}."
            )
        for name in names:
            if name != ANYONE and name not in workloads and name not in known:
                faults.add(f"{where}: {_shown(name)} is no workload. Known: {', '.join(workloads) or 'none'}.")
            if name in targets:
                faults.add(f"{where}: it calls itself. Take {name} out of the list.")
        if len(set(names)) < len(names):
            faults.add(f"{where}: a caller is named twice.")
        for target in targets:
            found[target] = tuple(dict.fromkeys([*found.get(target, ()), *names]))
    return {name: found[name] for name in workloads if name in found}


def _judge(mesh: Mesh, faults: Faults) -> None:
    """What can only be said when everything is known."""
    for host in mesh.hosts.values():
        _judge_host(mesh, host, faults)
    for workload in mesh.workloads.values():
        _judge_workload(mesh, workload, faults)
        for caller in mesh.callers_of(workload):
            _judge_pair(mesh, caller, workload, faults)
    _judge_names(mesh, faults)


def _judge_api_server(mesh: Mesh, host: Host, faults: Faults) -> None:
    """Each istiod of a mesh reads the clusters of the others, from a pod."""
    if not host.mesh_id or not host.api_server or not {MESH, CLUSTERS} <= host.duties:
        return
    readers = [
        other.name
        for other in mesh.hosts.values()
        if other is not host and other.mesh_id == host.mesh_id and {MESH, CLUSTERS} <= other.duties
    ]
    name = urlsplit(host.api_server).hostname or ""
    if readers and (name == "localhost" or is_loopback(name)):
        faults.add(
            f"kubernetes_cluster_api_server of {host.name}: {host.api_server} is reached on one machine alone, and"
            f" istiod in {readers[0]} has to reach it. Give the URL at which pods elsewhere reach its API server."
        )


def _judge_host(mesh: Mesh, host: Host, faults: Faults) -> None:
    if {CLUSTERS, MACHINES} <= host.duties:
        faults.add(
            f"inventory: {host.name} is in {CLUSTERS} and in {MACHINES}. A host is one of both: give the machine a name"
            " of its own, also where it is the one that works on the cluster."
        )
    for duty in (SPIRE_SERVER, MESH):
        on_machine = duty == MESH and MACHINES in host.duties
        if duty in host.duties and CLUSTERS not in host.duties and not on_machine:
            faults.add(f"inventory: {host.name} is in {duty} and not in {CLUSTERS}. Put it into {CLUSTERS} as well.")
    if {MESH, MACHINES} <= host.duties:
        _judge_machine_in_mesh(mesh, host, faults)
    if CONTROLLER_MANAGER in host.duties and SPIRE_SERVER not in host.duties:
        faults.add(
            f"inventory: {host.name} is in {CONTROLLER_MANAGER} and not in {SPIRE_SERVER}. The controller manager runs"
            " beside a SPIRE server: take it out, or give the host a server."
        )
    if UPSTREAM_CA in host.duties and SPIRE_SERVER not in host.duties:
        faults.add(
            f"inventory: {host.name} is in {UPSTREAM_CA} and not in {SPIRE_SERVER}. The CA is for a SPIRE server: take"
            " it out, or give the host a server."
        )
    if host.istiod_by_spire and not {SPIRE_SERVER, SPIRE_AGENT} <= host.duties:
        faults.add(
            f"istio_control_plane_identity of {host.name} is spire, and it has not both a SPIRE server, which publishes"
            f" its bundle to the proxies, and agents. Put it into {SPIRE_SERVER} and {SPIRE_AGENT}, or leave istiod its"
            " own CA."
        )
    if host.wiring:
        _judge_wiring(mesh, host, host.wiring, faults)
    across = mesh.called_across(host.name)
    if across and CLUSTERS in host.duties and host.exposed_as == "NodePort":
        faults.add(
            f"kubernetes_cluster_exposes_by of {host.name} is NodePort, and {across[0].name} is called from another"
            " network of its mesh. istiod finds the gateway of a network by the address of a balancer: give the cluster"
            " one, and leave this at LoadBalancer."
        )
    _judge_api_server(mesh, host, faults)
    if SPIRE_AGENT in host.duties and host.server is None:
        faults.add(
            f"inventory: {host.name} is in {SPIRE_AGENT}, and there is no SPIRE server of {host.trust_domain} that its"
            f" agents could join. Put a cluster of this trust domain into {SPIRE_SERVER}."
        )
    _judge_attestor(mesh, host, faults)
    if host.server is not None and host.server not in mesh.hosts:
        faults.add(f"spire_agent_server_host of {host.name}: {_shown(host.server)} is no host of the inventory.")
    elif host.server is not None and mesh.hosts[host.server].trust_domain != host.trust_domain:
        faults.add(
            f"spire_agent_server_host of {host.name}: the server of {host.server} is of"
            f" {mesh.hosts[host.server].trust_domain}, and {host.name} is of {host.trust_domain}."
        )


def _judge_wiring(mesh: Mesh, host: Host, wiring: Wiring, faults: Faults) -> None:
    """An Istio that comes over to SPIRE: a revision beside it, under one root with it."""
    what = f"istio_wire_from of {host.name} is {_shown(wiring.leaving)}"
    wanted = {SPIRE_SERVER, SPIRE_AGENT, UPSTREAM_CA}
    if missing := sorted(wanted - host.duties):
        faults.add(
            f"{what}, and the host is not in {' and '.join(missing)}. Put it there: a SPIRE server under Istio's own CA"
            " lets those believe each other who have come over and who have not."
        )
    if host.istio_revision in ("", wiring.leaving):
        faults.add(
            f"{what}, and istio_overlay names no other revision. Give spec.revision in it, such as spire: the one with"
            " SPIRE is installed beside that one."
        )
    if not host.istiod_by_spire:
        faults.add(f"{what}. Say istio_control_plane_identity: spire, so that no istiod signs anything in the end.")
    others = [other.name for other in mesh.hosts.values() if other.wiring and other is not host]
    if others and host.name < min(others):
        faults.add(
            f"{what}, and so it is of {' and '.join(others)}. Each has a CA of its own: bring over one at a time, with"
            " an inventory for it."
        )


def _judge_machine_in_mesh(mesh: Mesh, host: Host, faults: Faults) -> None:
    """A machine whose workload has a sidecar of Istio."""
    istiod = mesh.hosts.get(host.istiod_host or "")
    if istiod is None or not {MESH, CLUSTERS} <= istiod.duties:
        if host.istiod_host:
            faults.add(
                f"sidecar_istiod_host of {host.name}: {_shown(host.istiod_host)} is no cluster in {MESH}, whose istiod"
                " its sidecar could ask."
            )
        else:
            faults.add(
                f"inventory: {host.name} is a machine in {MESH}, and no cluster of {host.trust_domain} is there whose"
                f" istiod its sidecar could ask. Put one into {MESH}, or name one in sidecar_istiod_host."
            )
        return
    if istiod.trust_domain != host.trust_domain:
        faults.add(
            f"sidecar_istiod_host of {host.name}: the mesh of {istiod.name} is of {istiod.trust_domain}, and"
            f" {host.name} of {host.trust_domain}."
        )
    if not istiod.istiod_by_spire:
        faults.add(
            f"inventory: {host.name} is a machine in the mesh of {istiod.name}, whose istiod has a CA of its own and"
            " would take a token of Kubernetes only, which is to lie on no machine. Say istio_control_plane_identity:"
            f" spire for {istiod.name}."
        )
    sidecars = [workload.name for workload in mesh.on(host.name) if workload.mesh]
    if mesh.workloads and not sidecars:
        faults.add(
            f"inventory: {host.name} is a machine in {MESH}, and no workload of the mesh is on it. Name one in"
            f" trustmesh_workloads, or take {host.name} out of {MESH}."
        )
    if len(sidecars) > 1:
        faults.add(
            f"trustmesh_workloads: {' and '.join(sidecars)} are in the mesh on {host.name}, and the sidecar of a"
            " machine has one identity. Say mesh: false for all but one of them, or give each a machine."
        )
    envoys = [workload.name for workload in mesh.on(host.name) if workload.has_envoy]
    if sidecars and envoys:
        faults.add(
            f"trustmesh_workloads: {envoys[0]} has an Envoy on {host.name}, whose connections the sidecar of"
            f" {sidecars[0]} would take over. Give one of them another machine."
        )


def _judge_attestor(mesh: Mesh, host: Host, faults: Faults) -> None:
    """What nodes need that attest neither by their cluster nor by tokens."""
    if not _attests_by_another(host):
        return
    if not host.node_selectors and any(workload.identity for workload in mesh.on(host.name)):
        faults.add(
            f"spire_agent_attestor of {host.name} is {host.attestor}, and nothing says by what the server knows its"
            f" nodes. Give spire_agent_node_selectors of {host.name}, such as {host.attestor}:… as its documentation"
            " has them."
        )
    if host.nodes_by_id and len(host.nodes_by_id) < len(host.node_selectors):
        faults.add(
            f"spire_agent_node_selectors of {host.name} name agents by {BY_ID}… and have other selectors beside. Say by"
            " which agents, or by which selectors, and not both."
        )
    for other in mesh.hosts.values():
        if other.server == host.server and _attests_by_another(other) and other.name > host.name:
            for name in sorted(host.attestor_server_files.keys() & other.attestor_server_files.keys()):
                if host.attestor_server_files[name] != other.attestor_server_files[name]:
                    faults.add(
                        f"spire_agent_attestor_server_files of {host.name} and {other.name} both have {name!r},"
                        " with another content, and their server has one folder for both. Give one another name."
                    )
        same = (other.server, other.attestor) == (host.server, host.attestor)
        if other is host or not same or not _attests_by_another(other):
            continue
        if other.attestor_server_data != host.attestor_server_data and other.name > host.name:
            faults.add(
                f"spire_agent_attestor_server_data of {host.name} and {other.name} differ, and their server has one"
                f" plugin {host.attestor} for both. Say the same for both."
            )
        if set(other.node_selectors) <= set(host.node_selectors) or set(other.nodes_by_id) & set(host.nodes_by_id):
            faults.add(
                f"spire_agent_node_selectors of {other.name} hold for the nodes of {host.name}, too, which would get"
                " its identities. Add something to them by which the nodes differ."
            )


def _attests_by_another(host: Host) -> bool:
    """Whether its agents attest by a plugin that is neither its cluster's nor that of tokens."""
    return SPIRE_AGENT in host.duties and MACHINES not in host.duties and host.attestor not in (K8S_PSAT, BY_TOKEN)


def _judge_workload(mesh: Mesh, workload: Workload, faults: Faults) -> None:
    """Refuse what contradicts itself: each line is a condition that must not hold, and what to do about it."""
    where, host = f"trustmesh_workloads: {workload.name}", mesh.hosts[workload.host]
    wanted = f"/ns/{workload.namespace}/sa/{workload.service_account}"
    on_machine = mesh.is_on_machine(workload)
    for wrong, text in (
        (
            workload.identity and SPIRE_AGENT not in host.duties,
            f"it is to have an identity, and {host.name} has no SPIRE agents. Put {host.name} into {SPIRE_AGENT}, or"
            " say identity: false.",
        ),
        (
            workload.mesh and MESH not in host.duties and not on_machine,
            f"mesh is true, and {host.name} is not in {MESH}. Put it there, or say mesh: false.",
        ),
        (
            workload.mesh and not workload.identity,
            "a workload of the mesh has an identity. Take identity: false out, or say mesh: false.",
        ),
        (
            workload.envoy and (workload.mesh or workload.is_envoy),
            f"envoy is true, and its {'sidecar' if workload.mesh else 'app'} is one. Say one of them.",
        ),
        (
            workload.has_envoy and not workload.identity,
            "its Envoy needs an identity. Take identity: false out.",
        ),
        (
            workload.mesh and workload.spiffe_path != wanted,
            f"spiffe_path is {workload.spiffe_path}, and Istio knows its workloads as {wanted} only.",
        ),
        (
            workload.envoy and workload.pod.rpartition("/")[0] in ("", "pod"),
            "envoy is true, and pod names no Deployment, StatefulSet or DaemonSet that could get one.",
        ),
        (
            workload.expose and workload.guard not in ("envoy", "gateway"),
            "expose is true, and no Envoy of ours keeps others out. Say envoy: true.",
        ),
        (
            workload.is_gateway and not workload.mesh,
            f"a gateway belongs to a mesh. Put {host.name} into {MESH}, and take mesh and identity out.",
        ),
        (
            workload.is_gateway and workload.files,
            "files is true, and a gateway has its certificate in its proxy. Take it out.",
        ),
        (
            workload.is_gateway and bool(mesh.callers_of(workload)) and not workload.dns_names,
            "it is called, and dns_names are missing. Its callers ask for the first of them, and verify it.",
        ),
        (
            workload.is_gateway and bool(mesh.callers.get(workload.name)) and not mesh.callees_of(workload),
            "this gateway may call nobody, so it leads nowhere. Name it as a caller in trustmesh_callers.",
        ),
        *_of_gateway_api(workload),
        (
            workload.files and not workload.identity,
            "files is true, and it has no identity to put into them. Take one of them out.",
        ),
        (
            on_machine and workload.identity and not (workload.selectors or workload.has_envoy or workload.mesh),
            "on a machine selectors tell who it is. Give some, such as unix:uid:1000.",
        ),
        (
            bool(workload.selectors and workload.extra_selectors),
            "selectors are all that its entry has, and extra_selectors come beside those that are derived. Put all into"
            " selectors, or leave them out.",
        ),
        (
            workload.is_envoy and not mesh.callers.get(workload.name),
            "nobody may call this Envoy. Name its callers in trustmesh_callers.",
        ),
        (
            workload.is_envoy and not mesh.callees_of(workload),
            "this Envoy may call nobody, so it leads nowhere. Name it as a caller in trustmesh_callers.",
        ),
        (
            workload.envoy and not mesh.callers.get(workload.name) and not mesh.callees_of(workload),
            "envoy is true, and it calls nobody and nobody may call it. Say in trustmesh_callers who does, or take"
            " envoy: true out.",
        ),
        (
            on_machine and mesh.is_exposed(workload) and host.address == "",
            f"it is called, and nobody knows at which address. Give machine_address of {host.name}.",
        ),
        (
            workload.envoy_port != (workload.listens if workload.is_envoy else ENVOY_PORT)
            and not (on_machine and workload.envoy),
            "envoy_port is for an Envoy before a program of a machine (envoy: true). Take it out.",
        ),
        *(_on_a_machine(workload, host) if on_machine else ()),
    ):
        if wrong:
            faults.add(f"{where}: {text}")
    if workload.on_behalf_of:
        _judge_clients(mesh, workload, faults)
    if mesh.callers.get(workload.name):
        _judge_callee(mesh, workload, where, faults)


def _of_gateway_api(workload: Workload) -> tuple[tuple[bool, str], ...]:
    """What a gateway of the Gateway API cannot be, and what to do about it."""
    if not workload.gateway_api:
        return ()
    longest = 63 - len(f"-{GATEWAY_CLASS}")
    return (
        (
            not workload.is_gateway,
            "gateway_api is true, and it is no gateway. Take it out, or say app: gateway.",
        ),
        (
            workload.is_gateway and workload.listens != workload.port,
            f"port is {workload.port} and listens {workload.listens}, and a gateway of the Gateway API listens at the"
            " port of its Service. Take listens out.",
        ),
        (
            workload.port in PROXY_PORTS,
            f"port is {workload.port}, at which the proxy of a gateway tells how it is. Give another one.",
        ),
        (
            len(workload.name) > longest,
            f"istiod names what it makes for it {workload.envoy_name}, which is longer than 63 characters. Give it a"
            f" name of at most {longest}.",
        ),
    )


def _on_a_machine(workload: Workload, host: Host) -> tuple[tuple[bool, str], ...]:
    """What a workload outside of Kubernetes cannot be, and what to do about it."""
    return (
        (
            workload.mesh and MESH not in host.duties,
            f"mesh is true, and {host.name} is a machine that is not in {MESH}. Put it there, for a sidecar of Istio on"
            " it, or take mesh out; envoy: true puts an Envoy before it.",
        ),
        (
            workload.app not in (EXISTING, ENVOY),
            f"app is {workload.app}, and {host.name} is a machine, whose programs are yours. Take it out, or say app:"
            " envoy for an Envoy that stands by itself.",
        ),
        (
            bool(workload.extra_selectors),
            "extra_selectors come beside what follows from a pod, and here is none. Put all into selectors.",
        ),
        (
            workload.is_envoy and bool(workload.selectors),
            "selectors are given, and this Envoy is known by its user and its program. Take them out.",
        ),
        (
            workload.is_envoy and workload.port != workload.listens,
            f"port is {workload.port} and listens {workload.listens}, and on a machine no Service stands between them."
            " Give one of them.",
        ),
        (
            workload.has_envoy and len(workload.envoy_user) > MAX_USER,
            f"its Envoy on {host.name} would run as the user {workload.envoy_user}, which is longer than {MAX_USER}"
            " characters. Give it a shorter name.",
        ),
    )


def _judge_callee(mesh: Mesh, workload: Workload, where: str, faults: Faults) -> None:
    if workload.port is None:
        whose = "at which its program listens on loopback" if mesh.is_on_machine(workload) else "of its Service"
        faults.add(f"{where}: it is called, and port is missing. Give the port {whose}.")
    if workload.guard is None:
        faults.add(
            f"{where}: it is called, and nothing keeps out those who are not listed. Say envoy: true for an Envoy"
            f" before it{'' if mesh.is_on_machine(workload) else ', or put it into a mesh'}."
        )
    if workload.guard is not None and not workload.labels and not mesh.is_on_machine(workload):
        faults.add(f"{where}: labels are missing. Its Service and its policies find its pods by them.")
    if mesh.is_open(workload) and not workload.mesh:
        faults.add(f"trustmesh_callers: {workload.name}: an Envoy of ours admits identities only, not {ANYONE}.")
    if mesh.is_open(workload) and workload.is_gateway and mesh.callers_of(workload):
        faults.add(
            f"trustmesh_callers: {workload.name}: a gateway takes either plain HTTP from {ANYONE}, or mutual TLS from"
            f" those who are listed. Take {ANYONE} out, or the others."
        )
    if workload.is_gateway and len({callee.dns for callee in mesh.callees_of(workload) if not callee.paths}) > 1:
        faults.add(
            f"{where}: it leads to several, and not by paths that tell them apart. Give all but one of them paths."
        )


def _judge_pair(mesh: Mesh, caller: Workload, callee: Workload, faults: Faults) -> None:
    where = f"trustmesh_callers: {callee.name}"
    if not caller.identity:
        faults.add(f"{where}: {caller.name} has no identity, so nobody could tell that it is the one that calls.")
    if callee.is_gateway:
        _judge_gateway_pair(mesh, caller, callee, faults)
    elif callee.mesh and not mesh.share_a_mesh(caller, callee):
        remedy = (
            "Put both into the mesh"
            if caller.host == callee.host
            else f"Give {callee.host} an Envoy that calls it (app: envoy), and let {caller.name} call that"
        )
        faults.add(f"{where}: it is in a mesh of {callee.host} and {caller.name} is not. {remedy}.")
    beside = [
        other
        for other in mesh.behind_the_same_name(callee)
        if other is not caller and caller not in mesh.callers_of(other)
    ]
    if callee.mesh and beside and not mesh.is_open(beside[0]):
        faults.add(
            f"{where}: {caller.name} may call it and not {beside[0].name}, which is behind the same Service"
            f" {callee.service}, so some of its requests would be refused. Let it call both, or give one of them a"
            " service of its own."
        )
    on_machine = MACHINES in mesh.hosts[caller.host].duties and not caller.mesh
    if callee.guard == "envoy" and not caller.has_envoy and not on_machine:
        _judge_without_envoy(mesh, caller, callee, faults)
    if caller.is_envoy and len(mesh.callees_of(caller)) > 1 and callee.service in _shared_services(mesh, caller):
        faults.add(f"{where}: {caller.name} calls two services named {callee.service}. Give one another name.")


def _judge_gateway_pair(mesh: Mesh, caller: Workload, callee: Workload, faults: Faults) -> None:
    """A gateway lets in whoever shows a certificate of its own, and a sidecar shows none outside of its mesh."""
    where = f"trustmesh_callers: {callee.name}"
    # A program of the user's own may ask SPIRE's agent by itself.
    if not (caller.files or caller.app == EXISTING or MACHINES in mesh.hosts[caller.host].duties):
        faults.add(
            f"{where}: it is a gateway, and {caller.name} has no certificate to show to it. Say files: true for"
            f" {caller.name}."
        )


def _judge_without_envoy(mesh: Mesh, caller: Workload, callee: Workload, faults: Faults) -> None:
    """Who has no Envoy shows its certificate by itself, and verifies a name, for TLS libraries know no SPIFFE IDs."""
    where = f"trustmesh_callers: {callee.name}"
    if not (caller.files or (caller.app == EXISTING and mesh.shows_files_to(caller, callee))):
        remedy = "Let it call one (app: envoy) of its mesh" if caller.mesh else "Say envoy: true for it"
        faults.add(f"{where}: {caller.name} has no Envoy to show its SPIFFE ID to the one of {callee.name}. {remedy}.")
    elif not callee.dns_names:
        faults.add(
            f"{where}: {caller.name} shows a certificate in files, and verifies the name that it asks for. Give"
            f" {callee.name} dns_names, or say envoy: true for {caller.name}."
        )
    elif caller.mesh:
        faults.add(
            f"{where}: {caller.name} is in a mesh, whose sidecar would show its own certificate to nobody outside of"
            f" it. Say mesh: false for {caller.name}, or let it call one (app: envoy) of its mesh."
        )


def _judge_clients(mesh: Mesh, workload: Workload, faults: Faults) -> None:
    """For whom proxies may ask: those who may call them, and whose word they are."""
    where = f"trustmesh_workloads: {workload.name}: on_behalf_of"
    proxies = mesh.callers_of(workload)
    strange = [proxy.name for proxy in proxies if not proxy.forwards_clients]
    if workload.guard != "envoy" or not proxies:
        faults.add(f"{where} is for one whose Envoy is called by proxies (app: envoy). Take it out.")
        return
    if strange:
        faults.add(
            f"{where}: {' and '.join(strange)} may call it, and {'are' if len(strange) > 1 else 'is'} no proxy outside"
            " of a mesh that tells for whom it asks. Take on_behalf_of out, or let proxies alone (app: envoy) call it."
        )
    for name in workload.on_behalf_of:
        if name not in mesh.workloads:
            faults.add(f"{where}: {_shown(name)} is no workload. Known: {', '.join(mesh.workloads)}.")
        elif not strange and not any(name in mesh.callers.get(proxy.name, ()) for proxy in proxies):
            faults.add(
                f"{where}: {name} may call none of {', '.join(proxy.name for proxy in proxies)}, so nobody asks for it."
                " Name it as a caller there, or take it out."
            )


def _shared_services(mesh: Mesh, caller: Workload) -> set[str]:
    names = [callee.service for callee in mesh.callees_of(caller)]
    return {name for name in names if names.count(name) > 1}


def _judge_names(mesh: Mesh, faults: Faults) -> None:
    """What may be there once only."""
    places: dict[tuple[str, str, str], str] = {}
    for workload in mesh.workloads.values():
        names = {workload.name, workload.envoy_name} if workload.has_envoy or workload.is_gateway else {workload.name}
        for name in sorted(names):
            key = (workload.host, workload.namespace, name)
            if key in places:
                faults.add(f"trustmesh_workloads: {workload.name}: {places[key]} has objects named {name} there too.")
            places[key] = workload.name
    for workload in mesh.workloads.values():
        _judge_shared(mesh, workload, faults)
    clusters: dict[str, str] = {}
    for host in mesh.hosts.values():
        if CLUSTERS in host.duties and host.cluster in clusters:
            faults.add(
                f"inventory: {host.name} and {clusters[host.cluster]} are both the cluster {host.cluster}. Give each"
                " its own kubernetes_cluster_name."
            )
        clusters[host.cluster] = host.name
    for host in mesh.hosts.values():
        if MACHINES in host.duties:
            _judge_ports(mesh, host, faults)
    for workload in mesh.workloads.values():
        if not workload.envoy:
            continue
        ports: dict[int | None, str] = {}
        # One without a port has been told of already.
        for callee in (callee for callee in mesh.callees_of(workload) if callee.port is not None):
            if callee.local_port is None or callee.local_port in ports:
                faults.add(
                    f"trustmesh_workloads: {callee.name}: {workload.name} reaches it at a port of its own loopback"
                    f" address, and {callee.local_port or 'none'} cannot be it. Give it a local_port."
                )
            ports[callee.local_port] = callee.name


def _judge_ports(mesh: Mesh, host: Host, faults: Faults) -> None:
    """All that is on a machine shares its ports, where each pod has its own."""
    taken: dict[int, str] = {}
    for workload in (workload for workload in mesh.on(host.name) if workload.has_envoy):
        called, envoy = bool(mesh.callers.get(workload.name)), f"the Envoy of {workload.name}"
        ports = [
            *([(workload.envoy_port, envoy)] if called else []),
            *([(workload.listens, f"the program of {workload.name}")] if called and workload.envoy else []),
            *((callee.local_port, envoy) for callee in mesh.callees_of(workload) if workload.envoy),
        ]
        for port, whose in ports:
            # One without a port has been told of already.
            if port is not None and port in taken and whose != taken[port]:
                faults.add(
                    f"trustmesh_workloads: {workload.name}: {taken[port]} and {whose} would both listen at port {port}"
                    f" of {host.name}. Give another envoy_port, port, listens or local_port."
                )
            elif port is not None:
                taken[port] = whose


def _judge_shared(mesh: Mesh, workload: Workload, faults: Faults) -> None:
    """Applications of ours behind one Service, which finds their pods by what their labels have in common."""
    sharing = [other for other in mesh.sharing(workload) if other.app != EXISTING]
    if len(sharing) < 2 or sharing[0] is not workload:
        return
    where = f"trustmesh_workloads: {' and '.join(other.name for other in sharing)} share the Service {workload.service}"
    if len({(other.port, other.listens) for other in sharing}) > 1:
        faults.add(f"{where}, which has one port, and not the same port and listens. Give each the same.")
    common = mesh.in_common(workload)
    if not common:
        faults.add(f"{where}, and no label by which it could find their pods. Give them one in common.")
        return
    for other in mesh.on(workload.host):
        pod = {"app.kubernetes.io/name": other.name, **other.labels}
        if other.namespace == workload.namespace and other not in sharing and common.items() <= pod.items():
            faults.add(f"{where}, and {other.name} has the labels that they have in common. Give them another one.")


def _shown(value: Any) -> str:
    return repr(value)[:80]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What an attempt of a check needs of the world, read once for all checks: bundles, identities, roots, processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess, PodProcess, Process
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.client import mint_x509
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import HERE, Check, Mesh, owner
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.spire import Identity, Server

SVID_TTL = 300
"""Seconds that a minted test identity lives."""
BUNDLE_AGE = 2.0
"""Seconds for which a bundle that was read counts as «now»: checks that run side by side share one reading."""
EXEC_TIMEOUT = 15.0
_LOCAL = LocalProcess(limit=8 * 1024 * 1024)
"""The pods are other people's: an answer of curl has at most MAX_BODY bytes, and a dump of a proxy not much more."""
"""Seconds for one command in a pod."""


@dataclass(frozen=True)
class SpireApi:
    """A SPIRE server behind its own command line."""

    at: SpireServer

    def show_bundle(self) -> Any:
        return show_bundle(self.at)

    def mint_x509(self, spiffe_id: str, ttl: int) -> Any:
        return mint_x509(self.at, spiffe_id, ttl)

    def list_agents(self) -> Sequence[Any]:
        return list_agents(self.at)


@dataclass(frozen=True)
class Cluster:
    """How to get to a Kubernetes cluster."""

    kubectl: str = "kubectl"
    kubeconfig: str | None = None
    context: str | None = None

    def pod(self, pod: str, namespace: str, container: str | None) -> PodProcess:
        return PodProcess(pod, namespace, container, self.kubectl, self.kubeconfig, self.context, _LOCAL)


@dataclass(frozen=True)
class RootSource:
    """Where istiod publishes the root of its own CA, which must sign nothing here."""

    name: str
    argv: tuple[str, ...]
    process: Process = _LOCAL

    @classmethod
    def of(cls, name: str, cluster: Cluster, namespace: str, config_map: str) -> RootSource:
        argv = [*cluster.pod("", namespace, None).kubectl_argv, "get", "configmap", config_map]
        return cls(name, (*argv, "--output", r"jsonpath={.data.root-cert\.pem}"))

    def read(self) -> list[Any]:
        doing = f"Reading istiod's root from its ConfigMap in the cluster {self.name}"
        done = self.process.run(self.argv, None, EXEC_TIMEOUT).check(doing)
        try:
            return chain.load_pem(done.stdout)
        except ValueError as error:
            raise ProcessError(f"{doing} failed: it holds no certificate under root-cert.pem.") from error


@dataclass
class World:
    """What the checks need: servers, clusters and endpoints, and what was read from them."""

    mesh: Mesh
    servers: Mapping[str, Server]
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    istio_roots: Sequence[RootSource] = ()
    spire_agent_binary: str = "spire-agent"
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _kept: dict[str, tuple[float, Any]] = field(default_factory=dict)

    def authorities(self, check: Check) -> list[Any]:
        """The authorities by which the certificate that a check looks at is judged: those of its own trust domain."""
        server = self.mesh.judge_of(check["spiffe_id"], self.mesh.endpoints[owner(check)])
        return self._once(f"authorities {server}", BUNDLE_AGE, lambda: chain.load_pem(self.bundle_pem(server)))

    def bundle_pem(self, server: str) -> str:
        return self._once(f"bundle {server}", BUNDLE_AGE, self.servers[server].bundle_pem)

    def svid(self, spiffe_id: str) -> Identity:
        """An identity minted by the server of its own trust domain. The key stays in this process."""
        server = self.servers[self.mesh.judge_of(spiffe_id)]
        # Kept for half its life.
        return self._once(f"svid {spiffe_id}", SVID_TTL / 2, lambda: server.mint(spiffe_id, SVID_TTL))

    def foreign_roots(self) -> list[Any]:
        """The roots of every istiod's own CA."""
        return [root for source in self.istio_roots for root in self._once(f"istio {source.argv}", 60, source.read)]

    def process(self, name: str, container: str | None = None) -> Process:
        """Where commands of the endpoint ``name`` run."""
        endpoint = self.mesh.endpoints[name]
        if name == HERE or endpoint.pod is None:
            return _LOCAL
        return self.clusters[endpoint.cluster].pod(endpoint.pod, endpoint.namespace, container or endpoint.container)

    def _once(self, key: str, age: float, read: Callable[[], Any]) -> Any:
        """Read a thing once for all threads, again when it is older than ``age``; a failure is not kept."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            at, value = self._kept.get(key, (0.0, None))
            if value is None or time.monotonic() - at > age:
                value = read()
                self._kept[key] = (time.monotonic(), value)
            return value

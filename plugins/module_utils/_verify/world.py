# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What an attempt of a check needs of the world, read once for all checks: bundles, identities, roots, processes."""

from __future__ import annotations

import base64
import itertools
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.codec import parse_list
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import ISTIOD_SECRETS
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import Access
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import (
    Completed,
    LocalProcess,
    PodProcess,
    Process,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.client import mint_x509
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.foreign import (
    Authority,
    as_istiod_would,
    foreign_identity,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import (
    EITHER,
    HERE,
    ISTIOD,
    SPIRE,
    Check,
    Mesh,
    owner,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.spire import Identity, Server

SVID_TTL = 300
"""Seconds that a minted test identity lives."""
BUNDLE_AGE = 2.0
"""Seconds for which a bundle that was read counts as «now»: checks that run side by side share one reading."""
CLOCKS = 0.5
"""Seconds by which clocks may differ when a certificate is to be too old. A server later than that is asked again."""
EXEC_TIMEOUT = 15.0
"""Seconds for one command in a pod."""
_LOCAL = LocalProcess(limit=8 * 1024 * 1024)
"""The pods are other people's: an answer of curl has at most MAX_BODY bytes, and a dump of a proxy not much more."""


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
    local: Process = _LOCAL

    def pod(self, pod: str, namespace: str, container: str | None) -> PodProcess:
        return PodProcess(pod, namespace, container, self.kubectl, self.kubeconfig, self.context, self.local)

    def addresses(self, pod: str, namespace: str) -> list[str]:
        """The addresses of the running pods that ``pod`` names: one, or all of a Deployment and the like."""
        reader = self.reader()
        name = pod if "/" in pod else f"pod/{pod}"
        found = reader.read(["get", name, "--namespace", namespace, "--output", "json"], None, f"Reading {name}")
        pods = [one for item in found for one in ([item] if item["kind"] == "Pod" else reader.pods(item))]
        states = [item.get("status") or {} for item in pods if not item["metadata"].get("deletionTimestamp")]
        return [state["podIP"] for state in states if state.get("phase") == "Running" and state.get("podIP")]

    def reader(self) -> Kubectl:
        """What reads objects of the cluster."""
        return Kubectl(Access(self.kubectl, self.kubeconfig, self.context), EXEC_TIMEOUT, self.local)


@dataclass(frozen=True)
class MachineProcess:
    """Runs commands on a machine outside Kubernetes, by the words that lead there."""

    words: tuple[str, ...]
    local: Process = _LOCAL

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        # What takes a command over ssh is a shell: it gets each word as one.
        quoted = [shlex.quote(word) for word in argv] if Path(self.words[0]).name == "ssh" else list(argv)
        return self.local.run([*self.words, *quoted], stdin, timeout)


@dataclass(frozen=True)
class RootSource:
    """Where istiod has its own CA, which must sign nothing here: the root it publishes, and the CA itself."""

    name: str
    kubectl: tuple[str, ...]
    config_map: str = "istio-ca-root-cert"
    process: Process = _LOCAL

    @classmethod
    def of(cls, name: str, cluster: Cluster, namespace: str, config_map: str) -> RootSource:
        return cls(name, tuple(cluster.pod("", namespace, None).kubectl_argv), config_map, cluster.local)

    def read(self) -> list[Any]:
        """The root that istiod publishes."""
        doing = f"Reading istiod's root from its ConfigMap in the cluster {self.name}"
        words = ["get", "configmap", self.config_map, "--output", r"jsonpath={.data.root-cert\.pem}"]
        done = self.process.run([*self.kubectl, *words], None, EXEC_TIMEOUT).check(doing)
        try:
            return chain.load_pem(done.stdout)
        except ValueError as error:
            raise ProcessError(f"{doing} failed: it holds no certificate under root-cert.pem.") from error

    def issuers(self) -> list[Any]:
        """istiod's CA itself, by which it signs: the root, or one that the root has signed. Its key is not read."""
        doing = f"Reading istiod's CA certificate from its Secret in the cluster {self.name}"
        for name, entry in itertools.product(ISTIOD_SECRETS, ("ca-cert.pem", "tls.crt")):
            path = entry.replace(".", r"\.")
            words = ["get", "secret", name, "--ignore-not-found", "--output", f"jsonpath={{.data.{path}}}"]
            done = self.process.run([*self.kubectl, *words], None, EXEC_TIMEOUT).check(doing)
            if not done.stdout.strip():
                continue
            try:
                return chain.load_pem(base64.b64decode(done.stdout).decode())[:1]
            except ValueError as error:
                raise ProcessError(f"{doing} failed: {entry} of {name} holds no certificate.") from error
        return []

    def authority(self) -> Authority | None:
        """istiod's CA with its key, by which istiod itself signs; None where it has none. It stays in this process."""
        doing = f"Reading istiod's CA from its Secret in the cluster {self.name}"
        words = ["get", "secrets", *ISTIOD_SECRETS, "--ignore-not-found", "--output", "json"]
        done = self.process.run([*self.kubectl, *words], None, EXEC_TIMEOUT)
        if done.rc != 0:
            said = done.stderr.strip()[-300:] or "kubectl said nothing"
            raise ProcessError(
                f"{doing} failed: {said}. To sign in its name the proof needs the right to get this Secret."
            )
        secrets = {item["metadata"]["name"]: item.get("data") or {} for item in parse_list(done.stdout, doing)}
        # Its own form, and that of a Secret of the type kubernetes.io/tls, as cert-manager makes it.
        pairs = [
            (secrets[name], keys)
            for name in ISTIOD_SECRETS
            for keys in (("ca-cert.pem", "ca-key.pem"), ("tls.crt", "tls.key"))
            if keys[1] in secrets.get(name, ())
        ]
        if not pairs:
            return None
        data, keys = pairs[0]
        try:
            return Authority.read(*(base64.b64decode(data[key]) for key in keys))
        except (KeyError, ValueError):
            raise ProcessError(f"{doing} failed: it holds no certificate and key that can be read.") from None


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

    def expected_of(self, check: Check, **more: Any) -> chain.Expectation:
        """What the certificate must fulfil that a check looks at: whose it is, by whose authorities, and by whom."""
        by = check.fields.get("certified_by", SPIRE)
        wanted = {"spiffe_id": check["spiffe_id"], "min_remaining": check["min_remaining"], **more}
        if by == ISTIOD:
            cluster = self.mesh.endpoints[owner(check)].cluster
            sources = [source for source in self.istio_roots if source.name == cluster]
            roots = [root for source in sources for root in self._root(source)]
            return chain.Expectation(authorities=roots, issuers=self._issuers(sources), **wanted)
        authorities = self.authorities(check)
        if by == EITHER:
            return chain.Expectation(authorities=authorities, **wanted)
        foreign = self.foreign_roots()
        ours = {chain.sha256(one) for one in authorities}
        # Where SPIRE stands under an istiod's CA, the root is the same: only who has signed the leaf tells them apart.
        shared = [source for source in self.istio_roots if any(chain.sha256(it) in ours for it in self._root(source))]
        return chain.Expectation(authorities=authorities, foreign=foreign, not_issuers=self._issuers(shared), **wanted)

    def _root(self, source: RootSource) -> list[Any]:
        return self._once(f"istio {source.kubectl}", 60, source.read)

    def _issuers(self, sources: Sequence[RootSource]) -> list[Any]:
        return [one for it in sources for one in self._once(f"istiod's CA {it.kubectl}", 60, it.issuers)]

    def trusted(self, server: str) -> list[Any]:
        """The X.509 authorities that a server shows, without those that are tainted."""
        return chain.load_pem(self.bundle_pem(server))

    def published(self, server: str) -> list[Any]:
        """The X.509 authorities that a server may publish: those that are tainted are taken out when it is over."""
        read = self.servers[server].whole_bundle_pem
        return self._once(f"whole {server}", BUNDLE_AGE, lambda: chain.load_pem(read()))

    def bundle_pem(self, server: str) -> str:
        return self._once(f"bundle {server}", BUNDLE_AGE, self.servers[server].bundle_pem)

    def svid(self, spiffe_id: str) -> Identity:
        """An identity minted by the server of its own trust domain. The key stays in this process."""
        server = self.servers[self.mesh.judge_of(spiffe_id)]
        # Kept for half its life.
        return self._once(f"svid {spiffe_id}", SVID_TTL / 2, lambda: server.mint(spiffe_id, SVID_TTL))

    def expired_svid(self, spiffe_id: str) -> Identity:
        """An identity like that of ``svid``, when its time is over."""
        server = self.servers[self.mesh.judge_of(spiffe_id)]
        identity: Identity = self._once(f"expired {spiffe_id}", SVID_TTL, lambda: server.mint(spiffe_id, 1))
        end = chain.load_pem(identity.chain_pem)[0].not_valid_after_utc.timestamp()
        time.sleep(max(end - time.time() + CLOCKS, 0))
        return identity

    def istiod_identity(self, spiffe_id: str, cluster: str = "") -> Identity:
        """An identity as an istiod would sign it: that of ``cluster``, else the first that has a CA.

        Where none has one, a CA is made here that has the same name.
        """

        def make() -> Identity:
            for source in sorted(self.istio_roots, key=lambda it: it.name != cluster):
                if authority := source.authority():
                    return foreign_identity(spiffe_id, SVID_TTL, authority, f"the CA of istiod in {source.name}")
            return as_istiod_would(spiffe_id, SVID_TTL)

        identity: Identity = self._once(f"istiod {cluster} {spiffe_id}", SVID_TTL / 2, make)
        return identity

    def reader(self, name: str) -> Kubectl:
        """What reads objects of the cluster of an endpoint."""
        return self.clusters[self.mesh.endpoints[name].cluster].reader()

    def pod_addresses(self, name: str) -> list[str]:
        """The addresses of the running pods of an endpoint."""
        endpoint = self.mesh.endpoints[name]
        return self.clusters[endpoint.cluster].addresses(endpoint.pod or "", endpoint.namespace)

    def foreign_roots(self) -> list[Any]:
        """The roots of every istiod's own CA."""
        return [root for source in self.istio_roots for root in self._root(source)]

    def process(self, name: str, container: str | None = None) -> Process:
        """Where commands of the endpoint ``name`` run."""
        endpoint = self.mesh.endpoints[name]
        if endpoint.command:
            return MachineProcess(endpoint.command)
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

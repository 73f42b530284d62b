# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Effects on kind clusters: the container engine, kind and kubectl. Decisions are in ``plan``."""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import (
    ProcessError,
    WaitTimeout,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import replace as replace_file
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.addresses import (
    Network,
    choose,
    lower_half,
    read_networks,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.plan import (
    CertificateRequest,
    Found,
    Node,
    Wanted,
    mark_of,
    plan_certificates,
    shares_in,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import kubectl_argv
from ansible_collections.trustmesh.spiffe.plugins.module_utils._polling import poll
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed, LocalProcess, side_by_side

try:
    from cryptography import x509
except ImportError:  # reported by the use case
    x509 = None  # type: ignore[assignment]

_MARK = "/kind/trustmesh.json"
_LABEL = "io.x-k8s.kind.cluster"
_ROLE = "io.x-k8s.kind.role"
_CALL_S = 60.0
_POLL_S = 0.3
_ATTEMPTS = 20
_SERVING_SIGNER = "kubernetes.io/kubelet-serving"


@dataclass(frozen=True)
class Nodes:
    """What an API server tells of the nodes of a cluster: by name those that there are, and their requests."""

    ready: frozenset[str] = frozenset()
    """Those that are Ready."""
    asked: frozenset[str] = frozenset()
    """Those that have asked for a serving certificate."""
    served: frozenset[str] = frozenset()
    """Those that have one."""
    pending: tuple[dict[str, Any], ...] = ()
    """The requests that nobody has decided on."""
    young: bool = False
    """Whether one is younger than the time for which finished requests are kept."""
    silence: str = ""
    """Why nothing could be seen."""

    def has_all(self, names: set[str]) -> bool:
        """Whether all of these are Ready and serve with a certificate of the cluster's CA.

        Old requests are removed after an hour; a Ready node with none pending has its certificate.
        """
        return self.ready >= names and not self.pending and (self.served >= names or not self.young)

    def __str__(self) -> str:
        if self.silence:
            return self.silence
        return (
            f"ready: {', '.join(sorted(self.ready)) or 'none'}; certified: {', '.join(sorted(self.served)) or 'none'}"
        )


@dataclass(frozen=True)
class KindClient:
    """One engine, one network, one kind."""

    engine: str
    kind: str
    kubectl: str
    network: str
    process: LocalProcess
    state_dir: Path

    def read(self, name: str) -> Found:
        """Return the nodes' containers as they are, and the mark."""
        found = self.read_nodes(name)
        if not found.exists:
            return found
        mark, silent = self._mark(found.nodes[0])
        return replace(found, mark=mark, silent=silent)

    def read_beside(self, name: str, kubeconfig: Path) -> tuple[Found, Network | None, Nodes | None]:
        """Return what :meth:`read` does, the network of balancers, and what the API server tells of the nodes.

        All is asked at once: of a cluster that is as it is to be, nothing more needs to be known. The API server is
        asked only where the kubeconfig is that of the nodes.
        """
        found = self.read_nodes(name)
        if not found.exists:
            return found, None, None
        is_current = kubeconfig_is_current(kubeconfig, found)
        (mark, silent), network, nodes = side_by_side(
            lambda: self._mark(found.nodes[0]),
            self.network_of_balancers,
            lambda: self._nodes(kubeconfig) if is_current else None,
        )
        return replace(found, mark=mark, silent=silent), network, nodes

    def read_nodes(self, name: str) -> Found:
        """Return the nodes' containers as they are."""
        begun_here = self._intent(name).exists()
        listed = self._engine("ps", "--all", "--quiet", "--filter", f"label={_LABEL}={name}").stdout.split()
        if not listed:
            return Found(begun_here=begun_here)
        nodes = []
        for item in json.loads(self._engine("inspect", *listed).stdout):
            labels = item["Config"]["Labels"]
            networks = item["NetworkSettings"].get("Networks") or {}
            addresses = networks.get(self.network) or {}
            ports = item["NetworkSettings"].get("Ports") or {}
            published = ports.get("6443/tcp") or []
            nodes.append(
                Node(
                    name=item["Name"].lstrip("/"),
                    role=labels.get(_ROLE, ""),
                    running=bool(item["State"]["Running"]),
                    image=item.get("ImageName") or item["Config"]["Image"],
                    address=addresses.get("IPAddress") or "",
                    api_port=int(published[0]["HostPort"]) if published else None,
                    address6=addresses.get("GlobalIPv6Address") or "",
                )
            )
        nodes.sort(key=lambda node: (node.role != "control-plane", node.name))
        return Found(tuple(nodes), begun_here=begun_here)

    def create(self, wanted: Wanted, timeout: float) -> str:
        """Create the cluster and return the admin's kubeconfig, as :meth:`kubeconfig` does.

        An intent on disk tells a later run that a half-made cluster is ours to remove.
        """
        self._ensure_network()
        intent = self._intent(wanted.name)
        intent.parent.mkdir(parents=True, exist_ok=True)
        replace_file(intent, wanted.fingerprint)
        with tempfile.TemporaryDirectory() as work:
            config, kubeconfig = Path(work) / "kind.json", Path(work) / "kubeconfig"
            config.write_text(json.dumps(wanted.document()))
            self.process.run(
                [
                    self.kind,
                    *("create", "cluster", "--name", wanted.name, "--image", wanted.image),
                    *("--config", str(config), "--kubeconfig", str(kubeconfig)),
                ],
                timeout=timeout,
            ).check(f"creating the kind cluster {wanted.name}")
            return kubeconfig.read_text()

    def take_share(self, wanted: Wanted, found: Found) -> int | None:
        """Choose the cluster's share of the network's addresses, unless it has one, and return it.

        It says which one it takes before it looks at the others: of two that take the same one at the same time, one at
        least sees the other, and gives way.
        """
        share = found.share
        if found.mark is None or "share" not in found.mark:
            taken: set[int] = set()
            for attempt in range(_ATTEMPTS):
                share = choose(wanted.name, taken, attempt)
                self._write_mark(wanted, found, taking=share)
                taken = self._shares_of_others(found)
                if share not in taken:
                    break
            else:
                share = None
        return share

    def mark(self, wanted: Wanted, found: Found, share: int | None) -> None:
        """Write into the cluster what it is, whose and for what, then forget the intent."""
        self._write_mark(wanted, found, share=share)
        self._intent(wanted.name).unlink(missing_ok=True)

    def network_of_balancers(self) -> Network | None:
        """Return the first IPv4 network of the nodes' network, of whose upper half the balancers give addresses."""
        answer = self.process.run([self.engine, "network", "inspect", self.network], timeout=_CALL_S)
        return next(iter(read_networks(answer.stdout)), None) if answer.rc == 0 else None

    def start(self, found: Found) -> None:
        """Start nodes that do not run."""
        names = [node.name for node in found.nodes if not node.running]
        self._engine("start", *names)

    def delete(self, name: str) -> None:
        """Delete the cluster with its volumes."""
        # A file of its own that is not there: kind locks it, and another cluster may go at the same time.
        with tempfile.TemporaryDirectory() as work:
            self.process.run(
                [self.kind, "delete", "cluster", "--name", name, "--kubeconfig", str(Path(work) / "kubeconfig")],
                timeout=180,
            ).check(f"deleting the kind cluster {name}")
        self._intent(name).unlink(missing_ok=True)

    def remove_network_if_unused(self) -> bool:
        """Remove the network when no container uses it. Return whether it was removed."""
        if not self._network_exists():
            return False
        users = self._engine("ps", "--all", "--quiet", "--filter", f"network={self.network}").stdout.split()
        if users:
            return False
        return self.process.run([self.engine, "network", "rm", self.network], timeout=_CALL_S).rc == 0

    def network_is_unused(self, except_for: set[str]) -> bool:
        """Whether the network exists and only nodes named in ``except_for`` use it."""
        if not self._network_exists():
            return False
        query = ("ps", "--all", "--format", "{{.Names}}", "--filter", f"network={self.network}")
        return set(self._engine(*query).stdout.split()) <= except_for

    def kubeconfig(self, name: str) -> str:
        """Return the admin's kubeconfig, with the address as seen from the control node."""
        return (
            self.process.run([self.kind, "get", "kubeconfig", "--name", name], timeout=_CALL_S)
            .check(f"reading the kubeconfig of the kind cluster {name}")
            .stdout
        )

    def wait_ready(
        self, wanted: Wanted, found: Found, kubeconfig: Path, timeout: float, only_certify: bool = False
    ) -> bool:
        """Wait until every node is Ready and has a serving certificate of the cluster's CA.

        The kubelets ask for that certificate and somebody must approve it; see :func:`plan_certificates`. Returns
        whether one was approved. With ``only_certify`` it returns as soon as every node's request is approved: the
        cluster takes objects then, and runs them when it is Ready.
        """
        names = {node.name for node in found.nodes}
        approved_any = False
        seen = Nodes(silence="the API server did not answer")

        def look() -> bool:
            nonlocal approved_any, seen
            seen = self._nodes(kubeconfig)
            if seen.pending:
                self._approve(plan_certificates(found.nodes, map(_request, seen.pending)), kubeconfig)
                approved_any = True
            return (only_certify and seen.asked >= names) or seen.has_all(names)

        if not poll(look, time.monotonic() + timeout, _POLL_S):
            raise WaitTimeout(
                f"The nodes of the kind cluster {wanted.name} ({', '.join(sorted(names))}) were not Ready with "
                f"serving certificates within {timeout:g} s; last seen: {seen}."
            )
        return approved_any

    def _nodes(self, kubeconfig: Path) -> Nodes:
        argv = [*kubectl_argv(self.kubectl, str(kubeconfig)), "get", "nodes,csr", "--output", "json"]
        answer = self.process.run(argv, timeout=_CALL_S)
        if answer.rc != 0:
            return Nodes(silence=answer.stderr.strip()[-300:] or "the API server did not answer")
        items = json.loads(answer.stdout)["items"]
        nodes = [item for item in items if item["kind"] == "Node"]
        requests = [item for item in items if _is_serving(item)]
        return Nodes(
            ready=frozenset(item["metadata"]["name"] for item in nodes if _is_ready(item)),
            asked=frozenset(map(_node_of, requests)),
            served=frozenset(_node_of(item) for item in requests if item["status"].get("certificate")),
            pending=tuple(item for item in requests if not item["status"].get("conditions")),
            young=_is_young(nodes),
        )

    def _approve(self, requests: list[str], kubeconfig: Path) -> None:
        argv = [*kubectl_argv(self.kubectl, str(kubeconfig)), "certificate", "approve", *requests]
        self.process.run(argv, timeout=_CALL_S).check("approving the kubelets' serving certificates")

    def _intent(self, name: str) -> Path:
        return self.state_dir / f"{name}.creating"

    def _mark(self, node: Node) -> tuple[dict[str, Any] | None, str]:
        """Return the mark of a node, and why it could not be read."""
        if not node.running:
            return self._mark_on_disk(node.name) or None, ""
        answer = self.process.run([self.engine, "exec", node.name, "cat", _MARK], timeout=_CALL_S)
        if answer.rc == 1:  # cat's own code: there is no such file
            return None, ""
        if answer.rc != 0:
            return None, (
                f"{self.engine} says that the node {node.name} runs and cannot run a command in it: "
                f"{answer.stderr.strip()[-300:]}"
            )
        try:
            return json.loads(answer.stdout), ""
        except ValueError:
            return None, ""

    def _write_mark(self, wanted: Wanted, found: Found, **share: int | None) -> None:
        script = f"cat > {_MARK}.new && mv {_MARK}.new {_MARK}"
        argv = [self.engine, "exec", "-i", found.nodes[0].name, "sh", "-c", script]
        text = json.dumps(mark_of(wanted, found, **share))
        self.process.run(argv, stdin=text, timeout=_CALL_S).check(f"marking the kind cluster {wanted.name}")

    def _shares_of_others(self, found: Found) -> set[int]:
        """Which shares the other clusters on the network have, those that are stopped too."""
        own = {node.name for node in found.nodes}
        query = ("ps", "--all", "--format", "{{.Names}}", "--filter", f"network={self.network}")
        names = self._engine(*query, "--filter", f"label={_ROLE}=control-plane").stdout.split()
        return shares_in(self._mark_on_disk(name) for name in names if name not in own)

    def _mark_on_disk(self, name: str) -> dict[str, Any]:
        """Return the mark of a node, whether it runs or not. One that was not made here, or not yet, has none."""
        with tempfile.TemporaryDirectory() as work:
            target = Path(work) / "mark.json"
            self.process.run([self.engine, "cp", f"{name}:{_MARK}", str(target)], timeout=_CALL_S)
            try:
                mark = json.loads(target.read_text())
            except (OSError, ValueError):
                return {}
        return mark if isinstance(mark, dict) else {}

    def _network_exists(self) -> bool:
        return self.process.run([self.engine, "network", "inspect", self.network], timeout=_CALL_S).rc == 0

    def _ensure_network(self) -> None:
        """Make a plain IPv4 network. kind would ask for IPv6 too, which many hosts do not have."""
        if self._network_exists():
            return
        answer = self._create_network(self.network, *self._range())
        if answer.rc != 0 and not self._network_exists():  # another cluster's run may have been first
            # A range is a convenience: the subnet may be taken by now, or the engine refuse it.
            answer = self._create_network(self.network)
        if answer.rc != 0 and not self._network_exists():
            answer.check(f"creating the network {self.network}")

    def _range(self) -> list[str]:
        """Return the words that keep containers in the lower half of a subnet which the engine chooses.

        It chooses one for a network only, and wants to know it for a range. So it is asked by a network of another
        name: ours may be in use from the moment that it is there.
        """
        name = f"{self.network}-{os.getpid()}"
        if self._create_network(name).rc != 0:
            return []
        try:
            answer = self.process.run([self.engine, "network", "inspect", name], timeout=_CALL_S)
        finally:
            self.process.run([self.engine, "network", "rm", name], timeout=_CALL_S)
        told = read_networks(answer.stdout) if answer.rc == 0 else []
        subnets = [str(network.subnet) for network in told if network.upper_half]
        return ["--subnet", subnets[0], "--ip-range", lower_half(subnets[0])] if subnets else []

    def _create_network(self, name: str, *words: str) -> Completed:
        return self.process.run([self.engine, "network", "create", *words, name], timeout=_CALL_S)

    def _engine(self, *words: str) -> Completed:
        return self.process.run([self.engine, *words], timeout=_CALL_S).check(f"{self.engine} {words[0]}")


def _node_of(request: dict[str, Any]) -> str:
    """Return the name of the node whose kubelet made a certificate request."""
    return str(request["spec"]["username"]).removeprefix("system:node:")


def _is_ready(node: dict[str, Any]) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in node["status"].get("conditions", []))


def kubeconfig_is_current(path: Path, found: Found) -> bool:
    """Whether the file is private and names the port on which the API server is published now."""
    try:
        mode, text = stat.S_IMODE(path.stat().st_mode), path.read_text()
    except OSError:
        return False
    ports = [node.api_port for node in found.nodes if node.api_port]
    return mode == 0o600 and bool(ports) and f":{ports[0]}\n" in text


def _is_young(nodes: list[dict[str, Any]]) -> bool:
    """Whether a node is younger than the time for which finished requests are kept (an hour)."""
    now = time.time()
    made = [
        time.mktime(time.strptime(node["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        for node in nodes
    ]
    return any(now - moment < 1800 for moment in made)


def _is_serving(item: dict[str, Any]) -> bool:
    """Whether it is a kubelet's request for the certificate that it serves with."""
    return item["kind"] == "CertificateSigningRequest" and item["spec"]["signerName"] == _SERVING_SIGNER


def _request(item: dict[str, Any]) -> CertificateRequest:
    """Read a CertificateSigningRequest. What it asks for is base64 of PEM."""
    spec = item["spec"]
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (binascii.Error, ValueError, x509.ExtensionNotFound) as error:
        raise ProcessError(f"A kubelet's certificate request cannot be read: {error}.") from error
    subject = request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return CertificateRequest(
        name=item["metadata"]["name"],
        username=str(spec["username"]),
        subject=str(subject[0].value) if len(subject) == 1 else "",
        claims=frozenset(str(name.value) for name in names),
    )

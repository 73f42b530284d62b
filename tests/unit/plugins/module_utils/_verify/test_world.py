# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several trust domains and clusters: each identity meets its own server, each command its own cluster."""

from __future__ import annotations

import base64
import datetime
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed, LocalProcess, PodProcess
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import certificates, tokens
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.foreign import Authority, foreign_identity
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.reading import read_checks, read_mesh
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.rejoin import Rejoin
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import (
    Cluster,
    MachineProcess,
    RootSource,
    World,
)
from certificates import Identity, issue
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

EAST, WEST = "spiffe://east.td/a", "spiffe://west.td/b"


class Server:
    """A server with a CA of its own, which signed one identity."""

    def __init__(self, spiffe_id: str) -> None:
        self.identity = foreign_identity(spiffe_id)
        leaf, authority = self.identity.chain_pem.split("-----END CERTIFICATE-----\n")[:2]
        self.leaf, self.root = (f"{pem}-----END CERTIFICATE-----\n" for pem in (leaf, authority))
        self.minted: list[str] = []
        self.joined: list[Any] = []

    def bundle_pem(self) -> str:
        return self.root

    def whole_bundle_pem(self) -> str:
        return self.root

    def mint(self, spiffe_id: str, _ttl: int) -> Any:
        self.minted.append(spiffe_id)
        return self.identity

    def agents(self) -> Sequence[Any]:
        return self.joined


@dataclass
class Says:
    """A process that prints the same to everybody, and remembers what it was asked."""

    text: str
    asked: list[Sequence[str]] = field(default_factory=list)

    def run(self, argv: Sequence[str], _stdin: str | None = None, _timeout: float | None = None) -> Completed:
        self.asked.append(argv)
        return Completed(tuple(argv), 0, self.text, "")


PLACES = [
    {"name": "a", "spiffe_id": EAST, "address": "a:1", "cluster": "east", "pod": "deploy/a", "url": "http://a/"},
    {"name": "b", "spiffe_id": WEST, "address": "b:1", "cluster": "west", "pod": "deploy/b", "url": "http://b/"},
    {"name": "spire_west", "address": "spire.west:8081", "server": "west"},
]
CLUSTERS = {"east": Cluster("kubectl", "/e", None), "west": Cluster("/bin/kubectl", None, "w")}


@pytest.fixture
def world() -> World:
    mesh = read_mesh(PLACES, {"east": "east.td", "west": "west.td"}, list(CLUSTERS))
    return World(mesh=mesh, servers={"east": Server(EAST), "west": Server(WEST)}, clusters=CLUSTERS)


def check(world: World, **fields: Any) -> Check:
    return read_checks([{"name": "x", **fields}], world.mesh)[0]


def test_each_identity_is_judged_by_the_bundle_of_its_own_trust_domain(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    presented = {name: world.servers[name].leaf for name in ("east", "west")}  # type: ignore[attr-defined]

    def judged(to: str, certificate: str) -> Any:
        seen = {"chain": [certificate], "tls_version": "TLSv1.3", "kind": "http", "words": ""}
        monkeypatch.setattr(certificates, "handshake", lambda *_arguments: seen)
        return certificates.peer_certificate(world, check(world, type="peer_certificate", to=to), {}, 1)

    assert judged("a", presented["east"]).ok
    assert judged("b", presented["west"]).ok
    forged = foreign_identity(WEST).chain_pem
    assert "trust bundle" in judged("b", forged).observed
    assert "expected spiffe://east.td/a" in judged("a", presented["west"]).observed


def test_an_identity_is_minted_by_the_server_of_its_own_trust_domain(world: World) -> None:
    for spiffe_id in (WEST, EAST, "spiffe://west.td/c", WEST):
        world.svid(spiffe_id)
    assert world.servers["east"].minted == [EAST]  # type: ignore[attr-defined]
    assert world.servers["west"].minted == [WEST, "spiffe://west.td/c"], "once for all checks"  # type: ignore[attr-defined]


def test_the_roots_of_all_istiods_are_compared_with(world: World) -> None:
    roots = {name: Server(f"spiffe://{name}.istio/ca").root for name in ("east", "west")}
    world.istio_roots = [RootSource(name, ("kubectl", name), process=Says(root)) for name, root in roots.items()]
    assert world.foreign_roots() == [chain.load_pem(root)[0] for root in roots.values()]


def test_a_root_is_read_in_its_cluster() -> None:
    source = RootSource.of("west", CLUSTERS["west"], "istio-system", "istio-ca-root-cert")
    assert source.kubectl == ("/bin/kubectl", "--context", "w", "--namespace", "istio-system")


def test_a_command_runs_in_the_cluster_of_its_endpoint(world: World) -> None:
    east, west = world.process("a"), world.process("b", "istio-proxy")
    little = LocalProcess(limit=8 * 1024 * 1024)
    assert east == PodProcess("deploy/a", "default", None, "kubectl", "/e", None, little)
    assert west == PodProcess("deploy/b", "default", "istio-proxy", "/bin/kubectl", None, "w", little)
    assert world.process("here") == world.process("spire_west") == little, "what answers may print without an end"


@pytest.mark.parametrize(
    ("command", "ran"),
    [
        (["podman", "exec", "vm"], ["podman", "exec", "vm", "curl", "--header", "a: b c"]),
        # Behind ssh is a shell.
        (["/usr/bin/ssh", "root@vm"], ["/usr/bin/ssh", "root@vm", "curl", "--header", "'a: b c'"]),
    ],
)
def test_a_command_runs_on_the_machine_of_its_endpoint(command: list[str], ran: list[str]) -> None:
    class Local:
        def run(self, argv: Any, stdin: str | None = None, timeout: float | None = None) -> Completed:
            assert (stdin, timeout) == (None, 3)
            return Completed(tuple(argv), 0, "", "")

    process = World(read_mesh([{"name": "vm", "command": command}], {}, []), {}).process("vm")
    assert isinstance(process, MachineProcess)
    done = replace(process, local=Local()).run(["curl", "--header", "a: b c"], None, 3)
    assert list(done.argv) == ran


def test_a_used_token_goes_to_the_server_that_the_endpoint_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = SimpleNamespace(spiffe_id="spiffe://west.td/spire/agent/join_token/t", is_alive=lambda _now: True)
    world.servers["west"].joined = [agent]  # type: ignore[attr-defined]
    given: dict[str, Any] = {}

    def rejoin(_binary: str, **words: Any) -> Rejoin:
        given.update(words)
        return Rejoin(False, True, "the agent joined with it")

    monkeypatch.setattr(tokens, "rejoin", rejoin)
    attempt = tokens.token_reuse(world, check(world, type="token_reuse", to="spire_west"), {}, 1)
    assert (attempt.ok, attempt.breach) == (False, True)
    assert (given["host"], given["port"], given["trust_domain"], given["token"]) == ("spire.west", 8081, "west.td", "t")
    assert given["bundle_pem"] == world.servers["west"].root  # type: ignore[attr-defined]


def test_the_addresses_of_all_running_pods_of_a_workload() -> None:
    def pod(address: str, **more: Any) -> dict[str, Any]:
        metadata = {"name": address, **more.pop("metadata", {})}
        return {"kind": "Pod", "metadata": metadata, "status": {"phase": "Running", "podIP": address, **more}}

    asked: list[list[str]] = []
    workload = {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"app": "a"}}}}
    answers = {
        "deploy/a": workload,
        "pod/b": pod("192.0.2.9"),
        "pods": {
            "kind": "List",
            "items": [
                pod("192.0.2.1"),
                pod("192.0.2.2"),
                pod("192.0.2.3", phase="Failed"),
                pod("192.0.2.4", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
                pod("", phase="Running"),
            ],
        },
    }

    class Kubectl:
        def run(self, argv: Any, _stdin: Any = None, _timeout: Any = None) -> Completed:
            asked.append(list(argv))
            return Completed(tuple(argv), 0, json.dumps(answers[argv[argv.index("get") + 1]]), "")

    cluster = Cluster("k", None, "east", Kubectl())
    assert cluster.addresses("deploy/a", "shop") == ["192.0.2.1", "192.0.2.2"]
    assert cluster.addresses("b", "shop") == ["192.0.2.9"]
    assert all(argv[:3] == ["k", "--context", "east"] and "shop" in argv for argv in asked[:1])


def secret(name: str, identity: Any) -> dict[str, Any]:
    parts = {"ca-cert.pem": identity[0], "ca-key.pem": identity[1]}
    return {
        "kind": "Secret",
        "metadata": {"name": name},
        "data": {key: base64.b64encode(text).decode() for key, text in parts.items()},
    }


def authority(name: str) -> tuple[bytes, bytes]:
    now = datetime.datetime.now(datetime.timezone.utc)
    made = Authority.make(name, now, now + datetime.timedelta(hours=1))
    key = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.certificate.public_bytes(Encoding.PEM), key


def test_what_istiod_would_sign_is_signed_by_its_own_ca(world: World) -> None:
    own, plugged = authority("own"), authority("plugged")
    for secrets, signer in (
        ([secret("istio-ca-secret", own)], own),
        # Istio takes the CA of the user, where there is one.
        ([secret("cacerts", plugged), secret("istio-ca-secret", own)], plugged),
    ):
        answer = json.dumps({"kind": "List", "items": secrets})
        world.istio_roots = [RootSource("east", ("kubectl",), process=Says(answer))]
        world._kept.clear()
        identity = world.istiod_identity(EAST)
        assert identity.signer == "the CA of istiod in east"  # type: ignore[attr-defined]
        leaf, root = chain.load_pem(identity.chain_pem)
        assert root == chain.load_pem(signer[0].decode())[0]
        leaf.verify_directly_issued_by(root)
        assert chain.spiffe_ids(leaf) == [EAST]
        assert signer[1].decode() not in f"{identity!r}{world!r}"


@pytest.mark.parametrize("sources", [[], [RootSource("east", ("kubectl",), process=Says(""))]])
def test_where_no_istiod_has_a_ca_one_of_its_name_is_made(world: World, sources: list[RootSource]) -> None:
    world.istio_roots = sources
    identity = world.istiod_identity(EAST)
    leaf, root = chain.load_pem(identity.chain_pem)
    leaf.verify_directly_issued_by(root)
    assert chain.spiffe_ids(leaf) == [EAST]
    assert root.subject.rfc4514_string() == root.issuer.rfc4514_string() == "O=east.td", "as istiod names its own"
    assert chain.sha256(root) != chain.sha256(chain.load_pem(world.istiod_identity(WEST).chain_pem)[1])


@pytest.mark.parametrize("data", [{}, {"ca-key.pem": "AAAA", "ca-cert.pem": "AAAA"}, {"ca-key.pem": "?"}])
def test_a_secret_of_istiod_that_cannot_be_read(data: dict[str, str]) -> None:
    answer = json.dumps({"kind": "Secret", "metadata": {"name": "cacerts"}, "data": data})
    source = RootSource("east", ("kubectl",), process=Says(answer))
    if not data:
        assert source.authority() is None
        return
    with pytest.raises(TrustmeshError, match="holds no certificate and key that can be read"):
        source.authority()


def test_an_identity_that_is_to_be_too_old_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    first = world.expired_svid(EAST)
    assert world.expired_svid(EAST) is first
    end = chain.load_pem(first.chain_pem)[0].not_valid_after_utc.timestamp()
    assert waited[0] == pytest.approx(end - time.time() + 0.5, abs=1)


@dataclass
class Istiod:
    """kubectl in a cluster whose istiod has made its CA by itself, as SPIRE's server has it above its own."""

    ca: Identity

    def run(self, argv: Sequence[str], _stdin: str | None = None, _timeout: float | None = None) -> Completed:
        text = self.ca.pem if "configmap" in argv else ""
        if "istio-ca-secret" in argv and argv[-1].endswith(r"ca-cert\.pem}"):
            text = base64.b64encode(self.ca.pem.encode()).decode()
        return Completed(tuple(argv), 0, text, "")


def test_under_one_root_each_is_certified_by_whom_the_check_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    istiod = issue(ca=True, name="istiod")
    spire = issue("spiffe://east.td", ca=True, name="SPIRE", by=istiod)
    world.servers["east"].root = istiod.pem  # type: ignore[attr-defined]
    world.istio_roots = [RootSource("east", ("kubectl",), process=Istiod(istiod))]
    shown = {"spire": issue(EAST, by=spire).pem + spire.pem, "istiod": issue(EAST, by=istiod).pem}

    def observed(presented: str, by: str) -> str:
        seen = {"chain": [shown[presented]], "tls_version": "TLSv1.3", "kind": "http", "words": ""}
        monkeypatch.setattr(certificates, "handshake", lambda *_arguments: seen)
        wanted = check(world, type="peer_certificate", to="a", certified_by=by)
        attempt = certificates.peer_certificate(world, wanted, {}, 1)
        return f"{attempt.ok} {attempt.observed}"

    assert observed("spire", "spire").startswith(f"True {EAST}, by SPIRE,")
    assert observed("istiod", "istiod").startswith(f"True {EAST}, by istiod,")
    assert observed("istiod", "either").startswith(f"True {EAST}, by SPIRE or istiod,")
    assert observed("istiod", "spire") == "False it was signed by istiod"
    assert observed("spire", "istiod") == "False it was not signed by istiod itself, its issuer is CN=SPIRE"

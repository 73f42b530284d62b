# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether istiod issues certificates, asked of real gRPC servers by the real curl."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

import grpc
import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed, LocalProcess
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.issuance import SERVICE, no_certificate_service
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.reading import read_checks, read_mesh
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import Cluster, World
from certificates import Identity, issue
from peers import free_port, saying_no
from tls_servers import Serve, answer

ID = "spiffe://example.org/ns/istio-system/sa/istiod"
ROOT = issue("spiffe://example.org", ca=True, name="root")
ISTIOD = issue(ID, hosts=["127.0.0.1"], by=ROOT)
UNKNOWN = f"unknown service {SERVICE}"

Answer = Callable[[grpc.StatusCode, str], int]


@pytest.fixture
def grpc_server() -> Iterator[Callable[..., int]]:
    """Start a gRPC server that ends every call as it is told, and return its port."""
    servers: list[grpc.Server] = []

    def start(code: grpc.StatusCode, words: str, identity: Identity = ISTIOD) -> int:
        def end(_request: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort(code, words)
            return b""

        class Everything(grpc.GenericRpcHandler):
            def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
                return grpc.stream_unary_rpc_method_handler(end)

        server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Everything()])
        credentials = grpc.ssl_server_credentials([(identity.key_pem.encode(), identity.pem.encode())])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        servers.append(server)
        return port

    yield start
    for server in servers:
        server.stop(0)


class Server:
    def bundle_pem(self) -> str:
        return ROOT.pem


class Kubectl:
    """Runs here what is to run in a pod, and knows a Secret or none."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.asked: list[Sequence[str]] = []

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        self.asked.append(argv)
        if "--" in argv:
            return LocalProcess().run(argv[argv.index("--") + 1 :], stdin, timeout)
        return Completed(tuple(argv), 0, self.secret, "")


def tried(port: int, secret: str = "", kubectl: Kubectl | None = None) -> Attempt:
    pod = {"cluster": "one", "pod": "deploy/a", "namespace": "istio-system"}
    places = [
        {"name": "istiod", "address": f"127.0.0.1:{port}", "spiffe_id": ID, **pod},
        {"name": "sleep", **pod},
    ]
    mesh = read_mesh(places, {"one": "example.org"}, ["one"])
    (check,) = read_checks([{"name": "x", "type": "no_certificate_service", "from": "sleep", "to": "istiod"}], mesh)
    clusters = {"one": Cluster("kubectl", None, None, kubectl or Kubectl(secret))}
    world = World(mesh=mesh, servers={"one": Server()}, clusters=clusters)  # type: ignore[dict-item]
    return no_certificate_service(world, check, {}, 1)


def test_an_istiod_that_has_no_such_service_and_no_ca(grpc_server: Callable[..., int]) -> None:
    kubectl = Kubectl("")
    attempt = tried(grpc_server(grpc.StatusCode.UNIMPLEMENTED, UNKNOWN), kubectl=kubectl)
    assert attempt.ok, attempt.observed
    assert attempt.observed == f"refused: {UNKNOWN} (grpc-status 12), and there is no Secret istio-ca-secret"
    assert (attempt.details["refused_by"], attempt.details["grpc_status"]) == (ID, 12)
    (secret,) = (argv for argv in kubectl.asked if "--" not in argv)
    assert list(secret[-2:]) == ["--output", "name"], "no key is read"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "request authenticate failure"),
        (grpc.StatusCode.UNIMPLEMENTED, "unknown method CreateCertificate for service " + SERVICE),
        (grpc.StatusCode.UNAVAILABLE, UNKNOWN),
        (grpc.StatusCode.UNIMPLEMENTED, f"not an {UNKNOWN}"),
    ],
)
def test_an_istiod_that_may_issue(grpc_server: Callable[..., int], code: grpc.StatusCode, words: str) -> None:
    attempt = tried(grpc_server(code, words))
    assert (attempt.ok, attempt.hint) == (False, hints.CA_SERVER)
    assert attempt.observed.startswith(f"it may issue certificates: grpc-status {code.value[0]}: ")


def test_a_ca_that_was_left(grpc_server: Callable[..., int]) -> None:
    attempt = tried(grpc_server(grpc.StatusCode.UNIMPLEMENTED, UNKNOWN), "secret/istio-ca-secret\n")
    assert (attempt.ok, attempt.hint) == (False, hints.CA_SERVER)
    assert "there is a CA in the Secret istio-ca-secret of istio-system" in attempt.observed


def test_what_somebody_else_says_counts_for_nothing(grpc_server: Callable[..., int]) -> None:
    said = (grpc.StatusCode.UNIMPLEMENTED, UNKNOWN)
    other = tried(grpc_server(*said, issue("spiffe://example.org/other", hosts=["127.0.0.1"], by=ROOT)))
    assert (other.ok, other.early) == (False, True)
    assert "answered by the wrong server: it is spiffe://example.org/other" in other.observed
    foreign = tried(grpc_server(*said, issue(ID, hosts=["127.0.0.1"], by=issue(ca=True, name="another root"))))
    assert "istiod was not heard: curl does not believe the server's certificate" in foreign.observed
    nameless = tried(grpc_server(*said, issue(ID, hosts=["127.0.0.2"], by=ROOT)))
    assert "istiod was not heard: " in nameless.observed
    assert not nameless.ok
    assert not foreign.ok


def test_one_who_is_not_there_or_speaks_no_grpc(serve: Serve) -> None:
    assert "nothing listens there" in tried(free_port()).observed
    with saying_no(116) as port:
        assert not tried(port).ok
    page = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    attempt: Any = tried(serve(ISTIOD, page))
    assert (attempt.ok, attempt.observed) == (False, "it may issue certificates: HTTP 200")
    body = f"grpc-status: 12\r\ngrpc-message: {UNKNOWN}\r\n".encode()
    page = answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert not tried(serve(ISTIOD, page)).ok, "what is in a body is no end of a call"

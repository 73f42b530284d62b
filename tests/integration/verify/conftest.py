# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real SPIRE server and agent, real Envoys that take their identities from it, and a quote service. No Kubernetes.

``pods`` are local processes: a small script stands for kubectl and runs here what it was asked to run in a pod.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peers import free_port

from ..conftest import TRUST_DOMAIN, Server, binary, running_server, wait_until

BLUE = f"spiffe://{TRUST_DOMAIN}/ns/default/sa/gateway"
GREEN = f"spiffe://{TRUST_DOMAIN}/green/envoy"
GREEN_NAME = "green.example.org"
WEST_DOMAIN = "west.example"
WEST = f"spiffe://{WEST_DOMAIN}/workload"

_KUBECTL = """#!/bin/sh
echo "$*" >> "$0.log"
case "$*" in
*" -- "*) ;;
*"get deploy/sleep "*) cat "$0.deployment"; exit 0 ;;
*"get pods "*) cat "$0.pods"; exit 0 ;;
*) echo "Error: there is no cluster" >&2; exit 1 ;;
esac
while [ "$1" != -- ]; do shift; done
shift
"$@"
code=$?
[ $code = 0 ] || echo "command terminated with exit code $code" >&2
exit $code
"""
_PILOT_AGENT = """#!/bin/sh
# Like pilot-agent: request METHOD PATH, to the admin interface of the Envoy beside it.
exec curl --silent --fail "http://127.0.0.1:{admin}/$3"
"""


@dataclass(frozen=True)
class Site:
    """What was started, and where it listens."""

    folder: Path
    server_socket: str
    server_address: str
    agent_binary: str
    server_binary: str
    kubectl: str
    quote_port: int
    blue_url: str
    strict: str
    rbac_only: str
    open: str
    nobody: str
    spire: Callable[..., str]


def answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


class Quote(http.server.BaseHTTPRequestHandler):
    """The quote service, as the scenarios run it."""

    def do_GET(self) -> None:
        body = json.dumps(
            {
                "quote": "Never trust, always verify.",
                "host": os.uname().nodename,
                "forwarded_client_cert": self.headers.get("x-forwarded-client-cert"),
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


def _stand_ins(folder: Path, admin: int) -> tuple[Path, Path]:
    """Write what stands for kubectl and a cluster with one workload, and for pilot-agent."""
    kubectl = folder / "kubectl"
    kubectl.write_text(_KUBECTL)
    meta = {"name": "sleep", "namespace": "default"}
    workload = {"kind": "Deployment", "metadata": meta, "spec": {"selector": {"matchLabels": {"app": "sleep"}}}}
    pods = [
        {"kind": "Pod", "metadata": meta, "status": {"phase": phase, "podIP": address}}
        for phase, address in (("Running", "127.0.0.1"), ("Failed", "192.0.2.1"))
    ]
    (folder / "kubectl.deployment").write_text(json.dumps(workload))
    (folder / "kubectl.pods").write_text(json.dumps({"kind": "List", "items": pods}))
    pilot = folder / "bin" / "pilot-agent"
    pilot.parent.mkdir()
    pilot.write_text(_PILOT_AGENT.format(admin=admin))
    for script in (kubectl, pilot):
        script.chmod(0o755)
    return kubectl, pilot


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    server, agent, envoy = binary("spire-server"), binary("spire-agent"), binary("envoy")
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *argv: str) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            started.append(subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL))

    server_socket, agent_socket = str(folder / "api.sock"), str(folder / "agent.sock")

    def spire(*argv: str) -> str:
        done = subprocess.run(
            [server, *argv, "-socketPath", server_socket], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    quote = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quote)
    threading.Thread(target=quote.serve_forever, daemon=True).start()
    try:
        server_port = free_port()
        (folder / "server.conf").write_text(_server_conf(folder, server_port))
        start("server", server, "run", "-config", str(folder / "server.conf"))
        healthy = [server, "healthcheck", "-socketPath", server_socket]
        wait_until(
            "spire-server starts", lambda: subprocess.run(healthy, capture_output=True, check=False).returncode == 0, 30
        )

        token = json.loads(spire("token", "generate", "-ttl", "600", "-output", "json"))["value"]
        (folder / "bundle.pem").write_text(spire("bundle", "show"))
        (folder / "token").write_text(token)
        (folder / "agent.conf").write_text(_agent_conf(folder, server_port))
        for spiffe_id in (BLUE, GREEN):
            parent = f"spiffe://{TRUST_DOMAIN}/spire/agent/join_token/{token}"
            selector = f"unix:uid:{os.getuid()}"
            names = ("-dns", GREEN_NAME) if spiffe_id == GREEN else ()
            spire("entry", "create", "-spiffeID", spiffe_id, "-parentID", parent, "-selector", selector, *names)
        start("agent", agent, "run", "-config", str(folder / "agent.conf"))
        wait_until("spire-agent starts", Path(agent_socket).exists, 30)

        ports = {name: free_port() for name in ("admin", "blue", "strict", "rbac_only", "open", "nobody")}
        config = _envoy_conf(agent_socket, quote.server_address[1], ports)
        (folder / "envoy.json").write_text(json.dumps(config))
        start(
            "envoy",
            envoy,
            "-c",
            str(folder / "envoy.json"),
            "--use-dynamic-base-id",
            "--concurrency",
            "1",
            "-l",
            "error",
        )
        for name in ("blue", "strict"):
            wait_until(f"Envoy's listener {name} answers", lambda port=ports[name]: answers(port), 30)

        kubectl, pilot = _stand_ins(folder, ports["admin"])
        os.environ["PATH"] = f"{pilot.parent}:{os.environ['PATH']}"
        yield Site(
            folder,
            server_socket,
            f"127.0.0.1:{server_port}",
            agent,
            server,
            str(kubectl),
            quote.server_address[1],
            f"http://127.0.0.1:{ports['blue']}/",
            f"127.0.0.1:{ports['strict']}",
            f"127.0.0.1:{ports['rbac_only']}",
            f"127.0.0.1:{ports['open']}",
            f"127.0.0.1:{ports['nobody']}",
            spire,
        )
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
        for process in reversed(started):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        quote.shutdown()


@dataclass(frozen=True)
class West:
    """A SPIRE server of another trust domain, and a workload of it."""

    server: Server
    address: str


@pytest.fixture(scope="session")
def west(site: Site) -> Iterator[West]:
    """West's workload lets in whoever the first trust domain certified, and looks no closer than at that."""
    with running_server(trust_domain=WEST_DOMAIN) as server:
        mint = [binary("spire-server"), "x509", "mint", "-spiffeID", WEST, "-write", str(server.folder)]
        subprocess.run([*mint, "-socketPath", server.socket_path], check=True, capture_output=True, timeout=30)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.folder / "svid.pem", server.folder / "key.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=site.spire("bundle", "show"))
        service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quote)
        service.socket = context.wrap_socket(service.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=service.serve_forever, daemon=True).start()
        try:
            yield West(server, f"127.0.0.1:{service.server_address[1]}")
        finally:
            service.shutdown()


def _server_conf(folder: Path, port: int) -> str:
    return f"""server {{
    bind_address = "127.0.0.1"
    bind_port = "{port}"
    trust_domain = "{TRUST_DOMAIN}"
    data_dir = "{folder}/data"
    socket_path = "{folder}/api.sock"
}}
plugins {{
    DataStore "sql" {{
        plugin_data {{
            database_type = "sqlite3"
            connection_string = "{folder}/datastore.sqlite3"
        }}
    }}
    KeyManager "memory" {{ plugin_data {{}} }}
    NodeAttestor "join_token" {{ plugin_data {{}} }}
}}
"""


def _agent_conf(folder: Path, port: int) -> str:
    return f"""agent {{
    data_dir = "{folder}/agent"
    server_address = "127.0.0.1"
    server_port = {port}
    trust_domain = "{TRUST_DOMAIN}"
    trust_bundle_path = "{folder}/bundle.pem"
    join_token_file = "{folder}/token"
    socket_path = "{folder}/agent.sock"
}}
plugins {{
    NodeAttestor "join_token" {{ plugin_data {{}} }}
    KeyManager "memory" {{ plugin_data {{}} }}
    WorkloadAttestor "unix" {{ plugin_data {{}} }}
}}
"""


_TYPES = "type.googleapis.com/envoy.extensions."


def _sds(name: str) -> dict[str, Any]:
    service = {"envoy_grpc": {"cluster_name": "spire_agent"}}
    source = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [service]}
    return {"name": name, "sds_config": {"resource_api_version": "V3", "api_config_source": source}}


def _tls(kind: str, own: str, peers: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    common: dict[str, Any] = {"tls_certificate_sds_secret_configs": [_sds(own)]}
    if peers is not None:
        common["combined_validation_context"] = {
            "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": peers}]},
            "validation_context_sds_secret_config": _sds(f"spiffe://{TRUST_DOMAIN}"),
        }
    typed = {"@type": f"{_TYPES}transport_sockets.tls.v3.{kind}", "common_tls_context": common, **more}
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed}


def _listener(port: int, cluster: str, transport: dict[str, Any] | None, admit: str | None = None) -> dict[str, Any]:
    filters: list[dict[str, Any]] = []
    if admit:
        principal = {"authenticated": {"principal_name": {"exact": admit}}}
        rules = {
            "action": "ALLOW",
            "policies": {"blue": {"permissions": [{"any": True}], "principals": [principal]}},
        }
        typed = {"@type": f"{_TYPES}filters.http.rbac.v3.RBAC", "rules": rules}
        filters.append({"name": "envoy.filters.http.rbac", "typed_config": typed})
    router = {"@type": f"{_TYPES}filters.http.router.v3.Router"}
    filters.append({"name": "envoy.filters.http.router", "typed_config": router})
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster}}
    manager = {
        "@type": f"{_TYPES}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": cluster,
        "forward_client_cert_details": "APPEND_FORWARD",
        "set_current_client_cert_details": {"uri": True, "subject": True, "cert": True, "chain": True},
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    }
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    }
    if transport:
        chain["transport_socket"] = transport
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": f"in-{port}", "address": address, "filter_chains": [chain]}


def _cluster(name: str, address: dict[str, Any], **more: Any) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        **more,
    }


def _envoy_conf(agent_socket: str, quote_port: int, ports: dict[str, int]) -> dict[str, Any]:
    here = "127.0.0.1"
    exact_blue = {"exact": BLUE}
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{_TYPES}upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    down = "DownstreamTlsContext"
    anyone = {"prefix": f"spiffe://{TRUST_DOMAIN}/"}
    return {
        "node": {"id": "site", "cluster": "site"},
        "admin": {"address": {"socket_address": {"address": here, "port_value": ports["admin"]}}},
        "static_resources": {
            "listeners": [
                _listener(ports["blue"], "green", None),
                _listener(
                    ports["strict"], "quote", _tls(down, GREEN, exact_blue, require_client_certificate=True), BLUE
                ),
                _listener(
                    ports["rbac_only"], "quote", _tls(down, GREEN, anyone, require_client_certificate=True), BLUE
                ),
                # What a careless operator writes: TLS, but nobody is asked who they are.
                _listener(ports["open"], "quote", _tls(down, GREEN, None)),
            ],
            "clusters": [
                _cluster("spire_agent", {"pipe": {"path": agent_socket}}, typed_extension_protocol_options=http2),
                _cluster("quote", {"socket_address": {"address": here, "port_value": quote_port}}),
                _cluster(
                    "green",
                    {"socket_address": {"address": here, "port_value": ports["strict"]}},
                    transport_socket=_tls("UpstreamTlsContext", BLUE, {"exact": GREEN}),
                ),
            ],
        },
    }

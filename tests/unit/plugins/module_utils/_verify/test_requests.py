# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests by a pod's own certificate files, to real TLS servers by the real curl."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.reading import read_checks, read_mesh
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.requests import refused_request, request
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import World
from certificates import Identity, issue
from peers import saying_no
from tls_servers import Serve, answer

ID, CALLER = "spiffe://example.org/ns/edge/sa/gateway", "spiffe://example.org/ns/default/sa/sleep"
NAME = "app.example.org"
ROOT = issue("spiffe://example.org", ca=True, name="root")
INTERMEDIATE = issue("spiffe://example.org", by=ROOT, ca=True, name="intermediate")
GATEWAY = issue(ID, hosts=[NAME], by=INTERMEDIATE)
STRANGER = issue(CALLER, by=issue("spiffe://example.org", ca=True, name="another root"))
CHAIN = INTERMEDIATE.pem + ROOT.pem
OK = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
DENIED = answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 19\r\n\r\nRBAC: access denied")


class Server:
    """A SPIRE server that shows the root."""

    def bundle_pem(self) -> str:
        return ROOT.pem


def files(folder: Path, identity: Identity | None = None, authorities: str = ROOT.pem) -> dict[str, str]:
    """A folder as svid_files fills it."""
    identity = identity or issue(CALLER, by=INTERMEDIATE)
    for name, text in (
        ("svid.pem", identity.pem + INTERMEDIATE.pem),
        ("svid.key", identity.key_pem),
        ("bundle.pem", authorities),
    ):
        (folder / name).write_text(text)
    return {"folder": str(folder)}


def tried(make: Callable[..., Attempt], port: int, certificate: dict[str, str], **fields: Any) -> Attempt:
    """Make one attempt, from here, at a gateway whose name no DNS knows."""
    place = {"name": "gateway", "spiffe_id": ID, "url": f"https://{NAME}:8000/", "server": "one"}
    mesh = read_mesh([place], {"one": "example.org"}, [])
    asked = {
        "name": "in",
        "type": "request",
        "to": "gateway",
        "certificate": certificate,
        "address": f"127.0.0.1:{port}",
    }
    checks = [asked]
    if make is refused_request:
        checks.append({**asked, "name": "out", "type": "refused_request", "control": "in", **fields})
    else:
        checks = [{**asked, **fields}]
    return make(World(mesh=mesh, servers={"one": Server()}), read_checks(checks, mesh)[-1], {}, 1)  # type: ignore[dict-item]


def test_the_certificate_of_files_is_shown_and_the_server_is_verified(serve: Serve, tmp_path: Path) -> None:
    seen: list[Any] = []

    def handle(connection: ssl.SSLSocket) -> None:
        seen.append(connection.getpeercert())
        OK(connection)

    attempt = tried(request, serve(GATEWAY, handle, chain=CHAIN, clients=ROOT.pem), files(tmp_path), contains="hello")
    assert (attempt.ok, attempt.observed) == (True, f"HTTP 200, from {ID}")
    assert attempt.details["server_spiffe_id"] == ID
    assert attempt.saved == "hello"
    assert ("URI", CALLER) in seen[0]["subjectAltName"]


def test_an_answer_of_somebody_else_is_none(serve: Serve, tmp_path: Path) -> None:
    other = issue("spiffe://example.org/other", hosts=[NAME], by=INTERMEDIATE)
    attempt = tried(request, serve(other, OK, chain=CHAIN), files(tmp_path))
    assert not attempt.ok
    assert attempt.observed.startswith("answered by the wrong server: it is spiffe://example.org/other, expected")


def test_what_a_server_says_of_itself_in_its_answer_counts_for_nothing(serve: Serve, tmp_path: Path) -> None:
    other = issue("spiffe://example.org/other", hosts=[NAME], by=INTERMEDIATE)
    said = f"{'0' * 32}\n{GATEWAY.pem}{CHAIN}\n1 200\n{GATEWAY.pem}".encode()
    page = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said)
    attempt = tried(request, serve(other, answer(page), chain=CHAIN), files(tmp_path))
    assert (attempt.ok, attempt.details["server_spiffe_id"]) == (False, "spiffe://example.org/other")
    attempt = tried(request, serve(GATEWAY, answer(page), chain=CHAIN), files(tmp_path))
    assert (attempt.ok, attempt.saved) == (True, said.decode()), "and its answer is what it sent"


def test_a_server_of_another_ca_is_not_believed(serve: Serve, tmp_path: Path) -> None:
    foreign = issue(ID, hosts=[NAME], by=issue(ca=True, name="another root"))
    port = serve(foreign, OK)
    attempt = tried(request, port, files(tmp_path))
    assert (attempt.ok, attempt.hint) == (False, hints.UNTRUSTED)
    assert attempt.observed.startswith("curl does not believe the server's certificate: ")
    refused = tried(refused_request, port, files(tmp_path), refusal=["tls_alert", "reset", "http_403", "name_mismatch"])
    assert not refused.ok, "a client that does not believe the server is refused by nobody"


def test_files_that_are_not_there_are_no_answer(serve: Serve, tmp_path: Path) -> None:
    port = serve(GATEWAY, OK, chain=CHAIN)
    with pytest.raises(ProcessError, match="could not be made: curl: "):
        tried(request, port, {"folder": str(tmp_path / "nothing")})
    given = files(tmp_path)["folder"]
    paths = {"certificate": f"{given}/svid.pem", "key": f"{given}/bundle.pem", "authorities": f"{given}/bundle.pem"}
    with pytest.raises(ProcessError, match="could not be made: curl: "):
        tried(request, port, paths)


def test_a_refusal_by_tls_is_told_by_its_alert(serve: Serve, tmp_path: Path) -> None:
    port = serve(GATEWAY, OK, chain=CHAIN, clients=ROOT.pem)
    attempt = tried(refused_request, port, files(tmp_path, STRANGER), refusal=["tls_alert"])
    assert attempt.ok, attempt.observed
    assert attempt.observed.startswith("refused: TLS alert ")
    assert attempt.details["server_spiffe_id"] == ID


def test_a_refusal_by_policy(serve: Serve, tmp_path: Path) -> None:
    refused = {"refusal": ["http_403"], "contains": "RBAC: access denied"}
    attempt = tried(refused_request, serve(GATEWAY, DENIED, chain=CHAIN), files(tmp_path), **refused)
    assert (attempt.ok, attempt.details["http_status"]) == (True, 403)
    other = issue("spiffe://example.org/other", hosts=[NAME], by=INTERMEDIATE)
    attempt = tried(refused_request, serve(other, DENIED, chain=CHAIN), files(tmp_path), **refused)
    assert (attempt.ok, attempt.early) == (False, True)
    assert attempt.observed.startswith("refused by the wrong server: ")
    attempt = tried(refused_request, serve(GATEWAY, DENIED, chain=CHAIN), files(tmp_path), refusal=["tls_alert"])
    assert (attempt.ok, attempt.hint) == (False, hints.NO_REFUSAL)
    attempt = tried(refused_request, serve(GATEWAY, OK, chain=CHAIN), files(tmp_path), **refused)
    assert (attempt.ok, attempt.breach) == (False, True)


def test_a_connection_that_is_cut_is_no_alert(serve: Serve, tmp_path: Path) -> None:
    port = serve(GATEWAY, lambda connection: connection.recv(65536), chain=CHAIN)
    assert not tried(refused_request, port, files(tmp_path), refusal=["tls_alert"]).ok
    assert tried(refused_request, port, files(tmp_path), refusal=["reset"]).weak, "its control has to answer once more"


def test_who_answers_and_then_cuts_off_has_let_in(serve: Serve, tmp_path: Path) -> None:
    short = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello")
    attempt = tried(refused_request, serve(GATEWAY, short, chain=CHAIN), files(tmp_path))
    assert (attempt.ok, attempt.breach) == (False, True)
    assert attempt.observed.startswith("let in: HTTP 200, and cut off")


def test_an_alert_before_anybody_has_shown_a_certificate_refuses_nothing(tmp_path: Path) -> None:
    with saying_no(116) as port:
        attempt = tried(refused_request, port, files(tmp_path), refusal=["tls_alert", "reset"])
    assert not attempt.ok
    assert not attempt.breach


def test_a_name_that_the_certificate_does_not_carry_is_not_believed(serve: Serve, tmp_path: Path) -> None:
    other_name = {"url": "https://other.invalid:8000", "refusal": ["name_mismatch"]}
    attempt = tried(refused_request, serve(GATEWAY, OK, chain=CHAIN), files(tmp_path), **other_name)
    assert attempt.ok, attempt.observed
    assert "other.invalid" in attempt.observed
    assert attempt.details["server_spiffe_id"] == ID
    both = issue(ID, hosts=[NAME, "other.invalid"], by=INTERMEDIATE)
    attempt = tried(refused_request, serve(both, OK, chain=CHAIN), files(tmp_path), **other_name)
    assert (attempt.ok, attempt.breach) == (False, True)
    somebody = issue("spiffe://example.org/other", hosts=[NAME], by=INTERMEDIATE)
    attempt = tried(refused_request, serve(somebody, OK, chain=CHAIN), files(tmp_path), **other_name)
    assert (attempt.ok, attempt.early) == (False, True), "the name was not tried where it was to be tried"


AGENT = """#!/bin/sh
# Like spire-agent: api fetch x509 -socketPath SOCKET -write FOLDER
[ "$5" != /run/nobody.sock ] || {{ echo "no identity issued" >&2; exit 1; }}
cp {folder}/svid.pem "$7/svid.0.pem" && cp {folder}/svid.key "$7/svid.0.key" && cp {folder}/bundle.pem "$7/bundle.0.pem"
echo "$7" > {folder}/written
"""


def agent(folder: Path, socket: str = "/run/agent.sock") -> dict[str, str]:
    """An agent that gives what ``folder`` holds to whoever asks at a socket, or to nobody."""
    files(folder)
    program = folder / "spire-agent"
    program.write_text(AGENT.format(folder=folder))
    program.chmod(0o755)
    return {"agent": str(program), "socket": socket}


def test_a_certificate_is_asked_for_at_an_agent_and_nothing_is_left_of_it(serve: Serve, tmp_path: Path) -> None:
    seen = tried(request, serve(GATEWAY, OK, chain=CHAIN), agent(tmp_path))
    assert (seen.ok, seen.observed) == (True, f"HTTP 200, from {ID}")
    assert not Path((tmp_path / "written").read_text().strip()).exists()


def test_one_to_whom_the_agent_gives_nothing_is_told_so(serve: Serve, tmp_path: Path) -> None:
    port = serve(GATEWAY, OK, chain=CHAIN)
    with pytest.raises(ProcessError, match="no identity issued"):
        tried(request, port, agent(tmp_path, "/run/nobody.sock"))

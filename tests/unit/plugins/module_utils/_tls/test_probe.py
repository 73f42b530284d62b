# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a TLS server does, as ``probe`` tells it. Every server here is a real one."""

from __future__ import annotations

import inspect
import json
import socket
import ssl
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import probe
from peers import saying_no

from .conftest import NOW, Serve, answer, issue

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_reply_and_the_whole_chain(serve: Serve) -> None:
    root = issue(ca=True, name="root")
    between = issue(by=root, ca=True, name="between")
    port = serve(issue("spiffe://a/b", by=between), answer(OK), chain=between.pem)
    seen = probe.probe("127.0.0.1", port)
    assert (seen["kind"], seen["status"], seen["body"]) == (probe.HTTP, 200, "hi")
    assert len(seen["chain"]) == 2
    assert seen["chain"][1] == between.pem
    assert seen["tls_version"] == "TLSv1.3"


def test_headers_are_sent_and_added_to_connection(serve: Serve) -> None:
    got: list[bytes] = []

    def keep(connection: ssl.SSLSocket) -> None:
        got.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nX-Envoy-Upstream-Service-Time: 3\r\n\r\n")

    headers = {"x-client-spiffe-id": "spiffe://a/c", "connection": "x-client-spiffe-id"}
    seen = probe.probe("127.0.0.1", serve(issue("spiffe://a/b"), keep), headers=headers)
    assert (seen["status"], seen["from_behind"]) == (403, True)
    lines = got[0].decode().lower().split("\r\n")
    assert "connection: close, x-client-spiffe-id" in lines
    assert "x-client-spiffe-id: spiffe://a/c" in lines
    assert len([line for line in lines if line.startswith("connection:")]) == 1


def test_a_chunked_reply(serve: Serve) -> None:
    body = b"2\r\nhi\r\n6;x=y\r\n there\r\n0\r\n\r\n"
    assert probe.probe("127.0.0.1", serve(issue("spiffe://a/b"), answer(CHUNKED + body)))["body"] == "hi there"


@pytest.mark.parametrize("body", [b"-2\r\n" * 200_000, b"zz\r\nhi", b"\r\n\r\n", b"fffffffffffffffff\r\n"])
def test_chunks_that_are_none_end_in_a_verdict(serve: Serve, body: bytes) -> None:
    seen = probe.probe("127.0.0.1", serve(issue("spiffe://a/b"), answer(CHUNKED + body)))
    assert (seen["kind"], seen["body"]) == (probe.PROTOCOL, "")


def test_a_chunk_that_never_ends_is_taken_as_far_as_it_came(serve: Serve) -> None:
    body = b"ffffffff\r\n" + b"x" * 2 * probe.MAX_BODY
    assert (
        len(probe.probe("127.0.0.1", serve(issue("spiffe://a/b"), answer(CHUNKED + body)))["body"])
        <= probe.MAX_BODY * 2
    )


def test_a_drip_ends_in_time(serve: Serve) -> None:
    def drip(connection: ssl.SSLSocket) -> None:
        connection.recv(65536)
        for letter in b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200:
            connection.sendall(bytes([letter]))
            time.sleep(0.05)

    began = time.monotonic()
    assert probe.probe("127.0.0.1", serve(issue("spiffe://a/b"), drip), timeout=1)["kind"] == probe.TIMEOUT
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("alert", [42, 46, 48, 116])
def test_an_alert_that_anybody_could_send_comes_without_a_certificate(alert: int) -> None:
    with saying_no(alert) as port:
        assert probe.probe("127.0.0.1", port)["chain"] == []


def test_no_certificate_is_refused_by_alert_after_the_server_has_shown_its_own(serve: Serve) -> None:
    root = issue(ca=True)
    seen = probe.probe("127.0.0.1", serve(issue("spiffe://a/b", by=root), answer(OK), clients=root.pem))
    assert (seen["kind"], seen["alert"]) == (probe.TLS_ALERT, "certificate_required")
    assert len(seen["chain"]) == 1


def test_an_older_tls_is_no_refusal(serve: Serve) -> None:
    root = issue(ca=True)
    port = serve(issue("spiffe://a/b", by=root), answer(OK), clients=root.pem, newest=ssl.TLSVersion.TLSv1_2)
    seen = probe.probe("127.0.0.1", port)
    assert (seen["kind"], seen["words"]) == (probe.PROTOCOL, "it speaks no TLS 1.3")


def test_the_right_identity_is_let_in_and_another_ca_is_not(serve: Serve) -> None:
    root, other = issue(ca=True, name="root"), issue(ca=True, name="other")
    port = serve(issue("spiffe://a/b", by=root), answer(OK), clients=root.pem)
    good, bad = issue("spiffe://a/c", by=root), issue("spiffe://a/c", by=other)
    assert probe.probe("127.0.0.1", port, certificate=good.pem, key=good.key_pem)["status"] == 200
    seen = probe.probe("127.0.0.1", port, certificate=bad.pem, key=bad.key_pem)
    assert (seen["kind"], seen["alert"]) == (probe.TLS_ALERT, "unknown_ca")


def test_an_expired_server_is_still_seen(serve: Serve) -> None:
    port = serve(issue("spiffe://a/b", begins=NOW.replace(year=2020), ends=NOW.replace(year=2021)), answer(OK))
    assert len(probe.probe("127.0.0.1", port)["chain"]) == 1


def test_closed_after_the_handshake_is_a_reset(serve: Serve) -> None:
    def reset(connection: ssl.SSLSocket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    for handle in (reset, lambda connection: connection.recv(65536)):
        assert probe.probe("127.0.0.1", serve(issue("spiffe://a/b"), handle))["kind"] == probe.RESET


def test_something_else_than_http(serve: Serve) -> None:
    assert probe.probe("127.0.0.1", serve(issue("spiffe://a/b"), answer(b"SSH-2.0-x\r\n")))["kind"] == probe.PROTOCOL


def test_nothing_listens_and_unknown_name() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert probe.probe("127.0.0.1", port)["kind"] == probe.NOTHING_LISTENS
    assert probe.probe("no-such-host.invalid", port)["kind"] == probe.UNREACHABLE


def test_a_plain_http_server_is_no_tls_refusal() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    code = (
        "import socket, sys; c = socket.socket(fileno=int(sys.argv[1])).accept()[0];"
        "c.recv(999); c.sendall(b'HTTP/1.1 400 x\\r\\n\\r\\n')"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(listener.fileno())], pass_fds=[listener.fileno()]):
        assert probe.probe("127.0.0.1", listener.getsockname()[1])["kind"] in (probe.PROTOCOL, probe.RESET)
    listener.close()


def test_silence_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        assert probe.probe("127.0.0.1", listener.getsockname()[1], timeout=0.5)["kind"] == probe.TIMEOUT
        assert time.monotonic() - started < 2


def test_no_key_reaches_a_disk(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "unused"))
    root = issue(ca=True, name="root")
    own = issue("spiffe://a/c", by=root)
    port = serve(issue("spiffe://a/b", by=root), answer(OK), clients=root.pem)
    assert probe.probe("127.0.0.1", port, certificate=own.pem, key=own.key_pem)["status"] == 200
    assert not (tmp_path / "unused").exists()


def test_its_text_alone_is_a_program(serve: Serve) -> None:
    port = serve(issue("spiffe://a/b"), answer(OK))
    program = inspect.getsource(probe) + f"\nmain({json.dumps({'host': '127.0.0.1', 'port': port})!r})\n"
    done = subprocess.run(
        [sys.executable, "-I", "-"], input=program, capture_output=True, text=True, timeout=20, check=True
    )
    assert json.loads(done.stdout)["status"] == 200

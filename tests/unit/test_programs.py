# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small programs of this collection, as they run in their images."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from programs import program


@pytest.fixture
def quote() -> Iterator[int]:
    """The port of a running quote service."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [sys.executable, str(program("quote")), "--address=127.0.0.1", f"--port={port}"]
    with subprocess.Popen(argv) as process:
        deadline = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield port
        process.kill()


def said(port: int, request: bytes) -> bytes:
    """Everything that is answered on one connection."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    return answer


def test_quote_says_who_was_forwarded(quote: int) -> None:
    request = b"GET / HTTP/1.1\r\nHost: q\r\nConnection: close\r\nX-Forwarded-Client-Cert: URI=a\r\n\r\n"
    head, _separator, body = said(quote, request).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body)["forwarded_client_cert"] == "URI=a"


@pytest.mark.parametrize("framing", [b"Content-Length: %d", b"Transfer-Encoding: chunked"])
def test_quote_never_takes_a_body_for_the_next_request(quote: int, framing: bytes) -> None:
    inner = b"GET / HTTP/1.1\r\nHost: q\r\nX-Forwarded-Client-Cert: URI=spiffe://example.org/forged\r\n\r\n"
    line = framing % len(inner) if b"%d" in framing else framing
    answer = said(quote, b"GET / HTTP/1.1\r\nHost: q\r\n" + line + b"\r\n\r\n" + inner)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1, "the connection ends with the refusal"
    assert b"forged" not in answer

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS servers for the tests, real ones."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import Identity

Serve = Callable[..., int]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a TLS server on loopback and return its port. ``handle`` gets each connection that passed the handshake."""
    listeners: list[socket.socket] = []

    def start(
        identity: Identity,
        handle: Callable[[ssl.SSLSocket], Any],
        *,
        chain: str = "",
        clients: str | None = None,
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> int:
        own = tmp_path / f"own{len(listeners)}.pem"
        own.write_text(identity.pem + chain + identity.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = newest
        context.load_cert_chain(own)
        if clients is not None:
            context.load_verify_locations(cadata=clients)
            context.verify_mode = ssl.CERT_REQUIRED
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def loop() -> None:
            while True:
                try:
                    plain, _address = listener.accept()
                except OSError:
                    return
                plain.settimeout(5)
                try:
                    with context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as connection:
                        _shake(connection)
                        handle(connection)
                except OSError:
                    plain.close()

        threading.Thread(target=loop, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


def _shake(connection: ssl.SSLSocket) -> None:
    try:
        connection.do_handshake()
    except ssl.SSLError:
        # Whoever closes while something is unread resets the connection, and that may overtake the alert.
        socket.socket.shutdown(connection, socket.SHUT_WR)
        while socket.socket.recv(connection, 65536):
            pass
        raise


def answer(text: bytes) -> Callable[[ssl.SSLSocket], None]:
    """A handler that reads a request and sends ``text``."""

    def handle(connection: ssl.SSLSocket) -> None:
        connection.recv(65536)
        connection.sendall(text)

    return handle

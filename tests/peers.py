# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers that do not mean well, and ports for those that do."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def saying_no(alert: int) -> Iterator[int]:
    """The port of somebody between client and server, who says no in the server's name: a TLS alert, in plain bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def say_no() -> None:
            while True:
                try:
                    plain, _address = listener.accept()
                except OSError:
                    return
                with plain:
                    plain.recv(65536)
                    plain.sendall(b"\x15\x03\x03\x00\x02\x02" + bytes([alert]))

        threading.Thread(target=say_no, daemon=True).start()
        yield listener.getsockname()[1]


def free_port() -> int:
    """A port at which nothing listens at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests by a pod's own certificate, one after the other, until the input ends. It runs in the pod, by itself.

Called with ``new`` each request has a connection of its own, and the files are read anew for each. With ``kept`` one
connection is used for as long as the server says that it goes on. Prints the number that was answered, those that were
not, and the first few reasons, as JSON.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time

FILES = "/run/files/svid"
PAUSE_S = 0.1


def connect(name: str, port: int) -> http.client.HTTPSConnection:
    """Return a connection that shows the certificate of now, and verifies the other end and its name."""
    context = ssl.create_default_context(cafile=f"{FILES}/bundle.pem")
    context.load_cert_chain(f"{FILES}/svid.pem", f"{FILES}/svid.key")
    return http.client.HTTPSConnection(name, port, timeout=10, context=context)


def main(kind: str, name: str, port: int, path: str) -> None:
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    answered, reasons, connections = 0, [], 0
    connection = None
    while not ended.is_set():
        try:
            if connection is None:
                connection = connect(name, port)
                connections += 1
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise OSError(f"HTTP {answer.status}")
            answered += 1
            if kind == "new" or answer.will_close:
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {type(error).__name__}: {error}")
            connection = None
        time.sleep(PAUSE_S)
    print(json.dumps({"answered": answered, "failed": len(reasons), "connections": connections, "first": reasons[:5]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])

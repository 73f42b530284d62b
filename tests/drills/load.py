# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of a pod, one after the other, until the input ends. It runs in the pod, by itself.

To https:// it shows the pod's own certificate, and verifies the other end by the file of authorities that is named.
What goes to http:// is its sidecar's matter. Called with ``new`` each request has a connection of its own, and the
files are read anew for each. With ``kept`` one connection is used for as long as the server says that it goes on.
Prints how many were answered and how many were not, the first few reasons, and for how many seconds none has been
answered at the end, as JSON.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

FILES = "/run/files/svid"
PAUSE_S = 0.1


def connect(url: SplitResult, authorities: str) -> http.client.HTTPConnection:
    """Return a connection; by TLS it shows the certificate of now, and verifies the other end and its name."""
    name, port = url.hostname or "", url.port
    if url.scheme == "http":
        return http.client.HTTPConnection(name, port, timeout=10)
    # Of one version: by the links one could get a certificate and the key of the next one.
    version = Path(FILES) / Path(FILES, "..data").readlink()
    context = ssl.create_default_context(cafile=version / authorities)
    context.load_cert_chain(version / "svid.pem", version / "svid.key")
    return http.client.HTTPSConnection(name, port, timeout=10, context=context)


def main(kind: str, to: str, authorities: str = "bundle.pem") -> None:
    url = urlsplit(to)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    answered, reasons, connections, last = 0, [], 0, time.monotonic()
    connection = None
    while not ended.is_set():
        try:
            if connection is None:
                connection = connect(url, authorities)
                connections += 1
            connection.request("GET", url.path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise OSError(f"HTTP {answer.status}")
            answered, last = answered + 1, time.monotonic()
            if kind == "new" or answer.will_close:
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {type(error).__name__}: {error}")
            connection = None
        time.sleep(PAUSE_S)
    result = {"answered": answered, "failed": len(reasons), "connections": connections, "first": reasons[:5]}
    print(json.dumps({**result, "silent_s": round(time.monotonic() - last, 1)}))


if __name__ == "__main__":
    main(*sys.argv[1:])

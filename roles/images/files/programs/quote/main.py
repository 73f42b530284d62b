# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers every request with a quote, and with what it was told about who asks.

The header x-forwarded-client-cert is written by the proxies on the way, each of which verified the certificate that it
names; showing it lets a test see both hops.
"""

import argparse
import http.server
import json
import os
import random

QUOTES = (
    "Trust is a decision; proof is a handshake.",
    "A name you cannot prove is only a rumour.",
    "The network is a place, not a permission.",
    "Short lives make honest certificates.",
    "Ask who is calling before you ask what they want.",
    "An allow list is a promise written down.",
    "What renews itself needs no keeper of secrets.",
    "Two proxies met, and each knew the other by name.",
)


class Quote(http.server.BaseHTTPRequestHandler):
    """One quote for each GET."""

    protocol_version = "HTTP/1.1"
    timeout = 75  # seconds that a connection may be silent: more than those of the proxies in front

    def do_GET(self):
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            # What is not read of a body would be the beginning of the next request, which is somebody else's.
            self.close_connection = True
            self.send_error(400, "a GET has no body here")
            return
        body = json.dumps(
            {
                "quote": random.choice(QUOTES),  # noqa: S311 - a quote is no secret
                "host": os.uname().nodename,
                "forwarded_client_cert": self.headers.get("x-forwarded-client-cert"),
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        """Say nothing: the proxies log the requests."""


class Server(http.server.ThreadingHTTPServer):
    """Certificates in a header take more room than one backlog of small requests."""

    request_queue_size = 64


def main() -> None:
    parser = argparse.ArgumentParser(description="Answers every request with a quote.")
    parser.add_argument("--address", default="", help="where to listen; all addresses by default")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    Server((options.address, options.port), Quote).serve_forever()


if __name__ == "__main__":
    main()

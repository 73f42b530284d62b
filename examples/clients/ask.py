# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a server again and again by the certificate that SPIRE's agent gives, and never stops for a new one.

An example of a program that takes its identity by itself, with the Python package spiffe. It keeps a connection for as
long as the server does. The agent tells it of each new certificate; the next connection shows that one. The server is
believed by the bundle of the own trust domain, and has to be of the name that was asked for.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import ssl
import sys
import time
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from spiffe import X509Source

PAUSE_S = 0.1
"""Seconds between two requests."""


def context_of(source: X509Source) -> tuple[ssl.SSLContext, str]:
    """A TLS context with the identity of now, and the serial number of its certificate."""
    svid = source.get_x509_context().default_svid
    bundle = source.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    trusted = "".join(one.public_bytes(Encoding.PEM).decode() for one in bundle.x509_authorities)
    context = ssl.create_default_context(cadata=trusted)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    key = svid.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = b"".join(one.public_bytes(Encoding.PEM) for one in svid.cert_chain)
    # OpenSSL reads files only: this one is in memory, and nobody else sees it.
    memory = os.memfd_create("svid", os.MFD_CLOEXEC)
    try:
        with os.fdopen(memory, "wb", closefd=False) as file:
            file.write(chain + key)
        context.load_cert_chain(f"/proc/self/fd/{memory}")
    finally:
        os.close(memory)
    return context, format(svid.leaf.serial_number, "x")


def connected(address: tuple[str, int], name: str, context: ssl.SSLContext) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(name, address[1], timeout=10)
    connection.sock = context.wrap_socket(socket.create_connection(address, 10), server_hostname=name)
    return connection


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="such as https://example.com/")
    parser.add_argument("--address", help="host:port of the server, where no DNS knows its name")
    parser.add_argument("--socket", default="unix:///run/spire/agent-sockets/spire-agent.sock", help="the Workload API")
    parser.add_argument("--seconds", type=float, default=10.0, help="for how long (default: 10)")
    options = parser.parse_args()
    asked = urlsplit(options.url)
    name = asked.hostname or ""
    host, _colon, port = (options.address or f"{name}:{asked.port or 443}").rpartition(":")
    counted = {"answered": 0, "refused": 0, "failed": 0, "connections": 0}
    shown: list[str] = []
    connection = None
    until = time.monotonic() + options.seconds
    with X509Source(socket_path=options.socket, timeout_in_seconds=30) as source:
        identity = str(source.get_x509_context().default_svid.spiffe_id)
        while time.monotonic() < until:
            try:
                if connection is None:
                    context, serial = context_of(source)
                    connection = connected((host.strip("[]"), int(port)), name, context)
                    counted["connections"] += 1
                    shown += [serial] if serial not in shown else []
                connection.request("GET", asked.path or "/")
                answer = connection.getresponse()
                answer.read()
                counted["answered" if answer.status < 400 else "refused"] += 1
                if answer.will_close:
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                counted["failed"] += 1
                connection = None
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
            time.sleep(PAUSE_S)
    sys.stdout.write(json.dumps({"spiffe_id": identity, "certificates": len(shown), **counted}) + "\n")
    return 0 if counted["answered"] and not counted["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())

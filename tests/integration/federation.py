# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of federation share: a server of another trust domain, and a web site with a bundle."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from certificates import issue
from peers import free_port

from .conftest import Server, run_module, running_server

OTHER = "partner.example"
ENDPOINT_ID = f"spiffe://{OTHER}/spire/server"


class Partner:
    """A server of another trust domain with a bundle endpoint."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.url = f"https://127.0.0.1:{port}"

    @property
    def bundle(self) -> dict[str, Any]:
        result = run_module("spire_bundle_info", {**self.server.connection, "federated": False})
        return dict(result["bundle"])

    def item(self, **changes: Any) -> dict[str, Any]:
        """The relationship with it."""
        return {
            "trust_domain": OTHER,
            "bundle_endpoint_url": self.url,
            "bundle_endpoint_profile": "https_spiffe",
            "endpoint_spiffe_id": ENDPOINT_ID,
            **changes,
        }

    def rotate(self) -> None:
        """Put another X.509 authority into the bundle. The endpoint serves it soon after."""
        self.server.cli("localauthority", "x509", "prepare")


@contextlib.contextmanager
def running_partner(plugins: str = "") -> Iterator[Partner]:
    port = free_port()
    endpoint = f"""
        federation {{
          bundle_endpoint {{
            address = "127.0.0.1"
            port = {port}
            refresh_hint = "1h"
            profile "https_spiffe" {{}}
          }}
        }}
    """
    with running_server(trust_domain=OTHER, extra=endpoint, plugins=plugins) as server:
        yield Partner(server, port)


def federate(server: Server, partner: Partner) -> None:
    """Give a server the relationship with the partner, and its bundle."""
    item = partner.item(bundle=partner.bundle["spiffe"])
    result = run_module("spire_federation", {**server.connection, "relationships": [item], "refresh": True})
    assert not result.get("failed"), result


@dataclass
class Site:
    """A web site that serves ``answers``: path to status and text. Each waits until the site is ``open``."""

    url: str = ""
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: threading.Event = field(default_factory=threading.Event)
    open: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def running_site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A web site whose authority the tests trust, and all servers that they start while it runs."""
    authority = issue(ca=True, name="web authority")
    identity = issue(hosts=["127.0.0.1"], by=authority)
    (folder / "site.pem").write_text(identity.pem + identity.key_pem)
    (folder / "ca.pem").write_text(authority.pem)
    # Both Go and Python take the web authorities that they trust from here.
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "site.pem")
    site = Site()
    site.open.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.set()
            site.open.wait()
            status, text = site.answers.get(self.path, (404, "none"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_words: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        web.socket = context.wrap_socket(web.socket, server_side=True)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        site.url = f"https://127.0.0.1:{web.server_address[1]}"
        try:
            yield site
        finally:
            site.open.set()
            web.shutdown()

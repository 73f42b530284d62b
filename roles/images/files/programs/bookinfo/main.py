# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bookinfo, a page about a book made of what small services know, helloworld, and echo. A word says which of them.

Routes, ports and names are those by which the well-known sample of Istio is routed, so what is written for that one
holds here. Each answer in JSON shows the header x-forwarded-client-cert that its service got, so a test sees each hop.
"""

from __future__ import annotations

import argparse
import re
import signal
from urllib.parse import urlsplit

from books import COLORS, Details, Ratings, Reviews
from echo import Echo
from hello import Hello
from productpage import ProductPage
from web import BackEnd, Server, Service

PORT = 9080
PORTS = {"helloworld": 5000, "echo": 8080}
"""Those of others than Bookinfo."""
ASKS: dict[str, tuple[str, ...]] = {
    "productpage": ("details", "reviews", "ratings"),
    "details": (),
    "reviews": ("ratings",),
    "ratings": (),
    "helloworld": (),
    "echo": (),
}
"""The services, and whom each asks."""


def _back_end(text: str) -> tuple[str, int]:
    """Where a back end is: http, a host and a port, and nothing else."""
    found = urlsplit(text)
    if (found.scheme, found.path, found.query, found.fragment) not in (("http", "", "", ""), ("http", "/", "", "")):
        raise ValueError(text)
    if not found.hostname or found.username is not None:
        raise ValueError(text)
    return found.hostname, found.port or 80


_back_end.__name__ = "back end"


def _version(text: str) -> str:
    """A version, which is the value of a label."""
    if not re.fullmatch("[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", text):
        raise ValueError(text)
    return text


_version.__name__ = "version"


def _service(options: argparse.Namespace) -> Service:
    back_ends = {name: BackEnd(name, *vars(options)[name]) for name in ASKS[options.service]}
    if options.service == "productpage":
        return ProductPage(back_ends)
    if options.service == "reviews":
        return Reviews(options.version, options.cluster or None, back_ends["ratings"])
    if options.service == "helloworld":
        return Hello(options.version)
    if options.service == "echo":
        return Echo()
    return Details() if options.service == "details" else Ratings()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    services = parser.add_subparsers(dest="service", required=True)
    for name, asks in ASKS.items():
        one = services.add_parser(name)
        one.add_argument("--address", default="", help="where to listen; all addresses by default")
        one.add_argument("--port", type=int, default=PORTS.get(name, PORT))
        for other in asks:
            where = f"http://{other}:{PORT}"
            one.add_argument(f"--{other}", type=_back_end, default=where, metavar="URL", help=f"by default {where}")
        if name == "reviews":
            one.add_argument("--version", choices=list(COLORS), default="v1", help="no stars, black or red ones")
            one.add_argument("--cluster", default="", help="what it says is its cluster")
        if name == "helloworld":
            one.add_argument("--version", type=_version, default="v1", help="what it says is its version")
    return parser.parse_args()


def main() -> None:
    options = _options()
    Server((options.address, options.port), _service(options)).serve_until(signal.SIGTERM, signal.SIGINT)


if __name__ == "__main__":
    main()

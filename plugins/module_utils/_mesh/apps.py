# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The applications that a workload can be, as far as identities, ways and the proof depend on them. Pure.

What they consist of (image, arguments, files) stands in the role that runs them: ``demo_app``, ``envoy``, or ``istio``
for a gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

EXISTING = "existing"
ENVOY = "envoy"
GATEWAY = "gateway"


@dataclass(frozen=True)
class App:
    """What is known about an application before it runs."""

    port: int | None = None
    """The port of its Service. None: nobody calls it."""
    listens: int | None = None
    """The port in its pod that the Service leads to."""
    tools: tuple[str, ...] = ()
    """The programs in its container with which the proof can try something from there: ``curl``, ``python3``."""
    answers: str | None = None
    """A key that is in its JSON answer, by which the proof knows that it was this application that answered."""
    shows_callers: bool = False
    """Whether its answer holds the header x-forwarded-client-cert that it got."""
    answers_at: str | None = None
    """The path at which it answers so. None: at every path."""
    answers_by_label: str | None = None
    """The label of its pods that is in its answer, under the key ``answers``: it tells those of one Service apart."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that its pods always have: the inventory's are laid over them."""
    asks: tuple[str, ...] = ()
    """The applications that it asks, each of which it finds by a Service of that name unless it is told where."""


def _bookinfo(name: str, path: str, key: str, *asks: str) -> App:
    """A service of Bookinfo. All have the port, and the labels by which Istio tells versions apart."""
    return App(
        port=9080,
        listens=9080,
        tools=("curl", "python3"),
        answers=key,
        shows_callers=True,
        answers_at=path,
        labels={"app": name, "version": "v1"},
        asks=asks,
    )


APPS: Mapping[str, App] = {
    EXISTING: App(),
    ENVOY: App(port=80, listens=8080),
    GATEWAY: App(port=8443, listens=8080),
    "client": App(tools=("curl", "python3")),
    "quote": App(port=80, listens=8080, answers="quote", shows_callers=True),
    # Every request comes back as it arrived, so one sees what the proxies in front have made of it.
    "echo": App(port=8080, listens=8080, tools=("curl", "python3"), answers="served_by", shows_callers=True),
    # The page shows what others know. That it is there does not depend on them.
    "productpage": _bookinfo("productpage", "/health", "status", "details", "reviews", "ratings"),
    "details": _bookinfo("details", "/details/0", "author"),
    "reviews": _bookinfo("reviews", "/reviews/0", "reviews", "ratings"),
    "ratings": _bookinfo("ratings", "/ratings/0", "ratings"),
    # Which version answers, and in which cluster, is what it is called for.
    "helloworld": App(
        port=5000,
        listens=5000,
        tools=("curl", "python3"),
        answers="version",
        shows_callers=True,
        answers_at="/version",
        answers_by_label="version",
        labels={"app": "helloworld", "version": "v1"},
    ),
}

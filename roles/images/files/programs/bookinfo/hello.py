# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A greeting that says which version answered, and in which pod: enough to see where a request went."""

from __future__ import annotations

import os

from web import Answer, Request, Service, data


class Hello(Service):
    def __init__(self, version: str) -> None:
        super().__init__("helloworld")
        self._version = version
        self.route("GET", "/hello", self.hello)
        self.route("GET", "/version", self.version)
        self.route("GET", "/health", self.healthy)

    def hello(self, _request: Request) -> Answer:
        """For people, and word for word as the well-known sample says it."""
        text = f"Hello version: {self._version}, instance: {os.uname().nodename}\n"
        return Answer(text.encode(), "text/plain; charset=utf-8")

    def version(self, request: Request) -> Answer:
        """The same for programs, with what was seen of who asks."""
        return data(
            {
                "version": self._version,
                "instance": os.uname().nodename,
                "forwarded_client_cert": request.forwarded_client_cert,
            }
        )

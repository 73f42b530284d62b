# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every request comes back as it arrived: what proxies on the way have made of it, and of what its client claimed."""

from __future__ import annotations

import os

from web import Answer, Request, Service, data


class Echo(Service):
    def __init__(self) -> None:
        super().__init__("echo")
        for method in ("GET", "POST"):
            self.route(method, "(?s:.*)", self.echo)

    def echo(self, request: Request) -> Answer:
        return data(
            {
                "served_by": os.uname().nodename,
                "request": f"{request.method} {request.path}",
                "headers": [[name.lower(), value] for name, value in request.headers.items()],
                "body": request.body.decode(errors="replace"),
                "forwarded_client_cert": request.forwarded_client_cert,
            }
        )

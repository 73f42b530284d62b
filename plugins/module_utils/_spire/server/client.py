# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What spire-server says of itself."""

from __future__ import annotations

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer


def count_objects(server: SpireServer, what: str) -> int:
    """Return how many objects of a sort the server holds: ``agent``, ``entry`` or ``bundle``."""
    doing = f"Counting: {what}"
    value = server.call([what, "count"], doing).get("count")
    if not isinstance(value, int):
        raise ProcessError(f"{doing} failed: the answer holds no number.")
    return value


def read_version(server: SpireServer) -> str:
    """Return the version of the program, which in a pod is the server's own. It asks no server."""
    doing = "Reading the version"
    completed = server.run([server.binary, "--version"], doing, None)
    if completed.rc != 0:
        server.fail(completed, doing, False)
    # SPIRE prints it on the error stream.
    words = (completed.stdout.strip() or completed.stderr.strip()).splitlines()
    if not words:
        raise ProcessError(f"{doing} failed: the command ended well but printed nothing.")
    return words[-1].strip()


def read_health(server: SpireServer) -> tuple[bool, str]:
    """Return whether the server calls itself healthy, and its words. A server that is not reached raises."""
    doing = "Asking for the server's health"
    # Only -verbose tells why a server could not be asked.
    completed = server.reach([server.binary, "healthcheck", "-verbose", "-socketPath", server.socket_path], doing, None)
    words = (completed.stderr.strip() or completed.stdout.strip()).splitlines()
    if completed.rc != 0 and "returned status" not in completed.stderr:
        server.fail(completed, doing, False)
    if not words:
        raise ProcessError(f"{doing} failed: the command ended well but printed nothing.")
    return completed.rc == 0, words[-1]

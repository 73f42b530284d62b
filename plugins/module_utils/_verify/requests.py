# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Checks by plain requests: one that is answered, and one that must be refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints, replies
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import EXEC_TIMEOUT, World

TRY_TIMEOUT = 5.0
"""Seconds for one request or handshake."""


def request(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """A GET is answered as it should be."""
    expected = f"HTTP {check['status']}" + (f" with {check['json_key']!r}" if check["json_key"] else "")
    reply = _reply(world, check)
    details: dict[str, Any] = {"http_status": reply.status}
    if reply.kind != probe.HTTP:
        return Attempt(False, expected, reply.words, hints.BY_ENDING.get(reply.kind, ""), details)
    if reply.status != check["status"]:
        return Attempt(False, expected, reply.shown, hints.BY_STATUS.get(reply.status or 0, ""), details)
    if check["contains"] and check["contains"] not in reply.body:
        return Attempt(False, f"{expected} and {check['contains']!r}", reply.shown, "", details)
    observed = reply.words
    if check["json_key"]:
        value = reply.value(check["json_key"])
        if value is None:
            return Attempt(False, expected, reply.shown, "The answer comes from something else.", details)
        details |= {"json_key": check["json_key"], "value": value}
        observed += f": «{value}»"
    return Attempt(True, expected, observed, "", details, saved=reply.body)


def refused_request(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """A GET is refused as it should be."""
    reply = _reply(world, check)
    return replies.refusal(check, reply, {"http_status": reply.status})


def _reply(world: World, check: Check) -> replies.Reply:
    url = (check["url"] or world.mesh.endpoints[check["to"]].url or "").rstrip("/") + check["path"]
    return send(world, check["from"], url)


def send(world: World, source: str, url: str) -> replies.Reply:
    """Send a GET with curl from the endpoint ``source``, and tell how it ended."""
    argv = ["curl", "--silent", "--show-error", "--max-time", f"{TRY_TIMEOUT:g}"]
    argv += ["--max-filesize", str(probe.MAX_BODY)]
    argv += ["--write-out", replies.WRITE_OUT, "--url", url]
    return replies.of_curl(world.process(source).run(argv, None, EXEC_TIMEOUT), url)

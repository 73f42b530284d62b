# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Checks that nothing leads around a guard: a program is reached by its own proxy only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints, replies
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.handshakes import shake
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.requests import send
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import World


def closed_port(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """A port of a pod gives no answer to a pod that goes straight to its address.

    Every running pod of the workload is tried. Where a NetworkPolicy drops packets there is only silence, and that
    counts when the port of the guard answers the same pod: then the way is open, and this port alone is not.
    """
    expected = f"no answer at port {check['port']} of the pod itself: {replies.any_of(check['refusal'])}"
    addresses = world.pod_addresses(check["to"])
    if not addresses:
        return Attempt(False, expected, f"no pod of {check['to']} runs", hints.BY_ENDING[probe.NOTHING_LISTENS])
    seen: list[str] = []
    for address in addresses:
        reply = send(world, check["from"], f"http://{_host(address)}:{check['port']}{check['path']}")
        details: dict[str, Any] = {"pod_address": address, "http_status": reply.status}
        if reply.kind == probe.HTTP:
            return Attempt(False, expected, f"answered: {reply.shown}", hints.WAY_AROUND, details, breach=True)
        if reply.kind not in check["refusal"] and not _is_dropped(world, check, address, reply):
            hint = hints.WAY_AROUND if reply.connected else hints.BY_ENDING.get(reply.kind, "")
            return Attempt(False, expected, reply.words, hint, details)
        seen.append(reply.words)
    words = ", ".join(dict.fromkeys(seen))
    return Attempt(True, expected, f"closed: {words}", "", {"pods": len(addresses)})


def _is_dropped(world: World, check: Check, address: str, reply: replies.Reply) -> bool:
    """Whether silence is about this port alone: the guard's own port answers, with its certificate."""
    if reply.kind != probe.TIMEOUT or reply.connected or check["guard_port"] is None:
        return False
    return bool(shake(world, check["from"], {"host": address, "port": check["guard_port"]})["chain"])


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address

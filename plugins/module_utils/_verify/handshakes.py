# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Checks by TLS handshakes: who is let in, and who is refused."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints, replies
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.foreign import foreign_identity
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import HERE, WORTHLESS, Check, host_port
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.requests import TRY_TIMEOUT
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.servers import leaf_id, wrong_server
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.spire import Identity
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import EXEC_TIMEOUT, World


def accepted_handshake(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """A minted identity is let in, by the right server."""
    expected = f"{check['client_spiffe_id']} is let in: HTTP {check['status']}"
    seen = handshake(world, check, world.svid(check["client_spiffe_id"]))
    reply = replies.of_handshake(seen)
    details = {"client_spiffe_id": check["client_spiffe_id"], "tls_version": seen["tls_version"]}
    if reply.kind != probe.HTTP:
        return Attempt(False, expected, reply.words, hints.of_handshake(reply.kind), details)
    wrong = wrong_server(world, check, "".join(seen["chain"]))
    if wrong:
        return Attempt(False, expected, f"let in by the wrong server: {wrong}", "", details)
    if reply.status != check["status"]:
        return Attempt(False, expected, reply.shown, hints.BY_STATUS.get(reply.status or 0, ""), details)
    value = reply.value(check["json_key"]) if check["json_key"] else None
    if check["json_key"] and not replies.is_value(value, check["json_value"]):
        wanted = f"{expected} with {replies.wanted_value(check)}"
        return Attempt(False, wanted, reply.shown, "", details, chance=value is not None)
    return Attempt(True, expected, f"let in: {reply.words}", "", details)


def refused_handshake(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """A client without the permitted identity is refused, by the right server, for who it is."""
    client = check["client"]
    identity = shown_identity(world, check)
    seen = handshake(world, check, identity)
    details: dict[str, Any] = {
        "client": client,
        "client_spiffe_id": check["client_spiffe_id"],
        "tls_version": seen["tls_version"],
    }
    if client in WORTHLESS:
        details["signed_by"] = getattr(identity, "signer", None)
    if seen["chain"]:
        details["refused_by"] = leaf_id(seen["chain"][0])
    attempt = replies.refusal(check, replies.of_handshake(seen), details)
    if not attempt.ok:
        return attempt
    # A certificate whose time is over may be refused by any of the alerts: the control has shown the same, but in time.
    if client not in ("none", "expired") and seen["alert"] == "certificate_expired":
        return Attempt(False, attempt.expected, seen["words"], hints.OF_TIME, details)
    if not seen["chain"]:
        # Anybody on the way can send these bytes.
        said = f"{seen['words']}, from somebody who has shown no certificate"
        return Attempt(False, attempt.expected, said, hints.NOBODY, details, early=True)
    if check["spiffe_id"]:
        wrong = wrong_server(world, check, "".join(seen["chain"]))
        if wrong:
            return Attempt(False, attempt.expected, f"refused by the wrong server: {wrong}", "", details, early=True)
    return attempt


def shown_identity(world: World, check: Check) -> Identity | None:
    """The identity that the client of a check shows: none, or the one that ``client`` names."""
    makers: dict[str, Callable[[str], Identity | None]] = {
        "other_identity": world.svid,
        "expired": world.expired_svid,
        "foreign_ca": foreign_identity,
        "istiod": lambda name: world.istiod_identity(name, world.mesh.endpoints[check["to"]].cluster),
    }
    make = makers.get(check["client"])
    return make(check["client_spiffe_id"]) if make else None


def handshake(world: World, check: Check, identity: Identity | None) -> dict[str, Any]:
    """Make the handshake of a check, from here or from its pod, and return what the probe saw."""
    endpoint = world.mesh.endpoints[check["to"]]
    host, port = host_port(check.fields.get("address") or endpoint.address or "")
    arguments: dict[str, Any] = {
        "host": host,
        "port": port,
        "path": check.fields.get("path", "/"),
        "server_name": check["server_name"],
        "alpn": list(check.fields.get("alpn") or ()),
        "headers": dict(check.fields.get("headers") or {}),
    }
    if identity is not None:
        arguments.update(certificate=identity.chain_pem, key=identity.key_pem)
    return shake(world, check["from"], arguments)


def shake(world: World, source: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Make a handshake from the endpoint ``source``: in this process, or by its python3 in the pod."""
    arguments = {**arguments, "timeout": TRY_TIMEOUT}
    if source == HERE:
        return probe.probe(**arguments)
    doing = f"The TLS handshake from {source}"
    program = f"{inspect.getsource(probe)}\nmain({json.dumps(arguments)!r})\n"
    done = world.process(source).run(["python3", "-"], program, EXEC_TIMEOUT)
    hint = hints.of_program(done.stderr)
    if done.rc != 0 and hint:
        raise ProcessError(f"{doing} could not be made: there is no python3. {hint}")
    done.check(doing)
    try:
        answer: dict[str, Any] = loads(done.stdout)
    except ValueError as error:
        raise ProcessError(f"{doing} answered with something unreadable.") from error
    return answer

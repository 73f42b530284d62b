# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The check that istiod issues no certificates: it has no service for that, and no CA."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import ISTIOD_CA
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints, replies
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.requests import send
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.servers import leaf_id, wrong_server
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import World

SERVICE = "istio.v1.auth.IstioCertificateService"
_UNIMPLEMENTED = 12
# gRPC is HTTP/2, and says how a call ended in headers when it has not begun. Nothing is sent but the name of the call.
_OPTIONS = ("--http2", "--tlsv1.3", "--request", "POST", "--dump-header", "-", "--output", "/dev/null")
_HEADERS = ("--header", "content-type: application/grpc", "--header", "te: trailers")


def no_certificate_service(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """istiod itself says that it has no such service, and there is no CA of its own."""
    expected = f"refused: unknown service {SERVICE}, and no Secret {ISTIOD_CA}"
    endpoint = world.mesh.endpoints[check["to"]]
    url = f"https://{endpoint.address}/{SERVICE}/CreateCertificate"
    bundle = world.bundle_pem(endpoint.server or "")
    reply = send(world, check["from"], url, [*_OPTIONS, *_HEADERS], bundle)
    details: dict[str, Any] = {"http_status": reply.status}
    if reply.presented:
        details["refused_by"] = leaf_id(reply.presented)
    if reply.kind != probe.HTTP:
        words = f"istiod was not heard: {reply.words}"
        return Attempt(False, expected, words, hints.ISTIOD, details, early=True)
    if check["spiffe_id"] and reply.presented:
        wrong = wrong_server(world, check, reply.presented)
        if wrong:
            return Attempt(False, expected, f"answered by the wrong server: {wrong}", hints.ISTIOD, details, early=True)
    status, message = _ended(reply)
    details["grpc_status"] = status
    if status != _UNIMPLEMENTED or message != f"unknown service {SERVICE}":
        said = reply.words if status is None else f"grpc-status {status}: {message[:200]}"
        return Attempt(False, expected, f"it may issue certificates: {said}", hints.CA_SERVER, details)
    query = ["get", "secret", ISTIOD_CA, "--namespace", endpoint.namespace, "--ignore-not-found", "--output", "name"]
    if world.reader(check["to"]).run(query, None, f"Looking for the Secret {ISTIOD_CA}").strip():
        said = f"it issues none, and there is a CA in the Secret {ISTIOD_CA} of {endpoint.namespace}"
        return Attempt(False, expected, said, hints.CA_SERVER, details)
    said = f"refused: {message} (grpc-status {status}), and there is no Secret {ISTIOD_CA}"
    return Attempt(True, expected, said, "", details)


def _ended(reply: replies.Reply) -> tuple[int | None, str]:
    """Status and message by which gRPC says how a call ended."""
    status = re.search(r"^grpc-status: *([0-9]{1,4})\r?$", reply.body, re.MULTILINE | re.IGNORECASE)
    message = re.search(r"^grpc-message: *([^\r\n]*)", reply.body, re.MULTILINE | re.IGNORECASE)
    return int(status[1]) if status else None, message[1].strip() if message else ""

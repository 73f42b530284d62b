# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Makes one attempt of a check, whatever its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import (
    authorities,
    certificates,
    doors,
    handshakes,
    issuance,
    proxies,
    requests,
    tokens,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import World

MAKERS: dict[str, Callable[[World, Check, Mapping[str, Verdict], int], Attempt]] = {
    "request": requests.request,
    "refused_request": requests.refused_request,
    "closed_port": doors.closed_port,
    "accepted_handshake": handshakes.accepted_handshake,
    "refused_handshake": handshakes.refused_handshake,
    "peer_certificate": certificates.peer_certificate,
    "certificate_chain": certificates.certificate_chain,
    "forwarded_certificate": certificates.forwarded_certificate,
    "sidecar_certificate": certificates.sidecar_certificate,
    "same_authorities": authorities.same_authorities,
    "federated_bundle": authorities.federated_bundle,
    "published_authorities": authorities.published_authorities,
    "webhook_authorities": authorities.webhook_authorities,
    "proxy_authorities": proxies.proxy_authorities,
    "token_reuse": tokens.token_reuse,
    "no_certificate_service": issuance.no_certificate_service,
}


class Attempts:
    """What the engine asks for: an attempt of a check, and to get ready for one."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, check: Check, needed: Mapping[str, Verdict], number: int) -> Attempt:
        return MAKERS[check.type](self._world, check, needed, number)

    def prepare(self, check: Check) -> None:
        """Mint the identity that a check will show, while its control still runs."""
        if check.fields.get("client") in ("other_identity", "expired"):
            handshakes.shown_identity(self._world, check)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_server_info: several short questions, asked side by side."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.client import show_authorities
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.codec import authorities_from_server
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.model import JWT, X509
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.client import list_relationships
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.server.client import (
    count_objects,
    read_health,
    read_version,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography

_JWT_DISABLED = "JWT functionality is disabled"


def spec() -> ArgumentSpec:
    """Return the options of spire_server_info."""
    return spire_spec()


def run(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Read what the server is and holds."""
    server = connect(params)
    require_cryptography()
    return Outcome(result={"server": describe(server)})


def describe(server: SpireServer) -> dict[str, Any]:
    """Return what a server says of itself and holds."""
    # The first call waits for a server that is starting; the others then find it.
    healthy, words = read_health(server)
    with ThreadPoolExecutor(4) as pool:
        version = pool.submit(read_version, server)
        bundle_read = pool.submit(show_bundle, server)
        counts = {what: pool.submit(count_objects, server, what) for what in ("agent", "entry", "bundle")}
        federation = pool.submit(list_relationships, server)
        x509_slots = pool.submit(show_authorities, server, X509)
        jwt_slots = pool.submit(_jwt_slots, server)
        bundle = bundle_read.result()
        x509 = authorities_from_server(X509, x509_slots.result(), bundle)
        jwt = jwt_slots.result()
        return {
            "version": version.result(),
            "trust_domain": bundle.trust_domain,
            "healthy": healthy,
            "health": words,
            "agents": counts["agent"].result(),
            "entries": counts["entry"].result(),
            # The server counts its own bundle too.
            "federated_bundles": counts["bundle"].result() - 1,
            "federation_relationships": len(federation.result()),
            "bundle_sequence_number": bundle.sequence_number,
            "bundle_refresh_hint": bundle.refresh_hint,
            "ca_expires_at": x509.active.expires_at,
            "upstream_authority": x509.signed_upstream,
            "authorities": {
                X509: x509.public(),
                JWT: authorities_from_server(JWT, jwt, bundle).public() if jwt else {},
            },
        }


def _jwt_slots(server: SpireServer) -> dict[str, Any] | None:
    """A server may be set to sign no JWT-SVIDs; it then has no such authority."""
    try:
        return show_authorities(server, JWT)
    except ProcessError as error:
        if _JWT_DISABLED in str(error.details.get("stderr")):
            return None
        raise

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Between SPIRE's JSON and federation relationships. Pure.

What the command reads has other names than what it prints: camel case in, snake case out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import (
    HTTPS_SPIFFE,
    HTTPS_WEB,
    Relationship,
)


def relationship_from_server(data: Mapping[str, Any]) -> Relationship:
    """Read a relationship as spire-server prints it."""
    spiffe = data.get("https_spiffe")
    return Relationship(
        data.get("trust_domain", ""),
        data.get("bundle_endpoint_url", ""),
        HTTPS_WEB if spiffe is None else HTTPS_SPIFFE,
        (spiffe or {}).get("endpoint_spiffe_id", ""),
    )


def relationship_to_server(relationship: Relationship) -> dict[str, Any]:
    """Return a relationship as spire-server reads it.

    Its bundle is never part of it: it is set before, by itself. The command gives a bundle in a relationship the trust
    domain of the endpoint, and the server then refuses it when that is another one.
    """
    data = {
        "trustDomain": relationship.trust_domain,
        "bundleEndpointURL": relationship.bundle_endpoint_url,
        "bundleEndpointProfile": relationship.bundle_endpoint_profile,
    }
    if relationship.endpoint_spiffe_id:
        data["endpointSPIFFEID"] = relationship.endpoint_spiffe_id
    return data

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Federation relationships, as spire-server reads and changes them."""

from __future__ import annotations

import json

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import (
    ItemResult,
    read_list,
    results_from_server,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.codec import (
    relationship_from_server,
    relationship_to_server,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import Relationship


def list_relationships(server: SpireServer) -> list[Relationship]:
    """Return the federation relationships that were made through the API. Those of its own file it never shows."""
    doing = "Reading the federation relationships"
    reply = server.call(["federation", "list"], doing)
    return read_list(reply, "federation_relationships", relationship_from_server, doing)


def set_relationship(server: SpireServer, relationship: Relationship, create: bool) -> ItemResult:
    """Create a federation relationship, or replace the one with the same trust domain."""
    doing = f"Setting the federation relationship with {relationship.trust_domain}"
    text = json.dumps({"federationRelationships": [relationship_to_server(relationship)]})
    reply = server.call(["federation", "create" if create else "update", "-data", "-"], doing, text)
    return results_from_server(reply, 1, doing)[0]


def delete_relationship(server: SpireServer, trust_domain: str) -> ItemResult:
    """Delete a federation relationship. The bundle stays."""
    doing = f"Deleting the federation relationship with {trust_domain}"
    reply = server.call(["federation", "delete", "-id", f"spiffe://{trust_domain}"], doing)
    return results_from_server(reply, 1, doing)[0]


def refresh_bundle(server: SpireServer, trust_domain: str) -> None:
    """Have the server fetch a bundle from its endpoint now. It has it, or this raises with the server's words."""
    doing = f"Refreshing the bundle of {trust_domain}"
    server.call(["federation", "refresh", "-id", f"spiffe://{trust_domain}"], doing)

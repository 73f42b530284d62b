# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Join tokens, as spire-server mints them."""

from __future__ import annotations

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.model import JoinToken


def generate_token(server: SpireServer, spiffe_id: str, ttl: int) -> JoinToken:
    """Mint a join token whose agent gets the alias ``spiffe_id``."""
    doing = f"Minting a join token for {spiffe_id}"
    reply = server.call(["token", "generate", "-spiffeID", spiffe_id, "-ttl", str(ttl)], doing, secret=True)
    if not reply.get("value"):
        raise ProcessError(f"{doing} failed: the answer holds no token.")
    return JoinToken(reply["value"], int(reply.get("expires_at", 0)))

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""SVIDs that spire-server mints without any workload."""

from __future__ import annotations

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.codec import svid_from_server
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.model import X509Svid


def mint_x509(server: SpireServer, spiffe_id: str, ttl: int) -> X509Svid:
    """Mint an X509-SVID for a SPIFFE ID, without any workload or entry. ``ttl`` is in seconds."""
    doing = f"Minting an X509-SVID for {spiffe_id}"
    reply = server.call(["x509", "mint", "-spiffeID", spiffe_id, "-ttl", f"{ttl}s"], doing, secret=True)
    try:
        return svid_from_server(reply)
    except (KeyError, ValueError):
        raise ProcessError(f"{doing} failed: the answer holds no certificate and key.") from None

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""A server's own authorities, as spire-server shows and changes them."""

from __future__ import annotations

from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer


def show_authorities(server: SpireServer, kind: str) -> dict[str, Any]:
    """Return the slots ``active``, ``prepared`` and ``old`` of the server's ``x509`` or ``jwt`` authority."""
    return server.call(["localauthority", kind, "show"], f"Reading the {kind} authority")


def prepare_authority(server: SpireServer, kind: str) -> dict[str, Any]:
    """Make a new key and put it into the bundle. Nothing is signed with it yet."""
    return server.call(["localauthority", kind, "prepare"], f"Preparing a new {kind} authority")


def change_authority(server: SpireServer, kind: str, verb: str, authority_id: str) -> dict[str, Any]:
    """``activate``, ``taint`` or ``revoke`` an authority; of the kind ``upstream`` only the last two exist."""
    doing = f"To {verb} the {kind} authority {authority_id}"
    if kind == "upstream":
        return server.call(["upstreamauthority", verb, "-subjectKeyID", authority_id], doing)
    return server.call(["localauthority", kind, verb, "-authorityID", authority_id], doing)

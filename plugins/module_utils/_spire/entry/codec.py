# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The words of ``spire-server entry``: its filters, and what its refusals are about. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import set_filter

_ABOUT = (
    (r"federated", "federates_with"),
    (r"invalid parent ID", "parent_id"),
    (r"invalid spiffe ID|SPIFFE ID", "spiffe_id"),
    (r"invalid DNS name", "dns_names"),
    (r"hint", "hint"),
    (r"entry[ _][iI][dD]", "entry_id"),
    (r"store SVID|storable", "store_svid"),
    (r"selector", "selectors"),
    (r"X509SvidTtl", "x509_svid_ttl"),
    (r"JwtSvidTtl", "jwt_svid_ttl"),
)


def field_of(message: str) -> str | None:
    """The field of an entry that a refusal of the server is about, when its words tell (SPIRE 1.15)."""
    return next((name for pattern, name in _ABOUT if re.search(pattern, message)), None)


def entry_filters(filters: Mapping[str, Any]) -> list[str]:
    """The words by which ``entry show`` filters. A filter that is not given, or is empty, is left out."""
    flags = (("entry_id", "-entryID"), ("spiffe_id", "-spiffeID"), ("parent_id", "-parentID"), ("hint", "-hint"))
    words = [word for name, flag in flags if filters.get(name) for word in (flag, str(filters[name]))]
    if filters.get("downstream"):
        words.append("-downstream")
    words += set_filter("-selector", filters.get("selectors"), "-matchSelectorsOn", filters.get("selectors_match"))
    federates_with = [f"spiffe://{name}" for name in filters.get("federates_with") or ()]
    match = filters.get("federates_with_match")
    return words + set_filter("-federatesWith", federates_with, "-matchFederatesWithOn", match)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The words of ``spire-server entry``: its filters, and what its refusals are about. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import (
    id_from_server,
    selectors_from_server,
    set_filter,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry

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


def entry_from_server(data: Mapping[str, Any]) -> Entry:
    """Read an entry as spire-server prints it."""
    get = data.get
    federates_with, dns_names = get("federates_with"), get("dns_names")
    # Fields in the order of Entry: this runs for each entry of the server in every task.
    return Entry(
        id_from_server(get("spiffe_id")),
        id_from_server(get("parent_id")),
        selectors_from_server(get("selectors")),
        get("id", ""),
        get("x509_svid_ttl", 0),
        get("jwt_svid_ttl", 0),
        tuple([name.removeprefix("spiffe://") for name in federates_with]) if federates_with else (),
        tuple(dns_names) if dns_names else (),
        get("admin", False),
        get("downstream", False),
        get("store_svid", False),
        get("hint", ""),
        int(get("expires_at", 0)),
        int(get("created_at", 0)),
        get("additional_attributes") or {},
        int(get("revision_number", 0)),
    )


def entry_to_server(entry: Entry) -> dict[str, Any]:
    """Return an entry as spire-server reads it. Always the whole entry: an update resets what is left out."""
    data: dict[str, Any] = {
        "spiffe_id": entry.spiffe_id,
        "parent_id": entry.parent_id,
        "selectors": [{"type": kind, "value": value} for kind, value in (s.split(":", 1) for s in entry.selectors)],
    }
    optional = {
        "entry_id": entry.entry_id,
        "x509_svid_ttl": entry.x509_svid_ttl,
        "jwt_svid_ttl": entry.jwt_svid_ttl,
        "federates_with": [f"spiffe://{name}" for name in entry.federates_with],
        "dns_names": list(entry.dns_names),
        "admin": entry.admin,
        "downstream": entry.downstream,
        "store_svid": entry.store_svid,
        "hint": entry.hint,
        "entryExpiry": entry.expires_at,
        "additional_attributes": dict(entry.additional_attributes),
    }
    # A zero value and an absent key are the same to the server; leaving them out halves the request.
    data.update({name: value for name, value in optional.items() if value})
    return data


def entry_weight(entry: Entry) -> int:
    """The bytes that an entry takes in an answer at most: as JSON it is heavier than on the wire."""
    return len(json.dumps(entry_to_server(entry), ensure_ascii=False).encode()) + 32  # its times and revision

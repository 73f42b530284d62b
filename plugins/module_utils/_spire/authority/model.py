# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The authorities that a server signs with, as values. Pure.

A server has two slots: one signs, the other holds the next authority or the last one. What has become of an authority
is told by its slot and by the bundle together: tainting marks it in the bundle, revoking takes it out, and its slot
says ``old`` all the while.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

X509, JWT, UPSTREAM = "x509", "jwt", "upstream"

ACTIVE, PREPARED, OLD, TAINTED, REVOKED = "active", "prepared", "old", "tainted", "revoked"
FOREIGN = "foreign"
"""In the bundle, but in no slot: another server of the trust domain signs with it, or this one did long ago."""


@dataclass(frozen=True)
class Slot:
    """An authority that the server holds the key of."""

    authority_id: str
    expires_at: int
    upstream_id: str = ""


@dataclass(frozen=True)
class Trusted:
    """An authority in the bundle. ``not_before`` is 0 where it is not told."""

    tainted: bool
    not_before: int = 0


@dataclass(frozen=True)
class Authorities:
    """The slots of one type of authority, and the bundle's authorities of that type by id."""

    kind: str
    active: Slot
    prepared: Slot | None
    old: Slot | None
    bundle: Mapping[str, Trusted]

    @property
    def signed_upstream(self) -> bool:
        return bool(self.active.upstream_id)

    def id_of(self, slot: Slot | None) -> str:
        """The id by which this type of authority is known: for upstream that of the one that signed the slot's."""
        if slot is None:
            return ""
        return slot.upstream_id if self.kind == UPSTREAM else slot.authority_id

    def trusted_id(self, slot: Slot | None) -> str:
        """The id of the authority in the bundle by which what the slot's signs is believed."""
        return (slot.upstream_id or slot.authority_id) if slot else ""

    def status(self, authority_id: str) -> str:
        """What has become of an authority. One that was never there cannot be told from one that is revoked."""
        if authority_id == self.id_of(self.active):
            return ACTIVE
        if authority_id == self.id_of(self.prepared):
            return PREPARED
        if authority_id not in self.bundle:
            return REVOKED
        if self.bundle[authority_id].tainted:
            return TAINTED
        return OLD if authority_id == self.id_of(self.old) else FOREIGN

    def unfinished(self) -> str:
        """The id of the old authority that is tainted and still trusted, or nothing."""
        old = self.id_of(self.old)
        return old if old and self.status(old) == TAINTED else ""

    def age(self, authority_id: str, now: float) -> float | None:
        """Seconds since the authority was made, if the bundle tells."""
        trusted = self.bundle.get(authority_id)
        return now - trusted.not_before if trusted and trusted.not_before else None

    def public(self) -> dict[str, Any]:
        """What modules show of the slots."""
        slots = {ACTIVE: self.active, PREPARED: self.prepared, OLD: self.old}
        return {
            name: {
                "authority_id": slot.authority_id,
                "expires_at": slot.expires_at,
                "upstream_authority_id": slot.upstream_id,
                "status": self._slot_status(name, slot),
            }
            for name, slot in slots.items()
            if slot
        }

    def _slot_status(self, name: str, slot: Slot) -> str:
        # A local authority that is signed upstream is in no bundle, so that its slot is all that is known.
        if name != OLD or (self.kind != UPSTREAM and slot.upstream_id):
            return name
        return self.status(self.id_of(slot))

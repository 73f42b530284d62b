# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What an SVID is, which one is wanted, and which one was found. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

X509, JWT = "x509", "jwt"
NEW = "(new)"
"""Stands for what is not known before it is made."""


@dataclass(frozen=True)
class X509Svid:
    """An X509-SVID with its key. ``repr`` does not show the key."""

    chain_pem: str
    key_pem: str
    bundle_pem: str
    spiffe_id: str = ""

    def __repr__(self) -> str:
        return "X509Svid(***)"


@dataclass(frozen=True)
class JwtSvid:
    """A JWT-SVID. ``repr`` does not show it: whoever has it is taken for the workload."""

    token: str
    spiffe_id: str = ""
    key_ids: tuple[str, ...] = ()
    """The JWT authorities that are trusted now, by their key ids."""

    def __repr__(self) -> str:
        return "JwtSvid(***)"


Svid: TypeAlias = "X509Svid | JwtSvid"


@dataclass(frozen=True)
class Wanted:
    """What an SVID must be to be kept. ``None`` means that any will do."""

    kind: str
    spiffe_id: str | None
    dns_names: tuple[str, ...] | None = None
    audience: tuple[str, ...] = ()
    renew_before: int | None = None
    """Seconds of life that must be left; half of its life when it is not given."""


@dataclass(frozen=True)
class Link:
    """One certificate of a chain."""

    subject: str
    issuer: str
    serial_number: str
    expires_at: int


@dataclass(frozen=True)
class Found:
    """What an SVID says of itself. Nothing of it is secret."""

    kind: str
    spiffe_id: str
    not_before: int
    expires_at: int
    trusted: bool
    """Whether the authorities of now have signed it."""
    serial_number: str = ""
    dns_names: tuple[str, ...] = ()
    chain: tuple[Link, ...] = ()
    audience: tuple[str, ...] = ()
    key_id: str = ""

    def public(self) -> dict[str, Any]:
        """What modules show, and diffs."""
        return {
            "type": self.kind,
            "spiffe_id": self.spiffe_id,
            "serial_number": self.serial_number,
            "not_before": self.not_before,
            "expires_at": self.expires_at,
            "dns_names": list(self.dns_names),
            "chain": [vars(link) for link in self.chain],
            "audience": list(self.audience),
            "key_id": self.key_id,
        }

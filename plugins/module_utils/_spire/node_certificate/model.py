# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The certificate by which a node attests (SPIRE's x509pop), as a value: what may be shown of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EXTERNAL_PKI, SPIFFE = "external_pki", "spiffe"
"""SPIRE's own words for who has signed it: a CA that SPIRE has nothing to do with, or the SPIRE server itself."""
NEW = "(new)"
"""Stands for what is not made yet."""


@dataclass(frozen=True)
class Wanted:
    """Whose certificate it is to be: the common name, or the SPIFFE ID where the SPIRE server signs it."""

    mode: str
    name: str
    spiffe_id: str
    trust_domain: str


@dataclass(frozen=True)
class Found:
    """What a certificate says of itself, in seconds since 1970 where it speaks of time."""

    common_name: str
    spiffe_ids: tuple[str, ...]
    serial_number: str
    not_before: float
    not_after: float
    signed: bool
    """Whether one of the roots by which the server judges it has signed it."""

    def public(self) -> dict[str, Any]:
        """What modules show, and diffs."""
        return {
            "common_name": self.common_name,
            "spiffe_ids": list(self.spiffe_ids),
            "serial_number": self.serial_number,
            "expires_at": int(self.not_after),
        }

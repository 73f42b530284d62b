# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""An upstream CA as values: its certificate and key, and what may be shown of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NEW = "(new)"
"""Stands for the id of a CA that is not made yet."""

BEFORE, ACTIVATED, LOST, TAINTED, DONE = "before", "activated", "lost", "tainted", "done"
SELF_SIGNED = "self_signed"

DAY = 86400
ROTATE = "trustmesh.spiffe.rotate_upstream_ca"
"""The playbook that replaces a CA."""


@dataclass(frozen=True)
class Pair:
    """The three texts that a server needs, PEM each. What is shown of a pair never has the key in it."""

    certificate: str
    key: str = field(repr=False)
    bundle: str


@dataclass(frozen=True)
class Authority:
    """What a CA certificate says of itself."""

    authority_id: str
    """Its subject key id, by which SPIRE knows it."""
    sha256: str
    subject: str
    not_after: str
    seconds_left: float
    self_signed: bool
    roots: tuple[str, ...]
    """The subject key ids of the roots that are trusted with it."""

    def public(self) -> dict[str, Any]:
        """What modules show."""
        return {
            "authority_id": self.authority_id,
            "sha256": self.sha256,
            "subject": self.subject,
            "not_after": self.not_after,
            "days_left": int(self.seconds_left // DAY),
            "self_signed": self.self_signed,
        }

    def shown(self) -> dict[str, str]:
        """What a diff shows."""
        return {"sha256": self.sha256, "subject": self.subject, "not_after": self.not_after}


@dataclass(frozen=True)
class Known:
    """A pair, and what its certificate says."""

    pair: Pair
    authority: Authority

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a minted SVID is. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class X509Svid:
    """A minted X509-SVID with its key. ``repr`` does not show the key."""

    chain_pem: str
    key_pem: str
    bundle_pem: str

    def __repr__(self) -> str:
        return "X509Svid(***)"

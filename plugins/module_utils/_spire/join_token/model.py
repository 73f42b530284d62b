# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a join token is. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JoinToken:
    """A join token. ``repr`` does not show its value."""

    value: str
    expires_at: int

    def __repr__(self) -> str:
        return f"JoinToken(value='***', expires_at={self.expires_at})"

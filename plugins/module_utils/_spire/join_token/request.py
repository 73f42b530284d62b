# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What the role asks the module ``spire_join_token`` for, and what tells a new join from an old one. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


def token_requests(spiffe_ids: Iterable[str]) -> list[dict[str, str]]:
    """Return a request for each node, by its alias."""
    return [{"spiffe_id": spiffe_id} for spiffe_id in spiffe_ids]


def joined_with(answers: Iterable[Mapping[str, Any]]) -> str:
    """Return a digest of what each node joined with: the new token, or the one in its agent's ID."""
    return _digest(" ".join(_sign(answer) for answer in answers))


def _sign(answer: Mapping[str, Any]) -> str:
    if "token" in answer:
        return f"sha256:{_digest(answer['token'])[:16]}"
    # The module shows a digest of the token in its place.
    return str((answer.get("agent") or {}).get("id", "none")).rpartition("/")[2]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

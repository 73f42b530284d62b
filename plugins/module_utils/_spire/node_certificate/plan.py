# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Whether a node needs a new certificate. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.model import (
    EXTERNAL_PKI,
    NEW,
    SPIFFE,
    Found,
    Wanted,
)


@dataclass(frozen=True)
class Plan:
    """Whether one is made, and why or why not."""

    make: bool
    reason: str
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


def plan_certificate(wanted: Wanted, found: Found | None, now: float) -> Plan:
    """Plan what becomes of the certificate of a node. It is renewed when half of its life is over.

    A SPIRE server signs for no longer than its own CA lives, so that a fixed number of days would be too long for some.
    """
    reason = _reason(wanted, found, now)
    if not reason:
        return Plan(False, "the certificate is there")
    names = {"spiffe_ids": [wanted.spiffe_id]} if wanted.mode == SPIFFE else {"common_name": wanted.name}
    after = {"serial_number": NEW, **names}
    return Plan(True, reason, found.public() if found else {}, after)


def _reason(wanted: Wanted, found: Found | None, now: float) -> str:
    if found is None:
        return "there is no certificate that can be used"
    if wanted.mode == SPIFFE and found.spiffe_ids != (wanted.spiffe_id,):
        return f"the certificate is not for {wanted.spiffe_id}"
    if wanted.mode == EXTERNAL_PKI and (found.common_name != wanted.name or found.spiffe_ids):
        return f"the certificate is not for {wanted.name}"
    if not found.signed:
        return "the CA that is there now has not signed it"
    if now < found.not_before or now > (found.not_before + found.not_after) / 2:
        return "half of its life is over"
    return ""


def steps(plan: Plan, ca_is_there: bool) -> list[str]:
    """Return what is done, in order."""
    return ([] if ca_is_there else ["make_ca"]) + (["issue"] if plan.make else [])

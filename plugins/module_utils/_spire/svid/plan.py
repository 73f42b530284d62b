# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Whether an SVID is kept or made anew. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import same
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.model import JWT, NEW, Found, Wanted

RENEW, WRITE_BUNDLE = "renew", "write_bundle"


@dataclass(frozen=True)
class Plan:
    """What is done, and why or why not."""

    verb: str
    reason: str
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.verb)


def plan_svid(wanted: Wanted, found: Found | None, same_bundle: bool, now: float) -> Plan:
    """Plan what becomes of the SVID that stands in the files. ``same_bundle``: whether the authorities there are."""
    reason = _reason(wanted, found, now)
    before = found.public() if found else {}
    if reason:
        return Plan(RENEW, reason, before, _renewed(wanted, before))
    if not same_bundle:
        return Plan(WRITE_BUNDLE, "the trust bundle is another one", {"bundle": "old"}, {"bundle": NEW})
    return Plan("", "the SVID is good")


def _reason(wanted: Wanted, found: Found | None, now: float) -> str:
    if found is None or found.kind != wanted.kind:
        return "there is no SVID that can be used"
    other_names = wanted.dns_names is not None and not same("dns_names", found.dns_names, wanted.dns_names)
    return next(
        (
            reason
            for holds, reason in (
                (wanted.spiffe_id not in (None, found.spiffe_id), f"the SVID is not for {wanted.spiffe_id}"),
                (other_names, "the SVID has other DNS names"),
                (set(wanted.audience) != set(found.audience), "the SVID is for another audience"),
                (not found.trusted, "the authority that signed it is not trusted any more"),
                (now < found.not_before, "it is not valid yet"),
                _ends(wanted, found, now),
            )
            if holds
        ),
        "",
    )


def _ends(wanted: Wanted, found: Found, now: float) -> tuple[bool, str]:
    left, life = found.expires_at - now, found.expires_at - found.not_before
    if wanted.renew_before is None:
        return left < life / 2, "half of its life is over"
    return left < wanted.renew_before, f"less than {wanted.renew_before} s are left"


def _renewed(wanted: Wanted, before: dict[str, Any]) -> dict[str, Any]:
    """What is known of the next one before it is there."""
    after: dict[str, Any] = {
        "type": wanted.kind,
        "spiffe_id": wanted.spiffe_id or before.get("spiffe_id") or NEW,
        "not_before": NEW,
        "expires_at": NEW,
    }
    if wanted.kind == JWT:
        return {**after, "audience": list(wanted.audience)}
    return {**after, "serial_number": NEW, "dns_names": list(wanted.dns_names or ())}

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What must happen so that the server holds the wanted bundles of other trust domains. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.document import PEM
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.wanted import (
    Wanted,
    public,
    same_content,
    same_x509,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry

RESTRICT = "restrict"
DISSOCIATE = "dissociate"
DELETE = "delete"

SHOWN_ENTRIES = 5


@dataclass(frozen=True)
class BundleStep:
    """One thing to do with the bundle of one trust domain: ``set_bundle`` or ``delete_bundle`` (no after)."""

    wanted: Wanted
    before: Bundle | None
    after: Bundle | None
    entries: tuple[Entry, ...] = ()
    """Those that federate with the trust domain, at a deletion."""

    def action(self) -> dict[str, str]:
        return {"verb": "set_bundle" if self.after else "delete_bundle", "id": self.wanted.trust_domain}


@dataclass
class BundlePlan:
    """The steps, and the bundles as they will stand for the wanted items."""

    steps: list[BundleStep] = field(default_factory=list)
    bundles: list[Bundle] = field(default_factory=list)
    mode: str = RESTRICT

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    def diff(self) -> dict[str, Any]:
        """Before and after of each bundle that changes, and of each entry that loses a federation, or goes with it."""
        before: dict[str, Any] = {"bundles": {s.wanted.trust_domain: public(s.before) for s in self.steps if s.before}}
        after: dict[str, Any] = {"bundles": {s.wanted.trust_domain: public(s.after) for s in self.steps if s.after}}
        entries = {entry.entry_id: entry for step in self.steps for entry in step.entries}
        if entries:
            gone = {step.wanted.trust_domain for step in self.steps if step.after is None}
            before["entries"] = {name: _federation(entry) for name, entry in entries.items()}
            after["entries"] = (
                {}
                if self.mode == DELETE
                else {
                    name: _federation(
                        replace(entry, federates_with=tuple(td for td in entry.federates_with if td not in gone))
                    )
                    for name, entry in entries.items()
                }
            )
        return {"before": before, "after": after}


def _federation(entry: Entry) -> dict[str, Any]:
    return {"spiffe_id": entry.spiffe_id, "federates_with": list(entry.federates_with)}


def plan_set(wanted: Sequence[Wanted], held: Mapping[str, Bundle], own: str, allow_older: bool) -> BundlePlan:
    """Plan so that the server holds each wanted bundle. ``held`` are the bundles of other trust domains it has now."""
    refuse_own(wanted, own)
    plan = BundlePlan()
    for want in wanted:
        if want.bundle is None:
            raise ValueError("a wanted bundle has content")
        before = held.get(want.trust_domain)
        after = _merged(want, before)
        if before and _same(want, before):
            plan.bundles.append(before)
            continue
        if before and 0 < want.bundle.sequence_number < before.sequence_number and not allow_older:
            raise want.refused(
                want.source,
                f"it has the sequence number {want.bundle.sequence_number}, and the server holds "
                f"{before.sequence_number}: it is older than what is there. Give the present bundle, or set "
                "allow_older to go back.",
            )
        plan.steps.append(BundleStep(want, before, after))
        plan.bundles.append(after)
    return plan


def _same(want: Wanted, before: Bundle) -> bool:
    # PEM says nothing about JWT keys, so those that the server holds are not judged by it.
    return bool(want.bundle) and (same_x509 if want.form == PEM else same_content)(want.bundle, before)  # type: ignore[arg-type]


def _merged(want: Wanted, before: Bundle | None) -> Bundle:
    """The bundle to set: what PEM does not tell (JWT keys, sequence, hint) stays as the server has it."""
    wanted = want.bundle
    if wanted is None or before is None or want.form != PEM:
        return wanted  # type: ignore[return-value]
    return replace(before, x509_authorities=wanted.x509_authorities)


def plan_delete(
    wanted: Sequence[Wanted], held: Mapping[str, Bundle], own: str, mode: str, entries: Iterable[Entry]
) -> BundlePlan:
    """Plan so that the server holds none of these bundles. ``entries`` are those that may federate with them."""
    refuse_own(wanted, own)
    plan = BundlePlan(mode=mode)
    entries = list(entries)
    for want in wanted:
        before = held.get(want.trust_domain)
        if before is None:
            continue
        federating = tuple(entry for entry in entries if want.trust_domain in entry.federates_with)
        if federating and mode == RESTRICT:
            raise want.refused("trust_domain", f"{_list(federating)} Nothing was changed. {_REMEDY}")
        plan.steps.append(BundleStep(want, before, None, federating))
    return plan


_REMEDY = (
    "Take the trust domain out of their federates_with first, or delete the bundle with spire_bundle and "
    "delete_mode=dissociate, which does so."
)


def _list(entries: Sequence[Entry]) -> str:
    names = [f"{entry.spiffe_id} (entry {entry.entry_id})" for entry in entries[:SHOWN_ENTRIES]]
    more = f" and {len(entries) - SHOWN_ENTRIES} more" if len(entries) > SHOWN_ENTRIES else ""
    return (
        f"{len(entries)} registration entries federate with it, so its bundle is not deleted: {', '.join(names)}{more}."
    )


def refuse_own(wanted: Sequence[Wanted], own: str) -> None:
    """Refuse the trust domain of the server itself: its bundle is made by the server alone."""
    for want in wanted:
        if want.trust_domain == own:
            raise want.refused(
                "trust_domain",
                f"{own} is the trust domain of this server itself. Its bundle is the server's own work; only those of "
                "other trust domains are set and deleted. Is this the server that was meant?",
            )

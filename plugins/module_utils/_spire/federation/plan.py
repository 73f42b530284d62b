# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What must happen so that the server has the wanted federation relationships. Pure.

The order is what keeps entries valid: all bundles come before all relationships, and go after them. An entry that
federates with a trust domain is refused as long as its bundle is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.plan import (
    RESTRICT,
    BundleStep,
    plan_delete,
    plan_set,
    refuse_own,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.wanted import (
    Wanted,
    public,
    same_content,
    share_authority,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import Relationship


@dataclass(frozen=True)
class RelationshipStep:
    """One thing to do: ``create`` (no before), ``update`` or ``delete`` (no after) a relationship."""

    wanted: Wanted
    before: Relationship | None
    after: Relationship | None

    def action(self) -> dict[str, str]:
        verb = "delete" if self.after is None else "update" if self.before else "create"
        return {"verb": verb, "id": self.wanted.trust_domain}


@dataclass(frozen=True)
class RefreshStep:
    """Have the server fetch the bundle now."""

    wanted: Wanted
    relationship: Relationship

    def action(self) -> dict[str, str]:
        return {"verb": "refresh", "id": self.wanted.trust_domain}


Step: TypeAlias = "BundleStep | RelationshipStep | RefreshStep"


@dataclass
class Plan:
    """The steps, the relationships as they will stand, and the bundles of other trust domains before and after.

    ``after`` is what the steps themselves lead to. What a refresh brings is known only from the bundle endpoint; it is
    put in with :meth:`refreshed`, from the server after a run, from the endpoint in check mode.
    """

    steps: list[Step] = field(default_factory=list)
    relationships: list[Relationship] = field(default_factory=list)
    before: dict[str, Bundle] = field(default_factory=dict)
    after: dict[str, Bundle] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def refreshes(self) -> list[RefreshStep]:
        return [step for step in self.steps if isinstance(step, RefreshStep)]

    def refreshed(self, bundles: Mapping[str, Bundle]) -> None:
        """Say what the refreshes brought, or would bring. SPIRE keeps no sequence number of what it fetches."""
        for step in self.refreshes:
            bundle = bundles.get(step.wanted.trust_domain)
            if bundle is not None:
                self.after[step.wanted.trust_domain] = replace(bundle, sequence_number=0)

    @property
    def changed(self) -> bool:
        return bool(self._changed_bundles()) or any(isinstance(step, RelationshipStep) for step in self.steps)

    def actions(self) -> list[dict[str, str]]:
        return [step.action() for step in self.steps]

    def diff(self) -> dict[str, Any]:
        """Before and after of each relationship and bundle that changes."""
        changes = [step for step in self.steps if isinstance(step, RelationshipStep)]
        names = self._changed_bundles()
        return {
            "before": {
                "relationships": {step.wanted.trust_domain: step.before.public() for step in changes if step.before},
                "bundles": {name: public(self.before[name]) for name in names if name in self.before},
            },
            "after": {
                "relationships": {step.wanted.trust_domain: step.after.public() for step in changes if step.after},
                "bundles": {name: public(self.after[name]) for name in names if name in self.after},
            },
        }

    def _changed_bundles(self) -> list[str]:
        touched = [step.wanted.trust_domain for step in self.steps if not isinstance(step, RelationshipStep)]
        names = dict.fromkeys(touched)
        return [name for name in names if not same_content(self.before.get(name), self.after.get(name))]


def plan_present(
    wanted: Sequence[tuple[Wanted, Relationship]],
    current: Iterable[Relationship],
    held: Mapping[str, Bundle],
    own: Bundle,
    *,
    refresh: bool = False,
    update_bundles: bool = False,
) -> Plan:
    """Plan so that each wanted relationship exists. ``held`` are the bundles of other trust domains.

    A bundle that is given is the first one, or with ``update_bundles`` the present one.
    """
    refuse_own([want for want, _relationship in wanted], own.trust_domain)
    now = {relationship.trust_domain: relationship for relationship in current}
    plan = Plan(before=dict(held), after=dict(held))
    if update_bundles:
        given = [want for want, _relationship in wanted if want.bundle]
        steps = plan_set(given, held, own.trust_domain, allow_older=False).steps
        plan.steps += steps
        plan.after.update({step.wanted.trust_domain: step.after for step in steps if step.after})
    for want, _relationship in [] if update_bundles else wanted:
        if want.bundle and want.trust_domain not in held:
            plan.steps.append(BundleStep(want, None, want.bundle))
            plan.after[want.trust_domain] = want.bundle
        elif want.bundle and not share_authority(want.bundle, held[want.trust_domain]):
            plan.warnings.append(
                f"{want.where(want.source)}: the server holds a bundle of {want.trust_domain} already, which has no "
                "authority in common with this one, and is kept: a bundle given here is only the first one. If the "
                "other side was set up anew, set its bundle with spire_bundle."
            )
    for want, relationship in wanted:
        _check_endpoint_bundle(want, relationship, {own.trust_domain, *plan.after})
        before = now.get(want.trust_domain)
        if relationship != before:
            plan.steps.append(RelationshipStep(want, before, relationship))
        plan.relationships.append(relationship)
    if refresh:
        plan.steps += [RefreshStep(want, relationship) for want, relationship in wanted]
    return plan


def _check_endpoint_bundle(want: Wanted, relationship: Relationship, there: set[str]) -> None:
    needed = relationship.endpoint_trust_domain
    if needed is None or needed in there:
        return
    give = (
        "Give bundle or src" if needed == want.trust_domain else f"Set that bundle with spire_bundle, or give {needed}"
    )
    raise want.refused(
        "bundle",
        f"the profile is https_spiffe, and the server holds no bundle of {needed}, by which the endpoint is to be "
        f"authenticated, so that nothing could ever be fetched. {give}, got over a channel that you trust. There is no "
        "falling back to https_web.",
    )


def plan_absent(
    wanted: Sequence[Wanted],
    current: Iterable[Relationship],
    held: Mapping[str, Bundle],
    own: str,
    *,
    delete_bundles: bool,
    entries: Iterable[Entry],
) -> Plan:
    """Plan so that none of these relationships exists, and none of these bundles when that is asked."""
    refuse_own(wanted, own)
    now = {relationship.trust_domain: relationship for relationship in current}
    plan = Plan(before=dict(held), after=dict(held))
    plan.steps += [RelationshipStep(want, now[want.trust_domain], None) for want in wanted if want.trust_domain in now]
    if not delete_bundles:
        return plan
    gone = {want.trust_domain for want in wanted}
    for relationship in now.values():
        needed = relationship.endpoint_trust_domain
        if relationship.trust_domain not in gone and needed in gone:
            want = next(want for want in wanted if want.trust_domain == needed)
            raise want.refused(
                "trust_domain",
                f"the bundle endpoint of {relationship.trust_domain} is authenticated with this bundle, so it is not "
                "deleted. Remove that relationship too, or leave delete_bundles out.",
            )
    bundle_plan = plan_delete(wanted, held, own, RESTRICT, entries)
    plan.steps += bundle_plan.steps
    for step in bundle_plan.steps:
        del plan.after[step.wanted.trust_domain]
    return plan

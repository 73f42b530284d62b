# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Which steps bring an authority where it is wanted. Pure.

The order of a rotation is the server's own: prepare, activate, taint, revoke. Where an authority stands is read from
the server each time, so that a rotation that was interrupted goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.model import (
    ACTIVE,
    FOREIGN,
    OLD,
    PREPARED,
    REVOKED,
    TAINTED,
    UPSTREAM,
    X509,
    Authorities,
)

PREPARE, ACTIVATE, TAINT, REVOKE = "prepare", "activate", "taint", "revoke"

NEW = "(new)"
"""Stands for the id of an authority that is not made yet."""


@dataclass(frozen=True)
class Step:
    """One call. The id of an authority that an earlier step makes is not known yet: it is empty."""

    verb: str
    authority_id: str = ""

    def action(self) -> dict[str, str]:
        return {"verb": self.verb, "id": self.authority_id}


@dataclass
class Plan:
    """The steps, and what the authorities are before and after them, by id."""

    reason: str
    steps: list[Step] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    def diff(self) -> dict[str, Any]:
        return {"before": self.before, "after": self.after}

    def actions(self) -> list[dict[str, str]]:
        return [step.action() for step in self.steps]


def targets(state: Authorities, authority_id: str | None, older_than: int | None, now: float) -> list[str]:
    """Return the ids of the authorities that a rotation must get rid of, in order."""
    if authority_id:
        return [authority_id]
    found = [state.unfinished()] if state.unfinished() else []
    active = state.id_of(state.active)
    age = state.age(active, now)
    if age is None:
        raise TrustmeshError(
            f"older_than: the bundle does not tell when the active authority {active} was made. Give authority_id."
        )
    return [*found, active] if older_than is not None and age > older_than else found


def plan_rotations(state: Authorities, ids: list[str]) -> Plan:
    """Plan to get rid of each of these authorities, one after the other."""
    if not ids:
        return Plan("the active authority is young enough, and no rotation is under way")
    plans = [plan_rotation(state, authority_id, ids[:number]) for number, authority_id in enumerate(ids)]
    whole = Plan("; ".join(plan.reason for plan in plans))
    for plan in plans:
        whole.steps += plan.steps
        whole.before.update(plan.before)
        whole.after.update(plan.after)
    return whole


def plan_rotation(state: Authorities, authority_id: str, gone: list[str] | None = None) -> Plan:
    """Plan so that nothing is signed with an authority any more, and nothing that it signed is trusted.

    ``gone`` are authorities that are revoked before.
    """
    _check_local(state)
    status = state.status(authority_id)
    if status == REVOKED:
        return Plan(f"the authority {authority_id} is not in use and not in the bundle")
    if status == PREPARED:
        raise TrustmeshError(
            f"The authority {authority_id} is prepared but signs nothing yet, so that it cannot be rotated out. The "
            f"active one is {state.id_of(state.active)}.",
            authorities=state.public(),
        )
    if status == FOREIGN:
        raise TrustmeshError(
            f"The authority {authority_id} is in the bundle, but this server neither signs with it nor did so last: "
            "another server of the trust domain does, or it is older. Run on that server, or let it expire.",
            authorities=state.public(),
        )
    plan = Plan(f"the authority {authority_id} is {status}", before={authority_id: status})
    plan.after[authority_id] = REVOKED
    if status == ACTIVE:
        if state.unfinished() and state.unfinished() not in (gone or ()):
            raise _unfinished(state)
        prepared = "" if state.id_of(state.prepared) in ("", authority_id) else _slot_id(state)
        if not prepared:
            plan.steps.append(Step(PREPARE))
        else:
            plan.before[prepared] = PREPARED
        plan.steps.append(Step(ACTIVATE, prepared))
        plan.after[prepared or NEW] = ACTIVE
    if status in (ACTIVE, OLD):
        plan.steps.append(Step(TAINT, authority_id))
    plan.steps.append(Step(REVOKE, authority_id))
    return plan


def plan_step(state: Authorities, wanted: str, authority_id: str, upstream_id: str = "") -> Plan:
    """Plan the one step that brings an authority to ``wanted``, if it is not there or further already.

    With ``upstream_id`` only what that upstream authority has signed counts as prepared.
    """
    if wanted == PREPARED:
        return _plan_prepared_upstream(state, upstream_id) if upstream_id else _plan_prepared(state)
    if wanted == ACTIVE:
        return _plan_active(state, authority_id)
    _check_local(state)
    status = state.status(authority_id)
    if status in (REVOKED, wanted):
        gone = "" if status == wanted else ": it is not in the bundle"
        return Plan(f"the authority {authority_id} is {status}{gone}")
    verb, needed = (TAINT, OLD) if wanted == TAINTED else (REVOKE, TAINTED)
    if status != needed:
        raise _wrong_status(state, authority_id, verb, needed)
    return Plan(
        f"the authority {authority_id} is {status}",
        [Step(verb, authority_id)],
        {authority_id: status},
        {authority_id: wanted},
    )


def _plan_prepared(state: Authorities) -> Plan:
    if state.prepared:
        return Plan(f"the authority {state.prepared.authority_id} is prepared")
    if state.unfinished():
        raise _unfinished(state)
    return Plan("no authority is prepared", [Step(PREPARE)], {}, {NEW: PREPARED})


def _plan_prepared_upstream(state: Authorities, upstream_id: str) -> Plan:
    if state.active.upstream_id == upstream_id:
        # One more would take the slot of the old authority, which then can be neither tainted nor revoked (SPIRE's
        # issue 6198).
        return Plan(f"the active authority {state.active.authority_id} is signed by {upstream_id} already")
    if state.prepared and state.prepared.upstream_id == upstream_id:
        return Plan(f"the authority {state.prepared.authority_id} is prepared, and signed by {upstream_id}")
    left = state.old.upstream_id if state.old else ""
    if left not in ("", upstream_id, state.active.upstream_id) and left in state.bundle:
        raise TrustmeshError(
            f"The upstream authority {left} signed the old authority and is still trusted. Preparing another one now "
            f"would leave it trusted until it expires. Finish first, with type=upstream state=rotated and "
            f"authority_id={left}.",
            authorities=state.public(),
        )
    if not state.prepared:
        return Plan(f"no authority is prepared that {upstream_id} has signed", [Step(PREPARE)], {}, {NEW: PREPARED})
    other = state.prepared.authority_id
    return Plan(
        f"the prepared authority {other} is signed by {state.prepared.upstream_id or 'itself'}",
        [Step(PREPARE)],
        {other: PREPARED},
        {NEW: PREPARED},
    )


def _plan_active(state: Authorities, authority_id: str) -> Plan:
    if authority_id == state.active.authority_id:
        return Plan(f"the authority {authority_id} is active")
    if not state.prepared or authority_id != state.prepared.authority_id:
        prepared = f"which is {state.prepared.authority_id}" if state.prepared else "and none is"
        raise TrustmeshError(
            f"The authority {authority_id} cannot be activated: only the one that is prepared can be, {prepared}.",
            authorities=state.public(),
        )
    before = {authority_id: PREPARED, state.active.authority_id: ACTIVE}
    after = {authority_id: ACTIVE, state.active.authority_id: OLD}
    return Plan(f"the authority {authority_id} is prepared", [Step(ACTIVATE, authority_id)], before, after)


def check_type(state: Authorities) -> None:
    """Refuse the type upstream where there is no upstream authority."""
    if state.kind == UPSTREAM and not state.signed_upstream:
        raise InputError(
            "type=upstream: no upstream authority signs this server's CA, it is self-signed. Use type=x509."
        )


def needed_by_peers(state: Authorities, step: Step) -> str:
    """Return the id of the authority that other trust domains must hold before a step, or nothing.

    Before an authority signs they must hold it. Before the one that signed last goes they must hold what signs now.
    Nothing can be prepared for them where they cannot hold what signs, so that is looked at first.
    """
    needed = state.trusted_id(state.prepared if step.verb == ACTIVATE else state.active)
    if needed not in state.bundle:
        raise TrustmeshError(
            f"peers: the authority {needed} is not in the server's own bundle, so that no peer can have it from there. "
            "It is below the root, such as an intermediate of the upstream CA, and peers believe what it signs by the "
            "root. Leave peers out. When the root changes, set propagation above the refresh hint of the bundle.",
            authorities=state.public(),
        )
    return "" if step.verb == PREPARE else needed


def _check_local(state: Authorities) -> None:
    if state.kind == X509 and state.signed_upstream:
        raise TrustmeshError(
            "An upstream authority signs this server's X.509 authority, so that it is not in the bundle and cannot be "
            "tainted or revoked. What can be is the upstream authority: let it sign with a new key first, then use "
            f"type=upstream with authority_id={state.active.upstream_id}. To renew only this server's own key, use "
            "state=prepared and state=activated.",
            authorities=state.public(),
        )


def _slot_id(state: Authorities) -> str:
    return state.prepared.authority_id if state.prepared else ""


def _unfinished(state: Authorities) -> TrustmeshError:
    left = state.unfinished()
    return TrustmeshError(
        f"The authority {left} is tainted and not yet revoked. Preparing another one now would leave it trusted until "
        f"it expires. Finish first, with state=rotated or state=revoked and authority_id={left}.",
        authorities=state.public(),
    )


def _wrong_status(state: Authorities, authority_id: str, verb: str, needed: str) -> TrustmeshError:
    remedy = {
        ACTIVE: "Prepare and activate another one first, or use state=rotated.",
        PREPARED: "It signs nothing yet.",
        OLD: "Taint it first, so that everything it signed is replaced.",
        FOREIGN: "Another server of the trust domain signs with it, or it is older. Run there, or let it expire.",
    }[state.status(authority_id)]
    return TrustmeshError(
        f"The authority {authority_id} is {state.status(authority_id)}; to {verb} it, it must be {needed}. {remedy}",
        authorities=state.public(),
    )

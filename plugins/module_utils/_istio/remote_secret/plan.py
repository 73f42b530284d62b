# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What to do about a remote secret, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.model import (
    ASKED,
    CLUSTER,
    LABEL,
    NEW,
    Held,
    Token,
    Wanted,
    is_loopback,
    moment,
    shown,
)

CREATED, UPDATED, DELETED = "created", "updated", "deleted"
TAKEN_OVER = "somebody else made it for the same cluster"
DISBELIEVED = "the other API server does not take its token any more"
MISREAD = "istiod has read by it, before it knew their trust domain: "
SHOWN = 3
"""How many workloads are named."""


@dataclass(frozen=True)
class Plan:
    """What is done to the Secret, nothing when it is left alone. A Secret that is written gets a new token."""

    verb: str = ""
    reasons: tuple[str, ...] = ()
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    """As far as it is known before the token is there."""

    @property
    def changed(self) -> bool:
        return bool(self.verb)


def plan_present(
    wanted: Wanted, held: Held | None, now: float, believed: bool = True, strangers: Sequence[str] = ()
) -> Plan:
    """Plan what becomes of the Secret.

    ``now`` is in seconds since 1970, ``believed`` what the other API server says of the token, ``strangers`` the
    workloads that an istiod takes for others than they are: it reads all anew by a new token. Raises InputError for a
    Secret that serves something else.
    """
    if held is None:
        return Plan(CREATED, ("there is none",), {}, _after(wanted))
    _refuse_others(wanted, held)
    reasons = _reasons(wanted, held, now) or (() if believed else (DISBELIEVED,))
    if not reasons and strangers:
        reasons = (MISREAD + ", ".join(strangers[:SHOWN]) + (" and others" if len(strangers) > SHOWN else ""),)
    return Plan(UPDATED, reasons, shown_of(held), _after(wanted)) if reasons else Plan()


def plan_absent(held: Held | None) -> Plan:
    """Plan the removal. What somebody else made stays."""
    if held is None or not held.ours:
        return Plan()
    return Plan(DELETED, (), shown_of(held), {})


def _after(wanted: Wanted) -> dict[str, Any]:
    return shown(wanted.server, wanted.authority, wanted.account, NEW)


def shown_of(held: Held) -> dict[str, Any]:
    """Return what is shown of a Secret that is there."""
    token = held.token
    account, expires = (token.account, moment(token.expires)) if token else (None, "")
    return shown(held.server, held.authority, account, expires)


def _refuse_others(wanted: Wanted, held: Held) -> None:
    others = [key for key in held.keys if key != wanted.cluster]
    if others:
        why = f"it holds kubeconfigs or other values for {', '.join(others)}"
    elif not held.opaque:
        why = "it is of another type than Opaque"
    elif not held.ours and (held.labels.get(LABEL[0]), held.annotations.get(CLUSTER)) != (LABEL[1], wanted.cluster):
        why = f"neither this collection nor istioctl made it for the cluster {wanted.cluster}"
    else:
        return
    raise InputError(
        f"cluster: there is a Secret {wanted.namespace}/{wanted.name} that serves something else: {why}. Look what"
        " it is for, and remove it or take that out."
    )


def _reasons(wanted: Wanted, held: Held, now: float) -> tuple[str, ...]:
    if not held.ours:
        return (TAKEN_OVER,)
    if held.token is None or held.authority is None:
        return ("it holds no kubeconfig of the form that is written here",)
    token, found = held.token, []
    if held.server != wanted.server:
        found.append(f"its server is {held.server}")
    if held.authority != wanted.authority:
        found.append("its CA is another one")
    if str(token.account) != str(wanted.account):
        found.append(f"its token is of the ServiceAccount {token.account}")
    elif token.account.uid != wanted.account.uid:
        found.append(f"the ServiceAccount {wanted.account} was made anew, which has made its token void")
    if held.annotations.get(ASKED) != wanted.annotations[ASKED]:
        found.append(f"its token was not asked for with a life of {wanted.lifetime} s")
    elif now >= wanted.renewed_from(token):
        found.append(f"its token {'ends' if token.expires > now else 'ended'} at {moment(token.expires)}")
    if not (wanted.labels.items() <= held.labels.items() and held.annotations.get(CLUSTER) == wanted.cluster):
        found.append("its labels or annotations are others")
    return tuple(found)


def warnings(wanted: Wanted, plan: Plan, token: Token | None) -> list[str]:
    """Say what the user has to know or to do. ``token`` is the one that is there at the end, if any."""
    found = []
    if is_loopback(wanted.server):
        found.append(
            f"server: {wanted.server} leads each pod to itself. Give the address at which pods of this cluster reach"
            " the other API server."
        )
    if TAKEN_OVER in plan.reasons:
        found.append(
            f"The token that was in {wanted.namespace}/{wanted.name} may have no end. If istioctl made it, delete the"
            f" Secret {wanted.account}-istio-remote-secret-token in the other cluster, so that it is void."
        )
    if token and token.lifetime < wanted.lifetime:
        found.append(
            f"The other API server gave a token for {token.lifetime} s, and not for the {wanted.lifetime} s of"
            f" token_lifetime. Run this again between {moment(wanted.renewed_from(token))} and {moment(token.expires)}."
        )
    return found

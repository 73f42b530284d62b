# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What to do about an upstream CA, and where a server stands between two of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.model import TAINTED as MARKED
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.model import Authorities
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.model import (
    ACTIVATED,
    BEFORE,
    DAY,
    DONE,
    LOST,
    NEW,
    ROTATE,
    SELF_SIGNED,
    TAINTED,
    Known,
)

PRESENT, ROTATING, FINISHED, ABSENT = "present", "rotating", "finished", "absent"
CURRENT, PREVIOUS = "current", "previous"

RESTORE, ADOPT, MAKE, KEEP, DROP, REMOVE = "restore", "adopt", "make", "keep", "drop", "remove"
APPLY, ANNOTATE, WITHDRAW = "apply", "annotate", "withdraw"


@dataclass(frozen=True)
class Folder:
    """What is in the folder of a CA: the one that signs, and while it is replaced the one before."""

    current: Known | None = None
    previous: Known | None = None


@dataclass
class Plan:
    """What is done to the folder and to the cluster, and what that makes of it."""

    folder: list[str] = field(default_factory=list)
    reason: str = ""
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.folder)


def plan_folder(
    state: str, folder: Folder, in_cluster: Known | None, purge: bool = False, istio: Known | None = None
) -> Plan:
    """Plan what becomes of a CA that is made here.

    ``in_cluster`` is what the server's Secret holds: a folder that is lost is restored from it, because the server
    goes on to stand under that CA. ``istio`` is the CA of an istiod, which is taken where there is no other one.
    """
    current, previous = folder.current, folder.previous
    if state == ABSENT:
        steps = [REMOVE] if purge and (current or previous) else []
        return _with(steps, "the CA goes" if purge else "the CA is kept", current, None)
    if state == FINISHED:
        if previous and not current:
            raise TrustmeshError(f"The CA was put aside and there is no new one yet. Run {ROTATE}.")
        return _with([DROP] if previous else [], "no other CA is needed any more", previous, None)
    return _plan_current(state == ROTATING, current, previous, in_cluster, istio)


def _plan_current(
    rotating: bool, current: Known | None, previous: Known | None, in_cluster: Known | None, istio: Known | None
) -> Plan:
    if previous is None and current is None:
        if rotating:
            raise InputError(
                "path: there is no CA in it that could be replaced. Run trustmesh.spiffe.site first, which makes or"
                " restores it."
            )
        if in_cluster:
            return _with([RESTORE], "the folder is empty, and the server's Secret has the CA", None, in_cluster)
        if istio:
            return _with([ADOPT], "there is no CA yet, and istiod has one", None, istio)
        return _with([MAKE], "there is no CA yet", None, NEW)
    if current is None:
        return _with([MAKE], "a rotation has put the CA before it aside", None, NEW)
    if rotating and previous is None:
        return _with([KEEP, MAKE], f"{current.authority.authority_id} is to be replaced", current, NEW)
    return Plan(reason="a rotation is under way" if previous else "the CA is there")


def foreseen(plan: Plan, folder: Folder, in_cluster: Known | None, istio: Known | None = None) -> Folder:
    """What the folder will hold after the plan. A CA that is not made yet is not known."""
    if MAKE in plan.folder:
        return Folder(None, folder.current if KEEP in plan.folder else folder.previous)
    if RESTORE in plan.folder:
        return Folder(in_cluster, folder.previous)
    if ADOPT in plan.folder:
        return Folder(istio, folder.previous)
    return Folder(folder.current, None if DROP in plan.folder else folder.previous)


def _with(steps: list[str], reason: str, before: Known | None, after: Known | str | None) -> Plan:
    plan = Plan(steps, reason)
    if steps:
        plan.before = before.authority.shown() if before else {}
        plan.after = after.authority.shown() if isinstance(after, Known) else ({"sha256": after} if after else {})
    return plan


def plan_secret(wanted_id: str, same: bool, annotations: Mapping[str, str], name: str) -> list[str]:
    """Plan what becomes of the Secret, and which pods are told to look at it: ``annotations`` of the server's pods.

    A kubelet looks at once at the volumes of a pod that changes, and at a Secret that changes by and by. A pod that has
    never been told came after the Secret.
    """
    steps = [] if same else [f"{APPLY} {name}"]
    for pod, told in sorted(annotations.items()):
        if told != wanted_id and (told or not same):
            steps.append(f"{ANNOTATE} {pod}")
    return steps


def stage(state: Authorities, wanted_id: str, previous_id: str) -> tuple[str, str]:
    """Return where a server stands on its way to a CA, and the id of the one that has to go (nothing when none has)."""
    if not state.signed_upstream:
        return SELF_SIGNED, ""
    if state.active.upstream_id != wanted_id:
        return BEFORE, state.active.upstream_id
    old = state.old.upstream_id if state.old else ""
    for retiring in (previous_id, old):
        if retiring and retiring != wanted_id and retiring in state.bundle:
            if old != retiring:
                # Nobody can taint or revoke it any more (SPIRE's issue 6198).
                return LOST, retiring
            return (TAINTED if state.status(retiring) == MARKED else ACTIVATED), retiring
    return DONE, ""


def warnings(known: Known, renew_before_days: int, made_here: bool) -> list[str]:
    """Say when a CA is near its end."""
    left = known.authority.seconds_left
    if left > renew_before_days * DAY:
        return []
    first = "" if made_here else "Put a new certificate and key into their files, then run "
    return [
        f"The upstream CA {known.authority.authority_id} ends at {known.authority.not_after}, in {int(left // DAY)}"
        f" days, and everything that it signed ends with it. {first or 'Replace it with '}the playbook {ROTATE}."
    ]

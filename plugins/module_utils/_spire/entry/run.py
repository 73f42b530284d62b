# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_entry: read, plan, apply, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.client import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import ItemResult
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import wanted_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.plan import Plan, Step, plan_absent, plan_present
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.registrar import (
    refuse_unprefixed_registrar,
    registrar_spec,
)


def entry_spec() -> ArgumentSpec:
    """The options of spire_entry."""
    fields: dict[str, dict[str, Any]] = {
        "spiffe_id": {"type": "str", "required": True},
        "parent_id": {"type": "str", "required": True},
        "selectors": {"type": "list", "elements": "str", "required": True},
        "x509_svid_ttl": {"type": "int"},
        "jwt_svid_ttl": {"type": "int"},
        "federates_with": {"type": "list", "elements": "str"},
        "dns_names": {"type": "list", "elements": "str"},
        "admin": {"type": "bool"},
        "downstream": {"type": "bool"},
        "store_svid": {"type": "bool"},
        "hint": {"type": "str"},
        "expires_at": {"type": "int"},
        "entry_id": {"type": "str"},
    }
    return ArgumentSpec(
        options={
            "entries": {"type": "list", "elements": "dict", "required": True, "options": fields},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "acknowledge_privileged": {"type": "bool", "default": False},
        }
    ).merge(spire_spec(), registrar_spec())


def run_entry(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Make the server hold, or not hold, the entries of ``params``."""
    wanted = wanted_entries(params["entries"], params["acknowledge_privileged"])
    server = connect(params)
    make_plan = plan_present if params["state"] == "present" else plan_absent
    plan = make_plan(wanted, server.list_entries()) if wanted else Plan()
    refuse_unprefixed_registrar(params, server, [step.entry.entry_id for step in plan.steps if step.verb != "delete"])
    if not check_mode:
        _apply(server, plan)
    return Outcome(
        changed=plan.changed,
        diff=plan.diff(),
        warnings=plan.warnings(),
        result={"entries": [entry.public() for entry in plan.entries], "actions": plan.actions()},
    )


def _apply(server: SpireServer, plan: Plan) -> None:
    """Carry the plan out. Stops after the first batch that holds a failed item, and raises telling what was done."""
    done: list[Step] = []
    calls: list[tuple[str, Callable[[Sequence[Step]], Iterator[list[ItemResult]]]]] = [
        ("delete", lambda steps: server.delete_entries([step.entry.entry_id for step in steps])),
        ("create", lambda steps: server.create_entries([step.entry for step in steps])),
        ("update", lambda steps: server.update_entries([step.entry for step in steps])),
    ]
    for verb, call in calls:
        steps = plan.of(verb)
        if not steps:
            continue
        position = 0
        try:
            for results in call(steps):
                judged = list(zip(steps[position : position + len(results)], results, strict=True))
                position += len(results)
                done += [step for step, result in judged if _achieved(step, result)]
                failed = [(step, result) for step, result in judged if not _achieved(step, result)]
                if failed:
                    raise _failure(plan, done, failed)
        except TrustmeshError as error:
            error.details.setdefault("changed", bool(done))
            error.details.setdefault("actions", [step.action() for step in done])
            raise


def _achieved(step: Step, result: ItemResult) -> bool:
    # An entry that somebody else deleted meanwhile (5, not found) is as absent as wanted.
    return result.ok or (step.verb == "delete" and result.code == 5)


def _failure(plan: Plan, done: Sequence[Step], failed: Sequence[tuple[Step, ItemResult]]) -> TrustmeshError:
    reports = [
        {
            "index": step.index,
            "verb": step.verb,
            "id": step.entry.entry_id,
            "spiffe_id": step.entry.spiffe_id,
            "code": result.code,
            "reason": _reason(step, result),
        }
        for step, result in failed
    ]
    first = reports[0]
    more = f" (and {len(reports) - 1} more, see failed)" if len(reports) > 1 else ""
    return TrustmeshError(
        f"entries[{first['index']}] ({first['spiffe_id']}): the server refused to {first['verb']} it: "
        f"{first['reason']}{more}. Of {len(plan.steps)} changes {len(done)} were made; run again after mending it.",
        changed=bool(done),
        actions=[step.action() for step in done],
        failed_entries=reports,
    )


def _reason(step: Step, result: ItemResult) -> str:
    if step.verb == "create" and result.code == 6:
        return f"{result.message}: it was created by someone else meanwhile, or its id {step.entry.entry_id} is taken"
    if "unable to find federated bundle" in result.message:
        return f"{result.message}: field federates_with names a trust domain whose bundle the server does not have yet"
    return result.message

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_entry: read, plan, apply, report."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import (
    InputError,
    NotReachedError,
    ProcessError,
    TrustmeshError,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import (
    list_federated_bundles,
    show_bundle,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import (
    ALREADY_EXISTS,
    FAILED_PRECONDITION,
    MAX_PAGE_BYTES,
    NOT_FOUND,
    PAGE_ITEMS,
    ItemResult,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import (
    create_entries,
    delete_entries,
    list_entries,
    update_entries,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.codec import entry_weight, field_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import (
    FIELDS,
    Entry,
    Wanted,
    check_owner,
    same,
    trust_domain_part,
    wanted_entries,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.plan import (
    VERBS,
    Plan,
    Rules,
    Step,
    diff,
    plan_absent,
    plan_present,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.source import read_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.registrar import (
    refuse_unprefixed_registrar,
    registrar_spec,
)

MANY = 1000
"""Up to so many entries are returned when nothing else is asked for. Ansible copies a result several times."""

MAX_ROUNDS = 3
"""How often the server is read anew when others changed it between reading and writing."""

FIELD_SPECS: dict[str, dict[str, Any]] = {
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


def spec() -> ArgumentSpec:
    """The options of spire_entry."""
    return ArgumentSpec(
        options={
            "entries": {"type": "list", "elements": "dict", "options": FIELD_SPECS},
            "src": {"type": "path"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "owner": {"type": "str"},
            "purge": {"type": "str", "choices": ["none", "owned"], "default": "none"},
            "allow_empty": {"type": "bool", "default": False},
            "adopt": {"type": "bool", "default": True},
            "on_refusal": {"type": "str", "choices": ["stop", "continue"], "default": "stop"},
            "return_entries": {"type": "str", "choices": ["auto", "all", "changed", "none"], "default": "auto"},
            "acknowledge_privileged": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("entries", "src")],
        required_one_of=[("entries", "src")],
    ).merge(spire_spec(), registrar_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Make the server hold, or not hold, the entries of ``params``."""
    rules = _rules(params)
    wanted = _wanted(params, rules)
    task = _Task(params, connect(params), wanted, rules)
    if not wanted and not rules.purge:
        return task.outcome(Plan(), [])
    plan = task.plan()
    refused = task.foreseen_refusals(plan)
    if refused and params["on_refusal"] == "stop":
        raise _failure(refused, [], len(plan.steps), check_mode)
    steps = _without(plan.steps, refused)
    refuse_unprefixed_registrar(params, task.server, [step.entry.entry_id for step in steps if step.verb != "delete"])
    done, planned = steps, len(plan.steps)
    if not check_mode:
        plan, done, failed = task.apply(plan, steps)
        refused += failed
    if refused:
        raise _failure(refused, done, planned, check_mode)
    return task.outcome(plan, done)


@dataclass(frozen=True)
class _Refusal:
    """A step that the server refuses, or would refuse."""

    step: Step
    where: str
    field: str | None
    code: int
    reason: str

    def described(self) -> dict[str, Any]:
        return {
            "index": self.step.index,
            "field": self.field,
            "verb": self.step.verb,
            "id": self.step.entry.entry_id,
            "spiffe_id": self.step.entry.spiffe_id,
            "code": self.code,
            "reason": self.reason,
        }


@dataclass
class _Progress:
    """What was done so far, and what was not."""

    done: list[Step] = field(default_factory=list)
    failed: list[tuple[Step, ItemResult]] = field(default_factory=list)
    raced: list[tuple[Step, ItemResult]] = field(default_factory=list)


@dataclass(frozen=True)
class _Task:
    params: Mapping[str, Any]
    server: SpireServer
    wanted: Sequence[Wanted]
    rules: Rules

    def plan(self) -> Plan:
        current = list_entries(self.server)
        self._check_trust_domain(current)
        make_plan = plan_present if self.params["state"] == "present" else plan_absent
        plan = make_plan(self.wanted, current, self.rules)
        _check_weight(plan, current)
        return plan

    def foreseen_refusals(self, plan: Plan) -> list[_Refusal]:
        """What the server would refuse: it lacks the bundle of a trust domain that an entry federates with."""
        federated = [step for step in plan.steps if step.after and step.after.federates_with]
        if not federated:
            return []
        known = {bundle.trust_domain for bundle in list_federated_bundles(self.server)}
        return [
            _Refusal(step, self._where(step), "federates_with", FAILED_PRECONDITION, _missing(missing))
            for step in federated
            if (missing := [name for name in step.entry.federates_with if name not in known])
        ]

    def apply(self, plan: Plan, steps: Sequence[Step]) -> tuple[Plan, list[Step], list[_Refusal]]:
        """Carry the steps out; return the plan as it came to be, the steps that were done and those that failed.

        Where somebody else was quicker, the server is read again, and what then is still to be done is done.
        """
        progress = _Progress()
        for _round in range(MAX_ROUNDS):
            progress.raced = []
            self._write(steps, progress)
            if not progress.raced or (progress.failed and self.params["on_refusal"] == "stop"):
                break
            late = {step.index for step, _result in progress.raced}
            try:
                plan = self.plan()
            except TrustmeshError as error:
                raise _with_progress(error, progress.done) from error
            steps = [step for step in plan.steps if step.index in late]
        failed = progress.failed + progress.raced
        return plan, progress.done, [self._refusal(step, result) for step, result in failed]

    def _write(self, steps: Sequence[Step], progress: _Progress) -> None:
        for verb in VERBS:
            mine = [step for step in steps if step.verb == verb]
            position = 0
            try:
                for results in self._call(verb, mine):
                    for step, result in zip(mine[position : position + len(results)], results, strict=True):
                        _judge(step, result, progress)
                    position += len(results)
                    if progress.failed and self.params["on_refusal"] == "stop":
                        return
            except TrustmeshError as error:
                raise self._settled(error, mine[position:], progress.done) from error

    def _call(self, verb: str, steps: Sequence[Step]) -> Iterator[list[ItemResult]]:
        if verb == "delete":
            return delete_entries(self.server, [step.entry.entry_id for step in steps])
        entries = [step.entry for step in steps]
        return create_entries(self.server, entries) if verb == "create" else update_entries(self.server, entries)

    def _settled(self, error: TrustmeshError, unknown: Sequence[Step], done: list[Step]) -> TrustmeshError:
        """The error of a call that broke off, with what was done after all: the server may have gone on."""
        if isinstance(error, NotReachedError):
            return _with_progress(error, done)
        try:
            held = {entry.entry_id: entry for entry in list_entries(self.server)}
        except ProcessError:
            return _with_progress(
                error,
                done,
                f"Of {len(unknown) + len(done)} changes {len(done)} are known to be made; the server does not answer, "
                "so whether it made more is not known. Run again when it does.",
                changed=True,
                unknown=len(unknown),
            )
        made = [step for step in unknown if _is_done(step, held)]
        return _with_progress(error, [*done, *made], f"{len(done) + len(made)} changes were made. Run again.")

    def outcome(self, plan: Plan, done: Sequence[Step]) -> Outcome:
        made = [sum(step.verb == verb for step in done) for verb in ("create", "update", "delete")]
        counts = dict(zip(("created", "updated", "deleted"), made, strict=True))
        changed = {step.index for step in done}
        counts["unchanged"] = sum(index not in changed for index in plan.entries)
        counts["adopted"] = plan.adopted
        result: dict[str, Any] = {
            "actions": [step.action() for step in done],
            "counts": counts,
            "duplicates": plan.described_duplicates(),
        }
        which = self.params["return_entries"]
        if which == "auto":
            which = "all" if len(self.wanted) <= MANY else "none"
        if which != "none":
            items = sorted(plan.entries.items())
            result["entries"] = [entry.public() for index, entry in items if which == "all" or index in changed]
        return Outcome(changed=bool(done), diff=diff(done), warnings=plan.warnings(), result=result)

    def _check_trust_domain(self, current: Sequence[Entry]) -> None:
        if not self.wanted:
            return
        ours = trust_domain_part(self.wanted[0].key.spiffe_id)
        # Every entry is of the server's own domain, so only an empty server must be asked.
        domain = trust_domain_part(current[0].spiffe_id) if current else show_bundle(self.server).trust_domain
        if ours != domain:
            raise InputError(
                f"{self.wanted[0].where()}: the server signs for the trust domain {domain}, not for {ours}. Is it the "
                "server that is meant?",
                index=self.wanted[0].index,
                field="spiffe_id",
            )

    def _where(self, step: Step) -> str:
        if step.index is None:
            return f"entry {step.entry.entry_id} ({step.entry.spiffe_id})"
        source = self.wanted[0].source if self.wanted else "entries"
        return f"{source}[{step.index}] ({step.entry.spiffe_id})"

    def _refusal(self, step: Step, result: ItemResult) -> _Refusal:
        return _Refusal(step, self._where(step), field_of(result.message), result.code, _reason(step, result))


def _rules(params: Mapping[str, Any]) -> Rules:
    owner = params["owner"]
    check_owner(owner)
    purge = params["purge"] == "owned"
    if purge and not owner:
        raise InputError("purge: owned needs owner, the name by which the entries to keep or delete are known.")
    if purge and params["state"] == "absent":
        raise InputError(
            "purge: it goes with state: present. To delete all of an owner, give no entries and allow_empty."
        )
    return Rules(owner, params["adopt"], purge)


def _wanted(params: Mapping[str, Any], rules: Rules) -> list[Wanted]:
    # An empty src is no empty list: it is a file's name that got lost, and is refused as one that cannot be read.
    source = "entries" if params["src"] is None else "src"
    items = params["entries"] or [] if params["src"] is None else read_entries(params["src"], FIELD_SPECS)
    if rules.purge and not items and not params["allow_empty"]:
        raise InputError(
            f"{source}: it is empty, and purge would delete every entry of the owner {rules.owner}. Set allow_empty to "
            "true if that is meant."
        )
    return wanted_entries(items, params["acknowledge_privileged"], rules.owner, source)


def _check_weight(plan: Plan, current: Iterable[Entry]) -> None:
    """Refuse entries so large that the server's list of entries could not be read any more.

    ``entry show`` reads them in pages of a fixed number, and gRPC refuses an answer that is too large. Which entries
    stand on one page cannot be known, so the largest together are taken.
    """
    light = MAX_PAGE_BYTES // PAGE_ITEMS
    weights = {step.entry.entry_id: entry_weight(step.entry) for step in plan.steps if step.after}
    heaviest = max(weights, key=lambda name: weights[name], default="")
    if not heaviest or weights[heaviest] <= light:
        return
    gone = {step.entry.entry_id for step in plan.of("delete")} | weights.keys()
    others = [entry_weight(entry) for entry in current if entry.entry_id not in gone]
    if sum(heapq.nlargest(PAGE_ITEMS, [*weights.values(), *others])) > MAX_PAGE_BYTES:
        step = next(step for step in plan.steps if step.entry.entry_id == heaviest)
        raise InputError(
            f"The entry {step.entry.spiffe_id} has {weights[heaviest]} bytes. spire-server reads {PAGE_ITEMS} entries "
            f"at once, and the {PAGE_ITEMS} largest together are over gRPC's limit of {MAX_PAGE_BYTES // 2**20} MiB: "
            "the list of entries could not be read any more. Give it fewer selectors or DNS names.",
            index=step.index,
        )


def _judge(step: Step, result: ItemResult, progress: _Progress) -> None:
    # An entry that somebody else deleted meanwhile is as absent as wanted.
    if result.ok:
        progress.done.append(step)
    elif step.verb == "delete" and result.code == NOT_FOUND:
        return
    elif (step.verb, result.code) in (("create", ALREADY_EXISTS), ("update", NOT_FOUND)):
        progress.raced.append((step, result))
    else:
        progress.failed.append((step, result))


def _is_done(step: Step, held: Mapping[str, Entry]) -> bool:
    entry = held.get(step.entry.entry_id)
    if step.after is None or entry is None:
        return step.after is None and entry is None
    wanted = step.after
    return entry.key == wanted.key and all(same(name, getattr(entry, name), getattr(wanted, name)) for name in FIELDS)


def _without(steps: Sequence[Step], refused: Sequence[_Refusal]) -> list[Step]:
    left_out = {refusal.step.index for refusal in refused}
    return [step for step in steps if step.index is None or step.index not in left_out]


def _with_progress(error: TrustmeshError, done: Sequence[Step], text: str = "", **details: Any) -> TrustmeshError:
    """Return the error with what was done before it."""
    return error.extended(text, **{"changed": bool(done), "actions": [step.action() for step in done], **details})


def _failure(refused: Sequence[_Refusal], done: Sequence[Step], planned: int, check_mode: bool) -> TrustmeshError:
    first = refused[0]
    name = f"{first.where}, {first.field}" if first.field else first.where
    more = f" (and {len(refused) - 1} more, see failed_entries)" if len(refused) > 1 else ""
    verb, made = ("would refuse", "would be made") if check_mode else ("refused", "were made")
    error = TrustmeshError(
        f"{name}: the server {verb} to {first.step.verb} it: {first.reason}{more}. "
        f"Of {planned} changes {len(done)} {made}; run again after fixing it.",
        failed_entries=[refusal.described() for refusal in refused],
    )
    return _with_progress(error, done)


def _missing(names: Sequence[str]) -> str:
    return f"it has no bundle of {', '.join(names)}; set it first (spire_bundle or spire_federation)"


def _reason(step: Step, result: ItemResult) -> str:
    if step.verb == "create" and result.code == ALREADY_EXISTS:
        return f"{result.message}: others keep creating it, or its id {step.entry.entry_id} is taken"
    if step.verb == "update" and result.code == NOT_FOUND:
        return f"{result.message}: others keep deleting it"
    if "unable to find federated bundle" in result.message:
        return f"{result.message}: federates_with names a trust domain whose bundle the server does not have yet"
    return result.message

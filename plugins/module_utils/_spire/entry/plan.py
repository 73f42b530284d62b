# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What must happen so that the server holds what is wanted. Pure: values in, a plan out.

Entries are matched by key: SPIFFE ID, parent and selectors. Besides, an entry that carries the id which a wanted entry
would get is that entry, with a key that somebody changed; it is led back. Fields that the user did not name are kept.

Who made an entry is told by its id. What another owner made is never touched; what was made by hand or by other
programs is taken over if ``adopt`` allows it, and then keeps its id, so that no purge ever takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import (
    Entry,
    Key,
    Wanted,
    owner_of,
    owner_prefix,
    same,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact

VERBS = ("delete", "update", "create")
"""The order in which steps are done. A key that an update sets free may be one that a create needs."""

MAX_WARNINGS = 10


@dataclass(frozen=True)
class Rules:
    """Who acts, and what may be done to entries that others made."""

    owner: str | None = None
    adopt: bool = True
    purge: bool = False

    def is_ours(self, entry: Entry) -> bool:
        return owner_of(entry.entry_id) == (self.owner or "")


@dataclass(frozen=True)
class Step:
    """One thing to do: ``create`` (no before), ``update``, or ``delete`` (no after). A purge has no ``index``."""

    verb: str
    index: int | None
    before: Entry | None
    after: Entry | None

    @property
    def entry(self) -> Entry:
        """The entry that the step is about."""
        entry = self.after or self.before
        if entry is None:
            raise ValueError("a step has one side at least")
        return entry

    def action(self) -> dict[str, str]:
        return {"verb": self.verb, "id": self.entry.entry_id, "spiffe_id": self.entry.spiffe_id}


def diff(steps: Iterable[Step]) -> dict[str, Any]:
    """Before and after of each entry that changes, by id: of an update only the fields that differ."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for step in steps:
        old = step.before.public() if step.before else {}
        new = step.after.public() if step.after else {}
        shown = [name for name in (new or old) if name == "spiffe_id" or old.get(name) != new.get(name)]
        if step.before:
            before[step.entry.entry_id] = {name: old[name] for name in shown}
        if step.after:
            after[step.entry.entry_id] = {name: new[name] for name in shown}
    return {"before": before, "after": after}


@dataclass
class Plan:
    """The steps in the order in which they are done, the entries as they will stand, and what was noticed."""

    steps: list[Step] = field(default_factory=list)
    entries: dict[int, Entry] = field(default_factory=dict)
    """By the place of the wanted item in the user's list."""
    duplicates: list[list[Entry]] = field(default_factory=list)
    """Entries of the server that have one key together, the managed one first."""
    managed: set[Key] = field(default_factory=set)
    """The keys of ``twins`` that the user's list names."""
    adopted: int = 0
    """How many of ``entries`` were made by others."""

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    def of(self, verb: str) -> list[Step]:
        return [step for step in self.steps if step.verb == verb]

    def actions(self) -> list[dict[str, str]]:
        return [step.action() for step in self.steps]

    def diff(self) -> dict[str, Any]:
        return diff(self.steps)

    def order(self) -> Plan:
        """Bring the steps into the order in which they are done."""
        self.steps.sort(key=lambda step: VERBS.index(step.verb))
        return self

    def warnings(self) -> list[str]:
        """One warning for each wanted key that the server holds more than once."""
        texts = [
            f"The server holds {len(duplicates)} entries for {duplicates[0].key}: ids "
            f"{', '.join(entry.entry_id for entry in duplicates)}. Only the first is managed; delete the others."
            for duplicates in self.duplicates
            if duplicates[0].key in self.managed
        ]
        if len(texts) > MAX_WARNINGS:
            texts[MAX_WARNINGS:] = [f"There are {len(texts) - MAX_WARNINGS} more keys with several entries: see twins."]
        return texts

    def described_duplicates(self) -> list[dict[str, Any]]:
        return [
            {
                "spiffe_id": duplicates[0].spiffe_id,
                "parent_id": redact(duplicates[0].parent_id),
                "selectors": [redact(selector) for selector in duplicates[0].selectors],
                "ids": [entry.entry_id for entry in duplicates],
            }
            for duplicates in self.duplicates
        ]


def plan_present(wanted: Sequence[Wanted], current: Sequence[Entry], rules: Rules | None = None) -> Plan:
    """Plan so that each wanted entry exists with the fields that were named, and no other of the owner's if purged."""
    rules = rules or Rules()
    server = _Index(current)
    plan = Plan()
    conflicts: list[InputError] = []
    matcher = _Matcher(wanted, server, rules, plan)
    for want in wanted:
        before = matcher.match(want)
        if before is None:
            after = _merged(Entry(*want.key, entry_id=want.target_id), want)
            plan.steps.append(Step("create", want.index, None, after))
        else:
            if not (rules.is_ours(before) or before.entry_id == want.entry_id):
                conflicts += _conflict(want, before, rules, "manage")
                plan.adopted += 1
            after = _merged(before, want)
            if after is not before:
                plan.steps.append(Step("update", want.index, before, after))
        plan.entries[want.index] = after
    _refuse(conflicts)
    if rules.purge and rules.owner:
        prefix = owner_prefix(rules.owner)
        kept = {entry.entry_id for entry in plan.entries.values()}
        gone = [entry for entry in current if entry.entry_id.startswith(prefix) and entry.entry_id not in kept]
        plan.steps += [Step("delete", None, entry, None) for entry in gone]
    plan.duplicates += [duplicates for duplicates in server.duplicates() if duplicates[0].key not in plan.managed]
    return plan.order()


def plan_absent(wanted: Sequence[Wanted], current: Sequence[Entry], rules: Rules | None = None) -> Plan:
    """Plan so that no entry of a wanted key or id exists, twins included."""
    rules = rules or Rules()
    server = _Index(current)
    plan = Plan()
    conflicts: list[InputError] = []
    to_delete: set[str] = set()
    for want in wanted:
        entries = server.of(want.key)
        if entries and want.entry_id is not None and all(entry.entry_id != want.entry_id for entry in entries):
            raise _other_id(want, entries[0], f"not {want.entry_id}. Leave entry_id out, or give the right one")
        moved = server.by_id.get(want.target_id)
        for entry in [*entries, *([moved] if moved and moved not in entries else [])]:
            if entry.entry_id in to_delete:
                continue
            if not (rules.is_ours(entry) or entry.entry_id == want.entry_id):
                conflicts += _conflict(want, entry, rules, "delete")
            to_delete.add(entry.entry_id)
            plan.steps.append(Step("delete", want.index, entry, None))
    _refuse(conflicts)
    plan.duplicates = server.duplicates()
    return plan


class _Index:
    """What the server holds, by key and by id."""

    def __init__(self, current: Iterable[Entry]) -> None:
        self.by_id: dict[str, Entry] = {}
        self._one: dict[tuple[str, str, tuple[str, ...]], Entry] = {}
        self._twins: dict[tuple[str, str, tuple[str, ...]], list[Entry]] = {}
        for entry in current:
            self.by_id[entry.entry_id] = entry
            # A plain tuple is equal to the Key of the same parts, and quicker to make.
            key = (entry.spiffe_id, entry.parent_id, entry.selectors)
            first = self._one.setdefault(key, entry)
            if first is not entry:
                self._twins.setdefault(key, [first]).append(entry)

    def of(self, key: Key) -> list[Entry]:
        """All entries of this key, the oldest first."""
        if key in self._twins:
            return sorted(self._twins[key], key=_age)
        return [self._one[key]] if key in self._one else []

    def has(self, key: Key) -> bool:
        return key in self._one

    def single(self, key: Key) -> Entry | None:
        """The entry of this key if there is exactly one."""
        return None if key in self._twins else self._one.get(key)

    def duplicates(self) -> list[list[Entry]]:
        return [sorted(entries, key=_age) for _key, entries in sorted(self._twins.items())]


class _Matcher:
    """Finds the entry that is a wanted one."""

    def __init__(self, wanted: Sequence[Wanted], server: _Index, rules: Rules, plan: Plan) -> None:
        self.wanted = wanted
        self.server = server
        self.rules = rules
        self.plan = plan
        self.claims = self._claims()

    def _claims(self) -> dict[str, Wanted]:
        """The entries that are a wanted one by their id alone: ids, and whose they are.

        An entry of the wanted key is the one that is meant; only without one the id tells. The one whose key an entry
        had that way loses it, and may in turn be known by its id.
        """
        claims: dict[str, Wanted] = {}
        pending = [want for want in self.wanted if want.entry_id is None and not self.server.has(want.key)]
        by_key: dict[Key, Wanted] = {}
        while pending:
            want = pending.pop()
            moved = self.server.by_id.get(want.target_id)
            if moved is None:
                continue
            claims[moved.entry_id] = want
            by_key = by_key or {other.key: other for other in self.wanted}
            loser = by_key.get(moved.key)
            if loser and loser.entry_id is None and all(e.entry_id in claims for e in self.server.of(loser.key)):
                pending.append(loser)
        return claims

    def match(self, want: Wanted) -> Entry | None:
        """The entry that is the wanted one, or nothing. Twins are noted in the plan."""
        before = self.server.single(want.key)
        if before is not None and not self.claims:
            _check_id(want, before)
            return before
        matches = [entry for entry in self.server.of(want.key) if self.claims.get(entry.entry_id, want) is want]
        if matches:
            target = want.target_id
            matches.sort(key=lambda entry: (entry.entry_id != target, not self.rules.is_ours(entry), *_age(entry)))
            _check_id(want, matches[0])
            if len(matches) > 1:
                self.plan.duplicates.append(matches)
                self.plan.managed.add(want.key)
            return matches[0]
        moved = self.server.by_id.get(want.target_id)
        if moved is not None and want.entry_id is not None:
            _check_not_wanted(want, moved, self.wanted)
        return moved


def _check_id(want: Wanted, before: Entry) -> None:
    """Refuse another id for an entry that exists: an entry's id never changes."""
    if want.entry_id not in (None, before.entry_id):
        raise _other_id(
            want,
            before,
            f"and an id cannot be changed to {want.entry_id}. Leave entry_id out, or delete the entry first",
        )


def _check_not_wanted(want: Wanted, moved: Entry, wanted: Sequence[Wanted]) -> None:
    """Refuse an id whose entry is, as it stands, another item of the list."""
    for other in wanted:
        if other is not want and other.key == moved.key:
            raise InputError(
                f"{want.where()}: the id {moved.entry_id} belongs to the entry that {other.where()} stands for. "
                "Give one of the two another entry_id.",
                index=want.index,
                field="entry_id",
            )


def _other_id(want: Wanted, entry: Entry, rest: str) -> InputError:
    return InputError(
        f"{want.where()}.entry_id: the server holds this entry under the id {entry.entry_id}, {rest}.",
        index=want.index,
        field="entry_id",
    )


def _conflict(want: Wanted, entry: Entry, rules: Rules, verb: str) -> list[InputError]:
    """Why an entry that we did not make may not be touched; empty when it may."""
    holder = owner_of(entry.entry_id)
    if holder:
        me = f"the owner {rules.owner}" if rules.owner else "a task without owner"
        return [
            InputError(
                f"{want.where()}: the server holds this entry as {entry.entry_id}, made by the owner {holder}, so {me} "
                f"cannot {verb} it. Take it out of one of the two lists, or give owner: {holder}.",
                index=want.index,
                entry_id=entry.entry_id,
            )
        ]
    if rules.adopt:
        return []
    return [
        InputError(
            f"{want.where()}: the server holds this entry as {entry.entry_id}, made by someone else, and adopt is "
            f"false. Set adopt to true to {verb} it, take it out of the list, or delete it first.",
            index=want.index,
            entry_id=entry.entry_id,
        )
    ]


def _refuse(conflicts: Sequence[InputError]) -> None:
    if not conflicts:
        return
    first, more = conflicts[0], ""
    if len(conflicts) > 1:
        more = f"There are {len(conflicts) - 1} more such entries, see conflicts."
    raise first.extended(more, conflicts=[dict(conflict.details) for conflict in conflicts])


def _age(entry: Entry) -> tuple[int, str]:
    return entry.created_at, entry.entry_id


def _merged(base: Entry, want: Wanted) -> Entry:
    """The whole entry with the wanted key and the named fields; a field that already means the same stays as it is.

    Returns ``base`` itself when nothing differs.
    """
    changes = {name: value for name, value in want.named.items() if not same(name, getattr(base, name), value)}
    key = (base.spiffe_id, base.parent_id, base.selectors)
    if not changes and key == want.key:
        return base
    return replace(base, **want.key._asdict(), **changes)

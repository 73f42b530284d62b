# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What must happen so that the server holds what is wanted. Pure: values in, a plan out.

Entries are matched by key: SPIFFE ID, parent and selectors. Besides, an entry that carries the id which a wanted entry
would get is that entry, with a key that somebody changed; it is led back. Fields that the user did not name are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import FIELDS, Entry, Key, Wanted, same


@dataclass(frozen=True)
class Step:
    """One thing to do: ``create`` (no before), ``update``, or ``delete`` (no after)."""

    verb: str
    index: int
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


@dataclass
class Plan:
    """The steps, the entries as they will stand for the wanted items, and what was noticed on the way."""

    steps: list[Step] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    twins: list[list[Entry]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    def of(self, verb: str) -> list[Step]:
        return [step for step in self.steps if step.verb == verb]

    def actions(self) -> list[dict[str, str]]:
        return [step.action() for step in self.steps]

    def diff(self) -> dict[str, Any]:
        """Before and after of each entry that changes, by id: of an update only the fields that differ."""
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        for step in self.steps:
            old = step.before.public() if step.before else {}
            new = step.after.public() if step.after else {}
            shown = [name for name in (new or old) if name == "spiffe_id" or old.get(name) != new.get(name)]
            if step.before:
                before[step.entry.entry_id] = {name: old[name] for name in shown}
            if step.after:
                after[step.entry.entry_id] = {name: new[name] for name in shown}
        return {"before": before, "after": after}

    def warnings(self) -> list[str]:
        """One warning for each key that the server holds more than once."""
        return [
            f"The server holds {len(twins)} entries for {twins[0].key}: ids "
            f"{', '.join(entry.entry_id for entry in twins)}. Only the first is managed; delete the others."
            for twins in self.twins
        ]


def plan_present(wanted: Sequence[Wanted], current: Iterable[Entry]) -> Plan:
    """Plan so that each wanted entry exists with the fields that were named."""
    by_key, by_id = _index(current)
    taken = {by_key[one.key][0].entry_id: one for one in wanted if one.key in by_key}
    plan = Plan()
    for one in wanted:
        matches = sorted(by_key.get(one.key, ()), key=lambda entry: (entry.entry_id != one.target_id, _age(entry)))
        if len(matches) > 1:
            plan.twins.append(matches)
        before = matches[0] if matches else by_id.get(one.target_id)
        _check_id(one, before, taken)
        if before is None:
            after = _merged(Entry(*one.key, entry_id=one.target_id), one)
            plan.steps.append(Step("create", one.index, None, after))
        else:
            after = _merged(before, one)
            if after != before:
                plan.steps.append(Step("update", one.index, before, after))
        plan.entries.append(after)
    return plan


def plan_absent(wanted: Sequence[Wanted], current: Iterable[Entry]) -> Plan:
    """Plan so that no entry of a wanted key exists, twins included."""
    by_key, _by_id = _index(current)
    plan = Plan()
    for one in wanted:
        for entry in sorted(by_key.get(one.key, ()), key=_age):
            if one.entry_id not in (None, entry.entry_id):
                raise InputError(
                    f"{one.where()}.entry_id: the server holds this entry under the id {entry.entry_id}, not "
                    f"{one.entry_id}. Leave entry_id out, or give the right one.",
                    index=one.index,
                    field="entry_id",
                )
            plan.steps.append(Step("delete", one.index, entry, None))
    return plan


def _index(current: Iterable[Entry]) -> tuple[dict[Key, list[Entry]], dict[str, Entry]]:
    by_key: dict[Key, list[Entry]] = {}
    by_id: dict[str, Entry] = {}
    for entry in current:
        by_key.setdefault(entry.key, []).append(entry)
        by_id[entry.entry_id] = entry
    for twins in by_key.values():
        twins.sort(key=_age)
    return by_key, by_id


def _age(entry: Entry) -> tuple[int, str]:
    return entry.created_at, entry.entry_id


def _merged(base: Entry, one: Wanted) -> Entry:
    """The whole entry with the wanted key and the named fields; a field that already means the same stays as it is."""
    changes = {name: one.named[name] for name in FIELDS if name in one.named}
    changes = {name: value for name, value in changes.items() if not same(name, getattr(base, name), value)}
    return replace(base, **one.key._asdict(), **changes)


def _check_id(one: Wanted, before: Entry | None, taken: dict[str, Wanted]) -> None:
    """Refuse ids that cannot be had: an entry's id never changes, and each id exists once."""
    if before is not None and one.entry_id not in (None, before.entry_id):
        raise InputError(
            f"{one.where()}.entry_id: the server holds this entry under the id {before.entry_id}, and an id cannot be "
            f"changed to {one.entry_id}. Leave entry_id out, or delete the entry first.",
            index=one.index,
            field="entry_id",
        )
    if before is not None and before.key != one.key and before.entry_id in taken:
        other = taken[before.entry_id]
        raise InputError(
            f"{one.where()}: the id {before.entry_id} belongs to the entry that {other.where()} stands for. "
            "Give one of the two another entry_id.",
            index=one.index,
            field="entry_id",
        )

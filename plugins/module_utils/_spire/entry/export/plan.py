# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a file for spire_entry says of the entries of a server, and what it leaves out, with the reason. Pure.

The file is for one task of spire_entry, which acts for one owner, or for none. So it holds the entries of that owner,
or those that carry no owner's name. What spire_entry would refuse, or what means nothing after the moment, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import unclean
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import is_token_alias
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import (
    Entry,
    Key,
    owner_of,
    wanted_entries,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact

TOKEN_ALIAS, TOKEN_PARENT, OTHER_OWNER = "token_alias", "token_parent", "other_owner"
DUPLICATE, EXPIRED, REFUSED = "duplicate", "expired", "refused"
PRIVILEGED, ONE_AGENT, OTHER_ATTRIBUTES = "privileged", "one_agent", "other_attributes"

_WHY = {
    TOKEN_ALIAS: "it gives the agent of one join token a second name, and holds the token; spire_join_token makes it",
    TOKEN_PARENT: "its parent is an agent that joined by token: the ID holds the token, and ends with it. Put it below "
    "a node alias",
    EXPIRED: "its time is over, and the server is about to drop it",
}
_EMPTY = Entry("", "", ())


@dataclass(frozen=True)
class Remark:
    """Something to know of an entry, in a word and in a sentence."""

    entry: Entry
    kind: str
    text: str

    def public(self, kind: str) -> dict[str, str]:
        """The remark as it is returned, its kind under this name. No token is in it."""
        return {
            "entry_id": self.entry.entry_id,
            "spiffe_id": self.entry.spiffe_id,
            kind: self.kind,
            "text": self.text,
        }


@dataclass(frozen=True)
class Export:
    """The items of the file in their order, the entries that are not in it, and what to know of those that are."""

    items: tuple[dict[str, Any], ...]
    left_out: tuple[Remark, ...]
    remarks: tuple[Remark, ...]

    def warning(self) -> str:
        """One sentence about what is left out. Entries of other owners are kept by those."""
        count: dict[str, int] = {}
        for left in self.left_out:
            if left.kind != OTHER_OWNER:
                count[left.kind] = count.get(left.kind, 0) + 1
        if not count:
            return ""
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(count.items()))
        number = sum(count.values())
        some = "1 entry is" if number == 1 else f"{number} entries are"
        return f"{some} not in the file ({told}): see left_out for the reason of each."


def plan_export(held: Iterable[Entry], owner: str | None, every_field: bool, with_ids: bool, now: float) -> Export:
    """Return what a file for a task of ``owner``, or of nobody, says of the entries that a server holds."""
    ordered = sorted(held, key=lambda entry: _order(entry, owner))
    items: list[dict[str, Any]] = []
    left_out: list[Remark] = []
    remarks: list[Remark] = []
    kept: dict[Key, Entry] = {}
    for entry in ordered:
        item = item_of(entry, every_field, with_ids)
        found = _unfit(entry, owner, now) or _twin(entry, kept) or _refused(item, owner)
        if found:
            left_out.append(Remark(entry, *found))
            continue
        kept[entry.key] = entry
        items.append(item)
        remarks += [Remark(entry, *told) for told in _told(entry)]
    return Export(tuple(items), tuple(left_out), tuple(remarks))


def item_of(entry: Entry, every_field: bool, with_id: bool) -> dict[str, Any]:
    """Return an entry as an item of the file: its key, and its other fields where they say something."""
    item: dict[str, Any] = {}
    for name, value in entry.public().items():
        # public() begins with the id, and the file with what the entry is.
        if name != "entry_id" and (every_field or value != _plain_default(name)):
            item[name] = value
    if with_id:
        item["entry_id"] = entry.entry_id
    return item


def same_items(left: Iterable[Mapping[str, Any]], right: Iterable[Mapping[str, Any]]) -> bool:
    """Whether two files say the same. The order of entries and of their selectors means nothing, and null nothing."""
    return sorted(map(_comparable, left)) == sorted(map(_comparable, right))


def _comparable(item: Mapping[str, Any]) -> str:
    told = {name: value for name, value in item.items() if value is not None}
    if isinstance(told.get("selectors"), list):
        told["selectors"] = sorted(told["selectors"])
    return repr(sorted(told.items()))


def _plain_default(name: str) -> Any:
    value = getattr(_EMPTY, name)
    return list(value) if isinstance(value, tuple) else value


def _order(entry: Entry, owner: str | None) -> tuple[Any, ...]:
    # Of several entries of one key the first is the one that spire_entry would manage.
    key = entry.key
    ours = owner_of(entry.entry_id) == (owner or "")
    return (*key, entry.entry_id != key.id_for(owner), not ours, entry.created_at, entry.entry_id)


def _unfit(entry: Entry, owner: str | None, now: float) -> tuple[str, str] | None:
    if any(redact(text) != text for text in (entry.parent_id, *entry.selectors)):
        kind = TOKEN_ALIAS if is_token_alias(entry) else TOKEN_PARENT
        return kind, _WHY[kind]
    holder = owner_of(entry.entry_id)
    if holder and holder != owner:
        return OTHER_OWNER, f"the owner {holder} keeps it; a file with owner: {holder} has it"
    if 0 < entry.expires_at <= now:
        return EXPIRED, _WHY[EXPIRED]
    return None


def _twin(entry: Entry, kept: Mapping[Key, Entry]) -> tuple[str, str] | None:
    first = kept.get(entry.key)
    if first is None:
        return None
    return DUPLICATE, f"{first.entry_id} has the same key and is in the file; delete this one"


def _refused(item: Mapping[str, Any], owner: str | None) -> tuple[str, str] | None:
    """Why spire_entry would refuse the item. Asked of its own reader, so that it takes every file that is written."""
    wrong = unclean({"src": [item]})
    if wrong:
        return REFUSED, " ".join(wrong)
    try:
        wanted_entries([item], True, owner, "src")
    except InputError as error:
        return REFUSED, f"spire_entry takes no such entry: {error.message.removeprefix('src[0].')}"
    return None


def _told(entry: Entry) -> Iterator[tuple[str, str]]:
    powers = [name for name in ("admin", "downstream") if getattr(entry, name)]
    if powers:
        yield PRIVILEGED, f"it is {' and '.join(powers)}; spire_entry wants acknowledge_privileged for it"
    if "/spire/agent/" in entry.parent_id:
        yield ONE_AGENT, "its parent is one agent, whose ID ends with its node; below a node alias it would stay"
    others = [name for name, value in sorted(entry.additional_attributes.items()) if value]
    if others:
        yield (
            OTHER_ATTRIBUTES,
            f"it has {', '.join(others)}, which spire_entry keeps where it finds them, and cannot set: they are not in "
            "the file",
        )


def described(remarks: Sequence[Remark], kind: str) -> list[dict[str, str]]:
    """The remarks as they are returned."""
    return [remark.public(kind) for remark in remarks]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Registration entries as values: what the user wants, what the server has. Pure.

The limits are those of the server (SPIRE 1.15.3), named where they are checked, so that bad input is refused before
anything is touched.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeId, trust_domain_of

ID_PREFIX = "trustmesh."
"""Entries that this collection creates carry an id with this prefix, so that they can be told from others."""

MAX_HINT = 1024  # pkg/server/api/entry.go
MAX_ENTRY_ID = 255  # pkg/server/datastore/sqlstore, validateRegistrationEntry
MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1

Refuse = Callable[[str, str], InputError]
"""Makes the error for a field of the item at hand and the reason."""

MAX_OWNER = 63

_OWNER = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z")
_OWNED_ID = re.compile(re.escape(ID_PREFIX) + r"([a-z0-9-]+)\.")
_ENTRY_ID = re.compile(r"[a-zA-Z0-9._-]+\Z")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z")


class Key(NamedTuple):
    """What makes two entries similar for SPIRE, which refuses to create a second one."""

    spiffe_id: str
    parent_id: str
    selectors: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.spiffe_id} under {self.parent_id} with {', '.join(self.selectors)}"

    @property
    def entry_id(self) -> str:
        """The id that an entry of this key gets when no owner is named."""
        return self.id_for(None)

    def id_for(self, owner: str | None) -> str:
        """The id that an entry of this key gets: the prefix, the owner if there is one, and a hash of the key.

        It is known before the entry exists, so check mode names the id that a run gives. The scheme must stay as it
        is: 128 bits of SHA-256 over the key as JSON.
        """
        text = json.dumps([self.spiffe_id, self.parent_id, list(self.selectors)], separators=(",", ":"))
        return owner_prefix(owner) + hashlib.sha256(text.encode()).hexdigest()[:32]


def owner_prefix(owner: str | None) -> str:
    """What the ids of this owner's entries begin with."""
    return f"{ID_PREFIX}{owner}." if owner else ID_PREFIX


def owner_of(entry_id: str) -> str | None:
    """Who made the entry of this id: an owner's name, nothing («») for this collection without an owner, else None."""
    if not entry_id.startswith(ID_PREFIX):
        return None
    match = _OWNED_ID.match(entry_id)
    return match[1] if match else ""


def check_owner(owner: str | None) -> None:
    """Raise InputError when ``owner`` is not a name that can stand in an entry's id."""
    # Lower case only: a database may compare ids without regard to case, and would then mix two owners up.
    if owner is not None and (len(owner) > MAX_OWNER or not _OWNER.match(owner)):
        raise InputError(
            f"owner: {owner!r} must be 1 to {MAX_OWNER} lower case letters, digits and dashes, none of the dashes at "
            "an end.",
            field="owner",
        )


@dataclass(frozen=True)
class Entry:
    """A whole registration entry."""

    spiffe_id: str
    parent_id: str
    selectors: tuple[str, ...]
    entry_id: str = ""
    x509_svid_ttl: int = 0
    jwt_svid_ttl: int = 0
    federates_with: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    admin: bool = False
    downstream: bool = False
    store_svid: bool = False
    hint: str = ""
    expires_at: int = 0
    created_at: int = 0
    additional_attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What newer servers keep beside the rest. Not managed, but sent back unchanged with every update."""
    revision_number: int = field(default=0, compare=False)

    @property
    def key(self) -> Key:
        return Key(self.spiffe_id, self.parent_id, self.selectors)

    def public(self) -> dict[str, Any]:
        """The entry under the names of the module's options."""
        return {
            "entry_id": self.entry_id,
            "spiffe_id": self.spiffe_id,
            "parent_id": self.parent_id,
            "selectors": list(self.selectors),
            **{name: _plain(getattr(self, name)) for name in FIELDS},
        }


FIELDS = (
    "x509_svid_ttl",
    "jwt_svid_ttl",
    "federates_with",
    "dns_names",
    "admin",
    "downstream",
    "store_svid",
    "hint",
    "expires_at",
)
"""The fields of an entry that can change while it stays the same entry."""


@dataclass(frozen=True)
class Wanted:
    """One item of the user's list: its key, and only the fields that the user named."""

    index: int
    key: Key
    named: Mapping[str, Any]
    entry_id: str | None = None
    owner: str | None = None
    source: str = "entries"
    """The option that the list stands in."""

    @cached_property
    def target_id(self) -> str:
        return self.entry_id or self.key.id_for(self.owner)

    def where(self) -> str:
        return f"{self.source}[{self.index}] ({self.key.spiffe_id})"


def wanted_entries(
    items: Sequence[Mapping[str, Any]],
    acknowledge_privileged: bool = False,
    owner: str | None = None,
    source: str = "entries",
) -> list[Wanted]:
    """Read the user's list. Raises InputError naming item and field; two items of the same key are refused."""
    wanted: list[Wanted] = []
    by_key: dict[Key, int] = {}
    trust_domain: str | None = None
    reader = _Reader(source, acknowledge_privileged, owner)
    for index, item in enumerate(items):
        want = reader.read(index, item)
        own = trust_domain_part(want.key.spiffe_id)
        if trust_domain is not None and own != trust_domain:
            raise reader.refuse(
                "spiffe_id",
                f"{want.key.spiffe_id} is of the trust domain {own}, the entries before it are of {trust_domain}. One "
                "server signs for one trust domain.",
            )
        trust_domain = own
        if by_key.setdefault(want.key, index) != index:
            raise InputError(
                f"{source}[{index}]: the same entry as {source}[{by_key[want.key]}] ({want.key}). "
                "SPIFFE ID, parent and selectors together may appear once; merge the two.",
                index=index,
            )
        wanted.append(want)
    _check_ids(wanted)
    return wanted


def trust_domain_part(spiffe_id: str) -> str:
    """The trust domain of a text that is known to be a SPIFFE ID."""
    return spiffe_id.split("/", 3)[2]


def _check_ids(wanted: Sequence[Wanted]) -> None:
    """Refuse two items that would get the same id."""
    by_id: dict[str, Wanted] = {}
    for want in wanted:
        if want.entry_id is not None and (other := by_id.setdefault(want.entry_id, want)) is not want:
            raise InputError(
                f"{want.source}[{want.index}].entry_id: {want.entry_id} is already the id of "
                f"{other.source}[{other.index}].",
                index=want.index,
                field="entry_id",
            )
    # Ids that come of a key differ as the keys do; only one that was written out can be the same as another's.
    if any(owner_of(entry_id) is not None for entry_id in by_id):
        for want in wanted:
            other = by_id.get(want.target_id, want)
            if other is not want:
                raise InputError(
                    f"{other.source}[{other.index}].entry_id: {other.entry_id} is the id that {want.where()} gets.",
                    index=other.index,
                    field="entry_id",
                )


def check_filters(params: Mapping[str, Any]) -> dict[str, Any]:
    """The filters of spire_entry_info in the form in which the server takes them. Raises InputError for a bad one."""

    def refuse(name: str, why: str) -> InputError:
        return InputError(f"{name}: {why}", field=name)

    names = ("entry_id", "spiffe_id", "parent_id", "hint", "selectors", "federates_with")
    for name in names:
        if params[name] is not None and not params[name]:
            raise refuse(name, "it is empty, which would filter nothing. Give a value, or leave the option out.")
    check_owner(params["owner"])
    filters = dict(params)
    for name in ("spiffe_id", "parent_id"):
        if params[name]:
            _spiffe_id(params[name], name, SpiffeId.parse, refuse)
    if params["entry_id"] and (len(params["entry_id"]) > MAX_ENTRY_ID or not _ENTRY_ID.match(params["entry_id"])):
        raise refuse("entry_id", f"{params['entry_id']!r} cannot be the id of an entry.")
    if params["hint"]:
        _encoded("hint", params["hint"], refuse)
    if params["selectors"]:
        filters["selectors"] = list(_selectors(params["selectors"], refuse))
    if params["federates_with"]:
        filters["federates_with"] = list(_federates_with(params["federates_with"], "", refuse))
    return filters


def check_dns_names(place: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the DNS names when a server would sign them, else raise naming the option ``place``."""
    return _dns_names(names, lambda _name, why: InputError(f"{place}: {why}", field=place))


def canonical_selectors(selectors: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(selectors))


def same(name: str, left: Any, right: Any) -> bool:
    """Whether a field means the same on both sides.

    federates_with is a set. Of dns_names the first one counts for itself, because it becomes the common name of the
    certificate; the others are a set.
    """
    if name == "federates_with":
        return set(left) == set(right)
    if name == "dns_names":
        return set(left) == set(right) and tuple(left[:1]) == tuple(right[:1])
    return bool(left == right)


@dataclass
class _Reader:
    """Reads the items of the user's list."""

    source: str
    acknowledge_privileged: bool
    owner: str | None
    index: int = 0
    """The place of the item at hand."""

    def refuse(self, name: str, why: str) -> InputError:
        return InputError(f"{self.source}[{self.index}].{name}: {why}", index=self.index, field=name)

    def read(self, index: int, item: Mapping[str, Any]) -> Wanted:
        self.index = index
        refuse = self.refuse
        spiffe_id, parent_id, trust_domain = _ids(item, refuse)
        selectors = _selectors(item.get("selectors") or [], refuse)
        named = {name: value for name, value in item.items() if value is not None and name in FIELDS}
        if named:
            self._check(named, spiffe_id, trust_domain, selectors)
        entry_id = item.get("entry_id")
        if entry_id is not None:
            self._check_entry_id(entry_id)
        return Wanted(index, Key(spiffe_id, parent_id, selectors), named, entry_id, self.owner, self.source)

    def _check(self, named: dict[str, Any], spiffe_id: str, trust_domain: str, selectors: Sequence[str]) -> None:
        refuse = self.refuse
        _check_numbers(named, refuse)
        if "hint" in named and len(_encoded("hint", named["hint"], refuse)) > MAX_HINT:
            raise refuse("hint", f"it is longer than {MAX_HINT} bytes.")
        if "dns_names" in named:
            named["dns_names"] = _dns_names(named["dns_names"], refuse)
        if "federates_with" in named:
            named["federates_with"] = _federates_with(named["federates_with"], trust_domain, refuse)
        # pkg/server/datastore/sqlstore, validateRegistrationEntry.
        if named.get("store_svid") and len({selector.partition(":")[0] for selector in selectors}) > 1:
            raise refuse("store_svid", "all selectors of an entry with store_svid must be of one type.")
        if self.acknowledge_privileged:
            return
        for name, power in (
            ("admin", "may use the server's whole API"),
            ("downstream", "may sign certificates as a CA"),
        ):
            if named.get(name):
                raise refuse(
                    name, f"whoever holds {spiffe_id} {power}. Set acknowledge_privileged to true if that is meant."
                )

    def _check_entry_id(self, entry_id: str) -> None:
        if len(entry_id) > MAX_ENTRY_ID or not _ENTRY_ID.match(entry_id):
            raise self.refuse(
                "entry_id", f"{entry_id!r} must be 1 to {MAX_ENTRY_ID} letters, digits, dots, dashes and underscores."
            )
        if self.owner and not entry_id.startswith(owner_prefix(self.owner)):
            raise self.refuse(
                "entry_id",
                f"{entry_id} does not begin with {owner_prefix(self.owner)}, by which the entries of this owner are "
                "known. Leave entry_id out, or give one that does.",
            )
        holder = owner_of(entry_id)
        if not self.owner and holder:
            raise self.refuse(
                "entry_id",
                f"{entry_id} is of the owner {holder}, who may purge it. Give owner: {holder}, or another entry_id.",
            )


def _ids(item: Mapping[str, Any], refuse: Refuse) -> tuple[str, str, str]:
    """The entry's SPIFFE ID, its parent's and their trust domain (pkg/server/api, TrustDomainWorkloadID, -MemberID)."""
    spiffe_id = _spiffe_id(item.get("spiffe_id"), "spiffe_id", SpiffeId.parse, refuse)
    # Thousands of entries share a few parents.
    parent_id = _spiffe_id(item.get("parent_id"), "parent_id", _parse_parent, refuse)
    if not spiffe_id.path:
        raise refuse("spiffe_id", f"{spiffe_id} has no path; a workload's SPIFFE ID needs one.")
    if spiffe_id.is_reserved:
        raise refuse("spiffe_id", f"{spiffe_id}: paths below /spire are kept for SPIRE's own servers and agents.")
    if not parent_id.path:
        raise refuse("parent_id", f"{parent_id} has no path; it must be an agent, a node alias, or the server's id.")
    if parent_id.trust_domain != spiffe_id.trust_domain:
        raise refuse(
            "parent_id", f"{parent_id} is not of the trust domain {spiffe_id.trust_domain} of the entry's SPIFFE ID."
        )
    return item["spiffe_id"], item["parent_id"], spiffe_id.trust_domain


_parse_parent = lru_cache(maxsize=1024)(SpiffeId.parse)


def _check_numbers(named: Mapping[str, Any], refuse: Refuse) -> None:
    for name in ("x509_svid_ttl", "jwt_svid_ttl"):
        if not 0 <= named.get(name, 0) <= MAX_INT32:
            raise refuse(name, f"{named[name]} is not between 0 (the server's default) and {MAX_INT32} seconds.")
    if not 0 <= named.get("expires_at", 0) <= MAX_INT64:
        raise refuse("expires_at", f"{named['expires_at']} is not a time in seconds since 1970 (0 means never).")


def _spiffe_id(text: str | None, name: str, parse: Callable[[str], SpiffeId], refuse: Refuse) -> SpiffeId:
    try:
        return parse(text or "")
    except InputError as error:
        raise refuse(name, f"{error.message}.") from error


def _encoded(name: str, text: str, refuse: Refuse) -> bytes:
    # What is not Unicode text cannot be sent as JSON without becoming something else. A zero ends texts in PostgreSQL.
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise refuse(name, f"{text!r} is not Unicode text.") from None
    if b"\0" in encoded:
        raise refuse(name, f"{text!r} holds a zero byte.")
    return encoded


def check_selector(name: str, selector: str, refuse: Refuse) -> None:
    """Raise what ``refuse`` makes when this is no selector."""
    kind, colon, value = selector.partition(":")
    if not (kind and colon and value):
        raise refuse(name, f"{selector!r} is not of the form type:value, such as unix:uid:1000.")
    if not selector.isascii() or "\0" in selector:
        _encoded(name, selector, refuse)
    if selector != selector.strip() or kind != kind.strip():
        raise refuse(name, f"{selector!r} has blanks around it, and selectors are compared letter by letter.")


def _selectors(selectors: Sequence[str], refuse: Refuse) -> tuple[str, ...]:
    if not selectors:
        raise refuse("selectors", "at least one is needed, such as k8s:ns:default.")
    for selector in selectors:
        check_selector("selectors", selector, refuse)
    if len(set(selectors)) != len(selectors):
        raise refuse("selectors", f"{_twice(selectors)!r} is listed twice.")
    return canonical_selectors(selectors)


def _dns_names(names: Sequence[str], refuse: Refuse) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise refuse("dns_names", f"{_twice(names)!r} is listed twice.")
    for name in names:
        # pkg/common/x509util/dns.go: one wildcard, as the whole first label; the rest by the strict rules of IDNA.
        bare = name.removeprefix("*.")
        labels = bare.split(".")
        if (
            not bare
            or len(bare) > 253
            or not all(len(label) <= 63 and _LABEL.match(label) for label in labels)
            or any(label[2:4] == "--" and not label.startswith("xn--") for label in labels)
        ):
            raise refuse(
                "dns_names",
                f"{name!r} is not a DNS name: lower case letters, digits and dashes between dots, 63 to a label, "
                "253 in all, a wildcard only as the whole first label.",
            )
    for name in names:
        # pkg/server/api/svid refuses to sign when a name falls under a wildcard of the same entry.
        first, _dot, rest = name.partition(".")
        if first != "*" and f"*.{rest}" in names:
            raise refuse("dns_names", f"{name!r} is already covered by '*.{rest}'; the server would sign neither.")
    return tuple(names)


def _federates_with(names: Sequence[str], own: str, refuse: Refuse) -> tuple[str, ...]:
    result = []
    for name in names:
        try:
            trust_domain = trust_domain_of(name)
        except InputError as error:
            raise refuse("federates_with", f"{error.message}.") from error
        if trust_domain == own:
            raise refuse("federates_with", f"{own} is the entry's own trust domain.")
        result.append(trust_domain)
    if len(set(result)) != len(result):
        raise refuse("federates_with", f"{_twice(result)!r} is listed twice.")
    return tuple(result)


def _twice(values: Sequence[str]) -> str:
    return next(value for position, value in enumerate(values) if value in values[:position])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

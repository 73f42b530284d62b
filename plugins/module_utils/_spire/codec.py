# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Between SPIRE's JSON and our values. Pure.

What spire-server reads and what it prints are not the same: it reads flat ids, ``entry_id`` and ``entryExpiry`` as
numbers; it prints ids in two parts, ``id`` and ``expires_at``, and 64-bit numbers as text. Keys that it does not know
it drops without a word.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry, canonical_selectors

T = TypeVar("T")

MAX_MESSAGE_BYTES = 3 * 1024 * 1024
"""What one batch may weigh. gRPC refuses messages over 4 MiB in both directions, and a reply is heavier than its
request: SPIRE would commit all entries and still report a failure. Hence the room, and ``REPLY_EXTRA`` per item."""

REPLY_EXTRA = 320
"""What a reply adds to an item: times, revision, status and the longest error message seen."""

MAX_BATCH_ITEMS = 2000
"""A batch of this size takes a few seconds on SQLite. Where the server is slower, who sends them asks for fewer."""

MATCHES = ("exact", "any", "superset", "subset")
"""How a set can be compared with the one that a filter names; SPIRE's own words."""

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""What gRPC lets one answer weigh."""

NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION = 5, 6, 9
"""gRPC's status codes that a module has an answer to."""

PAGE_ITEMS = 500
"""So many entries stand in one answer when ``entry show`` reads them (cmd/spire-server/cli/entry/show.go)."""


@dataclass(frozen=True)
class ItemResult:
    """What became of one item of a batch."""

    code: int
    message: str
    entry_id: str

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass(frozen=True)
class Agent:
    """An agent that the server knows."""

    spiffe_id: str
    attestation_type: str
    expires_at: int
    banned: bool
    can_reattest: bool
    serial_number: str
    selectors: tuple[str, ...]
    version: str = ""

    def is_alive(self, now: float) -> bool:
        """Whether it may still renew its SVID: neither banned nor expired."""
        return not self.banned and self.expires_at > now


@dataclass(frozen=True)
class JoinToken:
    """A join token. ``repr`` does not show its value."""

    value: str
    expires_at: int

    def __repr__(self) -> str:
        return f"JoinToken(value='***', expires_at={self.expires_at})"


@dataclass(frozen=True)
class Authority:
    """One X.509 authority of a bundle."""

    pem: str
    tainted: bool

    @property
    def der(self) -> bytes:
        return base64.b64decode("".join(line for line in self.pem.splitlines() if not line.startswith("-")))

    @property
    def sha256(self) -> str:
        """The fingerprint: digest over the DER form."""
        return hashlib.sha256(self.der).hexdigest()


@dataclass(frozen=True)
class JwtAuthority:
    """One JWT authority of a bundle: a public key, as DER of its SubjectPublicKeyInfo."""

    key_id: str
    public_key: bytes
    expires_at: int = 0
    tainted: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.public_key).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """The trust bundle of a trust domain."""

    trust_domain: str
    x509_authorities: tuple[Authority, ...]
    sequence_number: int
    refresh_hint: int
    jwt_authorities: tuple[JwtAuthority, ...] = ()

    @property
    def pem(self) -> str:
        """All X.509 authorities, one after the other."""
        return "".join(authority.pem for authority in self.x509_authorities)


@dataclass(frozen=True)
class X509Svid:
    """A minted X509-SVID with its key. ``repr`` does not show the key."""

    chain_pem: str
    key_pem: str
    bundle_pem: str

    def __repr__(self) -> str:
        return "X509Svid(***)"


def loads(text: str, doing: str, secret: bool = False) -> dict[str, Any]:
    """Read what spire-server printed: one JSON object. Lines before it that are no JSON (warnings) are passed over.

    ``secret`` keeps the output out of the error message.
    """
    if not text.strip():
        raise ProcessError(
            f"{doing} failed: the command ended well but printed nothing. Is binary the program spire-server?"
        )
    shown = f"It has {len(text)} characters" + (", not shown." if secret else f" and starts with: {text[:300]!r}.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ProcessError(f"{doing} failed: the output is not UTF-8. {shown} Run it again.") from None
    start = 0 if text.startswith("{") else _JSON_LINE.search(text)
    if start is None:
        raise ProcessError(f"{doing} failed: the output is not JSON. {shown} Is binary the program spire-server?")
    try:
        value, end = _DECODER.raw_decode(text, start if isinstance(start, int) else start.start(1))
    except (ValueError, RecursionError) as error:
        reason = f"({error.msg})" if isinstance(error, json.JSONDecodeError) else "(too deep)"
        raise ProcessError(
            f"{doing} failed: the output is not whole JSON {reason}; it was cut off on the way, or something was "
            f"printed into it. {shown} Run it again."
        ) from None
    if _JSON_LINE.search(text, end) or not isinstance(value, dict):
        # Which of two would be the answer cannot be known: a program may also write its log as JSON.
        raise ProcessError(f"{doing} failed: the output is not one JSON object. {shown} Is something else printing?")
    return value


_JSON_LINE = re.compile(r"^[ \t]*([{\[])", re.MULTILINE)
_DECODER = json.JSONDecoder()


def read_list(reply: Mapping[str, Any], name: str, read: Callable[[Any], T], doing: str) -> list[T]:
    """Read the list ``name`` of a reply, item by item. A reply without it is no empty list but a failure."""
    items = reply.get(name)
    if not isinstance(items, list):
        held = ", ".join(sorted(reply)) or "nothing"
        raise ProcessError(
            f"{doing} failed: the answer has no list {name}; it has {held}. Is binary the program spire-server, and of "
            "the server's version?"
        )
    try:
        return [read(item) for item in items]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ProcessError(
            f"{doing} failed: an item of {name} in the answer has an unknown shape. Is binary the program "
            "spire-server, and of the server's version?"
        ) from None


def entry_from_server(data: Mapping[str, Any]) -> Entry:
    """Read an entry as spire-server prints it."""
    get = data.get
    federates_with, dns_names = get("federates_with"), get("dns_names")
    # Fields in the order of Entry: this runs for each entry of the server in every task.
    return Entry(
        id_from_server(get("spiffe_id")),
        id_from_server(get("parent_id")),
        selectors_from_server(get("selectors")),
        get("id", ""),
        get("x509_svid_ttl", 0),
        get("jwt_svid_ttl", 0),
        tuple([name.removeprefix("spiffe://") for name in federates_with]) if federates_with else (),
        tuple(dns_names) if dns_names else (),
        get("admin", False),
        get("downstream", False),
        get("store_svid", False),
        get("hint", ""),
        int(get("expires_at", 0)),
        int(get("created_at", 0)),
        get("additional_attributes") or {},
        int(get("revision_number", 0)),
    )


def entry_to_server(entry: Entry) -> dict[str, Any]:
    """Return an entry as spire-server reads it. Always the whole entry: an update resets what is left out."""
    data: dict[str, Any] = {
        "spiffe_id": entry.spiffe_id,
        "parent_id": entry.parent_id,
        "selectors": [{"type": kind, "value": value} for kind, value in (s.split(":", 1) for s in entry.selectors)],
    }
    optional = {
        "entry_id": entry.entry_id,
        "x509_svid_ttl": entry.x509_svid_ttl,
        "jwt_svid_ttl": entry.jwt_svid_ttl,
        "federates_with": [f"spiffe://{name}" for name in entry.federates_with],
        "dns_names": list(entry.dns_names),
        "admin": entry.admin,
        "downstream": entry.downstream,
        "store_svid": entry.store_svid,
        "hint": entry.hint,
        "entryExpiry": entry.expires_at,
        "additional_attributes": dict(entry.additional_attributes),
    }
    # A zero value and an absent key are the same to the server; leaving them out halves the request.
    data.update({name: value for name, value in optional.items() if value})
    return data


def results_from_server(reply: Mapping[str, Any], expected: int, doing: str) -> list[ItemResult]:
    """Read the fate of each item of a batch; there must be exactly one for each."""
    results = reply.get("results")
    if not isinstance(results, list) or len(results) != expected:
        found = len(results) if isinstance(results, list) else "no"
        raise ProcessError(f"{doing} failed: {expected} items were sent and {found} results came back. Run it again.")
    return read_list(reply, "results", _item_result, doing)


def _item_result(result: Mapping[str, Any]) -> ItemResult:
    status = result.get("status") or {}
    # A result without a status is no success: only a printed code 0 is one. Beside a refusal spire-server prints the
    # entry that was sent, never the one that stood in the way.
    return ItemResult(
        code=int(status.get("code", -1)),
        message=str(status.get("message") or "the server gave no reason"),
        entry_id=str((result.get("entry") or result).get("id", "")),
    )


def agent_from_server(data: Mapping[str, Any]) -> Agent:
    return Agent(
        spiffe_id=id_from_server(data.get("id")),
        attestation_type=data.get("attestation_type", ""),
        expires_at=int(data.get("x509svid_expires_at", 0)),
        banned=bool(data.get("banned", False)),
        can_reattest=bool(data.get("can_reattest", False)),
        serial_number=str(data.get("x509svid_serial_number", "")),
        selectors=selectors_from_server(data.get("selectors")),
        version=data.get("agent_version", ""),
    )


def bundle_from_server(data: Mapping[str, Any]) -> Bundle:
    return Bundle(
        trust_domain=data.get("trust_domain", ""),
        x509_authorities=tuple(
            Authority(pem("CERTIFICATE", authority["asn1"]), bool(authority.get("tainted", False)))
            for authority in data.get("x509_authorities") or ()
        ),
        sequence_number=int(data.get("sequence_number", 0)),
        refresh_hint=int(data.get("refresh_hint", 0)),
        jwt_authorities=tuple(
            JwtAuthority(
                str(key.get("key_id", "")),
                base64.b64decode(key.get("public_key", "")),
                int(key.get("expires_at", 0)),
                bool(key.get("tainted", False)),
            )
            for key in data.get("jwt_authorities") or ()
        ),
    )


def svid_from_server(data: Mapping[str, Any]) -> X509Svid:
    return X509Svid(
        chain_pem="".join(pem("CERTIFICATE", der) for der in data["x509_svid"]),
        key_pem=pem("PRIVATE KEY", data["private_key"]),
        bundle_pem="".join(pem("CERTIFICATE", der) for der in data.get("root_cas") or ()),
    )


def set_filter(flag: str, values: Sequence[str] | None, match_flag: str, match: str | None) -> list[str]:
    """Return the words of a filter by a set, such as selectors. Without values it filters nothing."""
    if not values:
        return []
    return [*(word for value in values for word in (flag, value)), match_flag, match or "superset"]


def id_from_server(data: Mapping[str, str] | None) -> str:
    return f"spiffe://{data.get('trust_domain', '')}{data.get('path', '')}" if data else ""


def selectors_from_server(data: Iterable[Mapping[str, str]] | None) -> tuple[str, ...]:
    return canonical_selectors([f"{selector['type']}:{selector['value']}" for selector in data or ()])


def pem(label: str, der: str) -> str:
    """Return base64 DER as PEM."""
    body = "\n".join(textwrap.wrap(base64.b64encode(base64.b64decode(der)).decode(), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


def batches(
    items: Iterable[Any], name: str, limit: Callable[[], int] = lambda: MAX_BATCH_ITEMS
) -> Iterator[tuple[int, str]]:
    """Cut ``items`` into requests ``{name: [...]}`` and yield how many each holds, and its text.

    ``limit`` is asked for the most items of a batch while that is filled, so it can follow how fast the server is. A
    single item that is too heavy still goes out alone: the server then says so.
    """
    texts: list[str] = []
    weight = 0
    for item in items:
        text = json.dumps(item, separators=(",", ":"))
        cost = len(text) + REPLY_EXTRA  # json.dumps escapes all that is not ASCII
        if texts and (len(texts) >= min(limit(), MAX_BATCH_ITEMS) or weight + cost > MAX_MESSAGE_BYTES):
            yield len(texts), f'{{"{name}":[{",".join(texts)}]}}'
            texts, weight = [], 0
        texts.append(text)
        weight += cost
    if texts:
        yield len(texts), f'{{"{name}":[{",".join(texts)}]}}'


def entry_weight(entry: Entry) -> int:
    """The bytes that an entry takes in an answer at most: as JSON it is heavier than on the wire."""
    return len(json.dumps(entry_to_server(entry), ensure_ascii=False).encode()) + 32  # its times and revision

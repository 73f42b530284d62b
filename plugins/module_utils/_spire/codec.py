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
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import canonical_selectors

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

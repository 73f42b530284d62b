# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a machine is to have, how it is asked for, and what is told of it. Pure."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

FOLDER, FILE, LINK, COMING = "folder", "file", "link", "coming"

SHOWN = 65536
"""The most bytes of a file of which a diff shows what it held. Larger ones are programs."""

# A request is a line of words, so none has a space, and a shell takes all of them as they are.
_PATH = re.compile(r"(/[A-Za-z0-9_.@+:-]+)+")
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_MODE = re.compile(r"0?[0-7]{3}")


@dataclass(frozen=True)
class Item:
    """A folder, a file or a link of a machine as it is to be. A file without content is to come from one made later."""

    kind: str
    path: str
    owner: str
    mode: str
    content: bytes = b""
    target: str = ""
    check: str = ""
    secret: bool = False

    def request(self, asked: bool = False) -> bytes:
        """Return the line that asks for it, and what a file is to hold, unless it is only asked whether it does."""
        body = b"" if asked else self.content
        words = (
            *(self.kind, self.path, self.owner, self.mode, self.target or "-"),
            hashlib.sha256(self.content).hexdigest(),
            str(len(body)),
            base64.b64encode(self.check.encode()).decode() or "-",
            "secret" if self.secret else "open",
        )
        return " ".join(words).encode() + b"\n" + body


def text_of(content: Any) -> str:
    """Return the text of a file. Before 2.19 ansible-core takes text that is JSON for what it says."""
    return content if isinstance(content, str) else json.dumps(content)


def item_of(given: Mapping[str, Any], where: str, read: bytes | None) -> Item:
    """Check what is given of an item. ``read`` is what its src holds, or nothing where that is still to be made."""
    path = _checked(f"{where}.path", given["path"], _PATH, "an absolute path of letters, digits and ._@+:-")
    if any(part in (".", "..") for part in path.split("/")):
        raise InputError(f"{where}.path: {path} has a part that leads elsewhere. Give the path itself.")
    ways = [name for name in ("content", "src", "link") if given[name] is not None]
    if len(ways) > 1:
        raise InputError(f"{where} ({path}): {' and '.join(ways)} are given. Give one of them, or none for a folder.")
    if given["validate"] is not None and (not ways or ways == ["link"] or "%s" not in given["validate"]):
        raise InputError(f"{where} ({path}): validate is a command for a file, with %s in the place of its path.")
    owner, group = (
        _checked(f"{where}.{name}", given[name], _ACCOUNT, "the name of an account") for name in ("owner", "group")
    )
    item = Item(
        kind=FOLDER,
        path=path,
        owner=f"{owner}:{group}",
        mode=_mode(where, given["mode"], needed=ways != ["link"]),
        check=(given["validate"] or "").replace("%s", '"$1"'),
        secret=given["secret"],
    )
    changes: dict[str, Any] = {}
    if ways == ["link"]:
        changes = {"kind": LINK, "target": _checked(f"{where}.link", given["link"], _PATH, "an absolute path")}
    elif ways:
        content = text_of(given["content"]).encode() if ways == ["content"] else read
        changes = {"kind": COMING} if content is None else {"kind": FILE, "content": content}
    return Item(**{**vars(item), **changes})


def _checked(where: str, value: str, pattern: re.Pattern[str], what: str) -> str:
    if not pattern.fullmatch(value):
        raise InputError(f"{where}: {value!r} is not {what}.")
    return value


def _mode(where: str, value: str | None, needed: bool) -> str:
    if value is None and not needed:
        return "-"
    return _checked(f"{where}.mode", value or "", _MODE, 'three octal digits, such as "0640"').lstrip("0") or "0"


def changed(answer: Iterable[str]) -> list[str]:
    """Return the paths that the script says it changes."""
    return [line.split(" ", 1)[1] for line in answer if line.startswith("changed ")]


def differences(items: Sequence[Item], answer: Sequence[str]) -> list[dict[str, str]]:
    """Return what differs of each path that changes. Of what is secret there is nothing but its path."""
    paths = changed(answer)
    before = dict(line.split(" ", 2)[1:] for line in answer if line.startswith("was "))
    return [
        {
            "before_header": item.path,
            "after_header": item.path,
            "before": _text(base64.b64decode(before[item.path])) if item.path in before else "",
            "after": _after(item),
        }
        for item in items
        if item.path in paths
    ]


def _after(item: Item) -> str:
    if item.secret:
        return "(secret)\n"
    if item.kind == FILE:
        return _text(item.content)
    return f"{item.kind} {item.target or f'{item.owner} {item.mode}'}\n"


def _text(content: bytes) -> str:
    with contextlib.suppress(UnicodeDecodeError):
        if len(content) <= SHOWN:
            return content.decode()
    return f"(no text, {len(content)} bytes)\n"

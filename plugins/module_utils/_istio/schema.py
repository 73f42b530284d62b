# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The fields that one istioctl knows, out of the program itself. Pure: no Ansible, no I/O.

istioctl takes any key of ``meshConfig`` into the ConfigMap, and istiod passes over those that it does not know. No
command of either tells. A Go program holds the descriptors of its messages as they are, so the very program that
renders says which fields there are, for its own version.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

MESH_FILE = "mesh/v1alpha1/config.proto"
MESH_CONFIG = "istio.mesh.v1alpha1.MeshConfig"

_LAST_FIELDS = (12, 14)  # syntax, edition: one of them ends a file's descriptor
_FILE_FIELDS = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, *_LAST_FIELDS))
_MESSAGE_TYPE = 11


class Program(Protocol):
    """The bytes of a program: ``bytes`` or a mapped file."""

    def find(self, sub: bytes, start: int = 0, /) -> int:
        """Return where some bytes begin, or -1."""

    def __getitem__(self, part: slice, /) -> bytes:
        """Return a part of it."""


@dataclass(frozen=True)
class Message:
    """The fields of a message by each name that JSON may give them, with the message that is below, if any."""

    fields: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    is_map: bool = False


Schema = dict[str, Message]


def mesh_schema(program: Program) -> Schema:
    """Return the messages of ``meshConfig``; nothing when the program does not hold them."""
    schema: Schema = {}
    asked, pending = {MESH_FILE}, [MESH_FILE]
    while pending:
        found = _descriptor(program, pending.pop())
        if found is None:
            continue
        messages, dependencies = found
        schema.update(messages)
        # What google.protobuf.* holds is written in JSON in ways of its own: it is left to istioctl.
        new = {name for name in dependencies if not name.startswith("google/")} - asked
        asked |= new
        pending += new
    return schema


def unknown_keys(schema: Schema, message: str, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each key that the message does not know, with a known one that is much like it, or nothing."""
    known = schema.get(message)
    if known is None:
        return
    if known.is_map:
        for key, below in value.items() if isinstance(value, Mapping) else ():
            yield from unknown_keys(schema, known.fields.get("value", ""), below, f"{path}.{key}")
        return
    for item, where in _items(value, path):
        for key, below in item.items():
            if key not in known.fields:
                close = difflib.get_close_matches(str(key), known.names, 1)
                yield f"{where}.{key}", close[0] if close else ""
            else:
                yield from unknown_keys(schema, known.fields[key], below, f"{where}.{key}")


def _items(value: Any, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    if isinstance(value, Mapping):
        yield value, path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                yield item, f"{path}[{index}]"


def _descriptor(program: Program, name: str) -> tuple[Schema, list[str]] | None:
    """Return the messages of a file and the files that it needs, or None when the program does not hold it."""
    mark = b"\n" + bytes([len(name)]) + name.encode()
    start = program.find(mark)
    while start >= 0:
        try:
            return _file(program[slice(start, start + 4_000_000)])
        except (ValueError, IndexError, UnicodeDecodeError):
            start = program.find(mark, start + 1)
    return None


def _file(data: bytes) -> tuple[Schema, list[str]]:
    package, dependencies, bodies = "", [], []
    for number, value in _fields(data):
        if number not in _FILE_FIELDS or not isinstance(value, bytes):
            raise ValueError("no descriptor of a file")
        if number == 2:
            package = value.decode()
        elif number == 3:
            dependencies.append(value.decode())
        elif number == 4:
            bodies.append(value)
        if number in _LAST_FIELDS:
            break
    schema: Schema = {}
    for body in bodies:
        _message(body, package, schema)
    return schema, dependencies


def _message(data: bytes, scope: str, schema: Schema) -> None:
    parts: dict[int, list[Any]] = {}
    for number, value in _fields(data):
        parts.setdefault(number, []).append(value)
    full = f"{scope}.{parts[1][0].decode()}"
    fields, names = {}, []
    for body in parts.get(2, []):
        about = dict(_fields(body))
        name = about[1].decode()
        json_name = about[10].decode() if 10 in about else name
        below = about[6].decode().removeprefix(".") if about.get(5) == _MESSAGE_TYPE else ""
        fields[name] = fields[json_name] = below
        names.append(json_name)
    options = dict(_fields(parts[7][0])) if 7 in parts else {}
    schema[full] = Message(fields, tuple(names), bool(options.get(7)))
    for body in parts.get(3, []):
        _message(body, full, schema)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a protobuf message: bytes, or a number."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("cut off")
            yield number, data[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("no protobuf")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at

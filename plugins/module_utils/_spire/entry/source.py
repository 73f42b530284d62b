# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Entries that stand in a file, for sets that are too large to pass through Ansible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import unclean
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads

_NAMES = {str: "text", int: "a whole number", bool: "true or false", list: "a list of texts", dict: "a mapping"}
_TYPES = {"str": str, "int": int, "bool": bool, "list": list}


def read_entries(path: str, fields: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Read a list of entries from a YAML or JSON file. ``fields`` is the argument spec of one entry.

    What Ansible checks of an option is checked here: names, types, and that what is required is there. Nothing is
    turned from one type into another, so that a file means the same to every reader.
    """
    text = _read(path)
    value = _parse_json(path, text) if Path(path).suffix.lower() == ".json" else _parse_yaml(path, text)
    if isinstance(value, dict) and set(value) == {"entries"}:
        value = value["entries"]
    if not isinstance(value, list):
        raise InputError(
            f"src: {path} holds {_kind(value)}. It must hold a list of entries, or a mapping entries: […]."
        )
    types = {name: _TYPES[field["type"]] for name, field in fields.items()}
    required = [name for name, field in fields.items() if field.get("required")]
    for index, item in enumerate(value):
        _check(index, item, types, required)
    # The runner has looked at the options, and so at the file's name alone.
    wrong = unclean({"src": value})
    if wrong:
        raise InputError(" ".join(wrong))
    return value


def _check(index: int, item: Any, types: Mapping[str, type], required: Sequence[str]) -> None:
    if not isinstance(item, dict):
        raise InputError(f"src[{index}]: it is {_kind(item)}, not an entry with fields.", index=index)
    for name, value in item.items():
        wanted = types.get(name)
        if wanted is None:
            raise InputError(
                f"src[{index}].{name}: there is no such field. The fields are: {', '.join(types)}.",
                index=index,
                field=str(name),
            )
        # Null means not given, as it does in a task. And bool is a kind of int in Python.
        right = isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))
        if value is not None and not right:
            raise _wrong(index, name, value, wanted)
        if isinstance(value, list):
            for member in value:
                if not isinstance(member, str):
                    raise _wrong(index, name, member, wanted)
    for name in required:
        if item.get(name) is None:
            raise InputError(f"src[{index}].{name}: it is required and missing.", index=index, field=name)


def _wrong(index: int, name: str, value: Any, wanted: type) -> InputError:
    return InputError(
        f"src[{index}].{name}: {value!r} is {_kind(value)}; it must be {_NAMES[wanted]}.", index=index, field=name
    )


def _kind(value: Any) -> str:
    return "nothing" if value is None else _NAMES.get(type(value), f"of the type {type(value).__name__}")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"src: {path} is not UTF-8 text (byte {error.start}).") from None
    except OSError as error:
        raise InputError(
            f"src: {path} cannot be read on the host where the module runs: {error.strerror}. Copy it there first."
        ) from error


def _parse_json(path: str, text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _value in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"src: {path}: the key {twice!r} stands twice in one mapping: {str(found)[:200]}.")
        return found

    try:
        return loads(text, object_pairs_hook=unique)
    except ValueError as error:
        raise InputError(f"src: {path} is not JSON: {error}.") from None
    except RecursionError:
        raise InputError(f"src: {path} is nested too deep.") from None


def _parse_yaml(path: str, text: str) -> Any:
    try:
        import yaml  # noqa: PLC0415 - not every target host has it, and JSON needs nothing
    except ImportError:
        raise InputError(
            f"src: {path} is YAML, and the Python of this host has no PyYAML. Install it, or give a .json file."
        ) from None
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):
        """Refuses a key that stands twice, where YAML's own reader takes the last."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _value in node.value:
                if key.value in seen:
                    raise InputError(
                        f"src: {path}, line {key.start_mark.line + 1}: the key {key.value!r} stands twice in a mapping."
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise InputError(f"src: {path} is not YAML: {' '.join(str(error).split())}.") from None

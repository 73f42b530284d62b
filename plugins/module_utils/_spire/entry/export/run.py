# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_entry_export: read, choose, compare with the file, write."""

from __future__ import annotations

import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils import _files
from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.export.codec import (
    is_json,
    render,
    require_yaml,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.export.plan import (
    Export,
    described,
    plan_export,
    same_items,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.filters import entry_filters
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import check_filters, owner_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.run import FIELD_SPECS
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.source import read_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact

_MODE = 0o600


def spec() -> ArgumentSpec:
    """The options of spire_entry_export."""
    return ArgumentSpec(
        options={
            "dest": {"type": "path", "required": True},
            "owner": {"type": "str"},
            "fields": {"type": "str", "choices": ["set", "all"], "default": "set"},
            "entry_ids": {"type": "bool", "default": False},
        }
    ).merge(entry_filters(), spire_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Bring the file to what the server holds."""
    path = _place(params["dest"])
    filters = check_filters({**params, "entry_id": None})
    server = connect(params)
    before = _there(path)
    held = list_entries(server, **filters)
    if params["owner"]:
        held = [entry for entry in held if owner_of(entry.entry_id) == params["owner"]]
    export = plan_export(held, params["owner"], params["fields"] == "all", params["entry_ids"], time.time())
    changed = before is None or not same_items(before, export.items)
    if changed and not check_mode:
        _write(path, export)
    return Outcome(
        changed=changed,
        diff=_diff(path, before or (), export.items if changed else before or ()),
        warnings=[warning] if (warning := export.warning()) else [],
        result={
            "dest": params["dest"],
            "counts": {"exported": len(export.items), "left_out": len(export.left_out)},
            "left_out": described(export.left_out, "reason"),
            "remarks": described(export.remarks, "kind"),
            "actions": [{"verb": "write", "id": str(path)}] if changed else [],
        },
    )


def _place(dest: str) -> Path:
    if not dest.strip():
        raise InputError("dest: it is empty. Name the file.")
    path = Path(dest)
    if path.is_dir():
        raise InputError(f"dest: {dest} is a folder. Name the file in it.")
    if not path.parent.is_dir():
        raise InputError(f"dest: the folder {path.parent} does not exist on the host where the module runs.")
    if not is_json(dest):
        require_yaml(dest)
    # What a link leads to is written, and the link stays.
    return path.resolve()


def _there(path: Path) -> list[dict[str, Any]] | None:
    """The items of the file that is there. What is no such file is not overwritten."""
    if not path.exists():
        return None
    try:
        return read_entries(str(path), FIELD_SPECS)
    except InputError as error:
        raise InputError(
            f"dest: {path} is there, and is no list of entries, so it is not overwritten: "
            f"{error.message.removeprefix('src: ')} Name another file, or delete this one."
        ) from None


def _write(path: Path, export: Export) -> None:
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else _MODE
    try:
        _files.replace(path, render(export.items, is_json(path.name)), mode)
    except OSError as error:
        raise TrustmeshError(f"dest: {path} could not be written: {error.strerror}.") from error


def _diff(path: Path, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    # A file that somebody else wrote may hold a token.
    old, new = (redact(render(items, is_json(path.name))) if items else "" for items in (before, after))
    return {"before_header": str(path), "after_header": str(path), "before": old, "after": new}

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_entry_info: read the entries that pass the filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.filters import entry_filters
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import (
    Entry,
    check_filters,
    owner_of,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact

FILTERS = ("spiffe_id", "parent_id", "selectors", "federates_with", "hint", "downstream", "owner")


def spec() -> ArgumentSpec:
    """The options of spire_entry_info."""
    return ArgumentSpec(
        options={
            "entry_id": {"type": "str"},
            "owner": {"type": "str"},
        },
        mutually_exclusive=[("entry_id", name) for name in FILTERS if name != "downstream"],
    ).merge(entry_filters(), spire_spec())


def run(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Read the entries that pass the filters of ``params``."""
    filters = check_filters(params)
    server = connect(params)
    entries = _one(server, filters) if filters.get("entry_id") else list_entries(server, **filters)
    if params["owner"] is not None:
        # An id is no filter of the server.
        entries = [entry for entry in entries if owner_of(entry.entry_id) == params["owner"]]
    return Outcome(result={"entries": [_described(entry) for entry in entries]})


def _one(server: SpireServer, filters: Mapping[str, Any]) -> list[Entry]:
    if filters.get("downstream"):
        raise InputError("entry_id: with an id there is nothing to filter. Leave downstream out.", field="entry_id")
    try:
        return list_entries(server, **filters)
    except ProcessError as error:
        if "code = NotFound" in str(error.details.get("stderr")):
            return []
        raise


def _described(entry: Entry) -> dict[str, Any]:
    """All fields. The alias of a join token that nobody has used yet would give the token away, so it is hidden."""
    public = entry.public()
    return {
        **public,
        "parent_id": redact(entry.parent_id),
        "selectors": [redact(selector) for selector in entry.selectors],
        "owner": owner_of(entry.entry_id) or None,
        "created_at": entry.created_at,
        "revision_number": entry.revision_number,
        "additional_attributes": dict(entry.additional_attributes),
    }

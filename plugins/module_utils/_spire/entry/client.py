# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Registration entries, as spire-server reads and changes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import (
    ItemResult,
    read_list,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.codec import (
    entry_filters,
    entry_from_server,
    entry_to_server,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry


def list_entries(server: SpireServer, **filters: Any) -> list[Entry]:
    """Return all entries, or those that pass ``filters``, the options of spire_entry_info.

    The command reads them page by page itself.
    """
    doing = "Reading the registration entries"
    reply = server.call(["entry", "show", *entry_filters(filters)], doing)
    return read_list(reply, "entries", entry_from_server, doing)


def create_entries(server: SpireServer, entries: Sequence[Entry]) -> Iterator[list[ItemResult]]:
    """Create ``entries`` in batches; yield the results of each batch as it is done, in the order given."""
    items = (entry_to_server(entry) for entry in entries)
    return server.batches(items, "entries", ["entry", "create", "-data", "-"], "Creating registration entries")


def update_entries(server: SpireServer, entries: Sequence[Entry]) -> Iterator[list[ItemResult]]:
    """Replace the entries of the same ids, whole, in batches; results as for :func:`create_entries`."""
    items = (entry_to_server(entry) for entry in entries)
    return server.batches(items, "entries", ["entry", "update", "-data", "-"], "Updating registration entries")


def delete_entries(server: SpireServer, entry_ids: Sequence[str]) -> Iterator[list[ItemResult]]:
    """Delete entries in batches; results as for :func:`create_entries`."""
    doing = "Deleting registration entries"
    return server.batches(entry_ids, "ids", ["entry", "delete", "-file", "-"], doing)

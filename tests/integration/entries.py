# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of spire_entry share."""

from __future__ import annotations

from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import delete_entries, list_entries

from .conftest import Server, run_module

PARENT = "spiffe://example.org/node/blue"


def entry(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "spiffe_id": f"spiffe://example.org/{name}",
        "parent_id": PARENT,
        "selectors": ["k8s:ns:shop", f"k8s:sa:{name}"],
        **fields,
    }


def run(server: Server, entries: list[dict[str, Any]], check: bool = False, **options: Any) -> dict[str, Any]:
    result = run_module("spire_entry", {**server.connection, "entries": entries, **options}, check=check)
    assert not result.get("failed"), result
    return result


def refused(server: Server, entries: list[dict[str, Any]], check: bool = False, **options: Any) -> dict[str, Any]:
    result = run_module("spire_entry", {**server.connection, "entries": entries, **options}, check=check)
    assert result.get("failed"), result
    return result


def predicted(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("changed", "diff", "actions", "entries", "counts", "duplicates")}


def check_and_run(server: Server, entries: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """Run after a check, which must have said the same and changed nothing; a second run must change nothing."""
    before = list_entries(server.client)
    check = run(server, entries, check=True, **options)
    assert list_entries(server.client) == before
    real = run(server, entries, **options)
    assert predicted(check) == predicted(real)
    again = run(server, entries, **options)
    assert (again["changed"], again["actions"], again["diff"]) == (False, [], {"before": {}, "after": {}})
    return real


def by_hand(server: Server, wanted: dict[str, Any], entry_id: str, *words: str, verb: str = "create") -> None:
    """Create or update an entry as somebody else would."""
    selectors = [word for selector in wanted["selectors"] for word in ("-selector", selector)]
    names = ["-entryID", entry_id, "-spiffeID", wanted["spiffe_id"], "-parentID", wanted["parent_id"]]
    (result,) = server.cli("entry", verb, *names, *selectors, *words)["results"]
    assert result["status"]["code"] == 0, result


def held(server: Server) -> dict[str, str]:
    """The ids that the server holds, by the last part of their SPIFFE ID."""
    return {one.entry_id: one.spiffe_id.rpartition("/")[2] for one in list_entries(server.client)}


def clear(server: Server) -> None:
    for results in delete_entries(server.client, [one.entry_id for one in list_entries(server.client)]):
        assert all(result.ok for result in results)

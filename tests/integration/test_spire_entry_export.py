# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_entry_export against a real server: what it writes is taken by spire_entry, and changes nothing there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries

from .conftest import Server, run_module, running_server
from .entries import PARENT, by_hand, entry, run

ALIAS = "spiffe://example.org/node/new"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as one:
        estate(one)
        token = one.env["TOKEN"] = one.cli("token", "generate", "-spiffeID", ALIAS)["value"]
        agent = f"spiffe://example.org/spire/agent/join_token/{token}"
        by_hand(one, {**entry("below"), "parent_id": agent}, "below")
        run(one, [entry("cart", hint="theirs")], owner="shop")
        yield one


def estate(server: Server) -> None:
    """Entries as others made them, with every field that there is, and some that are hard to keep."""
    bundle = show_bundle(server.client).pem
    for name in ("b.org", "c.org"):
        server.cli("bundle", "set", "-id", f"spiffe://{name}", "-format", "pem", stdin=bundle)
    alias = {"spiffe_id": PARENT, "parent_id": "spiffe://example.org/spire/server", "selectors": ["k8s_psat:cluster:a"]}
    by_hand(server, alias, "alias")
    words = ["-x509SVIDTTL", "90", "-jwtSVIDTTL", "80", "-hint", "naïve: «yes»", "-entryExpiry", "1999999999"]
    words += ["-dns", "z.example.org", "-dns", "a.example.org", "-dns", "*.example.org"]
    # The second one falls under the wildcard, which the server stores and spire_entry refuses.
    by_hand(server, entry("covered"), "covered", *words[-2:], "-dns", "b.example.org")
    by_hand(
        server, entry("all"), "all", *words[:-2], "-federatesWith", "spiffe://b.org", "-federatesWith", "spiffe://c.org"
    )
    by_hand(server, entry("power", selectors=["unix:uid:0"]), "power", "-admin", "-downstream")
    by_hand(server, entry("store", selectors=["aws_secretsmanager:secretname:yes"]), "store", "-storeSVID")
    by_hand(server, entry("jti"), "jti", "-jwtSVIDIncludeJTI")
    agent = "spiffe://example.org/spire/agent/x509pop/0123"
    by_hand(server, {**entry("pinned"), "parent_id": agent}, "pinned")
    by_hand(server, entry("twin"), "first", "-hint", "first")
    by_hand(server, entry("other"), "second", "-hint", "second")
    by_hand(server, entry("twin"), "second", "-hint", "second", verb="update")
    run(server, [entry("ours", hint="by us")])


def export(server: Server, dest: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    result = run_module("spire_entry_export", {**server.connection, "dest": str(dest), **options}, check=check)
    assert not result.get("failed"), result
    return result


def apply(server: Server, dest: Path, **options: Any) -> dict[str, Any]:
    given = {**server.connection, "src": str(dest), "acknowledge_privileged": True, **options}
    result = run_module("spire_entry", given)
    assert not result.get("failed"), result
    return result


@pytest.mark.parametrize(
    ("name", "fields", "owner"),
    [("estate.yml", "set", "estate"), ("estate.yml", "all", None), ("estate.json", "all", "estate")],
)
def test_what_is_exported_and_applied_changes_nothing(
    server: Server, tmp_path: Path, name: str, fields: str, owner: str | None
) -> None:
    dest = tmp_path / name
    check = export(server, dest, check=True, fields=fields)
    assert not dest.exists()
    first = export(server, dest, fields=fields)
    assert [check[key] for key in ("changed", "counts", "left_out", "remarks", "actions", "diff")] == [
        first[key] for key in ("changed", "counts", "left_out", "remarks", "actions", "diff")
    ]
    assert first["changed"]
    assert first["counts"]["exported"] == 8
    assert dest.stat().st_mode & 0o777 == 0o600
    assert not export(server, dest, fields=fields)["changed"]
    again = apply(server, dest, **({"owner": owner} if owner else {}))
    assert (again["changed"], again["actions"]) == (False, [])
    assert again["counts"]["unchanged"] == 8


def test_all_fields_at_another_server(server: Server, tmp_path: Path) -> None:
    dest = tmp_path / "estate.yml"
    export(server, dest, fields="all", entry_ids=True)
    with running_server() as other:
        bundle = show_bundle(server.client).pem
        for name in ("b.org", "c.org"):
            other.cli("bundle", "set", "-id", f"spiffe://{name}", "-format", "pem", stdin=bundle)
        assert apply(other, dest)["counts"]["created"] == 8
        assert not export(other, dest, fields="all", entry_ids=True)["changed"]
        here, there = ({one.entry_id: one for one in list_entries(at.client)} for at in (server, other))
        for entry_id, found in there.items():
            assert found.public() == {**here[entry_id].public(), "federates_with": found.public()["federates_with"]}
            assert set(found.federates_with) == set(here[entry_id].federates_with)


def test_what_is_left_out_and_why(server: Server, tmp_path: Path) -> None:
    dest = tmp_path / "estate.yml"
    result = export(server, dest)
    assert {one["spiffe_id"].rpartition("/")[2]: one["reason"] for one in result["left_out"]} == {
        "below": "token_parent",
        "cart": "other_owner",
        "covered": "refused",
        "new": "token_alias",
        "twin": "duplicate",
    }
    assert {(one["entry_id"], one["kind"]) for one in result["remarks"]} == {
        ("power", "privileged"),
        ("pinned", "one_agent"),
        ("jti", "other_attributes"),
    }
    told = "4 entries are not in the file (1 duplicate, 1 refused, 1 token_alias, 1 token_parent)"
    assert told in json.dumps(result["warnings"])
    token = server.env["TOKEN"]
    assert token not in json.dumps(result)
    assert token not in dest.read_text()


def test_the_entries_of_an_owner(server: Server, tmp_path: Path) -> None:
    dest = tmp_path / "shop.json"
    assert export(server, dest, owner="shop", entry_ids=True)["counts"] == {"exported": 1, "left_out": 0}
    assert not apply(server, dest, owner="shop", purge="owned")["changed"]


def test_filters(server: Server, tmp_path: Path) -> None:
    dest = tmp_path / "part.json"
    export(server, dest, spiffe_id="spiffe://example.org/all")
    assert json.loads(dest.read_text())["entries"] == [
        entry(
            "all",
            x509_svid_ttl=90,
            jwt_svid_ttl=80,
            federates_with=["b.org", "c.org"],
            dns_names=["z.example.org", "a.example.org"],
            hint="naïve: «yes»",
            expires_at=1999999999,
        )
    ]


def test_a_file_that_says_the_same_keeps_its_comments_and_another_is_written(server: Server, tmp_path: Path) -> None:
    dest = tmp_path / "estate.yml"
    export(server, dest)
    content = yaml.safe_load(dest.read_text())
    words = "# ours\n" + yaml.safe_dump(list(reversed(content["entries"])))
    dest.write_text(words)
    dest.chmod(0o640)
    assert not export(server, dest)["changed"]
    assert dest.read_text() == words
    content["entries"].pop()
    dest.write_text(yaml.safe_dump(content))
    result = export(server, dest)
    assert result["changed"]
    assert len(result["diff"]["after"]) > len(result["diff"]["before"]) > 0
    assert yaml.safe_load(dest.read_text()) != content
    assert dest.stat().st_mode & 0o777 == 0o640


def test_what_is_no_list_of_entries_is_not_overwritten(server: Server, tmp_path: Path) -> None:
    dest = tmp_path / "notes.yml"
    dest.write_text("secret: words\n")
    result = run_module("spire_entry_export", {**server.connection, "dest": str(dest)})
    assert result["failed"]
    assert "is not overwritten" in result["msg"]
    assert "delete this one" in result["msg"]
    assert dest.read_text() == "secret: words\n"

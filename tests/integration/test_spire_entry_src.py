# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_entry with a file, with many entries, and with large ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Server, run_module, running_server
from .entries import check_and_run, clear, entry, held, refused, run

EVERYTHING = {
    "x509_svid_ttl": 60,
    "jwt_svid_ttl": 70,
    "federates_with": [],
    "dns_names": ["z.org", "a.org"],
    "admin": False,
    "downstream": False,
    "store_svid": True,
    "hint": "h",
    "expires_at": 1999999999,
    "entry_id": "mine.1",
}


@pytest.fixture(autouse=True)
def empty(server: Server) -> None:
    clear(server)


def from_file(server: Server, path: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    return run_module("spire_entry", {**server.connection, "src": str(path), **options}, check=check)


@pytest.mark.parametrize("name", ["entries.json", "entries.yml"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_file_means_what_a_list_means(server: Server, tmp_path: Path, name: str, wrapped: bool) -> None:
    wanted = [entry("cart", **EVERYTHING), entry("quote", hint=None)]
    path = tmp_path / name
    content = {"entries": wanted} if wrapped else wanted
    path.write_text(json.dumps(content) if name.endswith(".json") else yaml.safe_dump(content))
    check, real = (from_file(server, path, check=check) for check in (True, False))
    assert [check[key] for key in ("actions", "diff", "entries")] == [
        real[key] for key in ("actions", "diff", "entries")
    ]
    assert real["counts"]["created"] == 2
    assert not run(server, wanted)["changed"]
    assert not from_file(server, path)["changed"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("none.json", None, ["none.json", "cannot be read", "No such file"]),
        ("x.json", "[", ["x.json is not JSON", "line 1"]),
        ("x.json", '"x"', ["holds text.", "a list of entries"]),
        ("x.json", '{"entries": [], "more": 1}', ["holds a mapping.", "a list of entries"]),
        ("x.json", "[5]", ["src[0]", "a whole number, not an entry"]),
        ("x.json", '[{"spiffe_id": "a", "spiffe_id": "b"}]', ["'spiffe_id' stands twice"]),
        ("x.json", "[" * 100000, ["nested too deep"]),
        ("x.json", b"\xff", ["not UTF-8"]),
        ("x.yml", "a: [", ["x.yml is not YAML", "line 2"]),
        ("x.yml", "- {spiffe_id: a,\n   spiffe_id: b}", ["line 2", "'spiffe_id' stands twice"]),
        ("x.yml", "- !!python/object:os.system {}", ["not YAML"]),
        ("x.yml", "", ["holds nothing.", "a list of entries"]),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str, text: str | bytes | None, words: list[str]) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said(path, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ttl": 5}, ["src[1].ttl", "no such field", "x509_svid_ttl"]),
        ({"x509_svid_ttl": "300"}, ["src[1].x509_svid_ttl", "'300' is text", "a whole number"]),
        ({"x509_svid_ttl": True}, ["src[1].x509_svid_ttl", "true or false", "a whole number"]),
        ({"x509_svid_ttl": 1.5}, ["src[1].x509_svid_ttl", "float"]),
        ({"hint": 5}, ["src[1].hint", "5 is a whole number", "text"]),
        ({"admin": "yes"}, ["src[1].admin", "true or false"]),
        ({"selectors": "k8s:ns:a"}, ["src[1].selectors", "a list of texts"]),
        ({"selectors": ["k8s:ns:a", 5]}, ["src[1].selectors", "5 is a whole number"]),
        ({"selectors": None}, ["src[1].selectors", "required"]),
        ({"spiffe_id": "spiffe://Example.org/x"}, ["src[1].spiffe_id", "lower case"]),
        ({"x509_svid_ttl": -1}, ["src[1].x509_svid_ttl", "-1"]),
        ({"spiffe_id": "spiffe://example.org/ok", "selectors": ["k8s:sa:ok", "k8s:ns:shop"]}, ["src[0]", "merge"]),
    ],
)
def test_a_bad_item_of_a_file_is_named(tmp_path: Path, change: dict[str, Any], words: list[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps([entry("ok"), {**entry("bad"), **change}]))
    said(path, words)


def said(path: Path, words: list[str]) -> None:
    nowhere = {"binary": "/nonexistent/spire-server", "socket_path": "/nonexistent/api.sock"}
    result = run_module("spire_entry", {**nowhere, "src": str(path)})
    assert result["failed"]
    for word in words:
        assert word in result["msg"]
    assert "/nonexistent" not in result["msg"]


@pytest.mark.parametrize(
    ("which", "first", "second"),
    [
        ("all", ["a", "b"], ["a", "b"]),
        ("changed", ["a", "b"], ["a"]),
        ("none", None, None),
        ("auto", ["a", "b"], ["a", "b"]),
    ],
)
def test_what_is_returned(server: Server, which: str, first: list[str] | None, second: list[str] | None) -> None:
    def names(result: dict[str, Any]) -> list[str] | None:
        return [one["spiffe_id"][-1] for one in result["entries"]] if "entries" in result else None

    assert names(run(server, [entry("a"), entry("b")], return_entries=which)) == first
    assert names(run(server, [entry("a", hint="x"), entry("b")], return_entries=which)) == second


def test_across_the_message_limit_of_grpc(tmp_path: Path) -> None:
    # Together 8 MiB: in one call neither the request nor the reply could pass. The texts double in JSON, and not on the
    # wire, so both ways of counting are met.
    with running_server() as server:
        many = [entry(f"w{number}", selectors=[f"k8s:pod-label:{number}:" + 'é"' * 700]) for number in range(2500)]
        many += [entry(f"w{number}", hint="h" * 1000) for number in range(2500, 3500)]
        path = tmp_path / "entries.json"
        path.write_text(json.dumps(many))
        real = from_file(server, path, owner="large")
        assert real["counts"]["created"] == len(held(server)) == 3500
        assert "entries" not in real
        assert from_file(server, path, owner="large", purge="owned")["counts"]["unchanged"] == 3500
        path.write_text(json.dumps([{**one, "jwt_svid_ttl": 5} for one in many]))
        assert from_file(server, path, owner="large")["counts"]["updated"] == 3500
        path.write_text("[]")
        gone = from_file(server, path, owner="large", purge="owned", allow_empty=True)
        assert gone["counts"]["deleted"] == 3500
        assert held(server) == {}


def test_entries_that_could_not_be_listed_any_more_are_refused(server: Server) -> None:
    def large(count: int) -> list[dict[str, Any]]:
        return [entry(f"w{number}", selectors=[f"k8s:pod-label:{number}:" + "x" * 20_000]) for number in range(count)]

    check_and_run(server, large(150))
    result = refused(server, large(250))
    assert "could not be read any more" in result["msg"]
    assert len(held(server)) == 150
    one = [entry("one", selectors=["k8s:pod-label:" + "x" * 5_000_000])]
    assert "could not be read any more" in refused(server, one)["msg"]

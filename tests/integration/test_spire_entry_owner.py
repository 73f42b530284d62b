# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_entry beside others: owners, purge, adoption, duplicates, moved entries."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries

from .conftest import Server, run_module
from .entries import by_hand, check_and_run, clear, entry, held, refused, run


@pytest.fixture(autouse=True)
def empty(server: Server) -> None:
    clear(server)


def test_an_owner_gives_ids_with_its_name(server: Server) -> None:
    result = check_and_run(server, [entry("cart")], owner="shop")
    (entry_id,) = held(server)
    assert entry_id == result["entries"][0]["entry_id"]
    assert entry_id.startswith("trustmesh.shop.")


def test_purge_deletes_what_left_the_list_and_nothing_of_others(server: Server) -> None:
    run(server, [entry("cart"), entry("quote"), entry("gone")], owner="shop")
    run(server, [entry("bill")], owner="shop-2")
    run(server, [entry("free")])
    by_hand(server, entry("hand"), "theirs")
    result = check_and_run(server, [entry("cart", hint="x"), entry("quote"), entry("new")], owner="shop", purge="owned")
    assert [(a["verb"], a["spiffe_id"].rpartition("/")[2]) for a in result["actions"]] == [
        ("delete", "gone"),
        ("update", "cart"),
        ("create", "new"),
    ]
    assert result["counts"] == {"created": 1, "updated": 1, "deleted": 1, "unchanged": 1, "adopted": 0}
    assert sorted(held(server).values()) == ["bill", "cart", "free", "hand", "new", "quote"]


def test_without_purge_nothing_is_deleted(server: Server) -> None:
    run(server, [entry("cart")], owner="shop")
    assert run(server, [entry("quote")], owner="shop")["counts"]["deleted"] == 0
    assert sorted(held(server).values()) == ["cart", "quote"]


def test_purge_of_an_empty_list_needs_to_be_allowed(server: Server) -> None:
    run(server, [entry("cart"), entry("quote")], owner="shop")
    assert "allow_empty" in refused(server, [], owner="shop", purge="owned")["msg"]
    assert len(held(server)) == 2
    assert check_and_run(server, [], owner="shop", purge="owned", allow_empty=True)["counts"]["deleted"] == 2
    assert held(server) == {}


def test_an_adopted_entry_keeps_its_id_and_is_never_purged(server: Server) -> None:
    by_hand(server, entry("cart"), "theirs")
    result = check_and_run(server, [entry("cart", hint="ours")], owner="shop", purge="owned")
    assert result["counts"] == {"created": 0, "updated": 1, "deleted": 0, "unchanged": 0, "adopted": 1}
    assert not run(server, [], owner="shop", purge="owned", allow_empty=True)["changed"]
    assert held(server) == {"theirs": "cart"}


@pytest.mark.parametrize("state", ["present", "absent"])
def test_adopt_false_names_all_entries_of_others_and_changes_nothing(server: Server, state: str) -> None:
    by_hand(server, entry("cart"), "theirs-1")
    by_hand(server, entry("quote"), "theirs-2")
    run(server, [entry("mine")])
    wanted = [entry("mine", hint="x"), entry("cart"), entry("quote")]
    result = refused(server, wanted, adopt=False, state=state)
    assert "entries[1] (spiffe://example.org/cart)" in result["msg"]
    assert "theirs-1, made by someone else" in result["msg"]
    assert result["conflicts"] == [{"index": 1, "entry_id": "theirs-1"}, {"index": 2, "entry_id": "theirs-2"}]
    assert len(held(server)) == 3
    assert all(not one.hint for one in list_entries(server.client))


def test_naming_the_id_of_an_entry_is_no_adoption(server: Server) -> None:
    by_hand(server, entry("cart"), "theirs")
    assert check_and_run(server, [entry("cart", entry_id="theirs", hint="x")], adopt=False)["counts"]["updated"] == 1


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("owner", ["billing", None])
def test_two_owners_cannot_have_one_entry(server: Server, owner: str | None, state: str) -> None:
    run(server, [entry("cart")], owner="shop")
    before = list_entries(server.client)
    result = refused(server, [entry("cart", hint="x")], state=state, **({"owner": owner} if owner else {}))
    assert "made by the owner shop" in result["msg"]
    assert "Take it out of one of the two lists" in result["msg"]
    assert list_entries(server.client) == before


def test_an_owner_that_is_named_later_adopts_what_it_made_before(server: Server) -> None:
    (made,) = run(server, [entry("cart")])["entries"]
    result = check_and_run(server, [entry("cart")], owner="shop")
    assert (result["changed"], result["counts"]["adopted"]) == (False, 1)
    assert list(held(server)) == [made["entry_id"]]


def test_absent_with_an_owner(server: Server) -> None:
    run(server, [entry("cart"), entry("quote")], owner="shop")
    assert check_and_run(server, [entry("cart")], owner="shop", state="absent")["counts"]["deleted"] == 1
    assert list(held(server).values()) == ["quote"]


def test_entries_whose_keys_were_swapped_by_hand_are_led_back(server: Server) -> None:
    cart, quote = run(server, [entry("cart"), entry("quote")], owner="shop")["entries"]
    by_hand(server, entry("quote"), cart["entry_id"], verb="update")
    by_hand(server, entry("other"), quote["entry_id"], verb="update")
    result = check_and_run(server, [entry("cart"), entry("quote")], owner="shop", purge="owned")
    assert held(server) == {cart["entry_id"]: "cart", quote["entry_id"]: "quote"}
    assert result["counts"]["updated"] == 2


def test_an_entry_that_took_the_key_of_a_new_one_is_led_back_first(server: Server) -> None:
    (cart,) = run(server, [entry("cart")])["entries"]
    by_hand(server, entry("quote"), cart["entry_id"], verb="update")
    # The server would refuse to create quote while cart's entry has its key.
    result = check_and_run(server, [entry("cart"), entry("quote")])
    assert [action["verb"] for action in result["actions"]] == ["update", "create"]


def test_a_moved_entry_is_deleted_by_absent(server: Server) -> None:
    (cart,) = run(server, [entry("cart")])["entries"]
    by_hand(server, entry("elsewhere"), cart["entry_id"], verb="update")
    assert check_and_run(server, [entry("cart")], state="absent")["counts"]["deleted"] == 1
    assert held(server) == {}


def test_duplicates_are_reported_and_one_that_is_ours_is_purged(server: Server) -> None:
    cart, quote = run(server, [entry("cart"), entry("quote")], owner="shop")["entries"]
    by_hand(server, entry("x"), "stranger")
    by_hand(server, entry("cart"), "stranger", verb="update")
    by_hand(server, entry("cart"), quote["entry_id"], verb="update")
    by_hand(server, entry("y1"), "other-1")
    by_hand(server, entry("y2"), "other-2")
    by_hand(server, entry("y1"), "other-2", verb="update")
    result = run(server, [entry("cart")], owner="shop", purge="owned")
    assert [set(one["ids"]) for one in result["duplicates"]] == [
        {cart["entry_id"], quote["entry_id"], "stranger"},
        {"other-1", "other-2"},
    ]
    assert result["duplicates"][0]["ids"][0] == cart["entry_id"]
    assert "The server holds 3 entries for spiffe://example.org/cart" in str(result["warnings"])
    assert "y1" not in str(result["warnings"])
    assert held(server) == {cart["entry_id"]: "cart", "stranger": "cart", "other-1": "y1", "other-2": "y1"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"owner": ""}, ["owner", "letters"]),
        ({"owner": "Shop"}, ["owner", "lower case"]),
        ({"owner": "a.b"}, ["owner", "lower case"]),
        ({"owner": "-a"}, ["owner", "lower case"]),
        ({"owner": "a" * 64}, ["owner", "63"]),
        ({"purge": "owned"}, ["purge", "needs owner"]),
        ({"owner": "shop", "purge": "owned", "state": "absent"}, ["purge", "state: present"]),
        ({"owner": "shop", "purge": "all"}, ["purge", "owned"]),
        ({"owner": "shop", "entries": [entry("a", entry_id="x")]}, ["entries[0].entry_id", "trustmesh.shop."]),
        ({"entries": [entry("a", entry_id="trustmesh.shop.1")]}, ["entries[0].entry_id", "owner: shop"]),
        ({"on_refusal": "ignore"}, ["on_refusal", "stop, continue"]),
        ({"return_entries": "some"}, ["return_entries", "auto"]),
        ({"src": "/x.json"}, ["mutually exclusive", "src"]),
        ({"entries": [entry("a"), entry("b", hint="\0")]}, ["entries[1].hint", "zero byte"]),
        ({"entries": [entry("a", selectors=["k8s:ns:a\0b"])]}, ["entries[0].selectors", "zero byte"]),
        ({"entries": None}, ["one of the following is required", "src"]),
    ],
)
def test_bad_options_are_refused_before_the_server_is_asked(options: dict[str, Any], words: list[str]) -> None:
    nowhere = {"binary": "/nonexistent/spire-server", "socket_path": "/nonexistent/api.sock"}
    args = {**nowhere, "entries": [entry("a")], **options}
    result = run_module("spire_entry", {name: value for name, value in args.items() if value is not None})
    assert result["failed"]
    for word in words:
        assert word in result["msg"]
    assert "/nonexistent" not in result["msg"]


def test_a_task_for_another_trust_domain_is_refused_whatever_it_wants(server: Server) -> None:
    strange = {**entry("a"), "spiffe_id": "spiffe://other.org/a", "parent_id": "spiffe://other.org/n"}
    for state in ("present", "absent"):
        for _filled in (False, True):
            result = refused(server, [strange], state=state)
            assert "signs for the trust domain example.org, not for other.org" in result["msg"]
            run(server, [entry("a")])
        clear(server)

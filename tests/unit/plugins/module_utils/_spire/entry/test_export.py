# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a file of entries, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.export.codec import render
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.export.plan import (
    plan_export,
    same_items,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry

NODE = "spiffe://example.org/node/blue"
CART = Entry("spiffe://example.org/cart", NODE, ("k8s:ns:shop", "k8s:sa:cart"), "hand", created_at=5)
TOKEN = "spiffe://example.org/spire/agent/join_token/0123-4567"


def reasons(*held: Entry, owner: str | None = None) -> list[tuple[str, str]]:
    export = plan_export(held, owner, False, False, 1000)
    return [(left.entry.entry_id, left.kind) for left in export.left_out]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (replace(CART, parent_id=TOKEN, selectors=(f"spiffe_id:{TOKEN}",)), "token_alias"),
        (replace(CART, parent_id=TOKEN), "token_parent"),
        (replace(CART, entry_id="trustmesh.shop.1"), "other_owner"),
        (replace(CART, expires_at=1000), "expired"),
        (replace(CART, selectors=("k8s:ns:shop ",)), "refused"),
        (replace(CART, hint="{{ secret }}"), "refused"),
        (replace(CART, spiffe_id="spiffe://example.org/spire/old"), "refused"),
    ],
)
def test_what_is_left_out(entry: Entry, reason: str) -> None:
    assert reasons(entry) == [(entry.entry_id, reason)]


def test_what_is_kept() -> None:
    held = (CART, replace(CART, spiffe_id="spiffe://example.org/web", entry_id="trustmesh.0"))
    assert reasons(*held, replace(CART, spiffe_id="spiffe://example.org/z", expires_at=1001)) == []
    assert reasons(replace(CART, entry_id="trustmesh.shop.1"), owner="shop") == []


def test_of_duplicates_the_one_is_kept_that_spire_entry_would_manage() -> None:
    ours = replace(CART, entry_id=CART.key.entry_id, created_at=9)
    assert reasons(CART, ours, replace(CART, entry_id="third", created_at=1)) == [
        ("third", "duplicate"),
        ("hand", "duplicate"),
    ]


def test_fields() -> None:
    entry = replace(CART, hint="h", dns_names=("b.org", "a.org"))
    (few,) = plan_export([entry], None, False, False, 0).items
    assert few == {
        "spiffe_id": CART.spiffe_id,
        "parent_id": NODE,
        "selectors": list(CART.selectors),
        "dns_names": ["b.org", "a.org"],
        "hint": "h",
    }
    (every,) = plan_export([entry], None, True, True, 0).items
    assert list(every)[-1] == "entry_id"
    assert (every["admin"], every["federates_with"], len(every)) == (False, [], 13)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_file_says_what_was_held(as_json: bool) -> None:
    entry = replace(
        CART, hint="yes", dns_names=("a.org",), federates_with=("a.org",), selectors=("k8s:x:0755", "on:1:2")
    )
    export = plan_export([entry], None, True, False, 0)
    assert yaml.safe_load(render(export.items, as_json))["entries"] == list(export.items)


def test_files_that_say_the_same() -> None:
    one = {"spiffe_id": "a", "selectors": ["b", "a"], "hint": None}
    assert same_items([one, {"spiffe_id": "b"}], [{"spiffe_id": "b"}, {"spiffe_id": "a", "selectors": ["a", "b"]}])
    assert not same_items([{**one, "dns_names": ["a", "b"]}], [{**one, "dns_names": ["b", "a"]}])
    assert not same_items([one], [])

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_entry_info against a real server: each filter, all fields, no token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle

from .conftest import Server, run_module, running_server
from .entries import PARENT, by_hand, entry, run


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as one:
        bundle = show_bundle(one.client).pem
        for name in ("b.org", "c.org"):
            one.cli("bundle", "set", "-id", f"spiffe://{name}", "-format", "pem", stdin=bundle)
        run(one, [entry("cart"), entry("quote", hint="q", federates_with=["b.org"])], owner="shop")
        run(one, [entry("sub", downstream=True, federates_with=["b.org", "c.org"])], acknowledge_privileged=True)
        run(one, [entry("solo", selectors=["k8s:ns:shop"]), {**entry("far"), "parent_id": "spiffe://example.org/far"}])
        by_hand(one, entry("hand"), "theirs", "-jwtSVIDIncludeJTI", "-x509SVIDTTL", "90")
        yield one


def read(server: Server, **filters: Any) -> list[dict[str, Any]]:
    result = run_module("spire_entry_info", {**server.connection, **filters})
    assert not result.get("failed"), result
    assert not result["changed"]
    entries: list[dict[str, Any]] = result["entries"]
    return entries


def names(entries: list[dict[str, Any]]) -> str:
    return " ".join(sorted(one["spiffe_id"].rpartition("/")[2] for one in entries))


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, "cart far hand quote solo sub"),
        ({"entry_id": "theirs"}, "hand"),
        ({"entry_id": "nobody"}, ""),
        ({"spiffe_id": "spiffe://example.org/cart"}, "cart"),
        ({"spiffe_id": "spiffe://example.org/none"}, ""),
        ({"parent_id": "spiffe://example.org/far"}, "far"),
        ({"parent_id": PARENT, "owner": "shop"}, "cart quote"),
        ({"hint": "q"}, "quote"),
        ({"downstream": True}, "sub"),
        ({"downstream": True, "spiffe_id": "spiffe://example.org/cart"}, ""),
        ({"owner": "shop"}, "cart quote"),
        ({"owner": "nobody"}, ""),
        ({"selectors": ["k8s:sa:cart"]}, "cart"),
        ({"selectors": ["k8s:ns:shop"], "selectors_match": "exact"}, "solo"),
        ({"selectors": ["k8s:ns:shop", "k8s:sa:cart"], "selectors_match": "exact"}, "cart"),
        ({"selectors": ["k8s:ns:shop", "k8s:sa:cart"], "selectors_match": "subset"}, "cart solo"),
        ({"selectors": ["k8s:sa:quote", "k8s:sa:cart"], "selectors_match": "any"}, "cart quote"),
        ({"federates_with": ["b.org"]}, "quote sub"),
        ({"federates_with": ["spiffe://b.org"], "federates_with_match": "exact"}, "quote"),
        ({"federates_with": ["b.org", "c.org"], "federates_with_match": "subset"}, "quote sub"),
        ({"federates_with": ["c.org", "d.org"], "federates_with_match": "any"}, "sub"),
    ],
)
def test_filters(server: Server, filters: dict[str, Any], found: str) -> None:
    assert names(read(server, **filters)) == found


def test_all_fields(server: Server) -> None:
    (one,) = read(server, entry_id="theirs")
    assert one.pop("created_at") > 1_700_000_000
    assert one == {
        "entry_id": "theirs",
        "owner": None,
        **entry("hand"),
        "x509_svid_ttl": 90,
        "jwt_svid_ttl": 0,
        "federates_with": [],
        "dns_names": [],
        "admin": False,
        "downstream": False,
        "store_svid": False,
        "hint": "",
        "expires_at": 0,
        "revision_number": 0,
        "additional_attributes": {"disable_x509_svid_prefetch": False, "jwt_svid_include_jti": True},
    }
    by_hand(server, entry("hand"), "theirs", "-x509SVIDTTL", "91", verb="update")
    assert read(server, entry_id="theirs")[0]["revision_number"] == 1
    assert {one["owner"] for one in read(server, owner="shop")} == {"shop"}


def test_what_is_read_can_be_wanted(server: Server) -> None:
    not_options = ("owner", "created_at", "revision_number", "additional_attributes")
    entries = [{k: v for k, v in one.items() if k not in not_options} for one in read(server, parent_id=PARENT)]
    wanted = [one for one in entries if not one["entry_id"].startswith("trustmesh.shop.")]
    assert len(wanted) == 3
    assert not run(server, wanted, acknowledge_privileged=True)["changed"]


def test_a_token_that_nobody_has_used_is_not_shown(server: Server) -> None:
    alias = "spiffe://example.org/node/new"
    token = server.cli("token", "generate", "-spiffeID", alias)["value"]
    (one,) = read(server, spiffe_id=alias)
    assert token not in json.dumps(read(server))
    assert "/join_token/sha256:" in one["parent_id"]
    assert "/join_token/sha256:" in one["selectors"][0]
    server.cli("entry", "delete", "-entryID", one["entry_id"])


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"entry_id": "a", "hint": "x"}, ["mutually exclusive", "hint"]),
        ({"entry_id": "a", "downstream": True}, ["entry_id", "downstream"]),
        ({"entry_id": ""}, ["entry_id", "empty"]),
        ({"entry_id": "a/b"}, ["entry_id", "a/b"]),
        ({"spiffe_id": ""}, ["spiffe_id", "empty"]),
        ({"spiffe_id": "x"}, ["spiffe_id", "spiffe://"]),
        ({"parent_id": "spiffe://A/x"}, ["parent_id", "lower case"]),
        ({"selectors": []}, ["selectors", "empty"]),
        ({"selectors": ["x"]}, ["selectors", "type:value"]),
        ({"selectors_match": "some"}, ["selectors_match", "exact"]),
        ({"federates_with": []}, ["federates_with", "empty"]),
        ({"federates_with": ["A"]}, ["federates_with", "lower case"]),
        ({"hint": ""}, ["hint", "empty"]),
        ({"owner": "A"}, ["owner", "lower case"]),
        ({"name": "A"}, ["name", "Supported parameters"]),
    ],
)
def test_bad_filters_are_refused_before_the_server_is_asked(filters: dict[str, Any], words: list[str]) -> None:
    nowhere = {"binary": "/nonexistent/spire-server", "socket_path": "/nonexistent/api.sock"}
    result = run_module("spire_entry_info", {**nowhere, **filters})
    assert result["failed"]
    for word in words:
        assert word in result["msg"]
    assert "/nonexistent" not in result["msg"]


def test_a_filter_for_another_trust_domain_is_refused_with_the_servers_words(server: Server) -> None:
    result = run_module("spire_entry_info", {**server.connection, "spiffe_id": "spiffe://other.org/x"})
    assert result["failed"]
    assert "is not a member of trust domain" in result["msg"]

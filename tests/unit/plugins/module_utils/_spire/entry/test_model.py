# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the user's list: each rule with the item and the field that it names."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import (
    Key,
    check_owner,
    owner_of,
    owner_prefix,
    same,
    wanted_entries,
)
from hypothesis import given
from hypothesis import strategies as st


def item(**fields: Any) -> dict[str, Any]:
    return {"spiffe_id": "spiffe://td/a", "parent_id": "spiffe://td/n", "selectors": ["k8s:ns:x"], **fields}


def test_only_named_fields_are_kept_and_selectors_are_a_set() -> None:
    (one,) = wanted_entries([item(selectors=["k8s:sa:b", "k8s:ns:a"], hint="", x509_svid_ttl=None)])
    assert one.key.selectors == ("k8s:ns:a", "k8s:sa:b")
    assert one.named == {"hint": ""}


def test_the_id_of_an_entry_never_changes_with_a_release() -> None:
    # Written down: another scheme would rename every entry that users have.
    key = Key("spiffe://example.org/m1", "spiffe://example.org/node", ("unix:uid:5",))
    assert key.entry_id == "trustmesh.015e9751f3094589a1db94b50ed400c1"


def test_federated_trust_domains_are_taken_in_both_forms() -> None:
    (one,) = wanted_entries([item(federates_with=["spiffe://b", "c"])])
    assert one.named["federates_with"] == ("b", "c")


def test_privileged_entries_pass_when_acknowledged() -> None:
    (one,) = wanted_entries([item(admin=True, downstream=True)], acknowledge_privileged=True)
    assert one.named == {"admin": True, "downstream": True}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("spiffe_id", "", "empty"),
        ("spiffe_id", "spiffe://td", "no path"),
        ("spiffe_id", "spiffe://td/spire", "/spire"),
        ("spiffe_id", "spiffe://td/spire/server", "/spire"),
        ("parent_id", "spiffe://td", "no path"),
        ("parent_id", "spiffe://other/n", "trust domain"),
        ("parent_id", "node", "spiffe://"),
        ("selectors", [], "at least one"),
        ("selectors", ["x"], "type:value"),
        ("selectors", ["x:"], "type:value"),
        ("selectors", [":x"], "type:value"),
        ("selectors", [""], "type:value"),
        ("selectors", [" k8s:ns:x"], "blanks"),
        ("selectors", ["k8s :ns:x"], "blanks"),
        ("selectors", ["a:b", "a:b"], "twice"),
        ("x509_svid_ttl", -1, "-1"),
        ("x509_svid_ttl", 2**31, "2147483648"),
        ("jwt_svid_ttl", 2**31, "2147483648"),
        ("expires_at", -3, "-3"),
        ("expires_at", 2**63, "since 1970"),
        ("hint", "x" * 1025, "1024"),
        ("hint", "ä" * 513, "1024"),
        ("dns_names", ["a.org", "a.org"], "twice"),
        ("dns_names", [""], "not a DNS name"),
        ("dns_names", ["A.org"], "not a DNS name"),
        ("dns_names", ["a_b.org"], "not a DNS name"),
        ("dns_names", ["-a.org"], "not a DNS name"),
        ("dns_names", ["a.org."], "not a DNS name"),
        ("dns_names", ["a..org"], "not a DNS name"),
        ("dns_names", ["*"], "not a DNS name"),
        ("dns_names", ["*.*.org"], "not a DNS name"),
        ("dns_names", ["a.*.org"], "not a DNS name"),
        ("dns_names", ["ab--c.org"], "not a DNS name"),
        ("dns_names", ["x" * 64], "not a DNS name"),
        ("dns_names", ["x." * 127 + "org"], "not a DNS name"),
        ("dns_names", ["*.a.org", "b.a.org"], "covered by"),
        ("federates_with", ["td"], "own trust domain"),
        ("federates_with", ["A"], "lower case"),
        ("federates_with", ["spiffe://b/x"], "has a path"),
        ("federates_with", ["b", "spiffe://b"], "twice"),
        ("admin", True, "acknowledge_privileged"),
        ("downstream", True, "acknowledge_privileged"),
        ("entry_id", "", "letters"),
        ("entry_id", "a/b", "letters"),
        ("entry_id", "x" * 256, "255"),
    ],
)
def test_bad_values_name_item_and_field(field: str, value: Any, words: str) -> None:
    good = item(spiffe_id="spiffe://td/good")
    with pytest.raises(InputError) as caught:
        wanted_entries([good, item(**{field: value})])
    assert caught.value.message.startswith(f"entries[1].{field}: ")
    assert words in caught.value.message
    assert caught.value.details == {"index": 1, "field": field}


def test_stored_svids_need_selectors_of_one_type() -> None:
    with pytest.raises(InputError, match="store_svid"):
        wanted_entries([item(store_svid=True, selectors=["a:1", "b:1"])])


def test_the_same_key_twice_is_refused_whatever_the_order_of_selectors() -> None:
    with pytest.raises(InputError, match=r"entries\[1\]: the same entry as entries\[0\]"):
        wanted_entries([item(selectors=["a:1", "a:2"]), item(selectors=["a:2", "a:1"])])


def test_one_id_for_two_entries_is_refused() -> None:
    with pytest.raises(InputError, match=r"entries\[1\].entry_id: x is already the id of entries\[0\]"):
        wanted_entries([item(entry_id="x"), item(entry_id="x", spiffe_id="spiffe://td/b")])


def test_two_trust_domains_are_refused() -> None:
    with pytest.raises(InputError, match="One server signs for one trust domain"):
        wanted_entries([item(), item(spiffe_id="spiffe://b/a", parent_id="spiffe://b/n")])


def test_sameness_follows_what_a_field_means() -> None:
    assert same("federates_with", ("a", "b"), ("b", "a"))
    assert same("dns_names", ("a", "b", "c"), ("a", "c", "b"))
    assert not same("dns_names", ("a", "b"), ("b", "a"))
    assert not same("hint", "a", "b")


def test_the_id_of_an_owners_entry_never_changes_with_a_release() -> None:
    key = Key("spiffe://example.org/m1", "spiffe://example.org/node", ("unix:uid:5",))
    assert key.id_for("shop") == "trustmesh.shop.015e9751f3094589a1db94b50ed400c1"


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True))
def test_an_owner_is_told_by_the_ids_that_it_gives(owner: str) -> None:
    check_owner(owner)
    key = Key("spiffe://td/a", "spiffe://td/n", ("k8s:ns:x",))
    assert owner_of(key.id_for(owner)) == owner
    assert owner_of(key.id_for(None)) == ""
    assert key.id_for(owner).startswith(owner_prefix(owner))
    assert not key.id_for(owner + "x").startswith(owner_prefix(owner))


@given(st.text())
def test_any_text_is_an_owner_or_is_refused(text: str) -> None:
    try:
        check_owner(text)
    except InputError as error:
        assert error.message.startswith("owner: ")
    else:
        assert owner_of(f"{owner_prefix(text)}x") == text


@pytest.mark.parametrize("entry_id", ["", "theirs", "trustmeshx.a.b", "x.trustmesh.a.b", "TRUSTMESH.a.b"])
def test_an_id_that_is_none_of_ours(entry_id: str) -> None:
    assert owner_of(entry_id) is None


def test_an_id_that_is_written_out_may_not_be_one_that_another_entry_gets() -> None:
    taken = Key("spiffe://td/a", "spiffe://td/n", ("k8s:ns:x",)).entry_id
    with pytest.raises(InputError, match=r"entries\[1\].entry_id: .* is the id that entries\[0\]"):
        wanted_entries([item(), item(spiffe_id="spiffe://td/b", entry_id=taken)])


def test_the_option_that_the_list_stands_in_is_named() -> None:
    with pytest.raises(InputError, match=r"src\[0\].hint"):
        wanted_entries([item(hint="x" * 2000)], source="src")


def test_text_that_cannot_be_sent_is_refused() -> None:
    for field, value in (("hint", "\ud800"), ("selectors", ["a:\ud800"]), ("hint", "a\0")):
        with pytest.raises(InputError, match=rf"entries\[0\].{field}"):
            wanted_entries([item(**{field: value})])

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between SPIRE's JSON and our values. The texts are shaped like the output of SPIRE 1.15.3."""

from __future__ import annotations

import json

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire import codec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.codec import (
    entry_from_server,
    entry_to_server,
    entry_weight,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.model import JoinToken
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.model import X509Svid
from hypothesis import given
from hypothesis import strategies as st

SERVER_ENTRY = {
    "additional_attributes": {"jwt_svid_include_jti": True},
    "admin": False,
    "created_at": "1795252961",
    "dns_names": ["b.org", "a.org"],
    "downstream": False,
    "expires_at": "1999999999",
    "federates_with": ["other.org"],
    "hint": "h",
    "id": "tm-1",
    "jwt_svid_ttl": 70,
    "parent_id": {"path": "/node", "trust_domain": "example.org"},
    "revision_number": "0",
    "selectors": [{"type": "unix", "value": "uid:1"}, {"type": "k8s", "value": "ns:a"}],
    "spiffe_id": {"path": "/a", "trust_domain": "example.org"},
    "store_svid": False,
    "x509_svid_ttl": 60,
}


def test_an_entry_is_read_and_written_in_the_two_forms_of_the_server() -> None:
    entry = entry_from_server(SERVER_ENTRY)
    assert entry.selectors == ("k8s:ns:a", "unix:uid:1")
    assert entry.expires_at == 1999999999
    assert entry_to_server(entry) == {
        "spiffe_id": "spiffe://example.org/a",
        "parent_id": "spiffe://example.org/node",
        "selectors": [{"type": "k8s", "value": "ns:a"}, {"type": "unix", "value": "uid:1"}],
        "entry_id": "tm-1",
        "x509_svid_ttl": 60,
        "jwt_svid_ttl": 70,
        "federates_with": ["spiffe://other.org"],
        "dns_names": ["b.org", "a.org"],
        "hint": "h",
        "entryExpiry": 1999999999,
        "additional_attributes": {"jwt_svid_include_jti": True},
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"entries":[]}',
        'Warning: use a newer one\nanother\n{"entries":[]}\n',
        'time="now" level=warning msg="{odd}"\n  {"entries":\n[]}\n',
        '{"entries":[]}\nWarning: at the end\n',
        '\ufeff\n{"entries":[]}',
    ],
)
def test_warnings_around_the_json_are_passed_over(text: str) -> None:
    assert codec.loads(text, "Reading") == {"entries": []}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "printed nothing"),
        (" \n", "printed nothing"),
        ("Found 0 entries", "not JSON"),
        ("null", "not JSON"),
        ('{"entries":[', "not whole JSON"),
        ('{"entries":[]', "not whole JSON"),
        ('{"entries":["\n{"entries":[]}', "not whole JSON"),
        ("{" * 100_000, "not whole JSON"),
        ('{"a":' * 100_000, "not whole JSON"),
        ("[]", "not one JSON object"),
        ('[{"entries":[]}]', "not one JSON object"),
        ('{"level":"warn"}\n{"entries":[]}', "not one JSON object"),
        ('{"entries":[]}\n{"entries":[]}', "not one JSON object"),
        ('{"entries":["\udcff"]}', "not UTF-8"),
    ],
)
def test_other_output_is_an_error_with_its_own_words(text: str, words: str) -> None:
    with pytest.raises(ProcessError, match=words) as caught:
        codec.loads(text, "Reading")
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    "reply",
    [{}, {"entries": None}, {"entries": {}}, {"entries": "x"}, {"entries": [None]}, {"entries": [{"selectors": 1}]}],
)
def test_a_list_of_another_shape_is_never_an_empty_one(reply: dict[str, object]) -> None:
    with pytest.raises(ProcessError, match=r"^Reading failed: .*Is binary the program spire-server"):
        codec.read_list(reply, "entries", entry_from_server, "Reading")


def test_a_secret_is_not_shown_in_errors() -> None:
    with pytest.raises(ProcessError) as caught:
        codec.loads('{"value": "s3cret"', "Minting", secret=True)
    assert "s3cret" not in caught.value.message


def test_a_result_counts_only_with_code_0() -> None:
    reply = {"results": [{"id": "1", "status": {"code": 0, "message": "OK"}}, {"id": "2"}]}
    good, bad = codec.results_from_server(reply, 2, "Deleting")
    assert good.ok
    assert not bad.ok
    assert bad.message == "the server gave no reason"


@pytest.mark.parametrize("reply", [{}, {"results": []}, {"results": None}])
def test_missing_results_are_an_error(reply: dict[str, object]) -> None:
    with pytest.raises(ProcessError, match="1 items were sent"):
        codec.results_from_server(reply, 1, "Creating")


@given(st.lists(st.integers(0, 40_000), max_size=300))
def test_batches_keep_order_and_weight(sizes: list[int]) -> None:
    items = [f"{number}{'x' * size}" for number, size in enumerate(sizes)]
    found: list[str] = []
    for count, text in codec.batches(items, "ids"):
        part = json.loads(text)["ids"]
        assert len(part) == count <= codec.MAX_BATCH_ITEMS
        assert len(text.encode()) <= codec.MAX_MESSAGE_BYTES
        found += part
    assert found == items


def test_a_batch_has_a_limit_of_items() -> None:
    assert [count for count, _text in codec.batches(["x"] * 4500, "ids")] == [2000, 2000, 500]


def test_a_limit_that_changes_holds_from_the_next_batch_on() -> None:
    limits = iter([3, 1, 4, 4])
    limit = [2]
    found = []
    for count, _text in codec.batches(list("abcdefghij"), "ids", lambda: limit[0]):
        found.append(count)
        limit[0] = next(limits)
    assert found == [2, 3, 1, 4]


@given(
    st.text(max_size=300),
    st.lists(st.text(min_size=1, max_size=50).map(lambda text: f"k8s:{text}"), max_size=20),
    st.lists(st.text(max_size=30), max_size=5),
)
def test_the_weight_of_an_entry_is_never_less_than_what_gets_on_the_wire(
    hint: str, selectors: list[str], names: list[str]
) -> None:
    entry = Entry("spiffe://td/a", "spiffe://td/n", tuple(selectors), "id", 1, 2, (), tuple(names), hint=hint)
    # In protobuf a text has its bytes, a tag and a length; a selector is two texts within such a frame.
    texts = [*names, hint, "id", "/a", "td", "/n", "td"]
    wire = sum(len(text.encode()) + 4 for text in texts) + sum(len(one.encode()) + 9 for one in selectors) + 30
    assert entry_weight(entry) >= wire


def test_secrets_do_not_show_in_repr() -> None:
    assert "s3cret" not in repr(JoinToken("s3cret", 1))
    assert "s3cret" not in repr(X509Svid("chain", "s3cret", ""))


def test_pem_is_wrapped_and_complete() -> None:
    text = codec.pem("CERTIFICATE", "QUJD" * 40)
    lines = text.splitlines()
    assert lines[0] == "-----BEGIN CERTIFICATE-----"
    assert lines[-1] == "-----END CERTIFICATE-----"
    assert max(map(len, lines)) == 64
    assert "".join(lines[1:-1]) == "QUJD" * 40


def test_defaults_are_left_out_of_a_request() -> None:
    entry = Entry("spiffe://td/a", "spiffe://td/n", ("k8s:ns:a:b",))
    assert entry_to_server(entry) == {
        "spiffe_id": "spiffe://td/a",
        "parent_id": "spiffe://td/n",
        "selectors": [{"type": "k8s", "value": "ns:a:b"}],
    }

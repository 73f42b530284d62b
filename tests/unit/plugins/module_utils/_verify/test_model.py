# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in endpoints and checks are named before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check, read_checks, read_endpoints

PLACES: dict[str, Any] = {
    "sleep": {"pod": "deploy/sleep", "cluster": "blue", "spiffe_id": "spiffe://td/sleep"},
    "blue": {"url": "http://gateway/", "address": "gateway.default:80", "spiffe_id": "spiffe://td/blue"},
    "green": {"address": "[::1]:8443", "spiffe_id": "spiffe://td/green"},
    "bare": {"address": "10.0.0.1:1"},
}
QUOTE = {"name": "quote", "type": "request", "from": "sleep", "to": "blue"}
IN = {"name": "in", "type": "accepted_handshake", "to": "green", "client_spiffe_id": "spiffe://td/blue"}
OUT = {"name": "out", "type": "refused_handshake", "client": "none", "to": "green", "control": "in"}


def read(*checks: Any) -> list[Check]:
    return read_checks(checks, read_endpoints(PLACES), "td")


def test_defaults_come_from_where_they_are_known() -> None:
    stranger = {**OUT, "name": "stranger", "client": "stranger"}
    foreign = {**OUT, "name": "foreign", "client": "foreign_ca"}
    _in, out, stranger_check, foreign_check = read(IN, OUT, stranger, foreign)
    assert out.kind == "negative"
    assert out["from"] == "here"
    assert out["spiffe_id"] == "spiffe://td/green"
    assert out["refusal"] == ("tls_alert",)
    assert out.needs == ("in",)
    assert stranger_check["client_spiffe_id"] not in (None, "spiffe://td/blue")
    assert foreign_check["client_spiffe_id"] == "spiffe://td/blue"


def test_an_address_is_split() -> None:
    assert read_endpoints(PLACES)["green"].host_port == ("::1", 8443)


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ([], "checks: there is none"),
        (["x"], r"checks\[0\]: expected a dictionary"),
        ([{"type": "request"}], r"checks\[0\]: name is missing"),
        ([{"name": "a"}], r"checks\[0\] \('a'\): type is missing. Known types: request"),
        ([{**QUOTE, "kind": "negative"}], "request is a positive check"),
        ([{**QUOTE, "url": "x"}], "unknown field 'url'. Known: name, type"),
        ([{"name": "a", "type": "request"}], "to is missing. A check of type request needs it"),
        ([{**QUOTE, "to": "gren"}], "to names the endpoint 'gren', known are: here, sleep"),
        ([{**QUOTE, "to": "green"}], "this endpoint has no url"),
        ([{**QUOTE, "from": "green"}], "has no pod"),
        ([{**QUOTE, "status": "okay"}], "status is 'okay', expected a whole number from 100 to 599"),
        ([{**QUOTE, "path": "x y"}], "path is 'x y', expected a path"),
        ([QUOTE, QUOTE], r"checks\[1\]: the name 'quote' is taken"),
        ([OUT], "check 'out': control names the check 'in', which does not exist"),
        ([IN, {**OUT, "client": "nobody"}], "one of none, stranger, foreign_ca"),
        ([IN, {**OUT, "refusal": ["timeout"]}], "one or more of tls_alert, reset, http_403"),
        ([IN, {**OUT, "refusal": []}], "one or more of"),
        ([IN, {**OUT, "to": "bare"}], "control must be about the same endpoint"),
        ([IN, OUT, {**OUT, "name": "b", "control": "out"}], "control must name a positive check"),
        (
            [{"name": "p", "type": "peer_certificate", "to": "green"}, {**OUT, "control": "p"}],
            "control must be a check that gets an answer",
        ),
        ([IN, {**OUT, "client_spiffe_id": "spiffe://td/x"}], "no meaning with client: none"),
        ([IN, {**OUT, "client": "stranger", "client_spiffe_id": "spiffe://td/blue"}], "which is permitted"),
        (
            [IN, {**OUT, "client": "stranger", "client_spiffe_id": "spiffe://other/x"}],
            "only IDs of its own trust domain",
        ),
        ([IN, {**OUT, "client": "foreign_ca", "client_spiffe_id": "spiffe://td/x"}], "must carry the permitted ID"),
        ([{**IN, "client_spiffe_id": "blue"}], "expected a SPIFFE ID"),
        ([IN, {**OUT, "client": "stranger", "from": "sleep"}], "never leaves this host"),
        (
            [QUOTE, {**OUT, "to": "blue", "control": "quote", "client": "stranger"}],
            "control must be an accepted_handshake",
        ),
        ([{"name": "p", "type": "peer_certificate", "to": "bare"}], "the endpoint 'bare' has none"),
        (
            [IN, {"name": "f", "type": "forwarded_certificate", "from": "blue", "to": "green", "request": "in"}],
            "request must name a check of type request",
        ),
    ],
)
def test_a_mistake_in_a_check(checks: list[Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(*checks)


@pytest.mark.parametrize(
    ("endpoints", "words"),
    [
        ({"here": {}}, "stands for the host"),
        ({"a": "b"}, "endpoint 'a': expected a dictionary"),
        ({"a": {"adress": "b:1"}}, "unknown field 'adress'"),
        ({"a": {"address": "b"}}, "address is 'b', expected host:port"),
        ({"a": {"address": "b:99999"}}, "expected host:port"),
        ({"a": {"url": "ftp://b"}}, "expected a URL"),
        ({"a": {"url": "http://user:secret@b/"}}, "expected a URL"),
        ({"a": {"spiffe_id": "spiffe://TD/x"}}, "expected a SPIFFE ID"),
    ],
)
def test_a_mistake_in_an_endpoint(endpoints: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_endpoints(endpoints)

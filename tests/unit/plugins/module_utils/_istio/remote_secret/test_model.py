# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be a server, and when a token is replaced."""

from __future__ import annotations

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.model import (
    Account,
    Authority,
    Held,
    Token,
    Wanted,
    is_loopback,
    moment,
    server_fault,
)

ACCOUNT = Account("istio-system", "reader", "1")


@pytest.mark.parametrize(
    "server",
    [
        "https://192.0.2.1:6443",
        "https://api.green.example",
        "https://[2001:db8::1]:6443",
        "https://green-control-plane:6443/",
        "https://rancher.example/k8s/clusters/c-1",
    ],
)
def test_a_server_that_can_be_one(server: str) -> None:
    assert server_fault(server) == ""


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("", "https://"),
        ("http://192.0.2.1:6443", "https://"),
        ("192.0.2.1:6443", "https://"),
        ("HTTPS:192.0.2.1", "no host"),
        ("https://", "no host"),
        ("https://:6443", "no host"),
        ("https://a b", "no host"),
        ("https://192.0.2.1:0", "no port"),
        ("https://192.0.2.1:", "no port"),
        ("https://192.0.2.1:x", "no URL"),
        ("https://192.0.2.1:65536", "no URL"),
        ("https://[2001:db8::1", "no URL"),
        ("https://me:secret@192.0.2.1", "a user"),
        ("https://192.0.2.1?a=b", "more than host"),
        ("https://192.0.2.1/#", "more than host"),
    ],
)
def test_a_server_that_is_none(server: str, words: str) -> None:
    assert words in server_fault(server)


def test_an_address_of_the_pod_itself_is_known() -> None:
    assert is_loopback("https://127.0.0.2:6443")
    assert is_loopback("https://[::1]:6443")
    assert is_loopback("https://localhost:6443")
    assert not is_loopback("https://192.0.2.1")
    assert not is_loopback("https://green")


@pytest.mark.parametrize(
    ("asked", "renew_before", "given", "left"),
    [
        (1000, 300, 1000, 300),
        (1000, 900, 1000, 900),
        (1000, 0, 1000, 0),
        # Kubernetes gives a longer life to some tokens.
        (1000, 300, 5000, 300),
        # A shorter one: half of it at most.
        (1000, 900, 600, 300),
        (1000, 200, 600, 200),
    ],
)
def test_how_much_of_a_token_is_left_when_it_is_replaced(asked: int, renew_before: int, given: int, left: int) -> None:
    wanted = Wanted("green", "istio-system", "https://green", Authority("", ()), ACCOUNT, asked, renew_before)
    token = Token("a.b.c", ACCOUNT, 5000, 5000 + given)
    assert wanted.renewed_from(token) == token.expires - left


def test_what_is_shown_of_a_token_has_no_text() -> None:
    held = Held({}, {}, ("green",), token=Token("a.b.c", ACCOUNT, 1, 2))
    assert "a.b.c" not in repr(held)
    assert moment(0) == "1970-01-01T00:00:00Z"

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no option may hold, and what can be an address."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import (
    is_host,
    is_name,
    is_port,
    place_faults,
    told_place,
    unclean,
)

HOSTS = (
    "192.0.2.1",
    "2001:db8::1",
    "::1",
    "localhost",
    "quote.quotes.svc.cluster.local",
    "A1-b.Example.org",
    "1a.example",
    "a" * 63 + ".example",
)
NO_HOSTS = (
    "",
    " ",
    "192.0.2.1 ",
    "192.0.2.1\n",
    "192.0.2.256",
    "192.0.2",
    "1",
    "0x7f.1",
    "0xc0000201",
    "010.0.0.1",
    "fe80::1%eth0",
    "[2001:db8::1]",
    "192.0.2.1:80",
    "http://192.0.2.1",
    "a.example.",
    ".example",
    "a..example",
    "-a.example",
    "a-.example",
    "a_b.example",
    "ä.example",
    "a" * 64,
    ".".join(["a" * 50] * 6),
    "a/b",
    "?",
    '6.6.6.6", port_value: 80}}}',
    "a.example\n  b: c",
    "{{ address }}",
    None,
    1,
)


@pytest.mark.parametrize("host", HOSTS)
def test_an_address_is_an_ip_address_or_a_dns_name(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize("host", NO_HOSTS)
def test_nothing_else_is_an_address(host: Any) -> None:
    assert not is_host(host)


def test_a_node_may_be_called_by_a_number() -> None:
    assert is_name("worker.1")
    assert not is_name("worker 1")


def test_a_port_is_a_number_from_1_to_65535() -> None:
    assert all(is_port(value) for value in (1, 65535, "1", "30081", "00080"))
    assert not any(
        is_port(value) for value in (0, 65536, -1, True, 1.5, None, "", "0", "65536", "80 ", "8O", "+80", "٣")
    )


def test_what_others_have_told_is_refused_with_who_told_it() -> None:
    assert told_place("Green", "2001:db8::1", 443) == "2001:db8::1:443"
    with pytest.raises(
        InputError, match=r"^Green has told the address 'a b', which is not an IP address or a DNS name"
    ):
        told_place("Green", "a b", 443)
    with pytest.raises(
        InputError, match=r"^Green has told the port 70000, which is not|^Green has told the port '70000'"
    ):
        told_place("Green", "a.example", 70000)


def test_faults_of_places_name_the_variable() -> None:
    assert place_faults({"x_address": "", "x_port": 8081}) == []
    first, second = place_faults({"x_address": "a b", "x_port": 0})
    assert first.startswith("x_address: 'a b' is not an IP address")
    assert second == "x_port: '0' is not a port from 1 to 65535."


UNCLEAN = (
    ({"a": "x\ny"}, "a: it holds a line break"),
    ({"a": "x\r"}, "a: it holds a line break"),
    ({"a": "x\0"}, "a: it holds a zero byte"),
    ({"a": "\x1b[31m"}, "a: it holds the character U+001B"),
    ({"a": "x\u202ey"}, "a: it holds the character U+202E"),
    ({"a": "{{ b }}"}, "a: it holds «{{»"),
    ({"a": "{% if b %}"}, "a: it holds «{%»"),
    ({"a": [{"b": "fine"}, {"b": ["fine", "x\ty"]}]}, "a[1].b[1]: it holds the character U+0009"),
    ({"a": {"x\ny": "fine"}}, "a: the name of one of its fields holds a line break"),
    ({"free": "x\0"}, "free: it holds a zero byte"),
    ({"a": {"free": {"deep": ["x\x07"]}}}, "a.free.deep[0]: it holds the character U+0007"),
    ({"a": {"spiffeIDTemplate": "a\nb"}}, "a.spiffeIDTemplate: it holds a line break"),
)


@pytest.mark.parametrize(("given", "words"), UNCLEAN)
def test_what_no_option_may_hold_is_named_by_its_place_and_not_shown(given: dict[str, Any], words: str) -> None:
    (found,) = unclean(given, ["free"])
    assert found.startswith(words)
    assert "fine" not in found


def test_what_options_may_hold() -> None:
    given = {
        "text": "Grüße, 世界 $HOME ${X} {b} %}",
        "number": 1,
        "nothing": None,
        "switch": True,
        "free": "several\n\tlines, {{ .Somebody }}",
        "list": [{"free": {"below": "{% x %}\n"}}],
        "spiffe_ids": [
            {"spec": {"spiffeIDTemplate": "spiffe://{{ .TrustDomain }}/a", "dnsNameTemplates": ["{{ .A }}"]}}
        ],
        "agent_path_template": "/{{ .PluginName }}",
    }
    assert unclean(given, ["free"]) == []


def test_all_of_it_is_told_at_once() -> None:
    assert len(unclean({"a": ["\n", "{{"], "b": "\0"})) == 3

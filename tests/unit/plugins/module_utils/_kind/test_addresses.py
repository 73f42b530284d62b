# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses containers get, which the load balancers of each cluster, and that nobody gets those of another."""

from __future__ import annotations

import ipaddress
import json
from itertools import pairwise

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.addresses import (
    SHARES,
    Network,
    addresses,
    choose,
    lower_half,
    read_networks,
)
from hypothesis import given
from hypothesis import strategies as st


def network(subnet: str, last: str = "") -> Network:
    whole = ipaddress.IPv4Network(subnet)
    return Network(whole, ipaddress.IPv4Address(last) if last else whole[-1])


@pytest.mark.parametrize(
    ("subnet", "half"),
    [
        ("10.89.2.0/24", "10.89.2.0/25"),
        ("172.18.0.0/16", "172.18.0.0/17"),
        ("10.0.0.0/27", ""),
        ("fc00::/64", ""),
        ("", ""),
        ("10.89.2.1/24", ""),
    ],
)
def test_the_lower_half_of_a_network(subnet: str, half: str) -> None:
    assert lower_half(subnet) == half


@pytest.mark.parametrize(
    ("told", "subnet", "kept"),
    [
        ({"subnets": [{"subnet": "10.89.1.0/24", "lease_range": {"end_ip": "10.89.1.127"}}]}, "10.89.1.0/24", True),
        ({"subnets": [{"subnet": "10.89.1.0/24", "gateway": "10.89.1.1"}]}, "10.89.1.0/24", False),
        ({"subnets": [{"subnet": "10.89.1.0/24", "lease_range": {"end_ip": "10.89.1.200"}}]}, "10.89.1.0/24", False),
        ({"subnets": [{"subnet": "fd00::/64"}, {"subnet": "10.89.1.0/28"}]}, "10.89.1.0/28", False),
        (
            {"IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "IPRange": "172.18.0.0/17"}]}},
            "172.18.0.0/16",
            True,
        ),
        ({"IPAM": {"Config": [{"Subnet": "172.18.0.0/16"}]}}, "172.18.0.0/16", False),
    ],
)
def test_what_engines_tell_of_a_network(told: dict[str, object], subnet: str, kept: bool) -> None:
    (read,) = read_networks(json.dumps([told]))
    assert (str(read.subnet), read.keeps_upper_half) == (subnet, kept)


@pytest.mark.parametrize("text", ["", "[]", "no JSON", "[{}]", '[{"subnets": [{"subnet": "fd00::/64"}]}]', "[[]]"])
def test_a_network_of_which_nothing_is_told(text: str) -> None:
    assert read_networks(text) == []


@pytest.mark.parametrize(
    ("subnet", "share", "given"),
    [
        ("10.89.1.0/24", 0, "10.89.1.128-10.89.1.135"),
        ("10.89.1.0/24", 15, "10.89.1.248-10.89.1.254"),
        ("172.18.0.0/16", 1, "172.18.136.0-172.18.143.255"),
        ("10.0.0.0/26", 15, "10.0.0.62-10.0.0.62"),
        ("10.0.0.0/27", 0, ""),
        ("10.89.1.0/24", None, ""),
        ("10.89.1.0/24", 16, ""),
    ],
)
def test_the_addresses_of_a_share(subnet: str, share: int | None, given: str) -> None:
    assert addresses(network(subnet), share) == given


@given(st.integers(min_value=8, max_value=26))
def test_shares_have_nothing_in_common_and_nothing_that_containers_get(length: int) -> None:
    whole = network(f"10.0.0.0/{length}")
    ends = [[ipaddress.IPv4Address(end) for end in addresses(whole, share).split("-")] for share in range(SHARES)]
    in_order = [end for pair in ends for end in pair]
    assert in_order == sorted(in_order)
    assert all(one[1] < other[0] for one, other in pairwise(ends))
    assert in_order[0] not in ipaddress.IPv4Network(lower_half(str(whole.subnet)))
    assert in_order[-1] < whole.subnet.broadcast_address


@given(st.text(min_size=1), st.sets(st.integers(0, SHARES - 1)), st.integers(0, 5))
def test_a_share_that_is_chosen_was_free(cluster: str, taken: set[int], attempt: int) -> None:
    share = choose(cluster, taken, attempt)
    assert (share is None) == (len(taken) == SHARES)
    assert share not in taken


def test_the_same_cluster_gets_the_same_share_again() -> None:
    assert len({choose("blue", {1, 2}) for _time in range(3)}) == 1


def test_two_that_chose_the_same_part_ways() -> None:
    pairs = [(f"cluster-{one}", f"cluster-{other}") for one in range(30) for other in range(one)]
    meeting = [
        pair for pair in pairs if all(choose(pair[0], set(), turn) == choose(pair[1], set(), turn) for turn in range(8))
    ]
    assert meeting == []

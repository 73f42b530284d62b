# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Which addresses of an engine's network its containers get, and which the load balancers of its clusters. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Collection
from dataclasses import dataclass

SHARES = 16
"""Into so many parts the upper half of a network is cut: a cluster gets one of them."""


@dataclass(frozen=True)
class Network:
    """A network of IPv4, and the last address that the engine gives to a container."""

    subnet: ipaddress.IPv4Network
    last: ipaddress.IPv4Address

    @property
    def upper_half(self) -> ipaddress.IPv4Network | None:
        """What load balancers take addresses from; None where there are too few to halve."""
        return list(self.subnet.subnets())[1] if self.subnet.prefixlen <= 26 else None

    @property
    def keeps_upper_half(self) -> bool:
        """Whether the engine gives no address of the upper half to a container."""
        return self.upper_half is not None and self.last < self.upper_half[0]


def lower_half(subnet: str) -> str:
    """Return the half of an IPv4 network that containers get addresses from; empty where there are too few to halve.

    The upper half stays free for load balancers, which give addresses of the same network to Services.
    """
    try:
        network = ipaddress.IPv4Network(subnet)
    except ValueError:
        return ""
    return str(next(network.subnets())) if network.prefixlen <= 26 else ""


def read_networks(text: str) -> list[Network]:
    """Return the IPv4 networks in what Podman or Docker prints about a network."""
    try:
        (told,) = json.loads(text)
        items = told.get("subnets") or (told.get("IPAM") or {}).get("Config") or []
        given = [(item.get("subnet") or item.get("Subnet"), _last(item)) for item in items]
    except (AttributeError, TypeError, ValueError):
        return []
    found = []
    for subnet, last in given:
        try:
            network = ipaddress.IPv4Network(subnet)
            found.append(Network(network, ipaddress.IPv4Address(last) if last else network[-1]))
        except ValueError:
            continue  # IPv6, or nothing that is an address
    return found


def _last(item: dict[str, dict[str, str]]) -> str:
    """The end of the range of a subnet, as Podman says it, or as Docker does; empty where there is none."""
    if item.get("IPRange"):
        return str(ipaddress.IPv4Network(item["IPRange"])[-1])
    return str((item.get("lease_range") or {}).get("end_ip") or "")


def addresses(network: Network, share: int | None) -> str:
    """Return the addresses of a ``share``, as ``first-last``; empty without one, and where there is none to give."""
    half = network.upper_half
    if half is None or share is None or not 0 <= share < SHARES:
        return ""
    size = half.num_addresses // SHARES
    first, last = half[share * size], half[(share + 1) * size - 1]
    # The last one of all calls every host of the network.
    return f"{first}-{last - 1 if share == SHARES - 1 else last}"


def choose(cluster: str, taken: Collection[int], attempt: int = 0) -> int | None:
    """Return a share that nobody has; None when all are taken.

    The same cluster gets the same one whenever it is free. Each goes through them in an order of its own, which is
    another one at each ``attempt``: two that chose the same at the same time do not meet again and again.
    """
    free = [share for share in range(SHARES) if share not in taken]
    return min(free, key=lambda share: _rank(cluster, attempt, share)) if free else None


def _rank(cluster: str, attempt: int, share: int) -> bytes:
    return hashlib.sha256(f"{cluster}/{attempt}/{share}".encode()).digest()

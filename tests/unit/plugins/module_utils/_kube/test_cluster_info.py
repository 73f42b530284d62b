# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an API server may tell of its nodes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.cluster.info import node


def item(name: Any = "worker.1", **addresses: Any) -> dict[str, Any]:
    told = [{"type": kind, "address": address} for kind, address in addresses.items()]
    return {"metadata": {"name": name, "labels": {}}, "status": {"addresses": told}}


def test_the_address_that_others_reach_is_told() -> None:
    assert node(item(InternalIP="10.0.0.1", ExternalIP="2001:db8::1"))["address"] == "2001:db8::1"
    assert node(item()) == {"name": "worker.1", "role": "worker", "address": ""}


@pytest.mark.parametrize("evil", ['6.6.6.6", port_value: 80}}}', "a b", "192.0.2.1\n", "{{ x }}", ["a"]])
def test_nothing_but_an_address_and_a_name_is_taken(evil: Any) -> None:
    for kind in ("InternalIP", "ExternalIP"):
        with pytest.raises(TrustmeshError, match="told of a node with the address"):
            node(item(**{kind: evil}))
    with pytest.raises(TrustmeshError, match="told of a node with the name"):
        node(item(evil, InternalIP="192.0.2.1"))

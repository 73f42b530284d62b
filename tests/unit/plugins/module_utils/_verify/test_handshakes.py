# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A refusal that the server itself has not said."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.handshakes import refused_handshake
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.reading import read_checks, read_mesh
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import World
from peers import saying_no

ID = "spiffe://example.org/ns/shop/sa/billing"
CALLER = "spiffe://example.org/ns/shop/sa/shop"


@pytest.mark.parametrize("spiffe_id", [ID, None])
def test_an_alert_from_somebody_without_a_certificate_refuses_nothing(spiffe_id: str | None) -> None:
    with saying_no(116) as port:
        place: dict[str, Any] = {"name": "billing", "address": f"127.0.0.1:{port}", "spiffe_id": spiffe_id}
        mesh = read_mesh([place], {"east": "example.org"}, [])
        control = {
            "name": "in",
            "type": "accepted_handshake",
            "to": "billing",
            "client_spiffe_id": CALLER,
            "spiffe_id": ID,
        }
        nobody = {"name": "out", "type": "refused_handshake", "to": "billing", "client": "none", "control": "in"}
        check = read_checks([control, nobody], mesh)[1]
        attempt = refused_handshake(World(mesh=mesh, servers={}), check, {}, 1)
    assert not attempt.ok
    assert not attempt.breach
    assert "somebody who has shown no certificate" in attempt.observed

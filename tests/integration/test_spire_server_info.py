# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_server_info against a real server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token

from .conftest import Server, binary, run_module, running_agent, running_server, wait_until


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


def info(server: Server, **options: Any) -> dict[str, Any]:
    result = run_module("spire_server_info", {**server.connection, **options})
    assert not result.get("failed"), result
    assert not result["changed"]
    found: dict[str, Any] = result["server"]
    return found


def test_what_the_server_is_and_holds(server: Server) -> None:
    first = info(server)
    version = subprocess.run([binary("spire-server"), "--version"], check=True, capture_output=True, text=True)
    assert first["version"] == version.stderr.strip()
    assert first["trust_domain"] == "example.org"
    assert first["healthy"] is True
    assert (first["agents"], first["entries"]) == (0, 0)
    assert (first["federated_bundles"], first["federation_relationships"]) == (0, 0)
    assert 23 * 3600 < first["ca_expires_at"] - time.time() < 25 * 3600
    assert first["upstream_authority"] is False
    slots = server.cli("localauthority", "x509", "show")
    assert first["authorities"]["x509"] == {
        "active": {
            "authority_id": slots["active"]["authority_id"],
            "expires_at": first["ca_expires_at"],
            "upstream_authority_id": "",
            "status": "active",
        }
    }
    assert first["authorities"]["jwt"]["active"]["status"] == "active"

    server.cli("bundle", "set", "-id", "spiffe://other.org", "-format", "pem", stdin=show_bundle(server.client).pem)
    server.cli("localauthority", "jwt", "prepare")
    with running_agent(server, generate_token(server.client, "spiffe://example.org/node/blue", 60).value):
        wait_until("the agent joins", lambda: info(server)["agents"] == 1)
    later = info(server)
    assert (later["entries"], later["federated_bundles"]) == (1, 1)
    assert later["bundle_sequence_number"] > first["bundle_sequence_number"]
    assert set(later["authorities"]["jwt"]) == {"active", "prepared"}


def test_a_server_that_is_down_is_a_failure_and_one_that_starts_is_waited_for(server: Server) -> None:
    server.stop()
    result = run_module("spire_server_info", server.connection)
    assert result["failed"]
    assert "nobody answers at" in result["msg"]
    waiting = subprocess.Popen(
        [binary("spire-server"), "run", "-config", str(server.folder / "server.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server.process = waiting
    assert info(server, wait_timeout=30)["healthy"] is True

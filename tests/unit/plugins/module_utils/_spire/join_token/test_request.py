# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.request import (
    joined_with,
    token_requests,
)

TOKEN = "3f5b1a90-0000-4000-8000-feedc0ffee00"
SHOWN = [{"agent": {"id": "spiffe://example.org/spire/agent/join_token/0123abcd"}}]


def test_a_request_is_made_for_each_node() -> None:
    assert token_requests(["spiffe://x/node/a", "spiffe://x/node/b"]) == [
        {"spiffe_id": "spiffe://x/node/a"},
        {"spiffe_id": "spiffe://x/node/b"},
    ]


def test_a_new_token_is_another_join_and_is_not_shown() -> None:
    told = joined_with([{"token": TOKEN, "agent": {}}])
    assert TOKEN not in told
    assert told != joined_with([{"token": "another", "agent": {}}])
    assert told != joined_with(SHOWN)


def test_pods_do_not_start_again_when_the_node_has_joined_with_its_token() -> None:
    shown = "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest()[:16]
    joined = [{"agent": {"id": f"spiffe://example.org/spire/agent/join_token/{shown}"}}]
    assert joined_with([{"token": TOKEN, "agent": {}}]) == joined_with(joined)


def test_an_agent_that_has_joined_stays_the_same() -> None:
    assert joined_with(SHOWN) == joined_with([dict(SHOWN[0], changed=False)])
    assert joined_with(SHOWN) != joined_with([*SHOWN, *SHOWN])
    assert joined_with([{}]) == joined_with([{"agent": None}])

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Whether the server that took a connection is the right one."""

from __future__ import annotations

import datetime

from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import World


def wrong_server(world: World, check: Check, presented: str) -> str:
    """What is wrong with the server that answered, by what it presented (PEM); empty when it is the right one."""
    try:
        certificates = chain.load_pem(presented)
    except ValueError:
        return "its certificate cannot be read"
    expectation = chain.Expectation(check["spiffe_id"], world.authorities(check))
    return "; ".join(chain.judge(certificates, expectation, datetime.datetime.now(datetime.timezone.utc)).problems)


def leaf_id(presented: str) -> str | None:
    """The SPIFFE ID that a server presented, whether it is to be believed or not."""
    try:
        ids = chain.spiffe_ids(chain.load_pem(presented)[0])
    except ValueError:
        return None
    return ids[0] if ids else None

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The words of ``agent list``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import Agent
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import (
    id_from_server,
    selectors_from_server,
    set_filter,
)


def agent_filters(filters: Mapping[str, Any]) -> list[str]:
    """Return the words by which ``agent list`` filters. A filter that is not given is left out."""
    words: list[str] = []
    if filters.get("attestation_type"):
        words += ["-attestationType", filters["attestation_type"]]
    for name, flag in (("banned", "-banned"), ("can_reattest", "-canReattest")):
        if filters.get(name) is not None:
            words += [flag, "true" if filters[name] else "false"]
    if filters.get("expires_before") is not None:
        # The layout of Go that the command asks for: an offset, and in the place of the zone's name its hours.
        moment = datetime.fromtimestamp(filters["expires_before"], timezone.utc)
        words += ["-expiresBefore", moment.strftime("%Y-%m-%d %H:%M:%S +0000 +00")]
    return words + set_filter(
        "-selector", filters.get("selectors"), "-matchSelectorsOn", filters.get("selectors_match")
    )


def agent_from_server(data: Mapping[str, Any]) -> Agent:
    return Agent(
        spiffe_id=id_from_server(data.get("id")),
        attestation_type=data.get("attestation_type", ""),
        expires_at=int(data.get("x509svid_expires_at", 0)),
        banned=bool(data.get("banned", False)),
        can_reattest=bool(data.get("can_reattest", False)),
        serial_number=str(data.get("x509svid_serial_number", "")),
        selectors=selectors_from_server(data.get("selectors")),
        version=data.get("agent_version", ""),
    )

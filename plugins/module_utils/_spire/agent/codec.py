# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The words of ``agent list``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any


def list_filters(params: Mapping[str, Any]) -> list[str]:
    """Return the words by which the server itself leaves out the agents that are not asked for."""
    words: list[str] = []
    if params["attestation_type"]:
        words += ["-attestationType", params["attestation_type"]]
    for name, flag in (("banned", "-banned"), ("can_reattest", "-canReattest")):
        if params[name] is not None:
            words += [flag, "true" if params[name] else "false"]
    if params["expires_before"] is not None:
        # The layout of Go that the command asks for: an offset, and in the place of the zone's name its hours.
        moment = datetime.fromtimestamp(params["expires_before"], timezone.utc)
        words += ["-expiresBefore", moment.strftime("%Y-%m-%d %H:%M:%S +0000 +00")]
    if params["selectors"]:
        words += ["-matchSelectorsOn", params["match_selectors_on"]]
        words += [word for selector in params["selectors"] for word in ("-selector", selector)]
    return words

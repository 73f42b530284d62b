# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_bundle_info."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect


def run_bundle_info(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Read the bundle that the server shows now."""
    bundle = connect(params).show_bundle()
    return Outcome(
        result={
            "bundle": {
                "trust_domain": bundle.trust_domain,
                "pem": bundle.pem,
                "sequence_number": bundle.sequence_number,
                "refresh_hint": bundle.refresh_hint,
            }
        }
    )

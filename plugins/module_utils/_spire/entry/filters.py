# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The filters that modules share which read entries. Twin of the doc fragment ``spire.entry_filters``."""

from __future__ import annotations

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import MATCHES


def entry_filters() -> ArgumentSpec:
    """The options by which the server itself chooses entries."""
    return ArgumentSpec(
        options={
            "spiffe_id": {"type": "str"},
            "parent_id": {"type": "str"},
            "selectors": {"type": "list", "elements": "str"},
            "selectors_match": {"type": "str", "choices": list(MATCHES), "default": "superset"},
            "federates_with": {"type": "list", "elements": "str"},
            "federates_with_match": {"type": "str", "choices": list(MATCHES), "default": "superset"},
            "hint": {"type": "str"},
            "downstream": {"type": "bool", "default": False},
        }
    )

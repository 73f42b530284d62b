# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module of this name in a fork, where that means the same: see plugin_utils/_forked.py."""

from __future__ import annotations

from ansible_collections.trustmesh.spiffe.plugins.modules import spire_svid
from ansible_collections.trustmesh.spiffe.plugins.plugin_utils._forked import ForkedModule


class ActionModule(ForkedModule):
    """The action behind trustmesh.spiffe.spire_svid."""

    module = spire_svid

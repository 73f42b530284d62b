# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs kubernetes.core's module of this name in a fork: see plugin_utils/_kubernetes_core.py."""

from __future__ import annotations

from ansible_collections.trustmesh.spiffe.plugins.plugin_utils._kubernetes_core import (
    OfKubernetesCore,
    action_of,
    module_of,
)


class ActionModule(OfKubernetesCore, action_of("k8s")):  # type: ignore[misc]  # the class is of another collection
    """The action behind trustmesh.spiffe.k8s."""

    name = "k8s"
    module = module_of(name)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions over those of kubernetes.core, where that is not installed. The rest is in tests/integration/test_k8s.py."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.kubernetes.core.plugins.action.k8s import ActionModule
from ansible_collections.trustmesh.spiffe.plugins.plugin_utils import _kubernetes_core


def test_it_is_their_action() -> None:
    assert _kubernetes_core.action_of("k8s") is ActionModule


def test_without_it_a_task_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kubernetes_core, "COLLECTION", "ansible_collections.kubernetes.gone.plugins")
    missing = _kubernetes_core.action_of("k8s")
    with pytest.raises(AnsibleActionFail, match="ansible-galaxy collection install kubernetes"):
        missing.run(missing.__new__(missing))
    assert _kubernetes_core.module_of("k8s") is None

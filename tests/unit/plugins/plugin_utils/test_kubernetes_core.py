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


def test_what_was_read_is_asked_for_again_only_after_a_write() -> None:
    asked = []

    class Client:
        def request(self, method: str, path: str, body: str | None = None, **options: str) -> int:
            asked.append((method, path, body, options))
            if path == "/gone":
                raise KeyError(path)
            return len(asked)

    _kubernetes_core.read_once(Client)
    client = Client()
    assert client.request("get", "/one") == client.request("GET", "/one") == 1
    assert client.request("get", "/one", label_selector="a=b") == 2
    assert client.request("get", "/other") == 3
    for _time in range(2):
        with pytest.raises(KeyError):
            client.request("get", "/gone")
    assert client.request("patch", "/one", body="{}") == 6
    assert client.request("get", "/one") == 7
    assert asked[5:] == [("patch", "/one", "{}", {}), ("get", "/one", None, {})]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What check mode knows to be missing later on, by a real API server."""

from __future__ import annotations

import json
from pathlib import Path

from playbook import play

from ..kubernetes_api import running_api


def test_what_was_only_tried_is_known_to_be_missing(tmp_path: Path) -> None:
    def settings(namespace: str) -> str:
        metadata = {"name": "server", "namespace": namespace}
        return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})

    with running_api() as api:
        role = {"name": "trustmesh.spiffe.kubernetes_objects", "tasks_from": "apply", "rolespec_validate": False}

        def later(*words: str) -> list[str]:
            given = {
                "kubernetes_objects_access": {"kubeconfig": api.kubeconfig},
                # A namespace that is there may be one that a teardown has left, because of what is in it.
                "kubernetes_objects_pending": [{"owner": "tests", "text": settings(name)} for name in ("old", "new")],
            }
            told = {"content": "{{ kubernetes_objects_later | to_json }}", "dest": f"{tmp_path}/later", "mode": "0600"}
            tasks = [
                {"ansible.builtin.set_fact": given},
                {"ansible.builtin.include_role": role},
                {"ansible.builtin.copy": told, "check_mode": False},
            ]
            done = play(
                [{"hosts": "localhost", "vars": {"trustmesh_scenario": "tests"}, "tasks": tasks}], tmp_path, *words
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return sorted(json.loads((tmp_path / "later").read_text()))

        api.kubectl("create", "namespace", "old")
        assert later("--check") == ["ConfigMap new/server", "ConfigMap old/server"]
        api.kubectl("create", "namespace", "new")
        assert later() == []
        assert later("--check") == []

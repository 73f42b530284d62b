# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Secret of a role, as a real API server keeps it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from playbook import play

from ..kubernetes_api import running_api

PASSWORD = "correct-horse-battery"


def test_a_secret_is_kept_once_and_applied_again_without_a_change(tmp_path: Path) -> None:
    def secret(value: str) -> str:
        data = {"connection": base64.b64encode(value.encode()).decode()}
        metadata = {"name": "database", "namespace": "server"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "server"}}
        made = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        return "\n---\n".join(json.dumps(item) for item in (namespace, made))

    with running_api() as api:
        role = {"name": "trustmesh.spiffe.kubernetes_objects", "tasks_from": "apply", "rolespec_validate": False}

        def changes(value: str) -> int:
            given = {
                "kubernetes_objects_access": {"kubeconfig": api.kubeconfig},
                "kubernetes_objects_secrets": [{"owner": "tests", "text": secret(value)}],
            }
            tasks = [{"ansible.builtin.set_fact": given}, {"ansible.builtin.include_role": role}]
            shared = {"trustmesh_scenario": "tests", "kubernetes_cluster": {"made_here": True, "address": ""}}
            done = play([{"hosts": "localhost", "vars": shared, "tasks": tasks}], tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
            assert PASSWORD not in done.stdout
            return int(done.stdout.rpartition("changed=")[2].split()[0])

        assert changes(PASSWORD) > 0
        kept = api.get("secret", "database", "-n", "server")
        assert base64.b64decode(kept["data"]["connection"]).decode() == PASSWORD
        assert kept["metadata"].get("annotations", {}) == {}, "a client's apply would have left a copy here"
        assert changes(PASSWORD) == 0
        assert changes("another") > 0
        kept = api.get("secret", "database", "-n", "server")
        assert base64.b64decode(kept["data"]["connection"]).decode() == "another"

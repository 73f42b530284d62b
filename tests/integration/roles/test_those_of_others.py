# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A balancer or a cert-manager that somebody else brought is never joined by another one: by a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playbook import play

from ..conftest import binary
from ..kubernetes_api import Api, running_api

ROLES = {
    "load_balancer": ("ipaddresspools", "metallb.io", {"load_balancer_addresses": ["192.0.2.16/28"]}),
    "cert_manager": ("certificates", "cert-manager.io", {}),
}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with running_api() as one:
        yield one


def definition(plural: str, group: str) -> dict[str, Any]:
    """A resource type of somebody's."""
    names = {"plural": plural, "singular": plural[:-1], "kind": plural.capitalize(), "listKind": f"{plural}List"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": names,
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def test_what_nobody_in_the_cluster_can_certify_is_refused_before_anything_is_touched(api: Api, tmp_path: Path) -> None:
    given = {
        "cert_manager_istio_ca_days": 60,
        "cert_manager_access": {"kubectl": binary("kubectl"), "kubeconfig": api.kubeconfig},
    }
    task = {"ansible.builtin.import_role": {"name": "trustmesh.spiffe.cert_manager", "tasks_from": "install"}}
    done = play([{"hosts": "localhost", "vars": given, "tasks": [task]}], tmp_path, "--check")
    assert "this cluster has no cert-manager to make that" in " ".join(done.stdout.split())


@pytest.mark.parametrize("role", ROLES)
def test_one_of_others_is_left_alone_and_ours_is_not_taken_for_theirs(api: Api, tmp_path: Path, role: str) -> None:
    plural, group, settings = ROLES[role]

    def install(*words: str) -> str:
        given = {
            f"{role}_install": True,
            f"{role}_access": {"kubectl": binary("kubectl"), "kubeconfig": api.kubeconfig},
            **settings,
        }
        task = {"ansible.builtin.import_role": {"name": f"trustmesh.spiffe.{role}", "tasks_from": "install"}}
        done = play([{"hosts": "localhost", "vars": given, "tasks": [task]}], tmp_path, *words)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    assert install() == ""
    api.apply([definition(plural, group)])
    for words in ((), ("--check",)):
        assert "that this collection did not bring" in install(*words)
    api.kubectl("label", f"crd/{plural}.{group}", "app.kubernetes.io/managed-by=trustmesh.spiffe")
    assert install() == ""

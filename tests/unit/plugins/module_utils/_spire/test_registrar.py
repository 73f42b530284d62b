# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who would delete what: judged from the objects that a cluster shows. With a real API server: tests/integration."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.registrar import Registrar, find_registrars

OURS = "trustmesh.4f0c1d4bfcb1fbd0b44c7ff0a5b3e2d1"
CONFIG = "/manager.yaml"


def pod(container: dict[str, Any], volumes: list[dict[str, Any]] | None = None, **metadata: Any) -> dict[str, Any]:
    containers = [{"name": "spire-server", "image": "ghcr.example/spiffe/spire-server:1.15.3"}, container]
    return {
        "kind": "Pod",
        "metadata": {"name": "spire-server-0", **metadata},
        "spec": {"containers": containers, "volumes": volumes or []},
    }


def manager(**fields: Any) -> dict[str, Any]:
    return {"name": "m", "image": "ghcr.example/spiffe/spire-controller-manager:0.6.4", **fields}


def config_map(text: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"manager.yaml": text}}


VOLUME = {"name": "v", "configMap": {"name": "conf"}}
SUB_PATH = {"name": "v", "mountPath": "/a.yaml", "subPath": "manager.yaml"}
MOUNTED = {"args": ["--config", f"/etc/m{CONFIG}"], "volumeMounts": [{"name": "v", "mountPath": "/etc/m"}]}


@pytest.mark.parametrize(
    ("registrar", "entry_id", "deleted"),
    [
        (Registrar("p", "c", None), OURS, True),
        (Registrar("p", "c", ""), OURS, True),
        (Registrar("p", "c", "blue"), OURS, False),
        (Registrar("p", "c", "trustmesh"), OURS, True),
        (Registrar("p", "c", "trustmesh."), OURS, True),
        (Registrar("p", "c", "trust"), OURS, False),
        (Registrar("p", "c", "blue"), "blue.x", True),
        (Registrar("p", "c", "blue"), "bluex", False),
        # It cleans up entries of an older prefix, or with an empty one those whose ids have no dot.
        (Registrar("p", "c", "blue", "trustmesh"), OURS, True),
        (Registrar("p", "c", "blue", "red"), OURS, False),
        (Registrar("p", "c", "blue", ""), OURS, False),
        (Registrar("p", "c", "blue", ""), "mine", True),
    ],
)
def test_which_entries_a_registrar_deletes(registrar: Registrar, entry_id: str, deleted: bool) -> None:
    assert registrar.deletes(entry_id) is deleted


@pytest.mark.parametrize(
    ("container", "volumes", "found"),
    [
        (manager(), [], ""),
        (manager(args=["--leader-elect"]), [], ""),
        (manager(args=["--config=/elsewhere.yaml"]), [], None),
        (manager(**MOUNTED), [VOLUME], "blue"),
        (manager(**{**MOUNTED, "args": [], "command": ["/m", f"-config=/etc/m{CONFIG}"]}), [VOLUME], "blue"),
        (manager(**MOUNTED), [{"name": "v", "projected": {"sources": [{"configMap": {"name": "conf"}}]}}], "blue"),
        (
            manager(
                args=["-config=/a.yaml"],
                volumeMounts=[{"name": "v", "mountPath": "/a.yaml", "subPath": "manager.yaml"}],
            ),
            [VOLUME],
            "blue",
        ),
        (
            manager(args=["-config=/e/x"], volumeMounts=[{"name": "v", "mountPath": "/e"}]),
            [{"name": "v", "configMap": {"name": "conf", "items": [{"key": "manager.yaml", "path": "x"}]}}],
            "blue",
        ),
        (manager(**MOUNTED), [{"name": "v", "secret": {"secretName": "conf"}}], None),
        (manager(**MOUNTED), [{"name": "v", "configMap": {"name": "gone"}}], None),
        ({"name": "spire-controller-manager", "image": "mirror.example/x@sha256:0"}, [], ""),
        ({"name": "m", "image": "x", "command": ["/bin/spire-controller-manager"]}, [], ""),
    ],
)
def test_the_prefix_is_read_from_where_the_container_has_it(
    container: dict[str, Any], volumes: list[dict[str, Any]], found: str | None
) -> None:
    objects = [pod(container, volumes), config_map("entryIDPrefix: blue\n")]
    (registrar,) = find_registrars(objects, "spire-server-0")
    assert registrar.prefix == found


@pytest.mark.parametrize("text", ["][", "- a\n", "7", ""])
def test_a_configuration_that_is_none_counts_as_unreadable(text: str) -> None:
    (registrar,) = find_registrars([pod(manager(**MOUNTED), [VOLUME]), config_map(text)], "spire-server-0", "said")
    assert registrar.prefix is None
    assert registrar.why.endswith("; said")


def test_a_controller_manager_that_minds_only_federation_is_none() -> None:
    text = "reconcile: {clusterSPIFFEIDs: false, clusterStaticEntries: false, clusterFederatedTrustDomains: true}"
    assert not find_registrars([pod(manager(**MOUNTED), [VOLUME]), config_map(text)], "spire-server-0")
    text = "reconcile: {clusterSPIFFEIDs: true}"
    assert find_registrars([pod(manager(**MOUNTED), [VOLUME]), config_map(text)], "spire-server-0")


@pytest.mark.parametrize(
    ("target", "owner", "meant"),
    [
        ("spire-server-0", None, True),
        ("pod/spire-server-0", None, True),
        ("spire-server-1", None, False),
        ("statefulset/spire-server", "spire-server", True),
        ("deployment/spire-server", "spire-server-5d8c7", True),
        ("statefulset/spire-server", "other", False),
        ("statefulset/spire-server", None, False),
    ],
)
def test_only_the_pods_that_are_meant_count(target: str, owner: str | None, meant: bool) -> None:
    owners = {"ownerReferences": [{"name": owner}]} if owner else {}
    assert bool(find_registrars([pod(manager(), **owners)], target)) is meant


def test_a_native_sidecar_counts_and_a_finished_init_container_does_not() -> None:
    one = pod({"name": "x", "image": "x"})
    one["spec"]["initContainers"] = [manager()]
    assert not find_registrars([one], "spire-server-0")
    one["spec"]["initContainers"] = [manager(restartPolicy="Always")]
    assert find_registrars([one], "spire-server-0")

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who would delete what: judged from the objects that a cluster shows. With a real API server: tests/integration."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.registrar import (
    Registrar,
    _complaint,
    find_registrars,
)

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
        # Relative, as the chart of helm-charts-hardened writes it: from the folder that the program starts in.
        (
            manager(
                args=["--config=a.yaml"],
                volumeMounts=[{"name": "v", "mountPath": "/a.yaml", "subPath": "manager.yaml", "readOnly": True}],
            ),
            [VOLUME],
            "blue",
        ),
        (manager(**{**MOUNTED, "args": ["--config=m/manager.yaml"], "workingDir": "/etc"}), [VOLUME], "blue"),
        (manager(**{**MOUNTED, "args": ["--config=./manager.yaml"], "workingDir": "/etc/m"}), [VOLUME], "blue"),
        (manager(**{**MOUNTED, "args": ["--config=m/manager.yaml"]}), [VOLUME], None),
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


# A manager in a pod of its own. Shaped as the chart spire-server of spiffe/helm-charts-hardened makes its objects.

LABELS = {"app.kubernetes.io/name": "server", "app.kubernetes.io/instance": "spire"}


def chart_server(*more: dict[str, Any]) -> list[dict[str, Any]]:
    owners = [{"kind": "StatefulSet", "name": "spire-server"}]
    server_pod = pod({"name": "x", "image": "x"}, labels=LABELS, ownerReferences=owners)
    service = {"kind": "Service", "metadata": {"name": "spire-server"}, "spec": {"selector": LABELS}}
    return [server_pod, service, *more]


def standalone(address: str = "spire-server.spire-server.svc.cluster.local") -> dict[str, Any]:
    name = "spire-controller-manager-standalone"
    volumes = [
        {"name": "agent-config", "configMap": {"name": f"{name}-agent"}},
        {"name": "controller-manager-config", "configMap": {"name": "spire-controller-manager"}},
    ]
    containers = [
        {"name": "spire-agent", "image": "ghcr.example/spiffe/spire-agent:1.15.3"},
        {
            "name": "spire-controller-manager",
            "image": "ghcr.example/spiffe/spire-controller-manager:0.6.4",
            "args": ["--config=controller-manager-config.yaml"],
            "volumeMounts": [
                {"name": "spire-agent-socket", "mountPath": "/tmp/spire-agent/public", "readOnly": True},
                {
                    "name": "controller-manager-config",
                    "mountPath": "/controller-manager-config.yaml",
                    "subPath": "controller-manager-config.yaml",
                    "readOnly": True,
                },
            ],
        },
    ]
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 1, "template": {"spec": {"containers": containers, "volumes": volumes}}},
    }
    agent = {
        "kind": "ConfigMap",
        "metadata": {"name": f"{name}-agent"},
        "data": {"agent.conf": f'agent {{\n  server_address = "{address}"\n  server_port = "443"\n}}\n'},
    }
    owners = [{"kind": "ReplicaSet", "name": f"{name}-5d8c7"}]
    replica = {
        "kind": "Pod",
        "metadata": {"name": f"{name}-5d8c7-x", "ownerReferences": owners},
        "spec": {"containers": containers, "volumes": volumes},
    }
    return {"deployment": deployment, "agent": agent, "replica": replica}


def chart_config(text: str) -> dict[str, Any]:
    data = {"controller-manager-config.yaml": f"apiVersion: spire.spiffe.io/v1alpha1\n{text}"}
    return {"kind": "ConfigMap", "metadata": {"name": "spire-controller-manager"}, "data": data}


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("entryIDPrefix: example-cluster\n", "example-cluster"), ("clusterName: example-cluster\n", "")],
)
def test_a_manager_in_a_deployment_of_its_own_is_seen_once(text: str, prefix: str) -> None:
    alone = standalone()
    objects = chart_server(*alone.values(), chart_config(text))
    (registrar,) = find_registrars(objects, "statefulset/spire-server")
    assert registrar == Registrar(
        "deployment spire-controller-manager-standalone", "spire-controller-manager", prefix=prefix
    )
    # One whose Deployment may not be listed is seen by its pod.
    (registrar,) = find_registrars([item for item in objects if item["kind"] != "Deployment"], "spire-server-0")
    assert (registrar.place, registrar.prefix) == ("pod spire-controller-manager-standalone-5d8c7-x", prefix)


def test_a_manager_in_a_deployment_whose_configuration_is_not_seen_is_told_with_another_remedy() -> None:
    (registrar,) = find_registrars(chart_server(standalone()["deployment"]), "spire-server-0", "forbidden")
    assert registrar.prefix is None
    text = _complaint(registrar, [OURS])
    assert "of deployment spire-controller-manager-standalone is a spire-controller-manager" in text
    assert "does not come out of a ConfigMap that can be seen; forbidden" in text
    assert "Let the user of this kubeconfig read the ConfigMaps" in text
    assert "Give it an entryIDPrefix" not in text


def test_a_deployment_of_a_manager_that_wants_no_pods_does_not_count() -> None:
    alone = standalone()["deployment"]
    alone["spec"]["replicas"] = 0
    assert not find_registrars(chart_server(alone, chart_config("")), "spire-server-0")


def test_a_manager_of_its_own_that_dials_another_server_does_not_count() -> None:
    other = {"kind": "Service", "metadata": {"name": "root"}, "spec": {"selector": {"app": "root"}}}
    for address, counts in (("root.spire-server.svc", False), ("root", False), ("elsewhere.example", True)):
        alone = standalone(address)
        found = find_registrars(chart_server(*alone.values(), chart_config(""), other), "spire-server-0")
        assert bool(found) is counts, address


def test_a_sidecar_of_another_server_in_the_namespace_does_not_count() -> None:
    other = pod(manager(), ownerReferences=[{"kind": "StatefulSet", "name": "root"}])
    other["metadata"]["name"] = "root-0"
    assert not find_registrars(chart_server(other), "statefulset/spire-server")


@pytest.mark.parametrize(
    ("env", "arguments", "prefix"),
    [
        ([{"name": "CLUSTER", "value": "blue"}], ["--expand-env"], "blue"),
        ([{"name": "CLUSTER", "value": "blue"}], ["--expand-env=true"], "blue"),
        ([{"name": "CLUSTER", "value": "blue"}], [], "$CLUSTER"),
        ([{"name": "CLUSTER", "valueFrom": {"fieldRef": {}}}], ["--expand-env"], None),
    ],
)
def test_a_prefix_may_come_from_the_environment(
    env: list[dict[str, Any]], arguments: list[str], prefix: str | None
) -> None:
    container = manager(**{**MOUNTED, "args": [*MOUNTED["args"], *arguments], "env": env})
    objects = [pod(container, [VOLUME]), config_map("entryIDPrefix: $CLUSTER\n")]
    assert [item.prefix for item in find_registrars(objects, "spire-server-0")] == [prefix]

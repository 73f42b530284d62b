# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may create pods in a namespace with identities gets no further than these pods: asked of a real API server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from rendering import CASES, render

from ..conftest import binary, wait_until
from ..kubernetes_api import Api, running_api

Data = dict[str, Any]
SOCKETS = "/run/spire/agent-sockets"
CASE = "packages"


def pod(
    container: Data | None = None, volumes: list[Data] | None = None, more: Data | None = None, **spec: Any
) -> Data:
    """A pod that is admitted, changed by what is given."""
    inner = {"name": "app", "image": "x", **(container or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "try-", "namespace": "guarded"},
        "spec": {"containers": [inner], "volumes": volumes or [], **spec, **(more or {})},
    }


def mounted(path: str, **fields: Any) -> Data:
    """A pod with a folder of its node."""
    mount = {"name": "node", "mountPath": "/n", **fields}
    return pod({"volumeMounts": [mount]}, [{"name": "node", "hostPath": {"path": path}}])


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API server with the policy, as the role spire_agent renders it, and a namespace that it holds for."""
    rendered = render(tmp_path_factory.mktemp("rendered"), {CASE: CASES[CASE]})
    policy = [item for item in rendered.objects(CASE, "spire_agent") if item["kind"].startswith("ValidatingAdmission")]
    assert len(policy) == 2
    guarded = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guarded", "labels": {}}}
    guarded["metadata"]["labels"] = {"trustmesh.io/pods": "guarded"}
    with running_api() as one:
        one.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([*policy, guarded]))
        # The API server reads policies anew every second or so.
        wait_until(
            "the policy holds", lambda: "guarded-pods.trustmesh.io" in refusal(one, mounted("/etc", readOnly=True))
        )
        yield one


def refusal(api: Api, asked: Data) -> str:
    """What the API server says to a pod; empty when it is admitted."""
    argv = [binary("kubectl"), "--kubeconfig", api.kubeconfig, "create", "--dry-run=server", "-f", "-"]
    done = subprocess.run(argv, input=json.dumps(asked), text=True, capture_output=True, check=False)
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize(
    "asked",
    [
        pod(),
        mounted(SOCKETS, readOnly=True),
        pod(
            more={
                "initContainers": [
                    {
                        "name": "istio-init",
                        "image": "x",
                        "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}},
                    }
                ]
            }
        ),
        pod({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "capabilities": {"drop": ["ALL"]}}}),
    ],
    ids=["plain", "socket", "redirecting", "careful"],
)
def test_what_workloads_need_is_admitted(api: Api, asked: Data) -> None:
    assert refusal(api, asked) == ""


def inside(**security: Any) -> Data:
    return pod({"securityContext": security})


@pytest.mark.parametrize(
    "asked",
    [
        mounted("/var/local/volumes", readOnly=True),
        mounted("/var/lib/spire-agent", readOnly=True),
        mounted("/", readOnly=True),
        mounted(f"{SOCKETS}/deeper", readOnly=True),
        mounted(f"{SOCKETS}2", readOnly=True),
        mounted(SOCKETS),
        mounted(SOCKETS, readOnly=False),
        pod(hostPID=True),
        pod(hostNetwork=True),
        pod(hostIPC=True),
        inside(privileged=True),
        inside(capabilities={"add": ["SYS_ADMIN"]}),
        inside(capabilities={"add": ["NET_RAW"]}),
        inside(seccompProfile={"type": "Unconfined"}),
        pod(more={"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
        pod(more={"securityContext": {"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]}}),
        pod({"ports": [{"containerPort": 80, "hostPort": 80}]}),
        pod(
            more={
                "initContainers": [
                    {"name": "istio-init", "image": "x", "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}
                ]
            }
        ),
        pod(more={"initContainers": [{"name": "first", "image": "x", "securityContext": {"privileged": True}}]}),
    ],
    ids=lambda asked: json.dumps(asked["spec"])[:90],
)
def test_what_is_the_nodes_is_refused(api: Api, asked: Data) -> None:
    assert "guarded-pods.trustmesh.io" in refusal(api, asked)


def test_a_container_that_is_added_to_debug_is_judged_too(api: Api) -> None:
    api.kubectl("create", "-f", "-", stdin=json.dumps({**pod(), "metadata": {"name": "here", "namespace": "guarded"}}))
    debug = {"name": "debug", "image": "x", "securityContext": {"privileged": True}}
    argv = [binary("kubectl"), "--kubeconfig", api.kubeconfig, "patch", "pod", "here", "--namespace", "guarded"]
    argv += ["--subresource", "ephemeralcontainers", "--patch", json.dumps({"spec": {"ephemeralContainers": [debug]}})]
    done = subprocess.run(argv, text=True, capture_output=True, check=False)
    assert "guarded-pods.trustmesh.io" in done.stderr


def test_other_namespaces_are_left_alone(api: Api) -> None:
    asked = mounted("/etc")
    asked["metadata"]["namespace"] = "default"
    assert refusal(api, asked) == ""

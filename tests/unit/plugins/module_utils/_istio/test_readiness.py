# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When an installation can be used, and what is said while it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import Ref
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.readiness import pod_problems, unready


def workload(kind: str = "Deployment", generation: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "istiod", "namespace": "istio-system", "generation": generation},
        "spec": {"replicas": 1},
        "status": status,
    }


def problem(live: dict[str, Any]) -> str | None:
    return unready([live], {Ref.of(live): live}).get(Ref.of(live))


READY = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
HOOK = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "MutatingWebhookConfiguration",
    "metadata": {"name": "i"},
}


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (workload(**READY), None),
        (workload(generation=2, **READY), "its controller has not seen the newest version"),
        (workload(), "its controller has not seen the newest version"),
        (workload(**{**READY, "availableReplicas": 0}), "1 of 1 replicas updated, 0 available"),
        (workload(**{**READY, "replicas": 2}), "1 of 1 replicas updated, 1 available"),
        (
            workload(
                observedGeneration=1,
                conditions=[{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}],
            ),
            "0 of 1 replicas updated, 0 available: exceeded quota",
        ),
        (
            workload("DaemonSet", observedGeneration=1, desiredNumberScheduled=2, numberAvailable=1),
            "0 of 2 pods updated, 1 available",
        ),
        ({**HOOK, "webhooks": [{"clientConfig": {"service": {}, "caBundle": "QQ=="}}]}, None),
        (
            {**HOOK, "webhooks": [{"clientConfig": {"service": {"name": "istiod"}}}]},
            "istiod has not written its CA bundle into it",
        ),
        ({**HOOK, "webhooks": [{"clientConfig": {"url": "https://elsewhere"}}]}, None),
    ],
)
def test_when_an_object_can_be_used(live: dict[str, Any], words: str | None) -> None:
    assert problem(live) == words


def test_an_object_that_is_not_there_cannot_be_used() -> None:
    assert list(unready([HOOK], {}).values()) == ["not there"]


def test_pods_say_why_they_are_not_ready() -> None:
    pods = [
        {
            "metadata": {"name": "a"},
            "status": {
                "containerStatuses": [
                    {
                        "name": "discovery",
                        "ready": False,
                        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
                    },
                    {"name": "other", "ready": True},
                ]
            },
        },
        {
            "metadata": {"name": "b"},
            "status": {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "too little memory",
                    }
                ]
            },
        },
        {
            "metadata": {"name": "c"},
            "status": {
                "initContainerStatuses": [
                    {
                        "name": "istio-proxy",
                        "ready": False,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"message": "no socket found"}},
                    }
                ]
            },
        },
    ]
    assert pod_problems(pods) == [
        "pod a, container discovery: ImagePullBackOff: no such image",
        "pod b: Unschedulable: too little memory",
        "pod c, container istio-proxy: CrashLoopBackOff: no socket found",
    ]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When objects can be used, and what is said while they cannot."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import Awaited, Ref, by_ref
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.readiness import (
    load_balancer_address,
    pod_problems,
    unready,
    unready_workloads,
    workload_warnings,
)


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


def service(kind: str, ingress: list[dict[str, str]] | None = None) -> dict[str, Any]:
    status = {} if ingress is None else {"loadBalancer": {"ingress": ingress}}
    metadata = {"name": "envoy", "namespace": "quotes"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"type": kind}, "status": status}


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
        # Pods that are updated by hand cannot be waited for.
        (
            {
                **workload("DaemonSet", observedGeneration=1, desiredNumberScheduled=2, numberAvailable=2),
                "spec": {"updateStrategy": {"type": "OnDelete"}},
            },
            None,
        ),
        ({**HOOK, "webhooks": [{"clientConfig": {"service": {}, "caBundle": "QQ=="}}]}, None),
        (
            {**HOOK, "webhooks": [{"clientConfig": {"service": {"name": "istiod"}}}]},
            "istiod has not written its CA bundle into it",
        ),
        ({**HOOK, "webhooks": [{"clientConfig": {"url": "https://elsewhere"}}]}, None),
        (service("ClusterIP"), None),
        (service("LoadBalancer"), "no load balancer has given it an address"),
        (service("LoadBalancer", []), "no load balancer has given it an address"),
        (service("LoadBalancer", [{"ip": "192.0.2.200"}]), None),
        (service("LoadBalancer", [{"hostname": "x.elb.example"}]), None),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}, None),
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


def pod(name: str, *containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "status": {"containerStatuses": [*containers], **status}}


def waiting(reason: str, name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "ready": False, "state": {"waiting": {"reason": reason}}, **more}


def warning(about: str, message: str, kind: str = "Pod", **more: Any) -> dict[str, Any]:
    met = {"kind": kind, "name": about, "namespace": "shop"}
    return {"involvedObject": met, "reason": "Failed", "message": message, **more}


def test_a_pod_that_hangs_is_explained_by_its_newest_warning() -> None:
    events = [
        warning("a", "first", lastTimestamp="2026-01-01T10:00:00Z"),
        warning("a", "socket\n  missing", eventTime="2026-01-01T10:00:02.123456Z"),
        warning("a", "second", lastTimestamp="2026-01-01T10:00:01Z"),
        warning("b", "of another pod", lastTimestamp="2026-01-01T11:00:00Z"),
        warning("a", "of a claim", kind="PersistentVolumeClaim", lastTimestamp="2026-01-01T11:00:00Z"),
    ]
    assert pod_problems([pod("a", waiting("ContainerCreating"))], events) == [
        "pod a, container main: ContainerCreating",
        "pod a: Failed: socket missing",
    ]


def test_a_pod_that_says_why_itself_needs_no_event() -> None:
    events = [warning("a", "Back-off restarting failed container")]
    ended = {"exitCode": 137, "reason": "OOMKilled"}
    crashed = waiting("CrashLoopBackOff", lastState={"terminated": ended})
    assert pod_problems([pod("a", crashed)], events) == [
        "pod a, container main: CrashLoopBackOff: ended with code 137 (OOMKilled)"
    ]


def test_a_container_that_just_ended_gives_its_code_and_last_words() -> None:
    ended = {"exitCode": 1, "reason": "Error", "message": "no such file\n"}
    container = {"name": "main", "ready": False, "state": {"terminated": ended}}
    assert pod_problems([pod("a", container)]) == ["pod a, container main: ended with code 1 (Error): no such file"]


def test_containers_that_wait_for_an_init_container_are_not_named() -> None:
    one = pod("a", waiting("PodInitializing"), initContainerStatuses=[waiting("ImagePullBackOff", "proxy")])
    assert pod_problems([one]) == ["pod a, container proxy: ImagePullBackOff"]


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        ({"phase": "Failed", "reason": "Evicted", "message": "disk pressure"}, ["pod a: Evicted: disk pressure"]),
        ({"phase": "Pending"}, ["pod a: Pending"]),
        (
            {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]},
            ["pod a: not ready"],
        ),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, []),
        ({"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False"}]}, []),
    ],
)
def test_a_pod_without_containers_that_complain(status: dict[str, Any], lines: list[str]) -> None:
    assert pod_problems([pod("a", **status)]) == lines


def test_many_pods_are_cut_short() -> None:
    lines = pod_problems(pod(f"p{number}", waiting("ErrImagePull")) for number in range(13))
    assert len(lines) == 11
    assert lines[-1] == "and 3 more of the kind"


def test_a_workload_that_makes_no_pods_is_explained_by_its_own_warning() -> None:
    ref = Ref("apps", "StatefulSet", "shop", "db")
    events = [warning("db", "violates PodSecurity", "StatefulSet"), warning("db", "of a pod")]
    assert workload_warnings(ref, events) == ["StatefulSet shop/db: Failed: violates PodSecurity"]


def test_all_of_a_kind_means_those_of_the_namespace_and_at_least_one() -> None:
    good, bad = workload(**READY), workload()
    bad["metadata"] = {**bad["metadata"], "name": "bad"}
    awaited = [Awaited("Deployment", "istio-system"), Awaited("DaemonSet", "istio-system")]
    problems = unready_workloads(awaited, by_ref([good, bad]))
    assert {str(ref): words for ref, words in problems.items()} == {
        "Deployment istio-system/bad": "its controller has not seen the newest version",
        "DaemonSet istio-system/*": "there is none",
    }


def certificate(generation: int = 1, *conditions: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "cacerts", "namespace": "istio-system", "generation": generation}
    status = {"conditions": list(conditions)}
    return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": metadata, "status": status}


IS_READY = {"type": "Ready", "status": "True", "observedGeneration": 1, "reason": "Ready", "message": "up to date"}
IS_NOT = {**IS_READY, "status": "False", "reason": "DoesNotExist", "message": "Secret does not exist."}


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (certificate(1, IS_READY), None),
        (certificate(1), "cert-manager has not looked at its newest version"),
        (certificate(2, IS_READY), "cert-manager has not looked at its newest version"),
        (certificate(1, IS_NOT), "not ready: DoesNotExist: Secret does not exist"),
        (
            certificate(1, IS_NOT, {"type": "Issuing", "status": "False", "message": "the request was denied"}),
            "not ready: DoesNotExist: Secret does not exist.: the request was denied",
        ),
    ],
)
def test_a_certificate_says_itself_whether_it_is_ready(live: dict[str, Any], words: str | None) -> None:
    assert problem(live) == words
    awaited = Awaited("Certificate", "istio-system", "cacerts")
    assert unready_workloads([awaited], by_ref([live])) == ({awaited.ref: words} if words else {})


def routing(kind: str, status: dict[str, Any], version: str = "gateway.networking.k8s.io/v1") -> dict[str, Any]:
    metadata = {"name": "in", "namespace": "edge", "generation": 2}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "status": status}


def says(name: str, status: str = "True", seen: int = 2, **more: str) -> dict[str, Any]:
    return {"type": name, "status": status, "observedGeneration": seen, **more}


UNASSIGNED = {"reason": "AddressNotAssigned", "message": "no pod behind it"}
NO_GRANT = {"reason": "RefNotPermitted", "message": "no ReferenceGrant"}
ACCEPTED = says("Accepted")


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (routing("Gateway", {"conditions": [says("Programmed")]}), None),
        (routing("Gateway", {}), "its controller has not seen the newest version"),
        (
            routing("Gateway", {"conditions": [says("Programmed", seen=1)]}),
            "its controller has not seen the newest version",
        ),
        (
            routing("Gateway", {"conditions": [says("Programmed", "False", **UNASSIGNED)]}),
            "not programmed: AddressNotAssigned: no pod behind it",
        ),
        (routing("Gateway", {}, "networking.istio.io/v1"), None),
        (routing("HTTPRoute", {"parents": [{"conditions": [ACCEPTED, says("ResolvedRefs")]}]}), None),
        (routing("HTTPRoute", {"parents": []}), "no gateway has taken it"),
        (
            routing("HTTPRoute", {"parents": [{"conditions": [says("Accepted", "False", reason="NoMatchingParent")]}]}),
            "not accepted: NoMatchingParent",
        ),
        (
            routing("HTTPRoute", {"parents": [{"conditions": [ACCEPTED, says("ResolvedRefs", "False", **NO_GRANT)]}]}),
            "leads to what cannot be used: RefNotPermitted: no ReferenceGrant",
        ),
    ],
)
def test_what_is_of_the_gateway_api_says_itself_whether_it_is_in_force(live: dict[str, Any], words: str | None) -> None:
    assert problem(live) == words


def test_an_issuer_of_the_cluster_is_in_no_namespace() -> None:
    awaited = Awaited("ClusterIssuer", "", "mesh-root")
    assert awaited.stub()["metadata"] == {"name": "mesh-root"}
    assert unready_workloads([awaited], {}) == {awaited.ref: "not there"}
    assert str(awaited) == "ClusterIssuer mesh-root"


def test_a_named_workload_has_to_be_there() -> None:
    awaited = [Awaited("Deployment", "istio-system", "istiod")]
    assert list(unready_workloads(awaited, {}).values()) == ["not there"]
    assert unready_workloads(awaited, by_ref([workload(**READY)])) == {}


def test_services_are_waited_for_by_name_and_tell_their_address() -> None:
    waiting = service("LoadBalancer")
    ref = Awaited("Service", "quotes", "envoy").ref
    assert unready_workloads([Awaited("Service", "quotes", "envoy")], by_ref([waiting])) == {
        ref: "no load balancer has given it an address"
    }
    assert not unready_workloads(
        [Awaited("Service", "quotes")], by_ref([service("LoadBalancer", [{"ip": "192.0.2.1"}])])
    )
    assert load_balancer_address(service("LoadBalancer", [{"ip": "192.0.2.1"}])) == "192.0.2.1"
    assert load_balancer_address(service("LoadBalancer", [{"hostname": "x.example"}])) == "x.example"
    assert load_balancer_address({}) == ""

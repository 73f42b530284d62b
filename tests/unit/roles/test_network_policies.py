# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Others reach a pod of ours where something asks who calls, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.proof import proof
from networks import EVERY_PORT, HOSTS, WORKLOADS, guarded_ports, open_ports
from rendering import CASES, Rendered


def reached(objects: list[dict[str, Any]]) -> dict[str, frozenset[int]]:
    """Of each workload that roles make, as ``namespace/name``, the ports at which others reach it."""
    return {
        f"{item['metadata']['namespace']}/{item['metadata']['name']}": open_ports(
            item["spec"]["template"], item["metadata"]["namespace"], objects
        )
        for item in objects
        if item["kind"] in WORKLOADS and not item["spec"]["template"]["spec"].get("hostNetwork")
    }


@pytest.mark.parametrize("name", HOSTS)
def test_others_reach_the_guard_of_a_workload_and_nothing_else(rendered: Rendered, name: str) -> None:
    mesh, host = HOSTS[name]
    found = reached(rendered.applied(name))
    wanted = {
        f"{workload.namespace}/{workload.name}": guarded_ports(workload, workload.name in mesh.callers)
        for workload in mesh.on(host)
        if workload.app != "existing"
    }
    assert {place: ports for place, ports in found.items() if place != "spire-server/spire-server"} == wanted
    if mesh.servers()[0].name == host:
        assert found["spire-server/spire-server"] == {8081}


def test_what_nobody_may_call_is_closed(rendered: Rendered) -> None:
    # Said once without the model, so that both cannot be wrong in the same way.
    assert reached(rendered.applied("blue_green-blue")) == {
        "demo/sleep": frozenset(),
        "elsewhere/stranger": frozenset(),
        "outside-the-mesh/outsider": frozenset(),
        "egress/gateway": {8080},
        "spire-server/spire-server": {8081},
    }
    assert reached(rendered.applied("blue_green-green")) == {
        "quotes/quote": {8443},
        "visitors/visitor": frozenset(),
    }
    assert reached(rendered.applied("mixed-two"))["bare/bare"] == frozenset()


@pytest.mark.parametrize("name", HOSTS)
def test_what_services_lead_to_can_be_reached(rendered: Rendered, name: str) -> None:
    """So the proof is answered by the guard also where the network enforces policies."""
    objects = rendered.applied(name)
    found = reached(objects)
    workloads = [item for item in objects if item["kind"] in WORKLOADS]
    for service in (item for item in objects if item["kind"] == "Service"):
        namespace, selector = service["metadata"]["namespace"], service["spec"]["selector"]
        for item in workloads:
            template = item["spec"]["template"]
            if (
                item["metadata"]["namespace"] != namespace
                or not selector.items() <= template["metadata"]["labels"].items()
            ):
                continue
            named = {
                port["name"]: port["containerPort"]
                for container in template["spec"]["containers"]
                for port in container.get("ports", [])
            }
            targets = {named.get(port["targetPort"], port["targetPort"]) for port in service["spec"]["ports"]}
            assert targets <= found[f"{namespace}/{item['metadata']['name']}"]


@pytest.mark.parametrize("name", HOSTS)
def test_whoever_goes_straight_to_a_pod_is_answered_by_its_guard(rendered: Rendered, name: str) -> None:
    """What a policy drops is silence. It says something only beside an answer of the same pod."""
    mesh, host = HOSTS[name]
    found = reached(rendered.applied(name))
    for check in proof(mesh).checks:
        callee = mesh.workloads.get(check["to"])
        if check["type"] == "closed_port" and callee and callee.host == host and callee.app != "existing":
            assert check.get("guard_port", check["port"]) in found[f"{callee.namespace}/{callee.name}"], check["name"]


@pytest.mark.parametrize("name", HOSTS)
def test_pods_of_others_are_left_alone(rendered: Rendered, name: str) -> None:
    mesh, host = HOSTS[name]
    for workload in mesh.on(host):
        if workload.app == "existing":
            pod = {"metadata": {"labels": {**workload.labels, "app.kubernetes.io/name": workload.name}}}
            assert open_ports(pod, workload.namespace, rendered.applied(name)) == EVERY_PORT
    for item in rendered.applied(name):
        if item["kind"] == "NetworkPolicy":
            assert item["spec"]["policyTypes"] == ["Ingress"], "what goes out is left to others"
            assert item["spec"]["podSelector"]["matchLabels"], "else it holds for the whole namespace"


@pytest.mark.parametrize("name", HOSTS)
def test_policies_are_applied_before_the_pods(rendered: Rendered, name: str) -> None:
    order = [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in rendered.applied(name)
    ]
    for kind, namespace, workload in order:
        if kind in WORKLOADS:
            assert order.index(("NetworkPolicy", namespace, workload)) < order.index((kind, namespace, workload))


@pytest.mark.parametrize(("case", "revision"), [("blue_green-blue", "default"), ("namespaces", "next")])
def test_istiod_is_reached_by_proxies_and_the_api_server(rendered: Rendered, case: str, revision: str) -> None:
    labels = {"app": "istiod", "istio": "pilot", "istio.io/rev": revision}
    assert open_ports({"metadata": {"labels": labels}}, "istio-system", rendered.applied(case)) == {15012, 15017}
    others = {"metadata": {"labels": {**labels, "istio.io/rev": "of-somebody-else"}}}
    assert open_ports(others, "istio-system", rendered.applied(case)) == EVERY_PORT


def test_a_gateway_is_reached_at_the_ports_of_its_service(rendered: Rendered) -> None:
    assert reached(rendered.applied("namespaces")) == {"edge/in": {8443}}


def test_a_gateway_of_the_gateway_api_is_reached_at_its_listeners(rendered: Rendered) -> None:
    labels = {"gateway.networking.k8s.io/gateway-name": "in"}
    assert open_ports({"metadata": {"labels": labels}}, "edge", rendered.applied("gateway_api")) == {443, 80}


def test_a_bundle_endpoint_is_open_where_there_is_one(rendered: Rendered) -> None:
    assert reached(rendered.applied("overlaid")) == {"spire-server/spire-server": {8081, 8443}}


@pytest.mark.parametrize("case", [name for name, case in CASES.items() if "spire_agent" in case.roles])
def test_agents_have_no_policy_because_none_would_hold(rendered: Rendered, case: str) -> None:
    agent = rendered.one(case, "spire_agent", "DaemonSet")
    assert agent["spec"]["template"]["spec"]["hostNetwork"] is True
    assert "NetworkPolicy" not in {item["kind"] for item in rendered.objects(case, "spire_agent")}


def test_what_an_envoy_by_hand_has_on_loopback_stays_there(rendered: Rendered) -> None:
    assert reached(rendered.applied("official"))["quotes/envoy"] == {8443}

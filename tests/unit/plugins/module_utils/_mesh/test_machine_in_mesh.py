# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine in the mesh of a cluster: what follows for both, how it is proven, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import meshes
import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import derive, model
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.proof import proof
from playbook import ROOT

Data = dict[str, Any]
ISTIO_VM = ROOT / "inventories" / "istio_vm"
GROUPS = {
    "clusters": ["one"],
    "machines": ["vm"],
    "spire_server": ["one"],
    "spire_agent": ["one", "vm"],
    "mesh": ["one", "vm"],
}
BY_SPIRE = {"istio_control_plane_identity": "spire"}
SPIRE: dict[str, Data] = {"one": BY_SPIRE, "vm": BY_SPIRE}
SHOP: Data = {"host": "one", "namespace": "shop", "app": "client"}
STOCK: Data = {"host": "one", "namespace": "stock", "app": "quote"}
LEDGER: Data = {"host": "vm", "namespace": "books", "port": 9000, "tools": ["curl"]}
WORKLOADS = {"shop": SHOP, "stock": STOCK, "ledger": LEDGER}
CALLERS = {"ledger": ["shop"], "stock": ["ledger"]}


def up(**more: Data) -> model.Mesh:
    """Both are there, and have told where they are."""
    place = "istio-system/istio-eastwestgateway"
    told = {
        "one": {
            **BY_SPIRE,
            "kubernetes_cluster": meshes.node(1),
            "kubernetes_objects_endpoints": {place: "192.0.2.9:15443", f"{place}:tls-istiod": "192.0.2.9:15012"},
        },
        "vm": {
            **BY_SPIRE,
            "machine_agent": {
                "command": ["ssh", "root@vm", "runuser", "-u", "#{uid}", "--"],
                "binary": "/opt/spire-agent/spire-agent",
                "socket_path": "/run/spire/agent-sockets/spire-agent.sock",
                "address": "192.0.2.7",
                "alias_entry": {},
            },
        },
    }
    return meshes.mesh({**WORKLOADS, **more}, CALLERS, GROUPS, told)


def objects(mesh: model.Mesh, kind: str) -> dict[str, Data]:
    return {item["metadata"]["name"]: item for item in derive.ways_in(mesh, "one") if item["kind"] == kind}


def test_its_sidecar_shows_its_identity_by_its_user() -> None:
    (entry,) = [one for one in derive.entries(up(), "one") if "ledger" in str(one["spiffe_id"])]
    assert entry == {
        "spiffe_id": "spiffe://example.org/ns/books/sa/ledger",
        "parent_id": "spiffe://example.org/host/vm",
        "selectors": ["unix:user:istio-proxy"],
    }


def test_its_own_program_gets_the_identity_too_where_that_is_said() -> None:
    mesh = up(ledger={**LEDGER, "selectors": ["unix:uid:1000"]})
    entries = [one for one in derive.entries(mesh, "one") if "ledger" in str(one["spiffe_id"])]
    assert [entry["selectors"] for entry in entries] == [["unix:uid:1000"], ["unix:user:istio-proxy"]]


def test_istiod_registers_it_and_its_service_leads_to_it() -> None:
    mesh = up()
    group, service = objects(mesh, "WorkloadGroup")["ledger"], objects(mesh, "Service")["ledger"]
    labels = {"app.kubernetes.io/name": "ledger"}
    assert group["metadata"]["namespace"] == "books"
    assert group["spec"] == {
        "metadata": {"labels": labels},
        "template": {"serviceAccount": "ledger", "network": "vm"},
    }
    assert service["spec"] == {"selector": labels, "ports": [{"name": "http", "port": 9000, "targetPort": 9000}]}
    # Nobody else is in that namespace, so nobody else makes it.
    assert "books" in objects(mesh, "Namespace")


def test_its_program_is_reached_on_loopback_alone() -> None:
    sidecar = objects(up(), "Sidecar")["ledger"]["spec"]
    assert sidecar["ingress"][0]["defaultEndpoint"] == "127.0.0.1:9000"
    assert sidecar["workloadSelector"] == {"labels": {"app.kubernetes.io/name": "ledger"}}


def test_a_service_of_pods_leads_to_it_too() -> None:
    pod = {**STOCK, "namespace": "books", "port": 9000, "labels": {"app": "ledger", "version": "v1"}}
    other = {**LEDGER, "service": "ledger", "labels": {"app": "ledger", "version": "v2"}}
    workloads = {"shop": SHOP, "ledger-v1": {**pod, "service": "ledger"}, "ledger-v2": other}
    mesh = meshes.mesh(workloads, {"ledger": ["shop"]}, GROUPS, SPIRE)
    assert "ledger" not in objects(mesh, "Service"), "that of the pods is there"
    (app,) = [one for one in derive.demo_apps(mesh, "one") if one["name"] == "ledger-v1"]
    assert app["service"] == {"name": "ledger", "port": 9000, "selector": {"app": "ledger"}}


def test_the_cluster_says_who_may_call_it() -> None:
    policies = {item["name"]: item for item in derive.policies(up(), "one")}
    assert policies["callers-of-ledger"] == {
        "name": "callers-of-ledger",
        "namespace": "books",
        "selector": {"app.kubernetes.io/name": "ledger"},
        "principals": ["example.org/ns/shop/sa/shop"],
    }
    assert policies["callers-of-stock"]["principals"] == ["example.org/ns/books/sa/ledger"]
    assert derive.policies(up(), "vm") == []


def test_it_reaches_istiod_and_whom_it_calls_by_the_gateway_and_nothing_else() -> None:
    mesh = up()
    (gateway,) = derive.gateways(mesh, "one")
    assert [port["port"] for port in gateway["ports"]] == [15443, 15012]
    gates = objects(mesh, "Gateway")
    assert gates["istio-eastwestgateway"]["spec"]["servers"][0]["hosts"] == ["stock.stock.svc.cluster.local"]
    (server,) = gates["istiod-for-machines"]["spec"]["servers"]
    assert (server["tls"], server["hosts"]) == ({"mode": "PASSTHROUGH"}, ["istiod.istio-system.svc"])
    (route,) = objects(mesh, "VirtualService")["istiod-for-machines"]["spec"]["tls"]
    assert route["route"][0]["destination"]["host"] == "istiod.istio-system.svc.cluster.local"
    policy = next(item for item in derive.policies(mesh, "one") if item["name"] == "callers-of-istiod")
    assert (policy["anyone"], policy["ports"]) == (True, [15012])


def test_one_that_calls_nobody_still_reaches_istiod() -> None:
    told = {**SPIRE, "one": {**BY_SPIRE, "kubernetes_cluster": meshes.node(1)}}
    mesh = meshes.mesh({"shop": SHOP, "ledger": LEDGER}, {"ledger": ["shop"]}, GROUPS, told)
    assert [port["port"] for port in derive.gateways(mesh, "one")[0]["ports"]] == [15443, 15012]
    assert set(objects(mesh, "Gateway")) == {"istiod-for-machines"}


def test_its_role_is_told_what_it_is_and_where_istiod_is() -> None:
    variables = derive.role_variables(up(), "vm")
    assert {name: value for name, value in variables.items() if name.startswith("sidecar_")} == {
        "sidecar_workload": {
            "name": "ledger",
            "namespace": "books",
            "service_account": "ledger",
            "service": "ledger",
            "labels": {"app.kubernetes.io/name": "ledger"},
            "ports": [9000],
        },
        "sidecar_istiod_host": "one",
        "sidecar_cluster": "one",
        "sidecar_mesh_id": "",
        "sidecar_network": "vm",
        "sidecar_istiod_name": "istiod.istio-system.svc",
        "sidecar_istiod_address": "192.0.2.9:15012",
    }
    assert derive.role_variables(up(), "one")["istio_network"] == "one"
    # What is of clusters is of no machine.
    assert not any(
        variables[name] for name in ("istio_objects", "istio_remote_clusters", "istio_authorization_policies")
    )


def test_a_cluster_without_machines_knows_nothing_of_all_that() -> None:
    found = derive.role_variables(meshes.mesh({"shop": SHOP}), "one")
    assert (found["istio_network"], found["istio_gateways"], found["sidecar_workload"]) == ("", [], {})


def test_it_is_proven_from_and_to_the_machine() -> None:
    made = proof(up(spy={"host": "one", "namespace": "spies", "app": "client"}, nobody={**SHOP, "identity": False}))
    checks = {check["name"]: check for check in made.checks}
    asked = checks["ledger may call stock"]
    assert (asked["type"], asked["from"]) == ("request", "ledger")
    assert checks["shop may call ledger"]["url"] == "http://ledger.books.svc.cluster.local:9000/"
    # Handshakes go to the machine itself.
    shown = checks["ledger presents its SPIFFE ID to other networks"]
    assert (shown["type"], shown["address"]) == ("peer_certificate", "192.0.2.7:9000")
    assert checks["spy may not call ledger"]["refusal"] == ["http_403"]
    assert checks["stock may not call ledger from other networks"]["refusal"] == ["http_403"]
    forged = checks["shop's SPIFFE ID from another CA may not call ledger from other networks"]
    assert forged["type"] == "refused_handshake"
    for name in (
        "nobody may not call ledger in plain text",
        "nobody gets an answer around ledger's sidecar, in plain text",
    ):
        assert (checks[name]["url"], checks[name]["refusal"]) == ("http://192.0.2.7:9000/", ["reset"])
    assert "ledger's sidecar is certified by SPIRE" in checks
    (place,) = [place for place in made.endpoints if place["name"] == "ledger"]
    assert place["command"][-2:] == [
        "env",
        f"PATH=/opt/istio-proxy:{'/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'}",
    ]


def test_what_cannot_be_looked_at_is_said() -> None:
    mesh = meshes.mesh(WORKLOADS, CALLERS, GROUPS, SPIRE)
    told = proof(mesh).untried
    assert any(text.startswith("what ledger's sidecar holds: nothing says how a program is run on vm") for text in told)
    assert any("Give machine_address of vm" in text for text in told)


@pytest.mark.parametrize(
    ("workloads", "variables", "text"),
    [
        (
            {},
            {"one": {}},
            "inventory: vm is a machine in the mesh of one, whose istiod has a CA of its own and would take a token of"
            " Kubernetes only, which is to lie on no machine. Say istio_control_plane_identity: spire for one.",
        ),
        (
            {"second": {**LEDGER, "port": 9001}},
            {},
            "trustmesh_workloads: ledger and second are in the mesh on vm, and the sidecar of a machine has one"
            " identity. Say mesh: false for all but one of them, or give each a machine.",
        ),
        (
            {"ledger": {**LEDGER, "mesh": False, "envoy": True}},
            {},
            "inventory: vm is a machine in mesh, and no workload of the mesh is on it. Name one in"
            " trustmesh_workloads, or take vm out of mesh.",
        ),
        (
            {"desk": {"host": "vm", "envoy": True, "port": 9100}},
            {},
            "trustmesh_workloads: desk has an Envoy on vm, whose connections the sidecar of ledger would take over."
            " Give one of them another machine.",
        ),
        (
            {},
            {"vm": {**BY_SPIRE, "sidecar_istiod_host": "two"}},
            "sidecar_istiod_host of vm: 'two' is no cluster in mesh, whose istiod its sidecar could ask.",
        ),
    ],
)
def test_what_a_machine_in_a_mesh_cannot_be(workloads: Data, variables: dict[str, Data], text: str) -> None:
    with pytest.raises(InputError) as refused:
        meshes.mesh({**WORKLOADS, **workloads}, CALLERS, GROUPS, {**SPIRE, **variables})
    assert text in refused.value.message.splitlines()


@pytest.mark.parametrize("folder", [ISTIO_VM], ids=lambda folder: folder.name)
def test_the_scenario_tries_both_directions(folder: Path) -> None:
    checks = {check["name"]: check["type"] for check in proof(meshes.of_inventory(folder)).checks}
    assert checks["productpage-v1 may call reviews-v2"] == "request"
    assert checks["reviews-v2 may call ratings-v1"] == "request"
    assert checks["intruder may not call reviews-v2"] == "refused_request"
    assert checks["reviews-v2's sidecar is certified by SPIRE"] == "sidecar_certificate"

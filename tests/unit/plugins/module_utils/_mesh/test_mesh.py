# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From who is there and who may call whom to identities, entries, policies, Envoys and the proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import derive, hosts, model
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.proof import proof

ROOT = Path(__file__).resolve().parents[5]
INTENT = yaml.safe_load((ROOT / "inventories/blue_green/group_vars/all.yml").read_text())
GROUPS = {
    "clusters": ["blue", "green"],
    "spire_server": ["blue"],
    "spire_controller_manager": ["blue"],
    "spire_agent": ["blue", "green"],
    "mesh": ["blue"],
}
UP: dict[str, Any] = {
    "blue": {"kubernetes_objects_endpoints": {"spire-server/spire-server": "192.0.2.1:30081"}},
    "green": {
        "kubernetes_cluster": {"name": "green", "nodes": [{"name": "green-a"}, {"name": "green-b"}]},
        "kubernetes_objects_endpoints": {"quotes/quote-envoy": "192.0.2.2:30443"},
    },
}
TWO = {"clusters": ["eu", "us"], "spire_server": ["eu"], "spire_agent": ["eu", "us"]}
EXISTING = {"kubernetes_cluster_provider": "existing"}


def read(workloads: Any = None, callers: Any = None, groups: Any = None, hostvars: Any = None) -> model.Mesh:
    """The mesh of blue_green, or another one."""
    return model.read(
        INTENT["trustmesh_workloads"] if workloads is None else workloads,
        INTENT["trustmesh_callers"] if callers is None else callers,
        hosts.read_hosts(UP if hostvars is None else hostvars, GROUPS if groups is None else groups, "example.org"),
        without=INTENT["trustmesh_without"] if workloads is None else (),
    )


def own(**fields: Any) -> model.Mesh:
    workloads = {
        "shop": {"host": "eu", "namespace": "shop", "envoy": True, "tools": ["curl"]},
        "billing": {"host": "us", "namespace": "billing", "envoy": True, "port": 8080, "labels": {"app": "billing"}},
    }
    workloads["billing"].update(fields)
    return read(workloads, {"billing": ["shop"]}, TWO, {"eu": EXISTING, "us": EXISTING})


def test_a_workload_elsewhere_gets_an_entry_for_each_node() -> None:
    found = derive.entries(read(), "blue")
    assert [entry["parent_id"] for entry in found] == [
        "spiffe://example.org/node/green/green-a",
        "spiffe://example.org/node/green/green-b",
    ]
    assert {entry["spiffe_id"] for entry in found} == {"spiffe://example.org/ns/quotes/sa/quote"}
    assert found[0]["selectors"] == [
        "k8s:ns:quotes",
        "k8s:sa:quote",
        "k8s:pod-label:app.kubernetes.io/name:quote",
        "k8s:container-name:envoy",
    ]


def test_pods_of_the_servers_cluster_are_left_to_the_controller_manager() -> None:
    found = {item["name"]: item["spec"] for item in derive.cluster_spiffe_ids(read(), "blue")}
    both = ["egress.gateway", "egress.gateway.istio-proxy"]
    assert sorted(found) == ["demo.sleep", *both, "elsewhere.stranger"], "who has no identity gets none"
    shown = [found[name]["workloadSelectorTemplates"][-1] for name in both]
    assert shown == ["k8s:container-name:envoy", "k8s:container-name:istio-proxy"], "and no other container of the pod"
    assert found["demo.sleep"]["spiffeIDTemplate"] == "spiffe://example.org/ns/demo/sa/sleep"
    selectors = ["k8s:ns:demo", "k8s:sa:sleep", "k8s:container-name:istio-proxy"]
    assert found["demo.sleep"]["workloadSelectorTemplates"] == selectors


def test_without_a_controller_manager_they_are_entries_under_the_clusters_alias() -> None:
    mesh = read(groups={**GROUPS, "spire_controller_manager": []})
    found = derive.entries(mesh, "blue")
    assert found[0] == {
        "spiffe_id": "spiffe://example.org/node/blue",
        "parent_id": "spiffe://example.org/spire/server",
        "selectors": ["k8s_psat:cluster:blue"],
    }
    assert {entry["parent_id"] for entry in found[1:4]} == {"spiffe://example.org/node/blue"}


def test_a_policy_admits_exactly_the_callers() -> None:
    (policy,) = derive.policies(read(), "blue")
    assert policy["principals"] == ["example.org/ns/demo/sa/sleep"]
    assert (policy["selector"], policy["methods"]) == ({"app.kubernetes.io/name": "gateway"}, ["GET"])


def test_envoys_admit_callers_and_expect_callees() -> None:
    (gateway,), (quote,) = derive.envoys(read(), "blue"), derive.envoys(read(), "green")
    assert gateway["upstreams"] == [
        {
            "name": "quote",
            "address": "192.0.2.2",
            "port": 30443,
            "spiffe_ids": ["spiffe://example.org/ns/quotes/sa/quote"],
        }
    ]
    assert gateway["service"]["type"] == "ClusterIP"
    assert quote["listeners"][0]["allowed_spiffe_ids"] == ["spiffe://example.org/ns/egress/sa/gateway"]
    assert quote["service"]["type"] == "LoadBalancer", "a caller is on another host"
    assert quote["beside"] == {"kind": "Deployment", "name": "quote", "existing": False}


def test_an_existing_service_is_called_through_the_callers_own_envoy() -> None:
    (shop,), (billing,) = derive.envoys(own(), "eu"), derive.envoys(own(), "us")
    assert [(item["address"], item["port"]) for item in shop["listeners"]] == [("127.0.0.1", 18080)]
    assert "service" not in shop, "nobody calls it"
    assert billing["upstreams"] == [{"name": "billing", "address": "127.0.0.1", "port": 8080}]
    assert billing["service"]["type"] == "LoadBalancer"
    assert derive.server_service_type(own(), "eu") == "LoadBalancer"
    assert derive.demo_apps(own(), "us") == []


def test_trust_domains_that_call_each_other_federate() -> None:
    groups = {**TWO, "spire_server": ["eu", "us"]}
    hostvars = {"eu": {**EXISTING, "trustmesh_trust_domain": "eu.example"}, "us": EXISTING}
    workloads = {
        "shop": {"host": "eu", "envoy": True},
        "billing": {"host": "us", "envoy": True, "port": 80, "labels": {"a": "b"}},
    }
    mesh = read(workloads, {"billing": ["shop"]}, groups, hostvars)
    assert derive.federation(mesh, "eu") == [{"trust_domain": "example.org", "host": "us"}]
    entry = derive.entries(mesh, "us")[-1]
    assert entry["federates_with"] == ["eu.example"]


@pytest.mark.parametrize("stranger", ["sleep", "stranger"])
def test_who_is_allowed_is_not_expected_to_be_refused(stranger: str) -> None:
    made = proof(read(callers={"gateway": ["sleep", "stranger"], "quote": ["gateway"]}))
    names = {check["name"] for check in made.checks}
    assert f"{stranger} may call gateway" in names
    assert f"{stranger} may not call gateway" not in names


BAD: dict[str, tuple[Any, Any, str]] = {
    "unknown host": ({"a": {"host": "red"}}, {}, "a: host is 'red', which is in neither of the groups"),
    "no host": ({"a": {}}, {}, "a: host is missing"),
    "unknown field": ({"a": {"host": "blue", "hots": 1}}, {}, "a: unknown field 'hots'"),
    "unknown app": ({"a": {"host": "blue", "app": "quotes"}}, {}, "a: app is 'quotes'. Known: existing, envoy"),
    "a name that cannot be": ({"A_b": {"host": "blue"}}, {}, "'A_b' cannot name a workload"),
    "control character": ({"a": {"host": "blue", "namespace": "x\ny"}}, {}, "a: namespace is 'x\\ny', expected"),
    "template": ({"a": {"host": "blue", "paths": ["/{{ x }}"]}}, {}, "a: paths is ['/{{ x }}'], expected"),
    "reserved path": ({"a": {"host": "green", "spiffe_path": "/spire/server"}}, {}, "not below /spire"),
    "unknown caller": ({"a": {"host": "blue", "app": "envoy"}}, {"a": ["b"]}, "a: 'b' is no workload"),
    "unknown callee": ({"a": {"host": "blue"}}, {"b": ["a"]}, "'b' is neither a workload nor a service"),
    "itself": ({"a": {"host": "blue", "app": "envoy"}}, {"a": ["a"]}, "a: it calls itself"),
    "nobody calls it": ({"a": {"host": "blue", "app": "envoy"}}, {}, "a: nobody may call this Envoy"),
    "unguarded": (
        {"a": {"host": "green", "app": "quote"}, "b": {"host": "blue"}},
        {"a": ["b"]},
        "a: it is called, and nothing keeps out those who are not listed",
    ),
    "no identity": (
        {"a": {"host": "blue", "app": "envoy"}, "b": {"host": "blue", "identity": False}},
        {"a": ["b"]},
        "a: b has no identity",
    ),
    "not of its mesh": (
        {"a": {"host": "blue", "app": "envoy"}, "b": {"host": "green"}},
        {"a": ["b"]},
        "a: it is in a mesh of blue and b is not",
    ),
}


@pytest.mark.parametrize(("workloads", "callers", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_named(workloads: Any, callers: Any, words: str) -> None:
    with pytest.raises(InputError) as raised:
        read(workloads, callers)
    assert words in raised.value.message


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InputError) as raised:
        read({"a": {"host": "red"}, "b": {"host": "blue", "port": 0}}, {"a": ["c"]})
    assert len(raised.value.message.splitlines()) == 3


def test_what_is_not_known_yet_is_accepted_by_nobody() -> None:
    mesh = read(hostvars={"blue": {}, "green": {}})
    assert derive.entries(mesh, "blue")[0]["parent_id"].endswith("/?")
    assert derive.envoys(mesh, "blue")[0]["upstreams"][0]["address"] == "?"

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The defaults of the roles' variables, as they follow from a mesh."""

from __future__ import annotations

from typing import Any

import meshes
import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import derive

Data = dict[str, Any]
CLIENT: Data = {"host": "one", "app": "client"}
QUOTE: Data = {"host": "one", "app": "quote"}
TD = "spiffe://example.org"


def named(items: list[Data], name: str) -> Data:
    (found,) = (item for item in items if item["name"] == name)
    return found


# Registration


def test_who_shows_its_certificate_from_files_has_an_entry_for_the_one_who_writes_them() -> None:
    mesh = meshes.mesh({"a": {**CLIENT, "files": True}, "b": {**CLIENT, "files": True, "mesh": False}})
    shown_by: dict[str, list[str]] = {}
    for entry in derive.entries(mesh, "one")[1:]:
        shown_by.setdefault(entry["spiffe_id"], []).append(entry["selectors"][-1])
    assert shown_by == {
        f"{TD}/ns/default/sa/a": ["k8s:container-name:istio-proxy", "k8s:container-name:svid"],
        f"{TD}/ns/default/sa/b": ["k8s:container-name:svid"],
    }


def test_pods_of_the_servers_own_cluster_hang_below_all_its_agents() -> None:
    alias, entry = derive.entries(meshes.mesh({"a": CLIENT}), "one")
    assert alias == {
        "spiffe_id": f"{TD}/node/one",
        "parent_id": f"{TD}/spire/server",
        "selectors": ["k8s_psat:cluster:one"],
    }
    assert entry == {
        "spiffe_id": f"{TD}/ns/default/sa/a",
        "parent_id": f"{TD}/node/one",
        "selectors": [
            "k8s:ns:default",
            "k8s:sa:a",
            "k8s:pod-label:app.kubernetes.io/name:a",
            "k8s:container-name:istio-proxy",
        ],
    }


def test_another_attestor_is_told_to_the_server_and_says_by_what_nodes_are_known() -> None:
    told: Data = {
        "spire_agent_attestor": "x509pop",
        "spire_agent_attestor_server_data": {"ca_bundle_path": "/ca"},
        "spire_agent_attestor_server_files": {"ca.crt": "PEM"},
        "spire_agent_node_selectors": ["x509pop:ca:fingerprint:ab"],
    }
    mesh = meshes.mesh({"a": {**CLIENT, "host": "two"}}, {}, meshes.TWO, {"two": told})
    variables = derive.role_variables(mesh, "one")
    assert variables["spire_server_node_attestors"] == {"x509pop": {"plugin_data": {"ca_bundle_path": "/ca"}}}
    assert variables["spire_server_node_attestor_files"] == {"ca.crt": "PEM"}
    assert derive.role_variables(mesh, "two")["spire_server_node_attestor_files"] == {}
    alias, entry = variables["spire_entries_entries"]
    assert alias == {
        "spiffe_id": f"{TD}/node/two",
        "parent_id": f"{TD}/spire/server",
        "selectors": ["x509pop:ca:fingerprint:ab"],
    }
    assert entry["parent_id"] == alias["spiffe_id"]


def test_nodes_of_a_plugin_without_selectors_have_their_alias_below_each_agent() -> None:
    agents = [f"{TD}/spire/agent/sshpop/{node}" for node in ("n1", "n2")]
    told: Data = {
        "spire_agent_attestor": "sshpop",
        "spire_agent_node_selectors": [f"spiffe_id:{agent}" for agent in agents],
    }
    mesh = meshes.mesh({"a": {**CLIENT, "host": "two"}}, {}, meshes.TWO, {"two": told})
    *aliases, entry = derive.entries(mesh, "one")
    assert aliases == [
        {"spiffe_id": f"{TD}/node/two", "parent_id": agent, "selectors": [f"spiffe_id:{agent}"]} for agent in agents
    ]
    assert entry["parent_id"] == f"{TD}/node/two"


def test_pods_of_another_cluster_have_an_entry_for_each_of_its_nodes() -> None:
    cluster = {"kubernetes_cluster": {"name": "far", "nodes": [{"name": "n1"}, {"name": "n2"}], "address": "192.0.2.2"}}
    mesh = meshes.mesh({"a": {**CLIENT, "host": "two"}}, {}, meshes.TWO, {"two": cluster})
    found = derive.entries(mesh, "one")
    assert [entry["parent_id"] for entry in found] == [f"{TD}/node/far/n1", f"{TD}/node/far/n2"]
    assert len({str(entry["selectors"]) for entry in found}) == 1


def test_nodes_that_are_not_known_yet_are_no_parents_that_a_module_would_take() -> None:
    (entry,) = derive.entries(meshes.mesh({"a": {**CLIENT, "host": "two"}}, {}, meshes.TWO), "one")
    assert entry["parent_id"] == f"{TD}/node/two/{derive.UNKNOWN}"


def test_a_machine_is_one_node() -> None:
    groups = {"clusters": ["one"], "machines": ["vm"], "spire_server": ["one"], "spire_agent": ["one", "vm"]}
    mesh = meshes.mesh({"job": {"host": "vm", "selectors": ["unix:uid:7"]}}, {}, groups)
    workload = {"spiffe_id": f"{TD}/ns/default/sa/job", "parent_id": f"{TD}/host/vm", "selectors": ["unix:uid:7"]}
    assert derive.entries(mesh, "one") == [workload]
    assert derive.machines_of(mesh, "one") == ["vm"]
    assert derive.server_service_type(mesh, "one") == "LoadBalancer"
    assert derive.joins_by_token(mesh, "one") == []


VM = {"clusters": ["one"], "machines": ["vm"], "spire_server": ["one"], "spire_agent": ["one", "vm"]}
AT = {"vm": {"ansible_host": "192.0.2.7"}}


def test_an_envoy_on_a_machine_is_known_by_its_user_and_its_program() -> None:
    workloads = {
        "shop": {"host": "vm", "envoy": True, "port": 9000, "selectors": ["unix:uid:7"], "dns_names": ["shop.test"]},
        "front": {"host": "vm", "app": "envoy", "port": 9443},
        "a": {"host": "one", "app": "client", "envoy": True},
    }
    mesh = meshes.mesh(workloads, {"shop": ["front"], "front": ["a"]}, VM, AT)
    found = [
        (entry["spiffe_id"], entry["selectors"])
        for entry in derive.entries(mesh, "one")
        if "host/vm" in entry["parent_id"]
    ]
    assert found == [
        (f"{TD}/ns/default/sa/shop", ["unix:uid:7"]),
        (f"{TD}/ns/default/sa/shop", ["unix:user:envoy-shop", "unix:path:/opt/envoy-shop/envoy"]),
        (f"{TD}/ns/default/sa/front", ["unix:user:envoy-front", "unix:path:/opt/envoy-front/envoy"]),
    ]
    assert derive.entries(mesh, "one")[2]["dns_names"] == ["shop.test"]
    elsewhere = meshes.mesh(
        workloads, {"shop": ["front"], "front": ["a"]}, VM, {"vm": {**AT["vm"], "envoy_machine_dir": "/srv"}}
    )
    assert "unix:path:/srv/envoy-front/envoy" in derive.entries(elsewhere, "one")[-1]["selectors"]


def test_an_envoy_on_a_machine_has_neither_pod_nor_service() -> None:
    workloads = {
        "shop": {"host": "vm", "envoy": True, "port": 9000, "listens": 9001},
        "front": {"host": "vm", "app": "envoy", "port": 443},
        "quote": {"host": "one", "app": "quote", "envoy": True},
        "a": {"host": "one", "app": "client", "envoy": True},
    }
    callers = {"shop": ["front"], "front": ["a"], "quote": ["shop"]}
    mesh = meshes.mesh(
        workloads,
        callers,
        VM,
        {**AT, "one": {"kubernetes_objects_endpoints": {"default/quote-envoy": "192.0.2.1:8443"}}},
    )
    shop, front = derive.envoys(mesh, "vm")
    assert shop == {
        "name": "shop-envoy",
        "namespace": "default",
        "spiffe_id": f"{TD}/ns/default/sa/shop",
        "user": "envoy-shop",
        "listeners": [
            {"name": "inbound", "port": 8443, "allowed_spiffe_ids": [f"{TD}/ns/default/sa/front"]}
            | {"forwarded_client_cert": "append", "routes": [{"upstream": "shop"}]},
            {"name": "to-quote", "address": "127.0.0.1", "port": 10080, "routes": [{"upstream": "quote"}]},
        ],
        "upstreams": [
            {"name": "quote", "address": "192.0.2.1", "port": 8443, "spiffe_ids": [f"{TD}/ns/default/sa/quote"]},
            {"name": "shop", "address": "127.0.0.1", "port": 9001},
        ],
    }
    assert (front["user"], front["listeners"][0]["port"]) == ("envoy-front", 443)
    assert "service" not in front
    # Beside it by loopback, from elsewhere by the machine's address.
    assert front["upstreams"] == [
        {"name": "shop", "address": "127.0.0.1", "port": 8443, "spiffe_ids": [f"{TD}/ns/default/sa/shop"]}
    ]
    (upstream,) = named(derive.envoys(mesh, "one"), "a-envoy")["upstreams"]
    assert (upstream["address"], upstream["port"]) == ("192.0.2.7", 443)
    to_come = meshes.mesh(workloads, callers, VM, {"vm": {"machine_provider": "container"}})
    assert named(derive.envoys(to_come, "one"), "a-envoy")["upstreams"][0]["address"] == derive.UNKNOWN


def test_several_programs_of_a_machine_have_an_envoy_each() -> None:
    one = {"host": "vm", "envoy": True, "port": 9000}
    other = {"host": "vm", "envoy": True, "port": 9001, "envoy_port": 9443, "dns_names": ["other.test"]}
    workloads = {"one": one, "other": other, "a": {"host": "one", "app": "client", "envoy": True}}
    mesh = meshes.mesh(workloads, {"one": ["a"], "other": ["a"]}, VM, AT)
    assert [envoy["listeners"][0]["port"] for envoy in derive.envoys(mesh, "vm")] == [8443, 9443]
    (envoy,) = derive.envoys(mesh, "one")
    assert [upstream["port"] for upstream in envoy["upstreams"]] == [8443, 9443]
    assert derive.way_by_name(mesh.workloads["other"]) == "https://other.test:9443"


def test_a_pod_knows_the_name_of_an_envoy_on_a_machine() -> None:
    workloads = {
        "shop": {"host": "vm", "envoy": True, "port": 9000, "dns_names": ["shop.test"]},
        "a": {"host": "one", "app": "client", "files": True},
    }
    mesh = meshes.mesh(workloads, {"shop": ["a"]}, VM, AT)
    assert derive.host_aliases(mesh, mesh.workloads["a"]) == [{"ip": "192.0.2.7", "hostnames": ["shop.test"]}]


def test_a_machine_is_known_as_it_has_told() -> None:
    groups = {"clusters": ["one"], "machines": ["vm"], "spire_server": ["one"], "spire_agent": ["one", "vm"]}
    alias = {
        "spiffe_id": f"{TD}/rack/7",
        "parent_id": f"{TD}/spire/server",
        "selectors": ["x509pop:subject:cn:vm"],
    }
    told = {"vm": {"machine_spiffe_id": f"{TD}/rack/7", "machine_agent": {"alias_entry": alias}}}
    mesh = meshes.mesh({"job": {"host": "vm", "selectors": ["unix:uid:7"]}}, {}, groups, told)
    first, second = derive.entries(mesh, "one")
    assert (first, second["parent_id"]) == (alias, f"{TD}/rack/7")
    token = meshes.mesh(
        {"job": {"host": "vm", "selectors": ["unix:uid:7"]}}, {}, groups, {"vm": {"machine_attestor": "join_token"}}
    )
    assert derive.joins_by_token(token, "one") == ["vm"]


def test_a_certificate_lives_as_long_as_is_said() -> None:
    groups = {**meshes.ONE, "spire_controller_manager": ["one"]}
    short = {"a": {**CLIENT, "x509_svid_ttl": 300}, "b": CLIENT}
    by_entry = derive.entries(meshes.mesh(short), "one")[1:]
    assert [entry.get("x509_svid_ttl") for entry in by_entry] == [300, None]
    by_resource = derive.cluster_spiffe_ids(meshes.mesh(short, {}, groups), "one")
    assert [one["spec"].get("ttl") for one in by_resource] == ["300s", None]


def test_who_has_no_identity_is_not_registered() -> None:
    mesh = meshes.mesh({"a": {**CLIENT, "identity": False}})
    assert derive.entries(mesh, "one") == []


def test_what_is_said_of_a_workload_reaches_its_entry() -> None:
    said = {
        **CLIENT,
        "namespace": "shop",
        "service_account": "till",
        "labels": {"b": "2", "a": "1"},
        "dns_names": ["shop.example"],
    }
    entry = derive.entries(meshes.mesh({"a": said}), "one")[-1]
    assert entry["spiffe_id"] == f"{TD}/ns/shop/sa/till"
    assert entry["selectors"][:-1] == ["k8s:ns:shop", "k8s:sa:till", "k8s:pod-label:a:1", "k8s:pod-label:b:2"]
    assert entry["dns_names"] == ["shop.example"]


MANAGED = {**meshes.TWO, "spire_controller_manager": ["one"]}


def test_the_controller_manager_registers_its_own_cluster_and_entries_the_others() -> None:
    mesh = meshes.mesh(
        {
            "a": {**CLIENT, "dns_names": ["a.example"]},
            "x": {"host": "one"},
            "b": {**CLIENT, "host": "two"},
            "c": {**CLIENT, "identity": False},
        },
        {},
        MANAGED,
    )
    assert [entry["spiffe_id"] for entry in derive.entries(mesh, "one")] == [f"{TD}/ns/default/sa/b"]
    ours, theirs = derive.cluster_spiffe_ids(mesh, "one")
    assert ours == {
        "name": "default.a",
        "spec": {
            "spiffeIDTemplate": f"{TD}/ns/default/sa/a",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "a"}},
            "workloadSelectorTemplates": ["k8s:ns:default", "k8s:sa:a", "k8s:container-name:istio-proxy"],
            "dnsNameTemplates": ["a.example"],
        },
    }
    assert "podSelector" not in theirs["spec"], "its labels are not known"
    assert theirs["spec"]["workloadSelectorTemplates"][:2] == ["k8s:ns:default", "k8s:sa:x"]
    assert derive.cluster_spiffe_ids(mesh, "two") == []


# Trust domains

DOMAINS = {
    "clusters": ["one", "two", "three"],
    "spire_server": ["one", "two", "three"],
    "spire_agent": ["one", "two", "three"],
}
OTHERS = {"two": {"trustmesh_trust_domain": "two.org"}, "three": {"trustmesh_trust_domain": "three.org"}}


def test_only_domains_that_call_each_other_are_federated() -> None:
    mesh = meshes.mesh(
        {
            "a": {**CLIENT, "envoy": True},
            "q": {**QUOTE, "host": "two", "envoy": True},
            "z": {**CLIENT, "host": "three"},
        },
        {"q": ["a"]},
        DOMAINS,
        OTHERS,
    )
    assert derive.federation(mesh, "one") == [{"trust_domain": "two.org", "host": "two"}]
    assert derive.federation(mesh, "two") == [{"trust_domain": "example.org", "host": "one"}]
    assert derive.federation(mesh, "three") == []
    assert derive.entries(mesh, "one")[-1]["federates_with"] == ["two.org"]
    assert derive.entries(mesh, "two")[-1]["federates_with"] == ["example.org"]
    assert "federates_with" not in derive.entries(mesh, "three")[-1]


def test_servers_of_one_domain_do_not_federate() -> None:
    groups = {"clusters": ["one", "two"], "spire_server": ["one", "two"], "spire_agent": ["one", "two"]}
    callers = {"q": ["a"]}
    mesh = meshes.mesh({"a": {**CLIENT, "envoy": True}, "q": {**QUOTE, "host": "two", "envoy": True}}, callers, groups)
    assert derive.federation(mesh, "one") == derive.federation(mesh, "two") == []


@pytest.mark.parametrize(
    ("groups", "variables", "kind"),
    [
        (meshes.ONE, {}, "ClusterIP"),
        (meshes.TWO, {}, "LoadBalancer"),
        (meshes.TWO, {"one": {"kubernetes_cluster_exposes_by": "NodePort"}}, "NodePort"),
    ],
)
def test_a_server_is_exposed_where_agents_elsewhere_join_it(groups: Any, variables: Any, kind: str) -> None:
    assert derive.server_service_type(meshes.mesh({}, {}, groups, variables), "one") == kind


# Policies


def test_a_policy_names_full_principals_and_what_they_may_ask() -> None:
    quote = {**QUOTE, "namespace": "quotes", "methods": ["GET"], "paths": ["/today"]}
    mesh = meshes.mesh({"a": CLIENT, "b": CLIENT, "q": quote}, {"q": ["a", "b"]})
    assert derive.policies(mesh, "one") == [
        {
            "name": "callers-of-q",
            "namespace": "quotes",
            "selector": {"app.kubernetes.io/name": "q"},
            "principals": ["example.org/ns/default/sa/a", "example.org/ns/default/sa/b"],
            "methods": ["GET"],
            "paths": ["/today"],
        }
    ]


def test_anyone_is_said_outright() -> None:
    (policy,) = derive.policies(meshes.mesh({"q": QUOTE}, {"q": ["anyone"]}), "one")
    assert policy["anyone"] is True
    assert "principals" not in policy


def test_who_is_called_by_nobody_or_keeps_others_out_itself_has_no_policy() -> None:
    mesh = meshes.mesh({"q": QUOTE, "a": {**CLIENT, "envoy": True}, "e": {**QUOTE, "envoy": True}}, {"e": ["a"]})
    assert derive.policies(mesh, "one") == []


def test_the_name_of_a_policy_is_one_for_kubernetes() -> None:
    long = "q" * 50 + "-" + "r" * 10
    (policy,) = derive.policies(meshes.mesh({"a": CLIENT, long: QUOTE}, {long: ["a"]}), "one")
    assert len(policy["name"]) <= 63
    assert policy["name"] == f"callers-of-{'q' * 50}-r"


# Envoys


def test_an_envoy_of_the_mesh_trusts_its_sidecar_and_leaves_under_its_own_identity() -> None:
    endpoints = {"two": {"kubernetes_objects_endpoints": {"default/q-envoy": "192.0.2.2:31000"}}}
    mesh = meshes.mesh(
        {"a": CLIENT, "g": {"host": "one", "app": "envoy"}, "q": {**QUOTE, "host": "two", "envoy": True}},
        {"g": ["a"], "q": ["g"]},
        meshes.TWO,
        endpoints,
    )
    (gateway,) = derive.envoys(mesh, "one")
    assert gateway == {
        "name": "g",
        "namespace": "default",
        "service_account": "g",
        "spiffe_id": f"{TD}/ns/default/sa/g",
        "mesh": True,
        "labels": {"app.kubernetes.io/name": "g"},
        "listeners": [{"name": "inbound", "port": 8080, "routes": [{"upstream": "q"}]}],
        "upstreams": [{"name": "q", "address": "192.0.2.2", "port": 31000, "spiffe_ids": [f"{TD}/ns/default/sa/q"]}],
        "service": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80, "target_port": 8080}]},
    }


def test_an_envoy_that_stands_alone_admits_who_is_listed() -> None:
    mesh = meshes.mesh(
        {
            "a": {**CLIENT, "envoy": True},
            "front": {"host": "one", "app": "envoy", "mesh": False, "paths": ["/today"]},
            "q": QUOTE | {"envoy": True},
        },
        {"front": ["a"], "q": ["front"]},
    )
    front = named(derive.envoys(mesh, "one"), "front")
    assert front["listeners"] == [
        {
            "name": "inbound",
            "port": 8443,
            "allowed_spiffe_ids": [f"{TD}/ns/default/sa/a"],
            "paths": ["/today"],
            "routes": [{"upstream": "q"}],
        }
    ]
    assert front["service"]["ports"] == [{"name": "https", "port": 8443, "target_port": 8443}]
    assert front["upstreams"] == [
        {
            "name": "q",
            "address": "q-envoy.default.svc.cluster.local",
            "port": 8443,
            "spiffe_ids": [f"{TD}/ns/default/sa/q"],
        }
    ]


def test_an_envoy_beside_an_application_is_its_way_in_and_out() -> None:
    mesh = meshes.mesh(
        {"a": {**CLIENT, "envoy": True}, "q": {**QUOTE, "envoy": True}, "r": {**QUOTE, "envoy": True, "port": 81}},
        {"q": ["a"], "r": ["q"]},
    )
    a, q, _r = derive.envoys(mesh, "one")
    assert a["beside"] == {"kind": "Deployment", "name": "a", "existing": False}
    assert [listener["name"] for listener in a["listeners"]] == ["to-q"]
    assert "service" not in a
    inbound, out = q["listeners"]
    assert (inbound["port"], inbound["routes"]) == (8443, [{"upstream": "q"}])
    assert out == {"name": "to-r", "address": "127.0.0.1", "port": 10081, "routes": [{"upstream": "r"}]}
    assert named(q["upstreams"], "q") == {"name": "q", "address": "127.0.0.1", "port": 8080}
    assert q["service"] == {"type": "ClusterIP", "ports": [{"name": "https", "port": 8443, "target_port": 8443}]}


@pytest.mark.parametrize(
    ("pod", "kind"),
    [
        ("deploy/x", "Deployment"),
        ("deployment/x", "Deployment"),
        ("statefulset/x", "StatefulSet"),
        ("daemonset/x", "DaemonSet"),
    ],
)
def test_an_envoy_beside_a_workload_that_exists(pod: str, kind: str) -> None:
    mesh = meshes.mesh(
        {
            "a": {**CLIENT, "envoy": True},
            "x": {"host": "one", "envoy": True, "pod": pod, "port": 80, "labels": {"app": "x"}},
        },
        {"x": ["a"]},
    )
    assert derive.envoys(mesh, "one")[1]["beside"] == {"kind": kind, "name": "x", "existing": True}


def test_several_callees_are_told_apart_by_name() -> None:
    mesh = meshes.mesh(
        {"c": CLIENT, "g": {"host": "one", "app": "envoy"}, "q": QUOTE, "r": {**QUOTE, "service": "other"}},
        {"g": ["c"], "q": ["g"], "r": ["g"]},
    )
    (gateway,) = derive.envoys(mesh, "one")
    assert gateway["listeners"][0]["routes"] == [
        {"domains": ["q", "q.default.svc.cluster.local"], "upstream": "q"},
        {"domains": ["r", "other", "other.default.svc.cluster.local"], "upstream": "r"},
    ]
    assert named(gateway["upstreams"], "r") == {
        "name": "r",
        "address": "other.default.svc.cluster.local",
        "port": 80,
    }


@pytest.mark.parametrize(
    ("host", "variables", "said", "kind"),
    [
        ("one", {}, {}, "ClusterIP"),
        ("one", {}, {"expose": True}, "LoadBalancer"),
        ("two", {}, {}, "LoadBalancer"),
        ("two", {"two": {"kubernetes_cluster_exposes_by": "NodePort"}}, {}, "NodePort"),
    ],
)
def test_an_envoy_is_exposed_to_callers_elsewhere(host: str, variables: Any, said: Data, kind: str) -> None:
    mesh = meshes.mesh(
        {"a": {**CLIENT, "envoy": True}, "q": {**QUOTE, "host": host, "envoy": True, **said}},
        {"q": ["a"]},
        meshes.TWO,
        variables,
    )
    assert named(derive.envoys(mesh, host), "q-envoy")["service"]["type"] == kind


def test_an_address_that_is_not_known_yet_is_no_address() -> None:
    mesh = meshes.mesh(
        {"a": {**CLIENT, "envoy": True}, "q": {**QUOTE, "host": "two", "envoy": True}}, {"q": ["a"]}, meshes.TWO
    )
    (a,) = derive.envoys(mesh, "one")
    assert a["upstreams"][0]["address"] == derive.UNKNOWN


# Applications


def test_applications_of_ours_and_no_others() -> None:
    mesh = meshes.mesh(
        {
            "c": {**CLIENT, "namespace": "demo"},
            "q": {**QUOTE, "envoy": True, "expose": False},
            "p": {**QUOTE, "service": "prices"},
            "x": {"host": "one", "envoy": True},
            "g": {"host": "one", "app": "envoy"},
        },
        {"g": ["c"], "p": ["g"], "q": ["x"]},
    )
    c, q, p = derive.demo_apps(mesh, "one")
    assert c == {
        "name": "c",
        "app": "client",
        "namespace": "demo",
        "service_account": "c",
        "labels": {"app.kubernetes.io/name": "c"},
        "mesh": True,
    }
    assert (q["port"], q["envoy"]) == (8080, "q-envoy")
    assert "service" not in q, "its Envoy's is the only way in"
    assert (p["port"], p["service"]) == (8080, {"name": "prices", "port": 80})


# Everything


def test_a_host_without_a_duty_gets_what_somebody_alone_has() -> None:
    alone = derive.role_variables(meshes.mesh({"a": CLIENT}), "localhost")
    assert alone["kubernetes_cluster_name"] == "localhost"
    assert alone["spire_agent_attestor"] == "k8s_psat"
    assert alone["spire_agent_server_host"] == ""
    assert [value for value in alone.values() if isinstance(value, list) and value] == []


def test_every_host_has_the_same_variables() -> None:
    found = meshes.everything(meshes.mesh({"a": CLIENT}, {}, meshes.TWO))
    assert found["one"].keys() == found["two"].keys()
    assert found["two"]["spire_entries_entries"] == []
    assert found["one"]["spire_server_service_type"] == "LoadBalancer"


def test_the_summary_says_what_there_is_and_nothing_empty() -> None:
    told = derive.summary(meshes.mesh({"a": CLIENT, "b": {**CLIENT, "identity": False}}))
    assert told["one"]["workloads"] == {"a": f"{TD}/ns/default/sa/a", "b": "no identity"}
    assert "envoy_instances" not in told["one"]


# Gateways, and istiod

INGRESS: Data = {"host": "one", "namespace": "edge", "app": "gateway", "port": 443, "dns_names": ["shop.example"]}
APART = {
    "clusters": ["one", "two"],
    "spire_server": ["one", "two"],
    "spire_agent": ["one", "two"],
    "mesh": ["one", "two"],
}
"""Two meshes that share nothing but the trust domain."""


def with_gateway(up: bool = True, **more: Any) -> derive.Mesh:
    workloads = {
        "asker": {"host": "two", "app": "client", "files": True},
        "in": {**INGRESS, **more},
        "shop": {"host": "one", "app": "quote", "paths": ["/buy", "/static*"]},
        "blog": {"host": "one", "app": "quote"},
    }
    facts = {"kubernetes_objects_endpoints": {"edge/in": "192.0.2.9:443"}} if up else {}
    callers = {"in": ["asker"], "shop": ["in"], "blog": ["in"]}
    return meshes.mesh(workloads, callers, APART, {"one": facts})


def test_a_gateway_has_a_service_that_others_reach() -> None:
    (gateway,) = derive.gateways(with_gateway(), "one")
    assert gateway == {
        "name": "in",
        "namespace": "edge",
        "service_account": "in",
        "labels": {"app.kubernetes.io/name": "in"},
        "ports": [{"name": "https", "port": 443, "target_port": 8080}],
        "service_type": meshes.mesh({}).hosts["one"].exposed_as,
    }


def test_a_gateway_that_nobody_calls_is_reached_by_nobody() -> None:
    mesh = meshes.mesh({"out": {**INGRESS, "dns_names": None}})
    assert [gateway["service_type"] for gateway in derive.gateways(mesh, "one")] == ["ClusterIP"]
    assert derive.ways_in(mesh, "one") == []
    assert derive.entries(mesh, "one")[1]["spiffe_id"] == f"{TD}/ns/edge/sa/out"


def test_a_gateway_takes_in_who_shows_a_certificate_and_goes_by_name_and_path() -> None:
    gateway, routes = derive.ways_in(with_gateway(), "one")
    (server,) = gateway["spec"]["servers"]
    assert (server["tls"]["mode"], server["port"]["protocol"]) == ("ISTIO_MUTUAL", "HTTPS")
    assert routes["spec"]["hosts"] == ["shop.example"]
    shop, rest = routes["spec"]["http"]
    assert shop["match"] == [{"uri": {"exact": "/buy"}}, {"uri": {"prefix": "/static"}}]
    assert [route["route"][0]["destination"]["host"] for route in (shop, rest)] == [
        "shop.default.svc.cluster.local",
        "blog.default.svc.cluster.local",
    ]
    assert "match" not in rest


def test_a_gateway_for_anyone_takes_plain_http() -> None:
    mesh = meshes.mesh(
        {"in": {**INGRESS, "port": 80}, "shop": {"host": "one", "app": "quote"}}, {"in": ["anyone"], "shop": ["in"]}
    )
    (server,) = derive.ways_in(mesh, "one")[0]["spec"]["servers"]
    assert server["port"]["protocol"] == "HTTP"
    assert "tls" not in server
    assert [policy.get("anyone") for policy in derive.policies(mesh, "one")] == [True, None]


def test_a_gateway_of_the_gateway_api_leads_by_a_route_that_other_namespaces_grant() -> None:
    mesh = with_gateway(gateway_api=True)
    (gateway,) = derive.gateways(mesh, "one")
    assert gateway["gateway_api"] is True
    assert gateway["ports"] == [{"name": "https", "port": 443, "target_port": 443}], "it listens at its Service's port"
    route, grant = derive.ways_in(mesh, "one")
    assert (route["kind"], route["metadata"]) == ("HTTPRoute", {"name": "in", "namespace": "edge"})
    assert route["spec"]["parentRefs"] == [{"name": "in"}]
    assert route["spec"]["hostnames"] == ["shop.example"]
    shop, rest = route["spec"]["rules"]
    assert [match["path"] for match in shop["matches"]] == [
        {"type": "Exact", "value": "/buy"},
        {"type": "PathPrefix", "value": "/static"},
    ]
    assert shop["backendRefs"] == [{"name": "shop", "namespace": "default", "port": 80}]
    assert rest == {"backendRefs": [{"name": "blog", "namespace": "default", "port": 80}]}
    assert (grant["kind"], grant["metadata"]) == ("ReferenceGrant", {"name": "in", "namespace": "default"})
    assert grant["spec"]["from"] == [
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "edge"},
    ]
    assert [to["name"] for to in grant["spec"]["to"]] == ["blog", "shop"]


def test_a_gateway_of_the_gateway_api_needs_no_grant_in_its_own_namespace() -> None:
    workloads = {
        "in": {**INGRESS, "port": 80, "dns_names": None, "gateway_api": True},
        "shop": {"host": "one", "app": "quote", "namespace": "edge", "paths": ["/*"]},
    }
    (route,) = derive.ways_in(meshes.mesh(workloads, {"in": ["anyone"], "shop": ["in"]}), "one")
    assert "hostnames" not in route["spec"]
    assert route["spec"]["rules"][0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]


def test_an_address_of_the_gateway_api_is_that_of_the_listener_and_not_of_the_proxys_health() -> None:
    told = {"edge/in-istio": "192.0.2.9:15021", "edge/in-istio:https": "192.0.2.9:443"}
    workloads = {
        "asker": {"host": "two", "app": "client", "files": True},
        "in": {**INGRESS, "gateway_api": True},
        "shop": {"host": "one", "app": "quote"},
    }
    facts = {"kubernetes_objects_endpoints": told}
    mesh = meshes.mesh(workloads, {"in": ["asker"], "shop": ["in"]}, APART, {"one": facts})
    assert derive.gateway_address(mesh, mesh.workloads["in"]) == "192.0.2.9:443"
    assert mesh.workloads["in"].pod == "deployment/in-istio", "the one that istiod makes"
    assert derive.entries(mesh, "one")[1]["selectors"] == [
        "k8s:ns:edge",
        "k8s:sa:in",
        "k8s:pod-label:app.kubernetes.io/name:in",
        "k8s:container-name:istio-proxy",
    ]


def test_who_calls_a_gateway_is_let_in_by_its_full_principal_and_knows_its_name() -> None:
    mesh = with_gateway()
    assert named(derive.policies(mesh, "one"), "callers-of-in")["principals"] == ["example.org/ns/default/sa/asker"]
    (asker,) = derive.demo_apps(mesh, "two")
    assert asker["files"] is True
    assert asker["host_aliases"] == [{"ip": "192.0.2.9", "hostnames": ["shop.example"]}]
    assert derive.way_to(mesh.workloads["in"]) == "https://shop.example:443"


def test_a_gateway_that_is_not_up_yet_has_an_address_that_no_module_takes() -> None:
    (asker,) = derive.demo_apps(with_gateway(up=False), "two")
    assert asker["host_aliases"] == [{"ip": derive.UNKNOWN, "hostnames": ["shop.example"]}]


def test_a_balancer_that_has_a_name_is_in_dns() -> None:
    facts = {"kubernetes_objects_endpoints": {"edge/in": "lb.example.net:443"}}
    workloads = {
        "asker": {"host": "two", "app": "client", "files": True},
        "in": INGRESS,
        "shop": {"host": "one", "app": "quote"},
    }
    mesh = meshes.mesh(workloads, {"in": ["asker"], "shop": ["in"]}, APART, {"one": facts})
    assert "host_aliases" not in derive.demo_apps(mesh, "two")[0]


def test_istiod_gets_its_own_certificate_and_spire_tells_proxies_whom_to_believe() -> None:
    workloads = {
        "a": {**CLIENT, "namespace": "shop"},
        "in": {**INGRESS, "dns_names": None},
        "b": {**CLIENT, "mesh": False},
    }
    mesh = meshes.mesh(workloads, {}, meshes.ONE, {"one": {"istio_control_plane_identity": "spire"}})
    (istiod,) = (entry for entry in derive.entries(mesh, "one") if entry["spiffe_id"].endswith("/istiod"))
    assert istiod["selectors"] == [
        "k8s:ns:istio-system",
        "k8s:sa:istiod",
        "k8s:pod-label:app:istiod",
        "k8s:container-name:svid",
    ]
    assert istiod["dns_names"] == ["istiod.istio-system.svc", "istio-pilot.istio-system.svc"]
    places = [bundle["namespace"] for bundle in derive.published_bundles(mesh, "one")]
    assert places == ["edge", "shop"]


def test_istiod_of_a_revision_has_the_name_of_that() -> None:
    said = {"istio_control_plane_identity": "spire", "istio_overlay": {"spec": {"revision": "next"}}}
    (_alias, istiod) = derive.entries(meshes.mesh({}, {}, meshes.ONE, {"one": said}), "one")
    assert istiod["spiffe_id"] == f"{TD}/ns/istio-system/sa/istiod-next"
    assert istiod["dns_names"][0] == "istiod-next.istio-system.svc"


def test_istiod_with_a_ca_of_its_own_is_registered_nowhere() -> None:
    mesh = meshes.mesh({"a": CLIENT})
    assert [entry["spiffe_id"] for entry in derive.entries(mesh, "one")] == [f"{TD}/node/one", f"{TD}/ns/default/sa/a"]
    assert derive.published_bundles(mesh, "one") == []


# Behind a proxy


def test_a_proxy_tells_for_whom_it_asks_and_those_behind_it_compare() -> None:
    files = {**CLIENT, "files": True}
    mesh = meshes.mesh(
        {
            "p": {"host": "one", "app": "envoy", "expose": True, "dns_names": ["p.example"]},
            "q": {**QUOTE, "envoy": True, "on_behalf_of": ["a"]},
            "a": files,
            "b": files,
        },
        {"p": ["a", "b"], "q": ["p"]},
        {"clusters": ["one"], "spire_server": ["one"], "spire_agent": ["one"]},
        {"one": {"kubernetes_objects_endpoints": {"default/p": "192.0.2.9:8443"}}},
    )
    envoys = derive.envoys(mesh, "one")
    (front,), (inner,) = (named(envoys, name)["listeners"] for name in ("p", "q-envoy"))
    assert front["allowed_spiffe_ids"] == [f"{TD}/ns/default/sa/{name}" for name in ("a", "b")]
    assert not {"forwarded_client_cert", "on_behalf_of"} & front.keys()
    assert inner["allowed_spiffe_ids"] == [f"{TD}/ns/default/sa/p"]
    assert (inner["forwarded_client_cert"], inner["on_behalf_of"]) == ("append", [f"{TD}/ns/default/sa/a"])
    (app,) = (one for one in derive.demo_apps(mesh, "one") if one["name"] == "a")
    assert app["host_aliases"] == [{"ip": "192.0.2.9", "hostnames": ["p.example"]}]

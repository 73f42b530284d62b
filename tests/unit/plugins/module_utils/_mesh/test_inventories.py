# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole inventories, read by Ansible itself: ours, a user's own, and those that are planned."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import meshes
import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._envoy import config
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import derive
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.proof import proof
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire import resources
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import reading
from playbook import ROOT

HERE = Path(__file__).parent / "inventories"
BLUE_GREEN = ROOT / "inventories" / "blue_green"
FRONT_PROXY = ROOT / "inventories" / "front_proxy"
ISTIO_SPIRE = ROOT / "inventories" / "istio_spire"
FEDERATION = ROOT / "inventories" / "federation"
BOOKINFO = {"productpage", "details", "reviews", "ratings"}
OURS = sorted(path.parent for path in [*ROOT.glob("inventories/*/hosts.ini"), *ROOT.glob("examples/**/hosts.ini")])
"""What users run, and what they copy."""
ALL = [*OURS, *sorted(path.parent for path in HERE.glob("*/hosts.ini"))]


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_everything_that_is_derived_is_accepted_by_those_who_take_it(folder: Path) -> None:
    mesh = meshes.of_inventory(folder)
    for variables in meshes.everything(mesh).values():
        for instance in variables["envoy_instances"]:
            assert config.configuration(instance, "/run/socket", config.Limits())["static_resources"]["listeners"]
        wanted = resources.resources(variables["spire_controller_manager_cluster_spiffe_ids"], [])
        assert resources.faults(wanted, False) == []
    made = proof(mesh)
    if not mesh.callers:
        # An example of a part: nobody calls, or what is to be proven is said by hand.
        assert folder.parent.name == "examples"
        return
    endpoints = reading.read_mesh(
        made.endpoints,
        {server["name"]: server["trust_domain"] for server in made.servers},
        meshes.names(made.clusters),
    )
    assert len(reading.read_checks(made.checks, endpoints)) == len(made.checks) > 2


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_what_is_taken_down_once_is_the_same_when_everything_is_up(folder: Path) -> None:
    planned, up = (meshes.everything(meshes.of_inventory(folder, up=is_up)) for is_up in (False, True))
    for host, variables in planned.items():
        assert {name: variables[name] for name in derive.SETTLED} == {name: up[host][name] for name in derive.SETTLED}


def test_addresses_and_nodes_are_not_taken_down_once() -> None:
    planned, up = (meshes.everything(meshes.of_inventory(FEDERATION, up=is_up)) for is_up in (False, True))
    changing = {name for host in planned for name in planned[host] if planned[host][name] != up[host][name]}
    assert "demo_app_workloads" in changing
    assert not changing & {*derive.SETTLED}


@pytest.mark.parametrize("folder", OURS, ids=lambda folder: folder.name)
def test_who_may_not_do_the_same_does_not_share_a_namespace(folder: Path) -> None:
    # Who creates pods in a namespace takes any of its identities.
    mesh = meshes.of_inventory(folder)
    rights: dict[tuple[str, str, str], set[str]] = {}
    for workload in mesh.workloads.values():
        # Bookinfo is one application of several services, in one namespace as everybody knows it.
        who = "bookinfo" if workload.app in BOOKINFO else mesh.spiffe_id(workload) or workload.name
        its = rights.setdefault((workload.host, workload.namespace, who), set())
        its |= {callee.name for callee in mesh.callees_of(workload)}
    shared: dict[tuple[str, str], set[frozenset[str]]] = {}
    for (host, namespace, _who), its in rights.items():
        shared.setdefault((host, namespace), set()).add(frozenset(its))
    assert [place for place, found in shared.items() if len(found) > 1] == []


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_an_inventory_can_be_looked_at_before_anything_is_up(folder: Path) -> None:
    mesh = meshes.of_inventory(folder, up=False)
    assert derive.summary(mesh).keys() == mesh.hosts.keys()
    assert proof(mesh).checks or not mesh.callers


def test_blue_green_is_proven_by_these() -> None:
    made = proof(meshes.of_inventory(BLUE_GREEN))
    assert {(check["name"], check["type"]) for check in made.checks} == {
        ("sleep may call gateway", "request"),
        ("gateway presents its SPIFFE ID to quote", "forwarded_certificate"),
        ("sleep's sidecar is certified by SPIRE", "sidecar_certificate"),
        ("gateway's sidecar is certified by SPIRE", "sidecar_certificate"),
        ("gateway's sidecar presents its SPIFFE ID", "peer_certificate"),
        ("stranger may not call gateway", "refused_request"),
        ("outsider may not call gateway in plain text", "refused_request"),
        ("outsider may not call gateway without a certificate", "refused_handshake"),
        ("quote presents its SPIFFE ID", "peer_certificate"),
        ("gateway may call quote", "accepted_handshake"),
        ("nobody may call quote without a certificate", "refused_handshake"),
        ("an identity that is not listed may not call quote", "refused_handshake"),
        ("gateway's SPIFFE ID from another CA may not call quote", "refused_handshake"),
        ("sleep may not call quote", "refused_handshake"),
        ("stranger may not call quote", "refused_handshake"),
        ("outsider may not call quote", "refused_handshake"),
        ("outsider may not call quote in plain text", "refused_request"),
        ("visitor may not call quote", "refused_handshake"),
        ("visitor may not call quote in plain text", "refused_request"),
        ("visitor gets no answer around quote's Envoy", "closed_port"),
        ("outsider gets no answer around gateway's sidecar", "closed_port"),
        ("sleep's SPIFFE ID from another CA may not call gateway", "refused_handshake"),
        ("sleep's SPIFFE ID signed by istiod may not call gateway", "refused_handshake"),
        ("gateway's SPIFFE ID signed by istiod may not call quote", "refused_handshake"),
        ("gateway's SPIFFE ID by a certificate whose time is over may not call quote", "refused_handshake"),
        ("the join token of green works once", "token_reuse"),
    }
    assert made.untried == [
        f"{name} may not call gateway: it is reached from inside blue only" for name in ("quote", "visitor")
    ]


def test_front_proxy_is_proven_by_these() -> None:
    made = proof(meshes.of_inventory(FRONT_PROXY))
    behind = "auditor may call proxy, and not backend behind it"
    assert {(check["name"], check["type"]) for check in made.checks} == {
        ("generator may call proxy", "request"),
        ("proxy presents its SPIFFE ID to backend", "forwarded_certificate"),
        ("generator may call proxy, and says that it is backend", "request"),
        ("backend is told who generator is, whatever that says of itself", "forwarded_certificate"),
        ("proxy presents its SPIFFE ID", "peer_certificate"),
        ("generator may call proxy, by its SPIFFE ID", "accepted_handshake"),
        ("laptop may call proxy", "accepted_handshake"),
        ("desk may call proxy", "accepted_handshake"),
        ("nobody may call proxy without a certificate", "refused_handshake"),
        ("an identity that is not listed may not call proxy", "refused_handshake"),
        ("generator's SPIFFE ID from another CA may not call proxy", "refused_handshake"),
        ("generator's SPIFFE ID by a certificate whose time is over may not call proxy", "refused_handshake"),
        ("generator does not believe proxy under another name", "refused_request"),
        (behind, "refused_request"),
        (f"{behind}, by its SPIFFE ID", "refused_handshake"),
        (f"{behind}, by its SPIFFE ID, as generator", "refused_handshake"),
        (f"{behind}, by its SPIFFE ID, as generator by headers for one hop", "refused_handshake"),
        ("backend may not call proxy", "refused_handshake"),
        ("intruder may not call proxy", "refused_request"),
        ("visitor may not call proxy in plain text", "refused_request"),
        ("visitor may not call proxy", "refused_handshake"),
        ("proxy may call backend, for generator", "request"),
        ("visitor gets no answer around backend's Envoy", "closed_port"),
        ("generator may not call backend", "refused_request"),
        ("auditor may not call backend", "refused_request"),
        ("intruder may not call backend", "refused_request"),
        ("visitor may not call backend in plain text", "refused_request"),
        ("visitor may not call backend", "refused_handshake"),
    }
    assert made.untried == [
        f"{name} may not call backend: it is reached from inside front only; expose: true lets the proof try it with a"
        " minted certificate"
        for name in ("laptop", "desk")
    ]
    checks = {check["name"]: check for check in made.checks}
    assert all(check["refusal"] == ["http_403_behind"] for name, check in checks.items() if name.startswith(behind))
    claimed = checks[f"{behind}, by its SPIFFE ID, as generator by headers for one hop"]["headers"]
    assert claimed["x-client-spiffe-id"] == "spiffe://example.com/ns/cert-gen/sa/generator"
    assert claimed["x-forwarded-client-cert"].endswith(";URI=spiffe://example.com/ns/cert-gen/sa/generator")
    assert claimed["connection"] == "x-client-spiffe-id, x-forwarded-client-cert"
    told = checks["backend is told who generator is, whatever that says of itself"]
    assert told["hops"] == [f"spiffe://example.com/ns/{name}" for name in ("cert-gen/sa/generator", "proxy/sa/proxy")]


def test_in_istio_spire_every_pair_that_is_not_listed_is_tried() -> None:
    mesh = meshes.of_inventory(ISTIO_SPIRE)
    made = proof(mesh)
    kinds = Counter(check["type"] for check in made.checks)
    assert kinds["sidecar_certificate"] == 7, "every proxy: six services and the gateway"
    allowed = {check["name"].partition(",")[0] for check in made.checks if check["type"] == "request"}
    refused = {
        check["name"].partition(" in plain text")[0] for check in made.checks if check["type"] == "refused_request"
    }
    services = [f"{name}-v1" for name in ("productpage", "details", "reviews", "ratings")] + [
        "reviews-v2",
        "reviews-v3",
    ]
    for callee in services:
        for caller in [*services, "intruder", "outsider"]:
            if caller != callee:
                told = {f"{caller} may call {callee}" in allowed, f"{caller} may not call {callee}" in refused}
                assert told == {True, False}, f"{caller} and {callee}: one of both"
    assert all("gateway" in text or "the Service reviews also leads to" in text for text in made.untried)


def test_istio_spire_is_proven_alike_whichever_api_its_gateway_is_of() -> None:
    of_istio = proof(meshes.of_inventory(ISTIO_SPIRE))
    mesh = meshes.of_inventory(ISTIO_SPIRE, gateway_api=True)
    made = proof(mesh)
    assert made.checks == of_istio.checks
    assert made.untried == of_istio.untried
    (gateway,) = (place for place in made.endpoints if place["name"] == "istio-ingressgateway")
    assert (gateway["pod"], gateway["url"]) == ("deployment/istio-ingressgateway-istio", "http://192.0.2.101:80/")


def test_details_of_istio_spire_is_known_by_the_user_of_its_proxy_too() -> None:
    mesh = meshes.of_inventory(ISTIO_SPIRE)
    (entry,) = (one for one in derive.entries(mesh, "demo-cluster") if one["spiffe_id"].endswith("/bookinfo-details"))
    assert {"k8s:ns:default", "k8s:sa:bookinfo-details", "k8s:pod-label:app:details", "unix:uid:1337"} <= {
        *entry["selectors"]
    }
    assert derive.role_variables(mesh, "demo-cluster")["spire_agent_workload_attestors"] == ["unix"]
    blue = meshes.of_inventory(BLUE_GREEN)
    assert derive.role_variables(blue, "blue")["spire_agent_workload_attestors"] == []


def test_blue_green_has_a_way_in_for_the_host_when_it_is_asked_for() -> None:
    assert "ambassador" not in meshes.of_inventory(BLUE_GREEN).workloads
    mesh = meshes.of_inventory(BLUE_GREEN, without=[])
    names = {(check["name"], check["type"]) for check in proof(mesh).checks}
    assert {
        ("anyone may call ambassador", "request"),
        ("ambassador may call gateway, for anyone", "request"),
        ("ambassador's proxy is certified by SPIRE", "sidecar_certificate"),
        ("gateway presents its SPIFFE ID to quote", "forwarded_certificate"),
    } <= names
    before = {check["name"] for check in proof(meshes.of_inventory(BLUE_GREEN)).checks}
    assert before <= {name for name, _type in names}, "nothing is proven less"


def test_blue_green_is_registered_by_whom_it_says() -> None:
    mesh = meshes.of_inventory(BLUE_GREEN)
    blue, green = (derive.role_variables(mesh, host) for host in ("blue", "green"))
    (entry,) = blue["spire_entries_entries"]
    assert entry == {
        "spiffe_id": "spiffe://example.org/ns/quotes/sa/quote",
        "parent_id": "spiffe://example.org/node/green/node-2",
        "selectors": [
            "k8s:ns:quotes",
            "k8s:sa:quote",
            "k8s:pod-label:app.kubernetes.io/name:quote",
            "k8s:container-name:envoy",
        ],
    }
    registered = meshes.names(blue["spire_controller_manager_cluster_spiffe_ids"])
    assert registered == ["demo.sleep", "elsewhere.stranger", "egress.gateway", "egress.gateway.istio-proxy"]
    assert green["spire_entries_entries"] == green["spire_controller_manager_cluster_spiffe_ids"] == []
    assert (blue["spire_agent_attestor"], green["spire_agent_attestor"]) == ("k8s_psat", "join_token")
    assert green["spire_agent_server_host"] == "blue"
    assert blue["spire_server_service_type"] == "LoadBalancer"
    assert blue["spire_server_bundle_service_type"] == "ClusterIP", "an endpoint that somebody adds is for nobody yet"


def test_a_users_own_services_are_called_through_their_envoys() -> None:
    mesh = meshes.of_inventory(HERE / "existing")
    (shop,), (billing,) = (derive.envoys(mesh, host) for host in ("eu", "us"))
    assert shop["beside"].items() >= {"kind": "Deployment", "name": "shop", "existing": True}.items()
    assert shop["listeners"] == [
        {"name": "to-billing", "address": "127.0.0.1", "port": 18080, "routes": [{"upstream": "billing"}]}
    ]
    assert "service" not in shop
    assert billing["service"]["type"] == "LoadBalancer"
    assert billing["listeners"][0]["allowed_spiffe_ids"] == ["spiffe://shops.example/ns/shop/sa/shop"]
    assert all(derive.demo_apps(mesh, host) == [] for host in mesh.hosts)


def test_trust_domains_that_call_each_other_are_federated() -> None:
    mesh = meshes.of_inventory(FEDERATION)
    ours, theirs = (derive.role_variables(mesh, host) for host in ("foo-cluster", "bar-cluster"))
    assert ours["spire_federation_peers"] == [{"trust_domain": "bar.example", "host": "bar-cluster"}]
    assert theirs["spire_federation_peers"] == [{"trust_domain": "foo.example", "host": "foo-cluster"}]
    (caller,) = (item for item in ours["spire_controller_manager_cluster_spiffe_ids"] if item["name"] == "sleep.sleep")
    assert caller["spec"]["federatesWith"] == ["bar.example"]
    assert (ours["istio_trusted_domains"], theirs["istio_trusted_domains"]) == (["bar.example"], ["foo.example"])
    for variables in (ours, theirs):
        assert variables["spire_server_bundle_endpoint"]
        assert variables["spire_server_bundle_service_type"] == "LoadBalancer"
        assert variables["spire_server_service_type"] == "ClusterIP", "no agent elsewhere joins it"
        assert variables["spire_agent_sds"]["default_all_bundles_name"] == "ROOTCA"


def test_three_trust_domains_federate_with_those_that_they_speak_to() -> None:
    mesh = meshes.of_inventory(HERE / "three_domains")
    peers = {
        host: [peer["trust_domain"] for peer in variables["spire_federation_peers"]]
        for host, variables in meshes.everything(mesh).items()
    }
    assert peers == {
        "north": ["south.example", "west.example"],
        "south": ["north.example", "west.example"],
        "west": ["north.example", "south.example"],
    }
    (quote,) = derive.role_variables(mesh, "south")["envoy_instances"]
    (listener,) = (item for item in quote["listeners"] if item.get("allowed_spiffe_ids"))
    assert listener["allowed_spiffe_ids"] == [
        "spiffe://north.example/ns/apps/sa/sleep-n",
        "spiffe://west.example/ns/apps/sa/sleep-w",
    ]
    # Only the proxies of a mesh ask for bundles by a name of their own.
    assert derive.role_variables(mesh, "south")["spire_agent_sds"] == {}
    held = [check for check in proof(mesh).checks if check["type"] == "federated_bundle"]
    assert len(held) == 6


def test_only_what_is_called_from_another_network_is_led_to_there() -> None:
    mesh = meshes.of_inventory(FEDERATION)
    led = {}
    for host in mesh.hosts:
        (gateway,) = (
            item for item in derive.ways_in(mesh, host) if item["metadata"]["name"] == "istio-eastwestgateway"
        )
        (server,) = gateway["spec"]["servers"]
        assert server["tls"] == {"mode": "AUTO_PASSTHROUGH"}
        led[host] = server["hosts"]
    assert led == {
        "foo-cluster": ["helloworld.helloworld.svc.cluster.local", "ratings.bookinfo.svc.cluster.local"],
        "bar-cluster": ["helloworld.helloworld.svc.cluster.local", "reviews.bookinfo.svc.cluster.local"],
    }
    assert [derive.gateways(mesh, host)[0]["ports"] for host in mesh.hosts] == [
        [{"name": "tls", "port": 15443, "target_port": 15443}]
    ] * 2


def test_who_is_called_from_elsewhere_has_a_name_in_the_dns_of_its_callers() -> None:
    mesh = meshes.of_inventory(FEDERATION)
    named = {
        host: [
            f"{item['metadata']['name']}.{item['metadata']['namespace']}"
            for item in derive.ways_in(mesh, host)
            if item["kind"] == "Service"
        ]
        for host in mesh.hosts
    }
    # That of helloworld is there with the pods that are here.
    assert named == {"foo-cluster": ["reviews.bookinfo"], "bar-cluster": ["ratings.bookinfo"]}


def test_clusters_of_one_mesh_read_each_other() -> None:
    mesh = meshes.of_inventory(FEDERATION)
    (theirs,) = derive.remote_clusters(mesh, "foo-cluster")
    assert (theirs["host"], theirs["cluster"], theirs["trust_domain"]) == ("bar-cluster", "bar-cluster", "bar.example")


def test_each_end_is_asked_alone_and_by_each_trust_domain() -> None:
    made = proof(meshes.of_inventory(FEDERATION))
    checks = {check["name"]: check for check in made.checks}
    let_in = checks["sleep may call helloworld-v2, by its SPIFFE ID"]
    assert let_in["client_spiffe_id"] == "spiffe://foo.example/ns/sleep/sa/sleep"
    assert let_in["server_name"] == "outbound_.5000_._.helloworld.helloworld.svc.cluster.local"
    assert let_in["address"] == "192.0.2.102:15443", "the gateway of bar, behind which there is no v1"
    # Istio would take it for the one who may, if the trust domains were aliases of each other.
    same_path = checks["sleep-bar may not call helloworld-v2 from other networks"]
    assert same_path["client_spiffe_id"] == "spiffe://bar.example/ns/sleep/sa/sleep"
    assert same_path["refusal"] == ["http_403"]
    assert checks["sleep may call helloworld-v2"]["json_value"] == "v2"
    assert "json_value" not in checks["sleep may call ingressgateway"], "it leads to either of them"
    own = checks["reviews's sidecar judges each trust domain by its own authorities"]
    assert own["servers"] == ["bar-cluster", "foo-cluster"]
    held = checks["the SPIRE server of foo-cluster holds the bundle of bar.example of now"]
    assert (held["to"], held["trust_domain"]) == ("SPIRE server of foo-cluster", "bar.example")
    # Who does not federate with bar does not believe it either: nothing is learnt of a request.
    assert "stranger may not call reviews" not in checks
    assert "stranger may not call reviews from other networks" in checks


def test_a_federation_that_is_withdrawn_is_proven_to_be() -> None:
    mesh = meshes.of_inventory(FEDERATION, federated=False)
    ours = derive.role_variables(mesh, "foo-cluster")
    assert ours["spire_federation_peers"] == [{"trust_domain": "bar.example", "host": "bar-cluster", "state": "absent"}]
    assert ours["istio_trusted_domains"] == []
    assert not any("federatesWith" in item["spec"] for item in ours["spire_controller_manager_cluster_spiffe_ids"])
    # What could be federated again does not start anew for it.
    assert ours["spire_server_bundle_endpoint"]
    assert ours["spire_agent_sds"]
    checks = {check["name"]: check for check in proof(mesh).checks}
    refused = checks["sleep may not call helloworld-v2 while foo.example is not federated"]
    assert refused["type"] == "refused_handshake"
    assert checks[refused["control"]]["type"] == "peer_certificate"
    assert "sleep may call helloworld-v2" not in checks
    assert not any(check["type"] == "federated_bundle" for check in checks.values())
    assert "sleep may call helloworld-v1" in checks
    assert checks["sleep's sidecar judges its own trust domain, and no other"]["servers"] == ["foo-cluster"]


def test_a_machine_shows_its_identity_and_nothing_is_run_on_it() -> None:
    mesh = meshes.of_inventory(FRONT_PROXY)
    made = proof(mesh)
    (laptop,) = (item for item in made.endpoints if item["name"] == "laptop")
    assert "pod" not in laptop
    assert laptop["spiffe_id"] == "spiffe://example.com/client/laptop"
    shown = [check["client_spiffe_id"] for check in made.checks if check["type"] == "accepted_handshake"]
    assert "spiffe://example.com/client/laptop" in shown

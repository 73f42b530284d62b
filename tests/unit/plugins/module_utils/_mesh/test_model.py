# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused, each with its item, its field and what to do."""

from __future__ import annotations

from typing import Any

import meshes
import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import hosts, model
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.apps import APPS

Data = dict[str, Any]
CLIENT: Data = {"host": "one", "app": "client"}
KNOWN_FIELDS = ", ".join(model.FIELDS)


def faults(workloads: Any, callers: Any = None, groups: Any = None, variables: Any = None) -> list[str]:
    with pytest.raises(InputError) as refused:
        meshes.mesh(workloads, callers, groups, variables)
    return refused.value.message.splitlines()


def a(**fields: Any) -> Data:
    """One client, with these fields."""
    return {"a": {**CLIENT, **fields}}


# What cannot be read


@pytest.mark.parametrize(
    ("workloads", "text"),
    [
        (
            ["a"],
            "trustmesh_workloads: expected a dictionary with names of workloads as its keys, got ['a'].",
        ),
        (
            {"A": CLIENT},
            "trustmesh_workloads: 'A' cannot name a workload. Use a name of 1 to 63 lower case letters, digits"
            " and dashes.",
        ),
        ({"anyone": CLIENT}, "trustmesh_workloads: anyone: this name stands for whoever calls. Take another one."),
        (
            {"here": CLIENT},
            "trustmesh_workloads: here: this name stands for the control node, in the proof. Take another one.",
        ),
        (
            {"a": "one"},
            "trustmesh_workloads: a: expected a dictionary such as {host: blue, app: client}, got 'one'.",
        ),
        (
            {"a": {"app": "client"}},
            "trustmesh_workloads: a: host is missing. Say on which host of the inventory it runs.",
        ),
        (
            a(host="two"),
            "trustmesh_workloads: a: host is 'two', which is in neither of the groups clusters and machines."
            " Hosts that are: one.",
        ),
        (a(nope=1), f"trustmesh_workloads: a: unknown field 'nope'. Known: {KNOWN_FIELDS}."),
        (a(app="nope"), f"trustmesh_workloads: a: app is 'nope'. Known: {', '.join(APPS)}."),
    ],
)
def test_a_workload_that_cannot_be_read(workloads: Any, text: str) -> None:
    assert faults(workloads) == [text]


BAD: dict[str, list[Any]] = {
    "host": [1, ""],
    "namespace": ["Upper", "a_b", "", "a" * 64, "-a", 1],
    "app": [1, ["client"]],
    "mesh": ["true", 1],
    "envoy": ["yes", 0],
    "files": ["yes", {}],
    "identity": ["no"],
    "expose": [1],
    "gateway_api": ["true", 1],
    "service_account": ["A", "a/b", ""],
    "service": ["a.b", "A"],
    "port": [0, 65536, "80", True, -1],
    "listens": [0, "8080"],
    "envoy_port": [0, "8443"],
    "local_port": [70000],
    "labels": [{}, [], {"a b": "c"}, {"a": "x y"}, {"a": 1}, {"/a": "b"}],
    "pod": ["job/x", "Deployment/x", "deployment/", "deployment/X", ""],
    "container": ["A", "a b"],
    "tools": [[], "curl", ["nc"], ["curl", "nc"]],
    "spiffe_path": ["ns/a", "/", "/a/", "/a//b", "/spire/agent", "/a b", "/../a", 1],
    "dns_names": [[], "a.example", ["a b"], ["A"], ["a" * 254]],
    "x509_svid_ttl": [9, 31536001, "60", True, 60.5],
    "selectors": [[], ["nocolon"], "unix:uid:1", ["unix: 1"]],
    "extra_selectors": [[], ["nocolon"], "unix:uid:1", ["unix: 1"]],
    "methods": [[], "GET", ["get"], ["GET "]],
    "paths": [[], "/a", ["a"], ["/a b"]],
    "on_behalf_of": [[], "a", ["A"], [1]],
    "probe_path": ["a", "/a b"],
    "probe_status": [99, 600, "200", True],
}


def test_bad_values_of_every_field_are_tried() -> None:
    assert BAD.keys() == model.FIELDS.keys()


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BAD.items() for value in values])
def test_a_bad_value_is_refused_with_its_field(field: str, value: Any) -> None:
    text = f"trustmesh_workloads: a: {field} is {repr(value)[:80]}, expected {model.FIELDS[field].expected}."
    assert text in faults(a(**{field: value}))


EVIL = ("x\n", "x\x00", "x\x1b[0m", "{{ x }}", "{% x %}", "x\u2028")


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("field", model.FIELDS)
def test_control_characters_and_templates_are_refused_everywhere(field: str, evil: str) -> None:
    # In the value's own shape, where something could come through.
    shapes = {
        "labels": [{"app": evil}, {evil: "app"}],
        "spiffe_path": [f"/{evil}"],
        "probe_path": [f"/{evil}"],
        "paths": [[f"/{evil}"]],
        "selectors": [[f"unix:{evil}"]],
        "extra_selectors": [[f"unix:{evil}"]],
        "pod": [f"deployment/{evil}"],
    }
    lists = ("tools", "dns_names", "methods")
    for value in shapes.get(field, [[evil] if field in lists else evil]):
        found = faults(a(**{field: value}))
        assert any(f"trustmesh_workloads: a: {field} is " in text for text in found)
        assert all(text.isprintable() for text in found)


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_evil_in_names_and_callers(evil: str) -> None:
    assert faults({evil: CLIENT})[0].startswith(f"trustmesh_workloads: {evil!r} cannot name a workload.")
    for callers in ({evil: ["a"]}, {"a": [evil]}):
        assert all(text.isprintable() for text in faults(a(), callers))


# Who may call whom


@pytest.mark.parametrize(
    ("callers", "text"),
    [
        (["a"], "trustmesh_callers: expected a dictionary with those that are called as its keys, got ['a']."),
        ({"q": "a"}, "trustmesh_callers: q: expected a list of workloads that may call it, got 'a'."),
        ({"q": []}, "trustmesh_callers: q: expected a list of workloads that may call it, got []."),
        ({"q": [1]}, "trustmesh_callers: q: expected a list of workloads that may call it, got [1]."),
        ({"z": ["a"]}, "trustmesh_callers: 'z' is neither a workload nor a service of one. Known: a, q."),
        ({"q": ["z"]}, "trustmesh_callers: q: 'z' is no workload. Known: a, q."),
        ({"q": ["q", "a"]}, "trustmesh_callers: q: it calls itself. Take q out of the list."),
        ({"q": ["a", "a"]}, "trustmesh_callers: q: a caller is named twice."),
    ],
)
def test_callers_that_cannot_be_read(callers: Any, text: str) -> None:
    assert faults({**a(), "q": {"host": "one", "app": "quote"}}, callers) == [text]


def test_who_may_call_one_behind_a_service_may_call_all() -> None:
    apps = {name: {"host": "one", "app": "quote", "service": "quote"} for name in ("v1", "v2")}
    client = {"host": "one", "app": "client"}
    with pytest.raises(InputError, match="asker may call it and not v2, which is behind the same Service quote"):
        meshes.mesh({**apps, "asker": client}, {"v1": ["asker"]})
    far = {"host": "two", "app": "quote", "service": "quote"}
    groups = {duty: ["one", "two"] for duty in ("clusters", "spire_server", "spire_agent", "mesh")}
    workloads = {"v1": apps["v1"], "far": far, "asker": client}
    assert meshes.mesh(workloads, {"v1": ["asker"]}, groups).callers
    shared = {host: {"istio_mesh_id": "both"} for host in ("one", "two")}
    with pytest.raises(InputError, match="asker may call it and not far"):
        meshes.mesh(workloads, {"v1": ["asker"]}, groups, shared)


@pytest.mark.parametrize("url", ["https://127.0.0.1:6443", "https://[::1]:6443", "https://localhost:6443"])
def test_an_api_server_that_others_have_to_reach_is_not_on_loopback(url: str) -> None:
    workloads = {"quote": {"host": "two", "app": "quote"}, "asker": {"host": "one", "app": "client"}}
    groups = {duty: ["one", "two"] for duty in ("clusters", "spire_server", "spire_agent", "mesh")}
    shared = {host: {"istio_mesh_id": "both"} for host in ("one", "two")}
    shared["two"]["kubernetes_cluster_api_server"] = url
    with pytest.raises(InputError, match=r"kubernetes_cluster_api_server of two: https://.* and istiod in one has to"):
        meshes.mesh(workloads, {"quote": ["asker"]}, groups, shared)
    # Of a mesh of its own nobody else asks.
    shared["two"]["istio_mesh_id"] = "other"
    assert meshes.mesh(workloads, {}, groups, shared).hosts
    shared["two"] |= {"istio_mesh_id": "both", "kubernetes_cluster_api_server": "https://two.corp.example:6443"}
    assert meshes.mesh(workloads, {"quote": ["asker"]}, groups, shared).callers


def test_a_host_is_a_cluster_or_a_machine() -> None:
    with pytest.raises(InputError, match="one is in clusters and in machines"):
        meshes.mesh({}, {}, {"clusters": ["one"], "machines": ["one"]})


def test_a_network_of_a_mesh_is_entered_at_the_address_of_a_balancer() -> None:
    workloads = {"quote": {"host": "two", "app": "quote"}, "asker": {"host": "one", "app": "client"}}
    groups = {duty: ["one", "two"] for duty in ("clusters", "spire_server", "spire_agent", "mesh")}
    shared = {host: {"istio_mesh_id": "both"} for host in ("one", "two")}
    shared["two"]["kubernetes_cluster_exposes_by"] = "NodePort"
    with pytest.raises(InputError, match="of two is NodePort, and quote is called from another network of its mesh"):
        meshes.mesh(workloads, {"quote": ["asker"]}, groups, shared)
    assert meshes.mesh(workloads, {}, groups, shared).workloads


def test_a_service_stands_for_all_its_workloads() -> None:
    shared = {"host": "one", "app": "quote", "service": "quote"}
    both = {name: {**shared, "labels": {"app": "quote", "version": name}} for name in ("v1", "v2")}
    made = meshes.mesh({**a(), **both}, {"quote": ["a"], "v2": ["a", "v1"]})
    assert made.callers == {"v1": ("a",), "v2": ("a", "v1")}


# What does not fit together


QUOTE: Data = {"host": "one", "app": "quote"}
GATEWAY: dict[str, Any] = {"host": "one", "namespace": "edge", "app": "gateway", "dns_names": ["g.example"]}
SERVER_ONLY = {"clusters": ["one", "two"], "spire_server": ["one"], "spire_agent": ["one"], "mesh": ["one"]}
TWO_MESHES = {**meshes.TWO, "mesh": ["one", "two"]}


@pytest.mark.parametrize(
    ("workloads", "callers", "groups", "text"),
    [
        (
            a(host="two", mesh=False),
            {},
            SERVER_ONLY,
            "trustmesh_workloads: a: it is to have an identity, and two has no SPIRE agents. Put two into"
            " spire_agent, or"
            " say identity: false.",
        ),
        (
            a(host="two", mesh=True),
            {},
            meshes.TWO,
            "trustmesh_workloads: a: mesh is true, and two is not in mesh. Put it there, or say mesh: false.",
        ),
        (
            a(mesh=True, identity=False),
            {},
            None,
            "trustmesh_workloads: a: a workload of the mesh has an identity. Take identity: false out, or say"
            " mesh: false.",
        ),
        (
            a(mesh=True, envoy=True),
            {},
            None,
            "trustmesh_workloads: a: envoy is true, and its sidecar is one. Say one of them.",
        ),
        (
            a(envoy=True, identity=False),
            {},
            None,
            "trustmesh_workloads: a: its Envoy needs an identity. Take identity: false out.",
        ),
        (
            a(spiffe_path="/a"),
            {},
            None,
            "trustmesh_workloads: a: spiffe_path is /a, and Istio knows its workloads as /ns/default/sa/a only.",
        ),
        (
            a(envoy=True, pod="a-0"),
            {},
            None,
            "trustmesh_workloads: a: envoy is true, and pod names no Deployment, StatefulSet or DaemonSet that"
            " could get"
            " one.",
        ),
        (
            a(expose=True),
            {},
            None,
            "trustmesh_workloads: a: expose is true, and no Envoy of ours keeps others out. Say envoy: true.",
        ),
        (
            {"e": {"host": "one", "app": "envoy"}},
            {},
            None,
            "trustmesh_workloads: e: nobody may call this Envoy. Name its callers in trustmesh_callers.",
        ),
        (
            {**a(), "e": {"host": "one", "app": "envoy"}},
            {"e": ["a"]},
            None,
            "trustmesh_workloads: e: this Envoy may call nobody, so it leads nowhere. Name it as a caller in"
            " trustmesh_callers.",
        ),
        (
            a(envoy=True),
            {},
            None,
            "trustmesh_workloads: a: envoy is true, and it calls nobody and nobody may call it. Say in"
            " trustmesh_callers"
            " who does, or take envoy: true out.",
        ),
        (
            {**a(), "b": {"host": "one", "labels": {"app": "b"}}},
            {"b": ["a"]},
            None,
            "trustmesh_workloads: b: it is called, and port is missing. Give the port of its Service.",
        ),
        (
            {**a(), "b": {"host": "one", "port": 80}},
            {"b": ["a"]},
            None,
            "trustmesh_workloads: b: labels are missing. Its Service and its policies find its pods by them.",
        ),
        (
            {**a(mesh=False, envoy=True), "q": {**QUOTE, "mesh": False}},
            {"q": ["a"]},
            None,
            "trustmesh_workloads: q: it is called, and nothing keeps out those who are not listed. Say envoy:"
            " true for an"
            " Envoy before it, or put it into a mesh.",
        ),
        (
            {**a(envoy=True), "q": {**QUOTE, "envoy": True}},
            {"q": ["a", "anyone"]},
            None,
            "trustmesh_callers: q: an Envoy of ours admits identities only, not anyone.",
        ),
        (
            {**a(), "g": GATEWAY, "q": QUOTE},
            {"g": ["a"], "q": ["g"]},
            None,
            "trustmesh_callers: g: it is a gateway, and a has no certificate to show to it. Say files: true for a.",
        ),
        (
            {**a(files=True), "g": {**GATEWAY, "dns_names": None}, "q": QUOTE},
            {"g": ["a"], "q": ["g"]},
            None,
            "trustmesh_workloads: g: it is called, and dns_names are missing. Its callers ask for the first of them,"
            " and verify it.",
        ),
        (
            {**a(files=True), "g": GATEWAY},
            {"g": ["a"]},
            None,
            "trustmesh_workloads: g: this gateway may call nobody, so it leads nowhere. Name it as a caller in"
            " trustmesh_callers.",
        ),
        (
            {**a(files=True), "g": GATEWAY, "q": QUOTE},
            {"g": ["a", "anyone"], "q": ["g"]},
            None,
            "trustmesh_callers: g: a gateway takes either plain HTTP from anyone, or mutual TLS from those who are"
            " listed. Take anyone out, or the others.",
        ),
        (
            {**a(files=True), "g": GATEWAY, "q": QUOTE, "r": QUOTE},
            {"g": ["a"], "q": ["g"], "r": ["g"]},
            None,
            "trustmesh_workloads: g: it leads to several, and not by paths that tell them apart. Give all but one of"
            " them paths.",
        ),
        (
            {"g": {**GATEWAY, "mesh": False}},
            {},
            None,
            "trustmesh_workloads: g: a gateway belongs to a mesh. Put one into mesh, and take mesh and identity out.",
        ),
        (
            {"g": {**GATEWAY, "files": True}},
            {},
            None,
            "trustmesh_workloads: g: files is true, and a gateway has its certificate in its proxy. Take it out.",
        ),
        (
            a(gateway_api=True),
            {},
            None,
            "trustmesh_workloads: a: gateway_api is true, and it is no gateway. Take it out, or say app: gateway.",
        ),
        (
            {"g": {**GATEWAY, "gateway_api": True, "port": 443, "listens": 8443}},
            {},
            None,
            "trustmesh_workloads: g: port is 443 and listens 8443, and a gateway of the Gateway API listens at the port"
            " of its Service. Take listens out.",
        ),
        (
            {"g": {**GATEWAY, "gateway_api": True, "port": 15021}},
            {},
            None,
            "trustmesh_workloads: g: port is 15021, at which the proxy of a gateway tells how it is. Give another one.",
        ),
        (
            {"g" * 58: {**GATEWAY, "gateway_api": True}},
            {},
            None,
            f"trustmesh_workloads: {'g' * 58}: istiod names what it makes for it {'g' * 58}-istio, which is longer than"
            " 63 characters. Give it a name of at most 57.",
        ),
        (
            {"g": {**GATEWAY, "gateway_api": True}, "g-istio": {**QUOTE, "namespace": "edge"}},
            {},
            None,
            "trustmesh_workloads: g-istio: g has objects named g-istio there too.",
        ),
        (
            a(identity=False, mesh=False, files=True),
            {},
            None,
            "trustmesh_workloads: a: files is true, and it has no identity to put into them. Take one of them out.",
        ),
        (
            {**a(identity=False, mesh=False), "q": QUOTE},
            {"q": ["a"]},
            None,
            "trustmesh_callers: q: a has no identity, so nobody could tell that it is the one that calls.",
        ),
        (
            {**a(mesh=False), "q": QUOTE},
            {"q": ["a"]},
            None,
            "trustmesh_callers: q: it is in a mesh of one and a is not. Put both into the mesh.",
        ),
        (
            {**a(host="two"), "q": QUOTE},
            {"q": ["a"]},
            TWO_MESHES,
            "trustmesh_callers: q: it is in a mesh of one and a is not. Give one an Envoy that calls it (app:"
            " envoy), and"
            " let a call that.",
        ),
        (
            {**a(mesh=False), "q": {**QUOTE, "envoy": True}},
            {"q": ["a"]},
            None,
            "trustmesh_callers: q: a has no Envoy to show its SPIFFE ID to the one of q. Say envoy: true for it.",
        ),
        (
            {**a(), "q": {**QUOTE, "envoy": True}},
            {"q": ["a"]},
            None,
            "trustmesh_callers: q: a has no Envoy to show its SPIFFE ID to the one of q. Let it call one (app:"
            " envoy) of"
            " its mesh.",
        ),
        (
            {**a(), "a-envoy": {"host": "one", "app": "envoy"}, "b": {**QUOTE, "envoy": True}, "b-envoy": CLIENT},
            {"a-envoy": ["a"], "b": ["a-envoy"]},
            None,
            "trustmesh_workloads: b-envoy: b has objects named b-envoy there too.",
        ),
        (
            {
                "g": {"host": "one", "app": "envoy"},
                "c": CLIENT,
                "q": {**QUOTE, "service": "same", "envoy": True},
                "r": {**QUOTE, "service": "same", "envoy": True, "namespace": "other"},
            },
            {"g": ["c"], "q": ["g"], "r": ["g"]},
            None,
            "trustmesh_callers: q: g calls two services named same. Give one another name.",
        ),
    ],
)
def test_what_contradicts_itself(workloads: Data, callers: Data, groups: Any, text: str) -> None:
    assert text in faults(workloads, callers, groups)


def test_two_services_at_one_local_port() -> None:
    both = {name: {**QUOTE, "envoy": True} for name in ("q", "r")}
    text = (
        "trustmesh_workloads: r: a reaches it at a port of its own loopback address, and 10080 cannot be it. Give it a"
        " local_port."
    )
    assert faults({**a(envoy=True), **both}, {"q": ["a"], "r": ["a"]}) == [text]
    both["r"]["local_port"] = 20080
    assert meshes.mesh({**a(envoy=True), **both}, {"q": ["a"], "r": ["a"]}).workloads["r"].local_port == 20080


def test_a_port_too_high_for_a_local_one() -> None:
    high = {"q": {**QUOTE, "envoy": True, "port": 60000}}
    assert "and none cannot be it. Give it a local_port." in faults({**a(envoy=True), **high}, {"q": ["a"]})[0]


@pytest.mark.parametrize(
    ("groups", "variables", "text"),
    [
        (
            {"clusters": ["one"], "machines": ["vm"], "spire_server": ["one", "vm"]},
            {},
            "inventory: vm is in spire_server and not in clusters. Put it into clusters as well.",
        ),
        (
            {"clusters": ["one"], "machines": ["vm"], "mesh": ["vm"]},
            {},
            "inventory: vm is a machine in mesh, and no cluster of example.org is there whose istiod its sidecar could"
            " ask. Put one into mesh, or name one in sidecar_istiod_host.",
        ),
        (
            {"clusters": ["one"], "upstream_ca": ["one"]},
            {},
            "inventory: one is in upstream_ca and not in spire_server. The CA is for a SPIRE server: take it out, or"
            " give the host a server.",
        ),
        (
            {"clusters": ["one"], "spire_controller_manager": ["one"]},
            {},
            "inventory: one is in spire_controller_manager and not in spire_server. The controller manager runs"
            " beside a"
            " SPIRE server: take it out, or give the host a server.",
        ),
        (
            {"clusters": ["one"], "spire_agent": ["one"]},
            {},
            "inventory: one is in spire_agent, and there is no SPIRE server of example.org that its agents could"
            " join. Put a"
            " cluster of this trust domain into spire_server.",
        ),
        (
            meshes.TWO,
            {"two": {"trustmesh_trust_domain": "other.org"}},
            "inventory: two is in spire_agent, and there is no SPIRE server of other.org that its agents could"
            " join. Put a"
            " cluster of this trust domain into spire_server.",
        ),
        (
            meshes.TWO,
            {"two": {"spire_agent_server_host": "three"}},
            "spire_agent_server_host of two: 'three' is no host of the inventory.",
        ),
        (
            meshes.TWO,
            {"two": {"trustmesh_trust_domain": "other.org", "spire_agent_server_host": "one"}},
            "spire_agent_server_host of two: the server of one is of example.org, and two is of other.org.",
        ),
        (
            meshes.TWO,
            {"one": {"kubernetes_cluster_name": "two"}},
            "inventory: two and one are both the cluster two. Give each its own kubernetes_cluster_name.",
        ),
        (
            meshes.TWO,
            {"two": {"kubernetes_cluster": {"address": "192.0.2.1, b: c"}}},
            "kubernetes_cluster of two: address is '192.0.2.1, b: c', expected an IP address or a DNS name of letters,"
            " digits, dots and dashes (RFC 1123).",
        ),
        (
            meshes.TWO,
            {"two": {"kubernetes_objects_endpoints": {"a/b": "lb.example:0"}}},
            "kubernetes_objects_endpoints of two: 'a/b' is at 'lb.example:0', expected an IP address or a DNS name of"
            " letters, digits, dots and dashes (RFC 1123), a colon and a port from 1 to 65535.",
        ),
    ],
)
def test_hosts_that_do_not_fit_together(groups: Any, variables: Any, text: str) -> None:
    assert faults({}, {}, groups, variables) == [text]


def test_a_trust_domain_is_one() -> None:
    (text,) = faults({}, {}, meshes.ONE, {"one": {"trustmesh_trust_domain": "https://x"}})
    assert text.startswith("trustmesh_trust_domain of one: ")


def test_a_machine_says_who_is_who() -> None:
    groups = {"clusters": ["one"], "machines": ["vm"], "spire_server": ["one"], "spire_agent": ["one", "vm"]}
    assert faults({"job": {"host": "vm"}}, {}, groups) == [
        "trustmesh_workloads: job: on a machine selectors tell who it is. Give some, such as unix:uid:1000."
    ]
    made = meshes.mesh({"job": {"host": "vm", "selectors": ["unix:uid:7"]}}, {}, groups)
    assert made.workloads["job"].selectors == ("unix:uid:7",)


BY_CERTIFICATE: Data = {
    "spire_agent_attestor": "x509pop",
    "spire_agent_attestor_server_data": {"ca_bundle_path": "/ca"},
    "spire_agent_node_selectors": ["x509pop:ca:fingerprint:ab"],
}
TWO_CLUSTERS = {"clusters": ["one", "two"], "spire_server": ["one"], "spire_agent": ["one", "two"]}


def test_nodes_that_attest_by_another_plugin_are_known_by_something() -> None:
    jobs: Data = {name: {"host": name, "app": "client"} for name in ("one", "two")}
    assert faults(jobs, {}, TWO_CLUSTERS, {"two": {"spire_agent_attestor": "x509pop"}}) == [
        "spire_agent_attestor of two is x509pop, and nothing says by what the server knows its nodes. Give"
        " spire_agent_node_selectors of two, such as x509pop:… as its documentation has them."
    ]
    assert meshes.mesh(jobs, {}, TWO_CLUSTERS, {"two": BY_CERTIFICATE})


def test_nodes_of_two_clusters_differ_and_their_plugin_does_not() -> None:
    jobs: Data = {name: {"host": name, "app": "client"} for name in ("one", "two")}
    other = {**BY_CERTIFICATE, "spire_agent_attestor_server_data": {"ca_bundle_path": "/other"}}
    assert faults(jobs, {}, TWO_CLUSTERS, {"one": BY_CERTIFICATE, "two": other}) == [
        "spire_agent_attestor_server_data of one and two differ, and their server has one plugin x509pop for both. Say"
        " the same for both.",
        "spire_agent_node_selectors of two hold for the nodes of one, too, which would get its identities. Add"
        " something to them by which the nodes differ.",
        "spire_agent_node_selectors of one hold for the nodes of two, too, which would get its identities. Add"
        " something to them by which the nodes differ.",
    ]


def test_an_agent_that_is_named_is_of_one_cluster_and_has_no_selectors_beside() -> None:
    jobs: Data = {name: {"host": name, "app": "client"} for name in ("one", "two")}
    named = {"spire_agent_attestor": "sshpop", "spire_agent_node_selectors": ["spiffe_id:spiffe://example.org/a"]}
    both = {**named, "spire_agent_node_selectors": ["spiffe_id:spiffe://example.org/a", "sshpop:x"]}
    also = {
        **named,
        "spire_agent_node_selectors": ["spiffe_id:spiffe://example.org/a", "spiffe_id:spiffe://example.org/b"],
    }
    assert faults(jobs, {}, TWO_CLUSTERS, {"two": both}) == [
        "spire_agent_node_selectors of two name agents by spiffe_id:… and have other selectors beside. Say by which"
        " agents, or by which selectors, and not both."
    ]
    assert len(faults(jobs, {}, TWO_CLUSTERS, {"one": named, "two": also})) == 2, "either would get the other's"


def test_two_clusters_do_not_bring_one_file_with_another_content() -> None:
    jobs: Data = {name: {"host": name, "app": "client"} for name in ("one", "two")}
    here = {**BY_CERTIFICATE, "spire_agent_attestor_server_files": {"ca.crt": "A", "roots.pem": "R"}}
    there = {
        **here,
        "spire_agent_node_selectors": ["x509pop:ca:fingerprint:cd"],
        "spire_agent_attestor_server_files": {"ca.crt": "B", "roots.pem": "R"},
    }
    assert faults(jobs, {}, TWO_CLUSTERS, {"one": here, "two": there}) == [
        "spire_agent_attestor_server_files of one and two both have 'ca.crt', with another content, and their server"
        " has one folder for both. Give one another name."
    ]


def test_who_is_left_out_is_in_neither_table() -> None:
    workloads: Data = {"a": {"host": "one", "app": "quote"}, "b": {"host": "one", "app": "client"}, "c": CLIENT}
    callers: Data = {"a": ["b", "c"]}
    found = hosts.read_hosts({"one": {}}, meshes.ONE, "example.org")
    mesh = model.read(workloads, callers, found, without=["b"])
    assert set(mesh.workloads) == {"a", "c"}
    assert [caller.name for caller in mesh.callers_of(mesh.workloads["a"])] == ["c"]
    assert model.read(workloads, callers, found, without=["b", "c"]).callers == {}
    assert model.read(workloads, callers, found, without=["a"]).callers == {}


@pytest.mark.parametrize(
    ("without", "text"),
    [
        ("b", "trustmesh_without: expected a list of names of workloads, got 'b'."),
        (["bb"], "trustmesh_without: 'bb' is none of trustmesh_workloads. Known: b."),
    ],
)
def test_only_workloads_can_be_left_out(without: Any, text: str) -> None:
    found = hosts.read_hosts({"one": {}}, meshes.ONE, "example.org")
    with pytest.raises(InputError) as refused:
        model.read({"b": CLIENT}, {}, found, without=without)
    assert refused.value.message == text


ON_VM: Data = {"host": "vm", "envoy": True, "port": 9000}
SHOP: Data = {"host": "one", "app": "client", "envoy": True}
W = "trustmesh_workloads:"


@pytest.mark.parametrize(
    ("workloads", "callers", "text"),
    [
        (
            {"job": {**ON_VM, "mesh": True}},
            {"job": ["shop"]},
            f"{W} job: mesh is true, and vm is a machine that is not in mesh. Put it there, for a sidecar of Istio on"
            " it, or take mesh out; envoy: true puts an Envoy before it.",
        ),
        (
            {"job": {"host": "vm", "app": "quote", "selectors": ["unix:uid:7"]}},
            {},
            f"{W} job: app is quote, and vm is a machine, whose programs are yours. Take it out, or say app: envoy for"
            " an Envoy that stands by itself.",
        ),
        (
            {"job": {**ON_VM, "port": None}},
            {"job": ["shop"]},
            f"{W} job: it is called, and port is missing. Give the port at which its program listens on loopback.",
        ),
        (
            {"job": {"host": "vm", "selectors": ["unix:uid:7"], "port": 9000}},
            {"job": ["shop"]},
            f"{W} job: it is called, and nothing keeps out those who are not listed. Say envoy: true for an Envoy"
            " before it.",
        ),
        (
            {
                "front": {"host": "vm", "app": "envoy", "selectors": ["unix:uid:7"]},
                "job": {**ON_VM, "host": "one", "labels": {"a": "b"}},
            },
            {"front": ["shop"], "job": ["front"]},
            f"{W} front: selectors are given, and this Envoy is known by its user and its program. Take them out.",
        ),
        (
            {
                "front": {"host": "vm", "app": "envoy", "port": 443, "listens": 8443},
                "job": {**ON_VM, "host": "one", "labels": {"a": "b"}},
            },
            {"front": ["shop"], "job": ["front"]},
            f"{W} front: port is 443 and listens 8443, and on a machine no Service stands between them. Give one"
            " of them.",
        ),
        (
            {"job": {**ON_VM, "extra_selectors": ["unix:gid:7"]}},
            {"job": ["shop"]},
            f"{W} job: extra_selectors come beside what follows from a pod, and here is none. Put all into selectors.",
        ),
        (
            {"shop": {**SHOP, "selectors": ["k8s:ns:a"], "extra_selectors": ["unix:uid:1"]}},
            {},
            f"{W} shop: selectors are all that its entry has, and extra_selectors come beside those that are derived."
            " Put all into selectors, or leave them out.",
        ),
        (
            {"a-program-with-quite-a-long-name": ON_VM},
            {"a-program-with-quite-a-long-name": ["shop"]},
            f"{W} a-program-with-quite-a-long-name: its Envoy on vm would run as the user"
            " envoy-a-program-with-quite-a-long-name, which is longer than 32 characters. Give it a shorter name.",
        ),
        (
            {"job": ON_VM, "other": {**ON_VM, "port": 9001}},
            {"job": ["shop"], "other": ["shop"]},
            f"{W} other: the Envoy of job and the Envoy of other would both listen at port 8443 of vm. Give another"
            " envoy_port, port, listens or local_port.",
        ),
        (
            {"job": {**ON_VM, "listens": 8443}},
            {"job": ["shop"]},
            f"{W} job: the Envoy of job and the program of job would both listen at port 8443 of vm. Give another"
            " envoy_port, port, listens or local_port.",
        ),
        (
            {"shop": {**SHOP, "envoy_port": 9443}},
            {},
            f"{W} shop: envoy_port is for an Envoy before a program of a machine (envoy: true). Take it out.",
        ),
        (
            {"job": {**ON_VM, "identity": False}},
            {"job": ["shop"]},
            f"{W} job: its Envoy needs an identity. Take identity: false out.",
        ),
    ],
)
def test_what_an_envoy_on_a_machine_cannot_be(workloads: Data, callers: Data, text: str) -> None:
    groups = {"clusters": ["one"], "machines": ["vm"], "spire_server": ["one"], "spire_agent": ["one", "vm"]}
    assert text in faults({"shop": SHOP, **workloads}, callers, groups, {"vm": {"machine_address": "192.0.2.7"}})


def test_an_envoy_on_a_machine_is_somewhere() -> None:
    groups = {"clusters": ["one"], "machines": ["vm"], "spire_server": ["one"], "spire_agent": ["one", "vm"]}
    workloads, callers = {"shop": SHOP, "job": ON_VM}, {"job": ["shop"]}
    assert faults(workloads, callers, groups) == [
        f"{W} job: it is called, and nobody knows at which address. Give machine_address of vm."
    ]
    assert faults(workloads, callers, groups, {"vm": {"machine_address": "a b"}}) == [
        "machine_address of vm: 'a b', expected an IP address or a DNS name of letters, digits, dots and dashes"
        " (RFC 1123)."
    ]
    assert faults(workloads, callers, groups, {"vm": {"machine_address": "2001:db8::7"}}) == [
        "machine_address of vm: 2001:db8::7 is of IPv6, and its Envoys listen on IPv4."
    ]
    # One that only calls others needs none.
    meshes.mesh({"job": ON_VM, "quote": {**QUOTE, "envoy": True}}, {"quote": ["job"]}, groups)


def test_all_faults_are_told_at_once_and_each_once() -> None:
    found = faults({"a": {"host": "nope", "port": 0, "x": 1}, "b": {}, "B": {}}, {"z": ["y"], "b": ["b"]})
    assert len(found) == len(set(found)) >= 7
    for part in ("a: host", "a: port", "a: unknown field 'x'", "b: host is missing", "'B' cannot", "'z'", "'y'"):
        assert any(part in text for text in found), part


def test_a_caller_with_faults_of_its_own_is_not_unknown_too() -> None:
    assert faults({**a(port=0), "q": QUOTE}, {"q": ["a"]}) == [
        f"trustmesh_workloads: a: port is 0, expected {model.FIELDS['port'].expected}."
    ]


# What is filled in


def test_nothing_said_is_a_service_of_the_mesh_that_exists() -> None:
    w = meshes.mesh({"shop": {"host": "one"}}).workloads["shop"]
    assert (w.app, w.namespace, w.service, w.service_account) == ("existing", "default", "shop", "shop")
    assert (w.mesh, w.envoy, w.identity, w.port, w.labels) == (True, False, True, None, {})
    assert (w.pod, w.container, w.spiffe_path) == ("deployment/shop", "shop", "/ns/default/sa/shop")
    assert (w.probe_path, w.probe_status) == ("/", 200)


def test_null_says_nothing() -> None:
    assert meshes.mesh(a(namespace=None, port=None)) == meshes.mesh(a())


def test_ports_follow_from_the_application() -> None:
    made = meshes.mesh(
        {
            "inside": {"host": "one", "app": "envoy"},
            "front": {"host": "one", "app": "envoy", "mesh": False},
            "q": {**QUOTE, "envoy": True},
            "c": {"host": "one", "app": "client"},
        },
        {"inside": ["c"], "front": ["inside"], "q": ["front"]},
    )
    ports = {name: (w.port, w.listens) for name, w in made.workloads.items()}
    assert ports == {"inside": (80, 8080), "front": (8443, 8443), "q": (80, 8080), "c": (None, None)}
    assert made.workloads["q"].local_port == 10080


def test_the_first_path_is_the_one_that_is_tried() -> None:
    assert meshes.mesh(a(paths=["/orders", "/"])).workloads["a"].probe_path == "/orders"


def test_nothing_at_all_is_a_mesh() -> None:
    assert meshes.mesh(None).workloads == {}


def test_istiod_is_certified_only_where_there_is_somebody_who_does_it() -> None:
    groups = {"clusters": ["one", "two"], "spire_server": ["one"], "spire_agent": ["one", "two"], "mesh": ["two"]}
    with pytest.raises(InputError) as raised:
        meshes.mesh({}, {}, groups, {"two": {"istio_control_plane_identity": "spire"}})
    assert raised.value.message == (
        "istio_control_plane_identity of two is spire, and it has not both a SPIRE server, which publishes its bundle"
        " to the proxies, and agents. Put it into spire_server and spire_agent, or leave istiod its own CA."
    )


# Behind a proxy

NO_MESH = {"clusters": ["one"], "spire_server": ["one"], "spire_agent": ["one"]}
PROXY: Data = {"host": "one", "app": "envoy", "expose": True, "dns_names": ["p.example"]}
BACKEND: Data = {"host": "one", "app": "quote", "envoy": True}
FILES: Data = {"host": "one", "app": "client", "files": True}


def behind(on_behalf_of: list[str], **more: Any) -> Data:
    return {"p": PROXY, "q": {**BACKEND, "on_behalf_of": on_behalf_of}, "a": FILES, "b": FILES, **more}


def test_a_backend_takes_some_of_a_proxys_clients() -> None:
    made = meshes.mesh(behind(["a"]), {"p": ["a", "b"], "q": ["p"]}, NO_MESH)
    assert made.is_behind_proxies(made.workloads["q"])
    assert not made.is_behind_proxies(made.workloads["p"])


@pytest.mark.parametrize(
    ("workloads", "callers", "text"),
    [
        (
            behind(["z"]),
            {"p": ["a"], "q": ["p"]},
            "trustmesh_workloads: q: on_behalf_of: 'z' is no workload. Known: p, q, a, b.",
        ),
        (
            behind(["b"]),
            {"p": ["a"], "q": ["p"]},
            "trustmesh_workloads: q: on_behalf_of: b may call none of p, so nobody asks for it. Name it as a caller"
            " there, or take it out.",
        ),
        (
            behind(["a"], c={**FILES, "files": False, "envoy": True}),
            {"p": ["a"], "q": ["p", "c"]},
            "trustmesh_workloads: q: on_behalf_of: c may call it, and is no proxy outside of a mesh that tells for whom"
            " it asks. Take on_behalf_of out, or let proxies alone (app: envoy) call it.",
        ),
        (
            {"p": {**PROXY, "on_behalf_of": ["a"]}, "q": BACKEND, "a": FILES},
            {"p": ["a"], "q": ["p"]},
            "trustmesh_workloads: p: on_behalf_of: a may call it, and is no proxy outside of a mesh that tells for whom"
            " it asks. Take on_behalf_of out, or let proxies alone (app: envoy) call it.",
        ),
        (
            {"a": {**FILES, "on_behalf_of": ["a"]}},
            {},
            "trustmesh_workloads: a: on_behalf_of is for one whose Envoy is called by proxies (app: envoy). Take it"
            " out.",
        ),
        (
            {"p": {**PROXY, "dns_names": None}, "q": BACKEND, "a": FILES},
            {"p": ["a"], "q": ["p"]},
            "trustmesh_callers: p: a shows a certificate in files, and verifies the name that it asks for. Give p"
            " dns_names, or say envoy: true for a.",
        ),
        (
            {"p": PROXY, "q": BACKEND, "a": {**FILES, "files": False}},
            {"p": ["a"], "q": ["p"]},
            "trustmesh_callers: p: a has no Envoy to show its SPIFFE ID to the one of p. Say envoy: true for it.",
        ),
    ],
)
def test_what_cannot_be_behind_a_proxy(workloads: Data, callers: Data, text: str) -> None:
    with pytest.raises(InputError) as caught:
        meshes.mesh(workloads, callers, NO_MESH)
    assert caught.value.message.splitlines() == [text]


def test_a_sidecar_shows_no_certificate_of_files() -> None:
    workloads = {"p": {**PROXY, "mesh": False}, "q": BACKEND, "a": FILES}
    with pytest.raises(InputError, match="a is in a mesh, whose sidecar would show its own certificate to nobody"):
        meshes.mesh(workloads, {"p": ["a"], "q": ["p"]})

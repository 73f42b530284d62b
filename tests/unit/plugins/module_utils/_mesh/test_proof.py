# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of any mesh: each pair is tried, or it is said why not."""

from __future__ import annotations

from typing import Any

import meshes
import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._envoy import config
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import derive
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.model import Mesh, Workload
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.proof import Proof, proof
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import reading
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import (
    BY_NAME,
    FORGERIES,
    NEGATIVE,
    POSITIVE,
    TYPES,
    Check,
)
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

Data = dict[str, Any]
CLIENT: Data = {"host": "one", "app": "client"}
QUOTE: Data = {"host": "one", "app": "quote"}


def read(made: Proof) -> list[Check]:
    """Read the proof as the role verify does."""
    servers = {server["name"]: server["trust_domain"] for server in made.servers}
    return reading.read_checks(made.checks, reading.read_mesh(made.endpoints, servers, meshes.names(made.clusters)))


def kinds(made: Proof) -> dict[str, str]:
    return {check["name"]: check["type"] for check in made.checks}


def up(workloads: Data, callers: Data, groups: Any = None, variables: Any = None) -> Mesh:
    """Read a mesh whose clusters have told their addresses."""
    groups = groups or meshes.TWO
    hosts = {name for members in groups.values() for name in members}
    endpoints = {
        f"{item.get('namespace', 'default')}/{name}": f"192.0.2.{number}:30001"
        for number, (workload, item) in enumerate(workloads.items(), 1)
        for name in (workload, f"{workload}-envoy")
    }
    endpoints["spire-server/spire-server"] = "192.0.2.99:30081"
    endpoints["istio-system/istio-eastwestgateway"] = "192.0.2.98:15443"
    told = {host: {"kubernetes_objects_endpoints": endpoints, **((variables or {}).get(host) or {})} for host in hosts}
    for machine in groups.get("machines", ()):
        told[machine]["machine_address"] = "192.0.2.97"
    return meshes.mesh(workloads, callers, groups, told)


# Generated meshes


@st.composite
def generated(draw: st.DrawFn) -> Mesh:
    groups = {
        "clusters": ["one", "two"],
        "machines": ["vm"],
        "spire_server": ["one", *draw(st.sampled_from([[], ["two"]]))],
        "spire_agent": ["one", "two", "vm"],
        "mesh": draw(st.sampled_from([[], ["one"], ["one", "two"]])),
    }
    mesh_id = {"istio_mesh_id": "both"} if draw(st.booleans()) else {}
    names = [f"w{number}" for number in range(draw(st.integers(3, 8)))]
    workloads = {name: _workload(draw, name) for name in names}
    callers = {
        name: draw(st.lists(st.sampled_from([*names, "anyone"]), min_size=1, max_size=5, unique=True))
        for name in draw(st.lists(st.sampled_from(names), min_size=2, unique=True))
    }
    if "one" in groups["mesh"] and draw(st.booleans()):
        # Chance seldom brings all that a gateway needs.
        workloads["w10"] = {"host": "one", "app": "gateway", "dns_names": ["w10.example.org"], "local_port": 20010}
        workloads["w11"] = {"host": draw(st.sampled_from(["one", "two"])), "app": "client", "files": True}
        workloads["w12"] = {"host": "one", "app": "quote", "local_port": 20012}
        callers |= {"w10": ["w11", *draw(st.lists(st.sampled_from(names), unique=True))], "w12": ["w10"]}
    try:
        return up(workloads, _mended(workloads, callers, groups, mesh_id), groups, {"one": mesh_id, "two": mesh_id})
    except InputError:
        assume(False)
        raise


def _workload(draw: st.DrawFn, name: str) -> Data:
    host = draw(st.sampled_from(["one", "one", "two", "vm"]))
    if host == "vm":
        return _program(draw, name)
    app = draw(st.sampled_from(["client", "quote", "quote", "envoy", "existing", "gateway"]))
    found: Data = {"host": host, "app": app}
    if app == "gateway":
        paths = {"paths": draw(st.sampled_from([["/"], ["/elsewhere"]]))} if draw(st.integers(0, 3)) == 0 else {}
        methods = {"methods": ["POST"]} if draw(st.integers(0, 5)) == 0 else {}
        return found | {"dns_names": [f"{name}.example.org"], **paths, **methods}
    if app == "existing":
        found |= {"port": 80, "labels": {"app": name}}
        found |= {"tools": ["curl"]} if draw(st.booleans()) else {}
    if app == "client":
        found |= {"port": 80}
        found |= {"files": True} if draw(st.booleans()) else {}
    if app != "envoy":
        found |= {"envoy": True} if draw(st.booleans()) else {}
        if not found.get("envoy"):
            found |= {"identity": False} if draw(st.integers(0, 3)) == 0 else {}
    elif draw(st.booleans()):
        found["mesh"] = False
    if draw(st.integers(0, 3)) == 0:
        found["service_account"] = "shared"
    if draw(st.integers(0, 5)) == 0:
        found["methods"] = draw(st.sampled_from([["GET"], ["POST"], ["GET", "POST"]]))
    if (found.get("envoy") or found.get("mesh") is False) and draw(st.integers(0, 2)) == 0:
        found["expose"] = True
    return {**found, "local_port": 20000 + int(name[1:])}


def _program(draw: st.DrawFn, name: str) -> Data:
    """A program on a machine, perhaps with an Envoy, or an Envoy that stands there by itself."""
    number = int(name[1:])
    found: Data = {"host": "vm", "tools": ["curl", "python3"], "local_port": 20000 + number}
    kind = draw(st.sampled_from(["program", "program", "before", "envoy"]))
    if kind == "envoy":
        return {"host": "vm", "app": "envoy", "port": 9000 + number, "local_port": 20000 + number}
    if kind == "before":
        found |= {"envoy": True, "port": 8000 + number, "envoy_port": 8500 + number}
    if kind == "program" or draw(st.booleans()):
        found["selectors"] = [f"unix:user:{name}"]
    return found


def _mended(workloads: Data, callers: Data, groups: Any, variables: Data) -> Data:
    """Take out of ``callers`` what cannot be, so that most meshes are good ones."""
    kept: Data = {}
    for callee, names in callers.items():
        good = []
        for name in names:
            try:
                probe = {**{w: {**v, "expose": False} for w, v in workloads.items() if w in (callee, name)}}
                extra: Data = {}
                wanted = {callee: [name]}
                for other in (callee, name):
                    if workloads.get(other, {}).get("app") == "envoy" and other not in wanted:
                        # An Envoy needs somebody who calls it.
                        host = workloads[other]["host"]
                        envoy = workloads[other].get("mesh") is False or host not in groups["mesh"]
                        extra["helper"] = {"host": host, "app": "client", "envoy": envoy, "local_port": 19999}
                        wanted[other] = ["helper"]
                if workloads[callee].get("app") == "gateway":
                    extra["target"] = {"host": workloads[callee]["host"], "app": "quote"}
                    wanted["target"] = [callee]
                up({**probe, **extra}, wanted, groups, {"one": variables, "two": variables})
            except InputError:
                continue
            good.append(name)
        if workloads[callee].get("app") == "gateway" and "anyone" in good:
            good = ["anyone"]
        if good:
            kept[callee] = good
    _lead_on(workloads, kept)
    # Envoys that nobody may call any more are no good: let them go.
    for name in [name for name, item in workloads.items() if item.get("app") == "envoy" and name not in kept]:
        del workloads[name]
        kept = {callee: [n for n in names if n != name] for callee, names in kept.items() if callee != name}
    return {callee: names for callee, names in kept.items() if names}


def _lead_on(workloads: Data, callers: Data) -> None:
    """Let each gateway lead to one, and nobody call one that leads nowhere."""
    for name in [name for name, item in workloads.items() if item.get("app") == "gateway"]:
        for callee in [callee for callee, names in callers.items() if name in names][1:]:
            callers[callee] = [other for other in callers[callee] if other != name]
        if not any(name in names for names in callers.values()):
            callers.pop(name, None)


def allows(mesh: Mesh, other: Workload, callee: Workload) -> bool:
    """Whether ``other`` may call, or is one with somebody who may."""
    ids = {mesh.spiffe_id(caller) for caller in mesh.callers_of(callee)}
    return mesh.is_open(callee) or (other.identity and mesh.spiffe_id(other) in ids)


def who(mesh: Mesh, check: Check) -> set[str]:
    """The workloads that are tried by a check."""
    shown = check.fields.get("client_spiffe_id")
    if shown:
        return {item.name for item in mesh.workloads.values() if mesh.spiffe_id(item) == shown}
    return {str(check.fields.get("from"))}


def is_wrong_for_all(check: Check) -> bool:
    """Whether one who may is refused all the same: for what is shown, under which name, or by which way."""
    wrong_way = check.type == "closed_port" or BY_NAME in check.fields.get("refusal", ())
    return wrong_way or check.fields.get("client") in FORGERIES


MANY = settings(max_examples=100, deadline=None)


@MANY
@given(generated())
def test_each_proof_is_one_that_can_be_made(mesh: Mesh) -> None:
    made = proof(mesh)
    if made.checks:
        read(made)
    event(f"{len(made.checks) // 10}0 checks or more")
    event(f"{sum(check['type'] == 'request' and 'certificate' in check for check in made.checks)} requests by files")
    assert len(set(meshes.names(made.checks))) == len(made.checks)


@MANY
@given(generated())
def test_every_pair_is_tried_or_it_is_said_why_not(mesh: Mesh) -> None:
    made = proof(mesh)
    checks = read(made) if made.checks else []
    for callee in mesh.workloads.values():
        if callee.name not in mesh.callers:
            continue
        about = [check for check in checks if check.fields["to"] == callee.name]
        positive = {name for check in about if check.kind == POSITIVE for name in who(mesh, check)}
        # A gateway asks nobody by itself: somebody asks through it.
        through = [check.name.partition(", for ")[0] for check in about if ", for " in check.name]
        positive |= {text.partition(" may call ")[0] for text in through}
        negative = {
            name
            for check in about
            if check.kind == NEGATIVE and not is_wrong_for_all(check)
            for name in who(mesh, check)
        }
        both = f"who may call {callee.name}, and who may not:"
        for other in mesh.workloads.values():
            if other.name == callee.name:
                continue
            if other in mesh.callers_of(callee):
                told = (f"{other.name} may call {callee.name}:", both)
                assert other.name in positive or any(text.startswith(told) for text in made.untried)
            elif not allows(mesh, other, callee):
                told = (f"{other.name} may not call {callee.name}:", both, f"who may not call {callee.name}:")
                assert other.name in negative or any(text.startswith(told) for text in made.untried)


@MANY
@given(generated())
def test_nobody_who_may_call_is_expected_to_be_refused(mesh: Mesh) -> None:
    made = proof(mesh)
    for check in read(made) if made.checks else []:
        callee = mesh.workloads.get(str(check.fields["to"]))
        if check.kind != NEGATIVE or callee is None or is_wrong_for_all(check):
            continue
        for name in who(mesh, check) & mesh.workloads.keys():
            assert not allows(mesh, mesh.workloads[name], callee), check.name


@MANY
@given(generated())
def test_what_is_refused_has_a_control_that_is_let_in(mesh: Mesh) -> None:
    made = proof(mesh)
    for check in made.checks:
        if TYPES[check["type"]].kind == NEGATIVE and check["type"] != "token_reuse":
            control = next(item for item in made.checks if item["name"] == check["control"])
            assert control["to"] == check["to"]
            assert TYPES[control["type"]].kind == POSITIVE


@MANY
@given(generated())
def test_what_keeps_others_out_lists_exactly_those_who_may_call(mesh: Mesh) -> None:
    envoys = {item["name"]: item for host in mesh.hosts for item in derive.envoys(mesh, host)}
    policies = {item["name"]: item for host in mesh.hosts for item in derive.policies(mesh, host)}
    for callee in mesh.workloads.values():
        if callee.name not in mesh.callers:
            continue
        ids = [mesh.spiffe_id(caller) for caller in mesh.callers_of(callee)]
        if callee.guard in ("mesh", "gateway"):
            policy = policies[f"callers-of-{callee.name}"]
            listed = [f"spiffe://{principal}" for principal in policy.get("principals", [])]
            assert policy.get("anyone", False) is mesh.is_open(callee)
            assert mesh.is_open(callee) or listed == ids
        else:
            listener = envoys[callee.envoy_name]["listeners"][0]
            assert listener["allowed_spiffe_ids"] == ids
    for envoy in envoys.values():
        assert config.faults(envoy, addresses=False) == []
        for listener in envoy["listeners"]:
            guarded = listener.get("allowed_spiffe_ids") or envoy.get("mesh") or config.is_loopback(listener["address"])
            assert guarded


# Machines

VM = {"clusters": ["one"], "machines": ["vm"], "spire_server": ["one"], "spire_agent": ["one", "vm"]}
LEDGER: Data = {"host": "vm", "envoy": True, "port": 9000}


def test_an_envoy_on_a_machine_is_tried_as_one_that_is_exposed() -> None:
    workloads = {
        "shop": {**CLIENT, "envoy": True},
        "ledger": LEDGER,
        "job": {"host": "vm", "selectors": ["unix:uid:7"]},
    }
    made = proof(up(workloads, {"ledger": ["shop"]}, VM))
    assert read(made)
    (place,) = (place for place in made.endpoints if place["name"] == "ledger")
    assert place["address"] == "192.0.2.97:8443"
    assert "pod" not in place
    found = kinds(made)
    assert found["shop may call ledger"] == "request"
    assert found["shop may call ledger, by its SPIFFE ID"] == "accepted_handshake"
    assert found["job may not call ledger"] == "refused_handshake"
    assert found["nobody may call ledger without a certificate"] == "refused_handshake"
    assert "closed_port" not in found.values()
    (text,) = (text for text in made.untried if text.startswith("whether a way leads around ledger's Envoy: "))
    assert "port 9000 of vm" in text


def test_who_has_an_envoy_on_a_machine_asks_through_it_and_not_as_somebody_else() -> None:
    vm = {"vm": {"machine_agent": {"command": ["on", "{uid}"], "binary": "/a", "socket_path": "/s", "alias_entry": {}}}}
    quote = {**QUOTE, "envoy": True, "dns_names": ["quote.example.org"]}
    job = {"host": "vm", "envoy": True, "tools": ["curl"]}
    workloads = {"job": job, "quote": quote, "other": {"host": "one", "app": "client", "envoy": True}}
    callers = {"quote": ["job"], "other": ["job"]}
    workloads["other"]["port"] = 8081
    made = proof(up(workloads, callers, VM, vm))
    asked = next(check for check in made.checks if check["name"] == "job may call quote")
    assert (asked["url"], asked["from"]) == ("http://127.0.0.1:10080/", "job")
    # It has no identity but its Envoy's, which its user is not given.
    web = {**quote, "port": 81, "local_port": 10081, "expose": True}
    refused = proof(up({**workloads, "web": web}, {**callers, "web": ["other"]}, VM, vm))
    assert kinds(refused)["job may not call web"] == "refused_handshake"
    assert kinds(refused)["other may call web"] == "request"


# Gateways

GATE: Data = {"host": "two", "app": "gateway", "port": 8000, "dns_names": ["app.example.org", "www.example.org"]}
PAGE: Data = {"host": "two", "app": "productpage"}
CALLER: Data = {"host": "one", "app": "client", "files": True}
APART = {name: ["one", "two"] for name in ("clusters", "spire_server", "spire_agent", "mesh")}
"""Two meshes of one trust domain, each with a server."""
ADDRESS = {"kubernetes_objects_endpoints": {"default/gate": "192.0.2.9:8000"}}


def gated(workloads: Data, callers: Data, groups: Any = None, **variables: Any) -> Proof:
    """The proof of meshes where a balancer has given the gateway an address."""
    told = {name: {**ADDRESS, **variables} for name in ("one", "two")}
    return proof(meshes.mesh(workloads, callers, groups or APART, told))


def at_the_gate(**more: Data) -> tuple[Data, Data]:
    workloads = {"gate": GATE, "page": PAGE, "a": CALLER, "b": CALLER, "x": {**CALLER, "files": False}, **more}
    return workloads, {"gate": ["a"], "page": ["gate"]}


def named(made: Proof) -> dict[str, Data]:
    return {check["name"]: check for check in made.checks}


def test_who_may_call_a_gateway_shows_its_own_files() -> None:
    made = gated(*at_the_gate())
    assert read(made)
    check = named(made)["a may call gate"]
    assert check["type"] == "request"
    assert (check["url"], check["certificate"]) == ("https://app.example.org:8000/", {"folder": "/run/files/svid"})
    assert "address" not in check, "its name is an alias in the pod, and that is proven as well"
    assert (check["path"], check["json_key"]) == ("/health", "status"), "as whom it leads to answers"
    minted = named(made)["a may call gate, by its SPIFFE ID"]
    assert (minted["type"], minted["server_name"]) == ("accepted_handshake", "app.example.org")
    (place,) = (place for place in made.endpoints if place["name"] == "gate")
    assert (place["address"], place["url"]) == ("192.0.2.9:8000", "https://app.example.org:8000/")


def test_a_gateway_shows_its_names_its_chain_and_who_certified_it() -> None:
    made = named(gated(*at_the_gate()))
    assert made["gate presents its SPIFFE ID"]["dns_names"] == ["app.example.org", "www.example.org"]
    assert "length" not in made["gate presents its whole chain"]
    assert made["gate's proxy is certified by SPIRE"]["type"] == "sidecar_certificate"
    unseen = gated({"gate": {**GATE, "dns_names": None}, "a": CALLER}, {})
    assert [check["type"] for check in unseen.checks] == ["sidecar_certificate"], "one that nobody calls"


def test_who_may_not_call_a_gateway_is_refused_for_the_right_reason() -> None:
    made = named(gated(*at_the_gate(nobody={**CALLER, "files": False, "identity": False})))
    denied = {"refusal": ["http_403"], "contains": "RBAC: access denied"}
    by_files, minted = made["b may not call gate"], made["x may not call gate"]
    assert by_files["type"] == "refused_request"
    assert by_files["address"] == "192.0.2.9:8000", "its pod has no alias"
    assert by_files.items() >= denied.items()
    assert (minted["type"], minted["client"]) == ("refused_handshake", "other_identity")
    assert minted.items() >= denied.items()
    assert made["page may not call gate"]["client_spiffe_id"] == "spiffe://example.org/ns/default/sa/page"
    assert made["an identity that is not listed may not call gate"].items() >= denied.items()
    alerts = {
        "nobody may call gate without a certificate": "none",
        "a's SPIFFE ID from another CA may not call gate": "foreign_ca",
        "a's SPIFFE ID signed by istiod may not call gate": "istiod",
        "a's SPIFFE ID by a certificate whose time is over may not call gate": "expired",
        "nobody may not call gate": "none",
    }
    assert {name: made[name]["client"] for name in alerts} == alerts
    assert all("refusal" not in made[name] for name in alerts), "by an alert"
    assert made["nobody may not call gate in plain text"]["url"] == "http://192.0.2.9:8000/"


def test_a_caller_does_not_believe_another_name() -> None:
    check = named(gated(*at_the_gate()))["a does not believe gate under another name"]
    assert check["url"] == "https://other.invalid:8000/"
    assert (check["address"], check["refusal"]) == ("192.0.2.9:8000", ["name_mismatch"])
    workloads, callers = at_the_gate()
    made = gated({**workloads, "a": {"host": "one", "labels": {"app": "a"}}}, callers)
    assert "that callers verify the name of gate: a has no curl with its certificate in files" in made.untried
    assert "a may call gate" in named(made), "by its SPIFFE ID all the same"


def test_the_way_through_a_gateway_is_proven_by_who_may_take_it() -> None:
    workloads, callers = at_the_gate()
    made = gated({**workloads, "inside": {**PAGE, "app": "client"}}, callers)
    check = named(made)["gate may call page, for a"]
    assert (check["from"], check["to"]) == ("a", "page")
    assert check["spiffe_id"] == "spiffe://example.org/ns/default/sa/gate", "it is the gateway that shows itself"
    assert named(made)["inside may not call page"]["control"] == "gate may call page, for a"
    assert named(made)["gate's proxy is certified by SPIRE"].get("request") is None
    assert not any(text.startswith("gate may call page") for text in made.untried)


@pytest.mark.parametrize(
    ("gate", "caller", "told"),
    [
        ({"methods": ["POST"]}, {}, "nobody may ask through it by GET"),
        ({"paths": ["/productpage"]}, {}, "gate takes no request for /health"),
        ({}, {"app": "existing", "labels": {"app": "a"}}, "none of its callers has curl and its certificate in files"),
    ],
)
def test_a_way_that_nobody_can_show_is_told(gate: Data, caller: Data, told: str) -> None:
    workloads, callers = at_the_gate()
    made = gated({**workloads, "gate": {**GATE, **gate}, "a": {**CALLER, **caller}}, callers)
    assert f"gate may call page: {told}" in made.untried


def test_a_gateway_with_a_port_of_its_node_is_asked_there() -> None:
    workloads, callers = at_the_gate()
    told = {"kubernetes_objects_endpoints": {"default/gate": "192.0.2.9:30800"}}
    made = named(gated(workloads, callers, **told))
    assert made["a may call gate"]["address"] == "192.0.2.9:30800"
    assert made["a may call gate"]["url"] == "https://app.example.org:8000/", "under its name, and verified"


def test_an_open_gateway_is_asked_by_anyone() -> None:
    workloads = {"gate": {**GATE, "dns_names": None, "port": 80}, "page": PAGE, "in": {**PAGE, "app": "client"}}
    made = gated(workloads, {"gate": ["anyone"], "page": ["gate"]})
    assert read(made)
    anyone, through = named(made)["anyone may call gate"], named(made)["gate may call page, for anyone"]
    assert "from" not in anyone
    assert (through["url"], through["path"]) == ("http://192.0.2.9:8000/", "/health")
    assert named(made)["in may not call page"]["control"] == "gate may call page, for anyone"


def test_one_of_another_trust_domain_is_no_client_of_a_gateway() -> None:
    workloads, callers = at_the_gate()
    told = {
        "one": ADDRESS,
        "two": ADDRESS,
        "three": {"trustmesh_trust_domain": "other.example"},
    }
    groups = {name: [*hosts, "three"] for name, hosts in APART.items() if name != "mesh"} | {"mesh": APART["mesh"]}
    made = proof(meshes.mesh({**workloads, "far": {**CALLER, "host": "three"}}, callers, groups, told))
    check = named(made)["far may not call gate"]
    assert check["client_spiffe_id"] == "spiffe://other.example/ns/default/sa/far"
    assert "refusal" not in check, "by an alert: nobody there knows its authorities"
    assert read(made)


# A common CA, and an istiod that SPIRE certifies

UNDER_ONE = {**APART, "upstream_ca": ["one", "two"]}


def test_servers_under_one_ca_show_the_same_and_the_ca_is_in_the_chains() -> None:
    made = gated(*at_the_gate(), UNDER_ONE)
    assert read(made)
    same = named(made)["the SPIRE servers of one and two show the same X.509 authorities"]
    assert same["servers"] == ["one", "two"]
    assert {same["from"], same["to"]} <= {place["name"] for place in made.endpoints}
    lengths = {check["name"]: check.get("length") for check in made.checks if check["type"] == "certificate_chain"}
    assert lengths == {
        "gate presents its whole chain": 3,
        "a's sidecar holds its whole chain": 3,
        "page's sidecar holds its whole chain": 3,
    }
    apart = {"one": {"trustmesh_trust_domain": "one.example"}}
    made = proof(meshes.mesh({"a": CALLER}, {}, UNDER_ONE, apart))
    assert not any(check["type"] == "same_authorities" for check in made.checks)


def test_a_server_that_is_also_joined_by_token_is_one_place() -> None:
    groups = {**UNDER_ONE, "clusters": ["one", "two", "three"], "spire_agent": ["one", "two", "three"]}
    made = proof(meshes.mesh({"a": CALLER}, {}, groups, {}))
    places = [place for place in made.endpoints if place["name"] == "SPIRE server of one"]
    assert [place["address"] for place in places] == ["?:8081"]


def test_an_istiod_of_spire_is_looked_at_and_issues_nothing() -> None:
    workloads, callers = at_the_gate()
    outside = {"host": "two", "app": "client", "identity": False, "namespace": "out"}
    made = gated({**workloads, "out": outside}, callers, istio_control_plane_identity="spire")
    assert read(made)
    assert made.istio_roots == []
    asked = {check["name"]: check for check in made.checks if check["to"] == "istiod of two"}
    assert {name: check["type"] for name, check in asked.items()} == {
        "istiod of two is certified by SPIRE": "peer_certificate",
        "istiod of two is certified by SPIRE for webhooks": "peer_certificate",
        "istiod of two presents its whole chain": "certificate_chain",
        "istiod of two issues no certificates": "no_certificate_service",
        "the API server of two knows istiod by SPIRE's authorities": "webhook_authorities",
        "the proxies of two know istiod by SPIRE's authorities": "published_authorities",
    }
    assert {check.get("from") for check in asked.values()} == {"out", None}, "best one without a sidecar"
    shown = asked["istiod of two is certified by SPIRE"]
    assert shown["dns_names"][0] == shown["server_name"] == "istiod.istio-system.svc"
    assert asked["istiod of two is certified by SPIRE for webhooks"]["address"] == "istiod.istio-system.svc:443"
    assert asked["the API server of two knows istiod by SPIRE's authorities"]["service"] == "istiod"
    assert asked["the proxies of two know istiod by SPIRE's authorities"]["namespaces"] == ["default"]
    forged = named(made)["a's SPIFFE ID from a CA named as istiod's would be may not call gate"]
    assert forged["client"] == "istiod"


def test_an_istiod_that_nobody_can_ask_is_told() -> None:
    groups = {name: ["one"] for name in APART}
    existing = {"host": "one", "labels": {"app": "a"}}
    told = {"one": {"istio_control_plane_identity": "spire"}}
    made = proof(meshes.mesh({"a": existing}, {}, groups, told))
    assert "what istiod of one presents: no workload of one has python3 to ask it" in made.untried
    assert "whether istiod of one issues certificates: no workload of one has curl to ask it" in made.untried
    assert named(made)["the API server of one knows istiod by SPIRE's authorities"]


def test_one_istiod_of_spire_beside_one_that_has_a_ca() -> None:
    told = {"one": {"istio_control_plane_identity": "spire"}}
    made = proof(meshes.mesh({"a": CLIENT}, {}, APART, told))
    assert [root["cluster"] for root in made.istio_roots] == ["two"]
    assert not any("istiod of two" in check["name"] for check in made.checks)


# Single cases


def test_pods_of_one_identity_are_not_told_apart() -> None:
    same = {name: {**CLIENT, "service_account": "same"} for name in ("a", "b")}
    made = proof(up({**same, "c": CLIENT, "q": QUOTE}, {"q": ["a"]}))
    assert "c may not call q" in kinds(made)
    assert not any("b may not" in text for text in [*kinds(made), *made.untried])


def test_anyone_means_that_nobody_is_refused() -> None:
    made = proof(up({"a": CLIENT, "x": {**CLIENT, "identity": False}, "q": QUOTE}, {"q": ["anyone", "a"]}, meshes.ONE))
    assert {check["type"] for check in made.checks} == {"request", "sidecar_certificate", "peer_certificate"}


def test_a_request_goes_through_an_envoy_to_its_only_callee() -> None:
    made = proof(
        up(
            {"a": CLIENT, "g": {"host": "one", "app": "envoy"}, "q": {**QUOTE, "paths": ["/today"]}},
            {"g": ["a"], "q": ["g"]},
        )
    )
    request = next(check for check in made.checks if check["type"] == "request")
    assert (request["url"], request["json_key"], request["path"]) == (
        "http://g.default.svc.cluster.local:80/",
        "quote",
        "/today",
    )


def test_a_caller_with_an_envoy_asks_at_its_own_loopback() -> None:
    mesh = up({"a": {**CLIENT, "envoy": True}, "q": {**QUOTE, "host": "two", "envoy": True}}, {"q": ["a"]})
    made = proof(mesh)
    request = next(check for check in made.checks if check["type"] == "request")
    assert request["url"] == "http://127.0.0.1:10080/"
    assert kinds(made)["a may call q, by its SPIFFE ID"] == "accepted_handshake"
    (quote,) = (item for item in made.endpoints if item["name"] == "q")
    assert quote["address"] == "192.0.2.2:30001"


def test_the_proof_asks_only_by_get() -> None:
    made = proof(up({"a": CLIENT, "q": {**QUOTE, "methods": ["POST"]}}, {"q": ["a"]}, meshes.ONE))
    assert made.checks == []
    assert made.untried == ["who may call q, and who may not: the proof asks by GET, which is none of the methods of q"]


@pytest.mark.parametrize(("tools", "tried"), [(["curl"], True), (["python3"], False)])
def test_an_envoy_inside_its_cluster_is_tried_from_there(tools: list[str], tried: bool) -> None:
    mesh = up(
        {
            "a": {**CLIENT, "envoy": True, "tools": tools},
            "q": {**QUOTE, "envoy": True},
            "x": {**CLIENT, "identity": False},
            "y": CLIENT,
        },
        {"q": ["a"]},
    )
    made = proof(mesh)
    assert ("x may not call q" in kinds(made)) is tried
    assert (
        any(text.startswith("y may not call q: it is reached from inside one only") for text in made.untried) is tried
    )
    both = "who may call q, and who may not: it is not exposed, and no caller can send a request"
    assert (both in made.untried) is not tried


def test_an_envoy_asks_nobody_by_itself_so_somebody_asks_through_it() -> None:
    front = {"host": "one", "app": "envoy", "mesh": False}
    mesh = up(
        {
            "a": {**CLIENT, "envoy": True},
            "front": front,
            "x": {"host": "one", "port": 81, "envoy": True, "labels": {"app": "x"}},
        },
        {"front": ["a"], "x": ["a", "front"]},
    )
    (asked,) = (check for check in proof(mesh).checks if check["name"] == "front may call x, for a")
    assert (asked["from"], asked["to"], asked["url"]) == ("a", "x", "http://127.0.0.1:18443/")


def test_join_tokens_are_tried_again_where_there_are_any() -> None:
    made = proof(up({"a": CLIENT}, {}))
    assert kinds(made) == {"the join token of two works once": "token_reuse"}
    assert read(made)
    assert proof(up({"a": CLIENT}, {}, meshes.ONE)).checks == []


def test_how_clusters_and_servers_are_reached_is_handed_on() -> None:
    told = {
        "kubernetes_cluster": {"name": "one", "nodes": [], "kubectl": "k", "kubeconfig": "/x", "context": "c"},
        "spire_server_connection": {"pod": "statefulset/spire-server", "namespace": "spire-server"},
        "istio_namespace": "istio",
    }
    data = proof(meshes.mesh({"a": CLIENT}, {}, meshes.ONE, {"one": told})).data()
    assert data["clusters"] == [{"name": "one", "kubectl": "k", "kubeconfig": "/x", "context": "c"}]
    assert data["servers"] == [
        {
            "name": "one",
            "cluster": "one",
            "trust_domain": "example.org",
            "pod": "statefulset/spire-server",
            "namespace": "spire-server",
        }
    ]
    assert data["istio_roots"] == [{"cluster": "one", "namespace": "istio"}]

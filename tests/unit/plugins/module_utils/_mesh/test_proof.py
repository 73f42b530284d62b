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
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import NEGATIVE, POSITIVE, TYPES, Check
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
    told = {host: {"kubernetes_objects_endpoints": endpoints, **((variables or {}).get(host) or {})} for host in hosts}
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
    try:
        return up(workloads, _mended(workloads, callers, groups, mesh_id), groups, {"one": mesh_id, "two": mesh_id})
    except InputError:
        assume(False)
        raise


def _workload(draw: st.DrawFn, name: str) -> Data:
    host = draw(st.sampled_from(["one", "one", "two", "vm"]))
    if host == "vm":
        return {"host": host, "selectors": [f"unix:user:{name}"], "tools": ["curl", "python3"]}
    app = draw(st.sampled_from(["client", "quote", "quote", "envoy", "existing"]))
    found: Data = {"host": host, "app": app}
    if app == "existing":
        found |= {"port": 80, "labels": {"app": name}}
        found |= {"tools": ["curl"]} if draw(st.booleans()) else {}
    if app == "client":
        found |= {"port": 80}
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


def _mended(workloads: Data, callers: Data, groups: Any, variables: Data) -> Data:
    """Take out of ``callers`` what cannot be, so that most meshes are good ones."""
    kept: Data = {}
    for callee, names in callers.items():
        good = []
        for name in names:
            try:
                probe = {**{w: {**v, "expose": False} for w, v in workloads.items() if w in (callee, name)}}
                extra = {"helper": {"host": "one", "app": "client", "envoy": True, "local_port": 19999}}
                wanted = {callee: [name]}
                for other in (callee, name):
                    if workloads.get(other, {}).get("app") == "envoy" and other not in wanted:
                        # An Envoy needs somebody who calls it.
                        host = workloads[other]["host"]
                        extra["helper"] |= {"host": host, "envoy": workloads[other].get("mesh") is False}
                        if host not in groups["mesh"]:
                            extra["helper"]["envoy"] = True
                        wanted[other] = ["helper"]
                up({**probe, **extra}, wanted, groups, {"one": variables, "two": variables})
            except InputError:
                continue
            good.append(name)
        if good:
            kept[callee] = good
    # Envoys that nobody may call any more are no good: let them go.
    for name in [name for name, item in workloads.items() if item.get("app") == "envoy" and name not in kept]:
        del workloads[name]
        kept = {callee: [n for n in names if n != name] for callee, names in kept.items() if callee != name}
    return {callee: names for callee, names in kept.items() if names}


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


MANY = settings(max_examples=100, deadline=None)


@MANY
@given(generated())
def test_each_proof_is_one_that_can_be_made(mesh: Mesh) -> None:
    made = proof(mesh)
    if made.checks:
        read(made)
    event(f"{len(made.checks) // 10}0 checks or more")
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
        negative = {
            name
            for check in about
            if check.kind == NEGATIVE and check.fields.get("client") != "foreign_ca"
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
        if check.kind != NEGATIVE or callee is None or check.fields.get("client") == "foreign_ca":
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
        if callee.guard == "mesh":
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
            guarded = listener.get("allowed_spiffe_ids") or envoy["mesh"] or config.is_loopback(listener["address"])
            assert guarded


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


def test_an_envoy_that_no_request_shows_is_told() -> None:
    front = {"host": "one", "app": "envoy", "mesh": False}
    mesh = up(
        {
            "a": {**CLIENT, "envoy": True},
            "front": front,
            "x": {"host": "one", "port": 81, "envoy": True, "labels": {"app": "x"}},
        },
        {"front": ["a"], "x": ["a", "front"]},
    )
    assert "front may call x: nothing in its container can send a request" in proof(mesh).untried


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

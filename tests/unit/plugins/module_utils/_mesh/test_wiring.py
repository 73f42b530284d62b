# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Istio that comes over to SPIRE: what its inventory has to say, and what is proven at each stage."""

from __future__ import annotations

from typing import Any

import meshes
import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import derive
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.model import Mesh
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.proof import Proof, proof
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import reading

Data = dict[str, Any]
GROUPS = {**meshes.ONE, "upstream_ca": ["one"]}
WANTED: Data = {
    "istio_wire_from": "default",
    "istio_overlay": {"spec": {"revision": "spire"}},
    "istio_control_plane_identity": "spire",
}
WORKLOADS: Data = {
    "web": {"host": "one", "namespace": "shop", "app": "client"},
    "cart": {"host": "one", "namespace": "cart", "app": "echo"},
    "bank": {"host": "one", "namespace": "bank", "app": "echo"},
    "batch": {"host": "one", "namespace": "outside", "app": "client", "identity": False},
}
CALLERS = {"cart": ["web"], "bank": ["cart"]}
ISSUES = "istiod of one issues no certificates"


def mesh(stage: Data | None = None, groups: Any = None, **variables: Any) -> Mesh:
    told = {**meshes.node(1), "kubernetes_cluster": meshes.node(1), **WANTED, **variables}
    if stage is not None:
        told["istio_wiring"] = stage
    return meshes.mesh(WORKLOADS, CALLERS, groups or GROUPS, {"one": told})


def at(stage: Data | None) -> Proof:
    """The proof of a stage, read as the role verify reads it."""
    made = proof(mesh(stage))
    servers = {server["name"]: server["trust_domain"] for server in made.servers}
    reading.read_checks(made.checks, reading.read_mesh(made.endpoints, servers, meshes.names(made.clusters)))
    return made


def certifiers(made: Proof) -> dict[str, str]:
    found = [check for check in made.checks if check["type"] == "sidecar_certificate"]
    return {check["to"]: check.get("certified_by", "spire") for check in found}


def test_what_is_taken_down_once_is_the_same_at_each_stage() -> None:
    stages = [None, {"begun": True, "moved": ["cart"], "moving": ["shop"]}, {"over": True}]
    made = [derive.role_variables(mesh(stage), "one") for stage in stages]
    assert made[0] != made[2]
    settled = [{name: variables[name] for name in derive.SETTLED} for variables in made]
    assert settled[0] == settled[1] == settled[2]


@pytest.mark.parametrize("stage", [None, {"begun": False, "moved": []}], ids=["not looked at", "not begun"])
def test_before_anything_is_changed_calls_are_proven_and_who_certifies(stage: Data | None) -> None:
    made = at(stage)
    assert certifiers(made) == {"web": "istiod", "cart": "istiod", "bank": "istiod"}
    assert "web may call cart" in {check["name"] for check in made.checks}
    assert made.servers == [], "there is none yet that could be asked"
    assert not [check for check in made.checks if check["type"].startswith(("refused", "closed"))]
    assert "who may not call cart: SPIRE, and with it what holds in the mesh, is still to come" in made.untried


def test_in_between_each_is_certified_by_whoever_is_to() -> None:
    made = at({"begun": True, "moved": ["cart"], "moving": ["shop"]})
    assert certifiers(made) == {"web": "either", "cart": "spire", "bank": "istiod"}
    names = {check["name"] for check in made.checks}
    assert {"bank's sidecar is certified by istiod", "cart's sidecar is certified by SPIRE"} <= names
    assert "web may not call bank" in names, "refused from here on, whoever has certified whom"
    shown = {check["to"]: check.get("certified_by") for check in made.checks if check["type"] == "peer_certificate"}
    assert shown["bank"] == "istiod"
    assert shown["cart"] is None
    assert [root["cluster"] for root in made.istio_roots] == ["one"]
    forged = {check["client"] for check in made.checks if check["type"] == "refused_handshake"}
    assert "foreign_ca" in forged
    assert "istiod" not in forged, "it is believed as long as somebody has a certificate of it"
    assert ISSUES not in names


def test_in_the_end_no_istiod_is_believed() -> None:
    made = at({"over": True, "begun": True, "moved": ["bank", "cart", "shop"]})
    assert certifiers(made) == {"web": "spire", "cart": "spire", "bank": "spire"}
    assert ISSUES in {check["name"] for check in made.checks}
    assert made.istio_roots == []
    forged = {check["client"] for check in made.checks if check["type"] == "refused_handshake"}
    assert "istiod" in forged


def test_istiod_publishes_its_root_until_it_goes_and_spire_from_then_on() -> None:
    during = derive.role_variables(mesh({"begun": True}), "one")
    assert during["spire_server_published_bundles"] == []
    assert during["upstream_ca_istio_namespace"] == "istio-system"
    after = derive.role_variables(mesh({"begun": True, "over": True}), "one")
    assert [one["namespace"] for one in after["spire_server_published_bundles"]] == ["bank", "cart", "shop"]
    assert after["upstream_ca_istio_namespace"] == ""


@pytest.mark.parametrize(("own_root", "length"), [(True, 3), (False, None)])
def test_a_chain_is_counted_where_the_ca_above_is_a_root(own_root: bool, length: int | None) -> None:
    made = proof(mesh({"begun": True, "moved": ["shop"]}, upstream_ca={"self_signed": own_root}))
    held = [check["length"] for check in made.checks if check["name"] == "web's sidecar holds its whole chain"]
    assert held == ([length] if length else [])


@pytest.mark.parametrize(
    ("variables", "groups", "words"),
    [
        ({}, meshes.ONE, "is not in upstream_ca"),
        ({"istio_overlay": {}}, None, "istio_overlay names no other revision"),
        ({"istio_overlay": {"spec": {"revision": "default"}}}, None, "istio_overlay names no other revision"),
        ({"istio_control_plane_identity": "istiod"}, None, "Say istio_control_plane_identity: spire"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_touched(variables: Data, groups: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        mesh(None, groups, **variables)


def test_clusters_come_over_one_at_a_time() -> None:
    groups = {name: ["one", "two"] for name in GROUPS}
    told = {
        name: {**WANTED, "kubernetes_cluster": meshes.node(number)} for number, name in enumerate(("one", "two"), 1)
    }
    with pytest.raises(InputError, match="bring over one at a time"):
        meshes.mesh(WORKLOADS, CALLERS, groups, told)

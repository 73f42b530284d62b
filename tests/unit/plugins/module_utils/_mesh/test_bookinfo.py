# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bookinfo in an inventory: versions by label, a Service that several share, and whom each asks."""

from __future__ import annotations

from typing import Any

import meshes
import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import derive
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.proof import proof
from networks import BOOKS

Data = dict[str, Any]


def book(app: str, **fields: Any) -> Data:
    return {"host": "one", "app": app, **fields}


READER = {"reader": {"host": "one", "app": "client"}}


def faults(workloads: Data) -> list[str]:
    with pytest.raises(InputError) as refused:
        meshes.mesh(workloads, {})
    return refused.value.message.splitlines()


def apps(mesh: Any, host: str = "one") -> dict[str, Data]:
    return {item["name"]: item for item in derive.demo_apps(mesh, host)}


def test_labels_that_are_given_are_laid_over_those_of_the_application() -> None:
    found = meshes.mesh(
        {
            "r": book("reviews"),
            "r2": book("reviews", labels={"version": "v2"}),
            "p": book("productpage", labels={"app": "page", "tier": "front"}),
        }
    ).workloads
    assert found["r"].labels == {"app.kubernetes.io/name": "r", "app": "reviews", "version": "v1"}
    assert found["r2"].labels == {"app": "reviews", "version": "v2"}
    assert found["p"].labels == {"app": "page", "tier": "front", "version": "v1"}


def test_versions_behind_one_service_are_found_by_what_they_have_in_common() -> None:
    found = apps(BOOKS)
    for version in ("v1", "v2", "v3"):
        workload = found[f"reviews-{version}"]
        assert workload["service"] == {"name": "reviews", "port": 9080, "selector": {"app": "reviews"}}
        assert workload["labels"]["version"] == version
        assert workload["service_account"] == f"reviews-{version}"
    assert found["details"]["service"] == {"name": "details", "port": 9080}, "alone, it is found by all of its labels"


def test_each_version_has_a_policy_and_an_identity_of_its_own() -> None:
    policies = {item["name"]: item for item in derive.policies(BOOKS, "one")}
    assert policies["callers-of-reviews-v2"]["selector"] == {"app": "reviews", "version": "v2"}
    assert policies["callers-of-ratings"]["principals"] == [
        f"example.org/ns/books/sa/reviews-{version}" for version in ("v2", "v3")
    ]


@pytest.mark.parametrize(
    ("one", "other", "third", "text"),
    [
        (
            book("quote", service="both"),
            book("quote", service="both"),
            {},
            "one and two share the Service both, and no label by which it could find their pods. Give them one in"
            " common.",
        ),
        (
            book("reviews", service="both"),
            book("reviews", service="both", port=80),
            {},
            "one and two share the Service both, which has one port, and not the same port and listens. Give each the"
            " same.",
        ),
        (
            book("reviews", service="both"),
            book("reviews", service="both"),
            {"three": book("reviews")},
            "one and two share the Service both, and three has the labels that they have in common. Give them another"
            " one.",
        ),
    ],
)
def test_a_service_that_could_not_lead_to_its_pods_is_refused(one: Data, other: Data, third: Data, text: str) -> None:
    assert faults({"one": one, "two": other, **third}) == [f"trustmesh_workloads: {text}"]


def test_only_what_one_service_leads_to_is_shared() -> None:
    mesh = meshes.mesh(
        {
            "a": book("reviews", service="reviews"),
            "b": book("reviews", service="reviews", namespace="elsewhere"),
            "d": book("reviews", service="reviews", identity=False),
            "e": {"host": "one", "app": "client", "service": "reviews"},
        }
    )
    assert "selector" not in apps(mesh)["a"]["service"]


# Whom each asks


def test_those_beside_it_are_found_by_their_names() -> None:
    assert all("upstreams" not in item for item in apps(BOOKS).values())


def test_those_elsewhere_are_named() -> None:
    mesh = meshes.mesh(
        {
            "page": book("productpage"),
            "details": book("details", namespace="shelf"),
            "opinions": book("reviews"),
            "ratings": book("ratings", port=80),
        },
        {"details": ["page"], "opinions": ["page"], "ratings": ["opinions", "page"]},
    )
    found = apps(mesh)
    ratings = "http://ratings.default.svc.cluster.local:80"
    assert found["page"]["upstreams"] == {
        "details": "http://details.shelf.svc.cluster.local:9080",
        "reviews": "http://opinions.default.svc.cluster.local:9080",
        "ratings": ratings,
    }
    assert found["opinions"]["upstreams"] == {"ratings": ratings}


def test_those_behind_envoys_are_asked_through_its_own() -> None:
    mesh = meshes.mesh(
        {
            "page": book("productpage", envoy=True),
            "details": book("details", host="two", envoy=True),
            "shop": book("existing", envoy=True, port=80, labels={"app": "shop"}),
        },
        {"details": ["page"], "shop": ["page"]},
        meshes.TWO,
    )
    assert apps(mesh)["page"]["upstreams"] == {"details": "http://127.0.0.1:19080"}


# The proof


def test_the_proof_asks_where_an_application_says_who_it_is() -> None:
    made = proof(BOOKS)
    asked = {(check["to"], check["path"], check["json_key"]) for check in made.checks if check["type"] == "request"}
    assert asked == {
        ("productpage", "/health", "status"),
        ("details", "/details/0", "author"),
        ("ratings", "/ratings/0", "ratings"),
        *((f"reviews-{version}", "/reviews/0", "reviews") for version in ("v1", "v2", "v3")),
    }


@pytest.mark.parametrize(
    ("fields", "path", "key"),
    [
        ({"paths": ["/productpage", "/health"]}, "/health", "status"),
        ({"paths": ["/productpage"]}, "/productpage", None),
        ({"probe_path": "/api/v1/products"}, "/api/v1/products", None),
    ],
)
def test_where_it_says_something_else_no_key_is_looked_for(fields: Data, path: str, key: str | None) -> None:
    mesh = meshes.mesh({**READER, "page": book("productpage", **fields)}, {"page": ["reader"]})
    made = proof(mesh)
    (request,) = (check for check in made.checks if check["type"] == "request")
    assert (request["path"], request.get("json_key")) == (path, key)
    (shown,) = (c for c in made.checks if c["type"] == "sidecar_certificate" and c["to"] == "reader")
    assert shown.get("request") == (request["name"] if key else None), "a page shows nobody who called"


def test_the_proof_asks_helloworld_who_answers_and_for_whom() -> None:
    mesh = meshes.mesh({**READER, "hello": book("helloworld", labels={"version": "v2"})}, {"hello": ["reader"]})
    workload = mesh.workloads["hello"]
    assert (workload.port, workload.labels) == (5000, {"app": "helloworld", "version": "v2"})
    made = proof(mesh)
    (request,) = (check for check in made.checks if check["type"] == "request")
    assert (request["path"], request["json_key"]) == ("/version", "version")
    (shown,) = (c for c in made.checks if c["type"] == "sidecar_certificate" and c["to"] == "reader")
    assert shown["request"] == request["name"]


def test_every_pair_of_services_is_tried() -> None:
    kinds = {check["name"]: check["type"] for check in proof(BOOKS).checks}
    assert kinds["reviews-v2 may call ratings"] == "request"
    assert kinds["reviews-v1 may not call ratings"] == "refused_request"
    assert kinds["details may not call reviews-v3"] == "refused_request"
    assert kinds["nobody may not call reviews-v1 in plain text"] == "refused_request"


def test_who_may_be_met_in_the_place_of_another_is_not_judged_by_a_handshake() -> None:
    made = proof(BOOKS)
    to = {check["to"] for check in made.checks if check["type"] in ("peer_certificate", "refused_handshake")}
    assert to == {"productpage", "details", "ratings"}
    assert [text for text in made.untried if text.startswith("handshakes")] == [
        f"handshakes with reviews-{one} alone: the Service reviews also leads to reviews-{two} and reviews-{three}"
        for one, two, three in (("v1", "v2", "v3"), ("v2", "v1", "v3"), ("v3", "v1", "v2"))
    ]
    same = {f"r{n}": book("reviews", service="r", service_account="r", labels={"version": f"v{n}"}) for n in (1, 2)}
    made = proof(meshes.mesh({**READER, **same, "x": {**READER["reader"], "identity": False}}, {"r": ["reader"]}))
    assert not any(text.startswith("handshakes") for text in made.untried), "whoever answers has the same SPIFFE ID"
    assert {"r1", "r2"} <= {check["to"] for check in made.checks if check["type"] == "peer_certificate"}

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bookinfo as the role demo_app would apply it."""

from __future__ import annotations

import ast
from typing import Any

import pytest
import yaml
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.apps import APPS, ENVOY, EXISTING, GATEWAY
from playbook import ROOT
from rendering import Rendered

NAMES = ("productpage", "details", "ratings", "reviews-v1", "reviews-v2", "reviews-v3")
PROGRAM = ROOT / "roles" / "images" / "files" / "programs" / "bookinfo"


def of_kind(rendered: Rendered, kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind in the namespace of the books, as they are sent."""
    return {
        item["metadata"]["name"]: item
        for item in rendered.applied("books-one")
        if item["kind"] == kind and item["metadata"].get("namespace") == "books"
    }


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return only


def test_services_have_the_names_and_the_port_that_others_route_by(rendered: Rendered) -> None:
    services = of_kind(rendered, "Service")
    assert set(services) == {"productpage", "details", "reviews", "ratings"}
    for service in services.values():
        assert service["spec"]["ports"] == [{"name": "http", "port": 9080, "targetPort": 9080}]


def test_a_service_leads_to_all_that_share_it_and_to_nobody_else(rendered: Rendered) -> None:
    deployments = of_kind(rendered, "Deployment")
    assert set(deployments) == set(NAMES)
    for name, service in of_kind(rendered, "Service").items():
        found = {
            workload
            for workload, item in deployments.items()
            if service["spec"]["selector"].items() <= item["spec"]["template"]["metadata"]["labels"].items()
        }
        assert found == ({"reviews-v1", "reviews-v2", "reviews-v3"} if name == "reviews" else {name})


def test_a_service_that_several_share_is_said_once(rendered: Rendered) -> None:
    found = [item for item in rendered.objects("books-one", "demo_app") if item["kind"] == "Service"]
    assert len(found) == 4
    assert of_kind(rendered, "Service")["reviews"]["spec"]["selector"] == {"app": "reviews"}


@pytest.mark.parametrize("name", NAMES)
def test_pods_say_which_application_and_version_they_are(rendered: Rendered, name: str) -> None:
    app, _dash, version = name.partition("-")
    template = of_kind(rendered, "Deployment")[name]["spec"]["template"]
    wanted = {"app.kubernetes.io/name": name, "app": app, "version": version or "v1"}
    assert wanted.items() <= template["metadata"]["labels"].items()
    assert template["spec"]["serviceAccountName"] == name
    assert of_kind(rendered, "ServiceAccount")[name]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", NAMES)
def test_all_are_one_program_that_is_told_which_it_is(rendered: Rendered, name: str) -> None:
    app, _dash, version = name.partition("-")
    found = container(of_kind(rendered, "Deployment")[name])
    assert found["image"] == rendered.value("books-one", "images", "refs")["bookinfo"]
    assert found["command"] == ["python3", "/app/main.py", app]
    more = [f"--version={version}", "--cluster=test"] if app == "reviews" else []
    assert found["args"] == ["--address=", "--port=9080", *more]


def test_the_image_is_another_one_when_a_file_of_the_program_is(rendered: Rendered) -> None:
    tags = {rendered.value(mode, "images", "refs")["bookinfo"].rpartition(":")[2] for mode in ("official", "packages")}
    assert len(tags) == 1
    (tag,) = tags
    assert len(tag) == 12
    files = [path for path in PROGRAM.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.parent for path in files} == {PROGRAM, PROGRAM / "static"}, "the folders of which the tag is made"


def test_by_hand_it_gets_the_same_labels_and_says_where_others_are(rendered: Rendered) -> None:
    found = {
        item["metadata"]["name"]: item
        for item in rendered.objects("books", "demo_app")
        if item["kind"] in ("Deployment", "Service")
    }
    assert found["reviews"]["spec"]["selector"] == {"app": "reviews"}
    labels = found["reviews-v1"]["spec"]["template"]["metadata"]["labels"]
    assert {"app.kubernetes.io/name": "reviews-v1", "app": "reviews", "version": "v1"}.items() <= labels.items()
    assert container(found["hello"])["command"] == ["python3", "/app/main.py", "helloworld"]
    assert container(found["hello"])["args"] == ["--address=", "--port=5000", "--version=v7"]
    assert container(found["page"])["args"] == ["--address=", "--port=9080", "--ratings=http://127.0.0.1:1"]


def test_what_the_program_would_not_understand_is_refused_before(rendered: Rendered) -> None:
    assert rendered.value("books", "demo_app", "problems") == [
        "demo_app_workloads: reviews-v4: the label version of reviews is one of v1, v2, v3.",
        "demo_app_workloads: upstreams: other asks no details.",
    ]
    assert rendered.value("books-one", "demo_app", "problems") == []


def test_the_role_and_the_inventory_mean_the_same_applications() -> None:
    said = yaml.safe_load((ROOT / "roles" / "demo_app" / "vars" / "main.yml").read_text())
    ours = {name: app for name, app in APPS.items() if name not in (EXISTING, ENVOY, GATEWAY)}
    assert said["__demo_app_commands"].keys() == ours.keys()
    assert said["__demo_app_labels"] == {name: dict(app.labels) for name, app in ours.items() if app.labels}
    assert said["__demo_app_asks"] == {name: list(app.asks) for name, app in ours.items() if app.asks}


def test_the_role_knows_the_versions_of_the_program() -> None:
    said = yaml.safe_load((ROOT / "roles" / "demo_app" / "vars" / "main.yml").read_text())
    (colors,) = (
        node.value
        for node in ast.parse((PROGRAM / "books.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COLORS"
    )
    assert list(ast.literal_eval(colors)) == said["__demo_app_versions"]

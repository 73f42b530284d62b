# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istio_revision_tag against a real API server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ..conftest import binary, run_module
from ..kubernetes_api import Api
from .test_istio_install import OVERLAY, did, hooks, install, remove

HOOK = ("mutatingwebhookconfiguration", "istio-revision-tag-prod")
SERVICE = ("service", "istiod-revision-tag-prod", "-n", "istio-system")
NEW = {"spec": {**OVERLAY["spec"], "revision": "new"}}
OF_NEW = {"spec": {"revision": "new"}}


def tag(api: Api, *, check: bool = False, **more: Any) -> dict[str, Any]:
    args = {
        "name": "prod",
        "istioctl": binary("istioctl"),
        "kubectl": binary("kubectl"),
        "kubeconfig": api.kubeconfig,
        **({} if more.get("state") == "absent" else {"revision": "default"}),
        **more,
    }
    return run_module("istio_revision_tag", args, check=check)


def label(api: Api, value: str) -> None:
    api.kubectl("label", "namespace", "default", f"istio.io/rev{value}", "--overwrite")


@pytest.fixture
def mesh(api: Api) -> Iterator[Api]:
    for overlay in (OVERLAY, NEW):
        result = install(api, overlay)
        assert "msg" not in result, result["msg"]
    yield api
    label(api, "-")
    for name in ("prod", "default"):
        tag(api, name=name, state="absent", force=True)
    install(api, OF_NEW, state="absent", force=True)
    remove(api, force=True)


def rendered(api: Api, name: str, revision: str) -> list[Any]:
    argv = [binary("istioctl"), "--kubeconfig", api.kubeconfig, "tag", "generate", name, "--revision", revision]
    done = subprocess.run([*argv, "--overwrite"], text=True, capture_output=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def test_the_tag_is_that_of_istioctl_and_moves_with_the_bundle_of_its_revision(mesh: Api) -> None:
    hooks(mesh, ("mutatingwebhookconfiguration", "istio-sidecar-injector"), clientConfig__caBundle="b2xk")
    hooks(mesh, ("mutatingwebhookconfiguration", "istio-sidecar-injector-new"), clientConfig__caBundle="bmV3")
    label(mesh, "=prod")
    predicted, done = tag(mesh, check=True), tag(mesh)
    assert predicted["actions"] == done["actions"]
    assert did(done) == [
        "created Service istio-system/istiod-revision-tag-prod",
        "created MutatingWebhookConfiguration istio-revision-tag-prod",
    ]
    assert done["tag"] == {"name": "prod", "revision": "default", "before": "", "namespaces": ["default"]}
    assert not tag(mesh)["changed"]
    (theirs, _service) = rendered(mesh, "prod", "default")
    ours = mesh.get(*HOOK)
    assert {k: v for k, v in ours["metadata"]["labels"].items() if "operator" not in k} == theirs["metadata"]["labels"]
    for mine, other in zip(ours["webhooks"], theirs["webhooks"], strict=True):
        for what in ("name", "namespaceSelector", "objectSelector", "failurePolicy", "reinvocationPolicy"):
            assert mine[what] == other[what]
        assert mine["clientConfig"]["service"] == other["clientConfig"]["service"]
        assert mine["clientConfig"]["caBundle"] == "b2xk"
    predicted, done = tag(mesh, revision="new", check=True), tag(mesh, revision="new")
    assert predicted["actions"] == done["actions"]
    assert done["tag"]["before"] == "default"
    assert {action["verb"] for action in done["actions"]} == {"updated"}
    assert {hook["clientConfig"]["caBundle"] for hook in mesh.get(*HOOK)["webhooks"]} == {"bmV3"}
    assert mesh.get(*SERVICE)["spec"]["selector"]["istio.io/rev"] == "new"
    assert not tag(mesh, revision="new")["changed"]
    assert not install(mesh)["changed"], "neither revision takes it for its own"
    assert not install(mesh, NEW)["changed"]


def test_neither_a_tag_nor_its_revision_goes_while_somebody_asks_for_it(mesh: Api) -> None:
    tag(mesh, revision="new")
    label(mesh, "=prod")
    refused = tag(mesh, state="absent")
    assert "tag prod is still in use by the namespaces default" in refused["msg"]
    refused = install(mesh, OF_NEW, state="absent")
    assert refused["users"] == ["tag prod", "namespace default (prod)"]
    label(mesh, "-")
    gone = tag(mesh, state="absent")
    assert [action["verb"] for action in gone["actions"]] == ["deleted", "deleted"]
    assert gone["tag"] == {"name": "prod", "revision": "", "before": "new", "namespaces": []}
    assert not tag(mesh, state="absent")["changed"]


@pytest.mark.thorough
def test_a_tag_of_istioctl_is_taken_over_and_that_of_an_overlay_is_not(mesh: Api) -> None:
    mesh.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(rendered(mesh, "prod", "new")))
    assert tag(mesh, revision="new")["tag"]["before"] == "new"
    tag(mesh, state="absent")
    named = json.loads(json.dumps(NEW))
    named["spec"]["values"]["revisionTags"] = ["prod"]
    install(mesh, named)
    assert "comes from the overlay of installation istio" in tag(mesh)["msg"]
    assert "deleted MutatingWebhookConfiguration istio-revision-tag-prod" in did(install(mesh, NEW))


def test_the_default_tag_takes_the_place_of_the_revision_of_that_name(mesh: Api) -> None:
    refused = tag(mesh, name="default", revision="new")
    assert (
        "default is a revision of its own in this cluster. It serves the label istio-injection=enabled"
        in refused["msg"]
    )
    remove(mesh, force=True)
    done = tag(mesh, name="default", revision="new")
    assert "created ValidatingWebhookConfiguration istiod-default-validator" in did(done)
    names = [
        hook["name"] for hook in mesh.get("mutatingwebhookconfiguration", "istio-revision-tag-default")["webhooks"]
    ]
    assert "namespace.sidecar-injector.istio.io" in names
    assert not tag(mesh, name="default", revision="new")["changed"]
    assert not install(mesh, NEW)["changed"]
    gone = tag(mesh, name="default", state="absent")
    assert "deleted ValidatingWebhookConfiguration istiod-default-validator" in did(gone)


def test_a_revision_that_is_not_there_is_an_error_and_in_check_mode_a_warning(mesh: Api) -> None:
    assert (
        "no revision next in this cluster. There is default, new. Install it first."
        in tag(mesh, revision="next")["msg"]
    )
    predicted = tag(mesh, revision="next", check=True)
    assert predicted["changed"]
    assert "no revision next" in str(predicted["warnings"])
    assert "is the revision itself" in tag(mesh, name="new", revision="new")["msg"]
    assert "name: 'Prod' cannot be used" in tag(mesh, name="Prod")["msg"]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a difference between a rendered and a live object."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.compare import (
    MISSING,
    differences,
    quantity,
    with_yielded_fields,
)
from hypothesis import given
from hypothesis import strategies as st


def deployment(**spec: Any) -> dict[str, Any]:
    container = {"name": "discovery", "image": "registry/pilot:1", **spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": {"app": "istiod"}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def of_container(wanted: dict[str, Any], live: dict[str, Any]) -> list[str]:
    prefix = "spec.template.spec.containers[discovery]."
    return [change.where.removeprefix(prefix) for change in differences(deployment(**wanted), deployment(**live))]


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        pytest.param({}, {"terminationMessagePath": "/dev/termination-log"}, id="the server adds defaults"),
        pytest.param({"resources": {"limits": {"cpu": "1000m"}}}, {"resources": {"limits": {"cpu": "1"}}}, id="cpu"),
        pytest.param({"resources": {"requests": {"memory": "1024Mi"}}}, {"resources": {"requests": {"memory": "1Gi"}}}),
        pytest.param({"resources": {"requests": {"cpu": 1}}}, {"resources": {"requests": {"cpu": "1"}}}, id="number"),
        pytest.param({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}, id="empty text left out"),
        pytest.param({"securityContext": {}}, {}, id="empty map left out"),
        pytest.param({"stdin": False}, {}, id="false left out"),
        pytest.param({"stdin": None}, {"stdin": True}, id="null asks for nothing"),
        pytest.param(
            {"ports": [{"containerPort": 8080, "name": "http"}]},
            {"ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}]},
            id="default protocol",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
            id="another program added a variable",
        ),
    ],
)
def test_what_the_server_or_others_add_is_no_difference(wanted: dict[str, Any], live: dict[str, Any]) -> None:
    assert of_container(wanted, live) == []


@pytest.mark.parametrize(
    ("wanted", "live", "where"),
    [
        ({"image": "registry/pilot:2"}, {}, "image"),
        ({"args": ["discovery", "-v"]}, {"args": ["discovery"]}, "args"),
        ({"args": ["discovery"]}, {"args": ["discovery", "-v"]}, "args"),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}, "env[A].value"),
        ({"stdin": True}, {}, "stdin"),
        ({"stdin": False}, {"stdin": True}, "stdin"),
        ({"stdin": True}, {"stdin": 1}, "stdin"),
        ({"resources": {"limits": {"cpu": "2"}}}, {"resources": {"limits": {"cpu": "1"}}}, "resources.limits.cpu"),
        ({"resources": {"limits": {"cpu": "2"}}}, {}, "resources.limits.cpu"),
        ({"readinessProbe": {"httpGet": {"path": "/ready"}}}, {"readinessProbe": "x"}, "readinessProbe"),
    ],
)
def test_a_field_that_differs_is_named(wanted: dict[str, Any], live: dict[str, Any], where: str) -> None:
    assert of_container(wanted, live) == [where]


def test_an_empty_label_is_a_value_and_not_an_unset_field() -> None:
    wanted = deployment()
    wanted["metadata"]["labels"]["mark"] = ""
    assert [change.where for change in differences(wanted, deployment())] == ["metadata.labels.mark"]


def service(target: Any) -> dict[str, Any]:
    ports = [{"name": "web", "port": 443, "targetPort": target}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": ports}}


def test_a_port_may_be_a_number_or_its_text() -> None:
    assert differences(service(15017), service("15017")) == []
    assert [change.where for change in differences(service(15017), service(15018))] == [
        "spec.ports[443/TCP].targetPort"
    ]


def definition(*versions: dict[str, Any]) -> dict[str, Any]:
    spec = {"versions": list(versions), "preserveUnknownFields": False}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "x"},
        "spec": spec,
    }


def test_the_versions_of_a_definition_are_one_value() -> None:
    v1 = {"name": "v1", "schema": {"openAPIV3Schema": {"properties": {"env": {"enum": [0, 1.5]}}}}}
    assert differences(definition(v1), definition(copy.deepcopy(v1))) == []
    assert [change.where for change in differences(definition(v1), definition(v1, {"name": "v2"}))] == ["spec.versions"]


def webhook(kind: str, policy: str, **client: Any) -> dict[str, Any]:
    hook = {"name": "v.istio.io", "failurePolicy": policy, "clientConfig": {"service": {"name": "istiod"}, **client}}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "istio"},
        "webhooks": [hook],
    }


def test_what_istiod_writes_into_its_webhooks_is_left_to_it() -> None:
    validating, mutating = "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"
    assert differences(webhook(validating, "Ignore"), webhook(validating, "Fail", caBundle="QQ==")) == []
    assert differences(webhook(mutating, "Fail", caBundle="QQ=="), webhook(mutating, "Fail", caBundle="Qg==")) == []


def test_a_failure_policy_that_the_user_asked_for_is_not_left_to_istiod() -> None:
    kind = "ValidatingWebhookConfiguration"
    assert [c.where for c in differences(webhook(kind, "Fail"), webhook(kind, "Ignore"))] == [
        "webhooks[v.istio.io].failurePolicy"
    ]
    kind = "MutatingWebhookConfiguration"
    assert [c.where for c in differences(webhook(kind, "Fail"), webhook(kind, "Ignore"))] == [
        "webhooks[v.istio.io].failurePolicy"
    ]


def test_an_update_does_not_open_a_validating_webhook_that_istiod_closed() -> None:
    kind = "ValidatingWebhookConfiguration"
    sent = with_yielded_fields(webhook(kind, "Ignore"), webhook(kind, "Fail"))
    assert sent["webhooks"][0]["failurePolicy"] == "Fail"


def owned(live: dict[str, Any], fields: dict[str, Any], manager: str = "trustmesh") -> dict[str, Any]:
    live["metadata"]["managedFields"] = [{"manager": manager, "operation": "Apply", "fieldsV1": fields}]
    return live


ENV_A_AND_B = {
    "f:spec": {
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"discovery"}': {
                        ".": {},
                        "f:name": {},
                        "f:env": {
                            'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}},
                            'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}},
                        },
                        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                    }
                }
            }
        }
    }
}
WITH_A = {"env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}
WITH_A_AND_B = {**WITH_A, "env": [*WITH_A["env"], {"name": "B", "value": "2"}]}


def test_what_we_set_before_and_render_no_more_is_removed() -> None:
    changes = differences(deployment(**WITH_A), owned(deployment(**WITH_A_AND_B), ENV_A_AND_B))
    assert [change.where for change in changes] == ["spec.template.spec.containers[discovery].env[B]"]
    assert changes[0].before == {"name": "B", "value": "2"}
    assert changes[0].after is MISSING


def test_what_others_set_is_not_removed() -> None:
    assert differences(deployment(**WITH_A), owned(deployment(**WITH_A_AND_B), ENV_A_AND_B, "someone")) == []


def test_what_we_set_and_is_gone_by_itself_is_no_difference() -> None:
    assert differences(deployment(**WITH_A), owned(deployment(**WITH_A), ENV_A_AND_B)) == []


@pytest.mark.parametrize(
    ("one", "other"), [("1", "1000m"), ("1Ki", "1024"), ("1k", "1000"), ("1e3", "1k"), ("0.5", "500m"), (2, "2")]
)
def test_equal_quantities(one: Any, other: Any) -> None:
    assert quantity(one) == quantity(other)


@pytest.mark.parametrize("text", ["", "one", "1Qi", "1.2.3", "--1"])
def test_no_quantity(text: str) -> None:
    assert quantity(text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "env", "x", "y"]), inner),
    max_leaves=12,
)


@given(JSON)
def test_an_object_never_differs_from_itself(spec: Any) -> None:
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "spec": spec}
    assert differences(wanted, copy.deepcopy(wanted)) == []

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a revision tag, for each state a cluster can be in."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.tag.model import (
    Tag,
    namespaces_of,
    points_to,
    tag_objects,
    tag_of,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.tag.plan import (
    missing_revision,
    plan_no_tag,
    plan_tag,
    refuse,
)

PROD = Tag("prod", "new", "istio-system")


def hook(name: str, revision: str, tag: str = "", bundle: str = "", **labels: str) -> dict[str, Any]:
    config = {"service": {"name": f"istiod-{revision}"}, **({"caBundle": bundle} if bundle else {})}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": name,
            "labels": {"istio.io/rev": revision, **({"istio.io/tag": tag} if tag else {}), **labels},
        },
        "webhooks": [{"name": "a", "clientConfig": config}],
    }


def validator(revision: str, **labels: str) -> dict[str, Any]:
    name = {"name": "istiod-default-validator", "labels": {"istio.io/rev": revision, **labels}}
    return {**hook("", revision), "kind": "ValidatingWebhookConfiguration", "metadata": name}


OLD, NEW = (
    hook("istio-sidecar-injector", "default", bundle="b2xk"),
    hook("istio-sidecar-injector-new", "new", bundle="bmV3"),
)
WANTED = hook("istio-revision-tag-prod", "new", "prod")
INSTALLED = {"operator.istio.io/managed": "Reconcile", "install.operator.istio.io/owning-resource": "istio"}


def did(plan: Any) -> list[str]:
    return [f"{entry['verb']} {entry['object']}" for entry in plan.actions]


def test_only_the_objects_of_the_tag_are_taken_and_they_are_nobodys() -> None:
    rendered = [
        NEW,
        hook("istio-revision-tag-prod", "new", "prod", **INSTALLED),
        hook("x", "new", "next"),
        validator("new"),
    ]
    assert tag_objects(rendered, PROD) == [WANTED]
    assert [obj["kind"] for obj in tag_objects(rendered, Tag("default", "new", "istio-system"))] == [
        "ValidatingWebhookConfiguration"
    ]


def test_it_is_made_with_the_bundle_of_its_revision_and_moved_with_that_of_the_next() -> None:
    made = plan_tag([WANTED], [OLD, NEW], PROD)
    assert did(made) == ["created MutatingWebhookConfiguration istio-revision-tag-prod"]
    assert made.to_apply[0]["webhooks"][0]["clientConfig"]["caBundle"] == "bmV3"
    there = hook("istio-revision-tag-prod", "default", "prod", "b2xk")
    moved = plan_tag([WANTED], [OLD, NEW, there], PROD)
    assert moved.actions[0]["fields"] == ["metadata.labels.istio.io/rev", "webhooks[a].clientConfig.service.name"]
    assert moved.to_apply[0]["webhooks"][0]["clientConfig"]["caBundle"] == "bmV3"
    assert not plan_tag([WANTED], [OLD, NEW, hook("istio-revision-tag-prod", "new", "prod", "b3RoZXI=")], PROD).changed


def test_a_revision_without_a_bundle_yet_leaves_what_is_there() -> None:
    bare = hook("istio-sidecar-injector-new", "new")
    assert "caBundle" not in plan_tag([WANTED], [bare], PROD).to_apply[0]["webhooks"][0]["clientConfig"]


def test_the_default_validator_is_left_to_its_revision_and_taken_from_another() -> None:
    default = Tag("default", "new", "istio-system")
    wanted = [validator("new")]
    assert plan_tag(wanted, [NEW, validator("new", **INSTALLED)], default).steps == ()
    assert did(plan_tag(wanted, [NEW, validator("old", **INSTALLED)], default)) == [
        "updated ValidatingWebhookConfiguration istiod-default-validator"
    ]
    tagged = hook("istio-revision-tag-default", "new", "default")
    assert len(plan_no_tag([NEW, tagged, validator("new")], default).steps) == 2
    assert len(plan_no_tag([NEW, tagged, validator("new", **INSTALLED)], default).steps) == 1
    assert plan_no_tag([NEW, validator("new")], default).steps == (), "no tag, so it is somebody else's"


def test_a_name_that_means_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="a revision of its own"):
        refuse(Tag("new", "default", "istio-system"), [OLD, NEW])
    with pytest.raises(InputError, match="comes from the overlay of installation istio"):
        refuse(PROD, [NEW, hook("istio-revision-tag-prod", "new", "prod", **INSTALLED)])
    refuse(PROD, [OLD, NEW, WANTED])
    with pytest.raises(InputError, match="is the revision itself"):
        tag_of({"name": "new", "revision": "new", "namespace": "istio-system"})


def test_a_revision_that_is_not_there_is_named_with_those_that_are() -> None:
    assert missing_revision(PROD, [OLD, NEW]) == ""
    assert "There is default." in missing_revision(PROD, [OLD])
    assert "There is none." in missing_revision(PROD, [])


def test_who_asks_for_it_and_where_it_points() -> None:
    spaces = [
        {"metadata": {"name": "b", "labels": {"istio.io/rev": "prod"}}},
        {"metadata": {"name": "a", "labels": {"istio.io/rev": "prod"}}},
        {"metadata": {"name": "c", "labels": {"istio.io/rev": "prod", "istio-injection": "disabled"}}},
        {"metadata": {"name": "d"}},
    ]
    assert namespaces_of("prod", spaces) == ["a", "b"]
    assert points_to([NEW, WANTED], "prod") == "new"
    assert points_to([NEW], "prod") == ""

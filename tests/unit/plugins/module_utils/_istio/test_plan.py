# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run would do, for each state a cluster can be in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import Installation, stamped
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.plan import plan_absent, plan_present

ISTIO = Installation("istio", "istio-system", "default")


def obj(kind: str, name: str, namespace: str | None = "istio-system", **more: Any) -> dict[str, Any]:
    versions = {"CustomResourceDefinition": "apiextensions.k8s.io/v1", "Deployment": "apps/v1"}
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": metadata, **more}


def ours(*objects: dict[str, Any], installation: Installation = ISTIO) -> list[dict[str, Any]]:
    return stamped(objects, installation)


def did(plan: Any) -> list[str]:
    return [f"{entry['verb']} {entry['object']}" for entry in plan.actions]


CRD = obj("CustomResourceDefinition", "gateways.networking.istio.io", None)
MESH = obj("ConfigMap", "istio", data={"mesh": "a: 1\nb: 2\n"})
ISTIOD = obj("Deployment", "istiod", spec={"replicas": 1})


def test_an_empty_cluster_gets_everything_in_an_order_that_works() -> None:
    plan = plan_present(ours(ISTIOD, MESH, CRD), [], ISTIO, namespace_exists=False)
    assert did(plan) == [
        "created Namespace istio-system",
        "created CustomResourceDefinition gateways.networking.istio.io",
        "created ConfigMap istio-system/istio",
        "created Deployment istio-system/istiod",
    ]
    assert plan.changed


def test_the_namespace_does_not_ask_for_injection_into_the_control_plane() -> None:
    namespace = plan_present([], [], ISTIO, namespace_exists=False).to_apply[0]
    assert "istio.io/rev" not in namespace["metadata"]["labels"]


def test_what_is_as_rendered_is_left_alone() -> None:
    plan = plan_present(ours(ISTIOD, MESH), ours(ISTIOD, MESH), ISTIO, namespace_exists=True)
    assert not plan.changed
    assert plan.to_apply == plan.to_delete == plan.actions == plan.diff == []
    assert [entry["action"] for entry in plan.objects] == ["unchanged", "unchanged"]


def test_an_update_names_the_fields_and_shows_only_the_lines_that_differ() -> None:
    live = ours(obj("ConfigMap", "istio", data={"mesh": "a: 1\nb: 3\n"}))
    plan = plan_present(ours(MESH), live, ISTIO, namespace_exists=True)
    assert plan.actions == [{"verb": "updated", "object": "ConfigMap istio-system/istio", "fields": ["data.mesh"]}]
    assert plan.diff == [
        {
            "before_header": "ConfigMap istio-system/istio",
            "after_header": "ConfigMap istio-system/istio",
            "before": "data.mesh: |\n  a: 1\n  b: 3\n",
            "after": "data.mesh: |\n  a: 1\n  b: 2\n",
        }
    ]


def test_a_secret_is_never_shown() -> None:
    live = ours(obj("Secret", "s", data={"key": "b2xk"}))
    text = str(plan_present(ours(obj("Secret", "s", data={"key": "bmV3"})), live, ISTIO, True).diff)
    assert "b2xk" not in text
    assert "bmV3" not in text


def test_what_is_rendered_no_more_is_removed_but_never_a_definition() -> None:
    live = ours(ISTIOD, MESH, CRD, obj("Service", "gone"))
    plan = plan_present(ours(ISTIOD), live, ISTIO, namespace_exists=True)
    assert did(plan) == ["deleted Service istio-system/gone", "deleted ConfigMap istio-system/istio"]


def test_another_revision_is_not_touched() -> None:
    canary = Installation("istio", "istio-system", "canary")
    plan = plan_present(ours(ISTIOD), ours(ISTIOD, obj("Deployment", "istiod-canary")), ISTIO, True)
    assert plan.changed
    live = [*ours(ISTIOD), *ours(obj("Deployment", "istiod-canary"), installation=canary)]
    assert not plan_present(ours(ISTIOD), live, ISTIO, True).changed


def by(manager: str, *objects: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**o, "metadata": {**o["metadata"], "managedFields": [{"manager": manager}]}} for o in objects]


def test_the_istio_of_another_tool_is_refused_by_name() -> None:
    with pytest.raises(InputError) as caught:
        plan_present(ours(ISTIOD, MESH), by("istio-operator", ISTIOD), ISTIO, True)
    assert "Deployment istio-system/istiod (written by istio-operator)" in caught.value.message
    assert "Remove it first" in caught.value.message


def test_an_installation_of_another_name_is_refused() -> None:
    other = ours(ISTIOD, installation=Installation("other", "istio-system", "default"))
    with pytest.raises(InputError, match="owned by other"):
        plan_present(ours(ISTIOD), other, ISTIO, True)


def test_definitions_that_another_tool_left_behind_are_taken_over() -> None:
    plan = plan_present(ours(CRD), by("helm", CRD), ISTIO, True)
    assert did(plan) == ["updated CustomResourceDefinition gateways.networking.istio.io"]


def test_the_account_of_readers_is_taken_over_from_an_istio_beside_which_this_one_comes() -> None:
    beside = Installation("istio", "istio-system", "spire")
    reader = obj("ServiceAccount", "istio-reader-service-account")
    theirs = by("istio-operator", *stamped([reader], Installation("unknown", "istio-system", "default")))
    theirs[0]["metadata"]["labels"]["istio.io/rev"] = "default"
    wanted = ours(reader, installation=beside)
    assert did(plan_present(wanted, theirs, beside, True)) == [
        "updated ServiceAccount istio-system/istio-reader-service-account"
    ]
    with pytest.raises(InputError, match="An Istio of another owner is in the way"):
        plan_present(ours(reader), theirs, ISTIO, True)


def test_our_own_object_without_its_labels_heals() -> None:
    assert did(plan_present(ours(ISTIOD), by("trustmesh", ISTIOD), ISTIO, True)) == [
        "updated Deployment istio-system/istiod"
    ]


HOOK = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "MutatingWebhookConfiguration",
    "metadata": {"name": "i"},
}
NAMESPACE = obj("Namespace", "istio-system", None)
COPIES = [obj("ConfigMap", name, "default") for name in ("istio-ca-root-cert", "istio-ca-crl")]


def test_removal_takes_the_webhooks_first_and_keeps_the_configuration_of_the_mesh() -> None:
    plan = plan_absent(ours(NAMESPACE, CRD, MESH, ISTIOD, HOOK), ISTIO, purge=False)
    assert did(plan) == [
        "deleted MutatingWebhookConfiguration i",
        "deleted Deployment istio-system/istiod",
        "deleted ConfigMap istio-system/istio",
    ]


def test_a_purge_leaves_nothing() -> None:
    plan = plan_absent([*ours(NAMESPACE, CRD, ISTIOD), *COPIES], ISTIO, purge=True)
    assert did(plan)[-2:] == [
        "deleted CustomResourceDefinition gateways.networking.istio.io",
        "deleted Namespace istio-system",
    ]
    assert {"deleted ConfigMap default/istio-ca-root-cert", "deleted ConfigMap default/istio-ca-crl"} < set(did(plan))


def test_a_purge_keeps_a_namespace_that_we_did_not_create() -> None:
    assert did(plan_absent([NAMESPACE, *ours(ISTIOD)], ISTIO, purge=True)) == ["deleted Deployment istio-system/istiod"]


def test_a_purge_under_another_revision_is_refused() -> None:
    canary = ours(obj("Deployment", "istiod-canary"), installation=Installation("istio", "istio-system", "canary"))
    with pytest.raises(InputError, match="revision canary"):
        plan_absent([*ours(ISTIOD), *canary], ISTIO, purge=True)


def test_what_serves_all_goes_with_the_last_revision_whichever_has_made_it() -> None:
    beside = Installation("istio", "istio-system", "spire")
    reader = ours(obj("ServiceAccount", "istio-reader-service-account"), installation=beside)
    reader[0]["metadata"]["labels"]["istio.io/rev"] = "default"
    istiod = ours(obj("Deployment", "istiod-spire"), installation=beside)
    (definition,) = ours(CRD, installation=beside)
    definition["metadata"]["labels"]["istio.io/rev"] = "default"
    assert did(plan_absent([*reader, *istiod, definition], beside, purge=True)) == [
        "deleted Deployment istio-system/istiod-spire",
        "deleted ServiceAccount istio-system/istio-reader-service-account",
        "deleted CustomResourceDefinition gateways.networking.istio.io",
    ]
    assert did(plan_absent([*reader, *ours(ISTIOD), *istiod], beside, purge=False)) == [
        "deleted Deployment istio-system/istiod-spire"
    ]


def test_a_revision_that_istioctl_has_made_goes_without_a_name_and_no_other() -> None:
    """istioctl writes its name, «unknown», on some of the objects and none on others."""
    unnamed = {
        "operator.istio.io/managed": "Reconcile",
        "install.operator.istio.io/owning-resource-namespace": "istio-system",
    }
    labels = {**unnamed, "istio.io/rev": "default"}
    validator = obj("ValidatingWebhookConfiguration", "istio-validator-istio-system", None)
    validator["metadata"]["labels"] = labels
    istiod = stamped([ISTIOD], Installation("unknown", "istio-system", "default"))
    beside = ours(obj("Deployment", "istiod-spire"), installation=Installation("istio", "istio-system", "spire"))
    live = [validator, *istiod, *beside]
    anybodys = replace(ISTIO, any_owner=True)
    assert did(plan_absent(live, anybodys, False)) == [
        "deleted ValidatingWebhookConfiguration istio-validator-istio-system",
        "deleted Deployment istio-system/istiod",
    ]
    assert did(plan_absent(live, ISTIO, False)) == []
    assert "owning-resource=" not in anybodys.selector


def test_removing_what_is_not_there_changes_nothing() -> None:
    assert not plan_absent([], ISTIO, purge=True).changed

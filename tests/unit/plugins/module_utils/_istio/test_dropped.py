# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of an overlay came to nothing in what was rendered."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.dropped import dropped


def obj(kind: str, name: str, component: str = "", **more: Any) -> dict[str, Any]:
    labels = {"operator.istio.io/component": component} if component else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels}, **more}


ISTIOD = obj(
    "Deployment",
    "istiod",
    "Pilot",
    spec={"template": {"spec": {"containers": [{"name": "discovery", "image": "a", "args": ["discovery"]}]}}},
)
RENDERED = [ISTIOD, obj("Deployment", "edge", "IngressGateways"), obj("DaemonSet", "ztunnel", "Ztunnel")]


def faults(**spec: Any) -> list[str]:
    return dropped({"spec": spec}, RENDERED, {})


def patch(path: str, value: Any = "x", name: str = "istiod") -> list[str]:
    overlay = {"kind": "Deployment", "name": name, "patches": [{"path": path, "value": value}]}
    return faults(components={"pilot": {"k8s": {"overlays": [overlay]}}})


@pytest.mark.parametrize(
    "path",
    [
        "spec.template.spec.containers.[name:discovery].image",
        "spec.template.spec.containers[name:discovery].image",
        "spec.template.spec.containers.[name:discovery].args[50]",
        "spec.template.spec.containers.[name:discovery].args.[:discovery]",
        "spec.template.spec.containers.[name:other].name",
        "spec.template.spec.containers",
    ],
)
def test_a_patch_that_found_its_place_is_no_fault(path: str) -> None:
    assert patch(path) == []


def test_a_patch_that_found_none_is_named_with_the_step_that_is_missing() -> None:
    (one,) = patch("spec.template.spec.containers.[name:pilot].image")
    assert one.startswith("spec.components.pilot.k8s.overlays[0].patches[0]: Deployment «istiod» has no [name:pilot]")
    (one,) = patch("metadata.annotations.example\\.org/a")
    assert "has no annotations" in one
    (one,) = patch("spec", name="istio")
    assert "no Deployment «istio» is rendered" in one
    assert "There is edge, istiod." in one


def test_what_a_patch_deletes_cannot_be_there() -> None:
    assert patch("spec.template.spec.containers.[name:pilot]", None) == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"values": {"cni": {"a": 1}}}, "spec.values.cni: the component is not installed"),
        ({"values": {"ztunnel": {"a": 1}}}, ""),
        ({"values": {"cni": {}}}, ""),
        (
            {"values": {"gateways": {"istio-egressgateway": {"a": 1}}}},
            "Enable one in spec.components.egressGateways",
        ),
        ({"values": {"gateways": {"istio-ingressgateway": {"a": 1}}}}, ""),
        ({"components": {"cni": {"k8s": {"env": []}}}}, "spec.components.cni.k8s: the component is not installed"),
        ({"components": {"cni": {"enabled": False, "k8s": {"env": []}}}}, ""),
        ({"components": {"egressGateways": [{"name": "out", "k8s": {"a": 1}}]}}, "spec.components.egressGateways[0]"),
        ({"components": {"ingressGateways": [{"name": "edge", "k8s": {"a": 1}}]}}, ""),
        ({"components": {"pilot": {"k8s": {"hpaSpec": {"a": 1}}}}}, "no HorizontalPodAutoscaler is rendered"),
        ({"components": None, "values": None, "meshConfig": None}, ""),
    ],
)
def test_settings_of_what_is_not_installed_are_named(spec: dict[str, Any], words: str) -> None:
    found = faults(**spec)
    assert bool(found) == bool(words)
    assert words in " ".join(found)

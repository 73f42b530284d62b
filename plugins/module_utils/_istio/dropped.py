# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What an overlay asks for and istioctl would drop without a word. Pure: no Ansible, no I/O.

istioctl itself refuses unknown keys, except below ``meshConfig``. It says nothing of a patch that fits no object, nor
of settings for what is not installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.schema import MESH_CONFIG, Schema, unknown_keys
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject

COMPONENT = "operator.istio.io/component"
_LABELS = {"pilot": "Pilot", "cni": "Cni", "ztunnel": "Ztunnel"}
_GATEWAYS = ("ingressGateways", "egressGateways")
# Settings of a component that become part of an object which a profile may leave out.
_OF_OBJECTS = {"hpaSpec": "HorizontalPodAutoscaler", "podDisruptionBudget": "PodDisruptionBudget"}
# A key, an escaped dot in it, or an expression in brackets.
_STEP = re.compile(r"(?:\\.|[^.\[\\])+|\[[^\]]*\]")


def dropped(overlay: Mapping[str, Any], rendered: Sequence[KubeObject], schema: Schema) -> list[str]:
    """Return a text for each part of the overlay that came to nothing: where, why, and what to do."""
    spec = overlay.get("spec") or {}
    values = spec.get("values") or {}
    faults = [*_unknown(schema, spec.get("meshConfig"), "spec.meshConfig")]
    if isinstance(values, Mapping):
        faults += _unknown(schema, values.get("meshConfig"), "spec.values.meshConfig")
        faults += _idle_values(values, rendered)
    for where, label, component in _components(spec.get("components")):
        faults += _idle_component(where, label, component, rendered)
        faults += _patches(where, component, rendered)
    return faults


def _unknown(schema: Schema, mesh: Any, where: str) -> Iterator[str]:
    for path, close in unknown_keys(schema, MESH_CONFIG, mesh or {}, where):
        yield f"{path}: istiod does not know it and would pass over it.{f' Did you mean {close}?' if close else ''}"


def _components(components: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield where each component stands, the label of its objects (its name for a gateway), and its settings."""
    for name, component in components.items() if isinstance(components, Mapping) else ():
        where = f"spec.components.{name}"
        if isinstance(component, Mapping):
            yield where, _LABELS.get(name, ""), component
        elif name in _GATEWAYS and isinstance(component, list):
            for index, gateway in enumerate(component):
                if isinstance(gateway, Mapping):
                    yield f"{where}[{index}]", "", gateway


def _idle_values(values: Mapping[str, Any], rendered: Sequence[KubeObject]) -> Iterator[str]:
    for section in ("cni", "ztunnel"):
        if values.get(section) and not _of(rendered, _LABELS[section]):
            yield (
                f"spec.values.{section}: the component is not installed. Set spec.components.{section}.enabled to "
                "true, or leave it out."
            )
    gateways = values.get("gateways") or {}
    for key, label in (("istio-ingressgateway", "IngressGateways"), ("istio-egressgateway", "EgressGateways")):
        if isinstance(gateways, Mapping) and gateways.get(key) and not _of(rendered, label):
            where = f"{label[0].lower()}{label[1:]}"
            yield (
                f"spec.values.gateways.{key}: no such gateway is installed. Enable one in spec.components.{where}, or "
                "leave it out."
            )


def _idle_component(
    where: str, label: str, component: Mapping[str, Any], rendered: Sequence[KubeObject]
) -> Iterator[str]:
    settings = component.get("k8s") or {}
    if not settings or component.get("enabled") is False:
        return  # who switches it off knows that its settings wait
    name = component.get("name")
    own = [obj for obj in rendered if obj["metadata"]["name"] == name] if name else _of(rendered, label)
    if not own and (label or name):
        yield f"{where}.k8s: the component is not installed. Set {where}.enabled to true, or leave it out."
        return
    for key, kind in _OF_OBJECTS.items():
        if isinstance(settings, Mapping) and settings.get(key) and not any(obj["kind"] == kind for obj in own):
            yield f"{where}.k8s.{key}: no {kind} is rendered for the component. Enable it in spec.values."


def _of(rendered: Sequence[KubeObject], label: str) -> list[KubeObject]:
    return [obj for obj in rendered if label and (obj["metadata"].get("labels") or {}).get(COMPONENT) == label]


def _patches(where: str, component: Mapping[str, Any], rendered: Sequence[KubeObject]) -> Iterator[str]:
    settings = component.get("k8s")
    overlays = settings.get("overlays") if isinstance(settings, Mapping) else None
    if component.get("enabled") is False or not isinstance(overlays, list):
        return
    for index, overlay in enumerate(overlays):
        place = f"{where}.k8s.overlays[{index}]"
        kind, name = overlay.get("kind"), overlay.get("name")
        found = [obj for obj in rendered if (obj["kind"], obj["metadata"]["name"]) == (kind, name)]
        if not found:
            there = sorted({obj["metadata"]["name"] for obj in rendered if obj["kind"] == kind})
            more = f" There is {', '.join(there[:5])}." if there else ""
            yield f"{place}: no {kind} «{name}» is rendered, so its patches change nothing.{more}"
            continue
        for number, patch in enumerate(overlay.get("patches") or []):
            missing = _missing(found, patch) if patch.get("value") is not None else ""
            if missing:
                yield (
                    f"{place}.patches[{number}]: {kind} «{name}» has no {missing}, so path {patch['path']} changes "
                    "nothing."
                )


def _missing(objects: Sequence[KubeObject], patch: Mapping[str, Any]) -> str:
    """Return the step of the path that leads nowhere in any of the patched objects, or nothing."""
    steps = [step.replace("\\.", ".") for step in _STEP.findall(str(patch.get("path") or ""))]
    found = ""
    for obj in objects:
        found = _walk(obj, steps)
        if not found:
            return ""
    return found


def _walk(node: Any, steps: Sequence[str]) -> str:
    for index, step in enumerate(steps):
        if step.startswith("["):
            key, colon, value = step[1:-1].partition(":")
            if not colon or not key or steps[index + 1 :] == [key]:
                # An index adds at the end. A value may be replaced, and so may be the key by which it was found.
                return ""
            members = node if isinstance(node, list) else []
            node = next((item for item in members if isinstance(item, Mapping) and str(item.get(key)) == value), None)
        else:
            node = node.get(step) if isinstance(node, Mapping) else None
        if node is None:
            return step
    return ""

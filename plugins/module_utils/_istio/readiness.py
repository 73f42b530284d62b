# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""When an installation can be used. Pure: no Ansible, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import WORKLOAD_KINDS, KubeObject, Ref


def awaited(objects: Iterable[KubeObject]) -> list[KubeObject]:
    """Return the objects that take time to become usable after they are written."""
    kinds = (*WORKLOAD_KINDS, "MutatingWebhookConfiguration", "CustomResourceDefinition")
    return [obj for obj in objects if obj["kind"] in kinds]


def unready(objects: Iterable[KubeObject], live: Mapping[Ref, KubeObject]) -> dict[Ref, str]:
    """Return which of the objects cannot be used yet, and what is missing. Empty when all can."""
    problems = {}
    for obj in objects:
        ref = Ref.of(obj)
        problem = _problem(live.get(ref))
        if problem:
            problems[ref] = problem
    return problems


def _problem(live: KubeObject | None) -> str | None:
    if live is None:
        return "not there"
    kind = live["kind"]
    if kind == "CustomResourceDefinition":
        return None if _condition(live, "Established").get("status") == "True" else "not established"
    if kind == "MutatingWebhookConfiguration":
        return _webhook_problem(live)
    if kind == "DaemonSet":
        return _daemon_set_problem(live)
    return _replicas_problem(live)


def _condition(live: KubeObject, name: str) -> Mapping[str, Any]:
    for condition in (live.get("status") or {}).get("conditions") or []:
        if condition.get("type") == name:
            return condition
    return {}


def _webhook_problem(live: KubeObject) -> str | None:
    # Until istiod has written its bundle, the API server cannot call it and refuses every pod that is to be injected.
    if any(
        hook.get("clientConfig", {}).get("service") and not hook["clientConfig"].get("caBundle")
        for hook in live.get("webhooks") or []
    ):
        return "istiod has not written its CA bundle into it"
    return None


def _replicas_problem(live: KubeObject) -> str | None:
    status = live.get("status") or {}
    wanted = live.get("spec", {}).get("replicas", 1)
    if status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return "its controller has not seen the newest version"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated >= wanted and available >= wanted and status.get("replicas", 0) <= updated:
        return None
    text = f"{updated} of {wanted} replicas updated, {available} available"
    for name in ("ReplicaFailure", "Progressing", "Available"):
        condition = _condition(live, name)
        failed = condition.get("status") == ("True" if name == "ReplicaFailure" else "False")
        if failed and condition.get("message"):
            return f"{text}: {condition['message']}"
    return text


def _daemon_set_problem(live: KubeObject) -> str | None:
    status = live.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    if status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return "its controller has not seen the newest version"
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    if updated >= wanted and available >= wanted:
        return None
    return f"{updated} of {wanted} pods updated, {available} available"


def pod_problems(pods: Iterable[KubeObject]) -> list[str]:
    """Return what the pods themselves say about why they are not ready, shortest form."""
    found = []
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status") or {}
        scheduled: KubeObject = next((c for c in status.get("conditions") or [] if c.get("type") == "PodScheduled"), {})
        if scheduled.get("status") == "False":
            found.append(f"pod {name}: {scheduled.get('reason')}: {scheduled.get('message')}")
        for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            if container.get("ready"):
                continue
            state = container.get("state") or {}
            last = (container.get("lastState") or {}).get("terminated") or {}
            why = state.get("waiting") or state.get("terminated") or {"reason": "running but not ready"}
            words = [str(part) for part in (why.get("reason"), why.get("message"), last.get("message")) if part]
            found.append(f"pod {name}, container {container['name']}: {': '.join(words)}")
    return found

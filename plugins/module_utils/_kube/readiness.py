# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""When objects can be used, and what pods and events say while they cannot. Pure: no Ansible, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import (
    AWAITED_VERSIONS,
    CERTIFYING_KINDS,
    Awaited,
    KubeObject,
    Ref,
)

# So much of what a cluster says helps; a DaemonSet on a hundred nodes says the same a hundred times.
_MOST_LINES = 10
_MOST_LETTERS = 500

# What a container says while something before it has not happened; the events say what that is.
_HANGING = ("ContainerCreating", "PodInitializing", "running but not ready")


def unready(objects: Iterable[KubeObject], live: Mapping[Ref, KubeObject]) -> dict[Ref, str]:
    """Return which of the objects cannot be used yet, and what is missing. Empty when all can."""
    problems = {}
    for obj in objects:
        ref = Ref.of(obj)
        problem = _problem(live.get(ref))
        if problem:
            problems[ref] = problem
    return problems


def unready_workloads(awaited: Iterable[Awaited], live: Mapping[Ref, KubeObject]) -> dict[Ref, str]:
    """Return which of the awaited objects are not ready. Where all of a kind are meant there has to be one."""
    problems = {}
    for item in awaited:
        refs = [item.ref] if item.name else [ref for ref in live if item.covers(ref)]
        for ref in refs:
            problem = _problem(live.get(ref))
            if problem:
                problems[ref] = problem
        if not refs:
            problems[replace(item, name="*").ref] = "there is none"
    return problems


def _problem(live: KubeObject | None) -> str | None:
    if live is None:
        return "not there"
    judge = _PROBLEMS.get(live["kind"])
    return judge(live) if judge else None


def _condition(live: KubeObject, name: str) -> Mapping[str, Any]:
    for condition in (live.get("status") or {}).get("conditions") or []:
        if condition.get("type") == name:
            return condition
    return {}


def _definition_problem(live: KubeObject) -> str | None:
    return None if _condition(live, "Established").get("status") == "True" else "not established"


def load_balancer_address(live: KubeObject) -> str:
    """Return the address that a load balancer gave a Service, its IP or its name; empty when there is none."""
    ingress = ((live.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return next((str(point.get("ip") or point.get("hostname")) for point in ingress if point), "")


def _service_problem(live: KubeObject) -> str | None:
    if (live.get("spec") or {}).get("type") != "LoadBalancer" or load_balancer_address(live):
        return None
    return "no load balancer has given it an address"


def _certifying_problem(live: KubeObject) -> str | None:
    ready, issuing = _condition(live, "Ready"), _condition(live, "Issuing")
    if ready.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return "cert-manager has not looked at its newest version"
    if ready.get("status") == "True":
        return None
    failed = issuing.get("message") if issuing.get("status") == "False" else None
    return _words("not ready", ready.get("reason"), ready.get("message"), failed)


def _gateway_problem(live: KubeObject) -> str | None:
    if live.get("apiVersion") != AWAITED_VERSIONS["Gateway"]:
        return None  # Istio's own kind of that name says nothing of itself
    return _unmet(live, _condition(live, "Programmed"), "not programmed")


def _route_problem(live: KubeObject) -> str | None:
    parents = (live.get("status") or {}).get("parents") or []
    if not parents:
        return "no gateway has taken it"
    for parent in parents:
        for name, text in (("Accepted", "not accepted"), ("ResolvedRefs", "leads to what cannot be used")):
            problem = _unmet(live, _condition({"status": parent}, name), text)
            if problem:
                return problem
    return None


def _unmet(live: KubeObject, condition: Mapping[str, Any], text: str) -> str | None:
    if condition.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return "its controller has not seen the newest version"
    met = condition.get("status") == "True"
    return None if met else _words(text, condition.get("reason"), condition.get("message"))


def _webhook_problem(live: KubeObject) -> str | None:
    # Until the server behind it has written its CA, the API server cannot call it and refuses what it guards.
    for hook in live.get("webhooks") or []:
        config = hook.get("clientConfig") or {}
        if config.get("service") and not config.get("caBundle"):
            return f"{config['service'].get('name', 'its service')} has not written its CA bundle into it"
    return None


def _replicas_problem(live: KubeObject) -> str | None:
    status = live.get("status") or {}
    wanted = live.get("spec", {}).get("replicas", 1)
    if status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return "its controller has not seen the newest version"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if available >= wanted and (_by_hand(live) or (updated >= wanted and status.get("replicas", 0) <= updated)):
        return None
    text = f"{updated} of {wanted} replicas updated, {available} available"
    for name in ("ReplicaFailure", "Progressing", "Available"):
        condition = _condition(live, name)
        failed = condition.get("status") == ("True" if name == "ReplicaFailure" else "False")
        if failed and condition.get("message"):
            return _words(text, condition["message"])
    return text


def _daemon_set_problem(live: KubeObject) -> str | None:
    status = live.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    if status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return "its controller has not seen the newest version"
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    if available >= wanted and (_by_hand(live) or updated >= wanted):
        return None
    return f"{updated} of {wanted} pods updated, {available} available"


def _by_hand(live: KubeObject) -> bool:
    """Whether pods get the newest version only when somebody deletes them, so that nobody can wait for it."""
    return ((live.get("spec") or {}).get("updateStrategy") or {}).get("type") == "OnDelete"


# What says of an object of a kind why it cannot be used yet. One of another kind can be as soon as it is there.
_PROBLEMS: Mapping[str, Callable[[KubeObject], str | None]] = {
    **dict.fromkeys(CERTIFYING_KINDS, _certifying_problem),
    "CustomResourceDefinition": _definition_problem,
    "DaemonSet": _daemon_set_problem,
    "Deployment": _replicas_problem,
    "Gateway": _gateway_problem,
    "HTTPRoute": _route_problem,
    "MutatingWebhookConfiguration": _webhook_problem,
    "Service": _service_problem,
    "StatefulSet": _replicas_problem,
}


def pod_problems(pods: Iterable[KubeObject], warnings: Iterable[KubeObject] = ()) -> list[str]:
    """Return what the pods themselves say about why they are not ready, shortest form.

    ``warnings`` are events. The newest one about a pod is added where the pod itself does not say what it waits for.
    """
    events = list(warnings)
    found = [line for pod in pods for line in _pod_lines(pod, events)]
    more = len(found) - _MOST_LINES
    return [*found[:_MOST_LINES], f"and {more} more of the kind"] if more > 0 else found


def workload_warnings(ref: Ref, warnings: Iterable[KubeObject]) -> list[str]:
    """Return the newest warning about a workload itself: why it could not make pods."""
    newest = _newest(ref.kind, ref.name, ref.namespace, warnings)
    return [f"{ref}: {newest}"] if newest else []


def _pod_lines(pod: KubeObject, events: Iterable[KubeObject]) -> list[str]:
    metadata, status = pod["metadata"], pod.get("status") or {}
    name = f"pod {metadata['name']}"
    if status.get("phase") == "Succeeded":
        return []
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return [f"{name}: {_words(scheduled.get('reason'), scheduled.get('message'))}"]
    lines: list[str] = []
    hanging = False
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        # Containers that wait for those before them say so, which adds nothing.
        if container.get("ready") or (lines and _waits_for(container) == "PodInitializing"):
            continue
        lines.append(f"{name}, container {container['name']}: {_container_words(container)}")
        hanging = hanging or _waits_for(container) in _HANGING
    if not lines and (status.get("reason") or _condition(pod, "Ready").get("status", "True") != "True"):
        lines, hanging = [f"{name}: {_words(status.get('reason') or 'not ready', status.get('message'))}"], True
    if not lines and status.get("phase") == "Pending":
        lines, hanging = [f"{name}: Pending"], True
    newest = _newest("Pod", metadata["name"], metadata.get("namespace"), events) if hanging else ""
    return [*lines, f"{name}: {newest}"] if newest else lines


def _waits_for(container: Mapping[str, Any]) -> str:
    state = container.get("state") or {}
    why = state.get("waiting") or state.get("terminated") or {"reason": "running but not ready"}
    return str(why.get("reason") or "")


def _container_words(container: Mapping[str, Any]) -> str:
    state = container.get("state") or {}
    last = (container.get("lastState") or {}).get("terminated") or {}
    ended = state.get("terminated") or {}
    waiting = state.get("waiting") or {}
    words = [waiting.get("message"), _ending(ended) if ended else None, _ending(last) if last else None]
    reason = _waits_for(container)
    return _words(None if ended and reason == ended.get("reason") else reason, *words)


def _ending(ended: Mapping[str, Any]) -> str:
    code, reason = ended.get("exitCode"), ended.get("reason")
    how = f"ended with code {code}" + (f" ({reason})" if reason else "") if code is not None else reason
    return _words(how, ended.get("message"))


def _newest(kind: str, name: str, namespace: str | None, events: Iterable[KubeObject]) -> str:
    def about(event: KubeObject) -> bool:
        met = event.get("involvedObject") or {}
        same_place = namespace is None or met.get("namespace") == namespace
        return same_place and met.get("kind") == kind and met.get("name") == name

    newest = max((event for event in events if about(event)), key=_event_time, default=None)
    return _words(newest.get("reason"), newest.get("message")) if newest else ""


def _event_time(event: KubeObject) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    # To the second: some carry fractions and some do not, and the rest then compares as text.
    return max((str(time)[:19] for time in times if time), default="")


def _words(*parts: Any) -> str:
    """Return the parts that are there, on one line, and not without end."""
    text = ": ".join(" ".join(str(part).split()) for part in parts if part).removesuffix(".")
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"

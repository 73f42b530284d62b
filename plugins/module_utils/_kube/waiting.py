# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Waiting until objects can be used, and telling what was seen last when they cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import WORKLOAD_KINDS, KubeObject, Ref
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.readiness import pod_problems, workload_warnings
from ansible_collections.trustmesh.spiffe.plugins.module_utils._polling import poll

_POLL = 0.5

Seen = tuple[Mapping[Ref, str], Mapping[Ref, KubeObject]]
"""What cannot be used yet and why, and the objects themselves as far as they exist."""


def wait_ready(cluster: Kubectl, look: Callable[[], Seen], deadline: float, answered: bool = False) -> list[str]:
    """Look until nothing is missing. Return what was seen last when the deadline passes, else an empty list.

    A cluster that has ``answered`` before may fall silent for a while, such as when its API server starts anew; one
    that never did fails at once, because then its address or the credentials are wrong.
    """
    problems: Mapping[Ref, str] = {}
    live: Mapping[Ref, KubeObject] = {}
    silence = ""

    def nothing_is_missing() -> bool:
        nonlocal problems, live, silence, answered
        silence = ""
        try:
            problems, live = look()
            answered = True
        except ProcessError as error:
            if not answered:
                raise
            silence = error.message
        return not silence and not problems

    if poll(nothing_is_missing, deadline, _POLL):
        return []
    lines = [f"{ref}: {problem}" for ref, problem in sorted(problems.items())]
    if silence:
        return [*lines, f"then the cluster could not be asked any more: {silence}"]
    return lines + _reasons(cluster, [live[ref] for ref in sorted(problems) if ref in live])


def _reasons(cluster: Kubectl, objects: Iterable[KubeObject]) -> list[str]:
    """Return what the pods of workloads and the events say. What cannot be read must not hide that the limit passed."""
    workloads = [obj for obj in objects if obj["kind"] in WORKLOAD_KINDS]
    lines = []
    try:
        pods = {Ref.of(workload): cluster.pods(workload) for workload in workloads}
        namespaces = sorted({ref.namespace for ref in pods})
        warnings = [event for namespace in namespaces for event in cluster.warnings(namespace or "default")]
        for ref, found in pods.items():
            lines += pod_problems(found, warnings) or workload_warnings(ref, warnings)
    except TrustmeshError as error:
        lines.append(f"more could not be read: {error.message}")
    return lines

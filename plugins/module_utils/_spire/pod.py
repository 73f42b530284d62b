# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The server's pod when only its labels are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import NotReachedError, ProcessTimeout
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.codec import parse_list
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed, PodProcess


@dataclass
class SelectedPod:
    """Runs commands in the first ready pod that a label selector finds.

    The pod is looked for once, before the first command, and again after a command that failed: it may have been
    replaced.
    """

    selector: str
    template: PodProcess
    """How to reach the pod; its own ``pod`` does not count."""

    _found: PodProcess | None = field(default=None, init=False)

    @property
    def current(self) -> str:
        """The name of the pod that commands run in now; empty before the first."""
        return self._found.pod if self._found else ""

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        if self._found is None:
            listed = self._list(timeout)
            if listed.rc != 0:
                return listed  # whoever asked knows what kubectl's words mean
            pods = parse_list(listed.stdout, f"Looking for the pods of {self.selector}")
            self._found = replace(self.template, pod=choose(pods, self.selector, self.template.namespace))
        completed = self._found.run(argv, stdin, timeout)
        if completed.rc != 0:
            self._found = None
        return completed

    def _list(self, timeout: float | None) -> Completed:
        # Written as one word, a selector cannot be taken for an option of kubectl.
        argv = [*self.template.kubectl_argv, "get", "pods", f"--selector={self.selector}", "--output=json"]
        try:
            return self.template.local.run(argv, None, timeout)
        except ProcessTimeout as error:
            raise NotReachedError(
                f"kubectl did not list the pods of {self.selector} within {timeout:g} s. Is the cluster up?"
            ) from error


def choose(pods: Sequence[KubeObject], selector: str, namespace: str) -> str:
    """Return the name of the first ready pod in the order of their names. Pure."""
    names = sorted(pod["metadata"]["name"] for pod in pods)
    ready = sorted(pod["metadata"]["name"] for pod in pods if _is_ready(pod))
    if ready:
        return str(ready[0])
    if names:
        raise NotReachedError(
            f"pod_selector: of the pods that {selector} finds in namespace {namespace} none is ready: "
            f"{', '.join(names)}. Look at their events (kubectl describe), or raise wait_timeout if they only start."
        )
    raise NotReachedError(
        f"pod_selector: {selector} finds no pod in namespace {namespace}. Fix pod_selector, namespace or context; or "
        "is the pod not there yet? Then raise wait_timeout."
    )


def _is_ready(pod: KubeObject) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition.get("type") == "Ready" and condition.get("status") == "True" for condition in conditions)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""kubectl, through the process port: what every use case reads of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube import codec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject, stub
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import Access
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess, Process


@dataclass(frozen=True)
class Kubectl:
    """Reads objects of one cluster."""

    access: Access = field(default_factory=Access)
    timeout: float = 60
    process: Process = field(default_factory=LocalProcess)

    def named(self, objects: Iterable[KubeObject]) -> list[KubeObject]:
        """Return those of the objects that exist."""
        asked = [stub(obj) for obj in objects]
        if not asked:
            return []
        arguments = ["get", "--ignore-not-found", "--show-managed-fields", "-o", "json", "-f", "-"]
        return self.read(arguments, codec.render_list(asked), "Reading what is there")

    def listed(self, api_version: str, kind: str, namespace: str) -> list[KubeObject]:
        """Return every object of a kind in a namespace; a namespace that does not exist holds none."""
        arguments = ["get", resource(api_version, kind), "--namespace", namespace, "-o", "json"]
        return self.read(arguments, None, f"Reading every {kind} of namespace {namespace}")

    def pods(self, workload: KubeObject) -> list[KubeObject]:
        """Return the pods that a workload selects."""
        labels = workload["spec"]["selector"].get("matchLabels") or {}
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        namespace = workload["metadata"].get("namespace") or "default"
        arguments = ["get", "pods", "--namespace", namespace, "--selector", selector, "-o", "json"]
        return self.read(arguments, None, "Reading the pods")

    def warnings(self, namespace: str) -> list[KubeObject]:
        """Return the events of a namespace that warn."""
        arguments = ["get", "events", "--namespace", namespace, "--field-selector", "type=Warning", "-o", "json"]
        return self.read(arguments, None, "Reading the events")

    def read(self, arguments: Sequence[str], stdin: str | None, doing: str) -> list[KubeObject]:
        """Return the objects that a kubectl command prints as JSON."""
        return codec.parse_list(self.run(arguments, stdin, doing), doing)

    def run(self, arguments: Sequence[str], stdin: str | None, doing: str, limit: float | None = None) -> str:
        """Run a kubectl command and return what it prints."""
        completed = self.process.run([*self.access.argv, *arguments], stdin, limit or self.timeout)
        return completed.check(doing).stdout


def resource(api_version: str, kind: str) -> str:
    """Return a kind as kubectl takes it without having to guess the group: ``deployment.v1.apps``."""
    group, _slash, version = api_version.rpartition("/")
    return f"{kind.lower()}.{version}.{group}"

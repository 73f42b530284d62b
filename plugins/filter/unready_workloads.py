# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which applied workloads are not ready: read from what the apply returned, so that no task has to ask again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import WORKLOAD_KINDS, Ref
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.readiness import unready


def unready_workloads(applied: Mapping[str, Any]) -> list[str]:
    """Return ``kind namespace/name: what is missing`` of the workloads in the result of kubernetes.core.k8s."""
    try:
        result = applied["result"]
        found = [item["result"] for item in result["results"]] if "results" in result else [result]
        workloads = {Ref.of(item): item for item in found if item.get("kind") in WORKLOAD_KINDS}
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(
            f"unready_workloads wants the result of a kubernetes.core.k8s task: {error}"
        ) from error
    return [f"{ref}: {problem}" for ref, problem in unready(workloads.values(), workloads).items()]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"unready_workloads": unready_workloads}

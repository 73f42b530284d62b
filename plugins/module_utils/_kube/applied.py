# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What the result of a ``kubernetes.core.k8s`` task tells about the objects that it applied. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import WORKLOAD_KINDS, KubeObject, Ref
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.readiness import unready

RENEWED_FOR = "trustmesh.io/service-account"
"""Annotation of pods: the UID of the service account that they were renewed for."""


def applied_objects(applied: Mapping[str, Any]) -> list[KubeObject]:
    """Return the objects as the API server answered them. Raises KeyError or TypeError for other results."""
    result = applied["result"]
    return [item["result"] for item in result["results"]] if "results" in result else [result]


def unready_workloads(applied: Mapping[str, Any]) -> list[str]:
    """Return ``kind namespace/name: what is missing`` of the workloads that are not ready."""
    workloads = {Ref.of(item): item for item in applied_objects(applied) if item.get("kind") in WORKLOAD_KINDS}
    return [f"{ref}: {problem}" for ref, problem in unready(workloads.values(), workloads).items()]


def workloads_to_renew(applied: Mapping[str, Any]) -> list[KubeObject]:
    """Return patches that renew the pods of workloads whose service account is younger than they are.

    Such an account was deleted and made again. The tokens of pods that ran before name the old one, by its UID, and are
    refused everywhere. The patch remembers the new UID, so it is needed once.
    """
    objects = applied_objects(applied)
    accounts = {
        (item["metadata"].get("namespace"), item["metadata"]["name"]): item["metadata"]
        for item in objects
        if item.get("kind") == "ServiceAccount"
    }
    patches = []
    for item in objects:
        if item.get("kind") not in WORKLOAD_KINDS:
            continue
        metadata, template = item["metadata"], item["spec"]["template"]
        account = accounts.get((metadata.get("namespace"), template["spec"].get("serviceAccountName")))
        # Times are RFC 3339 in UTC with whole seconds, so they compare as text.
        if account is None or account["creationTimestamp"] <= metadata["creationTimestamp"]:
            continue
        if (template["metadata"].get("annotations") or {}).get(RENEWED_FOR) == account["uid"]:
            continue
        patches.append(
            {
                "apiVersion": item["apiVersion"],
                "kind": item["kind"],
                "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
                "spec": {"template": {"metadata": {"annotations": {RENEWED_FOR: account["uid"]}}}},
            }
        )
    return patches

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Pods that hold dead tokens after their service account was made anew. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import WORKLOAD_KINDS, KubeObject

RENEWED_FOR = "trustmesh.io/service-account"
"""Annotation of pods: the UID of the service account that they were renewed for."""


def workloads_to_renew(objects: Sequence[KubeObject]) -> list[KubeObject]:
    """Return patches that renew the pods of workloads whose service account is younger than they are.

    Such an account was deleted and made again. The tokens of pods that ran before name the old one, by its UID, and are
    refused everywhere. The patch remembers the new UID, so it is needed once.
    """
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

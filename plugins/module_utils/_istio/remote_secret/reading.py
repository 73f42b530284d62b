# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What an istiod has read of another cluster, out of what it tells of itself. Pure.

istiod computes the identity of a workload when it first sees it, by the trust domain in the mesh's settings of that
cluster. It waits for Services and pods of the cluster, and not for these settings: what it sees before them is of its
own cluster's trust domain for as long as the pod lives, and every call to it fails. See NewEndpointBuilder and
informersSynced in pilot/pkg/serviceregistry/kube/controller of Istio 1.31.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads

CLUSTERS, ENDPOINTS = "/debug/clusterz", "/debug/endpointShardz"
"""Where istiod tells which clusters it reads, and what it holds of them."""
_SYNCED = "synced"
_IN_THE_MESH = "istio"
"""The mode of an endpoint whose proxy shows a certificate, see MutualTLS of Istio's model.IstioEndpoint."""


def has_read(answer: str, cluster: str) -> bool:
    """Whether an istiod has read a cluster to the end, by its answer from C(CLUSTERS)."""
    found = _read(answer, CLUSTERS, list)
    return any(
        item.get("id") == cluster and item.get("syncStatus") == _SYNCED for item in found if isinstance(item, Mapping)
    )


def strangers(answer: str, cluster: str, trust_domain: str) -> list[str]:
    """Return the workloads of a cluster that an istiod takes for others than they are, each with its identity.

    ``answer`` is that from C(ENDPOINTS). Only workloads count whose proxy shows a certificate.
    """
    found = _read(answer, ENDPOINTS, dict)
    prefix = f"spiffe://{trust_domain}/"
    return sorted(
        {
            f"{service} ({identity})"
            for service, endpoint in _endpoints(found, f"Kubernetes/{cluster}")
            if endpoint.get("TLSMode") == _IN_THE_MESH
            for identity in [str(endpoint.get("ServiceAccount") or "")]
            if identity and not identity.startswith(prefix)
        }
    )


def _endpoints(found: Mapping[str, Any], shard: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for service, namespaces in found.items():
        for shards in namespaces.values():
            for endpoint in shards["Shards"].get(shard) or ():
                yield service, endpoint


def _read(answer: str, path: str, kind: type) -> Any:
    try:
        found = loads(answer)
        if isinstance(found, kind):
            return found
    except ValueError:
        pass
    raise ProcessError(f"Asking istiod for {path} failed: it has answered with something else than it is known for.")

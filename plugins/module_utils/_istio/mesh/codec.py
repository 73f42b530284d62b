# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""From what istioctl prints about proxies. Pure: no Ansible, no I/O."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.mesh.model import Certified, Synced
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import load_pem, presented, spiffe_ids

_SHORT = {
    "type.googleapis.com/envoy.config.cluster.v3.Cluster": "CDS",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment": "EDS",
    "type.googleapis.com/envoy.config.listener.v3.Listener": "LDS",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration": "RDS",
    "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig": "ECDS",
}


def parse_status(text: str) -> list[Synced]:
    """Return the proxies that ``istioctl proxy-status -o json`` prints: one document for each istiod."""
    try:
        return [_synced(item, istiod) for answer in _documents(text) for istiod, item in _clients(answer)]
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ProcessError(f"istioctl proxy-status printed something unexpected: {text[:200]}") from exc


def _documents(text: str) -> Iterator[Any]:
    decoder, rest = json.JSONDecoder(), text.lstrip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].lstrip()


def _clients(answer: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    told = (answer.get("controlPlane") or {}).get("identifier")
    istiod = str(loads(told).get("ID", "")) if told else ""
    for item in answer.get("resources") or []:
        yield istiod, item


def _synced(item: dict[str, Any], istiod: str) -> Synced:
    node = item["node"]
    metadata = node.get("metadata") or {}
    namespace = str(metadata.get("NAMESPACE") or "")
    states = {
        _SHORT.get(one["typeUrl"], one["typeUrl"].rpartition("/")[2]): str(one.get("configStatus") or "UNKNOWN")
        for one in item.get("genericXdsConfigs") or []
    }
    return Synced(
        name=str(node["id"]).removesuffix(f".{namespace}"),
        namespace=namespace,
        version=str(metadata.get("ISTIO_VERSION") or ""),
        cluster=str(metadata.get("CLUSTER_ID") or ""),
        istiod=istiod,
        states=dict(sorted(states.items())),
    )


def parse_secrets(text: str) -> Certified:
    """Return the workload certificate that ``istioctl proxy-config secret -o json`` prints, and who signed it."""
    try:
        secrets = {one["name"]: one.get("secret") or {} for one in _secrets(loads(text))}
        chain = _pem((secrets.get("default", {}).get("tlsCertificate") or {}).get("certificateChain"))
        authorities = [pem for name in ("ROOTCA",) for pem in _bundles(secrets.get(name, {}))]
        leaf = load_pem(chain) if chain else []
        bundle = [one for pem in authorities for one in load_pem(pem)]
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ProcessError(f"istioctl proxy-config secret printed something unexpected: {text[:200]}") from exc
    if not leaf:
        return Certified(problem="it has no certificate yet")
    told = presented(leaf, bundle)
    return Certified(
        spiffe_id=next(iter(spiffe_ids(leaf[0])), ""),
        issuer=leaf[0].issuer.rfc4514_string(),
        issuers=told.issuers,
        root=told.root.subject.rfc4514_string() if told.root else "",
        expires_at=leaf[0].not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        problem=told.problem,
    )


def _secrets(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(answer.get("staticSecrets") or []), *(answer.get("dynamicActiveSecrets") or [])]


def _bundles(value: Any) -> Iterator[str]:
    """Yield every bundle of a validation context: of one trust domain, or of several in a validator of SPIFFE's."""
    if isinstance(value, dict):
        if "inlineBytes" in value or "inlineString" in value:
            yield _pem(value)
        else:
            for below in value.values():
                yield from _bundles(below)
    elif isinstance(value, list):
        for below in value:
            yield from _bundles(below)


def _pem(source: Any) -> str:
    source = source or {}
    if "inlineString" in source:
        return str(source["inlineString"])
    try:
        return base64.b64decode(source.get("inlineBytes") or "").decode()
    except binascii.Error as exc:
        raise ValueError("no base64") from exc

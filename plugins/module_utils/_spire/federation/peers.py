# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The peers of a SPIRE server, with what the hosts of an inventory have told of theirs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import (
    HEALTHY,
    HTTPS_SPIFFE,
    HTTPS_WEB,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.resources import API_VERSION
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import (
    SpiffeIdError,
    check_trust_domain,
)

Data = dict[str, Any]

_WANTED = ("relationships", "resources", "bundles")
_FIELDS = (
    "trust_domain",
    "host",
    "state",
    "bundle_endpoint_url",
    "bundle_endpoint_profile",
    "endpoint_spiffe_id",
    "bundle",
)


def peers(given: Sequence[Mapping[str, Any]], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return what the modules take, by name.

    ``relationships``, with the bundles of the peers as far as they are known, are to be there, ``absent`` not, and
    ``named`` are all of them by their trust domain alone. ``bundles`` are those bundles by themselves. ``resources``
    are the relationships as resources of the controller manager, and ``resources_absent`` those that are not to be
    there, by their names alone. ``faults`` is what cannot work, and ``unknown`` what nobody has told yet.
    """
    found: dict[str, list[Any]] = {
        name: [] for name in (*_WANTED, "absent", "resources_absent", "named", "faults", "unknown")
    }
    for index, item in enumerate(given):
        peer = {key: value for key, value in item.items() if value not in (None, "")}
        where = f"spire_federation_peers[{index}]"
        faults = _faults(where, peer, [one.get("trust_domain") for one in given[:index]])
        found["faults"] += faults
        if faults:
            continue
        name: Data = {"trust_domain": peer["trust_domain"]}
        found["named"].append(name)
        if peer.get("state") == "absent":
            found["absent"].append(name)
            found["resources_absent"].append(_named_resource(name["trust_domain"]))
            continue
        relationship, bundle, unknown = _filled(peer, hostvars)
        found["relationships"].append(relationship if bundle is None else {**relationship, "bundle": bundle})
        found["resources"].append(resource(relationship))
        if bundle is not None:
            found["bundles"].append({**name, "bundle": bundle})
        if unknown:
            found["unknown"].append(f"{where} ({peer['trust_domain']}): {unknown}")
    return found


def _faults(where: str, peer: Mapping[str, Any], before: Sequence[Any]) -> list[str]:
    for key in peer:
        if key not in _FIELDS:
            return [f"{where}: unknown field {str(key)[:60]!r}. Known: {', '.join(_FIELDS)}."]
    try:
        check_trust_domain(str(peer.get("trust_domain", "")))
    except SpiffeIdError as error:
        return [f"{where}: trust_domain: {error.message}."]
    if peer["trust_domain"] in before:
        return [f"{where}: the trust domain {peer['trust_domain']} is there twice. Take one of them out."]
    for key, known in (("state", ("present", "absent")), ("bundle_endpoint_profile", (HTTPS_SPIFFE, HTTPS_WEB))):
        if peer.get(key, known[0]) not in known:
            return [f"{where}: {key} is {str(peer[key])[:60]!r}, expected {' or '.join(known)}."]
    if peer.get("bundle_endpoint_profile") == HTTPS_WEB and "endpoint_spiffe_id" in peer:
        return [f"{where}: endpoint_spiffe_id is given, and a web endpoint ({HTTPS_WEB}) has none. Take it out."]
    return []


def _filled(peer: Mapping[str, Any], hostvars: Mapping[str, Mapping[str, Any]]) -> tuple[Data, Any, str]:
    """The relationship, the bundle if there is to be one, and what is not known."""
    domain, told = peer["trust_domain"], _told(peer, hostvars)
    # Who gives another way to the endpoint says of which kind it is.
    known = {} if "bundle_endpoint_url" in peer or "endpoint_spiffe_id" in peer else told
    profile = peer.get("bundle_endpoint_profile") or known.get("spire_server_bundle_endpoint_profile") or HTTPS_SPIFFE
    url = peer.get("bundle_endpoint_url") or told.get("spire_server_bundle_endpoint_url") or ""
    bundle = peer.get("bundle")
    if bundle is None and profile == HTTPS_SPIFFE:
        bundle = told.get("spire_server_bundle_document") or None
    relationship: Data = {"trust_domain": domain, "bundle_endpoint_url": url, "bundle_endpoint_profile": profile}
    if profile == HTTPS_SPIFFE:
        relationship["endpoint_spiffe_id"] = peer.get("endpoint_spiffe_id") or f"spiffe://{domain}/spire/server"
    missing = [] if url else ["bundle_endpoint_url"]
    missing += ["bundle"] if profile == HTTPS_SPIFFE and bundle is None else []
    if not missing:
        return relationship, bundle, ""
    remedy = (
        f"{peer['host']} has not told it. When that host failed above, fix it first and run again; else give it here."
        if "host" in peer
        else "Give it, or the host of the inventory that has the server."
    )
    return relationship, bundle, f"{' and '.join(missing)} is not known. {remedy}"


def resource(relationship: Mapping[str, Any]) -> Data:
    """Return a relationship as a ClusterFederatedTrustDomain, without the bundle, which the server has already.

    Source: github.com/spiffe/spire-controller-manager, docs/clusterfederatedtrustdomain-crd.md.
    """
    domain, profile = relationship["trust_domain"], {"type": relationship["bundle_endpoint_profile"]}
    if relationship.get("endpoint_spiffe_id"):
        profile["endpointSPIFFEID"] = relationship["endpoint_spiffe_id"]
    spec = {
        "trustDomain": domain,
        "bundleEndpointURL": relationship["bundle_endpoint_url"],
        "bundleEndpointProfile": profile,
    }
    return {**_named_resource(domain), "spec": spec}


def _named_resource(trust_domain: str) -> Data:
    # A trust domain may have underscores, a resource may not.
    name = trust_domain.replace("_", "-")
    return {"apiVersion": API_VERSION, "kind": "ClusterFederatedTrustDomain", "metadata": {"name": name}}


def _told(peer: Mapping[str, Any], hostvars: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """What the host of a peer has told of its server, if it is one of the inventory."""
    return hostvars[peer["host"]] if peer.get("host") in hostvars else {}


def health(found: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with those of the ``wanted`` relationships that are not healthy, a line for each."""
    there = {relationship["trust_domain"]: relationship for relationship in found}
    lines = []
    for domain in (relationship["trust_domain"] for relationship in wanted):
        one = there.get(domain) or {"health": "no relationship", "error": "the server has made none yet"}
        if one["health"] != HEALTHY:
            lines.append(f"{domain}: {one['health']}: {one.get('error') or 'no more is known'}")
    return lines


def connections(given: Sequence[Mapping[str, Any]], hostvars: Mapping[str, Mapping[str, Any]]) -> list[Data]:
    """How the servers of those peers are reached that the inventory has, as ``peers`` of ``spire_authority``."""
    found = []
    for peer in given:
        connection = _told(peer, hostvars).get("spire_server_connection") or {}
        if connection and peer.get("state") != "absent":
            found.append({"name": peer["host"], **{key: value for key, value in connection.items() if value}})
    return found

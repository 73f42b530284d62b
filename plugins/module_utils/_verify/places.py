# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Clusters and SPIRE servers of an estate, as options name them. Twin of the doc fragment ``places``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import access_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import (
    SpiffeIdError,
    check_trust_domain,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import options, reading
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import Cluster

_ACCESS = kubectl_spec().options
"""How to get to a cluster: what a server and a cluster both have."""


def places_spec() -> ArgumentSpec:
    """The options by which clusters and servers are named."""
    name: dict[str, Any] = {"type": "str", "required": True}
    server = {"name": name, "trust_domain": name, "cluster": {"type": "str"}, **spire_spec().options}
    return ArgumentSpec(
        {
            "clusters": options.many({"name": name, **_ACCESS}, default=[]),
            "servers": options.many(server, default=[]),
        }
    )


@dataclass(frozen=True)
class Places:
    """What the options name, each by its name: clusters, clients of servers, and the trust domains of these."""

    clusters: dict[str, Cluster]
    servers: dict[str, SpireServer]
    domains: dict[str, str]


def read_places(params: Mapping[str, Any]) -> Places:
    """Read and judge the options of :func:`places_spec`. Nothing is contacted."""
    given = reading.by_name("clusters", params["clusters"])
    clusters = {name: _access(where, item) for name, (where, item) in given.items()}
    places = Places(clusters, {}, {})
    for name, (where, item) in reading.by_name("servers", params["servers"]).items():
        places.domains[name] = _trust_domain(where, item["trust_domain"])
        places.servers[name] = _server(where, item, given, clusters)
    return places


def _access(where: str, item: Mapping[str, Any]) -> Cluster:
    for option in _ACCESS:
        value = item[option]
        if isinstance(value, str) and not (value.strip() and value.isprintable()):
            raise InputError(f"{where}: {option} is {value!r}. Give a value on one line, or leave it out.")
    try:
        access = access_of(item)
    except InputError as error:
        raise InputError(f"{where}: {error.message}") from error
    return Cluster(access.kubectl, access.kubeconfig, access.context)


def _server(
    where: str,
    item: Mapping[str, Any],
    given: Mapping[str, tuple[str, Mapping[str, Any]]],
    clusters: Mapping[str, Cluster],
) -> SpireServer:
    at = dict(item)
    if item["pod"] is not None and item["pod_selector"] is not None:
        raise InputError(f"{where}: pod and pod_selector are mutually exclusive. Give one of them.")
    if item["cluster"] is not None:
        cluster = cluster_of(where, item["cluster"], clusters)
        if item["pod"] is None and item["pod_selector"] is None:
            raise InputError(f"{where}: cluster is given without pod or pod_selector. Name the server's pod.")
        for option in _ACCESS:
            # What comes from the environment, or is a default, was not given beside the cluster.
            if item[option] not in (None, given[item["cluster"]][1][option], *_unset(option)):
                raise InputError(
                    f"{where}: {option} is given, and so is cluster, which has one of its own. Leave out one of them."
                )
        at |= {**dict.fromkeys(_ACCESS), **dataclasses.asdict(cluster)}
    try:
        return connect(at)
    except InputError as error:
        raise InputError(f"{where}: {error.message}") from error


def _unset(option: str) -> list[Any]:
    """What an option of kubectl may be when nobody gave it."""
    _function, variables = _ACCESS[option].get("fallback", (None, ()))
    values: list[Any] = [os.environ[name] for name in variables if name in os.environ]
    if _ACCESS[option]["type"] == "bool":
        values = [boolean(value, strict=False) for value in values]
    return [*values, _ACCESS[option].get("default")]


def cluster_of(where: str, name: str, clusters: Mapping[str, Cluster]) -> Cluster:
    """Return a cluster that is spoken of, or refuse a name that nobody has."""
    if name not in clusters:
        known = ", ".join(clusters) or "there is none"
        raise InputError(f"{where}: cluster is {name!r}, which is none of clusters. Known clusters: {known}.")
    return clusters[name]


def _trust_domain(where: str, name: str) -> str:
    try:
        return check_trust_domain(name)
    except SpiffeIdError as error:
        raise InputError(f"{where}: trust_domain: {error.message}.") from error

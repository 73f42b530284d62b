# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_federation_info: the relationships of a server, and how healthy each is."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import side_by_side
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.run import held_bundles
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.wanted import (
    public,
    same_content,
    valid_authorities,
    youngest,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.client import list_relationships
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.endpoint import Served, fetch
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import (
    DIFFER,
    EXPIRED,
    HEALTHY,
    NO_BUNDLE,
    NOT_PROBED,
    UNREACHABLE,
    Relationship,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeIdError, trust_domain_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography

PROBES_AT_ONCE = 8


def spec() -> ArgumentSpec:
    """The options of spire_federation_info."""
    return ArgumentSpec(
        options={
            "trust_domains": {"type": "list", "elements": "str"},
            "probe": {"type": "bool", "default": False},
            "probe_timeout": {"type": "int", "default": 5},
        }
    ).merge(spire_spec())


def run(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Read the relationships and judge each."""
    require_cryptography()
    if params["probe_timeout"] < 1:
        raise InputError(f"probe_timeout: {params['probe_timeout']} is not a positive number of seconds.")
    names = _names(params["trust_domains"])
    timeout = params["probe_timeout"] if params["probe"] else None
    return Outcome(result={"relationships": reports(connect(params), names, timeout)})


def reports(server: SpireServer, names: set[str] | None, probe_timeout: float | None) -> list[dict[str, Any]]:
    """What is told of the relationships of a server with these trust domains, or all.

    With ``probe_timeout`` (seconds) the endpoints are asked from here, side by side.
    """
    of_own = [lambda: show_bundle(server)] if probe_timeout else []
    found, held, *own = side_by_side(lambda: list_relationships(server), lambda: held_bundles(server), *of_own)
    return judged_with(
        [one for one in found if names is None or one.trust_domain in names],
        {**held, **{bundle.trust_domain: bundle for bundle in own}},
        probe_timeout,
    )


def judged_with(
    found: Iterable[Relationship], there: Mapping[str, Bundle], probe_timeout: float | None
) -> list[dict[str, Any]]:
    """What is told of these relationships by the bundles that are ``there``, the server's own among them."""
    relationships = sorted(found, key=lambda one: one.trust_domain)
    served: dict[str, Served] = {}
    if probe_timeout and relationships:
        with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
            answers = pool.map(
                lambda relationship: fetch(
                    relationship, there.get(relationship.endpoint_trust_domain or ""), probe_timeout
                ),
                relationships,
            )
            served = {
                relationship.trust_domain: answer for relationship, answer in zip(relationships, answers, strict=True)
            }
    now = datetime.datetime.now(datetime.timezone.utc)
    return [
        report(relationship, there.get(relationship.trust_domain), served.get(relationship.trust_domain), now)
        for relationship in relationships
    ]


def _names(given: list[str] | None) -> set[str] | None:
    if given is None:
        return None
    names = set()
    for index, text in enumerate(given):
        try:
            names.add(trust_domain_of(text))
        except SpiffeIdError as error:
            raise InputError(f"trust_domains[{index}]: {error}", index=index, field="trust_domains") from None
    return names


def report(
    relationship: Relationship, held: Bundle | None, served: Served | None, now: datetime.datetime
) -> dict[str, Any]:
    """What is told of a relationship. Pure."""
    health, error = judged(relationship, held, served, now)
    newest = youngest(held) if held else None
    return {
        **relationship.public(),
        "health": health,
        "error": error,
        "age": int((now - newest).total_seconds()) if newest else None,
        "bundle": public(held) if held else None,
        "served_bundle": public(served.bundle) if served and served.bundle else None,
    }


def judged(
    relationship: Relationship, held: Bundle | None, served: Served | None, now: datetime.datetime
) -> tuple[str, str | None]:
    """One word on the health of a relationship, and what is wrong. The worst comes first."""
    failed = served.error if served and served.bundle is None else ""
    seen = f" Its endpoint {relationship.bundle_endpoint_url} gave none: {failed}." if failed else ""
    if held is None:
        return NO_BUNDLE, (
            f"The server holds no bundle of {relationship.trust_domain}, so that nobody of it can be believed, and "
            f"entries that federate with it are refused.{seen}"
        )
    if not valid_authorities(held, now):
        return EXPIRED, f"No X.509 authority in the bundle that the server holds is valid now.{seen}"
    if served is None:
        return NOT_PROBED, None
    if failed:
        return UNREACHABLE, f"The bundle endpoint {relationship.bundle_endpoint_url} gave no bundle: {failed}."
    if not same_content(held, served.bundle):
        return DIFFER, (
            "The endpoint serves other authorities than the server holds. The server fetches them at its next refresh; "
            "spire_federation with refresh does so now."
        )
    return HEALTHY, None

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Checks that look at whom others are told to believe: bundles of servers, and what was published of them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import HEALTHY
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import World

_WEBHOOKS = "mutatingwebhookconfigurations,validatingwebhookconfigurations"


def same_authorities(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """Servers of one trust domain have the same X.509 authorities. Their JWT authorities differ by nature."""
    names: list[str] = list(check["servers"])
    expected = f"{', '.join(names)}: the same X.509 authorities"
    found = {name: by_digest(world.trusted(name)) for name in names}
    first = found[names[0]]
    details = {"authorities": sorted(first.values()), "authorities_sha256": sorted(first)}
    others = [name for name in names[1:] if found[name].keys() != first.keys()]
    if others:
        shown = "; ".join(f"{name} shows {_shown(found[name])}" for name in (names[0], *others))
        return Attempt(False, expected, shown, hints.SAME, details)
    return Attempt(True, expected, f"all show {_shown(first)}", "", details)


def federated_bundle(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """The server of ``to`` holds the bundle of another trust domain, as that one shows it now."""
    domain = check["trust_domain"]
    expected = f"it holds the bundle of {domain}, which is the one that {domain} serves now"
    told = world.servers[world.mesh.endpoints[check["to"]].server or ""].federation(domain)
    if told is None:
        return Attempt(False, expected, f"it has no relationship with {domain}", hints.FEDERATION)
    details = {key: told[key] for key in ("health", "age", "bundle_endpoint_url", "bundle_endpoint_profile")}
    if told["health"] != HEALTHY:
        return Attempt(False, expected, f"{told['health']}: {told['error']}", hints.FEDERATION, details)
    return Attempt(True, expected, f"healthy; its youngest authority is {_long(told['age'])} old", "", details)


def _long(seconds: int) -> str:
    """A time as people say it."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def published_authorities(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """ConfigMaps hold the authorities of the server of ``to``, and nothing else."""
    name, key = check["config_map"], check["config_map_key"]
    places = {}
    for namespace in check["namespaces"]:
        doing = f"Reading the ConfigMap {name} of {namespace}"
        arguments = ["get", "configmap", name, "--namespace", namespace, "--ignore-not-found", "--output", "json"]
        found = world.reader(check["to"]).read(arguments, None, doing)
        data = (found[0].get("data") or {}) if found else {}
        places[f"{namespace}/{name}"] = str(data.get(key) or "")
    return _published(world, check, places)


def webhook_authorities(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """What the API server verifies a Service by, when it asks its webhooks."""
    namespace, service = world.mesh.endpoints[check["to"]].namespace, check["service"]
    doing = "Reading the webhook configurations"
    places = {}
    for item in world.reader(check["to"]).read(["get", _WEBHOOKS, "--output", "json"], None, doing):
        for hook in item.get("webhooks") or ():
            client = hook.get("clientConfig") or {}
            at = client.get("service") or {}
            if (at.get("namespace"), at.get("name")) == (namespace, service):
                places[f"{item['metadata']['name']} {hook.get('name')}"] = _decoded(client.get("caBundle"))
    if not places:
        said = f"no webhook leads to the Service {service} of {namespace}"
        return Attempt(False, _expected(check), said, hints.ISTIOD)
    return _published(world, check, places)


def _decoded(text: Any) -> str:
    try:
        return base64.b64decode(str(text or ""), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _expected(check: Check) -> str:
    what = "webhooks" if check.type == "webhook_authorities" else f"ConfigMaps {check['config_map']}"
    return f"{what} hold the authorities of SPIRE's server, and nothing else"


def _published(world: World, check: Check, places: Mapping[str, str]) -> Attempt:
    """Whether each place holds all that the server trusts, and nothing that it does not have."""
    server = world.mesh.endpoints[check["to"]].server or ""
    trusted, whole = by_digest(world.trusted(server)), by_digest(world.published(server))
    details: dict[str, Any] = {"places": list(places), "authorities": sorted(trusted.values())}
    problems: dict[str, list[str]] = {}
    for place, text in places.items():
        problem = problem_of(text, trusted, whole)
        if problem:
            problems.setdefault(problem, []).append(place)
    if problems:
        said = "; ".join(f"{', '.join(where)}: {problem}" for problem, where in problems.items())
        return Attempt(False, _expected(check), said, hints.PUBLISHED, details)
    count = f"{len(places)} place" + ("" if len(places) == 1 else "s")
    return Attempt(True, _expected(check), f"{count} with {_shown(trusted)}", "", details)


def problem_of(text: str, trusted: Mapping[str, str], whole: Mapping[str, str]) -> str:
    """What is wrong with published authorities (PEM); empty when nothing is."""
    try:
        held = by_digest(chain.load_pem(text))
    except ValueError:
        return "it holds no certificate"
    foreign = sorted(name for digest, name in held.items() if digest not in whole)
    missing = sorted(name for digest, name in trusted.items() if digest not in held)
    words = [f"it holds {' and '.join(foreign)}, which is not SPIRE's"] if foreign else []
    words += [f"it lacks {' and '.join(missing)}"] if missing else []
    return ", and ".join(words)


def by_digest(certificates: Sequence[Any]) -> dict[str, str]:
    """The names of certificates, by their fingerprints."""
    return {chain.sha256(certificate): chain.subject(certificate) for certificate in certificates}


def _shown(authorities: Mapping[str, str]) -> str:
    """Names alone do not tell two authorities apart."""
    return " and ".join(f"{name} ({digest[:8]})" for digest, name in sorted(authorities.items()))

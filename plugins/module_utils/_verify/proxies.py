# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What an Istio proxy holds: its certificate, and whom it believes."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.authorities import by_digest, problem_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import EXEC_TIMEOUT, World

_SECRETS = ["pilot-agent", "request", "GET", "config_dump?resource=dynamic_active_secrets"]
_MALFORMED = "The sidecar's dump of its secrets is not as Envoy writes it."

Data = Mapping[str, Any]


def held(world: World, name: str, container: str) -> dict[str, Data]:
    """The secrets that the proxy of an endpoint holds, by name. Keys are not among them: Envoy tells none."""
    done = world.process(name, container).run(_SECRETS, None, EXEC_TIMEOUT)
    done.check(f"Reading the secrets of the sidecar of {name}")
    return active_secrets(done.stdout)


def active_secrets(text: str) -> dict[str, Data]:
    """Read Envoy's dump of its secrets."""
    try:
        # pilot-agent writes its own log lines to the same stream, before the answer; none of them starts with a brace.
        answer = re.search(r"^\{", text, re.MULTILINE)
        configs = loads(text[answer.start() :] if answer else text)["configs"]
        return {config["name"]: config["secret"] for config in configs if "name" in config}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrustmeshError(_MALFORMED) from error


def chain_of(secret: Data | None) -> str | None:
    """The certificate and its chain, as PEM; None where there is no such secret."""
    if secret is None:
        return None
    try:
        return _text(secret["tls_certificate"]["certificate_chain"])
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise TrustmeshError(_MALFORMED) from error


def bundles_of(secret: Data | None) -> dict[str, str] | None:
    """The authorities by trust domain, as PEM; None where they are not told apart, so that each vouches for all."""
    if secret is None:
        return {}
    try:
        custom = secret["validation_context"].get("custom_validator_config")
        if custom is None:
            return None
        return {item["name"]: _text(item["trust_bundle"]) for item in custom["typed_config"]["trust_domains"]}
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise TrustmeshError(_MALFORMED) from error


def _text(source: Data) -> str:
    if "inline_bytes" in source:
        return base64.b64decode(source["inline_bytes"], validate=True).decode()
    return str(source["inline_string"])


def proxy_authorities(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """A proxy judges each trust domain by the authorities of its own server, and knows no other trust domain."""
    wanted = {world.mesh.servers[name]: name for name in check["servers"]}
    expected = f"{' and '.join(wanted)}, each by the authorities of its own SPIRE server, and no other"
    bundles = bundles_of(held(world, check["to"], check["container"]).get(check["root_secret"]))
    if bundles is None:
        said = "one bundle for all: whoever is in it vouches for every trust domain"
        return Attempt(False, expected, said, hints.PROXY_BUNDLES)
    problems = [f"it knows {domain} as well" for domain in bundles if domain not in wanted]
    for domain, server in wanted.items():
        trusted, whole = by_digest(world.trusted(server)), by_digest(world.published(server))
        problem = problem_of(bundles[domain], trusted, whole) if domain in bundles else "it holds none"
        problems += [f"{domain}: {problem}"] if problem else []
    details = {"trust_domains": sorted(bundles)}
    if problems:
        return Attempt(False, expected, "; ".join(problems), hints.PROXY_BUNDLES, details)
    shown = [f"{domain} by {len(chain.load_pem(pem))}" for domain, pem in bundles.items()]
    return Attempt(True, expected, f"{' and '.join(shown)} of its own", "", details)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Checks that look at a certificate: what a peer presents, what a proxy saw, what a sidecar holds."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints, proxies, xfcc
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.handshakes import handshake
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import EITHER, ISTIOD, SPIRE, Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.replies import json_value
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.requests import request
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import World


def peer_certificate(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """What a server presents in a handshake."""
    svid = world.svid(check["client_spiffe_id"]) if check["client_spiffe_id"] else None
    seen = handshake(world, check, svid)
    if not seen["chain"]:
        return Attempt(False, _wanted(check), seen["words"], hints.of_handshake(seen["kind"]))
    return _judged(world, check, "".join(seen["chain"]), {"tls_version": seen["tls_version"]})


def certificate_chain(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """The whole of what a server presents, or of what a proxy holds: leaf, what signed it, and the root it ends in."""
    if check["secret"]:
        pem = _held(world, check, check["container"])
        if isinstance(pem, Attempt):
            return pem
    else:
        svid = world.svid(check["client_spiffe_id"]) if check["client_spiffe_id"] else None
        seen = handshake(world, check, svid)
        if not seen["chain"]:
            return Attempt(False, _wanted(check), seen["words"], hints.of_handshake(seen["kind"]))
        pem = "".join(seen["chain"])
    attempt = _judged(world, check, pem, {})
    if not attempt.ok:
        return attempt
    certificates = chain.load_pem(pem)
    expected = f"{_number_of(check['length'])}, each signed by the next, to the trust bundle of {check['spiffe_id']}"
    if check["issuers"]:
        expected += f", signed by {' and '.join(check['issuers'])}"
    whole = chain.presented(certificates, world.authorities(check))
    details = {**attempt.details, "length": len(certificates), "issuers": list(whole.issuers)}
    count = _number_of(len(certificates))
    if whole.problem or whole.root is None:
        return Attempt(False, expected, f"{count}: {whole.problem}", hints.CHAIN, details)
    details["root_sha256"] = chain.sha256(whole.root)
    observed = f"{count}: leaf, signed by {', signed by '.join(whole.issuers)}"
    names = check["issuers"]
    named = names is None or (len(names) == len(whole.issuers) and all(map(chain.has_name, whole.issuers, names)))
    if check["length"] not in (None, len(certificates)) or not named:
        return Attempt(False, expected, observed, hints.CHAIN, details)
    return Attempt(True, expected, f"{observed}, which is in the trust bundle", "", details)


def _number_of(certificates: int | None) -> str:
    return {None: "certificates", 1: "1 certificate"}.get(certificates, f"{certificates} certificates")


def forwarded_certificate(world: World, check: Check, needed: Mapping[str, Verdict], number: int) -> Attempt:
    """What the nearest proxy in front of the service saw of its client."""
    hops = _hops(world, check, needed, number)
    if isinstance(hops, Attempt):
        return hops
    named = [" and ".join(hop.get("uri", ())) or "nobody" for hop in hops]
    if check["hops"] and named != list(check["hops"]):
        return Attempt(
            False,
            f"{_wanted(check)}, by the way {' → '.join(check['hops'])}",
            f"x-forwarded-client-cert names {' → '.join(named)[:400]}",
            "Somebody has sent this header, or another way was taken: the first proxy must set it anew (SANITIZE_SET).",
        )
    # The last hop is the nearest proxy in front of the service: it says whom it saw.
    last = hops[-1]
    pem = "".join(last.get("chain") or last.get("cert") or ())
    if not pem:
        return Attempt(
            False,
            _wanted(check),
            f"the last hop of x-forwarded-client-cert carries no certificate, only {', '.join(sorted(last))}",
            "Let the Envoy in front of the service forward cert and chain (set_current_client_cert_details).",
        )
    attempt = _judged(world, check, pem, {"hops": len(hops)})
    claimed = last.get("uri", [])
    if attempt.ok and claimed and claimed != [check["spiffe_id"]]:
        return Attempt(False, attempt.expected, f"URI= says {claimed}, the certificate another", "", attempt.details)
    return attempt


def sidecar_certificate(world: World, check: Check, needed: Mapping[str, Verdict], number: int) -> Attempt:
    """What an Istio sidecar holds, and whether the next hop saw the same."""
    pem = _held(world, check, check["container"])
    if isinstance(pem, Attempt):
        return pem
    attempt = _judged(world, check, pem, {})
    if not attempt.ok or not check["request"]:
        return attempt
    hops = _hops(world, check, needed, number)
    if isinstance(hops, Attempt):
        return hops
    digest = attempt.details["sha256"]
    seen = {h for hop in hops if check["spiffe_id"] in hop.get("uri", ()) for h in hop.get("hash", ())}
    if digest not in seen:
        return Attempt(
            False,
            f"{attempt.expected}, and the same certificate on the wire",
            "the certificate that it holds is not the one that the next hop saw"
            if seen
            else f"no hop of x-forwarded-client-cert saw {check['spiffe_id']}",
            "If it was just renewed, run again; else the sidecar serves another certificate than it should.",
            attempt.details,
        )
    details = {**attempt.details, "seen_on_the_wire": True}
    return Attempt(True, attempt.expected, f"{attempt.observed}, seen by the next hop", "", details)


def _held(world: World, check: Check, container: str) -> str | Attempt:
    """The chain that a proxy holds under the name that the check says, as PEM."""
    pem = proxies.chain_of(proxies.held(world, check["to"], container).get(check["secret"]))
    if pem is not None:
        return pem
    return Attempt(
        False,
        _wanted(check),
        f"the sidecar holds no certificate named {check['secret']!r} yet",
        "Is there a registration entry for this workload, and did the agent attest it?",
    )


def _hops(world: World, check: Check, needed: Mapping[str, Verdict], number: int) -> list[xfcc.Element] | Attempt:
    """The hops that the request check saw; asked for anew when an earlier look at them did not hold."""
    verdict = needed[check["request"]]
    body = verdict.attempt.saved
    if number > 1:
        again = request(world, verdict.check, {}, number)
        if not again.ok:
            return again
        body = again.saved
    header = json_value(body, check["header_key"])
    try:
        hops = xfcc.parse(header) if isinstance(header, str) else []
    except ValueError as error:
        return Attempt(False, _wanted(check), str(error))
    if not hops:
        return Attempt(
            False,
            _wanted(check),
            f"the service received no x-forwarded-client-cert ({check['header_key']!r} is empty)",
            "Let the Envoy in front of the service append it (forward_client_cert_details).",
        )
    return hops


def _wanted(check: Check) -> str:
    names = check.fields.get("dns_names") or ()
    named = f", named {' and '.join(names)}" if names else ""
    return f"{check['spiffe_id']}{named}, by {_certifier(check)}, at least {check['min_remaining']} s left"


def _certifier(check: Check) -> str:
    words = {ISTIOD: "istiod", EITHER: "SPIRE or istiod"}
    return words.get(check.fields.get("certified_by", SPIRE), "SPIRE")


def _judged(world: World, check: Check, pem: str, details: Mapping[str, Any]) -> Attempt:
    expected = _wanted(check)
    try:
        certificates = chain.load_pem(pem)
    except ValueError as error:
        return Attempt(False, expected, f"a certificate that cannot be read: {error}", "", details)
    names = tuple(check.fields.get("dns_names") or ())
    wanted = world.expected_of(check, dns_names=names)
    judgement = chain.judge(certificates, wanted, datetime.datetime.now(datetime.timezone.utc))
    details = {**judgement.details, **details}
    if not judgement.ok:
        hint = hints.of_certificate(judgement.problems)
        return Attempt(False, expected, "; ".join(judgement.problems), hint, details)
    named = f", named {' and '.join(names)}" if names else ""
    observed = (
        f"{judgement.details['spiffe_id']}{named}, by {_certifier(check)}, {judgement.details['remaining_s']} s left"
    )
    return Attempt(True, expected, observed, "", details)

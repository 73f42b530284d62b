# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_node_certificate: read the CA and the certificate, plan, and make what is missing."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.codec import (
    fingerprint,
    issue,
    read,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.model import (
    EXTERNAL_PKI,
    NEW,
    SPIFFE,
    Found,
    Wanted,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.plan import (
    plan_certificate,
    steps,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import (
    SpiffeId,
    SpiffeIdError,
    check_trust_domain,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.client import mint_x509
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.client import Store
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.codec import read_pair
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.make import EC_P384, make_pair
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.model import DAY, Known, Pair
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.plan import CURRENT
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography

MAX_DAYS = 3650
TITLE = "Node CA"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_WARN_DAYS = 30


def spec() -> ArgumentSpec:
    """The options of spire_node_certificate."""
    return ArgumentSpec(
        options={
            "path": {"type": "path", "required": True},
            "mode": {"type": "str", "choices": [EXTERNAL_PKI, SPIFFE], "default": EXTERNAL_PKI},
            "trust_domain": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "ca_path": {"type": "path"},
            "spiffe_id": {"type": "str"},
            "valid_days": {"type": "int", "default": 365},
            "ca_valid_days": {"type": "int", "default": 1825},
        },
        required_if=[("mode", EXTERNAL_PKI, ("ca_path",)), ("mode", SPIFFE, ("spiffe_id",))],
    ).merge(spire_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Bring the certificate of a node where ``params`` want it."""
    _check_input(params)
    require_cryptography()
    return _Work(params, datetime.datetime.now(datetime.timezone.utc), connect(params)).carry_out(check_mode)


@dataclass
class _Work:
    params: Mapping[str, Any]
    now: datetime.datetime
    server: SpireServer

    def carry_out(self, check_mode: bool) -> Outcome:
        place = Store(Path(self.params["path"]))
        authority = self._authority()
        # Nothing is made for a server that cannot be reached.
        roots = self._roots(authority)
        with place.alone(make=not check_mode):
            pair = place.read(CURRENT)
            found = read(pair, roots) if pair else None
            wanted = self._wanted()
            plan = plan_certificate(wanted, found, self.now.timestamp())
            ca_is_there = authority is not None or wanted.mode == SPIFFE
            todo = steps(plan, ca_is_there)
            if not check_mode:
                if not ca_is_there:
                    authority = self._made_authority()
                if plan.make:
                    made = self._made(wanted, authority)
                    # The one before is only in the way of the new one; a run that ends in between makes one anew.
                    place.keep()
                    place.put(made)
                    found = read(made, made.bundle)
                place.drop()
        told = {"serial_number": NEW} if found is None or (check_mode and plan.make) else _told(found, self.now)
        return Outcome(
            changed=bool(todo),
            diff={"before": plan.before, "after": plan.after},
            warnings=_warnings(authority),
            result={
                "node_certificate": told,
                "ca": _shown(authority),
                "actions": [{"verb": verb, "id": ""} for verb in todo],
                "reason": plan.reason,
            },
        )

    def _wanted(self) -> Wanted:
        spiffe_id = self.params["spiffe_id"] or ""
        return Wanted(self.params["mode"], self.params["name"], spiffe_id, self.params["trust_domain"])

    def _roots(self, authority: Known | None) -> str:
        """By what the server judges a certificate: its own bundle, or the CA of the nodes."""
        if self.params["mode"] == SPIFFE:
            return show_bundle(self.server).pem
        return authority.pair.certificate if authority else ""

    def _authority(self) -> Known | None:
        """The CA of the nodes, when it is there. One whose time is over is refused."""
        if self.params["mode"] == SPIFFE:
            return None
        store = Store(Path(self.params["ca_path"]))
        pair = store.read(CURRENT)
        if pair is None:
            return None
        place = store.path / CURRENT
        known = read_pair(pair, self.now, (f"{place}/tls.crt", f"{place}/tls.key", f"{place}/ca.crt"), ended_too=True)
        if known.authority.seconds_left <= 0:
            raise InputError(
                f"ca_path: the CA in {place} ended at {known.authority.not_after}. Delete the folder {store.path}, so"
                " that a new one is made, and give that one to the SPIRE server."
            )
        return known

    def _made_authority(self) -> Known | None:
        made = make_pair(self.params["trust_domain"], EC_P384, self.params["ca_valid_days"], self.now, TITLE)
        # Several machines may be set up at the same moment: one makes it, the others take that one.
        Store(Path(self.params["ca_path"])).put(made)
        return self._authority()

    def _made(self, wanted: Wanted, authority: Known | None) -> Pair:
        if authority is not None:
            return issue(wanted, authority.pair, self.params["valid_days"], self.now)
        minted = mint_x509(self.server, wanted.spiffe_id, self.params["valid_days"] * DAY)
        return Pair(minted.chain_pem, minted.key_pem, minted.bundle_pem)


def _told(found: Found, now: datetime.datetime) -> dict[str, Any]:
    return {**found.public(), "seconds_left": int(found.not_after - now.timestamp())}


def _shown(authority: Known | None) -> dict[str, Any]:
    if authority is None:
        return {}
    return {
        "certificate": authority.pair.certificate,
        "fingerprint": fingerprint(authority.pair),
        "not_after": authority.authority.not_after,
    }


def _warnings(authority: Known | None) -> list[str]:
    if authority is None or authority.authority.seconds_left > _WARN_DAYS * DAY:
        return []
    return [
        f"The CA of the nodes ends at {authority.authority.not_after}, and their certificates with it. Make a new one"
        " in another folder, give the SPIRE server both, and then the machines the new one."
    ]


def _check_input(params: Mapping[str, Any]) -> None:
    try:
        check_trust_domain(params["trust_domain"])
    except SpiffeIdError as error:
        raise InputError(f"trust_domain: {error}") from error
    for name in ("path", "ca_path"):
        path = params[name]
        if path is not None and (not path.startswith("/") or len(Path(path).parts) < 3):
            raise InputError(f"{name}: {path!r} is no absolute path of a folder for certificates alone.")
    if params["ca_path"] and Path(params["ca_path"]) == Path(params["path"]):
        raise InputError("path: it is ca_path, too. Each needs a folder of its own.")
    if not _NAME.match(params["name"]):
        raise InputError(
            f"name: {params['name']!r} is no name of a node: 1 to 64 letters, digits, dots, dashes and underscores."
        )
    for name in ("valid_days", "ca_valid_days"):
        if not 1 <= params[name] <= MAX_DAYS:
            raise InputError(f"{name}: {params[name]} is not from 1 to {MAX_DAYS}.")
    if params["mode"] == SPIFFE:
        try:
            spiffe_id = SpiffeId.parse(params["spiffe_id"])
        except SpiffeIdError as error:
            raise InputError(f"spiffe_id: {error}.") from error
        if spiffe_id.trust_domain != params["trust_domain"] or not spiffe_id.path or spiffe_id.is_reserved:
            raise InputError(
                f"spiffe_id: {spiffe_id} is none of a node of {params['trust_domain']}. It needs a path, and not one"
                f" below /spire/, such as spiffe://{params['trust_domain']}/spire-exchange/{params['name']}."
            )

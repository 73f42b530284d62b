# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_svid: look at what is there, ask server or agent, plan, write."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import check_dns_names
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeId, SpiffeIdError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.client import (
    DEFAULT_AGENT_SOCKET,
    WorkloadApi,
    mint_jwt,
    mint_x509,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.codec import (
    read_jwt,
    read_x509,
    same_authorities,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.model import (
    JWT,
    X509,
    Found,
    JwtSvid,
    Svid,
    Wanted,
    X509Svid,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.plan import (
    WRITE_BUNDLE,
    Plan,
    plan_svid,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.store import Store, User
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography

SERVER, WORKLOAD_API = "server", "workload_api"
CHAIN, KEY, BUNDLE, TOKEN = "svid.pem", "svid.key", "bundle.pem", "svid.jwt"
POD_AGENT = "/opt/spire/bin/spire-agent"
MAX_TTL = 2**31 - 1


def spec() -> ArgumentSpec:
    """The options of spire_svid."""
    return ArgumentSpec(
        options={
            "type": {"type": "str", "choices": [X509, JWT], "default": X509},
            "source": {"type": "str", "choices": [SERVER, WORKLOAD_API], "default": SERVER},
            "spiffe_id": {"type": "str"},
            "path": {"type": "path"},
            "owner": {"type": "str"},
            "ttl": {"type": "int", "default": 0},
            "dns_names": {"type": "list", "elements": "str", "default": []},
            "audience": {"type": "list", "elements": "str"},
            "renew_before": {"type": "int"},
            "agent_binary": {"type": "str"},
            "agent_socket_path": {"type": "str", "default": DEFAULT_AGENT_SOCKET},
        },
        required_if=[("source", SERVER, ("spiffe_id", "path")), ("type", JWT, ("audience",))],
    ).merge(spire_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Bring the SVID in the folder to what ``params`` want."""
    wanted = _check_input(params)
    require_cryptography()
    store = Store(Path(params["path"]), User.named(params["owner"])) if params["path"] else None
    if store:
        store.check()
    server = connect(params)
    source = (
        _Server(server, wanted, params) if params["source"] == SERVER else _Agent(_workload_api(params, server), wanted)
    )
    # Nothing is written for a server or an agent that cannot be reached.
    source.ask()
    if store is None:
        return _outcome(params, Plan("", "no path is given"), source.found(), [])
    with store.alone(make=not check_mode):
        return _kept(params, store, source, check_mode)


def _kept(params: Mapping[str, Any], store: Store, source: _Server | _Agent, check_mode: bool) -> Outcome:
    wanted = source.wanted
    there = _stored(store, wanted)
    found = source.read(there) if there else None
    same_bundle = not isinstance(there, X509Svid) or same_authorities(there.bundle_pem, source.bundle)
    plan = plan_svid(wanted, found, same_bundle, time.time())
    warnings: list[str] = []
    if plan.changed and not check_mode:
        svid = _with_bundle(there, source.bundle) if there and plan.verb == WRITE_BUNDLE else source.make()
        found = source.read(svid)
        if found is None or not found.trusted:
            raise TrustmeshError(
                f"The SVID that was brought is none of the trust bundle of now, so {store.path} was left as it is. Is "
                "an authority being replaced? Run again."
            )
        store.put(_files(svid))
        warnings = _too_short(wanted, found)
    known = found if not (check_mode and plan.changed and plan.verb != WRITE_BUNDLE) else None
    return _outcome(params, plan, known, warnings)


@dataclass
class _Server:
    """Where a server mints. It does so only when a new SVID is needed."""

    server: SpireServer
    wanted: Wanted
    params: Mapping[str, Any]
    _held: Bundle | None = None

    def ask(self) -> None:
        """Read the authorities of now. Whose server it is is looked at before anything is minted."""
        self._held = show_bundle(self.server)
        ours = str(self.wanted.spiffe_id).split("/")[2]
        if ours != self._held.trust_domain:
            raise InputError(
                f"spiffe_id: the server signs for the trust domain {self._held.trust_domain}, not for {ours}. Is it "
                "the server that is meant?"
            )

    @property
    def held(self) -> Bundle:
        if self._held is None:
            raise ValueError("ask() comes first")
        return self._held

    @property
    def bundle(self) -> str:
        """What is handed on: also a tainted authority, by which others are still to be believed."""
        return self.held.pem

    def read(self, svid: Svid) -> Found | None:
        if isinstance(svid, X509Svid):
            return read_x509(svid, self.held.trusted_pem)
        return read_jwt(svid.token, [key.key_id for key in self.held.jwt_authorities if not key.tainted])

    def make(self) -> Svid:
        wanted, ttl = self.wanted, self.params["ttl"]
        if wanted.kind == JWT:
            return mint_jwt(self.server, str(wanted.spiffe_id), wanted.audience, ttl)
        minted = mint_x509(self.server, str(wanted.spiffe_id), ttl, wanted.dns_names or ())
        return replace(minted, bundle_pem=self.bundle)

    def found(self) -> Found | None:
        """Nothing is minted only to be looked at."""
        return None


@dataclass
class _Agent:
    """An agent, which has an SVID and renews it by itself. To fetch it changes nothing."""

    api: WorkloadApi
    wanted: Wanted
    _svid: Svid | None = None

    def ask(self) -> None:
        """Fetch the SVID that is meant: the one that is named, or the first, which is the default."""
        wanted, api = self.wanted, self.api
        self._svid = (
            api.fetch_jwt(wanted.audience, wanted.spiffe_id) if wanted.kind == JWT else api.fetch_x509(wanted.spiffe_id)
        )
        found = self.read(self._svid)
        if found is None:
            raise TrustmeshError("What the agent gave is no SVID that can be used. Look at its log.")
        self.wanted = replace(wanted, spiffe_id=found.spiffe_id)
        if wanted.kind == X509:
            self.wanted = replace(self.wanted, dns_names=found.dns_names)

    @property
    def svid(self) -> Svid:
        if self._svid is None:
            raise ValueError("ask() comes first")
        return self._svid

    @property
    def bundle(self) -> str:
        return self.svid.bundle_pem if isinstance(self.svid, X509Svid) else ""

    def read(self, svid: Svid) -> Found | None:
        if isinstance(svid, X509Svid):
            return read_x509(svid, self.bundle)
        return read_jwt(svid.token, self.svid.key_ids if isinstance(self.svid, JwtSvid) else ())

    def make(self) -> Svid:
        return self.svid

    def found(self) -> Found | None:
        return self.read(self.svid)


def _workload_api(params: Mapping[str, Any], server: SpireServer) -> WorkloadApi:
    """The agent, run where the connection leads: here, or in the pod."""
    in_pod = params["pod"] or params["pod_selector"]
    return WorkloadApi(
        server.process,
        params["agent_binary"] or (POD_AGENT if in_pod else "spire-agent"),
        params["agent_socket_path"],
        params["timeout"],
        params["wait_timeout"],
    )


def _stored(store: Store, wanted: Wanted) -> Svid | None:
    """What stands in the files, when all of it is there."""
    if wanted.kind == JWT:
        token = store.read(TOKEN)
        return JwtSvid(token.strip()) if token else None
    texts = [store.read(name) for name in (CHAIN, KEY, BUNDLE)]
    return X509Svid(*texts) if all(texts) else None  # type: ignore[arg-type]


def _with_bundle(svid: Svid, bundle: str) -> Svid:
    return replace(svid, bundle_pem=bundle) if isinstance(svid, X509Svid) else svid


def _files(svid: Svid) -> dict[str, str]:
    if isinstance(svid, JwtSvid):
        return {TOKEN: svid.token}
    return {CHAIN: svid.chain_pem, KEY: svid.key_pem, BUNDLE: svid.bundle_pem}


def _too_short(wanted: Wanted, found: Found) -> list[str]:
    life = found.expires_at - int(time.time())
    if wanted.renew_before is None or life >= wanted.renew_before:
        return []
    return [
        f"The SVID of {found.spiffe_id} lives for {life} s, less than renew_before ({wanted.renew_before} s), so every "
        "run makes it anew. No SVID outlives the authority that signs it."
    ]


def _outcome(params: Mapping[str, Any], plan: Plan, found: Found | None, warnings: list[str]) -> Outcome:
    told: dict[str, Any] = {}
    if found:
        told = {**found.public(), "seconds_left": int(found.expires_at - time.time())}
    actions = [{"verb": plan.verb, "id": told.get("spiffe_id") or params["spiffe_id"] or ""}] if plan.changed else []
    return Outcome(
        changed=plan.changed,
        diff={"before": plan.before, "after": plan.after},
        warnings=warnings,
        result={"svid": told, "reason": plan.reason, "actions": actions, "path": params["path"]},
    )


def _check_input(params: Mapping[str, Any]) -> Wanted:
    kind, by_server = params["type"], params["source"] == SERVER
    if params["spiffe_id"] is not None:
        _check_id(params["spiffe_id"])
    _check_path(params["path"])
    for name in ("agent_binary", "agent_socket_path", "owner"):
        if params[name] is not None and not params[name].strip():
            raise InputError(f"{name}: it is empty. Give a value, or leave the option out.")
    if not params["agent_socket_path"].startswith("/"):
        raise InputError(f"agent_socket_path: {params['agent_socket_path']} is not an absolute path.")
    for name in ("ttl", "renew_before"):
        if not 0 <= (params[name] or 0) <= MAX_TTL:
            raise InputError(f"{name}: {params[name]} is not between 0 and {MAX_TTL} seconds.")
    if params["ttl"] and (params["renew_before"] or 0) >= params["ttl"]:
        raise InputError(
            f"renew_before: {params['renew_before']} s are not less than ttl ({params['ttl']} s), so every run would "
            "make a new SVID."
        )
    for name in ("ttl", "dns_names"):
        if params[name] and not by_server:
            raise InputError(f"{name}: an agent gives what the registration entry says. Set it there, or leave it out.")
    if params["dns_names"] and kind == JWT:
        raise InputError("dns_names: a JWT-SVID has none. Leave them out.")
    if params["audience"] is not None and kind == X509:
        raise InputError("audience: an X509-SVID has none. Leave it out, or set type to jwt.")
    dns_names = check_dns_names("dns_names", params["dns_names"])
    audience = _audience(params["audience"], by_server) if kind == JWT else ()
    return Wanted(kind, params["spiffe_id"], dns_names if kind == X509 else None, audience, params["renew_before"])


def _audience(names: Sequence[str], by_server: bool) -> tuple[str, ...]:
    if not names:
        raise InputError("audience: it is empty. Name who is to believe the JWT-SVID.")
    for index, name in enumerate(names):
        if not name.strip() or name != name.strip():
            raise InputError(f"audience[{index}]: {name!r} is empty, or has blanks around it.")
        if "," in name and not by_server:
            raise InputError(f"audience[{index}]: {name!r} has a comma, by which spire-agent separates several.")
    return tuple(names)


def _check_id(text: str) -> None:
    try:
        spiffe_id = SpiffeId.parse(text)
    except SpiffeIdError as error:
        raise InputError(f"spiffe_id: {error.message}.") from error
    if not spiffe_id.path or spiffe_id.is_reserved:
        raise InputError(
            f"spiffe_id: {spiffe_id} is no workload's. It needs a path, and not one below /spire, such as "
            f"spiffe://{spiffe_id.trust_domain}/ns/shop/sa/cart."
        )


def _check_path(path: str | None) -> None:
    if path is None:
        return
    if not path.startswith("/") or len(Path(path).parts) < 3:
        raise InputError(f"path: {path!r} is no absolute path of a folder for one SVID alone, such as /etc/cart/svid.")

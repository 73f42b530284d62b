# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_upstream_ca: read folder, Secret and server, plan, make the CA, and bring it to the server."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import ISTIOD_SECRETS, KubeObject
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import access_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.client import show_authorities
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.codec import authorities_from_server
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.model import (
    UPSTREAM,
    X509,
    Authorities,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import (
    SpiffeIdError,
    check_trust_domain,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.client import (
    Cluster,
    Store,
    read_private,
    read_text,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.codec import (
    ROOT_MAP,
    is_ours,
    pair_of,
    pair_of_istio,
    read_pair,
    root_ids,
    same_secret,
    secret_object,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.make import (
    EC_P256,
    EC_P384,
    make_pair,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.model import NEW, Known, Pair
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.plan import (
    ABSENT,
    ADOPT,
    CURRENT,
    DROP,
    FINISHED,
    KEEP,
    MAKE,
    PRESENT,
    PREVIOUS,
    REMOVE,
    RESTORE,
    ROTATING,
    WITHDRAW,
    Folder,
    Plan,
    foreseen,
    plan_folder,
    plan_secret,
    stage,
    warnings,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_IN_SECRET = ("the Secret's tls.crt", "the Secret's tls.key", "the Secret's ca.crt")
MAX_DAYS = 3650


def spec() -> ArgumentSpec:
    """The options of spire_upstream_ca."""
    return ArgumentSpec(
        options={
            "state": {"type": "str", "choices": [PRESENT, ROTATING, FINISHED, ABSENT], "default": PRESENT},
            "path": {"type": "path", "required": True},
            "trust_domain": {"type": "str", "required": True},
            "key_type": {"type": "str", "choices": [EC_P256, EC_P384], "default": EC_P384, "no_log": False},
            "valid_days": {"type": "int", "default": 365},
            "renew_before_days": {"type": "int", "default": 30},
            "certificate": {"type": "path"},
            "private_key": {"type": "path", "no_log": False},
            "bundle": {"type": "path"},
            "pair": {"type": "str", "choices": [CURRENT, PREVIOUS], "default": CURRENT},
            "secret_name": {"type": "str", "no_log": False},
            "istio_namespace": {"type": "str"},
            "scenario": {"type": "str", "default": ""},
            "purge": {"type": "bool", "default": False},
        },
        required_together=[("certificate", "private_key")],
        required_by={"bundle": ("certificate",)},
    ).merge(spire_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Bring a CA, and the Secret of a server, where ``params`` want them."""
    _check_input(params)
    require_cryptography()
    server = connect(params)
    return _Work(params, datetime.datetime.now(datetime.timezone.utc), server).carry_out(check_mode)


@dataclass
class _Work:
    params: Mapping[str, Any]
    now: datetime.datetime
    server: SpireServer

    def carry_out(self, check_mode: bool) -> Outcome:
        state, name = self.params["state"], self.params["secret_name"]
        # Before anything is made: whether the server answers, and where it stands.
        slots = self._authorities() if state == ROTATING else None
        own = self._own_files()
        self._has_root_of_istio(own)
        cluster = self._cluster()
        live = self._live(cluster) if cluster else None
        store = Store(Path(self.params["path"]))
        # Several servers may be led at the same time: who looks in the middle of a change finds no current pair.
        with store.alone(make=not check_mode and own is None and state in (PRESENT, ROTATING)):
            folder = Folder() if own else self._folder()
            missing = own is None and state == PRESENT and folder == Folder() and self._in_secret(live) is None
            istio = self._of_istio() if missing else None
            if own:
                plan = Plan(reason="the CA is the user's own")
            else:
                plan = plan_folder(state, folder, self._in_secret(live), self.params["purge"], istio)
            if state == ABSENT:
                return self._remove(plan, cluster, live, check_mode)
            if not check_mode:
                self._change_folder(plan, live, istio)
                folder = Folder() if own else self._folder()
            elif plan.changed:
                folder = foreseen(plan, folder, self._in_secret(live), istio)
        wanted = own or self._chosen(folder)
        wanted_id = wanted.authority.authority_id if wanted else NEW
        actions = [{"verb": verb, "id": ""} for verb in plan.folder]
        if cluster:
            done = self._bring(cluster, live, wanted, plan, check_mode)
            actions += [{"verb": verb, "id": step_id} for verb, step_id in (step.split(" ", 1) for step in done)]
        told: dict[str, Any] = wanted.authority.public() if wanted else {"authority_id": NEW}
        told |= {
            "made_here": own is None,
            "rotating": folder.previous is not None or (state == ROTATING and own is None),
            "previous_authority_id": folder.previous.authority.authority_id if folder.previous else "",
            "secret_name": name or "",
        }
        if slots is not None:
            told |= self._stage(slots, wanted, wanted_id, told["previous_authority_id"], own is not None)
        return Outcome(
            changed=bool(actions),
            diff={"before": plan.before, "after": plan.after},
            warnings=warnings(wanted, self.params["renew_before_days"], own is None) if wanted else [],
            result={"upstream_ca": told, "actions": actions, "reason": plan.reason},
        )

    def _own_files(self) -> Known | None:
        if not self.params["certificate"] or self.params["state"] == ABSENT:
            return None
        names = ("certificate", "private_key", "bundle" if self.params["bundle"] else "certificate")
        certificate = read_text(Path(self.params["certificate"]), "certificate")
        key = read_private(Path(self.params["private_key"]), "private_key")
        bundle = read_text(Path(self.params["bundle"]), "bundle") if self.params["bundle"] else certificate
        return read_pair(Pair(certificate, key, bundle), self.now, names)

    def _folder(self) -> Folder:
        found = {which: self._stored(which) for which in (CURRENT, PREVIOUS)}
        return Folder(found[CURRENT], found[PREVIOUS])

    def _stored(self, which: str) -> Known | None:
        store = Store(Path(self.params["path"]))
        pair = store.read(which)
        if pair is None:
            return None
        if self.params["state"] == ABSENT:
            # What is removed may be broken.
            with contextlib.suppress(InputError):
                return read_pair(pair, self.now, ("certificate", "private_key", "bundle"))
            return None
        place = store.path / which
        # One whose time is over can still be replaced.
        ended_too = which == PREVIOUS or self.params["state"] != PRESENT
        return read_pair(pair, self.now, (f"{place}/tls.crt", f"{place}/tls.key", f"{place}/ca.crt"), ended_too)

    def _chosen(self, folder: Folder) -> Known | None:
        if self.params["pair"] == CURRENT:
            return folder.current
        if folder.previous is None:
            raise InputError("pair: no rotation is under way, so there is no CA before the current one.")
        return folder.previous

    def _cluster(self) -> Cluster | None:
        if not self.params["secret_name"]:
            return None
        # Once: a token becomes a file of its own.
        kubectl = Kubectl(access_of(self.params), self.params["timeout"])
        return Cluster(kubectl, self.params["namespace"], self.params["pod"], self.params["pod_selector"])

    def _live(self, cluster: Cluster) -> KubeObject | None:
        name, namespace = self.params["secret_name"], self.params["namespace"]
        live = cluster.secret(secret_object(name, namespace, ""))
        if live is not None and not is_ours(live) and self.params["state"] != ABSENT:
            raise InputError(
                f"secret_name: there is a Secret {namespace}/{name} which this collection did not make. Give another"
                " name, or remove it."
            )
        return live if live is not None and is_ours(live) else None

    def _has_root_of_istio(self, own: Known | None) -> None:
        """Files of the user's have to lead to the root by which the workloads of an istiod know each other."""
        namespace = self.params["istio_namespace"]
        if own is None or not namespace:
            return
        kubectl = Kubectl(access_of(self.params), self.params["timeout"])
        doing = f"Reading istiod's root from the ConfigMap {namespace}/{ROOT_MAP}"
        asked = ["get", "configmap", ROOT_MAP, "--namespace", namespace, "--ignore-not-found", "--output", "json"]
        found = kubectl.read(asked, None, doing)
        roots = root_ids((found[0].get("data") or {}).get("root-cert.pem") or "") if found else set()
        if not roots & root_ids(own.pair.bundle):
            told = f"its ConfigMap {ROOT_MAP} names" if roots else f"no ConfigMap {ROOT_MAP} tells"
            raise InputError(
                f"certificate: it does not lead to the root of the istiod in {namespace}, which {told}. Workloads of"
                " both would not believe each other."
            )

    def _of_istio(self) -> Known | None:
        """The CA of an istiod, whose workloads then have one root with those of the server."""
        namespace = self.params["istio_namespace"]
        if not namespace:
            return None
        cluster = Cluster(Kubectl(access_of(self.params), self.params["timeout"]), namespace)
        for name in ISTIOD_SECRETS:
            live = cluster.secret(secret_object(name, namespace, ""))
            pair = pair_of_istio(live) if live is not None else None
            if pair is not None:
                where = f"istio_namespace: the Secret {namespace}/{name}"
                return read_pair(pair, self.now, (f"{where}, certificate", f"{where}, key", f"{where}, root"))
        raise InputError(
            f"istio_namespace: {namespace} has no CA of an istiod that can be read: no Secret"
            f" {' or '.join(ISTIOD_SECRETS)} with a certificate and its key. Where an authority outside of the cluster"
            " signs for istiod, have it sign a CA for the SPIRE servers, and give that as certificate, private_key and"
            " bundle."
        )

    def _in_secret(self, live: KubeObject | None) -> Known | None:
        pair = pair_of(live) if live is not None else None
        if pair is None:
            return None
        try:
            return read_pair(pair, self.now, _IN_SECRET)
        except InputError:
            return None  # somebody has changed it, or its time is over

    def _change_folder(self, plan: Plan, live: KubeObject | None, istio: Known | None) -> None:
        store = Store(Path(self.params["path"]))
        if self.params["state"] == ROTATING:
            store.make_folder()  # with files of the user's own as well: what is noted on the way stands in it
        for step in plan.folder:
            if step == RESTORE and (found := self._in_secret(live)):
                store.put(found.pair)
            elif step == ADOPT and istio:
                store.put(istio.pair)
            elif step == MAKE:
                made = make_pair(
                    self.params["trust_domain"], self.params["key_type"], self.params["valid_days"], self.now
                )
                store.put(made)
            elif step == KEEP:
                store.keep()
            elif step == REMOVE:
                store.remove()
        if self.params["state"] == FINISHED and (not plan.folder or DROP in plan.folder):
            store.drop()

    def _bring(
        self, cluster: Cluster, live: KubeObject | None, wanted: Known | None, plan: Plan, check_mode: bool
    ) -> list[str]:
        """Bring the pair into the cluster of the server, and say what was done or would be."""
        name, namespace = self.params["secret_name"], self.params["namespace"]
        secret = secret_object(name, namespace, self.params["scenario"], wanted.pair) if wanted else None
        wanted_id = wanted.authority.authority_id if wanted else NEW
        same = live is not None and secret is not None and same_secret(live, secret)
        steps = plan_secret(wanted_id, same, cluster.annotations(), name)
        if not same:
            there = self._in_secret(live)
            plan.before = {**plan.before, "secret": there.authority.shown() if there else {}}
            plan.after = {**plan.after, "secret": wanted.authority.shown() if wanted else {"sha256": NEW}}
        if check_mode or secret is None:
            return steps
        for step in steps:
            verb, _blank, what = step.partition(" ")
            if verb == "apply":
                cluster.apply(secret, live)
            else:
                cluster.annotate(what, wanted_id)
        return steps

    def _authorities(self) -> Authorities:
        return authorities_from_server(UPSTREAM, show_authorities(self.server, X509), show_bundle(self.server))

    def _stage(
        self, state: Authorities, wanted: Known | None, wanted_id: str, previous_id: str, own: bool
    ) -> dict[str, str]:
        found, retiring = stage(state, wanted_id, previous_id)
        if own and wanted is not None:
            if not wanted.authority.self_signed:
                raise InputError(
                    "certificate: another CA has signed it, so that it is not among the authorities of a trust domain,"
                    " and can be neither tainted nor revoked. A server takes it up with its next CA by itself."
                )
            if retiring in wanted.authority.roots:
                raise InputError(
                    f"bundle: the root {retiring}, which has to go, is still in it, and would come back with the next"
                    " CA of each server. Take it out."
                )
        return {"stage": found, "retiring_authority_id": retiring}

    def _remove(self, plan: Plan, cluster: Cluster | None, live: KubeObject | None, check_mode: bool) -> Outcome:
        name = self.params["secret_name"]
        store = Store(Path(self.params["path"]))
        actions = [{"verb": WITHDRAW, "id": name}] if live is not None else []
        if self.params["purge"] and store.exists():
            actions.append({"verb": REMOVE, "id": ""})
        if not check_mode:
            if cluster and live is not None:
                cluster.withdraw(live)
            if self.params["purge"]:
                store.remove()
        return Outcome(
            changed=bool(actions),
            diff={"before": plan.before, "after": plan.after},
            result={"upstream_ca": {}, "actions": actions, "reason": plan.reason},
        )


def _check_input(params: Mapping[str, Any]) -> None:
    try:
        check_trust_domain(params["trust_domain"])
    except SpiffeIdError as error:
        raise InputError(f"trust_domain: {error}") from error
    path = params["path"]
    if not path.startswith("/") or len(Path(path).parts) < 3:
        raise InputError(f"path: {path!r} is no absolute path of a folder for a CA alone.")
    if not 1 <= params["valid_days"] <= MAX_DAYS:
        raise InputError(f"valid_days: {params['valid_days']} is not from 1 to {MAX_DAYS}.")
    if not 0 <= params["renew_before_days"] < params["valid_days"]:
        raise InputError(
            f"renew_before_days: {params['renew_before_days']} is not from 0 to less than valid_days"
            f" ({params['valid_days']}): a new CA would be near its end."
        )
    for name in ("certificate", "private_key", "bundle"):
        if params[name] is not None and not params[name].startswith("/"):
            raise InputError(f"{name}: {params[name]!r} is no absolute path.")
    if params["secret_name"] is not None and not _NAME.match(params["secret_name"]):
        raise InputError(f"secret_name: {params['secret_name']!r} is no name of a Secret in Kubernetes.")
    if params["istio_namespace"] and not _NAME.match(params["istio_namespace"]):
        raise InputError(f"istio_namespace: {params['istio_namespace']!r} is no name of a namespace in Kubernetes.")
    if params["purge"] and params["state"] != ABSENT:
        raise InputError("purge: it goes with state=absent only.")
    if params["pair"] == PREVIOUS and (params["certificate"] or params["state"] != PRESENT):
        raise InputError("pair: the one before is there for a CA that is made here, and goes with state=present.")

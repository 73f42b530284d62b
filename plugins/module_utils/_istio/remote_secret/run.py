# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of the module istio_remote_secret: read both clusters, plan, request a token, write the Secret.

Where it is known of which trust domain the other cluster is, it looks at what came of it, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, WaitTimeout
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import DNS_LABEL
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.client import Giver, Keeper
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.codec import (
    read_authority,
    secret_object,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.model import (
    LONGEST,
    NEW,
    SHORTEST,
    Sight,
    Token,
    Wanted,
    moment,
    secret_name,
    server_fault,
    shown,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.plan import (
    SHOWN,
    Plan,
    plan_absent,
    plan_present,
    warnings,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import Access, access_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._polling import poll
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import side_by_side
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeIdError, check_trust_domain

PRESENT, ABSENT = "present", "absent"
_THIRTY_DAYS = 30 * 86400
_ANEW = 10.0
"""Seconds in which an istiod has usually read all by a new token."""


def spec() -> ArgumentSpec:
    """Return the options of istio_remote_secret."""
    remote = {
        "kubectl": {"type": "path"},
        "kubeconfig": {"type": "path"},
        "context": {"type": "str"},
        "namespace": {"type": "str", "default": "istio-system"},
        "service_account": {"type": "str", "default": "istio-reader-service-account"},
    }
    own = ArgumentSpec(
        options={
            "cluster": {"type": "str", "required": True},
            "namespace": {"type": "str", "default": "istio-system"},
            "remote": {"type": "dict", "options": remote},
            "server": {"type": "str"},
            "server_ca": {"type": "str"},
            "token_lifetime": {"type": "int", "default": _THIRTY_DAYS, "no_log": False},
            "renew_before": {"type": "int"},
            "trust_domain": {"type": "str"},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 120},
            "scenario": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": [PRESENT, ABSENT], "default": PRESENT},
            "timeout": {"type": "int", "default": 30},
        },
        required_if=[("state", PRESENT, ("remote", "server"))],
        public=["server", "server_ca"],
        free=["server_ca"],
    )
    return own.merge(kubectl_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Bring the Secret for another cluster where ``params`` want it."""
    _check_input(params)
    access = access_of(params)
    _require_file("kubeconfig", access)
    keeper = Keeper(Kubectl(access, params["timeout"]), "this cluster", params["namespace"])
    if params["state"] == ABSENT:
        return _absent(params, check_mode, keeper)
    return _present(params, check_mode, keeper, _giver(params, access))


def _present(params: Mapping[str, Any], check_mode: bool, keeper: Keeper, giver: Giver) -> Outcome:
    wanted, held = side_by_side(lambda: _wanted(params, giver), lambda: keeper.held(params["cluster"]))
    now = time.time()
    plan = plan_present(wanted, held, now)
    token = held.token if held else None
    sight = Sight()
    if token and not plan.changed:
        believed = giver.believes(token)
        if believed:
            sight = _seen(params, keeper, check_mode)
        plan = plan_present(wanted, held, now, believed, sight.strangers)
    if held is None:
        keeper.require_namespace()
    if plan.changed:
        token, sight = (None, Sight()) if check_mode else _renew(params, wanted, keeper, giver)
    return _outcome(plan, wanted, token, sight)


def _renew(params: Mapping[str, Any], wanted: Wanted, keeper: Keeper, giver: Giver) -> tuple[Token, Sight]:
    """Write the Secret with a new token; when it is waited, again until every istiod has read all as it is."""
    deadline = time.monotonic() + params["wait_timeout"]
    while True:
        token = giver.token(wanted.account, wanted.lifetime)
        keeper.apply(secret_object(wanted, token), token)
        if not params["wait"]:
            return token, Sight()
        # One who still reads is waited for; a new token would only have it begin anew.
        sight = _watch(params, keeper, lambda sight: not sight.unread, deadline)
        if not sight.unread:
            limit = min(deadline, time.monotonic() + _ANEW)
            sight = _watch(params, keeper, lambda sight: not (sight.unread or sight.strangers), limit)
        if not (sight.unread or sight.strangers):
            return token, sight
        if time.monotonic() >= deadline:
            _require_read(params, sight)
            raise WaitTimeout(
                f"istiod takes workloads of {wanted.cluster} for others than they are, also by new tokens:"
                f" {', '.join(sight.strangers[:SHOWN])}. They are to be of {params['trust_domain']}. Look whether the"
                f" account {wanted.account} may read the ConfigMaps in Istio's namespace there, and whether the mesh's"
                " settings among them name this trust domain."
            )


def _seen(params: Mapping[str, Any], keeper: Keeper, check_mode: bool) -> Sight:
    """Return what the istiods have read, once all have when it is waited for that."""
    if check_mode or not params["wait"]:
        return _look(params, keeper)
    deadline = time.monotonic() + params["wait_timeout"]
    sight = _watch(params, keeper, lambda sight: not sight.unread, deadline)
    _require_read(params, sight)
    return sight


def _watch(params: Mapping[str, Any], keeper: Keeper, enough: Callable[[Sight], bool], deadline: float) -> Sight:
    """Look until it is ``enough``, at most until ``deadline``; return what was seen last."""
    seen = Sight()

    def look() -> bool:
        nonlocal seen
        seen = _look(params, keeper)
        return enough(seen)

    poll(look, deadline)
    return seen


def _look(params: Mapping[str, Any], keeper: Keeper) -> Sight:
    """Ask each istiod once what it has read of the other cluster."""
    cluster, trust_domain = params["cluster"], params["trust_domain"]
    istiods = keeper.istiods() if trust_domain else []
    asked = {
        istiod: side_by_side(
            partial(keeper.has_read, istiod, cluster), partial(keeper.strangers, istiod, cluster, trust_domain)
        )
        for istiod in istiods
    }
    unread = tuple(istiod for istiod, (has_read, _strangers) in asked.items() if not has_read)
    found = {stranger for has_read, strangers in asked.values() if has_read for stranger in strangers}
    return Sight(bool(istiods), unread, tuple(sorted(found)))


def _require_read(params: Mapping[str, Any], sight: Sight) -> None:
    if sight.unread:
        raise WaitTimeout(
            f"The istiod {params['namespace']}/{sight.unread[0]} has not read {params['cluster']} within"
            f" {params['wait_timeout']} s. Look at its log, and whether its pod reaches the other API server."
        )


def _absent(params: Mapping[str, Any], check_mode: bool, keeper: Keeper) -> Outcome:
    held = keeper.held(params["cluster"])
    plan = plan_absent(held)
    if plan.changed and not check_mode:
        keeper.withdraw(params["cluster"])
    name = f"{params['namespace']}/{secret_name(params['cluster'])}"
    left = held is not None and not plan.changed
    return Outcome(
        changed=plan.changed,
        diff={"before": plan.before, "after": plan.after},
        warnings=[f"The Secret {name} stays, since somebody else made it."] if left else [],
        result={"remote_secret": {}, "actions": _actions(plan, name)},
    )


def _wanted(params: Mapping[str, Any], giver: Giver) -> Wanted:
    remote = params["remote"]
    account, authority = side_by_side(
        lambda: giver.account(remote["namespace"], remote["service_account"]),
        lambda: (
            read_authority(params["server_ca"], "server_ca")
            if params["server_ca"]
            else giver.authority(remote["namespace"])
        ),
    )
    return Wanted(
        cluster=params["cluster"],
        namespace=params["namespace"],
        server=params["server"],
        authority=authority,
        account=account,
        lifetime=params["token_lifetime"],
        renew_before=_renew_before(params),
        scenario=params["scenario"],
    )


def _renew_before(params: Mapping[str, Any]) -> int:
    given: int | None = params["renew_before"]
    return params["token_lifetime"] // 2 if given is None else given


def _giver(params: Mapping[str, Any], own: Access) -> Giver:
    """Return the other cluster. What the environment says of a cluster is said of this one."""
    remote = params["remote"]
    access = Access(remote["kubectl"] or own.kubectl, remote["kubeconfig"] or None, remote["context"] or None)
    if not (access.kubeconfig or access.context):
        raise InputError("remote: it names no cluster. Give its kubeconfig, its context, or both.")
    if (access.kubeconfig, access.context) == (own.kubeconfig, own.context):
        raise InputError(
            "remote: it leads to the same cluster as kubeconfig and context do. Give those of the other cluster."
        )
    _require_file("remote.kubeconfig", access)
    return Giver(Kubectl(access, params["timeout"]), "the other cluster")


def _require_file(option: str, access: Access) -> None:
    if access.kubeconfig and not Path(access.kubeconfig).is_file():
        raise InputError(f"{option}: {access.kubeconfig} is not a file. Give the kubeconfig of the cluster.")


def _outcome(plan: Plan, wanted: Wanted, token: Token | None, sight: Sight) -> Outcome:
    told = shown(wanted.server, wanted.authority, wanted.account, moment(token.expires) if token else NEW)
    return Outcome(
        changed=plan.changed,
        diff={"before": plan.before, "after": told if plan.changed else {}},
        warnings=warnings(wanted, plan, token),
        result={
            "remote_secret": {
                "name": wanted.name,
                "namespace": wanted.namespace,
                "cluster": wanted.cluster,
                **told,
                "lifetime": token.lifetime if token else wanted.lifetime,
                "renewed_from": moment(wanted.renewed_from(token)) if token else NEW,
                "read": sight.right,
            },
            "actions": _actions(plan, f"{wanted.namespace}/{wanted.name}"),
        },
    )


def _actions(plan: Plan, name: str) -> list[dict[str, Any]]:
    if not plan.changed:
        return []
    return [{"verb": plan.verb, "object": f"Secret {name}", "reasons": list(plan.reasons)}]


def _check_input(params: Mapping[str, Any]) -> None:
    remote = params["remote"] or {}
    names = {name: params[name] for name in ("cluster", "namespace")}
    if "namespace" in remote:
        names["remote.namespace"] = remote["namespace"]
    for name, value in names.items():
        if not DNS_LABEL.fullmatch(value):
            raise InputError(
                f"{name}: {value!r} is no name of Kubernetes: 1 to 63 lower case letters, digits and dashes, none of"
                " the dashes at an end."
            )
    account = remote.get("service_account", "default")
    if len(account) > 253 or not all(DNS_LABEL.fullmatch(part) for part in account.split(".")):
        raise InputError(f"remote.service_account: {account!r} is no name of a ServiceAccount.")
    for name in ("timeout", "wait_timeout"):
        if params[name] < 1:
            raise InputError(f"{name}: {params[name]} is not a positive number of seconds.")
    if params["trust_domain"] is not None:
        try:
            check_trust_domain(params["trust_domain"])
        except SpiffeIdError as error:
            raise InputError(f"trust_domain: {error}.") from error
    if params["state"] == PRESENT:
        _check_server(params)
        _check_times(params)


def _check_server(params: Mapping[str, Any]) -> None:
    fault = server_fault(params["server"])
    if fault:
        raise InputError(
            f"server: {fault}. Give the URL at which pods of this cluster reach the other API server, such as"
            " https://192.0.2.1:6443."
        )


def _check_times(params: Mapping[str, Any]) -> None:
    lifetime = params["token_lifetime"]
    if not SHORTEST <= lifetime <= LONGEST:
        raise InputError(f"token_lifetime: {lifetime} is not from {SHORTEST} to {LONGEST} seconds.")
    if not 0 <= _renew_before(params) < lifetime:
        raise InputError(
            f"renew_before: {params['renew_before']} is not from 0 to less than token_lifetime ({lifetime}): each run"
            " would make a new token."
        )

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_federation: read, plan, apply, refresh, report."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import (
    InputError,
    ProcessError,
    ProcessTimeout,
    WaitTimeout,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._polling import poll
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import side_by_side
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.plan import RESTRICT, BundleStep
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.run import (
    apply_bundle,
    content_options,
    entries_federating_with,
    held_bundles,
    read_wanted,
    refused_by_server,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.wanted import Wanted, wanted_names
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.carry_out import carry_out
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import NOT_FOUND
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.client import (
    delete_relationship,
    list_relationships,
    refresh_bundle,
    set_relationship,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.endpoint import fetch
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.info import judged_with, reports
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import (
    PROFILES,
    Relationship,
    wanted_relationship,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.peers import health
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.plan import (
    Plan,
    RefreshStep,
    RelationshipStep,
    Step,
    plan_absent,
    plan_present,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography

REFRESH_RETRY_S = 0.5
PROBE_S = 5.0


def spec() -> ArgumentSpec:
    """The options of spire_federation."""
    return ArgumentSpec(
        options={
            "relationships": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "trust_domain": {"type": "str", "required": True},
                    "bundle_endpoint_url": {"type": "str"},
                    "bundle_endpoint_profile": {"type": "str", "choices": list(PROFILES)},
                    "endpoint_spiffe_id": {"type": "str"},
                    **content_options(),
                },
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "refresh": {"type": "bool", "default": False},
            "refresh_timeout": {"type": "int", "default": 30},
            "update_bundles": {"type": "bool", "default": False},
            "healthy_timeout": {"type": "int", "default": 0},
            "delete_bundles": {"type": "bool", "default": False},
        },
        public=["relationships"],
        free=["bundle"],
    ).merge(spire_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Make the server have, or not have, the relationships of ``params``."""
    require_cryptography()
    present = params["state"] == "present"
    _refuse_what_does_not_fit(params, present)
    items = params["relationships"]
    wanted = wanted_names(items, "relationships")
    if present:
        wanted = [read_wanted(want, item, required=False) for want, item in zip(wanted, items, strict=True)]
        pairs = [(want, wanted_relationship(want, item)) for want, item in zip(wanted, items, strict=True)]
    server = connect(params)
    plan = Plan()
    own: Bundle | None = None
    current: list[Relationship] = []
    if wanted:
        own, held, current = side_by_side(
            lambda: show_bundle(server), lambda: held_bundles(server), lambda: list_relationships(server)
        )
        if present:
            plan = plan_present(
                pairs, current, held, own, refresh=params["refresh"], update_bundles=params["update_bundles"]
            )
        else:
            names = [want.trust_domain for want in wanted if params["delete_bundles"] and want.trust_domain in held]
            entries = entries_federating_with(server, names)
            plan = plan_absent(
                wanted, current, held, own.trust_domain, delete_bundles=params["delete_bundles"], entries=entries
            )
    warnings = [words for want in wanted for words in want.warnings] + plan.warnings
    if check_mode:
        warnings += _foresee(plan, own)
    else:
        _carry_out(server, plan, params["refresh_timeout"])
        if params["delete_bundles"]:
            _delete_what_came_meanwhile(server, plan, wanted)
        if own and params["healthy_timeout"]:
            # Where nothing was to do, what was read is what is there.
            read = None if plan.steps else (current, {**plan.after, own.trust_domain: own})
            _healthy(server, plan, params["healthy_timeout"], read)
    return Outcome(
        changed=plan.changed,
        diff=plan.diff(),
        warnings=warnings,
        result={
            "relationships": [relationship.public() for relationship in plan.relationships],
            "actions": plan.actions(),
        },
    )


def _refuse_what_does_not_fit(params: Mapping[str, Any], present: bool) -> None:
    if params["refresh_timeout"] < 1:
        raise InputError(f"refresh_timeout: {params['refresh_timeout']} is not a positive number of seconds.")
    if params["healthy_timeout"] < 0:
        raise InputError(f"healthy_timeout: {params['healthy_timeout']} is no number of seconds. 0 is not to look.")
    if not present and params["refresh"]:
        raise InputError("refresh: it is set with state=absent. What is removed cannot be refreshed; leave it out.")
    for name in ("delete_bundles",) if present else ("update_bundles", "healthy_timeout"):
        if params[name]:
            is_set, belongs = ("present", "absent") if present else ("absent", "present")
            raise InputError(f"{name}: it is set with state={is_set}. It belongs to state={belongs}; leave it out.")


def _carry_out(server: SpireServer, plan: Plan, refresh_timeout: int) -> None:
    deadline = time.monotonic() + refresh_timeout
    carry_out(plan.steps, lambda step: _apply(server, step, deadline))
    if plan.refreshes:
        plan.refreshed(_fresh(plan, held_bundles(server)))


def _apply(server: SpireServer, step: Step, deadline: float) -> None:
    if isinstance(step, RefreshStep):
        _refresh(server, step, deadline)
    elif isinstance(step, BundleStep):
        apply_bundle(server, step, RESTRICT)
    elif isinstance(step, RelationshipStep) and step.after is None:
        result = delete_relationship(server, step.wanted.trust_domain)
        if not result.ok and result.code != NOT_FOUND:
            raise refused_by_server(step.wanted, "delete the relationship", result)
    elif step.after is not None:
        result = set_relationship(server, step.after, create=step.before is None)
        if not result.ok:
            raise refused_by_server(step.wanted, "set the relationship", result)


def _delete_what_came_meanwhile(server: SpireServer, plan: Plan, wanted: list[Wanted]) -> None:
    """Delete the bundles that the server fetched between being read and the end of their relationships.

    It stores none after that, also of a fetch that is under way (SPIRE, pkg/server/bundle/client/manager.go).
    """
    ended = {step.wanted.trust_domain for step in plan.steps if isinstance(step, RelationshipStep)}
    ended -= {step.wanted.trust_domain for step in plan.steps if isinstance(step, BundleStep)}
    held = held_bundles(server) if ended else {}
    done = len(plan.steps)
    names = ended & held.keys()
    plan.steps += [BundleStep(want, held[want.trust_domain], None) for want in wanted if want.trust_domain in names]
    carry_out(plan.steps, lambda step: _apply(server, step, 0), done)


# What may pass by itself while the other side starts, moves or is busy. Anything else is told at once.
_MAY_PASS = re.compile(
    r"connection refused|connection reset|no route to host|network is unreachable|no such host|i/o timeout"
    r"|EOF|unexpected status 5\d\d|unexpected status 429|TLS handshake timeout|server misbehaving"
)

_REMEDIES: tuple[tuple[str, str], ...] = (
    (
        r"maybe use https_spiffe instead|certificate contains SPIFFE ID",
        "it shows an X509-SVID, so its profile is https_spiffe and not https_web. Set bundle_endpoint_profile and "
        "endpoint_spiffe_id.",
    ),
    (r"certificate contains no URI SAN", "it shows an ordinary web certificate, so its profile is https_web."),
    (r"unexpected ID", "it has another SPIFFE ID than endpoint_spiffe_id says."),
    (
        r"could not verify leaf certificate|signed by unknown authority",
        "its certificate is not signed by an authority that the server trusts for it. With https_spiffe the bundle "
        "that the server holds is out of date, or the endpoint is not what it should be: get the present bundle over "
        "a channel that you trust and set it with spire_bundle. With https_web the host of the server must trust the "
        "endpoint's web authority.",
    ),
    (r"x509: certificate|failed to verify certificate", "its web certificate is not believed by the server."),
    (r"failed to decode bundle|missing use|unrecognized use|expected a single", "what it serves is no SPIFFE bundle."),
    (r"unexpected status", "it answers, but not with a bundle. Is the path of the URL right?"),
    (r"connection refused", "nobody listens there."),
    (r"no such host|server misbehaving", "its host's name is not known where the server runs."),
)


def _refresh(server: SpireServer, step: RefreshStep, deadline: float) -> None:
    """Have the bundle fetched, again until ``deadline`` as long as the endpoint is only not there yet."""
    want, url = step.wanted, step.relationship.bundle_endpoint_url
    while True:
        left = max(deadline - time.monotonic(), 1.0)
        try:
            refresh_bundle(replace(server, timeout=min(server.timeout, left)), want.trust_domain)
            return
        except ProcessTimeout:
            words, cause = "", "it takes the connection and does not answer."
        except ProcessError as error:
            words = str(error.details.get("stderr", ""))
            if "failed to refresh bundle" not in words:
                raise
            # One line: the page that a web site answers with, and what kubectl adds, say no more.
            words = words.rpartition("failed to refresh bundle: ")[2].strip().splitlines()[0]
            cause = next((cause for pattern, cause in _REMEDIES if re.search(pattern, words)), "")
            if not _MAY_PASS.search(words):
                raise ProcessError(
                    f"{want.where()}: the server could not fetch the bundle from {url}: {cause} It says: {words}",
                    index=want.index,
                    error=words,
                ) from error
        if time.monotonic() + REFRESH_RETRY_S >= deadline:
            raise WaitTimeout(
                f"{want.where()}: the server could not fetch the bundle from {url} within refresh_timeout: {cause}"
                + (f" It says: {words}" if words else ""),
                index=want.index,
                error=words or cause,
            )
        time.sleep(REFRESH_RETRY_S)


def _fresh(plan: Plan, held: Mapping[str, Bundle]) -> Mapping[str, Bundle]:
    """Make sure that a refreshed bundle is there."""
    for step in plan.refreshes:
        if step.wanted.trust_domain not in held:
            raise WaitTimeout(
                f"{step.wanted.where()}: the server says that it refreshed the bundle, and holds none. Somebody else "
                "deleted it meanwhile, or it is one of the server's own file; run again.",
                changed=True,
                actions=plan.actions(),
            )
    return held


def _healthy(
    server: SpireServer, plan: Plan, timeout: int, read: tuple[list[Relationship], Mapping[str, Bundle]] | None
) -> None:
    """Wait until each endpoint serves what the server holds. The first look goes by ``read``, where that is known."""
    names = {relationship.trust_domain for relationship in plan.relationships}
    first = [judged_with((one for one in read[0] if one.trust_domain in names), read[1], PROBE_S)] if read else []
    sick: list[str] = []

    def look() -> bool:
        found = first.pop() if first else reports(server, names, PROBE_S)
        sick[:] = health(found, [relationship.public() for relationship in plan.relationships])
        return not sick

    if not poll(look, time.monotonic() + timeout):
        raise WaitTimeout(
            "\n".join([f"After healthy_timeout ({timeout} s) not every relationship is healthy:", *sick]),
            changed=plan.changed,
            actions=plan.actions(),
        )


def _foresee(plan: Plan, own: Bundle | None) -> list[str]:
    """In check mode: look at the endpoints, to tell what a refresh would bring."""
    there = {**plan.after, **({own.trust_domain: own} if own else {})}
    warnings, served = [], {}
    for step in plan.refreshes:
        answer = fetch(step.relationship, there.get(step.relationship.endpoint_trust_domain or ""), PROBE_S)
        if answer.bundle is None:
            warnings.append(
                f"{step.wanted.where()}: what a refresh would bring is not known, since its endpoint "
                f"{step.relationship.bundle_endpoint_url} gave no bundle to this module: {answer.error}."
            )
        else:
            served[step.wanted.trust_domain] = answer.bundle
    plan.refreshed(served)
    return warnings

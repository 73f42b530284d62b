# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of the module istio_install: render, read, plan, apply, wait."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError, WaitTimeout
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.client import Cluster, Istioctl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.guard import (
    other_trust_domains,
    refuse_downgrade,
    refuse_in_use,
    refuse_trust_domain,
    users_of,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import (
    Installation,
    awaited,
    complete_overlay,
    installation_of,
    is_builtin,
    own_objects,
    stamped,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.plan import Plan, plan_absent, plan_present
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject, Ref, by_ref
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.readiness import unready
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.waiting import Seen, wait_ready
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import Access, access_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._polling import poll
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome

Message = dict[str, str]


def spec() -> ArgumentSpec:
    """Return the options of istio_install."""
    own = ArgumentSpec(
        options={
            "overlay": {"type": "dict", "default": {}},
            "istioctl": {"type": "path", "default": "istioctl"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purge": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": False},
            "any_owner": {"type": "bool", "default": False},
            "allow_trust_domain_change": {"type": "bool", "default": False},
            "allow_downgrade": {"type": "bool", "default": False},
            "precheck": {"type": "bool", "default": True},
            "analyze": {"type": "bool", "default": True},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 300},
            "timeout": {"type": "int", "default": 60},
            "cache_dir": {"type": "path"},
        },
        free=["overlay"],
    )
    return own.merge(kubectl_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Bring one installation of Istio to the wanted state."""
    for name in ("timeout", "wait_timeout"):
        if params[name] < 1:
            raise InputError(f"{name} is {params[name]}; give at least 1 second.")
    installation = installation_of(params["overlay"])
    cluster = Cluster(access_of(params), params["timeout"])
    if params["any_owner"]:
        if params["state"] != "absent" or params["purge"]:
            raise InputError("any_owner: it goes with state=absent, and without purge.")
        installation = replace(installation, any_owner=True)
    if params["state"] == "absent":
        return _absent(params, check_mode, installation, cluster)
    return _present(params, check_mode, installation, cluster)


def _present(params: Mapping[str, Any], check_mode: bool, installation: Installation, cluster: Cluster) -> Outcome:
    istioctl = Istioctl(params["istioctl"], params["timeout"], params["cache_dir"])
    rendering = istioctl.render(complete_overlay(params["overlay"], installation))
    wanted = stamped(own_objects(rendering.objects, installation), installation, rendering.version)
    live, namespace_exists = _read(cluster, wanted, installation)
    plan = plan_present(wanted, live.values(), installation, namespace_exists)
    checked: list[Message] = []
    if plan.changed:
        # A run that changes nothing is spared all of it.
        if not params["allow_downgrade"]:
            refuse_downgrade(rendering.version, live.values(), installation)
        if not params["allow_trust_domain_change"]:
            there = [*live.values(), *cluster.of_revisions(installation.namespace)]
            asked, others = other_trust_domains(wanted, there)
            refuse_trust_domain(asked, others, cluster.proxies() if others else [])
        checked = _precheck(params, istioctl, cluster.access, installation)
    # What a run without changes has just read says whether all is ready; only a change needs another look.
    seen = {} if plan.changed else live
    ready = not unready(awaited(wanted), seen)
    if not check_mode:
        deadline = time.monotonic() + params["wait_timeout"]
        if plan.changed:
            _apply(cluster, plan, params)
        if params["wait"]:
            _wait(cluster, awaited(wanted), seen, deadline, params["wait_timeout"])
            ready = True
    outcome = _outcome(plan, rendering.version)
    outcome.result["ready"] = ready
    outcome.result["precheck"] = checked
    outcome.result["analysis"] = []
    if plan.changed and params["analyze"] and not check_mode:
        try:
            outcome.result["analysis"] = istioctl.analyze(cluster.access, installation.namespace, installation.revision)
        except ProcessError as error:
            # Istio is there. Where a mesh has several clusters istioctl also asks those that do not answer.
            istioctl.notes.append(f"The mesh was not analysed: {error.message}")
    outcome.warnings = istioctl.notes
    return outcome


def _precheck(
    params: Mapping[str, Any], istioctl: Istioctl, access: Access, installation: Installation
) -> list[Message]:
    if not params["precheck"]:
        return []
    messages = istioctl.precheck(access, installation.namespace)
    errors = [message for message in messages if message["level"] == "Error"]
    if errors:
        told = "; ".join(f"{one['object'] or 'cluster'}: {one['message']} ({one['code']})" for one in errors)
        raise InputError(
            f"istioctl x precheck: Istio cannot be installed in this cluster: {told}. Put that right, or set precheck "
            "to false.",
            precheck=messages,
        )
    return messages


def _absent(params: Mapping[str, Any], check_mode: bool, installation: Installation, cluster: Cluster) -> Outcome:
    live = cluster.labelled(installation.selector)
    if params["purge"] and live:
        live += [obj for obj in cluster.istiod_copies() if Ref.of(obj) not in by_ref(live)]
    plan = plan_absent(live, installation, params["purge"])
    if plan.changed and not params["force"]:
        own = {step.ref for step in plan.steps}
        asking, tagged, pods = cluster.asking(), cluster.tagged(), cluster.proxied_pods()
        refuse_in_use(installation, users_of(installation.revision, asking, tagged, pods, own))
    if plan.changed and not check_mode:
        cluster.delete(plan.to_delete, params["wait"], params["wait_timeout"])
        if params["purge"] and params["wait"]:
            _delete_late_copies(cluster, installation, params)
    return _outcome(plan, "")


def _delete_late_copies(cluster: Cluster, installation: Installation, params: Mapping[str, Any]) -> None:
    """Delete what an istiod has written back into namespaces while it ended."""
    deadline = time.monotonic() + params["wait_timeout"]
    poll(lambda: not cluster.istiod_pods(installation.namespace), deadline)
    late = cluster.istiod_copies()
    if late:
        cluster.delete(late, params["wait"], params["wait_timeout"])


def _read(
    cluster: Cluster, wanted: Sequence[KubeObject], installation: Installation
) -> tuple[dict[Ref, KubeObject], bool]:
    """Return what is there of the installation, and whether its namespace is.

    One call reads everything that carries the labels. Only what is rendered and not among it is asked for by name: it
    may be absent, or be there without the labels.
    """
    live = by_ref(cluster.labelled(installation.selector))
    namespace = installation.namespace_object()
    missing = [obj for obj in wanted if Ref.of(obj) not in live]
    # A namespace that holds something exists; it need not be asked for.
    exists = any(ref.namespace == installation.namespace for ref in live) or Ref.of(namespace) in live
    asked = missing if exists else [*missing, namespace]
    found = by_ref(cluster.named(asked)) if asked else {}
    exists = exists or found.pop(Ref.of(namespace), None) is not None
    return {**live, **found}, exists


def _apply(cluster: Cluster, plan: Plan, params: Mapping[str, Any]) -> None:
    objects = plan.to_apply
    builtin = [obj for obj in objects if is_builtin(obj)]
    custom = [obj for obj in objects if not is_builtin(obj)]
    cluster.apply(builtin)
    if custom:
        definitions = [obj["metadata"]["name"] for obj in builtin if obj["kind"] == "CustomResourceDefinition"]
        if definitions:
            cluster.wait_established(definitions, params["timeout"])
        cluster.apply(custom)
    if plan.to_delete:
        cluster.delete(plan.to_delete, params["wait"], params["wait_timeout"])


def _wait(
    cluster: Cluster, objects: list[KubeObject], live: Mapping[Ref, KubeObject], deadline: float, limit: int
) -> None:
    """Wait until every object can be used; what is ready once is not asked for again."""
    pending = [obj for obj in objects if Ref.of(obj) in unready(objects, live)]
    if not pending:
        return

    def look() -> Seen:
        nonlocal pending
        found = by_ref(cluster.named(pending))
        problems = unready(pending, found)
        pending = [obj for obj in pending if Ref.of(obj) in problems]
        return problems, found

    last_seen = wait_ready(cluster, look, deadline, answered=True)
    if last_seen:
        raise WaitTimeout(
            f"Istio was installed but could not be used after {limit} s. Waited until every Deployment is available "
            f"and istiod answers for its webhooks. Last seen: {'; '.join(last_seen)}.",
            waited=limit,
        )


def _outcome(plan: Plan, version: str) -> Outcome:
    result = {"objects": plan.objects, "version": version, "actions": plan.actions}
    return Outcome(changed=plan.changed, diff=plan.diff, result=result)

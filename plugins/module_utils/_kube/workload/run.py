# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of the module kubernetes_workload_wait: look until all is ready."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, WaitTimeout
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import (
    AWAITED_VERSIONS,
    Awaited,
    KubeObject,
    by_ref,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.readiness import (
    load_balancer_address,
    unready_workloads,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.waiting import Seen, wait_ready
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import access_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome

_CALL_TIMEOUT = 30
_OF_THE_CLUSTER = ("ClusterIssuer",)


def spec() -> ArgumentSpec:
    """Return the options of kubernetes_workload_wait."""
    workload = {
        "kind": {"type": "str", "choices": list(AWAITED_VERSIONS), "required": True},
        "namespace": {"type": "str"},
        "name": {"type": "str"},
    }
    own = ArgumentSpec(
        options={
            "workloads": {"type": "list", "elements": "dict", "required": True, "options": workload},
            "timeout": {"type": "int", "default": 180},
        }
    )
    return own.merge(kubectl_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Wait until all are ready. In check mode look once: what is to come up may only be predicted."""
    limit = params["timeout"]
    if limit < 1:
        raise InputError(f"timeout is {limit}; give at least 1 second.")
    awaited = _awaited(params["workloads"])
    cluster = Kubectl(access_of(params), _CALL_TIMEOUT)
    seen: Seen = ({}, {})

    def look() -> Seen:
        nonlocal seen
        live = by_ref(_read(cluster, awaited))
        seen = (unready_workloads(awaited, live), live)
        return seen

    if check_mode:
        look()
    else:
        last_seen = wait_ready(cluster, look, time.monotonic() + limit)
        if last_seen:
            names = ", ".join(str(item) for item in awaited)
            raise WaitTimeout(
                f"Not ready after {limit} s. Waited for {names}. Last seen: {'; '.join(last_seen)}.",
                waited=limit,
                last_seen=last_seen,
            )
    problems, live = seen
    workloads = [
        {
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "problem": problems.get(ref, ""),
            "address": load_balancer_address(live.get(ref) or {}),
        }
        for ref in sorted({*live, *problems})
    ]
    return Outcome(result={"ready": not problems, "workloads": workloads})


def _awaited(items: Sequence[Mapping[str, Any]]) -> list[Awaited]:
    for number, item in enumerate(items):
        for name in ("namespace", "name"):
            # An empty name is a variable without a value far more often than the wish to wait for all.
            if item[name] is not None and not item[name].strip():
                hint = " Leave it out to wait for all of the kind in the namespace." if name == "name" else ""
                raise InputError(f"workloads[{number}]: {name} is empty.{hint}")
        if item["kind"] in _OF_THE_CLUSTER:
            if item["namespace"] or not item["name"]:
                raise InputError(f"workloads[{number}]: a {item['kind']} has a name, and is in no namespace.")
        elif item["namespace"] is None:
            raise InputError(f"workloads[{number}]: namespace is missing. Each {item['kind']} is in one.")
    return sorted({Awaited(item["kind"], item["namespace"] or "", item["name"] or "") for item in items})


def _read(cluster: Kubectl, awaited: Sequence[Awaited]) -> list[KubeObject]:
    """Return those that exist: one call for all that are named, and one for each kind and namespace that is not."""
    found = cluster.named(item.stub() for item in awaited if item.name)
    for item in awaited:
        if not item.name:
            found += cluster.listed(item.version, item.kind, item.namespace)
    return found

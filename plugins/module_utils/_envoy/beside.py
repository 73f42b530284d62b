# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Workloads that exist, as they are and as an inventory says they are. Pure.

What is said wrongly of them shows up minutes later as an identity that nobody gets, so it is compared before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.codec import parse_list, render_list
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import Awaited, Ref


def stubs(instances: Sequence[Mapping[str, Any]]) -> str:
    """Return the workloads that ``instances`` stand beside, for ``kubectl get -f -``."""
    return render_list(_workload(instance).stub() for instance in instances)


def _workload(instance: Mapping[str, Any]) -> Awaited:
    return Awaited(instance["beside"]["kind"], instance["namespace"], instance["beside"]["name"])


def beside_faults(
    instances: Sequence[Mapping[str, Any]], found: str, coming: Iterable[Mapping[str, Any]] = ()
) -> list[str]:
    """Return what is not as it is said, a text for each, with the field of ``trustmesh_workloads`` that says it.

    ``found`` is what kubectl printed of the workloads of :func:`stubs`. What the same run brings (``coming``) is judged
    as it will be.
    """
    there = {Ref.of(item): item for item in parse_list(found, "Reading workloads that exist")}
    for item in coming:
        there[Ref.of({**item, "metadata": {"namespace": "default", **item.get("metadata", {})}})] = dict(item)
    return [text for instance in instances for text in _faults(instance, there)]


def _faults(instance: Mapping[str, Any], there: Mapping[Ref, Mapping[str, Any]]) -> list[str]:
    beside, namespace = instance["beside"], instance["namespace"]
    workload = there.get(_workload(instance).ref)
    where = f"{beside['kind']} {beside['name']} in the namespace {namespace}"
    if workload is None:
        return [
            f"There is no {where}, beside which the Envoy {instance['name']} is to stand. Correct pod or namespace."
        ]
    template = workload["spec"]["template"]
    faults = []
    account = template["spec"].get("serviceAccountName") or "default"
    expected = instance.get("service_account")
    if expected and account != expected:
        faults.append(f"{where}: its pods run under the service account {account}, and {expected} is said. Correct it.")
    labels = template["metadata"].get("labels") or {}
    missing = [f"{key}={value}" for key, value in (instance.get("labels") or {}).items() if labels.get(key) != value]
    if missing:
        has = ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "none"
        faults.append(f"{where}: its pods do not carry {', '.join(missing)}. Correct labels; they have: {has}.")
    names = [container["name"] for container in template["spec"]["containers"]]
    if beside.get("container") and beside["container"] not in names:
        faults.append(
            f"{where}: there is no container {beside['container']} in its pods. Correct container; there are:"
            f" {', '.join(names)}."
        )
    return faults

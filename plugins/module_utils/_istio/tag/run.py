# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of the module istio_revision_tag: render, read, plan, apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.client import Cluster, Istioctl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.plan import Plan
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.tag.model import (
    namespaces_of,
    points_to,
    tag_objects,
    tag_of,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.tag.plan import (
    missing_revision,
    plan_no_tag,
    plan_tag,
    refuse,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import access_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome


def spec() -> ArgumentSpec:
    """Return the options of istio_revision_tag."""
    own = ArgumentSpec(
        options={
            "name": {"type": "str", "required": True},
            "revision": {"type": "str"},
            "namespace": {"type": "str", "default": "istio-system"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "force": {"type": "bool", "default": False},
            "istioctl": {"type": "path", "default": "istioctl"},
            "timeout": {"type": "int", "default": 60},
            "cache_dir": {"type": "path"},
        },
        required_if=[("state", "present", ("revision",))],
    )
    return own.merge(kubectl_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Let a tag point to a revision, or remove it."""
    if params["timeout"] < 1:
        raise InputError(f"timeout is {params['timeout']}; give at least 1 second.")
    tag = tag_of(params)
    cluster = Cluster(access_of(params), params["timeout"])
    live = cluster.webhooks()
    namespaces = namespaces_of(tag.name, cluster.asking())
    if params["state"] == "absent":
        plan = plan_no_tag(live, tag)
        if plan.changed and namespaces and not params["force"]:
            raise InputError(
                f"name: tag {tag.name} is still in use by the namespaces {', '.join(namespaces)}. Pods that start "
                "there would get no sidecar. Give them another label first, or set force to true.",
                namespaces=namespaces,
            )
        if not check_mode and plan.changed:
            cluster.delete(plan.to_delete, wait=True, limit=params["timeout"])
        return _outcome(plan, tag.name, "", live, namespaces)
    refuse(tag, live)
    missing = missing_revision(tag, live)
    if missing and not check_mode:
        raise InputError(missing)
    istioctl = Istioctl(params["istioctl"], params["timeout"], params["cache_dir"])
    plan = plan_tag(tag_objects(istioctl.render(tag.overlay()).objects, tag), live, tag)
    if plan.changed and not check_mode:
        cluster.apply(plan.to_apply)
    outcome = _outcome(plan, tag.name, tag.revision, live, namespaces)
    # In check mode the same play may be about to install it.
    outcome.warnings = [*istioctl.notes, *([missing] if missing else [])]
    return outcome


def _outcome(plan: Plan, name: str, revision: str, live: Sequence[KubeObject], namespaces: list[str]) -> Outcome:
    about = {"name": name, "revision": revision, "before": points_to(live, name), "namespaces": namespaces}
    return Outcome(
        changed=plan.changed,
        diff=plan.diff,
        result={"tag": about, "objects": plan.objects, "actions": plan.actions},
    )

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of istio_info: several questions, asked side by side."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.client import Cluster, Istioctl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.mesh.codec import parse_secrets, parse_status
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.mesh.model import (
    Certified,
    Found,
    Synced,
    injection,
    machines,
    proxies,
    revisions,
    summary,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import access_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography


def spec() -> ArgumentSpec:
    """Return the options of istio_info."""
    own = ArgumentSpec(
        options={
            "namespace": {"type": "str", "default": "istio-system"},
            "proxies": {"type": "bool", "default": True},
            "certificates": {"type": "bool", "default": False},
            "proxy_namespaces": {"type": "list", "elements": "str"},
            "parallel": {"type": "int", "default": 8},
            "istioctl": {"type": "path", "default": "istioctl"},
            "timeout": {"type": "int", "default": 60},
        }
    )
    return own.merge(kubectl_spec())


def run(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Read what there is of Istio in a cluster."""
    for name in ("timeout", "parallel"):
        if params[name] < 1:
            raise InputError(f"{name} is {params[name]}; give at least 1.")
    if params["certificates"]:
        require_cryptography()
    access, namespace = access_of(params), params["namespace"]
    cluster = Cluster(access, params["timeout"])
    istioctl = Istioctl(params["istioctl"], params["timeout"])
    with ThreadPoolExecutor(params["parallel"]) as pool:
        version = pool.submit(istioctl.version)
        planes = pool.submit(cluster.of_revisions, namespace)
        hooks = pool.submit(cluster.webhooks)
        spaces = pool.submit(cluster.all_namespaces)
        pods = pool.submit(cluster.proxied_pods)
        entries = pool.submit(cluster.workload_entries)
        found = Found(planes.result(), hooks.result(), spaces.result(), pods.result(), entries.result())
        told = injection(found)
        outcome = Outcome()
        there = revisions(found, told, [])
        status: list[Synced] = []
        if params["proxies"]:
            running = [one["name"] for one in there if one["ready"]]
            asked = [(name, pool.submit(istioctl.proxy_status, access, namespace, name)) for name in running]
            for name, answer in asked:
                try:
                    status += parse_status(answer.result())
                except ProcessError as error:
                    outcome.warnings.append(f"Revision {name} did not tell its proxies: {error.message}")
        every = proxies(found, status) if params["proxies"] or params["certificates"] else []
        if params["proxy_namespaces"] is not None:
            every = [one for one in every if one["namespace"] in params["proxy_namespaces"]]
        if params["certificates"]:
            reading = [(one, pool.submit(_certified, istioctl, access, one)) for one in every]
            for one, certified in reading:
                one["certificate"] = certified.result().public
    outcome.result = {
        "istioctl_version": version.result(),
        "revisions": revisions(found, told, proxies(found, status)),
        "namespaces": told,
        "machines": machines(found),
        "proxies": every,
        "summary": summary(every),
    }
    return outcome


def _certified(istioctl: Istioctl, access: Any, proxy: Mapping[str, Any]) -> Certified:
    """Return the certificate of a proxy. One that does not answer is told as such, and the others are told."""
    if proxy["kind"] != "pod":
        return Certified(problem="it runs on a machine, where istioctl cannot ask it")
    try:
        return parse_secrets(istioctl.proxy_secrets(access, proxy["namespace"], proxy["name"]))
    except ProcessError as error:
        return Certified(problem=error.message)

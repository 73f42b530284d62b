# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a kubeconfig leads to: read only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessTimeout, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import HOST, is_host, is_name
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import Access, access_of, kubectl_argv
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed, LocalProcess
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome

_ROLE_LABEL = "node-role.kubernetes.io/"


def spec() -> ArgumentSpec:
    """Return the options of kubernetes_cluster_info."""
    return kubectl_spec().merge(ArgumentSpec(options={"timeout": {"type": "int", "default": 5}}))


def run(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Read which cluster it is, and its nodes and namespaces."""
    if params["timeout"] < 1:
        raise InputError(f"timeout: {params['timeout']} is not a positive number of seconds.")
    access = access_of(params)
    context, server = _target(access, params["timeout"])
    who = f"of context {context}" if context else "of host"
    reading = _Reading(access, context, params["timeout"])
    nodes = reading.get("/api/v1/nodes")
    if isinstance(nodes, str):
        raise TrustmeshError(
            f"The cluster {who} did not answer at {server}: {nodes} "
            "Check the address, the network and the credentials.",
            server=server,
        )
    namespaces = reading.get("/api/v1/namespaces")
    return Outcome(
        result={
            "cluster": {
                "exists": True,
                "kubeconfig": "" if access.host else access.kubeconfig or "",
                "context": context,
                "server": server,
                "nodes": sorted(map(node, nodes), key=lambda one: (one["role"] != "control-plane", one["name"])),
                # Who may read the nodes may not always list these.
                "namespaces": None if isinstance(namespaces, str) else [_namespace(item) for item in namespaces],
            }
        }
    )


def _target(access: Access, timeout: int) -> tuple[str, str]:
    """Return the context that is meant, if there are any to choose from, and the URL of its API server."""
    if access.host:
        return "", access.host
    kubeconfig = access.kubeconfig
    if kubeconfig and not Path(kubeconfig).is_file():
        raise InputError(f"kubeconfig: {kubeconfig} is not a file. Give the kubeconfig of the cluster.")
    argv = [*kubectl_argv(access.kubectl, kubeconfig), "config", "view", "--output", "json"]
    doing = f"reading the kubeconfig {kubeconfig or 'of the environment'}"
    view = json.loads(LocalProcess().run(argv, timeout=timeout + 5).check(doing).stdout)
    contexts = {item["name"]: item["context"] for item in view.get("contexts") or []}
    context = access.context or view.get("current-context") or ""
    if context not in contexts:
        raise InputError(
            f"context: {context!r} is not in {kubeconfig or 'the kubeconfig'}; it has "
            f"{', '.join(sorted(contexts)) or 'none'}."
            + ("" if context else " None is the current one, so name the one that is meant.")
        )
    servers = {item["name"]: item["cluster"].get("server", "") for item in view.get("clusters") or []}
    return context, servers.get(contexts[context].get("cluster", ""), "an address that is not given")


class _Reading:
    """Asks the API server for lists. The plain path is one request; a resource's name would first be looked up."""

    def __init__(self, access: Access, context: str, timeout: int) -> None:
        self.argv = kubectl_argv(access.kubectl, access.kubeconfig, context)
        self.timeout = timeout

    def get(self, path: str) -> list[dict[str, Any]] | str:
        """Return the items at a path, or why there are none."""
        argv = [*self.argv, f"--request-timeout={self.timeout}s", "get", "--raw", path]
        try:
            answer: Completed = LocalProcess().run(argv, timeout=self.timeout + 5)
        except ProcessTimeout:
            return f"nothing came within {self.timeout + 5} s."
        return answer.stderr.strip()[-400:] if answer.rc != 0 else list(json.loads(answer.stdout)["items"])


def _namespace(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": item["metadata"]["name"], "labels": item["metadata"].get("labels") or {}}


def node(item: Mapping[str, Any]) -> dict[str, str]:
    """What is told of a node, or a refusal: its API server may be another's, and may say what it likes."""
    addresses = {entry["type"]: entry["address"] for entry in item["status"].get("addresses", [])}
    roles = [key.removeprefix(_ROLE_LABEL) for key in item["metadata"].get("labels", {}) if key.startswith(_ROLE_LABEL)]
    name, address = item["metadata"]["name"], addresses.get("ExternalIP") or addresses.get("InternalIP", "")
    # Both go into configurations elsewhere, the name into SPIFFE IDs too.
    for what, value, good in (("name", name, is_name(name)), ("address", address, not address or is_host(address))):
        if not good:
            raise TrustmeshError(
                f"The cluster's API server has told of a node with the {what} {str(value)[:80]!r}, which is not {HOST}."
                " Nothing was done with it: find out who put it there."
            )
    return {"name": name, "role": sorted(roles)[0] if roles else "worker", "address": address}

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

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessTimeout, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome

_ROLE_LABEL = "node-role.kubernetes.io/"


def cluster_info(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """The use case behind the module kubernetes_cluster_info."""
    kubectl, kubeconfig, timeout = params["kubectl"], params["kubeconfig"], params["timeout"]
    process = LocalProcess()
    if kubeconfig and not Path(kubeconfig).is_file():
        raise InputError(f"kubeconfig: {kubeconfig} is not a file. Give the kubeconfig of the cluster.")
    base = [kubectl, *(["--kubeconfig", kubeconfig] if kubeconfig else [])]
    view = json.loads(
        process.run([*base, "config", "view", "--output", "json"], timeout=timeout + 5)
        .check(f"reading the kubeconfig {kubeconfig or 'of the environment'}")
        .stdout
    )
    contexts = {item["name"]: item["context"] for item in view.get("contexts") or []}
    context = params["context"] or view.get("current-context")
    if context not in contexts:
        raise InputError(
            f"context: {context!r} is not in {kubeconfig or 'the kubeconfig'}; it has "
            f"{', '.join(sorted(contexts)) or 'none'}."
        )
    servers = {item["name"]: item["cluster"].get("server", "") for item in view.get("clusters") or []}
    server = servers.get(contexts[context].get("cluster", ""), "an address that is not given")
    # The plain path is one request; a resource's name would first be looked up, several times when nobody answers.
    argv = [*base, "--context", context, f"--request-timeout={timeout}s", "get", "--raw", "/api/v1/nodes"]
    try:
        answer = process.run(argv, timeout=timeout + 5)
        problem = answer.stderr.strip()[-400:] if answer.rc != 0 else None
    except ProcessTimeout:
        problem = f"nothing came within {timeout + 5} s."
    if problem is not None:
        raise TrustmeshError(
            f"The cluster of context {context} did not answer at {server}: {problem} "
            "Check the address, the network and the credentials.",
            server=server,
        )
    nodes = [_node(item) for item in json.loads(answer.stdout)["items"]]
    nodes.sort(key=lambda node: (node["role"] != "control-plane", node["name"]))
    return Outcome(
        result={
            "cluster": {
                "exists": True,
                "kubeconfig": kubeconfig or "",
                "context": context,
                "server": server,
                "nodes": nodes,
            }
        }
    )


def _node(item: Mapping[str, Any]) -> dict[str, str]:
    addresses = {entry["type"]: entry["address"] for entry in item["status"].get("addresses", [])}
    roles = [key.removeprefix(_ROLE_LABEL) for key in item["metadata"].get("labels", {}) if key.startswith(_ROLE_LABEL)]
    return {
        "name": item["metadata"]["name"],
        "role": sorted(roles)[0] if roles else "worker",
        "address": addresses.get("ExternalIP") or addresses.get("InternalIP", ""),
    }

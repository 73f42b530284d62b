# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Where the server is: the options that all SPIRE modules share, and the client that they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess, PodProcess, Process
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.client import DEFAULT_SOCKET, SpireServer

POD_BINARY = "/opt/spire/bin/spire-server"


def spire_spec() -> ArgumentSpec:
    """How to reach a SPIRE server. Twin of the doc fragment ``spire``."""
    return ArgumentSpec(
        options={
            "binary": {"type": "str"},
            "socket_path": {"type": "str", "default": DEFAULT_SOCKET},
            "pod": {"type": "str"},
            "namespace": {"type": "str", "default": "spire-server"},
            "container": {"type": "str"},
            "timeout": {"type": "int", "default": 30},
            "wait_timeout": {"type": "int", "default": 0},
        }
    ).merge(kubectl_spec())


def connect(params: Mapping[str, Any]) -> SpireServer:
    """Return the client of the server that ``params`` describe. Nothing is contacted yet."""
    if params["timeout"] < 1:
        raise InputError(f"timeout: {params['timeout']} is not a positive number of seconds.")
    if params["wait_timeout"] < 0:
        raise InputError(f"wait_timeout: {params['wait_timeout']} is negative. Give a number of seconds, 0 for none.")
    process: Process = LocalProcess()
    binary = params["binary"] or "spire-server"
    if params["pod"]:
        binary = params["binary"] or POD_BINARY
        process = PodProcess(
            pod=params["pod"],
            namespace=params["namespace"],
            container=params["container"],
            kubectl=params["kubectl"],
            kubeconfig=params["kubeconfig"],
            context=params["context"],
        )
    elif params["container"]:
        raise InputError("container: it is given without pod. Name the pod that the server runs in as well.")
    return SpireServer(process, binary, params["socket_path"], params["timeout"], params["wait_timeout"])

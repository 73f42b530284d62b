# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Where the server is: the options that all SPIRE modules share, and the client that they lead to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import access_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess, PodProcess, Process
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import DEFAULT_SOCKET, SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.pod import SelectedPod

POD_BINARY = "/opt/spire/bin/spire-server"
MAX_SOCKET_BYTES = 107  # sun_path of unix(7), without the zero at its end

_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
# RFC 1123, as Kubernetes has it for containers and namespaces (labels) and for what has pods (subdomains).
_LABEL = re.compile(rf"(?=.{{1,63}}\Z){_NAME}\Z")
_POD = re.compile(rf"([a-zA-Z]+(\.[a-z0-9.-]+)?/)?(?=.{{1,253}}\Z){_NAME}(\.{_NAME})*\Z")


def spire_spec() -> ArgumentSpec:
    """How to reach a SPIRE server. Twin of the doc fragment ``spire``."""
    return ArgumentSpec(
        options={
            "binary": {"type": "str"},
            "socket_path": {"type": "str", "default": DEFAULT_SOCKET},
            "pod": {"type": "str"},
            "pod_selector": {"type": "str"},
            "namespace": {"type": "str", "default": "spire-server"},
            "container": {"type": "str"},
            "timeout": {"type": "int", "default": 30},
            "wait_timeout": {"type": "int", "default": 0},
        },
        mutually_exclusive=[("pod", "pod_selector")],
    ).merge(kubectl_spec())


def connect(params: Mapping[str, Any]) -> SpireServer:
    """Return the client of the server that ``params`` describe. Nothing is contacted yet."""
    _check(params)
    if not (params["pod"] or params["pod_selector"]):
        # SPIRE takes the first variable for the socket when it is given its own default: the option must hold. The
        # second is Go's: a command lives for one answer, and a long list takes a tenth less without the usual cleaning.
        process: Process = LocalProcess({"SPIRE_SERVER_PRIVATE_SOCKET": "", "GOGC": "400"})
        binary = params["binary"] or "spire-server"
    else:
        access = access_of(params)
        pod = PodProcess(
            pod=params["pod"] or "",
            namespace=params["namespace"],
            container=params["container"],
            kubectl=access.kubectl,
            kubeconfig=access.kubeconfig,
            context=access.context,
        )
        process = SelectedPod(params["pod_selector"], pod) if params["pod_selector"] else pod
        binary = params["binary"] or POD_BINARY
    return SpireServer(process, binary, params["socket_path"], params["timeout"], params["wait_timeout"])


def _check(params: Mapping[str, Any]) -> None:
    """Refuse what cannot lead to a server, or would lead to another one than is meant."""
    for name in ("binary", "socket_path", "pod", "pod_selector", "namespace", "container", "kubectl"):
        value = params[name]
        # An empty variable behind pod would quietly address a server of this host.
        if value is not None and not value.strip():
            raise InputError(f"{name}: it is empty. Give a value, or leave the option out.")
        if value is not None and value != value.strip():
            raise InputError(f"{name}: {value!r} has blanks around it.")
    for name in ("binary", "socket_path", "kubectl", "kubeconfig", "context", "pod_selector"):
        if not (params[name] or "").isprintable():
            raise InputError(f"{name}: {params[name]!r} holds a line break or another character that no name has.")
    _check_socket_path(params["socket_path"])
    if params["pod"] and not _POD.match(params["pod"]):
        raise InputError(
            f"pod: {params['pod']!r} is no pod. Give its name, or kind and name such as statefulset/spire-server."
        )
    for name in ("namespace", "container"):
        if params[name] and not _LABEL.match(params[name]):
            raise InputError(
                f"{name}: {params[name]!r} is no name of Kubernetes: 1 to 63 lower case letters, digits and dashes, "
                "none of the dashes at an end."
            )
    if params["container"] and not (params["pod"] or params["pod_selector"]):
        raise InputError("container: it is given without pod or pod_selector. Name the pod that the server runs in.")
    if params["timeout"] < 1:
        raise InputError(f"timeout: {params['timeout']} is not a positive number of seconds.")
    if params["wait_timeout"] < 0:
        raise InputError(f"wait_timeout: {params['wait_timeout']} is negative. Give a number of seconds, 0 for none.")


def _check_socket_path(path: str) -> None:
    if "://" in path or path.startswith("unix:"):
        raise InputError(f"socket_path: {path} is an address. Give the path alone, such as {DEFAULT_SOCKET}.")
    if not path.startswith("/"):
        raise InputError(f"socket_path: {path} is not an absolute path. Give one, such as {DEFAULT_SOCKET}.")
    if path.endswith("/"):
        raise InputError(f"socket_path: {path} is a folder. Give the path of the socket in it.")
    if len(path.encode()) > MAX_SOCKET_BYTES:
        raise InputError(
            f"socket_path: {path} is longer than {MAX_SOCKET_BYTES} bytes, which the system allows no socket. Give the "
            "server a shorter path."
        )

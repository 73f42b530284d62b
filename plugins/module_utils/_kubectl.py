# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""How kubectl gets to a cluster: from the options that modules share to the words that every command begins with.

A token never becomes one of these words, since every user of a host can read the arguments of its processes. It goes
into a kubeconfig of its own, mode 0600, that is removed when the module ends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import private_temporary

# The variables of kubernetes.core, each the fallback of an option.
VARIABLES = {
    "kubeconfig": "K8S_AUTH_KUBECONFIG",
    "context": "K8S_AUTH_CONTEXT",
    "host": "K8S_AUTH_HOST",
    "api_key": "K8S_AUTH_API_KEY",
    "ca_cert": "K8S_AUTH_SSL_CA_CERT",
    "validate_certs": "K8S_AUTH_VERIFY_SSL",
}
_BY_FILE = ("kubeconfig", "context")
_BY_HOST = ("host", "api_key", "ca_cert")


@dataclass(frozen=True)
class Access:
    """The program and the kubeconfig of a cluster. ``host`` is set when the kubeconfig is one of our own making."""

    kubectl: str = "kubectl"
    kubeconfig: str | None = None
    context: str | None = None
    host: str = ""

    @property
    def argv(self) -> list[str]:
        return kubectl_argv(self.kubectl, self.kubeconfig, self.context)


def kubectl_argv(kubectl: str, kubeconfig: str | None = None, context: str | None = None) -> list[str]:
    """Return how every kubectl command about a cluster begins."""
    command = [kubectl]
    if kubeconfig:
        command += ["--kubeconfig", kubeconfig]
    if context:
        command += ["--context", context]
    return command


def access_of(params: Mapping[str, Any]) -> Access:
    """Return the way to the cluster that the options of ``kubectl_spec`` describe.

    A cluster is named by a kubeconfig (and a context in it) or by ``host``. What a task says holds over what the
    environment says, so a kubeconfig in a task is never joined with a host of the environment, nor the reverse.
    """
    by_file, by_host = (_given(params, names) for names in (_BY_FILE, _BY_HOST))
    told_file, told_host = (_by_task(given) for given in (by_file, by_host))
    if told_file and not told_host:
        by_host = {}
    elif told_host and not told_file:
        by_file = {}
    elif by_file and "host" in by_host:
        raise InputError(
            f"{', '.join([*by_file, *by_host])}: they lead to two clusters. Give kubeconfig and context, or host and "
            f"api_key; or unset {VARIABLES[next(iter(by_file))]} or {VARIABLES['host']} in the environment."
        )
    if params.get("validate_certs") is False and ("host" in by_host or VARIABLES["validate_certs"] not in os.environ):
        raise InputError(
            f"validate_certs: it is false, by the option or by {VARIABLES['validate_certs']}. Whoever stands between "
            "could read the token, so the API server is always verified. Give the cluster's CA as ca_cert "
            f"({VARIABLES['ca_cert']})."
        )
    kubectl = params.get("kubectl") or "kubectl"
    if "host" not in by_host:
        if told_host:
            raise InputError(f"{told_host[0]}: it is given without host. Give the URL of the API server as host.")
        return Access(kubectl, by_file.get("kubeconfig"), by_file.get("context"))
    return Access(kubectl, str(private_temporary("kubeconfig", _kubeconfig(**by_host))), None, by_host["host"])


def _given(params: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Return what is given. An empty text is nothing; Ansible takes it for a value, and no variable in its place."""
    found = {name: params.get(name) or os.environ.get(VARIABLES[name]) for name in names}
    return {name: value for name, value in found.items() if value}


def _by_task(given: Mapping[str, str]) -> list[str]:
    """Return the names whose value is not that of the environment."""
    return [name for name, value in given.items() if value != os.environ.get(VARIABLES[name])]


def _kubeconfig(host: str, api_key: str = "", ca_cert: str = "") -> str:
    if not host.startswith("https://") or not host.isprintable():
        raise InputError(f"host: {host!r} is no URL of an API server. Give one such as https://192.0.2.1:6443.")
    if not api_key or api_key != api_key.strip():
        raise InputError("api_key: it is missing, or has blanks around it. Give the bearer token that goes with host.")
    cluster = {"server": host}
    if ca_cert:
        if not Path(ca_cert).is_file():
            raise InputError(f"ca_cert: {ca_cert} is not a file. Give the CA of the cluster, in PEM.")
        cluster["certificate-authority"] = str(Path(ca_cert).absolute())
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "given", "cluster": cluster}],
            "users": [{"name": "given", "user": {"token": api_key}}],
            "contexts": [{"name": "given", "context": {"cluster": "given", "user": "given"}}],
            "current-context": "given",
        }
    )

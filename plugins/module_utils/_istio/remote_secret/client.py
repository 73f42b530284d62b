# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The effects on the two clusters: one keeps the Secret, the other one gives the token. All through kubectl.

A token goes by standard input and output, and no error shows what went there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret import codec, reading
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.model import (
    Account,
    Authority,
    Held,
    Token,
    secret_name,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.codec import render_list
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed

FIELD_MANAGER = "trustmesh.spiffe"
ROOT = "kube-root-ca.crt"
"""The ConfigMap that Kubernetes puts into every namespace: the CA by which pods believe their API server."""


@dataclass(frozen=True)
class _Cluster:
    """A cluster that is asked by plain paths: each is one request, and kubectl looks nothing up before."""

    kubectl: Kubectl
    whose: str
    """How the cluster is called in errors, such as C(the other cluster)."""

    def run(self, arguments: Sequence[str], stdin: str | None = None) -> Completed:
        argv = [*self.kubectl.access.argv, f"--request-timeout={self.kubectl.timeout:g}s", *arguments]
        return self.kubectl.process.run(argv, stdin, self.kubectl.timeout + 5)

    def get(self, path: str, doing: str) -> KubeObject | None:
        """Return the object at a path, or nothing when there is none."""
        completed = self.run(["get", "--raw", path])
        if completed.rc != 0 and "(NotFound)" in completed.stderr:
            return None
        try:
            found = loads(self.answer(completed, doing))
        except ValueError:
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("metadata"), dict):
            raise ProcessError(f"{doing} failed: {self.whose} answered with something that is no object.")
        return found

    def answer(self, completed: Completed, doing: str, secret: Sequence[str] = ()) -> str:
        """Return what was printed, or raise with what to do. ``secret`` are words that are never shown."""
        if completed.rc == 0:
            return completed.stdout
        words = completed.stderr.strip()[-500:] or "kubectl said nothing"
        if any(word and word in completed.stderr for word in secret):
            words = "(it repeats what is secret)"
        if "(Forbidden)" in words or "(Unauthorized)" in words:
            raise ProcessError(f"{doing} failed: {words}. Give a user of {self.whose} who may do that.")
        if "Error from server" in words:
            raise ProcessError(f"{doing} failed: {words}")
        raise ProcessError(
            f"{doing} failed, since {self.whose} cannot be reached: {words}. Check kubeconfig and context, the address,"
            " the network and the credentials."
        )


@dataclass(frozen=True)
class Keeper(_Cluster):
    """The cluster whose istiod reads the Secret."""

    namespace: str

    def held(self, cluster: str) -> Held | None:
        """Return what the Secret for a cluster holds, or nothing when there is none."""
        name = secret_name(cluster)
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{name}"
        found = self.get(path, f"Reading the Secret {self.namespace}/{name}")
        return codec.read_secret(found, cluster) if found else None

    def require_namespace(self) -> None:
        """Raise when it is known that there is no namespace. Who may not look may still be allowed to write."""
        completed = self.run(["get", "--raw", f"/api/v1/namespaces/{self.namespace}"])
        if completed.rc != 0 and "(NotFound)" in completed.stderr:
            raise TrustmeshError(
                f"namespace: there is no namespace {self.namespace} in {self.whose}. Install Istio there first, or make"
                " the namespace: Istio's installation gives it labels."
            )

    def apply(self, secret: KubeObject, token: Token) -> None:
        """Write the Secret at once and as a whole."""
        arguments = ["apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "-f", "-"]
        name = f"{self.namespace}/{secret['metadata']['name']}"
        completed = self.run(arguments, render_list([secret]))
        # An API server may repeat in its answer what it was given.
        hidden = [token.text, *(value[:40] for value in secret["data"].values())]
        self.answer(completed, f"Applying the Secret {name}", hidden)

    def withdraw(self, cluster: str) -> None:
        """Delete the Secret; gone already is as good."""
        name = secret_name(cluster)
        arguments = ["delete", "secret", name, "--namespace", self.namespace, "--ignore-not-found"]
        self.answer(self.run(arguments), f"Deleting the Secret {self.namespace}/{name}")

    def istiods(self) -> list[str]:
        """Return the pods of istiod that answer, of every revision: each reads the Secret."""
        doing = f"Reading the pods of istiod in {self.namespace}"
        found = self.get(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector=app%3Distiod", doing) or {}
        return sorted(pod["metadata"]["name"] for pod in found.get("items") or () if _is_ready(pod))

    def has_read(self, istiod: str, cluster: str) -> bool:
        """Whether a pod of istiod has read another cluster to the end."""
        return reading.has_read(self._told(istiod, reading.CLUSTERS), cluster)

    def strangers(self, istiod: str, cluster: str, trust_domain: str) -> list[str]:
        """Return the workloads of another cluster that a pod of istiod takes for others than they are."""
        return reading.strangers(self._told(istiod, reading.ENDPOINTS), cluster, trust_domain)

    def _told(self, istiod: str, path: str) -> str:
        request = ["exec", istiod, "--namespace", self.namespace, "--container", "discovery", "--"]
        completed = self.run([*request, "pilot-discovery", "request", "GET", path])
        return self.answer(completed, f"Asking the istiod {self.namespace}/{istiod} what it has read")


@dataclass(frozen=True)
class Giver(_Cluster):
    """The other cluster, whose API server istiod will read from."""

    def account(self, namespace: str, name: str) -> Account:
        """Return the ServiceAccount as it is now."""
        doing = f"Reading the ServiceAccount {namespace}/{name}"
        found = self.get(_account_path(namespace, name), doing)
        if found is None:
            raise TrustmeshError(
                f"remote: there is no ServiceAccount {namespace}/{name} in {self.whose}. Install Istio there, which"
                " makes istio-reader-service-account with the rights to read, or name another one."
            )
        uid = found["metadata"].get("uid")
        if not uid or not isinstance(uid, str):
            raise ProcessError(f"{doing} failed: {self.whose} has told of one without a uid.")
        return Account(namespace, name, uid)

    def authority(self, namespace: str) -> Authority:
        """Return the CA by which pods there believe their API server."""
        path = f"/api/v1/namespaces/{namespace}/configmaps/{ROOT}"
        found = self.get(path, f"Reading the ConfigMap {namespace}/{ROOT}")
        text = _text(found)
        if not text:
            raise TrustmeshError(
                f"remote: there is no ConfigMap {namespace}/{ROOT} with a CA in {self.whose}. Give the CA as server_ca."
            )
        return codec.read_authority(text, f"remote: the ConfigMap {namespace}/{ROOT}")

    def token(self, account: Account, lifetime: int) -> Token:
        """Return a new token, asked for with a life of so many seconds."""
        doing = f"Requesting a token of the ServiceAccount {account}"
        path = f"{_account_path(account.namespace, account.name)}/token"
        completed = self.run(["create", "--raw", path, "-f", "-"], codec.token_request(lifetime))
        return codec.granted(self.answer(completed, doing), doing)

    def believes(self, token: Token) -> bool:
        """Whether the API server takes the token: its signature, issuer, audience, end and account.

        True when it cannot be asked, since not everybody may ask. What the token says of itself was compared before.
        """
        path = f"/apis/{codec.TOKENS}/tokenreviews"
        completed = self.run(["create", "--raw", path, "-f", "-"], codec.token_review(token))
        return completed.rc != 0 or codec.is_believed(completed.stdout)


def _is_ready(pod: KubeObject) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ending = "deletionTimestamp" in pod["metadata"]
    return not ending and any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _account_path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"


def _text(found: KubeObject | None) -> str:
    data: Any = (found or {}).get("data")
    return str(data.get("ca.crt") or "") if isinstance(data, dict) else ""

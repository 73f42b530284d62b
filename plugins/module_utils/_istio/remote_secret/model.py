# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""A remote secret of Istio as values: what is wanted, and what is there. Pure.

istiod reads the Services and pods of another cluster with the kubeconfig that it finds in such a Secret, see
https://istio.io/latest/docs/setup/install/multicluster/.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import is_host
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.batch import OURS, ROLE, SCENARIO

NEW = "(new)"
"""Stands for what is known only when the token is there."""

# What istiod and istioctl know it by: pkg/kube/multicluster/secretcontroller.go and
# istioctl/pkg/multicluster/remote_secret.go of Istio 1.31.
PREFIX = "istio-remote-secret-"
LABEL = ("istio/multiCluster", "true")
CLUSTER = "networking.istio.io/cluster"
ASKED = "trustmesh.io/token-lifetime"
"""The annotation that says for how many seconds a token was asked for; the token says how many were given."""
ROLE_OF_OURS = "istio"

SHORTEST, LONGEST = 600, 2**32
"""The seconds of life that the API server lets one ask for, both included."""


@dataclass(frozen=True)
class Account:
    """A ServiceAccount. One that is deleted and made again has another uid, and older tokens are void."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Token:
    """A token of a ServiceAccount, with what it says of itself. What is shown never has its text."""

    text: str = field(repr=False)
    account: Account
    issued: int
    """Seconds since 1970, as is ``expires``."""
    expires: int

    @property
    def lifetime(self) -> int:
        """The seconds that were given, which may be fewer than were asked for."""
        return self.expires - self.issued


@dataclass(frozen=True)
class Authority:
    """The certificates by which an API server is believed."""

    pem: str
    sha256: tuple[str, ...]
    """The digest of each, over its DER form."""


@dataclass(frozen=True)
class Wanted:
    """The Secret as it is to be, but for the token."""

    cluster: str
    namespace: str
    server: str
    authority: Authority
    account: Account
    lifetime: int
    """Seconds to ask for."""
    renew_before: int
    """Seconds before its end from which a token is replaced."""
    scenario: str = ""

    @property
    def name(self) -> str:
        return secret_name(self.cluster)

    @property
    def labels(self) -> dict[str, str]:
        own = {OURS[0]: OURS[1], ROLE: ROLE_OF_OURS, LABEL[0]: LABEL[1]}
        return {**own, **({SCENARIO: self.scenario} if self.scenario else {})}

    @property
    def annotations(self) -> dict[str, str]:
        return {CLUSTER: self.cluster, ASKED: str(self.lifetime)}

    def renewed_from(self, token: Token) -> int:
        """Return from when on a token is replaced, in seconds since 1970.

        An API server may give a shorter life than is asked for. Then half of it is the most that is left unused, or
        each run would make a new one.
        """
        short = token.lifetime < self.lifetime
        return token.expires - (min(self.renew_before, token.lifetime // 2) if short else self.renew_before)


@dataclass(frozen=True)
class Held:
    """What a Secret of the name holds."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    keys: tuple[str, ...]
    """The clusters that it has a kubeconfig for."""
    opaque: bool = True
    """Whether it is of the type that takes any keys."""
    server: str = ""
    authority: Authority | None = None
    token: Token | None = None
    """Nothing, as are the two before, when the kubeconfig is not in the form that is written here."""

    @property
    def ours(self) -> bool:
        """Whether this collection made it, or has taken it over."""
        return self.labels.get(OURS[0]) == OURS[1] and self.labels.get(ROLE) == ROLE_OF_OURS


@dataclass(frozen=True)
class Sight:
    """What the istiods of this cluster have read of the other cluster."""

    asked: bool = False
    """Whether there is an istiod that could be asked."""
    unread: tuple[str, ...] = ()
    """The pods of those that have not read it to the end."""
    strangers: tuple[str, ...] = ()
    """The workloads that one of them takes for others than they are."""

    @property
    def right(self) -> bool:
        return self.asked and not self.unread and not self.strangers


def secret_name(cluster: str) -> str:
    """Return how the Secret for another cluster is called."""
    return PREFIX + cluster


def server_fault(server: str) -> str:
    """Return what is wrong with the URL of an API server, or nothing."""
    try:
        parts = urlsplit(server)
        port = parts.port
    except ValueError:
        return "it is no URL"
    if parts.scheme != "https":
        return "it does not begin with https://, and whoever stands between could read the token"
    if "@" in parts.netloc:
        return "it has a user in it"
    if parts.query or parts.fragment or "?" in server or "#" in server:
        return "it has more than host, port and path"
    if not is_host(parts.hostname) or port == 0 or parts.netloc.endswith(":"):
        return "it has no host or no port that can be one"
    return ""


def is_loopback(server: str) -> bool:
    """Whether a URL leads each pod back to itself."""
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def moment(seconds: float) -> str:
    """Return a time as it is shown, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(server: str, authority: Authority | None, account: Account | None, expires: str) -> dict[str, Any]:
    """Return what is shown of a Secret; never its token."""
    return {
        "server": server,
        "ca_sha256": list(authority.sha256) if authority else [],
        "account": str(account or ""),
        "account_uid": account.uid if account else "",
        "expires": expires,
    }

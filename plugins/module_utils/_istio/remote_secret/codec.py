# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The Secret, its kubeconfig and the token in it: to and from the words of Kubernetes. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.model import (
    Account,
    Authority,
    Held,
    Token,
    Wanted,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject

TOKENS = "authentication.k8s.io/v1"
"""The version of TokenRequest and TokenReview."""
OPAQUE = "Opaque"
_LAST = 253402300799
"""The last second of the year 9999: what comes after it is no time here."""
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE-----")


def read_authority(text: str, name: str) -> Authority:
    """Return the certificates in a PEM text, in one form. Raises InputError with ``name`` when there is none."""
    found = []
    for block in _CERTIFICATE.findall(text):
        try:
            found.append(base64.b64decode("".join(block.split()), validate=True))
        except binascii.Error as error:
            raise InputError(f"{name}: it holds a certificate that is no base64. Give the CA in PEM.") from error
    if not found:
        raise InputError(f"{name}: it holds no certificate. Give the CA of the other API server in PEM.")
    pem = "".join(
        "-----BEGIN CERTIFICATE-----\n"
        + "".join(f"{line}\n" for line in re.findall(".{1,64}", base64.b64encode(der).decode()))
        + "-----END CERTIFICATE-----\n"
        for der in found
    )
    return Authority(pem, tuple(hashlib.sha256(der).hexdigest() for der in found))


def kubeconfig(cluster: str, server: str, authority: Authority, token: str) -> str:
    """Return the kubeconfig that istiod reads. JSON is YAML, and the same each time."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": cluster,
                    "cluster": {"server": server, "certificate-authority-data": _encoded(authority.pem)},
                }
            ],
            "users": [{"name": cluster, "user": {"token": token}}],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
            "current-context": cluster,
        }
    )


def secret_object(wanted: Wanted, token: Token) -> KubeObject:
    """Return the Secret, in the form of ``istioctl create-remote-secret``."""
    text = kubeconfig(wanted.cluster, wanted.server, wanted.authority, token.text)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": wanted.name,
            "namespace": wanted.namespace,
            "labels": wanted.labels,
            "annotations": wanted.annotations,
        },
        "type": OPAQUE,
        "data": {wanted.cluster: _encoded(text)},
    }


def read_secret(live: Mapping[str, Any], cluster: str) -> Held:
    """Return what a Secret holds for a cluster."""
    metadata, data = live.get("metadata") or {}, live.get("data") or {}
    about = {
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
        "keys": tuple(sorted(data)),
        "opaque": live.get("type", OPAQUE) == OPAQUE,
    }
    try:
        text = _decoded(data[cluster])
        config = loads(text)
        server = config["clusters"][0]["cluster"]["server"]
        authority = read_authority(_decoded(config["clusters"][0]["cluster"]["certificate-authority-data"]), "ca")
        token = read_token(config["users"][0]["user"]["token"])
        if text != kubeconfig(cluster, server, authority, token.text):
            return Held(**about)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, InputError):
        return Held(**about)  # somebody else's form, or changed by hand
    return Held(**about, server=server, authority=authority, token=token)


def read_token(text: str) -> Token:
    """Return a token with what it says of itself. Raises ValueError for one that does not say whose it is, and when it
    ends. It is not verified: that is for its API server.
    """
    parts = text.split(".")
    if len(parts) != 3 or not text.isascii():
        raise ValueError("it is no JWT")
    try:
        claims = loads(base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True))
        own = claims["kubernetes.io"]
        account = Account(str(own["namespace"]), str(own["serviceaccount"]["name"]), str(own["serviceaccount"]["uid"]))
        issued, expires = int(claims["iat"]), int(claims["exp"])
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError("it is no token of a ServiceAccount with an end") from error
    if not 0 < issued < expires <= _LAST:
        raise ValueError("its times are none")
    return Token(text, account, issued, expires)


def token_request(lifetime: int) -> str:
    """Return how a token for the API server itself is asked for; ``lifetime`` in seconds."""
    return json.dumps({"apiVersion": TOKENS, "kind": "TokenRequest", "spec": {"expirationSeconds": lifetime}})


def granted(answer: str, doing: str) -> Token:
    """Return the token out of the answer to a TokenRequest. No error shows what was read."""
    try:
        return read_token(loads(answer)["status"]["token"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ProcessError(
            f"{doing} failed: the API server's answer holds no token that says whose it is and when it ends."
        ) from None


def token_review(token: Token) -> str:
    """Return how an API server is asked whether it believes a token."""
    return json.dumps({"apiVersion": TOKENS, "kind": "TokenReview", "spec": {"token": token.text}})


def is_believed(answer: str) -> bool:
    """Whether the answer to a TokenReview says that the token is good. True when it says nothing that can be read."""
    try:
        return loads(answer)["status"].get("authenticated") is True
    except (KeyError, TypeError, ValueError, AttributeError):
        return True


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Certificates, keys and the Secret of an upstream CA: to and from PEM and Kubernetes' form. Pure."""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.model import (
    ROTATE,
    Authority,
    Known,
    Pair,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import (
    UNREADABLE,
    is_authority,
    load_pem,
    sha256,
)

# chain.require_cryptography() tells the user when it is not there.
with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

CERTIFICATE, KEY, BUNDLE = "tls.crt", "tls.key", "ca.crt"
"""The keys of the Secret, and so the names of the files in the server's pod."""
OURS = {"app.kubernetes.io/managed-by": "trustmesh.spiffe", "trustmesh.io/role": "upstream_ca"}
SCENARIO = "trustmesh.io/scenario"


ROOT_MAP = "istio-ca-root-cert"
"""The ConfigMap in which istiod publishes its root."""
_OF_ISTIO = (("ca-cert.pem", "ca-key.pem", "root-cert.pem"), (CERTIFICATE, KEY, BUNDLE))
"""Certificate, key and root in such a Secret: in Istio's own form, and in that of the type kubernetes.io/tls."""


def pair_of_istio(live: Mapping[str, Any]) -> Pair | None:
    """Return the CA in a Secret of istiod's; nothing where there is no key in it."""
    data = live.get("data") or {}
    for certificate, key, root in _OF_ISTIO:
        if not data.get(key):
            continue
        try:
            texts = {
                name: base64.b64decode(data.get(name) or "", validate=True).decode()
                for name in (certificate, key, root, "cert-chain.pem")
            }
            chain = load_pem(texts[certificate])
            above = load_pem(texts["cert-chain.pem"]) if texts["cert-chain.pem"].strip() else []
            # An istiod that has made its CA by itself is the root.
            roots = load_pem(texts[root]) if texts[root].strip() else chain[:1]
        except (ValueError, TypeError):
            return None
        # The root is left to the bundle, unless it is the CA itself.
        known = {sha256(one) for one in (*chain, *roots)}
        above = [one for one in above if sha256(one) not in known]
        return Pair(_pem(chain + above), texts[key], _pem(roots))
    return None


def root_ids(text: str) -> set[str]:
    """The digests of the certificates in a PEM text; none where there is no certificate."""
    with contextlib.suppress(ValueError):
        return {sha256(one) for one in load_pem(text)}
    return set()


def _pem(certificates: list[x509.Certificate]) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def read_pair(pair: Pair, now: datetime.datetime, names: tuple[str, str, str], ended_too: bool = False) -> Known:
    """Return what a pair is, or raise with the name of the part that is wrong; ``names`` are those of its parts.

    One whose time is over is taken with ``ended_too`` only.
    """
    certificate_name, key_name, bundle_name = names
    chain = _certificates(pair.certificate, certificate_name)
    roots = _certificates(pair.bundle, bundle_name)
    first = chain[0]
    if not is_authority(first):
        raise InputError(
            f"{certificate_name}: it is no CA certificate. It needs basicConstraints CA:TRUE, and keyCertSign if it"
            " says what its key is for."
        )
    _check_depth(chain, roots, certificate_name)
    _check_key(pair.key, key_name, first, certificate_name)
    left = (first.not_valid_after_utc - now).total_seconds()
    if left <= 0 and not ended_too:
        raise InputError(
            f"{certificate_name}: it expired at {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC. Replace the CA with the"
            f" playbook {ROTATE}."
        )
    if first.not_valid_before_utc > now:
        raise InputError(
            f"{certificate_name}: it is valid only from {first.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on."
        )
    own = _signed_by(first, first)
    if not own and not any(_signed_by(last, root) for root in roots for last in chain):
        raise InputError(
            f"{bundle_name}: none of its roots has signed what is in {certificate_name}. Give the root certificates."
        )
    if own and sha256(first) not in {sha256(root) for root in roots}:
        raise InputError(f"{bundle_name}: the certificate of {certificate_name} is a root, and is not among them.")
    return Known(
        pair,
        Authority(
            authority_id=key_id(first, certificate_name),
            sha256=sha256(first),
            subject=first.subject.rfc4514_string(),
            not_after=f"{first.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            seconds_left=left,
            self_signed=own,
            roots=tuple(key_id(root, bundle_name) for root in roots),
        ),
    )


def _certificates(text: str, name: str) -> list[x509.Certificate]:
    try:
        return load_pem(text)
    except ValueError as error:
        raise InputError(f"{name}: it holds no certificate in PEM.") from error


def _check_depth(chain: list[x509.Certificate], roots: list[x509.Certificate], name: str) -> None:
    """Below the CA stands that of a server, which each certificate above has to allow (RFC 5280, 4.2.1.9)."""
    above, one = 1, chain[0]
    while True:
        with contextlib.suppress(x509.ExtensionNotFound):
            allowed = one.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
            if allowed is not None and allowed < above:
                whose = "it" if above == 1 else f"the CA above it, {one.subject.rfc4514_string() or '(no name)'},"
                raise InputError(
                    f"{name}: {whose} allows {allowed} CAs below itself (pathlen:{allowed}), and with that of the SPIRE"
                    f" server there are {above}. What the server signs would be refused everywhere. Take a CA that its"
                    " root has signed without this limit."
                )
        following = [other for other in (*chain, *roots) if other != one and _signed_by(one, other)]
        if not following or above > len(chain) + len(roots) or _signed_by(one, one):
            return
        above, one = above + 1, following[0]


def key_id(certificate: x509.Certificate, name: str) -> str:
    """Return the subject key id, by which SPIRE knows an upstream authority."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound as error:
        raise InputError(
            f"{name}: a certificate without a subject key identifier; SPIRE could not taint it."
        ) from error
    except UNREADABLE as error:
        raise InputError(f"{name}: a certificate has extensions that cannot be read.") from error
    return found.hex()


def _check_key(text: str, name: str, certificate: x509.Certificate, certificate_name: str) -> None:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError as error:
        raise InputError(
            f"{name}: it is encrypted, and the server has no way to decrypt it. Give it without a passphrase, mode"
            " 0600."
        ) from error
    except UNREADABLE as error:
        raise InputError(f"{name}: it is no private key in PEM.") from error
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise InputError(f"{name}: SPIRE takes keys of the types EC and RSA only.")
    public = [
        one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for one in (key.public_key(), certificate.public_key())
    ]
    if public[0] != public[1]:
        raise InputError(f"{name}: it is not the key of {certificate_name}. The two do not fit.")


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError):
        return False
    except UNREADABLE:
        return False
    return True


def namespace_object(name: str) -> KubeObject:
    """Return a namespace for a server. Who makes the server adds what it needs."""
    labels = {"app.kubernetes.io/managed-by": OURS["app.kubernetes.io/managed-by"]}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def secret_object(name: str, namespace: str, scenario: str, pair: Pair | None = None) -> KubeObject:
    """Return the Secret; without a pair as much of it as is needed to find it."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    made: KubeObject = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    if pair is not None:
        metadata["labels"] = {**OURS, **({SCENARIO: scenario} if scenario else {})}
        texts = {CERTIFICATE: pair.certificate, KEY: pair.key, BUNDLE: pair.bundle}
        made |= {"type": "kubernetes.io/tls", "data": {key: _encoded(text) for key, text in texts.items()}}
    return made


def same_secret(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a Secret holds what is wanted, and says whose it is."""
    labels = live["metadata"].get("labels") or {}
    return (live.get("data") or {}) == wanted["data"] and wanted["metadata"]["labels"].items() <= labels.items()


def is_ours(live: Mapping[str, Any]) -> bool:
    """Whether this collection made a Secret."""
    return OURS.items() <= (live["metadata"].get("labels") or {}).items()


def pair_of(live: Mapping[str, Any]) -> Pair | None:
    """Return the pair in a Secret, or nothing when it holds none."""
    data = live.get("data") or {}
    try:
        texts = [base64.b64decode(data[key], validate=True).decode() for key in (CERTIFICATE, KEY, BUNDLE)]
    except (KeyError, TypeError, binascii.Error, UnicodeDecodeError):
        return None
    return Pair(*texts)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Certificates of nodes, from and to PEM. Pure."""

from __future__ import annotations

import contextlib
import datetime

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.model import Found, Wanted
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.model import Pair
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import (
    UNSIGNED,
    load_pem,
    spiffe_ids,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.usage import key_usage

# chain.require_cryptography() tells the user when it is not there.
with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SKEW = datetime.timedelta(minutes=5)
"""Clocks of machines may be behind the control node's."""


def read(pair: Pair, roots: str) -> Found | None:
    """Return what the certificate of a node is, or nothing when it cannot be used with the key beside it.

    ``roots`` are the certificates by which the server judges it, PEM.
    """
    try:
        chain = load_pem(pair.certificate)
        leaf = chain[0]
        key = load_pem_private_key(pair.key.encode(), password=None)
        public = [
            one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            for one in (key.public_key(), leaf.public_key())
        ]
        if public[0] != public[1]:
            return None
        names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return Found(
            common_name=str(names[0].value) if names else "",
            spiffe_ids=tuple(spiffe_ids(leaf)),
            serial_number=f"{leaf.serial_number:x}",
            not_before=leaf.not_valid_before_utc.timestamp(),
            not_after=leaf.not_valid_after_utc.timestamp(),
            signed=any(_signed(chain[-1], root) for root in load_pem(roots)),
        )
    except UNSIGNED:
        return None


def _signed(last: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        last.verify_directly_issued_by(root)
    except UNSIGNED:
        return False
    return True


def fingerprint(authority: Pair) -> str:
    """Return the SHA-1 of a CA certificate, by which SPIRE calls it in C(x509pop:ca:fingerprint)."""
    return load_pem(authority.certificate)[0].fingerprint(hashes.SHA1()).hex()  # noqa: S303 - SPIRE's word, no proof


def issue(wanted: Wanted, authority: Pair, valid_days: int, now: datetime.datetime) -> Pair:
    """Return a new key with a certificate that ``authority`` has signed. It does not outlive that."""
    issuer = load_pem(authority.certificate)[0]
    signer = load_pem_private_key(authority.key.encode(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise InputError("ca_path: the key of the CA is not one that was made here.")
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, wanted.trust_domain[:64]),
                    x509.NameAttribute(NameOID.COMMON_NAME, wanted.name),
                ]
            )
        )
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(min(now + datetime.timedelta(days=valid_days), issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(signer, hashes.SHA256())
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), key_pem, authority.certificate)

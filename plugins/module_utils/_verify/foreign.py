# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""A certificate that nobody should believe: with the SPIFFE ID of somebody else, from a CA that is not SPIRE's."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.usage import key_usage
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import domain_of

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:  # chain.require_cryptography() has said so before anything here is called
    pass


@dataclass(frozen=True)
class ForeignIdentity:
    """A chain and its key, both PEM. ``repr`` does not show the key."""

    chain_pem: str
    key_pem: str
    signer: str = ""
    """Who signed it, in words."""

    def __repr__(self) -> str:
        return "ForeignIdentity(key_pem='***')"


@dataclass(frozen=True)
class Authority:
    """A CA with its key."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes = field(repr=False)

    @classmethod
    def read(cls, certificate_pem: bytes, key_pem: bytes) -> Authority:
        """Read the CA of somebody. Raises ValueError when it is none."""
        key = load_pem_private_key(key_pem, None)
        if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
            raise ValueError("a key of another kind")
        return cls(x509.load_pem_x509_certificates(certificate_pem)[0], key)

    @classmethod
    def make(
        cls, trust_domain: str, now: datetime.datetime, until: datetime.datetime, organization: str = "not SPIRE"
    ) -> Authority:
        """Make a CA that nobody knows."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
        certificate = (
            _builder(name, name, key.public_key(), now, until)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(key_usage(ca=True), critical=True)
            .add_extension(_uri(f"spiffe://{trust_domain}"), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)


def foreign_identity(
    spiffe_id: str, seconds: int = 600, authority: Authority | None = None, signer_name: str = "a CA made for this"
) -> ForeignIdentity:
    """Make a leaf with ``spiffe_id``, by ``authority`` or by a CA made here and now.

    Besides its signer the leaf is like one of SPIRE's.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    until = now + datetime.timedelta(seconds=seconds)
    signer = authority or Authority.make(domain_of(spiffe_id), now, until)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf_name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPIRE")])
    leaf = (
        _builder(leaf_name, signer.certificate.subject, key.public_key(), now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(ca=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(_uri(spiffe_id), critical=False)
        .add_extension(_signed_by(signer.certificate), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    return ForeignIdentity(
        "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in (leaf, signer.certificate)),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        signer_name,
    )


def as_istiod_would(spiffe_id: str, seconds: int) -> ForeignIdentity:
    """Make a leaf by a CA made here and now, which has the name that istiod gives to its own.

    istiod names it by the trust domain alone (pkg/pki/ca of Istio), and a SPIRE server may have the same name.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    domain = domain_of(spiffe_id)
    authority = Authority.make(domain, now, now + datetime.timedelta(seconds=seconds), domain)
    return foreign_identity(spiffe_id, seconds, authority, "a CA made for this, of the name that istiod's would have")


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(until)
    )


def _signed_by(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """By this a certificate is told from one of a CA of the same name, as SPIRE's and istiod's are."""
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except (x509.ExtensionNotFound, ValueError):
        own = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _uri(spiffe_id: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)])

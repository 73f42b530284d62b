# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for the tests, made on the spot."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)  # certificates know whole seconds
HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Identity:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def issue(
    *uris: str,
    hosts: Sequence[str] = (),
    by: Identity | None = None,
    ca: bool = False,
    begins: datetime.datetime = NOW - HOUR,
    ends: datetime.datetime = NOW + HOUR,
    path_length: int | None = None,
    name: str = "test",
    key: ec.EllipticCurvePrivateKey | None = None,
    usage: Sequence[str] | None = None,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Identity:
    """Make a certificate, signed by ``by`` or by itself, for SPIFFE IDs, and for IP addresses and names.

    ``usage`` says what its key is for, instead of what is usual; with none it does not say so at all. ``more`` are
    further extensions, and whether each is critical.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if usage is None or usage:
        builder = builder.add_extension(_usage(usage or _USUAL[ca]), critical=True)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [_host(host) for host in hosts]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Identity(builder.sign(by.key if by else key, hashes.SHA256()), key)


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


_USUAL = {True: ("key_cert_sign", "crl_sign"), False: ("digital_signature",)}
"""What an authority's key is for, and what a leaf's."""
_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
_USAGES += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")


def _usage(named: Sequence[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in named for name in _USAGES})

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Making a CA: a key, and a certificate that it signs itself."""

from __future__ import annotations

import contextlib
import datetime

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.model import Pair
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.usage import key_usage

# chain.require_cryptography() tells the user when it is not there.
with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

EC_P256, EC_P384 = "ec-p256", "ec-p384"
_SKEW = datetime.timedelta(minutes=5)
"""Clocks of clusters may be behind the control node's."""


def make_pair(
    trust_domain: str, key_type: str, valid_days: int, now: datetime.datetime, title: str = "Upstream CA"
) -> Pair:
    """Return a new CA of a trust domain. Its name begins with ``title``."""
    key = ec.generate_private_key(ec.SECP256R1() if key_type == EC_P256 else ec.SECP384R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # Two CAs of one trust domain never have the same name: who builds a chain by names takes the right one.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{title} {identifier.digest.hex()[:8]}"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + datetime.timedelta(days=valid_days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage(ca=True), critical=True)
        .add_extension(identifier, critical=False)
        # X509-SVID, 3.2: what signs for a trust domain may have its SPIFFE ID, without a path.
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]), critical=False
        )
        .sign(key, hashes.SHA384() if key_type == EC_P384 else hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM).decode()
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Pair(pem, key_pem, pem)

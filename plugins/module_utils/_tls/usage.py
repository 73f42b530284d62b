# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What the key of a certificate that is made here may do. Pure."""

from __future__ import annotations

import contextlib

# Checked by those who make certificates, before they get here.
with contextlib.suppress(ImportError):
    from cryptography import x509


def key_usage(ca: bool) -> x509.KeyUsage:
    """An authority signs certificates and revocation lists, a leaf signs in a handshake (X509-SVID, 4.3)."""
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )

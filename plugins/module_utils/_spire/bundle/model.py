# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a trust bundle is. Pure."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Authority:
    """One X.509 authority of a bundle."""

    pem: str
    tainted: bool

    @property
    def der(self) -> bytes:
        return base64.b64decode("".join(line for line in self.pem.splitlines() if not line.startswith("-")))

    @property
    def sha256(self) -> str:
        """The fingerprint: digest over the DER form."""
        return hashlib.sha256(self.der).hexdigest()


@dataclass(frozen=True)
class JwtAuthority:
    """One JWT authority of a bundle: a public key, as DER of its SubjectPublicKeyInfo."""

    key_id: str
    public_key: bytes
    expires_at: int = 0
    tainted: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.public_key).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """The trust bundle of a trust domain."""

    trust_domain: str
    x509_authorities: tuple[Authority, ...]
    sequence_number: int
    refresh_hint: int
    jwt_authorities: tuple[JwtAuthority, ...] = ()

    @property
    def pem(self) -> str:
        """All X.509 authorities, one after the other."""
        return "".join(authority.pem for authority in self.x509_authorities)

    @property
    def trusted_pem(self) -> str:
        """Those by which somebody may be believed anew: a tainted one is there only until everybody has renewed."""
        return "".join(authority.pem for authority in self.x509_authorities if not authority.tainted)

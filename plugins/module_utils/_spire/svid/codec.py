# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Between the JSON of spire-server and spire-agent, and SVIDs; and what an SVID says of itself. Pure."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import id_from_server, pem
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.model import (
    JWT,
    X509,
    Found,
    JwtSvid,
    Link,
    X509Svid,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import (
    UNREADABLE,
    UNSIGNED,
    dns_names,
    load_pem,
    presented,
    spiffe_ids,
)

# chain.require_cryptography() tells the user when it is not there.
with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


def svid_from_server(data: Mapping[str, Any]) -> X509Svid:
    """Read the answer of ``x509 mint``."""
    return X509Svid(
        chain_pem="".join(pem("CERTIFICATE", der) for der in data["x509_svid"]),
        key_pem=pem("PRIVATE KEY", data["private_key"]),
        bundle_pem="".join(pem("CERTIFICATE", der) for der in data.get("root_cas") or ()),
    )


def jwt_from_server(data: Mapping[str, Any]) -> JwtSvid:
    """Read the answer of ``jwt mint``."""
    svid = data["svid"]
    return JwtSvid(str(svid["token"]), id_from_server(svid.get("id")))


def x509_from_agent(data: Mapping[str, Any]) -> list[X509Svid]:
    """Read the answer of ``api fetch x509``: every SVID of the caller, the first one being its default."""
    return [
        X509Svid(
            chain_pem=_pem_of_all(svid["x509_svid"]),
            key_pem=pem("PRIVATE KEY", svid["x509_svid_key"]),
            bundle_pem=_pem_of_all(svid["bundle"]),
            spiffe_id=str(svid["spiffe_id"]),
        )
        for svid in data["svids"]
    ]


def jwt_from_agent(data: Sequence[Mapping[str, Any]]) -> list[JwtSvid]:
    """Read the answer of ``api fetch jwt``: SVIDs, and the authorities of each trust domain."""
    svids, bundles = data[0]["svids"], data[1]["bundles"]
    found = []
    for svid in svids:
        spiffe_id = str(svid["spiffe_id"])
        keys = loads(base64.b64decode(bundles["/".join(spiffe_id.split("/")[:3])]))["keys"]
        # A bundle in SPIFFE's form has the keys of certificates, too, which have no id.
        ids = tuple(str(key["kid"]) for key in keys if key.get("kid"))
        found.append(JwtSvid(str(svid["svid"]), spiffe_id, ids))
    return found


def read_x509(svid: X509Svid, authorities: str) -> Found | None:
    """Return what an X509-SVID says, or nothing when it cannot be used with the key beside it.

    ``authorities`` are those that are trusted now, PEM.
    """
    try:
        chain = load_pem(svid.chain_pem)
        leaf = chain[0]
        key = load_pem_private_key(svid.key_pem.encode(), password=None)
        if _public(key.public_key()) != _public(leaf.public_key()):
            return None
        ids = spiffe_ids(leaf)
        return Found(
            kind=X509,
            spiffe_id=ids[0] if len(ids) == 1 else "",
            not_before=int(leaf.not_valid_before_utc.timestamp()),
            expires_at=int(leaf.not_valid_after_utc.timestamp()),
            trusted=not presented(chain, load_pem(authorities)).problem,
            serial_number=f"{leaf.serial_number:x}",
            dns_names=tuple(dns_names(leaf)),
            chain=tuple(_link(one) for one in chain),
        )
    except (*UNREADABLE, *UNSIGNED):
        return None


def read_jwt(token: str, key_ids: Collection[str]) -> Found | None:
    """Return what a JWT-SVID says, or nothing when it is none. ``key_ids`` are the authorities trusted now.

    Its signature is not looked at: the file is private to who wrote it.
    """
    try:
        head, body, _signature = token.split(".")
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (head, body))
        audience = claims["aud"]
        return Found(
            kind=JWT,
            spiffe_id=str(claims["sub"]),
            not_before=int(claims.get("nbf", claims.get("iat", 0))),
            expires_at=int(claims["exp"]),
            trusted=header.get("kid") in key_ids,
            audience=tuple(sorted([audience] if isinstance(audience, str) else map(str, audience))),
            key_id=str(header.get("kid", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def same_authorities(left: str, right: str) -> bool:
    """Whether two bundles (PEM) hold the same certificates."""
    try:
        one, other = ({_der(item) for item in load_pem(text)} for text in (left, right))
    except ValueError:
        return False
    return one == other


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _link(certificate: x509.Certificate) -> Link:
    return Link(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial_number=f"{certificate.serial_number:x}",
        expires_at=int(certificate.not_valid_after_utc.timestamp()),
    )


def _pem_of_all(text: str) -> str:
    """Certificates that stand one after the other in DER, as base64, in PEM."""
    rest, found = base64.b64decode(text), []
    while rest:
        size = _size(rest)
        found.append(pem("CERTIFICATE", base64.b64encode(rest[:size]).decode()))
        rest = rest[size:]
    return "".join(found)


def _size(der: bytes) -> int:
    """The length of the first element (X.690, 8.1.3)."""
    if len(der) < 2 or der[0] != 0x30:
        raise ValueError("it is no sequence")
    octets = der[1] & 0x7F if der[1] & 0x80 else 0
    size = 2 + octets + (int.from_bytes(der[2 : 2 + octets], "big") if octets else der[1])
    if size > len(der):
        raise ValueError("it is cut off")
    return size

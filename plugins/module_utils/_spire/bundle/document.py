# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Between the two forms of a trust bundle, PEM and SPIFFE's JSON, and our values. Pure.

The JSON form is that of SPIFFE_Trust_Domain_and_Bundle.md: a JWK set whose keys say by ``use`` what they are for.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._private import REMOVED, without_private_values
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import (
    Authority,
    Bundle,
    JwtAuthority,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import pem
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import load_pem

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_der_public_key,
    )
except ImportError:
    # chain.require_cryptography() tells the user.
    pass

PEM = "pem"
SPIFFE = "spiffe"
FORMATS = (PEM, SPIFFE)

MAX_NUMBER = 2**63 - 1

_LABEL = re.compile(r"-----BEGIN ([^-]+)-----")
_CURVES = {"P-256": "SECP256R1", "P-384": "SECP384R1", "P-521": "SECP521R1"}
_CURVE_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


class BadBundle(ValueError):
    """A text that is no trust bundle. The message never repeats the text."""


@dataclass(frozen=True)
class Document:
    """A bundle as it was read, in which form, and what was passed over."""

    bundle: Bundle
    form: str
    ignored: tuple[str, ...] = ()


def read_document(trust_domain: str, content: str | Mapping[str, Any], form: str | None = None) -> Document:
    """Read a bundle in the form ``form``, or in the one that the content has. Raises :class:`BadBundle`."""
    content = without_private_values(content)
    if REMOVED in str(content):
        raise BadBundle(
            "it holds a private key. A trust bundle holds public values only; nothing was sent or kept. If the key is "
            "in use, treat it as exposed, and give the certificates alone"
        )
    if form is None:
        form = SPIFFE if isinstance(content, Mapping) or content.lstrip().startswith("{") else PEM
    if form == SPIFFE:
        return _from_spiffe(trust_domain, content)
    if isinstance(content, Mapping):
        raise BadBundle("format is pem, and the content is a JSON document. Set format to spiffe")
    return Document(_from_pem(trust_domain, content), PEM)


def spiffe_document(bundle: Bundle) -> str:
    """Return ``bundle`` in SPIFFE's JSON form."""
    keys = [
        {
            "use": "x509-svid",
            **_jwk(_certificate(authority.der).public_key()),
            "x5c": [base64.b64encode(authority.der).decode()],
        }
        for authority in bundle.x509_authorities
    ]
    keys += [
        {"use": "jwt-svid", "kid": authority.key_id, **_jwk(load_der_public_key(authority.public_key))}
        for authority in bundle.jwt_authorities
    ]
    document: dict[str, Any] = {"keys": keys}
    if bundle.sequence_number:
        document["spiffe_sequence"] = bundle.sequence_number
    if bundle.refresh_hint:
        document["spiffe_refresh_hint"] = bundle.refresh_hint
    return json.dumps(document, indent=4)


def _from_pem(trust_domain: str, text: str) -> Bundle:
    labels = _LABEL.findall(text)
    if not labels:
        raise BadBundle("it holds no PEM block. A bundle in PEM is one or more blocks BEGIN CERTIFICATE")
    foreign = sorted(set(labels) - {"CERTIFICATE"})
    if foreign:
        raise BadBundle(f"it holds {', '.join(foreign)}, and a bundle in PEM holds CERTIFICATE blocks only")
    try:
        certificates = load_pem(text)
    except (ValueError, TypeError):
        raise BadBundle("a CERTIFICATE block in it cannot be read: it is cut off or no certificate") from None
    if len(certificates) != len(labels):
        raise BadBundle(f"it begins {len(labels)} CERTIFICATE blocks, and {len(certificates)} can be read")
    return Bundle(trust_domain, _unique(certificates), 0, 0)


def _from_spiffe(trust_domain: str, content: str | Mapping[str, Any]) -> Document:
    if isinstance(content, str):
        try:
            content = loads(content)
        except (ValueError, RecursionError) as error:
            where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
            raise BadBundle(f"it is not JSON{where}") from None
    keys = content.get("keys") if isinstance(content, Mapping) else None
    if not isinstance(content, Mapping) or not isinstance(keys, list):
        raise BadBundle("it has no list «keys» (SPIFFE_Trust_Domain_and_Bundle 4.1)")
    certificates: list[x509.Certificate] = []
    jwt: dict[str, JwtAuthority] = {}
    ignored = []
    for index, key in enumerate(keys):
        where = f"keys[{index}]"
        if not isinstance(key, Mapping):
            raise BadBundle(f"{where} is not a JSON Web Key")
        # 4.2.2: a key whose use is missing or not known is ignored.
        use = key.get("use")
        if use == "x509-svid":
            certificates.append(_x5c(key, where))
        elif use == "jwt-svid":
            authority = _jwt_authority(key, where)
            if authority.key_id in jwt:
                raise BadBundle(f"{where}: the key id {authority.key_id} is there twice")
            jwt[authority.key_id] = authority
        else:
            ignored.append(f"{where}: its use {str(use)[:40]!r} is none that a SPIRE server takes; it is left out")
    bundle = Bundle(
        trust_domain,
        _unique(certificates),
        _number(content, "spiffe_sequence"),
        _number(content, "spiffe_refresh_hint"),
        tuple(jwt.values()),
    )
    return Document(bundle, SPIFFE, tuple(ignored))


def _number(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NUMBER:
        raise BadBundle(f"{name} is no number from 0 to {MAX_NUMBER}")
    return value


def _x5c(key: Mapping[str, Any], where: str) -> x509.Certificate:
    # 4.2.3, X509-SVID 6.1: exactly one certificate for each key.
    chain = key.get("x5c")
    if not isinstance(chain, list) or len(chain) != 1 or not isinstance(chain[0], str):
        raise BadBundle(f"{where}: an x509-svid key has exactly one certificate in x5c")
    try:
        return _certificate(base64.b64decode(chain[0], validate=True))
    except (ValueError, TypeError):
        raise BadBundle(f"{where}: its x5c is no certificate") from None


def _jwt_authority(key: Mapping[str, Any], where: str) -> JwtAuthority:
    key_id = key.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise BadBundle(f"{where}: a jwt-svid key has a key id, kid (JWT-SVID 4)")
    try:
        public = _public_key(key)
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error):
        raise BadBundle(f"{where}: it is no public key of the kind EC or RSA that can be read") from None
    return JwtAuthority(key_id, public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _public_key(key: Mapping[str, Any]) -> Any:
    if key["kty"] == "EC":
        curve = getattr(ec, _CURVES[key["crv"]])()
        return ec.EllipticCurvePublicNumbers(_integer(key["x"]), _integer(key["y"]), curve).public_key()
    if key["kty"] == "RSA":
        return rsa.RSAPublicNumbers(_integer(key["e"]), _integer(key["n"])).public_key()
    raise ValueError("another kind of key")


def _jwk(key: Any) -> dict[str, str]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        size = (key.curve.key_size + 7) // 8
        numbers = key.public_numbers()
        curve = _CURVE_NAMES[key.curve.name]
        return {"kty": "EC", "crv": curve, "x": _text(numbers.x, size), "y": _text(numbers.y, size)}
    if isinstance(key, rsa.RSAPublicKey):
        public = key.public_numbers()
        sizes = [(number.bit_length() + 7) // 8 for number in (public.n, public.e)]
        return {"kty": "RSA", "n": _text(public.n, sizes[0]), "e": _text(public.e, sizes[1])}
    raise BadBundle(f"a key of the kind {type(key).__name__} has no form in a bundle; EC and RSA have")


def _integer(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def _text(number: int, size: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


def _certificate(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def _unique(certificates: list[x509.Certificate]) -> tuple[Authority, ...]:
    ders = dict.fromkeys(certificate.public_bytes(Encoding.DER) for certificate in certificates)
    return tuple(Authority(pem("CERTIFICATE", base64.b64encode(der).decode()), False) for der in ders)

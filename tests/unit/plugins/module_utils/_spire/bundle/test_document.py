# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both forms of a bundle. What SPIRE itself reads and writes: tests/integration/test_spire_bundle.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.document import (
    BadBundle,
    read_document,
    spiffe_document,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import (
    Authority,
    Bundle,
    JwtAuthority,
)
from certificates import issue
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CA = issue("spiffe://example.org", ca=True)


def public_key(key: Any) -> bytes:
    text: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return text


KEYS = [
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    ec.generate_private_key(ec.SECP521R1()),
    rsa.generate_private_key(65537, 2048),
]


def test_a_bundle_survives_the_spiffe_form_with_every_kind_of_key() -> None:
    keys = tuple(JwtAuthority(f"key{index}", public_key(key)) for index, key in enumerate(KEYS))
    bundle = Bundle("example.org", (Authority(CA.pem, False),), 7, 300, keys)
    text = spiffe_document(bundle)
    for content in (text, json.loads(text)):
        document = read_document("example.org", content)
        assert (document.bundle, document.form, document.ignored) == (bundle, "spiffe", ())


def test_a_bundle_survives_pem() -> None:
    other = issue(ca=True)
    bundle = read_document("example.org", f"# ours\n{CA.pem}\n\n# theirs\n{other.pem}{CA.pem}").bundle
    assert bundle.pem == CA.pem + other.pem
    assert (bundle.sequence_number, bundle.refresh_hint, bundle.jwt_authorities) == (0, 0, ())


def test_keys_of_another_use_are_passed_over_and_named() -> None:
    document = json.loads(spiffe_document(Bundle("example.org", (Authority(CA.pem, False),), 0, 0)))
    document["keys"] += [{"kty": "EC", "use": "wit-svid"}, {"kty": "EC"}]
    read = read_document("example.org", document)
    assert read.bundle.pem == CA.pem
    assert [note.split(":")[0] for note in read.ignored] == ["keys[1]", "keys[2]"]


def test_the_same_key_id_twice_is_refused() -> None:
    key = JwtAuthority("same", public_key(KEYS[0]))
    document = json.loads(spiffe_document(Bundle("example.org", (), 0, 0, (key,))))
    with pytest.raises(BadBundle, match="the key id same is there twice"):
        read_document("example.org", {"keys": document["keys"] * 2})


def test_a_key_that_has_no_form_in_a_bundle_is_told() -> None:
    key = JwtAuthority("odd", public_key(ed25519.Ed25519PrivateKey.generate()))
    with pytest.raises(BadBundle, match="EC and RSA have"):
        spiffe_document(Bundle("example.org", (), 0, 0, (key,)))


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-257", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": 1, "y": "AA"},
        {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "é", "y": "AA"},
        {"kty": "RSA", "n": "AA", "e": "AA"},
        {"kty": "RSA", "n": "AQAB"},
        {"kty": None},
        {},
    ],
)
def test_a_broken_key_is_refused_in_words(key: dict[str, Any]) -> None:
    with pytest.raises(BadBundle, match=r"keys\[0\]: it is no public key"):
        read_document("example.org", {"keys": [{"use": "jwt-svid", "kid": "a", **key}]})


@pytest.mark.parametrize("content", ["[]", "{", '{"keys": 1}', "[" * 100_000, '{"keys": [1]}', '{"keys": [[]]}'])
def test_broken_json_is_refused_in_words(content: str) -> None:
    with pytest.raises(BadBundle):
        read_document("example.org", content, "spiffe")

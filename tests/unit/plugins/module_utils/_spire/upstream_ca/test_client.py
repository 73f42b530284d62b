# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CA's folder and a user's files: what is taken, what is refused, and who wins when several make one."""

from __future__ import annotations

import datetime
import os
import threading
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.client import Store, read_private
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.codec import (
    pair_of,
    read_pair,
    same_secret,
    secret_object,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.make import make_pair
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.model import Pair
from certificates import HOUR, NOW, Identity, issue
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

NAMES = ("certificate", "private_key", "bundle")
MADE = make_pair("example.org", "ec-p384", 365, NOW)


def own(identity: Identity, *chain: Identity, bundle: Identity | None = None) -> Pair:
    text = "".join(one.pem for one in (identity, *chain))
    return Pair(text, identity.key_pem, bundle.pem if bundle else text)


def test_a_ca_is_one_by_which_spire_can_sign() -> None:
    found = read_pair(MADE, NOW, NAMES).authority
    certificate = x509.load_pem_x509_certificate(MADE.certificate.encode())
    extensions = {one.oid._name: one for one in certificate.extensions}
    assert extensions["basicConstraints"].critical
    assert extensions["basicConstraints"].value.ca
    usage = extensions["keyUsage"]
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    names = extensions["subjectAltName"].value.get_values_for_type(x509.UniformResourceIdentifier)
    assert names == ["spiffe://example.org"]
    assert extensions["subjectKeyIdentifier"].value.digest.hex() == found.authority_id
    assert found.self_signed
    assert found.subject.startswith("CN=Upstream CA ")
    assert found.public()["days_left"] == 365
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert certificate.public_key().curve.name == "secp384r1"
    other = read_pair(make_pair("example.org", "ec-p256", 1, NOW), NOW, NAMES).authority
    assert other.subject != found.subject, "two CAs of a trust domain have two names"


def test_nothing_that_is_shown_has_the_key() -> None:
    known = read_pair(MADE, NOW, NAMES)
    line = MADE.key.splitlines()[1]
    assert line not in repr(known)
    assert line not in str(known.authority.public()) + str(known.authority.shown())


CA = issue("spiffe://example.org", ca=True, name="mine")
BETWEEN = issue(ca=True, by=CA, name="between")
NO_ID = issue(ca=True)


def without_id() -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW - HOUR).not_valid_after(NOW + HOUR)
    made = builder.add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    return own(Identity(made, key))


def encrypted() -> Pair:
    text = CA.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
    return Pair(CA.pem, text, CA.pem)


def of_another_type() -> Pair:
    key = ed25519.Ed25519PrivateKey.generate()
    return Pair(CA.pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), CA.pem)


def test_own_files_are_taken() -> None:
    assert read_pair(own(CA), NOW, NAMES).authority.self_signed
    between = read_pair(own(BETWEEN, bundle=CA), NOW, NAMES).authority
    assert not between.self_signed
    chain = issue(ca=True, by=BETWEEN, name="below")
    assert not read_pair(own(chain, BETWEEN, bundle=CA), NOW, NAMES).authority.self_signed


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (Pair("", CA.key_pem, CA.pem), "certificate: it holds no certificate"),
        (own(issue()), "certificate: it is no CA certificate"),
        (own(issue(ca=True, usage=["digital_signature"])), "certificate: it is no CA certificate"),
        (own(issue(ca=True, ends=NOW - HOUR / 2)), "certificate: it expired at .*rotate_upstream_ca"),
        (own(issue(ca=True, begins=NOW + HOUR / 2)), "certificate: it is valid only from"),
        (Pair(CA.pem, BETWEEN.key_pem, CA.pem), "private_key: it is not the key of certificate"),
        (Pair(CA.pem, CA.pem, CA.pem), "private_key: it is no private key"),
        (encrypted(), "private_key: it is encrypted"),
        (of_another_type(), "private_key: SPIRE takes keys of the types EC and RSA"),
        (without_id(), "certificate: a certificate without a subject key identifier"),
        (own(BETWEEN), "bundle: none of its roots has signed"),
        (own(BETWEEN, bundle=NO_ID), "bundle: none of its roots has signed"),
        (own(CA, bundle=NO_ID), "bundle: the certificate of certificate is a root, and is not among them"),
    ],
)
def test_own_files_that_do_not_fit_are_refused(pair: Pair, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        read_pair(pair, NOW, NAMES)
    assert pair.key.strip() == "" or pair.key.splitlines()[1] not in str(error.value)


def test_a_secret_holds_a_pair() -> None:
    secret = secret_object("ca", "spire-server", "tests", MADE)
    assert pair_of(secret) == MADE
    assert same_secret(secret, secret)
    assert not same_secret({**secret, "data": {}}, secret)
    assert not same_secret({**secret, "metadata": {}}, secret)
    assert pair_of({"data": {"tls.crt": "%%%", "tls.key": "", "ca.crt": ""}}) is None
    assert pair_of({}) is None


def test_who_comes_second_takes_what_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "ca")
    other = make_pair("example.org", "ec-p256", 365, NOW)
    assert store.read("current") is None
    assert store.put(MADE)
    assert not store.put(other)
    assert store.read("current") == MADE
    store.keep()
    assert store.read("current") is None
    assert store.put(other)
    store.keep()
    assert (store.read("current"), store.read("previous")) == (other, MADE), "it was put aside once"
    (store.path / "foo.agents.json").write_text("{}")
    store.drop()
    store.drop()
    assert [path.name for path in store.path.iterdir()] == ["current"]
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.path.rglob("*")}
    assert modes == {"current": 0o700, "tls.crt": 0o600, "tls.key": 0o600, "ca.crt": 0o600}
    assert store.path.stat().st_mode & 0o777 == 0o700
    store.remove()
    store.remove()
    assert not store.path.exists()


def test_nobody_looks_at_a_folder_in_the_middle_of_a_change(tmp_path: Path) -> None:
    store = Store(tmp_path / "ca")
    seen: list[tuple[bool, bool]] = []

    def look() -> None:
        with Store(store.path).alone(make=False):
            seen.append((store.read("current") is not None, store.read("previous") is not None))

    with store.alone(make=True):
        store.put(MADE)
        other = threading.Thread(target=look)
        store.keep()
        other.start()
        other.join(0.3)
        assert other.is_alive(), "it waits"
        store.put(MADE)
    other.join(10)
    assert seen == [(True, True)]


def test_where_there_is_no_folder_nobody_waits_and_none_is_made(tmp_path: Path) -> None:
    with Store(tmp_path / "ca").alone(make=False):
        assert not (tmp_path / "ca").exists()


def test_what_others_get_to_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "ca")
    store.put(MADE)
    key = store.path / "current" / "tls.key"
    for path, mode, words in (
        (key, 0o640, "mode 0640, and others get to the CA's key. Set 0600"),
        (store.path / "current", 0o750, "Set 0700"),
        (store.path, 0o701, "Set 0700"),
    ):
        right = path.stat().st_mode & 0o777
        path.chmod(mode)
        with pytest.raises(InputError, match=words):
            store.read("current")
        path.chmod(right)
    key.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="cannot be read"):
        store.read("current")
    key.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is a link"):
        store.read("current")
    (tmp_path / "link").symlink_to(store.path)
    with pytest.raises(InputError, match="is a link"):
        Store(tmp_path / "link").read("current")
    with pytest.raises(InputError, match="is a link"):
        Store(tmp_path / "link").put(MADE)
    with pytest.raises(InputError, match="is a link"):
        Store(tmp_path / "link").remove()
    assert store.path.exists()
    with pytest.raises(InputError, match="is no file"):
        read_private(tmp_path, "private_key")
    store.path.chmod(0o777)
    with pytest.raises(InputError, match="mode 0777"):
        store.put(MADE)


def test_what_belongs_to_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "ca")
    store.put(MADE)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(InputError, match="belongs to user"):
        store.read("current")


def test_a_ca_that_was_half_made_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "ca")
    store.make_folder()
    (store.path / ".new-abc").mkdir()
    (store.path / ".new-abc" / "tls.key").write_text("half")
    assert store.read("current") is None
    assert store.put(MADE)
    store.drop()
    assert [path.name for path in store.path.iterdir()] == ["current"]
    assert read_pair(MADE, NOW + datetime.timedelta(days=400), NAMES, ended_too=True).authority.seconds_left < 0

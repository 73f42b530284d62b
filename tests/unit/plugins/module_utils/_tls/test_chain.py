# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates are believed."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from .conftest import HOUR, NOW, Identity, issue

ID = "spiffe://example.org/green/envoy"
ROOT = issue("spiffe://example.org", ca=True, name="root")


def judge(*presented: Identity, now: datetime.datetime = NOW, **more: Any) -> chain.Judgement:
    expected = chain.Expectation(**{"spiffe_id": ID, "authorities": [ROOT.certificate], **more})
    return chain.judge([identity.certificate for identity in presented], expected, now)


def test_a_good_certificate_and_what_it_says() -> None:
    leaf = issue(ID, by=ROOT)
    judgement = judge(leaf, min_remaining=60, foreign=[issue(ca=True, name="istiod").certificate])
    assert judgement.ok
    assert judgement.details["spiffe_id"] == ID
    assert judgement.details["issuer"] == "CN=root"
    assert 3500 < judgement.details["remaining_s"] <= 3600
    assert judgement.details["sha256"] == chain.sha256(leaf.certificate)


def test_over_an_intermediate() -> None:
    between = issue(by=ROOT, ca=True, name="between")
    leaf = issue(ID, by=between)
    assert judge(leaf, between).ok
    assert not judge(leaf).ok, "the link to the root is missing"
    old = issue(by=ROOT, ca=True, name="old", ends=NOW - HOUR / 2)
    assert not judge(issue(ID, by=old), old).ok
    narrow = issue(by=ROOT, ca=True, name="narrow", path_length=0)
    below = issue(by=narrow, ca=True, name="below")
    assert not judge(issue(ID, by=below), below, narrow).ok


@pytest.mark.parametrize(
    ("presented", "words"),
    [
        (lambda: [], "no certificate"),
        (lambda: [issue(ID + "2", by=ROOT)], f"it is {ID}2, expected {ID}"),
        (lambda: [issue(by=ROOT)], "carries 0 URI SANs"),
        (lambda: [issue(ID, "spiffe://example.org/x", by=ROOT)], "carries 2 URI SANs"),
        (lambda: [issue(ID, by=ROOT, ca=True)], "CA certificate"),
        (lambda: [issue(ID, by=ROOT, ends=NOW - HOUR / 2)], "it expired 1800 s ago"),
        (lambda: [issue(ID, by=ROOT, begins=NOW + HOUR / 2)], "valid only from"),
        (lambda: [issue(ID, by=ROOT, ends=NOW + HOUR / 120)], "lives only"),
        (lambda: [issue(ID, by=issue(ca=True, name="root"))], "does not lead to the trust bundle"),
        (lambda: [issue(ID)], "does not lead to the trust bundle"),
        (lambda: [issue(ID, by=issue(ID, by=ROOT))], "does not lead to the trust bundle"),
    ],
)
def test_what_is_not_believed(presented: Any, words: str) -> None:
    assert words in "; ".join(judge(*presented(), min_remaining=60).problems)


def test_a_leaf_cannot_sign() -> None:
    middle = issue(ID, by=ROOT)
    assert not judge(issue(ID, by=middle), middle).ok


def test_signed_by_istiod_is_said() -> None:
    istiod = issue(ca=True, name="istiod")
    problems = judge(issue(ID, by=istiod), foreign=[istiod.certificate]).problems
    assert "it was signed by istiod" in problems
    assert judge(issue(ID, by=ROOT), foreign=[ROOT.certificate]).ok, "a root that the bundle holds too is not foreign"


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
BOTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
CODE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ca": True, "usage": ["digital_signature"]}, "it is a CA certificate"),
        ({"usage": ["digital_signature", "key_cert_sign", "crl_sign"]}, "signing certificates or revocation lists"),
        ({"usage": ["digital_signature", "crl_sign"]}, "signing certificates or revocation lists"),
        ({"usage": ["key_encipherment"]}, "not for signatures"),
        ({"usage": []}, "does not say what its key is for"),
        ({"more": [(CODE, True)]}, "not that of a server and a client"),
        ({"more": [(CODE, False)]}, "not that of a server and a client"),
        ({"more": [(UNKNOWN, True)]}, "critical extensions"),
    ],
)
def test_a_leaf_is_all_that_the_standard_asks_of_one(fields: Any, words: str) -> None:
    assert words in "; ".join(judge(issue(ID, by=ROOT, **fields)).problems)


def test_what_the_standard_leaves_open_is_taken() -> None:
    assert judge(issue(ID, by=ROOT, more=[(BOTH, False), (UNKNOWN, False)])).ok


@pytest.mark.parametrize(
    ("uris", "fields"),
    [
        (["spiffe://other.org"], {}),
        (["spiffe://example.org/ns/demo/sa/gateway"], {}),
        (["spiffe://example.org", "spiffe://other.org"], {}),
        ([], {"usage": ["digital_signature"]}),
        ([], {"more": [(UNKNOWN, True)]}),
        ([], {"more": [(x509.NameConstraints([x509.UniformResourceIdentifier("other.org")], None), True)]}),
    ],
)
def test_an_authority_that_may_not_sign_for_it(uris: list[str], fields: Any) -> None:
    between = issue(*uris, by=ROOT, ca=True, name="between", **fields)
    assert "does not lead to the trust bundle" in "; ".join(judge(issue(ID, by=between), between).problems)


def test_an_authority_may_have_the_id_of_its_trust_domain_or_none() -> None:
    for uris in (["spiffe://example.org"], []):
        between = issue(*uris, by=ROOT, ca=True, name="between")
        assert judge(issue(ID, by=between), between).ok


def test_a_peer_cannot_make_it_work_for_long() -> None:
    first = issue(ca=True, name="loop")
    loop = [issue(ca=True, name="loop", key=first.key) for _number in range(chain.MAX_CERTIFICATES - 1)]
    began = time.monotonic()
    for presented in (loop, [*loop, *loop]):
        assert not judge(issue(ID, by=first), *presented, foreign=[issue(ca=True, name="istiod").certificate]).ok
    # It took hours when every path was tried. No speed is measured: a slow machine needs far less than this.
    assert time.monotonic() - began < 20


def test_under_one_root_it_is_told_who_has_signed() -> None:
    """Where SPIRE stands under istiod's CA, a path to the root says nothing of who has signed."""
    istiod = issue(ca=True, name="istiod")
    spire = issue("spiffe://example.org", ca=True, name="SPIRE", by=istiod)
    leaf = "spiffe://example.org/ns/shop/sa/web"
    by_spire, by_istiod = issue(leaf, by=spire), issue(leaf, by=istiod)
    root = [istiod.certificate]

    def problems(*presented: Identity, **who: object) -> str:
        expected = chain.Expectation(leaf, root, **who)  # type: ignore[arg-type]
        return "; ".join(chain.judge([one.certificate for one in presented], expected, NOW).problems)

    assert problems(by_spire, spire, not_issuers=root) == ""
    assert problems(by_istiod, not_issuers=root) == "it was signed by istiod"
    assert problems(by_istiod, issuers=root) == ""
    assert problems(by_spire, spire, issuers=root) == "it was not signed by istiod itself, its issuer is CN=SPIRE"
    assert "was not signed by istiod" in problems(by_istiod, issuers=[]), "nobody knows istiod's CA"
    assert "does not lead to the trust bundle" in problems(issue(leaf), issuers=root)

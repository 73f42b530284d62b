# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an SVID says of itself, and when it is kept."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.codec import (
    jwt_from_agent,
    read_jwt,
    read_x509,
    same_authorities,
    x509_from_agent,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.model import (
    JWT,
    X509,
    Found,
    Wanted,
    X509Svid,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.plan import plan_svid
from certificates import issue

CART = "spiffe://example.org/cart"
CA = issue("spiffe://example.org", ca=True)
OTHER_CA = issue("spiffe://example.org", ca=True)
FOUND = Found(X509, CART, 1000, 2000, True, "1f", ("a.org", "b.org", "c.org"))
WANTED = Wanted(X509, CART, ("a.org", "c.org", "b.org"))
TOKEN = Found(JWT, CART, 1000, 2000, True, audience=("a", "b"), key_id="k")


@pytest.mark.parametrize(
    ("wanted", "found", "now", "reason"),
    [
        (WANTED, FOUND, 1500, ""),
        (WANTED, FOUND, 1501, "half of its life is over"),
        (Wanted(X509, CART, WANTED.dns_names, renew_before=100), FOUND, 1900, ""),
        (Wanted(X509, CART, WANTED.dns_names, renew_before=100), FOUND, 1901, "less than 100 s are left"),
        (WANTED, FOUND, 999, "it is not valid yet"),
        (WANTED, None, 1500, "there is no SVID that can be used"),
        (Wanted(JWT, CART, audience=("a",)), FOUND, 1500, "there is no SVID that can be used"),
        (Wanted(X509, f"{CART}2", WANTED.dns_names), FOUND, 1500, f"the SVID is not for {CART}2"),
        (Wanted(X509, CART, ("b.org", "a.org", "c.org")), FOUND, 1500, "the SVID has other DNS names"),
        (Wanted(X509, CART, ()), FOUND, 1500, "the SVID has other DNS names"),
        (Wanted(X509, None, None), FOUND, 1500, ""),
        (Wanted(JWT, CART, audience=("b", "a")), TOKEN, 1500, ""),
        (Wanted(JWT, CART, audience=("b",)), TOKEN, 1500, "the SVID is for another audience"),
        (
            WANTED,
            Found(X509, CART, 1000, 2000, False, "1f", WANTED.dns_names or ()),
            1500,
            "the authority that signed it",
        ),
    ],
)
def test_when_it_is_kept(wanted: Wanted, found: Found | None, now: float, reason: str) -> None:
    plan = plan_svid(wanted, found, True, now)
    assert plan.changed == bool(reason)
    assert plan.reason.startswith(reason or "the SVID is good")
    assert plan.verb == ("renew" if reason else "")


def test_another_bundle_is_written_without_a_new_svid() -> None:
    assert plan_svid(WANTED, FOUND, False, 1500).verb == "write_bundle"
    assert plan_svid(WANTED, FOUND, False, 1900).verb == "renew"


def test_an_x509_svid_and_its_key_belong_together_and_lead_to_an_authority() -> None:
    leaf = issue(CART, by=CA)
    svid = X509Svid(leaf.pem, leaf.key_pem, CA.pem)
    found = read_x509(svid, CA.pem)
    assert found
    assert (found.spiffe_id, found.trusted, len(found.chain)) == (CART, True, 1)
    other = read_x509(svid, OTHER_CA.pem)
    assert other
    assert not other.trusted
    assert read_x509(X509Svid(leaf.pem, CA.key_pem, CA.pem), CA.pem) is None
    assert read_x509(X509Svid("x", leaf.key_pem, CA.pem), CA.pem) is None
    assert "PRIVATE" not in repr(svid)


def test_bundles_are_compared_by_what_is_in_them() -> None:
    assert same_authorities(CA.pem + OTHER_CA.pem, OTHER_CA.pem + CA.pem)
    assert not same_authorities(CA.pem, OTHER_CA.pem)
    assert not same_authorities("", CA.pem)


def token(**claims: Any) -> str:
    parts = ({"alg": "ES256", "kid": "k"}, {"sub": CART, "aud": ["b", "a"], "exp": 2000, "iat": 1000, **claims})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join([*encoded, "c2ln"])


def test_a_jwt_svid() -> None:
    assert read_jwt(token(), ["k"]) == TOKEN
    other = read_jwt(token(aud="a"), ["other"])
    assert other
    assert (other.audience, other.trusted) == (("a",), False)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "....", "W10.W10.x", token(exp="soon"), token(exp=None), "é.é.é"])
def test_what_is_no_jwt_svid(text: str) -> None:
    assert read_jwt(text, ["k"]) is None


def test_what_an_agent_answers() -> None:
    leaf = issue(CART, by=CA)

    def der(*pems: str) -> str:
        lines = ("".join(pem.split("-----")[2].split()) for pem in pems)
        return base64.b64encode(b"".join(base64.b64decode(line) for line in lines)).decode()

    key = "".join(leaf.key_pem.split("-----")[2].split())
    answer = {"x509_svid": der(leaf.pem, CA.pem), "x509_svid_key": key, "bundle": der(CA.pem, OTHER_CA.pem)}
    (svid,) = x509_from_agent({"svids": [{**answer, "spiffe_id": CART}]})
    assert same_authorities(svid.bundle_pem, CA.pem + OTHER_CA.pem)
    found = read_x509(svid, svid.bundle_pem)
    assert found
    assert len(found.chain) == 2
    keys = base64.b64encode(json.dumps({"keys": [{"kid": "k"}, {"x5c": []}]}).encode()).decode()
    (jwt,) = jwt_from_agent(
        [{"svids": [{"spiffe_id": CART, "svid": token()}]}, {"bundles": {"spiffe://example.org": keys}}]
    )
    assert jwt.key_ids == ("k",)
    assert jwt.token not in repr(jwt)


@pytest.mark.parametrize(("svid", "words"), [("MIIB", "cut off"), ("BQA=", "no sequence"), ("MA==", "no sequence")])
def test_an_answer_that_is_cut_off_is_refused(svid: str, words: str) -> None:
    answer = {"spiffe_id": CART, "x509_svid": svid, "x509_svid_key": "AAAA", "bundle": "MAA="}
    with pytest.raises(ValueError, match=words):
        x509_from_agent({"svids": [answer]})

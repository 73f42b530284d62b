# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Secret and its token, to and from the words of Kubernetes. Real: tests/integration/istio."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.codec import (
    granted,
    is_believed,
    kubeconfig,
    read_authority,
    read_secret,
    read_token,
    secret_object,
    token_request,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.model import (
    Account,
    Held,
    Wanted,
)
from certificates import issue
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

ONE, TWO = issue(ca=True, name="one"), issue(ca=True, name="two")
ACCOUNT = Account("istio-system", "reader", "11111111-2222-3333-4444-555555555555")
CLAIMS: dict[str, Any] = {
    "iat": 1000,
    "exp": 2000,
    "kubernetes.io": {"namespace": ACCOUNT.namespace, "serviceaccount": {"name": ACCOUNT.name, "uid": ACCOUNT.uid}},
}


def jwt(claims: Any) -> str:
    text = json.dumps(claims).encode()
    return f"e30.{base64.urlsafe_b64encode(text).decode().rstrip('=')}.c2ln"


TOKEN = read_token(jwt(CLAIMS))
WANTED = Wanted("green", "istio-system", "https://green", read_authority(ONE.pem, "ca"), ACCOUNT, 1000, 500, "tests")


def test_a_token_says_whose_it_is_and_when_it_ends() -> None:
    assert (TOKEN.account, TOKEN.issued, TOKEN.expires, TOKEN.lifetime) == (ACCOUNT, 1000, 2000, 1000)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "a.%%%.c",
        "a.äöü.c",
        jwt([]),
        jwt("x"),
        jwt({}),
        # Those that istioctl takes have no end, and name their account otherwise.
        jwt(without("exp")),
        jwt(without("kubernetes.io")),
        jwt({**CLAIMS, "kubernetes.io": {"namespace": "a"}}),
        jwt({**CLAIMS, "kubernetes.io": "x"}),
        jwt({**CLAIMS, "exp": "soon"}),
        jwt({**CLAIMS, "exp": 1000}),
        jwt({**CLAIMS, "exp": 1e300}),
        jwt({**CLAIMS, "exp": float("inf")}),
        jwt({**CLAIMS, "exp": 10**12}),
        f"a.{base64.urlsafe_b64encode(b'[' * 200_000).decode()}.c",
    ],
)
def test_what_is_no_such_token(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as error:
        read_token(text)
    assert not text or text not in str(error.value)


def test_certificates_have_one_form_and_their_digests() -> None:
    both = read_authority(f"# one\r\n{ONE.pem}\n\n# two\n{TWO.pem}", "ca")
    assert both.pem == ONE.pem + TWO.pem
    ders = [one.certificate.public_bytes(Encoding.DER) for one in (ONE, TWO)]
    assert both.sha256 == tuple(hashlib.sha256(der).hexdigest() for der in ders)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "server_ca: it holds no certificate"),
        (ONE.key_pem, "server_ca: it holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", "server_ca: .*no base64"),
    ],
)
def test_what_is_no_ca(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_authority(text, "server_ca")


def test_what_is_written_is_read() -> None:
    secret = secret_object(WANTED, TOKEN)
    assert secret["metadata"]["name"] == "istio-remote-secret-green"
    held = read_secret(secret, "green")
    assert held == Held(WANTED.labels, WANTED.annotations, ("green",), True, "https://green", WANTED.authority, TOKEN)
    assert held.ours
    assert TOKEN.text not in repr(held)


def with_config(text: str) -> dict[str, Any]:
    return {**secret_object(WANTED, TOKEN), "data": {"green": base64.b64encode(text.encode()).decode()}}


GOOD = kubeconfig("green", "https://green", WANTED.authority, TOKEN.text)


@pytest.mark.parametrize(
    "secret",
    [
        {**secret_object(WANTED, TOKEN), "data": None},
        {**secret_object(WANTED, TOKEN), "data": {"green": "%%%"}},
        {**secret_object(WANTED, TOKEN), "data": {"green": "/w=="}},
        with_config(""),
        with_config("apiVersion: v1\nkind: Config\n"),
        with_config("[" * 200_000),
        with_config("[]"),
        with_config(GOOD.replace('"clusters": [', '"clusters": [], "more": [')),
        with_config(GOOD.replace(TOKEN.text, "x")),
        # One that means the same by other words is not left alone either: who knows what it means to istiod.
        with_config(GOOD.replace("{", "{ ", 1)),
        with_config(GOOD.replace('"server"', '"proxy-url": "http://elsewhere", "server"')),
    ],
)
def test_a_secret_of_another_form_holds_nothing(secret: dict[str, Any]) -> None:
    held = read_secret(secret, "green")
    assert (held.server, held.authority, held.token) == ("", None, None)
    assert held.ours


def test_a_secret_without_anything() -> None:
    assert read_secret({}, "green") == Held({}, {}, ())
    assert not read_secret({"type": "kubernetes.io/tls"}, "green").opaque


def test_a_token_is_asked_for_and_granted() -> None:
    assert json.loads(token_request(600))["spec"] == {"expirationSeconds": 600}
    assert granted(json.dumps({"status": {"token": TOKEN.text}}), "Asking") == TOKEN


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"status": {"token": 7}}', '{"status": {"token": "very-secret"}}'])
def test_an_answer_without_a_token_is_not_shown(answer: str) -> None:
    with pytest.raises(ProcessError, match="Asking failed: the API server's answer holds no token") as error:
        granted(answer, "Asking")
    assert "very-secret" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("answer", "believed"),
    [
        ('{"status": {"authenticated": true, "user": {"username": "x"}}}', True),
        ('{"status": {"authenticated": false}}', False),
        ('{"status": {"user": {}, "error": "it is void"}}', False),
        # Whoever answered so does not know what is asked.
        ("{}", True),
        ("x", True),
        ('{"status": null}', True),
    ],
)
def test_what_a_review_says(answer: str, believed: bool) -> None:
    assert is_believed(answer) is believed


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from([*CLAIMS, "namespace", "serviceaccount", "name", "uid"]), inner, max_size=4
            )
        ),
    )
)
def test_whatever_a_token_says_it_is_read_or_refused(claims: Any) -> None:
    try:
        read_token(jwt(claims))
    except ValueError:
        return
    assert claims["exp"] > claims["iat"]

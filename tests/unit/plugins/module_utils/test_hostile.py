# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a peer sends, everything that reads it ends in a value or an error of ours."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain, probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import proxies, replies, xfcc
from certificates import NOW, issue
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given, settings
from hypothesis import strategies as st

MANY = settings(max_examples=200, deadline=None)
DEEP = "[" * 200_000
ID = "spiffe://example.org/a"
ROOT = issue("spiffe://example.org", ca=True, name="root")
LEAF = issue(ID, by=ROOT).certificate
EXPECTED = chain.Expectation(ID, [ROOT.certificate])


def cut_or_changed(data: bytes) -> st.SearchStrategy[bytes]:
    """``data`` with some bytes replaced, and perhaps cut off."""
    places = st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=6)

    def change(given: tuple[list[tuple[int, int]], int]) -> bytes:
        made = bytearray(data)
        for at, value in given[0]:
            made[at] = value
        return bytes(made[: given[1]])

    return st.tuples(places, st.integers(len(data) - 3, len(data))).map(change)


@MANY
@example(LEAF.public_bytes(Encoding.DER)[:12] + b"\x01" + LEAF.public_bytes(Encoding.DER)[13:])
@given(cut_or_changed(LEAF.public_bytes(Encoding.DER)))
def test_a_certificate_that_was_changed_is_judged_or_refused(der: bytes) -> None:
    try:
        found = chain.load_pem(ssl.DER_cert_to_PEM_cert(der))
    except ValueError:
        return  # what those who read expect
    judgement = chain.judge(found, EXPECTED, NOW)
    assert judgement.problems or der == LEAF.public_bytes(Encoding.DER)


HTTP = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@MANY
@given(st.one_of(st.binary(max_size=300), cut_or_changed(HTTP)))
def test_an_answer_of_a_server(data: bytes) -> None:
    seen = probe._reply(data)
    assert seen["kind"] in (probe.HTTP, probe.PROTOCOL, probe.RESET)
    assert len(seen.get("body", "")) <= len(data)


@MANY
@given(st.text(max_size=200), st.integers(-1, 200), st.text(max_size=60))
def test_what_curl_leaves_behind(out: str, code: int, err: str) -> None:
    with contextlib.suppress(TrustmeshError):
        assert replies.of_curl(Completed(("curl",), code, out, err), "http://a/").kind
        reply = replies.of_curl(Completed(("curl",), code, out, err), "https://a/", "\nmark\n")
        assert "mark" in out or not reply.presented


@MANY
@given(cut_or_changed(LEAF.public_bytes(Encoding.DER)), cut_or_changed(ROOT.certificate.public_bytes(Encoding.DER)))
def test_a_chain_that_was_changed(leaf: bytes, root: bytes) -> None:
    try:
        found = chain.load_pem(ssl.DER_cert_to_PEM_cert(leaf) + ssl.DER_cert_to_PEM_cert(root))
    except ValueError:
        return
    whole = chain.presented(found, [ROOT.certificate])
    assert whole.problem or found[0].public_bytes(Encoding.DER) == LEAF.public_bytes(Encoding.DER)


@MANY
@given(st.text(alphabet='By=URI;,"\\%2CertHash \n\x00é', max_size=120))
def test_a_header_of_forwarded_identities(text: str) -> None:
    try:
        hops = xfcc.parse(text)
    except ValueError:
        return
    assert all(isinstance(value, str) for hop in hops for values in hop.values() for value in values)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "secret", "configs"]), inner),
    max_leaves=12,
)


@MANY
@given(st.text(max_size=40) | st.dictionaries(st.sampled_from(["configs", "x"]), ANYTHING).map(repr))
def test_a_dump_of_an_envoy(text: str) -> None:
    with contextlib.suppress(TrustmeshError):
        held = proxies.active_secrets(text.replace("'", '"'))
        proxies.chain_of(held.get("default"))
        proxies.bundles_of(held.get("default"))


def test_brackets_without_end_are_no_answer() -> None:
    assert replies.json_value(DEEP, "quote") is None
    with pytest.raises(TrustmeshError, match="not as Envoy writes it"):
        proxies.active_secrets('{"configs":' + DEEP)
    with pytest.raises(ValueError, match="nested too deeply"):
        loads(DEEP)

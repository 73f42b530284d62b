# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SPIFFE IDs: the rules of SPIFFE-ID.md 2.1 to 2.4, by table and by property."""

from __future__ import annotations

import string

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import (
    SpiffeId,
    SpiffeIdError,
    check_trust_domain,
    redact,
    trust_domain_of,
)
from hypothesis import given
from hypothesis import strategies as st

TRUST_DOMAIN_SIGNS = string.ascii_lowercase + string.digits + "._-"
SEGMENT_SIGNS = string.ascii_letters + string.digits + "._-"
segments = st.text(SEGMENT_SIGNS, min_size=1, max_size=20).filter(lambda text: text not in {".", ".."})


@pytest.mark.parametrize(
    "text",
    [
        "spiffe://example.org",
        "spiffe://example.org/workload",
        "spiffe://example.org/ns/default/sa/A.b-c_1",
        "spiffe://1.2.3.4/service",
        "spiffe://a_b-c.d/x",
        "spiffe://td/...",
        "spiffe://td/.hidden/a..b",
        "spiffe://" + "a" * 255,
        "spiffe://td/" + "a" * (2048 - len("spiffe://td/")),
    ],
)
def test_valid(text: str) -> None:
    assert str(SpiffeId.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("example.org/x", "does not start"),
        ("http://example.org/x", "does not start"),
        ("SPIFFE://example.org/x", "does not start"),
        ("spiffe:/example.org/x", "does not start"),
        (" spiffe://example.org/x", "does not start"),
        ("spiffe://", "trust domain is empty"),
        ("spiffe:///path", "trust domain is empty"),
        ("spiffe://Example.org/x", "lower case"),
        ("spiffe://exa mple.org/x", "lower case"),
        ("spiffe://exämple.org/x", "lower case"),
        ("spiffe://ex%61mple.org/x", "lower case"),
        ("spiffe://user@example.org/x", "user part"),
        ("spiffe://example.org:80/x", "port"),
        ("spiffe://[::1]/x", "port"),
        ("spiffe://example.org/x?a=b", "query"),
        ("spiffe://example.org/x?", "query"),
        ("spiffe://example.org/x#a", "fragment"),
        ("spiffe://example.org/", "empty segment"),
        ("spiffe://example.org/x/", "empty segment"),
        ("spiffe://example.org//x", "empty segment"),
        ("spiffe://example.org/./x", "'.'"),
        ("spiffe://example.org/x/..", "'..'"),
        ("spiffe://example.org/%2e", "path segment"),
        ("spiffe://example.org/a b", "path segment"),
        ("spiffe://example.org/a:b", "path segment"),
        ("spiffe://example.org/ä", "path segment"),
        ("spiffe://example.org/x\n", "path segment"),
        ("spiffe://example.org\n", "lower case"),
        ("spiffe://" + "a" * 256, "255 bytes"),
        ("spiffe://td/" + "a" * (2049 - len("spiffe://td/")), "2048 bytes"),
    ],
)
def test_invalid(text: str, words: str) -> None:
    with pytest.raises(SpiffeIdError) as caught:
        SpiffeId.parse(text)
    assert words in caught.value.message


@given(st.text(TRUST_DOMAIN_SIGNS, min_size=1, max_size=255), st.lists(segments, max_size=6))
def test_whatever_the_grammar_allows_is_read_and_written_unchanged(trust_domain: str, path: list[str]) -> None:
    text = "spiffe://" + "/".join([trust_domain, *path])
    parsed = SpiffeId.parse(text)
    assert str(parsed) == text
    assert parsed.trust_domain == trust_domain


@given(st.characters(exclude_characters=SEGMENT_SIGNS + "/"), segments)
def test_one_sign_outside_the_grammar_is_refused_anywhere(sign: str, segment: str) -> None:
    for text in (f"spiffe://td/{segment}{sign}", f"spiffe://td/{sign}{segment}", f"spiffe://t{sign}d/{segment}"):
        with pytest.raises(SpiffeIdError):
            SpiffeId.parse(text)


@given(st.text())
def test_any_text_is_a_spiffe_id_or_is_refused_with_words(text: str) -> None:
    try:
        assert str(SpiffeId.parse(text)) == text
    except SpiffeIdError as error:
        assert error.message


def test_reserved_and_agent_paths() -> None:
    assert SpiffeId.parse("spiffe://td/spire").is_reserved
    assert SpiffeId.parse("spiffe://td/spire/agent/x").is_agent
    assert not SpiffeId.parse("spiffe://td/spirex").is_reserved


def test_trust_domains() -> None:
    assert trust_domain_of("other.org") == trust_domain_of("spiffe://other.org") == "other.org"
    with pytest.raises(SpiffeIdError, match="has a path"):
        trust_domain_of("spiffe://other.org/x")
    with pytest.raises(SpiffeIdError, match="lower case"):
        check_trust_domain("other.org/x")


def test_redact_hides_join_tokens_and_nothing_else() -> None:
    text = 'spiffe://td/spire/agent/join_token/29d05e32-1dcd and "spiffe://td/spire/agent/k8s_psat/c/1"'
    shown = redact(text)
    assert "29d05e32" not in shown
    assert shown.startswith("spiffe://td/spire/agent/join_token/sha256:")
    assert shown.endswith('"spiffe://td/spire/agent/k8s_psat/c/1"')
    assert redact(shown) == redact(redact(shown))


# The vectors that go-spiffe publishes for its own parser (spiffeid/id_test.go, trustdomain_test.go), as facts: every
# sign up to 255 at the end of a trust domain and of a path, and texts that are refused or taken.
@pytest.mark.parametrize(
    "sign", [chr(number) for number in range(256) if chr(number) != "/"], ids=lambda sign: hex(ord(sign))
)
def test_each_sign_is_taken_where_go_spiffe_takes_it(sign: str) -> None:
    for text, allowed in (
        (f"spiffe://trustdomain{sign}/path", TRUST_DOMAIN_SIGNS),
        (f"spiffe://trustdomain/path{sign}", SEGMENT_SIGNS),
    ):
        if sign in allowed:
            assert str(SpiffeId.parse(text)) == text
        else:
            with pytest.raises(SpiffeIdError):
                SpiffeId.parse(text)


@pytest.mark.parametrize(
    "text",
    [f"spiffe://trustdomain{path}" for path in ("", "/path", "/.path", "/..path", "/...")],
)
def test_taken_by_go_spiffe(text: str) -> None:
    assert str(SpiffeId.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "s", "spiffe:/", "Spiffe://", "spiffe://", "spiffe:///", "spiffe:///path", "spiffe:/trustdomain/path"]
    + [f"spiffe://trustdomain{path}" for path in ("/", "//", "//path", "/path/", "/.", "/./path", "/path/./other")]
    + [f"spiffe://trustdomain{path}" for path in ("/path/..", "/..", "/../path", "/path/../other", "/path$")]
    + ["spiffe://%F0%9F%A4%AF/path", "spiffe://trustdomain/%F0%9F%A4%AF", "spiffe://%62%61%64/path"]
    + ["spiffe://trustdomain/%62%61%64", "spiffe://trust$domain", "SPIFFE://trustdomain"],
)
def test_refused_by_go_spiffe(text: str) -> None:
    with pytest.raises(SpiffeIdError):
        SpiffeId.parse(text)

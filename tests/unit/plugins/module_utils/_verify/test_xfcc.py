# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The header as Envoy writes it, and as it should not be."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.xfcc import parse
from hypothesis import given
from hypothesis import strategies as st

PEM = "-----BEGIN CERTIFICATE-----\nMIIB+A==\n-----END CERTIFICATE-----\n"


def test_two_hops() -> None:
    header = (
        'By=spiffe://td/gateway;Hash=ab12;Subject="";URI=spiffe://td/sleep,'
        f'By=spiffe://td/green;Hash=cd34;Cert="{quote(PEM)}";Chain="{quote(PEM + PEM)}";'
        'Subject="O=SPIRE,C=US;x=\\"y\\\\z\\"";URI=spiffe://td/gateway;DNS=a;DNS=b'
    )
    first, second = parse(header)
    assert first == {"by": ["spiffe://td/gateway"], "hash": ["ab12"], "subject": [""], "uri": ["spiffe://td/sleep"]}
    assert second["cert"] == [PEM]
    assert second["chain"] == [PEM + PEM]
    assert second["subject"] == ['O=SPIRE,C=US;x="y\\z"']
    assert second["dns"] == ["a", "b"]


def test_a_plus_in_a_certificate_stays_a_plus() -> None:
    assert parse('Cert="MIIB+A%3D%3D"')[0]["cert"] == ["MIIB+A=="]


@pytest.mark.parametrize("header", ['Subject="never ends', "nothing", 'Subject="a"b'])
def test_what_is_no_such_header(header: str) -> None:
    with pytest.raises(ValueError, match="x-forwarded-client-cert"):
        parse(header)


def test_an_empty_header_has_no_hops() -> None:
    assert parse("") == []


@given(st.lists(st.text(st.characters(exclude_characters="", codec="latin-1"), max_size=20), min_size=1, max_size=4))
def test_any_quoted_subject_comes_back(subjects: list[str]) -> None:
    quoted = (s.replace("\\", "\\\\").replace('"', '\\"') for s in subjects)
    assert [hop["subject"] for hop in parse(",".join(f'Subject="{s}"' for s in quoted))] == [[s] for s in subjects]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of ``spire-server entry``, as SPIRE 1.15.3 says and takes them."""

from __future__ import annotations

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.codec import entry_filters, field_of


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ('failed to create entry: unable to find federated bundle "spiffe://z.org"', "federates_with"),
        ('failed to convert entry: invalid parent ID: "spiffe://o/n" is not a member', "parent_id"),
        ('failed to convert entry: invalid spiffe ID: "spiffe://o/n" is not a member', "spiffe_id"),
        ("failed to convert entry: invalid DNS name: label is empty", "dns_names"),
        ("failed to convert entry: hint is too long, max length is 1024 characters", "hint"),
        ("datastore-validation: invalid registration entry: entry ID contains invalid characters", "entry_id"),
        ("UNIQUE constraint failed: registered_entries.entry_id", "entry_id"),
        ("selector types must be the same when store SVID is enabled", "store_svid"),
        ("failed to convert entry: selector list is empty", "selectors"),
        ("invalid registration entry: X509SvidTtl is not set", "x509_svid_ttl"),
        ("database or disk is full", None),
    ],
)
def test_a_refusal_names_its_field_when_its_words_do(message: str, field: str | None) -> None:
    assert field_of(message) == field


def test_filters_become_words() -> None:
    filters = {
        "spiffe_id": "spiffe://td/a",
        "hint": "h",
        "downstream": True,
        "selectors": ["a:b", "c:d"],
        "selectors_match": "any",
        "federates_with": ["x.org"],
    }
    assert " ".join(entry_filters(filters)) == (
        "-spiffeID spiffe://td/a -hint h -downstream -selector a:b -selector c:d -matchSelectorsOn any "
        "-federatesWith spiffe://x.org -matchFederatesWithOn superset"
    )
    assert entry_filters({"spiffe_id": None, "downstream": False, "selectors": None, "selectors_match": "any"}) == []

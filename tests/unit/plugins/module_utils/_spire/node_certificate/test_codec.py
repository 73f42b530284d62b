# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of nodes as they are made and read."""

from __future__ import annotations

import datetime
from dataclasses import replace

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.codec import (
    fingerprint,
    issue,
    read,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.model import (
    EXTERNAL_PKI,
    Wanted,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.make import EC_P384, make_pair
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import load_pem

NOW = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.timezone.utc)
WANTED = Wanted(EXTERNAL_PKI, "vm1", "", "example.org")
CA, OTHER = (make_pair("example.org", EC_P384, 100, NOW, "Node CA") for _number in range(2))


def test_what_is_made_is_read_again() -> None:
    made = issue(WANTED, CA, 30, NOW)
    found = read(made, CA.certificate)
    assert found is not None
    assert (found.common_name, found.spiffe_ids, found.signed) == ("vm1", (), True)
    assert found.not_after == (NOW + datetime.timedelta(days=30)).timestamp()
    assert "key" not in repr(found)
    assert made.key not in repr(made)


def test_it_does_not_outlive_its_ca_and_signs_nothing() -> None:
    (leaf,) = load_pem(issue(WANTED, CA, 3000, NOW).certificate)
    assert leaf.not_valid_after_utc == load_pem(CA.certificate)[0].not_valid_after_utc
    assert "Node CA" in load_pem(CA.certificate)[0].subject.rfc4514_string()
    assert leaf.extensions.get_extension_for_oid(leaf.extensions[0].oid).critical


def test_one_of_another_ca_is_told_from_its_own() -> None:
    made = issue(WANTED, CA, 30, NOW)
    found = read(made, OTHER.certificate)
    assert found is not None
    assert not found.signed
    both = read(made, OTHER.certificate + CA.certificate)
    assert both is not None
    assert both.signed
    assert fingerprint(CA) != fingerprint(OTHER)
    assert len(fingerprint(CA)) == 40


def test_what_cannot_be_used_is_nothing() -> None:
    made = issue(WANTED, CA, 30, NOW)
    assert read(replace(made, key=issue(WANTED, CA, 30, NOW).key), CA.certificate) is None
    assert read(replace(made, key="none"), CA.certificate) is None
    assert read(replace(made, certificate="none"), CA.certificate) is None
    assert read(made, "") is None

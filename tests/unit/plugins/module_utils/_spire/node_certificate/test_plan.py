# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the certificate of a node is made anew."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.model import (
    EXTERNAL_PKI,
    SPIFFE,
    Found,
    Wanted,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.plan import (
    plan_certificate,
    steps,
)

ID = "spiffe://example.org/spire-exchange/vm1"
WANTED = {mode: Wanted(mode, "vm1", ID, "example.org") for mode in (EXTERNAL_PKI, SPIFFE)}
FOUND = {
    EXTERNAL_PKI: Found("vm1", (), "0a", 1000.0, 3000.0, True),
    SPIFFE: Found("", (ID,), "0a", 1000.0, 3000.0, True),
}


@pytest.mark.parametrize("mode", [EXTERNAL_PKI, SPIFFE])
def test_one_that_fits_is_kept_for_half_of_its_life(mode: str) -> None:
    kept = plan_certificate(WANTED[mode], FOUND[mode], 1999)
    assert not kept.make
    assert kept.before == kept.after == {}
    late = plan_certificate(WANTED[mode], FOUND[mode], 2001)
    assert late.make
    assert late.reason == "half of its life is over"
    assert late.before["serial_number"] == "0a"
    assert late.after["serial_number"] == "(new)"


@pytest.mark.parametrize(
    ("mode", "changes", "reason"),
    [
        (EXTERNAL_PKI, {"common_name": "vm2"}, "not for vm1"),
        (EXTERNAL_PKI, {"spiffe_ids": (ID,)}, "not for vm1"),
        (SPIFFE, {"spiffe_ids": ()}, f"not for {ID}"),
        (SPIFFE, {"spiffe_ids": (ID, ID + "2")}, f"not for {ID}"),
        (EXTERNAL_PKI, {"signed": False}, "has not signed it"),
        (SPIFFE, {"not_before": 1600.0}, "half of its life is over"),
    ],
)
def test_one_that_does_not_fit_is_made_anew(mode: str, changes: dict[str, Any], reason: str) -> None:
    plan = plan_certificate(WANTED[mode], dataclasses.replace(FOUND[mode], **changes), 1500)
    assert plan.make
    assert reason in plan.reason


def test_what_is_done_stands_in_order() -> None:
    plan = plan_certificate(WANTED[EXTERNAL_PKI], None, 0)
    assert steps(plan, ca_is_there=False) == ["make_ca", "issue"]
    assert steps(plan, ca_is_there=True) == ["issue"]
    assert steps(plan_certificate(WANTED[SPIFFE], FOUND[SPIFFE], 1500), ca_is_there=True) == []

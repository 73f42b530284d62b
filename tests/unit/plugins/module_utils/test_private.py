# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private values are found in whatever form they come, and public ones are left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._private import REMOVED, without_private_values
from certificates import issue

ONE = issue(ca=True)
KEY = {"kty": "RSA", "n": "AA", "e": "AQAB"}


@pytest.mark.parametrize(
    "value",
    [
        ONE.key_pem,
        ONE.pem + ONE.key_pem,
        "-----BEGIN EC PRIVATE KEY-----\nMHc",
        "-----BEGIN ENCRYPTED PRIVATE  KEY-----\n",
        json.dumps({**KEY, "d": "x"}),
        str({**KEY, "d": "x"}),
        json.dumps(json.dumps({**KEY, "p": "x"})),
        {**KEY, "qi": "x"},
        {"kty": "oct", "k": "x"},
    ],
)
def test_a_private_key_is_taken_out(value: Any) -> None:
    assert without_private_values(value) == REMOVED
    assert without_private_values([{"bundle": value, "other": 1}]) == [{"bundle": REMOVED, "other": 1}]


@pytest.mark.parametrize("value", [ONE.pem, KEY, json.dumps(KEY), None, 7, {"k": "no JSON Web Key"}, "https://a.b/@c"])
def test_what_is_public_stays(value: Any) -> None:
    assert without_private_values(value) == value


def test_the_user_of_a_url_is_taken_out() -> None:
    assert without_private_values("https://me:s3cret@a.example/x") == "https://***@a.example/x"

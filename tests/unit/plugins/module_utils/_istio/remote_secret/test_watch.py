# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long istiods are waited for, and when they get a new token. Real: molecule/federation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import WaitTimeout
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret import run as use_case
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.client import Giver, Keeper
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.model import (
    Account,
    Authority,
    Token,
    Wanted,
)

ACCOUNT = Account("istio-system", "reader", "1")
WANTED = Wanted("green", "istio-system", "https://green", Authority("pem", ()), ACCOUNT, 1000, 300)
PARAMS = {
    "cluster": "green",
    "namespace": "istio-system",
    "trust_domain": "green.example",
    "wait": True,
    "wait_timeout": 0.3,
}


@dataclass
class Istiods:
    """A cluster whose istiods read right after so many tokens, or never read at all."""

    right_after: int = 1
    reads: bool = True
    names: tuple[str, ...] = ("a",)
    tokens: list[Token] = field(default_factory=list)

    def istiods(self) -> list[str]:
        return list(self.names)

    def has_read(self, _istiod: str, _cluster: str) -> bool:
        return self.reads

    def strangers(self, _istiod: str, _cluster: str, _trust_domain: str) -> list[str]:
        return [] if len(self.tokens) >= self.right_after else ["reviews (spiffe://blue.example/reviews)"]

    def apply(self, _secret: dict[str, Any], token: Token) -> None:
        self.tokens.append(token)

    def token(self, account: Account, lifetime: int) -> Token:
        return Token("secret", account, 0, lifetime)


def renew(istiods: Istiods, **change: Any) -> bool:
    keeper, giver = cast(Keeper, istiods), cast(Giver, istiods)
    return use_case._renew({**PARAMS, **change}, WANTED, keeper, giver)[1].right


def test_a_new_token_follows_until_all_is_read_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_case, "_ANEW", 0.02)
    istiods = Istiods(right_after=3)
    assert renew(istiods, wait_timeout=30)
    assert len(istiods.tokens) == 3


def test_one_that_goes_on_to_misread_is_told_with_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_case, "_ANEW", 0.02)
    with pytest.raises(WaitTimeout, match=r"reviews \(spiffe://blue.example/reviews\).*to be of green.example"):
        renew(Istiods(right_after=1000))


def test_one_that_still_reads_is_waited_for_and_gets_no_other_token() -> None:
    istiods = Istiods(reads=False)
    with pytest.raises(WaitTimeout, match=r"The istiod istio-system/a has not read green within 0.3 s"):
        renew(istiods)
    assert len(istiods.tokens) == 1


@pytest.mark.parametrize("change", [{"wait": False}, {"trust_domain": None}])
def test_nobody_is_asked_who_is_not_to_be(change: dict[str, Any]) -> None:
    assert not renew(Istiods(reads=False), **change)


def test_where_there_is_no_istiod_nobody_is_waited_for() -> None:
    assert not renew(Istiods(names=()))

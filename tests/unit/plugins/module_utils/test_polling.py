# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often it is looked, and when that ends."""

from __future__ import annotations

import time

from ansible_collections.trustmesh.spiffe.plugins.module_utils._polling import poll


def test_it_ends_when_it_is_so() -> None:
    answers = iter([False, False, True])
    assert poll(lambda: next(answers), time.monotonic() + 10, 0.001)


def test_it_is_looked_once_when_the_limit_has_passed_already() -> None:
    looks: list[int] = []
    assert not poll(lambda: bool(looks.append(1)), time.monotonic() - 1)
    assert len(looks) == 1
    assert poll(lambda: True, time.monotonic() - 1)


def test_it_is_looked_a_last_time_at_the_limit() -> None:
    looks: list[float] = []
    started = time.monotonic()
    assert not poll(lambda: bool(looks.append(time.monotonic())), started + 0.05, 10)
    assert len(looks) == 2
    assert 0.05 <= looks[-1] - started < 5

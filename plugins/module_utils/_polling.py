# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Waiting for a condition, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable


def poll(look: Callable[[], bool], deadline: float, interval: float = 0.5) -> bool:
    """Look every ``interval`` seconds until it is so. Return false when ``deadline`` (monotonic) passes before.

    It is looked once at least, and a last time when the limit is reached.
    """
    while not look():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(interval, left))
    return True

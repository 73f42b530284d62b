# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Carrying out the steps of a plan one by one, so that a failure tells exactly what was done before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError


class Doable(Protocol):
    """A step of a plan."""

    def action(self) -> dict[str, str]:
        """The step as it is reported to the user."""
        ...  # pylint: disable=unnecessary-ellipsis


Step = TypeVar("Step", bound=Doable)


def carry_out(steps: Sequence[Step], do: Callable[[Step], Any], done: int = 0) -> None:
    """Do each step after the first ``done``. Stops at the first that fails, and its error tells what was done."""
    for position, step in enumerate(steps[done:], done):
        try:
            do(step)
        except TrustmeshError as error:
            made = {"changed": position > 0, "actions": [step.action() for step in steps[:position]]}
            raise error.extended(
                f"Of {len(steps)} changes {position} were made; run again after fixing it.", **{**made, **error.details}
            ) from error

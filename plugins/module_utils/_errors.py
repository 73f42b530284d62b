# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The one tree of errors. Library code raises them; only ``_runner`` turns them into a failed task."""

from __future__ import annotations

from typing import Any


class TrustmeshError(Exception):
    """A failure that the user can act on.

    ``message`` says what failed, on which object, and what to do. ``details`` are JSON-safe values that the failed
    task returns beside the message; they must never hold a secret.
    """

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def extended(self, text: str = "", **details: Any) -> TrustmeshError:
        """Return an error of the same kind that says more. Raise it from this one."""
        more = type(self)(f"{self.message} {text}".rstrip(), **{**self.details, **details})
        return more.with_traceback(self.__traceback__)


class InputError(TrustmeshError):
    """A value given by the user is refused. Raised before anything is touched."""


class ProcessError(TrustmeshError):
    """A command could not be started, ended badly, or answered with something that cannot be read."""


class ProcessTimeout(ProcessError):
    """A command did not end within its limit and was stopped."""


class NotReachedError(ProcessError):
    """A request was not delivered at all, so that sending it again is safe, whatever it asks for."""


class WaitTimeout(TrustmeshError):
    """A condition did not hold within its limit. The message names the condition and what was seen last."""

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Runs all checks side by side and decides when each is done. Knows nothing of TLS, pods or Ansible.

A positive check is tried until it holds or the limit passes: what was just installed may need a moment. A negative
check is tried once its control holds, because a refusal by something that is not up yet proves nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import POSITIVE, Check


@dataclass(frozen=True)
class Attempt:
    """How one attempt of a check ended."""

    ok: bool
    expected: str
    observed: str
    hint: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    saved: Any = None
    """For checks that build on this one."""
    weak: bool = False
    """The refusal could also come from something that just died: the control must answer once more."""
    final: bool = False
    """Trying again cannot help."""
    early: bool = False
    """Nobody was let in, but the one who refused is not ready yet: this may take as long as a positive check."""
    breach: bool = False
    """Somebody was let in who should have been refused."""
    chance: bool = False
    """Another one has answered of those behind the same Service: who does is chance."""


PROVEN, REFUTED, NOT_JUDGED = "proven", "refuted", "not_judged"


@dataclass
class Verdict:
    """What became of a check."""

    check: Check
    attempt: Attempt
    attempts: int
    duration: float
    builds_on: str = ""
    """The check that failed, so that this one was not judged."""

    @property
    def ok(self) -> bool:
        return self.attempt.ok

    @property
    def word(self) -> str:
        """``proven``, ``refuted`` or ``not_judged``."""
        if self.builds_on:
            return NOT_JUDGED
        return PROVEN if self.ok else REFUTED


@dataclass(frozen=True)
class Limits:
    """``timeout``: all in all. ``settle``: how long a negative check may be wrong after its control holds."""

    timeout: float = 60.0
    interval: float = 0.5
    settle: float = 10.0


AT_ONCE = 16
"""Attempts that are made at the same time. Each may start a kubectl: a hundred at once would all be late."""

CHANCES = 20
"""How often a control is asked once more that somebody else may answer."""

GRACE = 120.0
"""Seconds beyond all limits after which an attempt is given up."""

Prepare = Callable[[Check], None]
"""Gets ready for a check while the checks that it needs still run. What goes wrong here is left to the attempt."""

Try = Callable[[Check, Mapping[str, Verdict], int], Attempt]
"""Makes one attempt; gets the verdicts of the checks that this one needs, and the number of the attempt from 1."""


class _Run:
    def __init__(self, checks: Sequence[Check], make_attempt: Try, limits: Limits, prepare: Prepare | None) -> None:
        self._checks = {check.name: check for check in checks}
        self._try = make_attempt
        self._limits = limits
        self._prepare = prepare
        self._done = {check.name: threading.Event() for check in checks}
        self._verdicts: dict[str, Verdict] = {}
        self._deadline = time.monotonic() + limits.timeout
        self._turn = threading.BoundedSemaphore(AT_ONCE)

    def run(self) -> list[Verdict]:
        threads = [
            threading.Thread(target=self._one, args=(check,), name=check.name, daemon=True)
            for check in self._checks.values()
        ]
        for thread in threads:
            thread.start()
        # An attempt has limits of its own. One that gets past them costs its own verdict, and not the report.
        latest = self._deadline + self._limits.settle + GRACE
        for thread in threads:
            thread.join(max(latest - time.monotonic(), 0))
        return [self._verdicts.get(name) or _endless(check) for name, check in self._checks.items()]

    def _one(self, check: Check) -> None:
        try:
            self._verdicts[check.name] = self._judge(check)
        finally:
            self._done[check.name].set()

    def _judge(self, check: Check) -> Verdict:
        needed: dict[str, Verdict] = {}
        if self._prepare and check.needs:
            with contextlib.suppress(Exception):
                self._prepare(check)
        for name in check.needs:
            self._done[name].wait()
            needed[name] = self._verdicts[name]
        started = time.monotonic()
        for name, verdict in needed.items():
            if not verdict.ok:
                return Verdict(check, _not_judged(name), 0, 0.0, name)
        deadline = self._deadline
        if check.kind != POSITIVE:
            # The control may hold at the very end of the limit: the negative check still gets one attempt.
            deadline = min(deadline, started + self._limits.settle)
        attempts = 0
        while True:
            attempts += 1
            attempt = self._attempt(check, needed, attempts)
            if attempt.ok and attempt.weak and check.fields.get("control"):
                attempt = self._confirm(check, attempt)
            until = max(deadline, self._deadline) if attempt.early else deadline
            if attempt.ok or attempt.final or time.monotonic() + self._limits.interval > until:
                return Verdict(check, attempt, attempts, time.monotonic() - started)
            time.sleep(self._limits.interval)

    def _attempt(self, check: Check, needed: Mapping[str, Verdict], number: int) -> Attempt:
        try:
            with self._turn:
                return self._try(check, needed, number)
        except TrustmeshError as error:
            # Nobody was let in, and nobody refused: whoever was to be asked may need a moment, or this machine.
            return Attempt(False, "an answer to judge", error.message, early=True)
        except Exception as error:  # pylint: disable=broad-except
            # A mistake of ours in one check must not cost the report of the others.
            return Attempt(
                False, "an answer to judge", f"the check itself broke: {type(error).__name__}: {error}", final=True
            )

    def _confirm(self, check: Check, refusal: Attempt) -> Attempt:
        control = self._checks[check["control"]]
        for number in range(1, CHANCES + 1):
            again = self._attempt(control, {}, number)
            if again.ok:
                return refusal
            if not again.chance:
                break
        return Attempt(
            False,
            refusal.expected,
            f"{refusal.observed}, but afterwards {control.name!r} failed too: {again.observed}",
            "The endpoint was down rather than refusing. Look at its pod and its log.",
            refusal.details,
        )


def run(checks: Sequence[Check], make_attempt: Try, limits: Limits, prepare: Prepare | None = None) -> list[Verdict]:
    """Run all checks, return their verdicts in the order of ``checks``."""
    return _Run(checks, make_attempt, limits, prepare).run()


def _endless(check: Check) -> Verdict:
    said = Attempt(False, "an answer to judge", "it has not come to an end, far beyond its limit", final=True)
    return Verdict(check, said, 0, 0.0)


def _not_judged(name: str) -> Attempt:
    return Attempt(
        False,
        f"{name!r} to hold first",
        f"not judged, for it builds on {name!r}",
        final=True,
    )

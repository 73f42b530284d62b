# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a check is tried, tried again, and judged."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import engine
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Limits, Verdict, run
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check

QUICK = Limits(timeout=1.0, interval=0.02, settle=0.3)
YES, NO = Attempt(True, "e", "yes"), Attempt(False, "e", "no")


def positive(name: str, **fields: Any) -> Check:
    return Check(name, "request", "positive", fields)


def negative(name: str, control: str) -> Check:
    return Check(name, "refused_request", "negative", {"control": control})


class Script:
    """Attempts as written down by name: the last one stays."""

    def __init__(self, **scripts: list[Attempt | Exception]) -> None:
        self.scripts = scripts
        self.calls: list[str] = []

    def __call__(self, check: Check, _needed: Mapping[str, Verdict], number: int) -> Attempt:
        self.calls.append(check.name)
        script = self.scripts[check.name]
        step = script[min(number, len(script)) - 1]
        if isinstance(step, Exception):
            raise step
        return step


def test_a_positive_check_is_tried_until_it_holds() -> None:
    (verdict,) = run([positive("a")], Script(a=[NO, ProcessError("pod is starting"), YES]), QUICK)
    assert verdict.ok
    assert verdict.word == "proven"
    assert verdict.attempts == 3


def test_and_fails_at_the_limit_with_what_was_seen_last() -> None:
    started = time.monotonic()
    (verdict,) = run([positive("a")], Script(a=[ProcessError("pod is away")]), QUICK)
    assert not verdict.ok
    assert verdict.attempt.observed == "pod is away"
    assert 0.8 < time.monotonic() - started < 2


def test_a_refusal_by_one_who_is_not_ready_may_take_as_long_as_a_positive_check() -> None:
    early = Attempt(False, "e", "refused by the wrong server", early=True)
    script = Script(up=[YES], out=[early] * 25 + [YES])
    verdict = run([positive("up"), negative("out", "up")], script, QUICK)[1]
    assert verdict.ok
    assert verdict.attempts == 26, "beyond the 0.3 s that it may take to close a door"


def test_a_pod_that_answers_late_is_asked_again_as_long_as_a_positive_check() -> None:
    late = ProcessError("kubectl did not end within 15 s and was stopped")
    script = Script(up=[YES], out=[late] * 25 + [YES])
    verdict = run([positive("up"), negative("out", "up")], script, QUICK)[1]
    assert verdict.ok, "nobody was let in, and nobody has refused yet"


def test_not_more_attempts_are_made_at_once_than_a_machine_can_take() -> None:
    going, most, lock = 0, 0, threading.Lock()
    # Each waits for as many others as are let in at once, however slowly they start.
    others = threading.Barrier(engine.AT_ONCE, timeout=10)

    def attempt(_check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        others.wait()
        time.sleep(0.02)
        with lock:
            going -= 1
        return YES

    verdicts = run([positive(f"a{number}") for number in range(3 * engine.AT_ONCE)], attempt, QUICK)
    assert all(verdict.ok for verdict in verdicts)
    assert most == engine.AT_ONCE


def test_and_a_door_that_stays_open_only_as_long_as_settling_takes() -> None:
    script = Script(up=[YES], out=[NO] * 25 + [YES])
    verdict = run([positive("up"), negative("out", "up")], script, QUICK)[1]
    assert not verdict.ok


def test_a_negative_check_waits_for_its_control() -> None:
    script = Script(up=[NO, NO, YES], out=[YES])
    verdicts = run([negative("out", "up"), positive("up")], script, QUICK)
    assert all(verdict.ok for verdict in verdicts)
    assert script.calls == ["up", "up", "up", "out"]
    assert [verdict.check.name for verdict in verdicts] == ["out", "up"]


def test_a_refusal_without_a_living_control_is_a_failure() -> None:
    script = Script(up=[NO], out=[YES])
    _up, out = run([positive("up"), negative("out", "up")], script, QUICK)
    assert not out.ok
    assert out.attempt.observed == "not judged, for it builds on 'up'"
    assert (_up.word, out.word, out.builds_on) == ("refuted", "not_judged", "up")
    assert "out" not in script.calls


def test_a_policy_may_need_a_moment_but_not_longer() -> None:
    _up, out = run([positive("up"), negative("out", "up")], Script(up=[YES], out=[NO, YES]), QUICK)
    assert out.ok
    assert out.attempts == 2
    started = time.monotonic()
    _up, out = run([positive("up"), negative("out", "up")], Script(up=[YES], out=[NO]), QUICK)
    assert not out.ok
    assert time.monotonic() - started < 0.8


def test_a_reset_counts_only_when_the_endpoint_answers_afterwards() -> None:
    weak = Attempt(True, "e", "reset", weak=True)
    script = Script(up=[YES], out=[weak])
    assert run([positive("up"), negative("out", "up")], script, QUICK)[1].ok
    assert script.calls == ["up", "out", "up"]

    died = iter([YES])
    verdicts = run(
        [positive("up"), negative("out", "up")],
        lambda check, _needed, _number: weak if check.name == "out" else next(died, NO),
        QUICK,
    )
    assert not verdicts[1].ok
    assert "afterwards 'up' failed too" in verdicts[1].attempt.observed


def test_a_control_that_another_one_answers_is_asked_again() -> None:
    weak = Attempt(True, "e", "reset", weak=True)
    another = Attempt(False, "e", "v2", chance=True)
    answers = iter([YES, another, another, YES])
    verdicts = run(
        [positive("up"), negative("out", "up")],
        lambda check, _needed, _number: weak if check.name == "out" else next(answers),
        QUICK,
    )
    assert verdicts[1].ok
    assert list(answers) == []


def test_a_final_failure_is_not_tried_again() -> None:
    (verdict,) = run([positive("a")], Script(a=[Attempt(False, "e", "o", final=True)]), QUICK)
    assert verdict.attempts == 1


def test_a_broken_check_does_not_cost_the_others_their_verdict() -> None:
    broken, fine = run([positive("a"), positive("b")], Script(a=[KeyError("x")], b=[YES]), QUICK)
    assert "the check itself broke: KeyError" in broken.attempt.observed
    assert fine.ok


def test_checks_run_side_by_side() -> None:
    def slow(_check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
        time.sleep(0.3)
        return YES

    started = time.monotonic()
    run([positive(str(number)) for number in range(12)], slow, QUICK)
    assert time.monotonic() - started < 1


def test_what_a_check_will_need_is_made_ready_while_its_control_runs() -> None:
    order: list[str] = []
    ready = threading.Event()

    def make_attempt(check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
        if check.name == "up":
            assert ready.wait(1)
        order.append(check.name)
        return YES

    def prepare(check: Check) -> None:
        order.append(f"prepare {check.name}")
        ready.set()
        raise ProcessError("the server is away for a moment")

    verdicts = run([positive("up"), negative("out", "up")], make_attempt, QUICK, prepare)
    assert [verdict.ok for verdict in verdicts] == [True, True], "what goes wrong early is left to the attempt"
    assert order == ["prepare out", "up", "out"]


def test_an_attempt_without_end_costs_its_own_verdict_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "GRACE", 0.2)
    never = threading.Event()

    def attempt(check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
        if check.name == "b":
            never.wait(60)
        return YES

    good, endless = run([positive("a"), positive("b")], attempt, Limits(timeout=0.1, interval=0.02, settle=0.1))
    never.set()
    assert good.ok
    assert not endless.ok
    assert "far beyond its limit" in endless.attempt.observed

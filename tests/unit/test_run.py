# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that runs the suites: what it runs, in which order, and what it counts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import run as runner
from run import Step, Suite, Tally

ROOT = Path(__file__).resolve().parents[2]
REPORT = """<testsuites><testsuite tests="5" failures="1" errors="0" skipped="1">
<testcase classname="tests.unit.a" name="b"><failure message="one&#10;two">three</failure></testcase>
<testcase classname="tests.unit.a" name="c"><skipped message="no reason"/></testcase>
<testcase classname="tests.unit.a" name="d"/>
</testsuite></testsuites>"""
PLAYBOOK = """
TASK [Look whether it is there] ************************************************
fatal: [localhost]: FAILED! =>\x20
    changed: false
    msg: It is not there.
...ignoring

TASK [istio : Wait for istiod] *************************************************
ok: [bar-cluster] =>\x20
    msg: It is ready.
fatal: [foo-cluster]: FAILED! =>\x20
    changed: false
    msg: |-
        It did not become ready.

        Look at its log.

TASK [Call] ********************************************************************
fatal: [localhost]: FAILED! =>\x20
    cmd:
    - 'false'
    msg: non-zero return code
    stderr: ''
CRITICAL Idempotence test failed because of the following tasks:
*  [bar-cluster] => Make a token
"""
FAILED = ("tests.unit.a::b: one", "tests.unit.a::c: no reason")


def python(code: str) -> Step:
    """Return a step that runs Python code."""
    return Step((sys.executable, "-c", code))


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a build folder of its own."""
    (tmp_path / "reports").mkdir()
    monkeypatch.setattr(runner, "BUILD", tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, suites: dict[str, Suite], building: dict[str, Step], *names: str) -> int:
    """Run suites that are made up."""
    monkeypatch.setattr(runner, "SUITES", suites)
    monkeypatch.setattr(runner, "BUILDING", building)
    return runner.main(list(names))


def test_every_scenario_of_molecule_is_a_suite_and_can_be_run_alone() -> None:
    scenarios = sorted(f"molecule:{path.parent.name}" for path in ROOT.glob("molecule/*/molecule.yml"))
    assert scenarios
    assert runner.chosen(["molecule"]) == scenarios
    assert runner.chosen([]) == ["sanity", "docs", "lint", "unit", "integration", "pages", *scenarios]
    assert runner.chosen([scenarios[0], "unit"]) == [scenarios[0], "unit"]
    more = [f"thorough:{name}" for name in ("blue_green", "federation", "front_proxy", "istio_spire")]
    assert runner.chosen(["thorough"]) == ["thorough:integration", "thorough:pages", *more]


@pytest.mark.parametrize("name", ["integration", "pages"])
def test_what_takes_minutes_is_left_out_unless_it_is_asked_for(name: str) -> None:
    usual, whole = (runner.SUITES[suite].steps[0].argv for suite in (name, f"thorough:{name}"))
    assert "-m" in usual
    assert usual[usual.index("-m") + 1] == "not thorough"
    assert "-m" not in whole
    assert f"--junitxml={runner.SUITES[f'thorough:{name}'].report}" in whole


def test_a_scenario_leaves_out_what_takes_minutes_unless_it_is_asked_for() -> None:
    for name in runner.SCENARIOS:
        words = (ROOT / "molecule" / name / "molecule.yml").read_text()
        assert "        - --skip-tags=${MOLECULE_SKIP_TAGS:-thorough}\n" in words
    usual, whole = (runner.SUITES[f"{suite}:federation"].steps[0].argv for suite in ("molecule", "thorough"))
    assert whole == ("env", "MOLECULE_SKIP_TAGS=none", *usual)


def test_a_step_behind_sudo_takes_no_program_out_of_the_path_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", "/home/me/.local/bin:/usr/bin")
    command = Step(("podman", "ps"), root=True).command()
    (path,) = [word.removeprefix("PATH=") for word in command if word.startswith("PATH=")]
    assert path == f"{runner.BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
    makefile = (ROOT / "Makefile").read_text()
    assert f"ROOT_PATH := {path.partition(':')[2]}\n" in makefile
    assert '"PATH=$(BIN):$(ROOT_PATH)"' in makefile


def test_a_suite_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["unit", "molecule:nowhere"]) == 2
    assert "No such suite: molecule:nowhere. There are: sanity, docs, lint, unit" in capsys.readouterr().err


def test_a_scenario_counts_its_steps_and_its_checks_on_the_wire(build: Path) -> None:
    path = build / "tm-test" / "reports" / "far.json"
    path.parent.mkdir(parents=True)
    checks = [
        {"name": "A may call B", "verdict": "refuted", "observed": "connection refused"},
        {"name": "C may not call B", "verdict": "proven", "observed": "refused"},
    ]
    path.write_text(json.dumps({"summary": {"passed": 17, "failed": 1}, "checks": checks}))
    output = "INFO     [far > converge] Executed: Successful\nERROR    [far > verify] Executed: Failed\n"
    assert runner.molecule("far")(1, output) == Tally(18, 2, ("verify", "A may call B: connection refused"))
    path.unlink()
    assert runner.molecule("far")(1, "") == Tally(0, 1)


def test_tasks_of_a_scenario_that_failed_are_named_with_what_they_said() -> None:
    assert runner.failed_tasks(PLAYBOOK) == (
        "istio : Wait for istiod [foo-cluster]: It did not become ready.",
        "Call [localhost]: non-zero return code",
        "[bar-cluster] => Make a token changed in a run that was to change nothing",
    )


def test_what_failed_is_named_at_the_end(
    build: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = build / "reports" / "one.xml"
    step = Step((sys.executable, "-c", f"open({str(path)!r}, 'w').write({REPORT!r}); exit(1)"), runner.junit("one"))
    assert run(monkeypatch, {"one": Suite((step,))}, {}, "one") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [*(f"one: {name}" for name in FAILED), "3 passed, 2 failed"]


def test_a_skipped_test_counts_as_failed(build: Path) -> None:
    (build / "reports" / "unit.xml").write_text(REPORT)
    assert runner.junit("unit")(1, "") == Tally(3, 2, FAILED)
    assert runner.junit("other")(0, "") == Tally(0, 1)


def test_sanity_counts_the_tests_by_name() -> None:
    output = (
        'Running sanity test "import"\nRunning sanity test "pep8"\n'
        "FATAL: The 2 sanity test(s) listed below (out of 3) failed. See error output above for details.\n"
        "import --python 3.11\npep8\n"
    )
    assert runner.sanity(1, 'Running sanity test "shebang"\n' + output) == Tally(1, 2, ("import", "pep8"))
    assert runner.sanity(0, output.partition("FATAL")[0]) == Tally(2, 0)
    assert runner.sanity(1, "") == Tally(0, 1)


def until(seen: Path, *, begun: Path, say: str) -> Step:
    """Return a step that says that it has begun, and ends when another one has."""
    return python(
        f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\n"
        f"while not pathlib.Path({str(seen)!r}).exists(): time.sleep(0.01)\nprint({say!r})"
    )


@pytest.mark.usefixtures("build")
def test_each_part_is_built_beside_suites_that_do_not_need_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one, two, three, four = (tmp_path / name for name in ("one", "two", "three", "four"))
    # Each waits for the other, so they can only end when they run side by side.
    building = {
        "bricks": until(two, begun=one, say="bricks are there"),
        "houses": until(four, begun=three, say="houses are there"),
    }
    suites = {
        "quick": Suite((until(one, begun=two, say="has been quick"),)),
        "slow": Suite((until(three, begun=four, say="has been slow"),), built="bricks"),
        "slowest": Suite((python("print('has been slowest')"),), built="houses"),
    }
    assert run(monkeypatch, suites, building, *suites) == 0
    lines = capfd.readouterr().out.splitlines()
    said = [line for line in lines if line.startswith("has been") or line.endswith("are there")]
    # What is built is shown when it is waited for.
    assert [line for line in said if "houses" not in line] == [
        "has been quick",
        "bricks are there",
        "has been slow",
        "has been slowest",
    ]
    assert said.index("houses are there") == 3
    assert lines[-1] == "5 passed, 0 failed"


@pytest.mark.usefixtures("build")
def test_a_suite_goes_on_beside_those_after_it_and_is_counted(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    suites = {
        "long": Suite((until(two, begun=one, say="has been long"),), beside=True),
        "quick": Suite((until(one, begun=two, say="has been quick"),)),
        "bad": Suite((python("raise SystemExit('has failed')"),), beside=True),
        "last": Suite((python("print('is last')"),)),
    }
    assert run(monkeypatch, suites, {}, *suites) == 1
    lines = capfd.readouterr().out.splitlines()
    said = [line for line in lines if line.startswith("has ") or line == "is last"]
    assert said == ["has been quick", "is last", "has been long", "has failed"]
    table = [line.split()[:3] for line in lines if line.split()[:1] and line.split()[0] in suites]
    assert table == [["long", "1", "0"], ["quick", "1", "0"], ["bad", "0", "1"], ["last", "1", "0"]]
    assert lines[-1] == "3 passed, 1 failed"


@pytest.mark.usefixtures("build")
def test_a_suite_with_nothing_after_it_is_shown_as_it_runs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, {"long": Suite((python("print('has run')"),), beside=True)}, {}, "long") == 0
    assert "=== suite 1 of 1: long, step 1 of 1, 0:00 elapsed" in capfd.readouterr().out


@pytest.mark.usefixtures("build")
def test_what_needs_a_build_that_failed_is_left_out_and_counts_as_failed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    building = {"bricks": python("raise SystemExit('no disk')"), "houses": python("print('may not build')")}
    suites = {
        "quick": Suite((python("print('has run')"),)),
        "slow": Suite((python("print('may not run')"),), built="bricks"),
        "slowest": Suite((python("print('may not run')"),), built="houses"),
    }
    assert run(monkeypatch, suites, building, "slow", "quick", "slowest") == 1
    lines = capfd.readouterr().out.splitlines()
    assert "no disk" in lines
    assert "=== suite 1 of 3: slow is left out: it needs the bricks" in lines
    assert "=== suite 3 of 3: slowest is left out: it needs the houses" in lines
    assert "has run" in lines
    assert not [line for line in lines if line.startswith("may not")]
    assert lines[-1] == "1 passed, 3 failed"


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize(("needed", "passed"), [("", 1), ("bricks", 2)])
def test_nothing_is_built_for_suites_that_do_not_need_it(
    needed: str, passed: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    building = {"bricks": python(""), "houses": python("raise SystemExit('builds')")}
    suites = {"quick": Suite((python("print('has run')"),), built=needed)}
    assert run(monkeypatch, suites, building, "quick") == 0
    assert capfd.readouterr().out.splitlines()[-1] == f"{passed} passed, 0 failed"


def test_reports_of_an_earlier_run_are_forgotten(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = build / "reports" / "unit.xml"
    old.write_text(REPORT)
    monkeypatch.setattr(runner, "SUITES", {"unit": Suite((), report=old), "lint": Suite(())})
    runner.forget_reports(["unit", "lint"])
    assert not old.exists()

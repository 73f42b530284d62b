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


def run(monkeypatch: pytest.MonkeyPatch, suites: dict[str, Suite], building: Step, *names: str) -> int:
    """Run suites that are made up."""
    monkeypatch.setattr(runner, "SUITES", suites)
    monkeypatch.setattr(runner, "BUILDING", building)
    return runner.main(list(names))


def test_every_scenario_of_molecule_is_a_suite_and_can_be_run_alone() -> None:
    scenarios = sorted(f"molecule:{path.parent.name}" for path in ROOT.glob("molecule/*/molecule.yml"))
    assert scenarios
    assert runner.chosen(["molecule"]) == scenarios
    assert runner.chosen([]) == ["lint", "unit", "sanity", "integration", "pages", *scenarios]
    assert runner.chosen([scenarios[0], "unit"]) == [scenarios[0], "unit"]


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
    assert "No such suite: molecule:nowhere. There are: lint, unit" in capsys.readouterr().err


def test_a_scenario_counts_its_steps_and_its_checks_on_the_wire(build: Path) -> None:
    path = build / "tm-test" / "reports" / "far.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"summary": {"passed": 17, "failed": 1}}))
    output = "INFO     [far > converge] Executed: Successful\nERROR    [far > verify] Executed: Failed\n"
    assert runner.molecule("far")(1, output) == Tally(18, 2)
    path.unlink()
    assert runner.molecule("far")(1, "") == Tally(0, 1)


def test_what_failed_is_named_at_the_end(
    build: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = build / "reports" / "one.xml"
    step = Step((sys.executable, "-c", f"open({str(path)!r}, 'w').write({REPORT!r}); exit(1)"), runner.junit("one"))
    assert run(monkeypatch, {"one": Suite((step,))}, python(""), "one") == 1
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


@pytest.mark.usefixtures("build")
def test_building_goes_on_beside_suites_that_do_not_need_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    begun, seen = tmp_path / "begun", tmp_path / "seen"
    # Each waits for the other, so they can only end when they run side by side.
    building = python(
        f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\n"
        f"while not pathlib.Path({str(seen)!r}).exists(): time.sleep(0.01)\nprint('has built')"
    )
    waits = python(
        f"import pathlib, time\nwhile not pathlib.Path({str(begun)!r}).exists(): time.sleep(0.01)\n"
        f"print('has waited')\npathlib.Path({str(seen)!r}).touch()"
    )
    suites = {"quick": Suite((waits,)), "slow": Suite((python("print('has run')"),), built=True)}
    assert run(monkeypatch, suites, building, "quick", "slow") == 0
    lines = capfd.readouterr().out.splitlines()
    said = [line for line in lines if line in ("has waited", "has built", "has run")]
    assert said == ["has waited", "has built", "has run"]
    assert lines[-1] == "3 passed, 0 failed"


@pytest.mark.usefixtures("build")
def test_what_needs_a_build_that_failed_is_left_out_and_counts_as_failed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    suites = {
        "quick": Suite((python("print('has run')"),)),
        "slow": Suite((python("print('may not run')"),), built=True),
    }
    assert run(monkeypatch, suites, python("raise SystemExit('no disk')"), "slow", "quick") == 1
    lines = capfd.readouterr().out.splitlines()
    assert "no disk" in lines
    assert "=== suite 1 of 2: slow is left out: it needs the tools and images" in lines
    assert "has run" in lines
    assert "may not run" not in lines
    assert lines[-1] == "1 passed, 2 failed"


@pytest.mark.usefixtures("build")
def test_nothing_is_built_for_suites_that_do_not_need_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    suites = {"quick": Suite((python("print('has run')"),))}
    assert run(monkeypatch, suites, python("raise SystemExit('builds')"), "quick") == 0
    assert capfd.readouterr().out.splitlines()[-1] == "1 passed, 0 failed"


def test_reports_of_an_earlier_run_are_forgotten(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = build / "reports" / "unit.xml"
    old.write_text(REPORT)
    monkeypatch.setattr(runner, "SUITES", {"unit": Suite((), report=old), "lint": Suite(())})
    runner.forget_reports(["unit", "lint"])
    assert not old.exists()

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the test suites one after the other and add up what passed and what failed.

``python tests/run.py`` runs all of them, ``python tests/run.py lint unit`` only those. Each Molecule scenario is a
suite: ``molecule:blue_green`` is one, ``molecule`` all of them. A suite that fails does not stop the next ones. The
last line is always ``N passed, N failed``, and the exit code is 0 only when nothing failed.

Some suites need the tools and images, which take long to build on a new machine. Building begins first and goes on
beside the suites that do not need them.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
BIN = Path(sys.executable).parent
MOLECULE_INSTANCE = "tm-test"
"""What the tests name their clusters after."""
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
QUIET_LIMIT = 60.0
"""After so many seconds without output a line says that the step is still running."""


ROOT_PATH = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
"""Where a step behind sudo looks for programs, as in the Makefile."""
KEPT = (
    "HOME",
    "CI",
    "XDG_CACHE_HOME",
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "ANSIBLE_CONFIG",
    "NO_COLOR",
    "MOLECULE_GLOB",
)
"""The variables that a step behind sudo keeps."""


@dataclass(frozen=True)
class Tally:
    """How many checks passed and failed."""

    passed: int = 0
    failed: int = 0
    names: tuple[str, ...] = ()
    """What failed, as far as it has a name: the end of a long output is all that one sees of it at times."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.passed + other.passed, self.failed + other.failed, self.names + other.names)


Count = Callable[[int, str], Tally]
"""Takes the exit code and the output of a step."""


def whole(code: int, output: str) -> Tally:  # noqa: ARG001
    """Count the step itself: it passed or it failed."""
    return Tally(1, 0) if code == 0 else Tally(0, 1)


def at_least_one_failure(code: int, tally: Tally) -> Tally:
    """A step that ended badly without counting a failure (it crashed, or found nothing to run) is one."""
    return tally if code == 0 or tally.failed else tally + Tally(0, 1)


def junit(name: str) -> Count:
    """Count the cases in a JUnit report. A skipped test proves nothing, so it counts as failed."""

    def count(code: int, output: str) -> Tally:
        path = report(name)
        if not path.is_file():
            return Tally(0, 1)
        suites = ET.parse(path).getroot().iter("testsuite")  # noqa: S314 - our own report
        tally = Tally()
        for suite in suites:
            bad = sum(int(suite.get(key, 0)) for key in ("failures", "errors", "skipped"))
            tally += Tally(int(suite.get("tests", 0)) - bad, bad, failed_cases(suite))
        for line in re.findall(r"^SKIPPED .*", output, re.MULTILINE):
            print(f"A skipped test counts as failed: {line}")
        return at_least_one_failure(code, tally)

    return count


def failed_cases(suite: ET.Element) -> tuple[str, ...]:
    """The cases of a JUnit report that did not pass, each with the first line of what it said."""
    found = []
    for case in suite.iter("testcase"):
        for way in ("failure", "error", "skipped"):
            for said in case.iter(way):
                first = (said.get("message") or "").strip().partition("\n")[0][:160]
                found.append(f"{case.get('classname')}::{case.get('name')}: {first}")
    return tuple(found)


def sanity(code: int, output: str) -> Tally:
    """Count the tests that ansible-test names, and the ones in its closing list."""
    ran = set(re.findall(r'^Running sanity test "([^"]+)"', output, re.MULTILINE))
    closing = re.search(
        r"^FATAL: The \d+ sanity test\(s\) listed below.*failed\b.*\n((?:\S.*\n?)*)", output, re.MULTILINE
    )
    bad = {line.split()[0] for line in closing.group(1).splitlines() if line.strip()} if closing else set()
    return at_least_one_failure(code, Tally(len(ran - bad), len(bad), tuple(sorted(bad))))


def molecule(scenario: str) -> Count:
    """Count a scenario's steps, and the checks on the wire that its verify role reports."""

    def count(code: int, output: str) -> Tally:
        words = re.findall(r"^\w+ +\[[^]]+\] (?:\x1b\[\d+m)*Executed: (\w+)", output, re.MULTILINE)
        tally = Tally(sum(word == "Successful" for word in words), sum(word == "Failed" for word in words))
        path = wire_report(scenario)
        if path.is_file():
            summary = json.loads(path.read_text())["summary"]
            tally += Tally(int(summary["passed"]), int(summary["failed"]))
        return at_least_one_failure(code, tally)

    return count


def wire_report(scenario: str) -> Path:
    """Return the place of the report that a scenario's verify role writes."""
    return BUILD / MOLECULE_INSTANCE / "reports" / f"{scenario}.json"


def report(name: str) -> Path:
    """Return the place of a suite's JUnit report."""
    return BUILD / "reports" / f"{name}.xml"


@dataclass(frozen=True)
class Step:
    """One command of a suite. ``root`` says that a container engine or system packages are touched."""

    argv: tuple[str, ...]
    count: Count = whole
    root: bool = False

    def command(self) -> list[str]:
        """Return the words to run: behind sudo when root is needed and this is somebody else."""
        if not self.root or os.geteuid() == 0:
            return list(self.argv)
        kept = [f"{name}={value}" for name, value in environment().items() if name in KEPT]
        return ["sudo", "env", f"PATH={ROOT_PATH}", *kept, *self.argv]


@dataclass(frozen=True)
class Suite:
    """Steps in their order. ``built`` says that they need the tools and images. ``report`` is what is counted of."""

    steps: tuple[Step, ...]
    built: bool = False
    report: Path | None = None


def tool(name: str, *words: str, count: Count = whole, root: bool = False) -> Step:
    """Return a step that runs a program of the virtual environment."""
    return Step((str(BIN / name), *words), count, root)


def pytest(name: str, root: bool = False, at_once: int = 0) -> Step:
    """Return a step that runs the tests below tests/<name>, ``at_once`` files of them side by side."""
    # Tests that hang are worse than tests that fail: after ten minutes the stacks are printed.
    argv = ("-rs", "-o", "faulthandler_timeout=600", "-p", "no:cacheprovider", f"--junitxml={report(name)}")
    beside = ("-n", str(at_once), "--dist", "loadfile") if at_once else ()
    return tool("pytest", f"tests/{name}", *argv, *beside, count=junit(name), root=root)


def scenario(name: str) -> Suite:
    """Return the suite of a Molecule scenario."""
    step = tool("molecule", "test", "--scenario-name", name, count=molecule(name), root=True)
    return Suite((step,), built=True, report=wire_report(name))


MOLECULE = "molecule"
SUITES: dict[str, Suite] = {
    "lint": Suite(
        (
            tool("yamllint", "--strict", "."),
            tool("ruff", "check", "."),
            tool("ruff", "format", "--check", "."),
            tool("mypy"),
            tool("ansible-lint", "--offline", "--strict", "--nocolor"),
        )
    ),
    "unit": Suite((pytest("unit"),), report=report("unit")),
    "sanity": Suite((tool("python", "tests/sanity/run.py", count=sanity),)),
    # Most of their time they wait for servers.
    "integration": Suite((pytest("integration", at_once=2),), built=True, report=report("integration")),
    "pages": Suite((pytest("pages", root=True),), built=True, report=report("pages")),
    **{f"{MOLECULE}:{name}": scenario(name) for name in SCENARIOS},
}
# Beside tests it takes what they leave over: some of them measure time.
BUILDING = Step(("nice", str(BIN / "ansible-playbook"), "playbooks/images.yml"), root=True)
BUILDING_NAME = "tools and images"


def environment() -> dict[str, str]:
    """Return what every step runs with: this checkout's collection and virtual environment, and no colours in logs."""
    return {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(ROOT / ".ansible" / "collections"),
        "PYTHONUNBUFFERED": "1",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "TRUSTMESH_BIN_DIR": str(BUILD / "bin"),
    }


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def start(step: Step, output: int) -> subprocess.Popen[bytes]:
    """Start a step in a session of its own, so that it can be ended with all of its children."""
    return subprocess.Popen(
        step.command(),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def run(step: Step, began: float) -> tuple[int, str]:
    """Run a step, show its output as it comes, and return its exit code and output."""
    process = start(step, subprocess.PIPE)
    assert process.stdout is not None
    output = bytearray()
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(QUIET_LIMIT):
                    print(f"… {Path(step.argv[0]).name} is still running, {clock(time.monotonic() - began)} elapsed")
                    sys.stdout.flush()
                    continue
                chunk = os.read(process.stdout.fileno(), 65536)
                if not chunk:
                    break
                output += chunk
                sys.stdout.buffer.write(chunk)
                sys.stdout.flush()
        return process.wait(), output.decode(errors="replace")
    except BaseException:
        # Stopped from outside: let the step and its children end too, they clean up after themselves.
        stop(process.pid)
        process.wait()
        raise


def stop(group: int) -> None:
    """Ask a step and its children to end. Those behind sudo only listen to root."""
    try:
        os.killpg(group, signal.SIGTERM)
    except PermissionError:
        subprocess.run(["sudo", "kill", "-TERM", "--", f"-{group}"], check=False)  # noqa: S607 - sudo is where PATH says


class Beside:
    """A step that runs beside others. Its output goes to a file, and is shown when the step is waited for."""

    def __init__(self, step: Step, name: str) -> None:
        self.step, self.name, self.began = step, name, time.monotonic()
        self.log = BUILD / "reports" / f"{name.replace(' ', '-')}.log"
        with self.log.open("wb") as output:
            self.process = start(step, output.fileno())

    def progress(self) -> str:
        """Return one line: for how long it has been running, and what it said last."""
        lines = self.log.read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        state = "running" if self.process.poll() is None else "through"
        return f"… {self.name}: {state}, {clock(time.monotonic() - self.began)}. {last}"[:120]

    def finish(self) -> tuple[int, str]:
        """Wait for it with a line of progress now and then, show its output, and return its exit code and output."""
        while True:
            try:
                code = self.process.wait(QUIET_LIMIT)
                break
            except subprocess.TimeoutExpired:
                print(self.progress(), flush=True)
        output = self.log.read_text(errors="replace")
        print(output, end="", flush=True)
        return code, output

    def stop(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            stop(self.process.pid)
            self.process.wait()


def announce(heading: str, step: Step, began: float) -> None:
    """Say which step comes."""
    print(f"\n=== {heading}, {clock(time.monotonic() - began)} elapsed")
    print("$ " + " ".join([Path(step.argv[0]).name, *step.argv[1:]]), flush=True)


def run_suite(name: str, heading: str, began: float, beside: Beside | None) -> Tally:
    """Run the steps of a suite and return what they count up to."""
    tally = Tally()
    steps = SUITES[name].steps
    for number, step in enumerate(steps, start=1):
        announce(f"{heading}, step {number} of {len(steps)}", step, began)
        if beside:
            print(beside.progress(), flush=True)
        code, output = run(step, began)
        tally += step.count(code, output)
    return tally


def forget_reports(names: list[str]) -> None:
    """Remove the suites' reports of an earlier run, so that only this run is counted."""
    (BUILD / "reports").mkdir(parents=True, exist_ok=True)
    for path in [SUITES[name].report for name in names]:
        if path and path.exists():
            # Those of scenarios belong to root.
            subprocess.run(Step(("rm", str(path)), root=not os.access(path.parent, os.W_OK)).command(), check=True)


def chosen(names: list[str]) -> list[str]:
    """Return the names of the suites that are meant: all of them when none is named."""
    all_of = {MOLECULE: [name for name in SUITES if name.startswith(f"{MOLECULE}:")]}
    return [each for name in names or SUITES for each in all_of.get(name, [name])]


@dataclass(frozen=True)
class Row:
    """What a suite counted up to, and in how many seconds."""

    name: str
    tally: Tally
    seconds: float


def run_suites(names: list[str], began: float) -> list[Row]:
    """Run suites in their order, and build what they need before or beside them."""
    rows: list[Row] = []
    # When the first suite waits for it there is nothing beside, and its output can be shown as it comes.
    waiting = any(SUITES[name].built for name in names)
    beside = Beside(BUILDING, BUILDING_NAME) if waiting and not SUITES[names[0]].built else None
    built = False
    try:
        for number, name in enumerate(names, start=1):
            heading = f"suite {number} of {len(names)}: {name}"
            if SUITES[name].built and waiting:
                announce(BUILDING_NAME, BUILDING, began)
                start_s = beside.began if beside else time.monotonic()
                code, output = beside.finish() if beside else run(BUILDING, began)
                rows.append(Row(BUILDING_NAME, BUILDING.count(code, output), time.monotonic() - start_s))
                built, waiting, beside = code == 0, False, None
            if SUITES[name].built and not built:
                print(f"\n=== {heading} is left out: it needs the tools and images")
                rows.append(Row(name, Tally(0, 1), 0.0))
                continue
            start_s = time.monotonic()
            tally = run_suite(name, heading, began, beside)
            rows.append(Row(name, tally, time.monotonic() - start_s))
    finally:
        if beside:
            beside.stop()
    return rows


def main(names: list[str]) -> int:
    names = chosen(names)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        known = ", ".join([*SUITES, MOLECULE])
        print(f"No such suite: {', '.join(unknown)}. There are: {known}.", file=sys.stderr)
        return 2
    forget_reports(names)
    rows = run_suites(names, time.monotonic())
    print(f"\n{'suite':<24} passed  failed    time")
    for row in rows:
        print(f"{row.name:<24} {row.tally.passed:>6}  {row.tally.failed:>6}  {clock(row.seconds):>6}")
    total = sum((row.tally for row in rows), Tally())
    for row in rows:
        for name in row.tally.names:
            print(f"{row.name}: {name}")
    print(f"{total.passed} passed, {total.failed} failed", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))

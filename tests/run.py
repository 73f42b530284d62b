# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the test suites one after the other and add up what passed and what failed.

``python tests/run.py`` runs all of them, ``python tests/run.py lint unit`` only those. Each Molecule scenario is a
suite: ``molecule:blue_green`` is one, ``molecule`` all of them. A suite that fails does not stop the next ones. The
last line is always ``N passed, N failed``, and the exit code is 0 only when nothing failed.

Tests and plays that are marked ``thorough`` are left out, but for ``thorough``, which has all of integration, pages and
scenarios.

Some suites need the tools, or the images too, which take long to build on a new machine. Building begins first and goes
on beside the suites that do not need them.
"""

from __future__ import annotations

import contextlib
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
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
BIN = Path(sys.executable).parent
MOLECULE_INSTANCE = "tm-test"
"""What the tests name their clusters after."""
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
QUIET_LIMIT = 60.0
"""After so many seconds without output a line says that the step is still running."""


NAME_LIMIT = 160
"""How much of a message the list of what failed shows."""
MOLECULE, THOROUGH = "molecule", "thorough"
"""What the names of several suites begin with."""
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


TASKS = re.compile(
    r"^(?:TASK|RUNNING HANDLER) \[(.*)\] \*"
    r"|^fatal: \[([^]]+)\]: \w+!"
    r"|^ +msg: (?:[|>][-+]?\n +)?(.*)"
    r"|^\.\.\.(ignoring)"
    r"|^\* +(\[.+\] => .*)",
    re.MULTILINE,
)
"""In Molecule's output: a task's title, the host it failed on, its message, «ignored», and what changed again."""

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
                first = (said.get("message") or "").strip().partition("\n")[0][:NAME_LIMIT]
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
        steps = re.findall(r"^\w+ +\[[^]]+ > (\w+)\] (?:\x1b\[\d+m)*Executed: (\w+)", output, re.MULTILINE)
        bad = tuple(name for name, word in steps if word == "Failed")
        tally = Tally(sum(word == "Successful" for _name, word in steps), len(bad), bad)
        path = wire_report(scenario)
        if path.is_file():
            found = json.loads(path.read_text())
            refuted = [check for check in found["checks"] if check["verdict"] != "proven"]
            names = tuple(f"{check['name']}: {check['observed']}"[:NAME_LIMIT] for check in refuted)
            tally += Tally(int(found["summary"]["passed"]), int(found["summary"]["failed"]), names)
        return at_least_one_failure(code, tally + Tally(names=failed_tasks(output) if code else ()))

    return count


def failed_tasks(output: str) -> tuple[str, ...]:
    """The tasks that failed, each with its host and the first line of its message, and those that changed once more."""
    found, task, silent = [], "", False
    for title, host, message, ignored, again in TASKS.findall(output):
        if title:
            task, silent = title, False
        elif host:
            found.append(f"{task} [{host}]")
            silent = True
        elif message and silent:
            found[-1] = f"{found[-1]}: {message}"[:NAME_LIMIT]
            silent = False
        elif ignored:
            found.pop()
        elif again:
            found.append(f"{again} changed in a run that was to change nothing")
    return tuple(found)


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
    """Steps in their order. ``built`` is what they need of BUILDING. ``report`` is what is counted of.

    One with ``beside`` has one step, which goes on beside the suites after it. It gives way to them.
    """

    steps: tuple[Step, ...]
    built: str = ""
    report: Path | None = None
    beside: bool = False


def tool(name: str, *words: str, count: Count = whole, root: bool = False) -> Step:
    """Return a step that runs a program of the virtual environment."""
    return Step((str(BIN / name), *words), count, root)


def pytest(name: str, root: bool = False, at_once: int = 0, thorough: bool = False) -> Step:
    """Return a step that runs the tests below tests/<name>, ``at_once`` files of them side by side.

    It leaves out those that are marked as thorough, unless it is to be.
    """
    title = f"{THOROUGH}_{name}" if thorough else name
    which = () if thorough else ("-m", f"not {THOROUGH}")
    # Tests that hang are worse than tests that fail: after ten minutes the stacks are printed.
    argv = ("-rs", "-o", "faulthandler_timeout=600", "-p", "no:cacheprovider", f"--junitxml={report(title)}")
    # In the order of their conftest.py, and not by how many tests they have: that says little of their time.
    beside = ("-n", str(at_once), "--dist", "loadfile", "--no-loadscope-reorder") if at_once else ()
    return tool("pytest", f"tests/{name}", *which, *argv, *beside, count=junit(title), root=root)


def has_more(name: str) -> bool:
    """Whether a scenario has plays that take minutes."""
    return f"tags: [{THOROUGH}]" in (ROOT / "molecule" / name / ".playbooks" / "verify.yml").read_text()


def scenario(name: str, thorough: bool = False) -> Suite:
    """Return the suite of a Molecule scenario. It leaves out plays with the tag ``thorough``, unless it is to be."""
    step = tool("molecule", "test", "--scenario-name", name, count=molecule(name), root=True)
    if thorough:
        step = replace(step, argv=("env", "MOLECULE_SKIP_TAGS=none", *step.argv))
    return Suite((step,), built=IMAGES, report=wire_report(name))


TOOLS, IMAGES = "tools", "images"
SUITES: dict[str, Suite] = {
    # One processor is enough for each of these two.
    "sanity": Suite((tool("python", "tests/sanity/run.py", count=sanity),), beside=True),
    "docs": Suite((Step(("make", "docs")),), beside=True),
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
    # Clusters leave a third of the processor idle: enough for what needs none of them.
    "integration": Suite((pytest("integration", at_once=2),), built=TOOLS, report=report("integration"), beside=True),
    "pages": Suite((pytest("pages", root=True),), built=IMAGES, report=report("pages")),
    **{f"{MOLECULE}:{name}": scenario(name) for name in SCENARIOS},
    f"{THOROUGH}:integration": Suite(
        (pytest("integration", at_once=2, thorough=True),), built=TOOLS, report=report(f"{THOROUGH}_integration")
    ),
    f"{THOROUGH}:pages": Suite(
        (pytest("pages", root=True, thorough=True),), built=IMAGES, report=report(f"{THOROUGH}_pages")
    ),
    **{f"{THOROUGH}:{name}": scenario(name, thorough=True) for name in SCENARIOS if has_more(name)},
}
# Beside tests it takes what they leave over: some of them measure time. Each needs what stands before it.
BUILDING: dict[str, Step] = {
    name: Step(("nice", str(BIN / "ansible-playbook"), f"playbooks/{playbook}.yml"), root=True)
    for name, playbook in {TOOLS: "toolchain", IMAGES: "images"}.items()
}


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
    """A step that runs beside others and gives way to them.

    Its output goes to a file, and is shown when the step is waited for.
    """

    def __init__(self, step: Step, name: str) -> None:
        self.step, self.name, self.began = step, name, time.time()
        self.log = BUILD / "reports" / f"{name}.log"
        with self.log.open("wb") as output:
            self.process = start(step, output.fileno())
        # Linux shares the processor between sessions (sched_autogroup) before it looks at how nice a process is. Root's
        # session is root's to change.
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.process.pid}/autogroup").write_text("10")

    def progress(self) -> str:
        """Return one line: for how long it has been running, and what it said last."""
        lines = self.log.read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        state = "running" if self.process.poll() is None else "through"
        return f"… {self.name}: {state}, {clock(time.time() - self.began)}. {last}"[:120]

    @property
    def seconds(self) -> float:
        """How long it has been heard of: it may have ended long before it is waited for."""
        return max(self.log.stat().st_mtime - self.began, 0.0)

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


def run_suite(name: str, heading: str, began: float, beside: list[Beside]) -> Tally:
    """Run the steps of a suite and return what they count up to."""
    tally = Tally()
    steps = SUITES[name].steps
    for number, step in enumerate(steps, start=1):
        announce(f"{heading}, step {number} of {len(steps)}", step, began)
        for other in beside:
            print(other.progress(), flush=True)
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
    """Return the names of the suites that are meant: all but the thorough ones when none is named."""
    all_of = {several: [name for name in SUITES if name.startswith(f"{several}:")] for several in (MOLECULE, THOROUGH)}
    usual = [name for name in SUITES if name not in all_of[THOROUGH]]
    return [each for name in names or usual for each in all_of.get(name, [name])]


@dataclass(frozen=True)
class Row:
    """What a suite counted up to, and in how many seconds."""

    name: str
    tally: Tally
    seconds: float


class Building:
    """What suites need, built in its order beside them. ``rows`` are those of what is through."""

    def __init__(self, suites: list[Suite], began: float) -> None:
        needed = [number for number, name in enumerate(BUILDING) if name in {suite.built for suite in suites}]
        self.to_come = list(BUILDING)[: max(needed) + 1] if needed else []
        self.began = began
        self.beside: Beside | None = None
        self.rows: list[Row] = []

    def begin(self) -> None:
        """Begin with the next, unless one is at work."""
        if self.beside is None and self.to_come:
            self.beside = Beside(BUILDING[self.to_come[0]], self.to_come.pop(0))

    def go_on(self) -> None:
        """Take what is through, and begin with the next."""
        if self.beside and self.beside.process.poll() is not None:
            self._take(self.beside)
        self.begin()

    def provide(self, name: str) -> bool:
        """Wait until this one is through, and say whether it is there. The next goes on beside."""
        while (self.beside or self.to_come) and name not in {row.name for row in self.rows}:
            self.begin()
            assert self.beside
            announce(self.beside.name, self.beside.step, self.began)
            self._take(self.beside)
        self.begin()
        return name in {row.name for row in self.rows if not row.tally.failed}

    def _take(self, through: Beside) -> None:
        code, _output = through.finish()
        self.rows.append(Row(through.name, through.step.count(code, ""), through.seconds))
        self.beside = None
        if code:
            # Each needs what stands before it.
            self.to_come = []

    def stop(self) -> None:
        """End what is at work."""
        if self.beside:
            self.beside.stop()


def run_suites(names: list[str], began: float) -> list[Row]:
    """Run suites in their order, and build what they need before or beside them."""
    rows: dict[str, Row] = {}
    building = Building([SUITES[name] for name in names], began)
    aside: dict[str, Beside] = {}
    try:
        for number, name in enumerate(names, start=1):
            heading = f"suite {number} of {len(names)}: {name}"
            building.go_on()
            suite = SUITES[name]
            if suite.built and not building.provide(suite.built):
                print(f"\n=== {heading} is left out: it needs the {suite.built}")
                rows[name] = Row(name, Tally(0, 1), 0.0)
                continue
            if suite.beside and number < len(names):
                (step,) = suite.steps
                announce(f"{heading}, beside the next", step, began)
                aside[name] = Beside(step, name)
                continue
            start_s = time.monotonic()
            tally = run_suite(name, heading, began, list(filter(None, [*aside.values(), building.beside])))
            rows[name] = Row(name, tally, time.monotonic() - start_s)
        for name, beside in aside.items():
            announce(name, beside.step, began)
            tally = beside.step.count(*beside.finish())
            rows[name] = Row(name, tally, beside.seconds)
    finally:
        for beside in aside.values():
            beside.stop()
        building.stop()
    return [*building.rows, *(rows[name] for name in names)]


def main(names: list[str]) -> int:
    names = chosen(names)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        known = ", ".join([*SUITES, MOLECULE, THOROUGH])
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

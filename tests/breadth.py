# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run unit and integration tests, and ansible-test sanity, with each ansible-core that the collection supports.

And what Galaxy does with an artifact before it takes it, galaxy-importer, with ansible-lint.

``make breadth`` runs all of them, ``python tests/breadth.py 2.17 2.20`` only those, and ``--suites unit sanity`` only
these of their suites. Each has an environment of its own
below build/breadth, which is kept, with kubernetes.core and awx.awx as the development environment has them. A Python
for it is looked for on PATH and among those of pyenv. The last lines are the table of docs/compatibility.md.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BREADTH = ROOT / "build" / "breadth"
PYTHONS = {
    "2.17": ("3.11", "3.12"),
    "2.18": ("3.12", "3.11", "3.13"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.13", "3.12", "3.14"),
}
"""On which Python each runs its modules here: by turns, so that all are seen. The first one that there is is taken."""
OF_USERS = ("cryptography", "jmespath", "kubernetes")
OF_TESTS = ("antsibull-changelog", "hypothesis", "packaging", "pytest", "pytest-xdist", "spiffe")
# They judge this checkout and its one environment, and say nothing of another ansible-core.
OF_THE_CHECKOUT = ("test_house.py", "test_docs.py", "test_ee.py", "test_run.py", "test_programs.py")
# It compares a module in a fork with one that Ansible packs. Before 2.19 there is no fork, as tests/integration shows.
OF_THE_FORK = "plugins/plugin_utils/test_forked.py"
IMPORTER = """[galaxy-importer]
CHECK_REQUIRED_TAGS = True
CHECK_RUNTIME_YAML = True
CHECK_CHANGELOG = True
RUN_ANSIBLE_DOC = True
RUN_ANSIBLE_LINT = True
RUN_ANSIBLE_TEST = False
"""
SUITES = ("unit", "integration", "sanity")
COLLECTIONS = ("kubernetes/core", "awx/awx")


@dataclass
class Ran:
    """What became of one ansible-core. A suite that did not run has no numbers."""

    core: str
    python: str
    passed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)

    def row(self) -> str:
        """The line of the table."""
        told = []
        for suite in SUITES:
            bad = len(self.failed.get(suite, ()))
            told.append(
                f"{self.passed[suite]} passed" + (f", {bad} failed" if bad else "") if suite in self.passed else ""
            )
        return f"| {self.core} | {self.python} | " + " | ".join(told) + " |"


def interpreters(minor: str) -> Iterator[Path]:
    """Pythons of a version that this machine may have."""
    found = shutil.which(f"python{minor}", path=os.environ["PATH"])
    folders = sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python3"), reverse=True)
    yield from [*folders, *([Path(found)] if found else [])]


def interpreter(core: str) -> Path:
    """A Python for an ansible-core."""
    for each in (found for minor in PYTHONS[core] for found in interpreters(minor)):
        if subprocess.run([each, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
            return each
    raise SystemExit(f"ansible-core {core} needs one of Python {', '.join(PYTHONS[core])}, and none was found.")


def environment(core: str) -> Path:
    """Return the folder of an environment with an ansible-core and all that the tests need."""
    folder = BREADTH / core
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([interpreter(core), "-m", "venv", folder], check=True)
        pinned = [f"{name}=={version(name)}" for name in OF_USERS]
        words = ["install", "--quiet", "--disable-pip-version-check", f"ansible-core=={core}.*", *pinned, *OF_TESTS]
        subprocess.run([folder / "bin" / "pip", *words], check=True)
        (folder / "ready").touch()
    return folder


def collections() -> Path:
    """Return a folder with this collection and those that it takes tasks from."""
    import ansible_collections  # noqa: PLC0415 - only there in the environment of development

    there = BREADTH / "collections" / "ansible_collections"
    shutil.rmtree(there, ignore_errors=True)
    brought = [Path(folder) for folder in ansible_collections.__path__]
    for name in COLLECTIONS:
        (there / name).parent.mkdir(parents=True)
        (there / name).symlink_to(next(folder / name for folder in brought if (folder / name).is_dir()))
    (there / "trustmesh").mkdir()
    (there / "trustmesh" / "spiffe").symlink_to(ROOT)
    return there.parent


def run(folder: Path, suite: str, *words: str) -> tuple[int, str]:
    """Run a program of an environment, show and return what it prints."""
    found = str(collections())
    env = {key: value for key, value in os.environ.items() if not key.startswith(("VIRTUAL_ENV", "ANSIBLE_"))}
    env |= {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": found,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": found,
        "ANSIBLE_NOCOLOR": "1",
        "TRUSTMESH_BIN_DIR": os.environ.get("TRUSTMESH_BIN_DIR", str(ROOT / "build" / "bin")),
    }
    print(f"\n=== ansible-core {folder.name}: {suite}", flush=True)
    done = subprocess.run(
        [str(folder / "bin" / "python"), *words],
        check=False,
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(done.stdout[-6000:], flush=True)
    return done.returncode, done.stdout


def tests(ran: Ran, folder: Path, suite: str, *more: str) -> None:
    """Run the tests below tests/<suite>."""
    report = BREADTH / f"{folder.name}-{suite}.xml"
    report.unlink(missing_ok=True)
    words = ("-m", "pytest", f"tests/{suite}", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile")
    run(folder, suite, *words, f"--junitxml={report}", *more)
    if not report.exists():
        ran.passed[suite], ran.failed[suite] = 0, ["it did not run"]
        return
    cases = list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314 - our own report
    bad = [
        f"{case.get('classname')}::{case.get('name')}" for case in cases if len(case) and case[0].tag != "properties"
    ]
    ran.passed[suite], ran.failed[suite] = len(cases) - len(bad), bad


def sanity(ran: Ran, folder: Path) -> None:
    """Run ansible-test sanity."""
    code, output = run(folder, "sanity", "tests/sanity/run.py")
    names = set(re.findall(r'^Running sanity test "([^"]+)"', output, re.MULTILINE))
    listed = re.search(r"^FATAL: The \d+ sanity test.*\n((?:\S.*\n?)*)", output, re.MULTILINE)
    bad = listed[1].split() if listed else re.findall(r"^ERROR: .*", output, re.MULTILINE) or ["it ended early"]
    ran.failed["sanity"] = sorted(set(bad)) if code else []
    ran.passed["sanity"] = len(names - set(ran.failed["sanity"]))


def importer() -> list[str]:
    """Have an artifact looked at as Galaxy does, and return what it says beside that all is well."""
    folder, artifact = BREADTH / "importer", BREADTH / "artifact"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", "galaxy-importer"], check=True)
        (folder / "ready").touch()
    shutil.rmtree(artifact, ignore_errors=True)
    artifact.mkdir()
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    subprocess.run([galaxy, "collection", "build", "--output-path", artifact, ROOT], check=True, capture_output=True)
    (artifact / "importer.cfg").write_text(IMPORTER)
    env = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    env |= {"PATH": f"{folder / 'bin'}:{env['PATH']}", "GALAXY_IMPORTER_CONFIG": str(artifact / "importer.cfg")}
    words = [folder / "bin" / "python", "-m", "galaxy_importer.main", next(artifact.glob("*.tar.gz"))]
    print("\n=== galaxy-importer", flush=True)
    done = subprocess.run(words, cwd=artifact, env=env, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)] + (
        [] if done.returncode == 0 and "Importer processing completed successfully" in lines else lines[-3:]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("cores", nargs="*", choices=[[], *PYTHONS], metavar="core", help="such as 2.20 (default: all)")
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=SUITES, help="(default: all)")
    options = parser.parse_args()
    rows = []
    for core in options.cores or PYTHONS:
        folder = environment(core)
        words = [
            folder / "bin" / "python",
            "-c",
            "import sys, ansible.release as r; print(r.__version__, sys.version.split()[0])",
        ]
        full, python = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        ran = Ran(full, python)
        left = [*OF_THE_CHECKOUT, *([OF_THE_FORK] if core in ("2.17", "2.18") else [])]
        if "unit" in options.suites:
            tests(ran, folder, "unit", *(f"--ignore=tests/unit/{name}" for name in left))
        if "integration" in options.suites:
            tests(ran, folder, "integration")
        if "sanity" in options.suites:
            sanity(ran, folder)
        rows.append(ran)
    refused = importer()
    print("\n".join([*refused, f"galaxy-importer: {'refuses it' if refused else 'takes it'}"]))
    for ran in rows:
        for suite, names in ran.failed.items():
            print("\n".join(f"ansible-core {ran.core}, {suite}: {name}" for name in names))
    print(f"\n{datetime.datetime.now(datetime.UTC).date()}\n\n| ansible-core | Python | unit | integration | sanity |")
    print("| --- | --- | --- | --- | --- |")
    print("\n".join(ran.row() for ran in rows))
    return 1 if refused or any(names for ran in rows for names in ran.failed.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

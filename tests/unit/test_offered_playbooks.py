# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX and others offer when they look through a checkout: playbooks and inventories for users, nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOOKS_LIKE_A_PLAY = re.compile(r"^\s*-?\s*(hosts|(ansible\.builtin\.)?(include|import_playbook)):", re.MULTILINE)
LEFT_OUT = {"roles", "tasks", "group_vars", "host_vars"}
"""Folders that they leave out, beside those that begin with a dot."""


LINES_OF_AN_INVENTORY = re.compile(r"^[a-zA-Z0-9_.=\[\]]")


def listed() -> list[Path]:
    """Return the files that are looked at, below no folder that is left out."""
    argv = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [
        path
        for path in map(Path, sorted(filter(None, names)))
        if not any(part in LEFT_OUT or part.startswith(".") for part in path.parent.parts) and (ROOT / path).is_file()
    ]


def offered() -> list[str]:
    """Return the playbooks that would be offered, by the rules of AWX."""
    paths = [path for path in listed() if path.suffix in (".yml", ".yaml")]
    return [str(path) for path in paths if LOOKS_LIKE_A_PLAY.search((ROOT / path).read_text())]


def offered_inventories() -> list[str]:
    """Return the inventories that would be offered, by the rules of AWX."""
    found = []
    for path in listed():
        if path.suffix in (".yml", ".yaml"):
            continue
        runs = os.access(ROOT / path, os.X_OK)
        named = path.suffix == ".ini" or path.name in ("inventory", "hosts")
        if runs or named or (not path.suffix and _first_lines_fit(ROOT / path)):
            found.append(str(path))
    return found


def _first_lines_fit(path: Path) -> bool:
    try:
        return any(LINES_OF_AN_INVENTORY.match(line) for line in path.read_text().splitlines()[:10])
    except UnicodeDecodeError:
        return False


def test_only_the_playbooks_of_users_are_offered() -> None:
    names = offered()
    assert "playbooks/site.yml" in names
    assert [name for name in names if not name.startswith("playbooks/")] == []


def test_inventories_that_are_offered_are_inventories() -> None:
    names = offered_inventories()
    assert "inventories/blue_green/hosts.ini" in names
    # Texts without an ending look like one. They are read, and nothing in them is run.
    texts = {".gitignore", "LICENSE", "Makefile"}
    assert [name for name in names if not name.endswith("/hosts.ini") and name not in texts] == []


def test_nothing_is_offered_that_would_be_run_as_an_inventory() -> None:
    assert [name for name in offered_inventories() if os.access(ROOT / name, os.X_OK)] == []

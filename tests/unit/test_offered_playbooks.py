# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX and others offer as playbooks when they look through a checkout: those for users, nothing that harms."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOOKS_LIKE_A_PLAY = re.compile(r"^\s*-?\s*(hosts|(ansible\.builtin\.)?import_playbook):", re.MULTILINE)
LEFT_OUT = {"roles", "tasks", "group_vars", "host_vars"}
"""Folders that they leave out, beside those that begin with a dot."""


def offered() -> list[str]:
    """Return what would be offered, by the rules of AWX."""
    argv = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    paths = [Path(name) for name in names if name.endswith((".yml", ".yaml"))]
    return sorted(
        str(path)
        for path in paths
        if not any(part in LEFT_OUT or part.startswith(".") for part in path.parent.parts)
        and (ROOT / path).is_file()
        and LOOKS_LIKE_A_PLAY.search((ROOT / path).read_text())
    )


def test_only_the_playbooks_of_users_are_offered() -> None:
    names = offered()
    assert "playbooks/site.yml" in names
    assert [name for name in names if not name.startswith("playbooks/")] == []

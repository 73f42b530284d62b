# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role toolchain looks at the folders out of which something is run, before it runs anything."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from playbook import play

PLAYS = [
    {
        "hosts": "localhost",
        "connection": "local",
        "tasks": [{"import_role": {"name": "trustmesh.spiffe.toolchain", "tasks_from": "preflight"}}],
    }
]


def preflight(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the preflight in ``folder``, without an engine or a compiler."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name in ("podman", "docker", "go"):
        (programs / name).write_text(f"#!/bin/sh\necho ran >> {folder}/ran\n")
        (programs / name).chmod(0o755)
    given = {
        **{"trustmesh_artifacts": "installed", "toolchain_for_kind": False, "toolchain_path": [str(programs)]},
        "trustmesh_cache_dir": str(folder / "cache"),
    }
    return play(PLAYS, folder, "--extra-vars", json.dumps(given), PWD=str(folder))


def test_a_folder_of_ones_own_is_taken(tmp_path: Path) -> None:
    (tmp_path / "build" / "bin").mkdir(parents=True)
    done = preflight(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("loose", ["build/bin", "build", "cache", "."])
def test_a_folder_that_everybody_can_write_to_is_refused(tmp_path: Path, loose: str) -> None:
    place = tmp_path / loose
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o777)
    done = preflight(tmp_path)
    place.chmod(0o755)
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert f"The folder {place}" in output
    assert "can be written to by everybody" in output
    assert f"chmod go-w {place}" in output
    assert not (tmp_path / "ran").exists(), "nothing was run"


def test_that_a_configuration_was_accepted_is_not_written_through_a_link(tmp_path: Path) -> None:
    accept = {"what": "true", "program": "/bin/true", "command": "true", "text": "{}"}
    role = {"name": "trustmesh.spiffe.trustmesh", "tasks_from": "accept"}
    tasks = [{"import_role": role, "vars": {"trustmesh_problems": [], "trustmesh_accept": accept}}]
    plays = [{"hosts": "localhost", "connection": "local", "tasks": tasks}]
    cache = tmp_path / "cache" / "accepted"
    words = ("--extra-vars", f"trustmesh_cache_dir={tmp_path}/cache")
    assert play(plays, tmp_path, *words).returncode == 0
    (mark,) = cache.iterdir()
    mark.unlink()
    mark.symlink_to(tmp_path / "precious")  # which is not there: what is there counts as accepted
    done = play(plays, tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "precious").exists()
    assert mark.is_file()
    assert not mark.is_symlink()
    assert list(cache.iterdir()) == [mark]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action artifact_build, as a playbook runs it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playbook import play

STEPS = [
    {"name": "first", "label": "the first", "commands": [["sh", "-c", "echo $WORD > @out@/a"]], "inputs": ["source"]},
    {"name": "second", "label": "the second", "commands": [["cp", "@out:first@/a", "@out@/b"]], "needs": ["first"]},
]


@pytest.fixture
def task(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "source").write_text("1")
    return {
        "files": str(tmp_path / "files"),
        "cache": str(tmp_path / "cache"),
        "steps": STEPS,
        "goals": ["second"],
        "env": {"WORD": "hello"},
        "links": {str(tmp_path / "bin" / "b"): "second/b"},
        "times_file": str(tmp_path / "times.json"),
    }


def build(folder: Path, task: dict[str, Any], *words: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run the action as the only task of a play; return how it ended and what it returned."""
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    keep = {"content": "{{ result | to_json }}", "dest": str(result), "mode": "0600"}
    tasks = [
        {"trustmesh.spiffe.artifact_build": task, "register": "result", "ignore_errors": True},
        {"ansible.builtin.copy": keep, "check_mode": False, "changed_when": False},
    ]
    done = play([{"hosts": "localhost", "tasks": tasks}], folder, *words)
    assert result.exists(), done.stdout + done.stderr
    return done, json.loads(result.read_text())


def test_check_mode_predicts_what_a_run_does_and_a_second_run_does_nothing(
    tmp_path: Path, task: dict[str, Any]
) -> None:
    done, predicted = build(tmp_path, task, "--check")
    assert "building" not in done.stdout
    assert not (tmp_path / "cache" / "artifacts").exists()
    assert not (tmp_path / "bin").exists()

    done, real = build(tmp_path, task)
    assert "  to build: the first, the second\n" in done.stdout
    assert "  [1/2] 0:00 building the first\n" in done.stdout
    assert "  [2/2 done] 0:00 built the second in 0 s\n" in done.stdout
    assert (real["changed"], real["built"], real["linked"]) == (True, ["first", "second"], [f"{tmp_path}/bin/b"])
    assert {key: real[key] for key in ("changed", "built", "linked", "artifacts")} == {
        key: predicted[key] for key in ("changed", "built", "linked", "artifacts")
    }
    assert (tmp_path / "bin" / "b").read_text() == "hello\n"
    assert (Path(real["artifacts"]["second"]["path"]) / "b").is_file()
    assert set(json.loads((tmp_path / "times.json").read_text())) == {"first", "second"}

    done, again = build(tmp_path, task)
    assert (again["changed"], again["built"], again["linked"]) == (False, [], [])
    assert "changed=0" in done.stdout
    assert "building" not in done.stdout


def test_a_failure_says_which_step_and_where_its_log_is(tmp_path: Path, task: dict[str, Any]) -> None:
    task["steps"] = [{**STEPS[0], "commands": [["sh", "-c", "echo broken source; exit 2"]]}, STEPS[1]]
    _done, result = build(tmp_path, task)
    assert result["failed"]
    assert "building the first failed: sh ended with code 2" in result["msg"]
    assert "broken source" in result["msg"]
    assert result["log"] == f"{tmp_path}/cache/logs/first.log"


def test_a_bad_step_is_refused_before_anything_is_built(tmp_path: Path, task: dict[str, Any]) -> None:
    task["goals"] = ["third"]
    _done, result = build(tmp_path, task)
    assert result["msg"].endswith("build goal third is not a step; the steps are first, second.")
    assert not (tmp_path / "cache").exists()


def test_what_is_built_is_written_by_its_owner_only_whatever_the_umask(tmp_path: Path, task: dict[str, Any]) -> None:
    before = os.umask(0)
    try:
        _done, result = build(tmp_path, task)
    finally:
        os.umask(before)
    made = [*(tmp_path / "cache").rglob("*"), *(tmp_path / "bin").rglob("*"), tmp_path / "cache"]
    assert Path(result["artifacts"]["second"]["path"], "b") in made
    loose = [path for path in made if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert not loose


def test_a_cache_that_everybody_can_write_to_is_refused_before_anything_is_built(
    tmp_path: Path, task: dict[str, Any]
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    _done, result = build(tmp_path, task)
    assert result["failed"]
    assert f"The folder {tmp_path}/cache can be written to by everybody" in result["msg"]
    assert "choose another folder with trustmesh_cache_dir" in result["msg"]
    assert not list((tmp_path / "cache").iterdir())

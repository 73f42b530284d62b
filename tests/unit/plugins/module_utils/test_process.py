# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process port, with real processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, ProcessTimeout
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess, PodProcess


def test_output_input_and_exit_code() -> None:
    done = LocalProcess({"WORD": "x"}).run(["sh", "-c", 'cat; echo "$WORD" >&2; exit 3'], "in", 5)
    assert (done.rc, done.stdout, done.stderr) == (3, "in", "x\n")
    with pytest.raises(ProcessError, match=r"Reading failed: sh -c .* ended with code 3: x"):
        done.check("Reading")


def test_without_input_standard_input_is_empty() -> None:
    assert LocalProcess().run(["cat"], timeout=5).check("Reading").stdout == ""


def test_a_missing_program_is_named_with_what_to_do() -> None:
    with pytest.raises(ProcessError, match="/nonexistent/x was not found or is not executable"):
        LocalProcess().run(["/nonexistent/x"])


def test_at_the_limit_the_command_and_its_children_are_stopped(tmp_path: Path) -> None:
    child = tmp_path / "child"
    started = time.monotonic()
    with pytest.raises(ProcessTimeout, match=r"did not end within 0\.5 s"):
        LocalProcess().run(["sh", "-c", f"sleep 60 & echo $! > {child}; wait"], timeout=0.5)
    assert time.monotonic() - started < 5
    stat = Path("/proc") / child.read_text().strip() / "stat"
    # Gone at once, or as soon as the kernel gets to it: a zombie that waits for its parent is gone too.
    while stat.exists() and stat.read_text().split()[2] != "Z":
        assert time.monotonic() - started < 5
        time.sleep(0.01)


def test_in_a_pod_the_command_goes_through_kubectl_exec(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\necho "$@"\n')
    kubectl.chmod(0o755)
    pod = PodProcess("statefulset/s", "ns", "c", str(kubectl), "/k", "ctx")
    assert pod.run(["x", "-y"], "in").stdout == (
        "--kubeconfig /k --context ctx --namespace ns exec statefulset/s -i --container c -- x -y\n"
    )
    plain = PodProcess("s", "ns", kubectl=str(kubectl))
    assert plain.run(["x"]).stdout == "--namespace ns exec s -- x\n"
    assert os.access(kubectl, os.X_OK)

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


def test_a_program_that_cannot_be_run_is_named_with_what_to_do(tmp_path: Path) -> None:
    def words(program: str) -> str:
        with pytest.raises(ProcessError) as caught:
            LocalProcess().run([program])
        assert program in caught.value.message
        return caught.value.message

    plain, wrong, lost = tmp_path / "plain", tmp_path / "wrong", tmp_path / "lost"
    for path, content in ((plain, b""), (wrong, _FOREIGN_ELF), (lost, b"#!/nonexistent/interpreter\n")):
        path.write_bytes(content)
    wrong.chmod(0o755)
    lost.chmod(0o755)
    assert "was not found on PATH. Give its full path" in words("nonexistent-program")
    assert "was not found. Install the program there" in words("/nonexistent/x")
    assert "is a folder" in words(str(tmp_path))
    assert "is not executable for this user" in words(str(plain))
    assert "another kind of processor" in words(str(wrong))
    assert "its interpreter or loader was not found" in words(str(lost))


# The first bytes of a program for a processor that no host of ours has (SPARC, big-endian).
_FOREIGN_ELF = b"\x7fELF\x01\x02\x01" + bytes(9) + b"\x00\x02\x00\x02\x00\x00\x00\x01" + bytes(64)


def _gone(child: Path) -> None:
    """See that the process whose number is in this file ends."""
    stat = Path("/proc") / child.read_text().strip() / "stat"
    limit = time.monotonic() + 5
    # Gone at once, or as soon as the kernel gets to it: a zombie that waits for its parent is gone too.
    while stat.exists() and stat.read_text().split()[2] != "Z":
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_command_that_floods_is_stopped_with_its_children(stream: str, tmp_path: Path) -> None:
    child = tmp_path / "child"
    flood = f'yes >&{stream} & echo $! > "{child}"; exec yes >&{stream}'
    started = time.monotonic()
    with pytest.raises(ProcessError, match=r"^bash -c .* printed more than 1000000 bytes and was stopped") as caught:
        LocalProcess(limit=1_000_000).run(["bash", "-c", flood], timeout=60)
    assert not isinstance(caught.value, ProcessTimeout)
    assert time.monotonic() - started < 10
    _gone(child)


def test_what_is_printed_up_to_the_limit_is_read() -> None:
    done = LocalProcess(limit=1_000_000).run(["head", "-c", "1000000", "/dev/zero"], timeout=10)
    assert len(done.check("Reading").stdout) == 1_000_000


def test_a_pod_that_floods_is_stopped_as_well(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\nexec yes\n")
    kubectl.chmod(0o755)
    pod = PodProcess("pod/a", "b", kubectl=str(kubectl), local=LocalProcess(limit=1_000_000))
    with pytest.raises(ProcessError, match="printed more than 1000000 bytes"):
        pod.run(["curl"], timeout=60)


def test_much_input_to_a_command_that_answers_meanwhile_and_to_one_that_reads_none() -> None:
    much = "x" * 3_000_000
    assert LocalProcess().run(["cat"], much, 30).stdout == much
    assert LocalProcess().run(["true"], much, 30).rc == 0


def test_bytes_that_are_not_utf_8_stay_recognizable() -> None:
    done = LocalProcess().run(["printf", r"a\377"], timeout=5)
    assert done.stdout.encode(errors="surrogateescape") == b"a\xff"


def test_at_the_limit_the_command_and_its_children_are_stopped(tmp_path: Path) -> None:
    child = tmp_path / "child"
    started = time.monotonic()
    with pytest.raises(ProcessTimeout, match=r"did not end within 0\.5 s"):
        LocalProcess().run(["sh", "-c", f"sleep 60 & echo $! > {child}; wait"], timeout=0.5)
    assert time.monotonic() - started < 5
    _gone(child)


def test_in_a_pod_the_command_goes_through_kubectl_exec(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\necho "$@"\n')
    kubectl.chmod(0o755)
    pod = PodProcess("statefulset/s", "ns", "c", str(kubectl), "/k", "ctx")
    assert pod.run(["x", "-y"], "in").stdout == (
        "--kubeconfig /k --context ctx --namespace ns exec statefulset/s -i --container c -- x -y\n"
    )
    # kubectl itself gives up on a workload without pods before we stop it.
    assert "exec statefulset/s --pod-running-timeout=15s -i " in pod.run(["x"], "in", 30).stdout
    plain = PodProcess("s", "ns", kubectl=str(kubectl))
    assert plain.run(["x"]).stdout == "--namespace ns exec s -- x\n"
    assert os.access(kubectl, os.X_OK)

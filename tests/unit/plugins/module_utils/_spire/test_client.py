# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client: the cause of a failure is told from the words of the tools. Real servers: tests/integration."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.client import SpireServer


def saying(folder: Path, words: str, code: int = 1, stream: int = 2) -> SpireServer:
    """A server behind a program that prints ``words`` and ends with ``code``."""
    (folder / "words").write_text(words)
    program = folder / "spire-server"
    program.write_text(f"#!/bin/sh\ncat {folder}/words >&{stream}\nexit {code}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return SpireServer(LocalProcess(), str(program), "/run/api.sock", 5)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("dial unix ///run/api.sock: connect: no such file or directory", "there is no socket at /run/api.sock"),
        ("dial unix ///run/api.sock: connect: connection refused", "nobody answers at /run/api.sock"),
        ("dial unix ///run/api.sock: connect: permission denied", "no permission to use /run/api.sock"),
        ("flag provided but not defined: -output", "SPIRE 1.15 or later"),
        ('OCI runtime exec failed: exec failed: exec: "/x": stat /x: no such file or directory', "in the container"),
        ('exec: "/x": executable file not found in $PATH: unknown', "was not found in the container"),
        ('Error from server (NotFound): pods "spire-server-0" not found', "the pod, or its namespace"),
        ("Error from server (BadRequest): container x is not valid for pod y", "no such container"),
        ("Error from server (Forbidden): pods is forbidden", "the cluster refuses it"),
        ('error: context "x" does not exist', "kubeconfig or context"),
        ("error: stat /nonexistent: no such file or directory", "kubeconfig or context"),
        ("The connection to the server 10.0.0.1:6443 was refused", "cannot be reached"),
        ("rpc error: code = ResourceExhausted desc = grpc: received message larger than max", "too large"),
        ("rpc error: code = Unavailable desc = error reading from server: EOF", "went away"),
        ("something new", "ended with code 1 and said: something new"),
        ("", "ended with code 1 and printed nothing."),
    ],
)
def test_each_failure_has_its_own_words(tmp_path: Path, words: str, cause: str) -> None:
    with pytest.raises(ProcessError) as caught:
        saying(tmp_path, words).list_entries()
    assert caught.value.message.startswith("Reading the registration entries failed: ")
    assert cause in caught.value.message


def test_a_token_in_the_words_of_a_failure_is_not_repeated(tmp_path: Path) -> None:
    agent = "spiffe://td/spire/agent/join_token/29d05e32-1dcd"
    with pytest.raises(ProcessError) as caught:
        saying(tmp_path, f"no such agent: {agent}").evict_agent(agent)
    assert "29d05e32" not in f"{caught.value.message} {caught.value.details}"


def test_a_minted_secret_is_not_repeated_when_the_answer_is_broken(tmp_path: Path) -> None:
    for server in (saying(tmp_path, '{"private_key": "s3cret"', 0, 1), saying(tmp_path, '{"x": "s3cret"}', 0, 1)):
        for mint in (lambda s=server: s.mint_x509("spiffe://td/a", 60), lambda s=server: s.generate_token("a", 1)):
            with pytest.raises(ProcessError) as caught:
                mint()
            assert "s3cret" not in f"{caught.value.message} {caught.value.details}"
    with pytest.raises(ProcessError) as caught:
        saying(tmp_path, "s3cret", 1, 1).generate_token("spiffe://td/a", 1)
    assert "s3cret" not in f"{caught.value.message} {caught.value.details}"


def test_a_program_that_says_nothing_and_ends_well_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="printed nothing"):
        saying(tmp_path, "", 0).list_agents()

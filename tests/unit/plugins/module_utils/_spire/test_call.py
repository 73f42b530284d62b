# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client: the cause of a failure is told from the words of the tools. Real servers: tests/integration."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import (
    NotReachedError,
    ProcessError,
    ProcessTimeout,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed, LocalProcess
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import evict_agent, list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.causes import CAUSES, UNKNOWN, Cause
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import delete_entries, list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.client import mint_x509


def saying(folder: Path, words: str, code: int = 1, stream: int = 2) -> SpireServer:
    """A server behind a program that prints ``words`` and ends with ``code``."""
    (folder / "words").write_text(words)
    program = folder / "spire-server"
    program.write_text(f"#!/bin/sh\ncat {folder}/words >&{stream}\nexit {code}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return SpireServer(LocalProcess(), str(program), "/run/api.sock", 5)


GRPC = "Error: error fetching entries: rpc error: code = {} desc = {}"
DIAL = GRPC.format(
    "Unavailable", 'connection error: desc = "transport: Error while dialing: dial unix ///run/api.sock: {}"'
)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (DIAL.format("connect: no such file or directory"), "there is no socket at /run/api.sock"),
        (DIAL.format("connect: connection refused"), "nobody answers at /run/api.sock"),
        (DIAL.format("connect: permission denied"), "no permission to use /run/api.sock"),
        (DIAL.format("connect: invalid argument"), "cannot be a socket's path"),
        (GRPC.format("ResourceExhausted", "grpc: received message larger than max (5 vs. 4)"), "4 MiB. Whether the"),
        (GRPC.format("ResourceExhausted", "rate exceeds burst size"), "has no room or no capacity left"),
        (GRPC.format("DeadlineExceeded", "context deadline exceeded"), "did not end in time. Whether the request"),
        (GRPC.format("PermissionDenied", "authorization denied for method"), "the server's policy refuses this call"),
        (GRPC.format("Unauthenticated", "who are you"), "the server's policy refuses this call"),
        (GRPC.format("Unimplemented", "unknown service"), "it is older than"),
        (GRPC.format("Canceled", "context canceled"), "was cancelled on the way. Whether the request"),
        (GRPC.format("Unavailable", "error reading from server: EOF"), "went away while it answered. Whether the"),
        (GRPC.format("Unavailable", 'desc = "error reading server preface: EOF"'), "is no SPIRE server"),
        ("flag provided but not defined: -output\nUsage of entry show:\n  -x\n", "SPIRE 1.14.6 or later"),
        ('OCI runtime exec failed: exec failed: exec: "/x": stat /x: no such file or directory', "in the container"),
        ('exec: "/x": executable file not found in $PATH: unknown', "was not found in the container"),
        ('OCI runtime exec failed: exec: "/x": permission denied: unknown', "may not be run in the container"),
        ("exec /x: exec format error", "for another kind of processor"),
        ("command terminated with exit code 137", "the container's memory is used up. Whether the request"),
        ('Error from server (NotFound): pods "spire-server-0" not found', "the pod, or what is to lead to it"),
        ('Error from server (NotFound): namespaces "x" not found', "the namespace was not found"),
        ("Error from server (BadRequest): container x is not valid for pod y", "no such container"),
        ('error: unable to upgrade connection: container not found ("x")', "the container does not run"),
        ("error: Internal error occurred: error executing command in container: container not running", "does not run"),
        ("error: cannot exec into a container in a completed pod; current phase is Succeeded", "the pod is down"),
        ("Error from server (Forbidden): pods is forbidden", "the cluster refuses it"),
        ('Error from server (Forbidden): x cannot create resource "pods/exec" in', "create on pods/exec"),
        ("error: You must be logged in to the server (Unauthorized)", "does not accept the credentials"),
        ('error: context "x" does not exist', "no such context"),
        ("error: stat /nonexistent: no such file or directory", "the kubeconfig was not found"),
        ('error: error loading config file "x": yaml: nonsense', "the kubeconfig cannot be used"),
        ("Unable to connect to the server: tls: failed to verify certificate: x509: unknown", "that the CA in this"),
        ("The connection to the server 10.0.0.1:6443 was refused", "API server cannot be reached"),
        ("Unable to connect to the server: dial tcp: lookup x: no such host", "API server cannot be reached"),
        ("error: error dialing backend: dial tcp 10.0.0.1:10250: i/o timeout", "the pod's node does not"),
        ("error: timed out waiting for the condition", "the workload has no running pod"),
        ("error: websocket: close 1006 (abnormal closure): unexpected EOF", "connection to the pod broke. Whether"),
        ("something new", "ended with code 1 and said: something new"),
        ("", "ended with code 1 and printed nothing. Is "),
    ],
)
def test_each_failure_has_its_own_words(tmp_path: Path, words: str, cause: str) -> None:
    with pytest.raises(ProcessError) as caught:
        list_entries(saying(tmp_path, words))
    assert caught.value.message.startswith("Reading the registration entries failed: ")
    assert cause in caught.value.message


def test_what_kubectl_logs_beside_the_cause_is_left_out(tmp_path: Path) -> None:
    log = 'E1121 12:31:48.181052    5299 memcache.go:265] "Unhandled Error" err="dial tcp 127.0.0.1:9"\n'
    words = f"{log}{log}The connection to the server 127.0.0.1:9 was refused"
    with pytest.raises(ProcessError) as caught:
        list_entries(saying(tmp_path, words))
    assert "memcache" not in caught.value.message
    assert "memcache" in caught.value.details["stderr"]


class Scripted:
    """A place where commands end as they are told to, and are counted."""

    def __init__(self, *endings: Completed | ProcessError) -> None:
        self.endings = list(endings)
        self.count = 0

    def run(self, _argv: Sequence[str], _stdin: str | None = None, _timeout: float | None = None) -> Completed:
        self.count += 1
        ending = self.endings.pop(0)
        if isinstance(ending, ProcessError):
            raise ending
        return ending


DONE = Completed(("x",), 0, '{"results":[{"id":"1","status":{"code":0,"message":"OK"}}]}', "")


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if cause.undelivered], ids=lambda cause: cause.text[:40])
def test_what_was_not_delivered_says_nothing_of_an_unknown_outcome(cause: Cause) -> None:
    assert UNKNOWN not in cause.text


@pytest.mark.parametrize(
    "first",
    [
        Completed(("x",), 1, "", DIAL.format("connect: connection refused")),
        Completed(("x",), 1, "", 'Error from server (NotFound): pods "x" not found'),
        NotReachedError("pod_selector: none is ready"),
    ],
    ids=["nobody answers", "no pod", "no ready pod"],
)
def test_a_request_that_was_not_delivered_is_sent_again(first: Completed | ProcessError) -> None:
    process = Scripted(first, DONE)
    (results,) = delete_entries(SpireServer(process, wait_timeout=10), ["1"])
    assert [result.ok for result in results] == [True]
    assert process.count == 2
    process = Scripted(first, DONE)
    with pytest.raises(ProcessError):
        list(delete_entries(SpireServer(process), ["1"]))
    assert process.count == 1


@pytest.mark.parametrize(
    "first",
    [
        Completed(("x",), 1, "", GRPC.format("Unavailable", "error reading from server: EOF")),
        Completed(("x",), 1, "", GRPC.format("ResourceExhausted", "grpc: received message larger than max")),
        Completed(("x",), 1, "", GRPC.format("DeadlineExceeded", "x")),
        Completed(("x",), 1, "", "error: websocket: close 1006 (abnormal closure): unexpected EOF"),
        Completed(("x",), 137, "", "command terminated with exit code 137"),
        Completed(("x",), 1, "", "Unable to connect to the server: tls: failed to verify certificate: x509: unknown"),
        Completed(("x",), 1, "", "something new"),
        Completed(("x",), 0, "", ""),
        Completed(("x",), 0, '{"results":[{"id"', ""),
        Completed(("x",), 0, '{"results":[]}', ""),
        Completed(("x",), 0, '{"results":["x"]}', ""),
        Completed(("x",), 0, '{"results":[{"status":{"code":"x"}}]}', ""),
        ProcessTimeout("x"),
    ],
    ids=lambda ending: (getattr(ending, "stderr", "") or getattr(ending, "stdout", "") or "nothing")[-30:],
)
def test_a_request_that_may_have_been_delivered_is_never_sent_twice(first: Completed | ProcessError) -> None:
    process = Scripted(first, DONE)
    with pytest.raises(ProcessError):
        list(delete_entries(SpireServer(process, wait_timeout=10), ["1"]))
    assert process.count == 1


def test_a_token_in_the_words_of_a_failure_is_not_repeated(tmp_path: Path) -> None:
    agent = "spiffe://td/spire/agent/join_token/29d05e32-1dcd"
    with pytest.raises(ProcessError) as caught:
        evict_agent(saying(tmp_path, f"no such agent: {agent}"), agent)
    assert "29d05e32" not in f"{caught.value.message} {caught.value.details}"


def test_a_minted_secret_is_not_repeated_when_the_answer_is_broken(tmp_path: Path) -> None:
    for server in (saying(tmp_path, '{"private_key": "s3cret"', 0, 1), saying(tmp_path, '{"x": "s3cret"}', 0, 1)):
        for mint in (lambda s=server: mint_x509(s, "spiffe://td/a", 60), lambda s=server: generate_token(s, "a", 1)):
            with pytest.raises(ProcessError) as caught:
                mint()
            assert "s3cret" not in f"{caught.value.message} {caught.value.details}"
    with pytest.raises(ProcessError) as caught:
        generate_token(saying(tmp_path, "s3cret", 1, 1), "spiffe://td/a", 1)
    assert "s3cret" not in f"{caught.value.message} {caught.value.details}"


def test_a_program_that_says_nothing_and_ends_well_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="printed nothing"):
        list_agents(saying(tmp_path, "", 0))

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The port through which clients run a command line tool: here, or inside a pod.

Commands are argument lists, never shell strings. A command that outlives its limit is stopped together with its
children. Nothing here knows Ansible.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, ProcessTimeout


@dataclass(frozen=True)
class Completed:
    """What a finished command left behind."""

    argv: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str

    def check(self, doing: str) -> Completed:
        """Return self when the command succeeded, else raise :class:`ProcessError` naming what it was ``doing``."""
        if self.rc == 0:
            return self
        words = self.stderr.strip() or self.stdout.strip() or "it printed nothing"
        raise ProcessError(
            f"{doing} failed: {' '.join(self.argv[:3])} … ended with code {self.rc}: {words[-2000:]}",
            rc=self.rc,
            cmd=list(self.argv),
            stderr=self.stderr[-4000:],
        )


class Process(Protocol):
    """Somewhere a command can be run."""

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        """Run ``argv`` with ``stdin`` (nothing when None) for at most ``timeout`` seconds.

        The exit code is not judged here. Raises ProcessError when the command cannot be started and ProcessTimeout
        when it was stopped at the limit.
        """
        ...  # pylint: disable=unnecessary-ellipsis


@dataclass(frozen=True)
class LocalProcess:
    """Runs commands on this host."""

    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        if shutil.which(argv[0]) is None:
            raise ProcessError(
                f"{argv[0]} was not found or is not executable. Give its full path, or put it on PATH.",
                cmd=list(argv),
            )
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **self.env},
                start_new_session=True,
            )
        except OSError as exc:
            raise ProcessError(f"{argv[0]} could not be started: {exc.strerror or exc}.", cmd=list(argv)) from exc
        try:
            out, err = process.communicate(None if stdin is None else stdin.encode(), timeout)
        except subprocess.TimeoutExpired as exc:
            _stop(process)
            raise ProcessTimeout(
                f"{' '.join(argv[:3])} … did not end within {timeout:g} s and was stopped.", cmd=list(argv)
            ) from exc
        except BaseException:
            _stop(process)
            raise
        return Completed(tuple(argv), process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


@dataclass(frozen=True)
class PodProcess:
    """Runs commands inside a container of a pod, through ``kubectl exec``.

    ``pod`` is a pod's name or ``kind/name`` (``statefulset/spire-server``), as ``kubectl exec`` takes it. kubectl is
    used and not the Python client because only kubectl closes the standard input of the remote command, and
    spire-server reads its input to the end.
    """

    pod: str
    namespace: str
    container: str | None = None
    kubectl: str = "kubectl"
    kubeconfig: str | None = None
    context: str | None = None
    local: Process = field(default_factory=LocalProcess)

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        command = [self.kubectl]
        if self.kubeconfig:
            command += ["--kubeconfig", self.kubeconfig]
        if self.context:
            command += ["--context", self.context]
        command += ["--namespace", self.namespace, "exec", self.pod]
        if stdin is not None:
            command.append("-i")
        if self.container:
            command += ["--container", self.container]
        return self.local.run([*command, "--", *argv], stdin, timeout)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a command and its children: they share a session, so one signal reaches all."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The port through which clients run a command line tool: here, or inside a pod.

Commands are argument lists, never shell strings. A command that outlives its limit, or prints more than is read, is
stopped together with its children. Nothing here knows Ansible.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, ProcessTimeout
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import kubectl_argv

OUTPUT_LIMIT = 256 * 1024 * 1024
"""Bytes that are read of a command. What runs in somebody's pod may print without an end, and all of it is kept. A
SPIRE server with a hundred thousand entries lists them in less."""
_CHUNK = 64 * 1024


def side_by_side(*reads: Callable[[], Any]) -> list[Any]:
    """Return what each of these reads, asked at once: most of a call is its way. The first failure counts."""
    with ThreadPoolExecutor(len(reads)) as pool:
        return [asked.result() for asked in [pool.submit(read) for read in reads]]


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
    limit: int = OUTPUT_LIMIT
    """Bytes that a command may print, on both of its outputs together."""

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        env = {**os.environ, **self.env}
        if shutil.which(argv[0], path=env.get("PATH")) is None:
            raise ProcessError(_unusable(argv[0]), cmd=list(argv))
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                start_new_session=True,
            )
        except OSError as exc:
            raise ProcessError(_unstarted(argv[0], exc), cmd=list(argv)) from exc
        try:
            out, err = _communicate(process, b"" if stdin is None else stdin.encode(), timeout, self.limit)
        except _TooMuch as exc:
            _stop(process)
            raise ProcessError(
                f"{' '.join(argv[:3])} … printed more than {self.limit} bytes and was stopped. What answers there is"
                " broken, or means to fill this machine's memory.",
                cmd=list(argv),
            ) from exc
        except subprocess.TimeoutExpired as exc:
            _stop(process)
            raise ProcessTimeout(
                f"{' '.join(argv[:3])} … did not end within {timeout:g} s and was stopped.", cmd=list(argv)
            ) from exc
        except BaseException:
            _stop(process)
            raise
        # What a program prints is data: bytes that are not UTF-8 stay recognizable for who reads it.
        words = err.decode(errors="replace")
        return Completed(tuple(argv), process.returncode, out.decode(errors="surrogateescape"), words)


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

    @property
    def kubectl_argv(self) -> list[str]:
        """How every kubectl command about this namespace begins."""
        return [*kubectl_argv(self.kubectl, self.kubeconfig, self.context), "--namespace", self.namespace]

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        command = [*self.kubectl_argv, "exec", self.pod]
        if "/" in self.pod and timeout is not None:
            # kubectl waits a minute for a workload's first pod. It must give up before we do, and so say that nothing
            # was run, which we could not know.
            command.append(f"--pod-running-timeout={max(timeout / 2, 0.5):g}s")
        if stdin is not None:
            command.append("-i")
        if self.container:
            command += ["--container", self.container]
        return self.local.run([*command, "--", *argv], stdin, timeout)


def _unusable(program: str) -> str:
    """Say why a program cannot be run, and what to do."""
    path = Path(program)
    if "/" not in program:
        return f"{program} was not found on PATH. Give its full path, or put it on PATH."
    if path.is_dir():
        return f"{program} is a folder. Give the path of the program in it."
    if path.exists():
        return f"{program} is not executable for this user. Fix its mode (chmod +x), or run as another user."
    return f"{program} was not found. Install the program there, or give the path where it is."


def _unstarted(program: str, error: OSError) -> str:
    """Say why a program did not start, and what to do."""
    if error.errno == errno.ENOEXEC:
        return (
            f"{program} cannot be run here: it is no program, or one for another kind of processor than this host's "
            f"({os.uname().machine})."
        )
    if error.errno == errno.ENOENT:  # the file is there, so it is what the file needs that is not
        return f"{program} cannot be run here: its interpreter or loader was not found."
    return f"{program} could not be started: {error.strerror or error}."


class _TooMuch(Exception):
    """A command prints without an end."""


def _communicate(
    process: subprocess.Popen[bytes], stdin: bytes, timeout: float | None, limit: int
) -> tuple[bytes, bytes]:
    """Do what :meth:`subprocess.Popen.communicate` does, and raise _TooMuch when more than ``limit`` bytes come out."""
    deadline = None if timeout is None else time.monotonic() + timeout
    out, err, rest = bytearray(), bytearray(), memoryview(stdin)
    with selectors.DefaultSelector() as ready:
        for stream, into in ((process.stdout, out), (process.stderr, err)):
            if stream:
                ready.register(stream, selectors.EVENT_READ, into)
        if process.stdin:
            os.set_blocking(process.stdin.fileno(), False)
            ready.register(process.stdin, selectors.EVENT_WRITE)
        while ready.get_map():
            for key, _events in ready.select(_left(process, deadline, timeout)):
                if key.data is None:
                    rest = rest[_write(key.fd, rest) :]
                    at_end = not rest
                else:
                    data = os.read(key.fd, _CHUNK)
                    key.data.extend(data)
                    at_end = not data
                if at_end:
                    ready.unregister(key.fileobj)
                    _close(key.fileobj)
                if len(out) + len(err) > limit:
                    raise _TooMuch
    process.wait(_left(process, deadline, timeout))
    return bytes(out), bytes(err)


def _write(fd: int, data: memoryview) -> int:
    """Write what a command takes now, and return how much that is. One that reads no more has read all."""
    try:
        return os.write(fd, data[:_CHUNK])
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)


def _close(stream: Any) -> None:
    with contextlib.suppress(OSError):
        stream.close()


def _left(process: subprocess.Popen[bytes], deadline: float | None, timeout: float | None) -> float | None:
    """The seconds until the deadline. Raises when it has passed."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise subprocess.TimeoutExpired(process.args, timeout or 0)
    return left


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a command and its children: they share a session, so one signal reaches all."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            _close(stream)

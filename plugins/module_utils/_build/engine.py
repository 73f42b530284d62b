# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Runs build steps: side by side where their needs allow, resumable after a kill at any point.

A result is built in a folder of its own and renamed into place when it is whole, so what is in the cache is always
complete. A lock per result lets two runs share one cache. What is in the cache is compared with what was built before it
is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ansible_collections.trustmesh.spiffe.plugins.module_utils._build import manifest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.steps import (
    Step,
    environment_of,
    expand,
    keys_of,
    needed_for,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._polling import poll
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError

Tell = Callable[[str], None]

_HEARTBEAT_S = 20.0
"""Seconds after which a line says what is still being built."""


@dataclass(frozen=True)
class Caller:
    """Who called sudo."""

    uid: int
    gid: int
    home: str


def digest_of_path(path: Path) -> str:
    """Return a hash of a file's content, or of a folder's names, modes and contents."""
    if not path.exists():
        raise InputError(f"build input {path} does not exist.")
    digest = hashlib.sha256()
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    for item in files:
        executable = "x" if os.access(item, os.X_OK) else "-"
        digest.update(f"{item.relative_to(path)}\0{executable}\0".encode())
        digest.update(item.read_bytes())
    return digest.hexdigest()


@dataclass
class Builder:
    """Builds steps into ``cache``. ``tell`` gets one line of progress at a time."""

    steps: Mapping[str, Step]
    files: Path
    cache: Path
    tell: Tell
    jobs: int = 2
    env: Mapping[str, str] = field(default_factory=dict)
    salt: Sequence[str] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    caller: Caller | None = None
    """As whom steps are built that need no root; None for who this is."""

    def __post_init__(self) -> None:
        self.keys = keys_of(self.steps, lambda path: digest_of_path(self.files / path), self.salt)
        self.seconds: dict[str, float] = {}
        self._running: dict[str, float] = {}
        self._children: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._stopped = False
        self._looked: dict[str, manifest.Looked] = {}

    def path(self, name: str) -> Path:
        """Where the step's result is, once built."""
        return self.cache / "artifacts" / name / self.keys[name]

    def is_there(self, name: str) -> bool:
        """Whether the step's result exists, and is what was built."""
        if not self.path(name).is_dir():
            return False
        step = self.steps[name]
        looked = manifest.look(self.path(name))
        if looked.fault:
            if self._looked.get(name) != looked:
                self.tell(f"{step.label} is built again: {self.path(name)} is not used, {looked.fault}")
            self._looked[name] = looked
            return False
        self._looked[name] = looked
        if not step.exists:
            return True
        command = [expand(word, self._values(step, self.path(name))) for word in step.exists]
        try:
            return subprocess.run(command, env=self._env(), capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    def missing(self, goals: Sequence[str]) -> list[str]:
        """Return the names of the steps that must run for ``goals``, needs first."""
        return needed_for(self.steps, goals, self.is_there)

    def remember(self) -> None:
        """Keep what was seen of results that were read anew, where this user may write."""
        for name, looked in self._looked.items():
            with contextlib.suppress(OSError):
                manifest.keep_renewed(self.path(name), looked)

    def build(self, names: Sequence[str]) -> None:
        """Build ``names`` (as :meth:`missing` returned them). Raises ProcessError naming the step that failed."""
        started = time.monotonic()
        done: set[str] = set()
        todo = list(names)
        futures: dict[Future[None], str] = {}
        with ThreadPoolExecutor(max_workers=self.jobs) as pool:
            try:
                while todo or futures:
                    for name in [item for item in todo if set(self.steps[item].needs) & set(names) <= done]:
                        if len(futures) >= self.jobs:
                            break
                        todo.remove(name)
                        number = len(names) - len(todo)
                        self.tell(f"[{number}/{len(names)}] {_clock(started)} building {self.steps[name].label}")
                        futures[pool.submit(self._build_one, name)] = name
                    finished, _still = wait(futures, timeout=_HEARTBEAT_S, return_when=FIRST_COMPLETED)
                    if not finished:
                        busy = ", ".join(
                            f"{self.steps[name].label} ({time.monotonic() - since:.0f} s)"
                            for name, since in sorted(self._running.items())
                        )
                        self.tell(f"[{len(done)}/{len(names)} done] {_clock(started)} still building {busy}")
                    for future in finished:
                        name = futures.pop(future)
                        future.result()
                        done.add(name)
                        self.tell(
                            f"[{len(done)}/{len(names)} done] {_clock(started)} built {self.steps[name].label} "
                            f"in {self.seconds[name]:.0f} s"
                        )
            except BaseException:
                self._stop()
                raise

    def link(self, links: Mapping[str, str], only_tell: bool = False) -> list[str]:
        """Make symbolic links to files of results (path -> ``step/file``). Return the paths that changed."""
        changed = []
        for place, target in links.items():
            step, _slash, file = target.partition("/")
            if step not in self.steps or not file:
                raise InputError(f"build links: {target!r} is not a step and a file, such as 'kind/kind'.")
            link, source = Path(place), self.path(step) / file
            if link.is_symlink() and link.readlink() == source:
                continue
            changed.append(place)
            if not only_tell:
                link.parent.mkdir(parents=True, exist_ok=True)
                fresh = link.with_name(f".{link.name}.{os.getpid()}")
                fresh.symlink_to(source)
                fresh.replace(link)
        return changed

    def _build_one(self, name: str) -> None:
        step = self.steps[name]
        target = self.path(name)
        with self._lock(name):
            begun = time.monotonic()
            self._running[name] = begun
            try:
                if not self.is_there(name):  # another run may have built it while this one waited for the lock
                    partial = target.with_name(f".{target.name}.partial")
                    _end_leftover(_note(partial))
                    shutil.rmtree(partial, ignore_errors=True)
                    partial.mkdir(parents=True)
                    caller = self.caller if step.plain else None
                    if caller:
                        os.chown(partial, caller.uid, caller.gid, follow_symlinks=False)
                    log = self.cache / "logs" / f"{name}.log"
                    log.parent.mkdir(parents=True, exist_ok=True)
                    log.unlink(missing_ok=True)
                    values = self._values(step, partial)
                    # Made anew, so that it is not written through a link that somebody has put there.
                    with log.open("xb") as output:
                        for command in step.commands:
                            self._run(step, [expand(word, values) for word in command], values, output, log, caller)
                    if caller:
                        _take_over(partial)
                    _note(partial).unlink(missing_ok=True)
                    manifest.write(partial)
                    shutil.rmtree(target, ignore_errors=True)
                    partial.rename(target)
                    # What was seen before is of the result that is gone.
                    self._looked.pop(name, None)
            finally:
                self.seconds[name] = time.monotonic() - begun
                self._running.pop(name, None)

    def _run(
        self,
        step: Step,
        command: list[str],
        values: Mapping[str, str],
        output: IO[bytes],
        log: Path,
        caller: Caller | None,
    ) -> None:
        output.write(f"+ {' '.join(command)}\n".encode())
        output.flush()
        with self._guard:
            if self._stopped:
                raise ProcessError(f"building {step.label} was stopped.")
            try:
                child = subprocess.Popen(
                    command,
                    cwd=expand(step.cwd, values),
                    env=self._env()
                    | ({"HOME": caller.home} if caller else {})
                    | {key: expand(value, values) for key, value in step.env.items()},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    user=caller.uid if caller else None,
                    group=caller.gid if caller else None,
                    extra_groups=[] if caller and os.geteuid() == 0 else None,
                )
            except OSError as exc:
                raise ProcessError(f"building {step.label} failed: {command[0]}: {exc.strerror}.") from exc
            self._children.add(child)
        note = _note(Path(values["out"]))
        note.unlink(missing_ok=True)
        with note.open("x") as file:  # made anew, as the log
            file.write(f"{child.pid} {_start_time(child.pid)}")
        try:
            code = child.wait()
        finally:
            self._children.discard(child)
        if code != 0:
            tail = log.read_text(errors="replace").strip().splitlines()[-15:]
            raise ProcessError(
                f"building {step.label} failed: {command[0]} ended with code {code}. What is built so far is kept; "
                f"run again to go on. The last lines of {log}:\n" + "\n".join(tail),
                log=str(log),
            )

    def _stop(self) -> None:
        """End every command that still runs, so that no compiler outlives an interrupted play."""
        with self._guard:
            self._stopped = True
            for child in list(self._children):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGTERM)

    def _values(self, step: Step, out: Path) -> dict[str, str]:
        values = {"out": str(out), "files": str(self.files), "cache": str(self.cache), "key": self.keys[step.name]}
        for need in step.needs:
            values[f"out:{need}"] = str(self.path(need))
            values[f"key:{need}"] = self.keys[need]
        return values | {f"program:{name}": path for name, path in self.programs.items()}

    def _env(self) -> dict[str, str]:
        return environment_of(os.environ, self.env)

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        path = self.cache / "locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Neither emptied nor followed: it may be in a folder of somebody's who is not root.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _take_over(folder: Path) -> None:
    """Make what was built ours, so that who built it cannot change it any more."""
    us = (os.geteuid(), os.getegid())
    for base, folders, files, here in os.fwalk(folder):
        # The folder first: from then on nobody else can put something in place of what is looked at.
        os.fchown(here, *us)
        os.fchmod(here, 0o755)
        for name in [*folders, *files]:
            mode = os.stat(name, dir_fd=here, follow_symlinks=False).st_mode
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                raise ProcessError(f"{base}/{name} is neither a file nor a folder, and a build leaves nothing else.")
            os.chown(name, *us, dir_fd=here, follow_symlinks=False)
            if stat.S_ISREG(mode):
                os.chmod(name, mode & 0o755, dir_fd=here)


def _note(partial: Path) -> Path:
    """The file beside an unfinished result that names the command that works on it."""
    return partial.with_name(f"{partial.name}.pid")


def _start_time(pid: int) -> str:
    """When a process was started, as the kernel counts; empty when it is gone. Source: proc(5), field 22 of stat."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _end_leftover(note: Path) -> None:
    """End the command of a builder that was killed: it would go on writing into the folder that is filled anew."""
    try:
        pid, started = note.read_text().split()
    except (OSError, ValueError):
        return
    if _start_time(int(pid)) == started:  # else the number belongs to somebody else by now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(pid), signal.SIGKILL)
        poll(lambda: _start_time(int(pid)) != started, time.monotonic() + 10, 0.05)
    note.unlink(missing_ok=True)


def _clock(started: float) -> str:
    """Return the time since ``started`` as minutes and seconds."""
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    return f"{minutes:d}:{seconds:02d}"

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Files that are never half written, and those that hold a secret: never readable by others."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError


@dataclass
class SecretFile:
    """A file of mode 0600 that takes the place of ``path`` all at once, or not at all."""

    path: Path
    _temporary: Path
    _descriptor: int

    @classmethod
    def open(cls, path: str) -> SecretFile:
        """Make the temporary file beside ``path``, so that a folder which cannot be written is noticed at once."""
        target = Path(path)
        try:
            # mkstemp makes the file with mode 0600 from the start.
            descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        except OSError as error:
            raise InputError(f"{target.parent} cannot be written: {error.strerror}.") from error
        return cls(target, Path(temporary), descriptor)

    def commit(self, text: str, modified_at: float | None = None) -> None:
        """Write ``text`` and put the file in its place, with another time of modification where one is given."""
        os.write(self._descriptor, text.encode())
        os.fsync(self._descriptor)
        if modified_at is not None:
            os.utime(self._temporary, (time.time(), modified_at))
        self._temporary.replace(self.path)

    def close(self) -> None:
        """Leave nothing behind, whether the file was committed or not."""
        os.close(self._descriptor)
        self._temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until nobody else is at a folder by this, and be the only one (flock(2))."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def replace(path: Path, text: str, mode: int = 0o600) -> None:
    """Put ``text`` in place of what ``path`` held: a reader sees the old file or the new one. Raises OSError."""
    # mkstemp makes the file with mode 0600, so that it is never more open than it is to be.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


_temporaries: set[Path] = set()


def private_temporary(name: str, text: str) -> Path:
    """Return a file of mode 0600 that holds ``text`` until :func:`remove_temporaries`, or until the process ends."""
    try:
        descriptor, path = tempfile.mkstemp(prefix="trustmesh-", suffix=f".{name}")
    except OSError as error:
        raise InputError(f"{tempfile.gettempdir()} cannot be written: {error.strerror}. Set TMPDIR.") from error
    _temporaries.add(Path(path))
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(path)


@atexit.register
def remove_temporaries() -> None:
    """Remove the files of :func:`private_temporary`."""
    while _temporaries:
        _temporaries.pop().unlink(missing_ok=True)

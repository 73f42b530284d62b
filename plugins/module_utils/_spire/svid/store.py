# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The folder of an SVID: all effects.

Its files are in a folder of their own, to which the link ``current`` leads. The next ones are written beside it, and
then the link is replaced: whoever opens ``current/…`` finds the old files or the new ones, and a key beside its
certificate.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.trustmesh.spiffe.plugins.module_utils import _files
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError

CURRENT = "current"
_PREFIX = "svid-"
_LARGEST = 1024 * 1024


@dataclass(frozen=True)
class User:
    """Who may read the files."""

    uid: int
    gid: int

    @classmethod
    def named(cls, name: str | None) -> User:
        """Return the user of a name or number, by default the one who runs this."""
        if name is None:
            return cls(os.geteuid(), os.getegid())
        try:
            found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        except (KeyError, OverflowError):
            raise InputError(f"owner: there is no user {name} on the host where the module runs.") from None
        if os.geteuid() not in (0, found.pw_uid):
            raise InputError(
                f"owner: only root can give files to {name}, and this runs as user {os.geteuid()}. Set become, or "
                "leave owner out."
            )
        return cls(found.pw_uid, found.pw_gid)

    @property
    def is_me(self) -> bool:
        return self.uid == os.geteuid()

    @property
    def folder_mode(self) -> int:
        """Others may pass through to files that are theirs, and see nothing on the way."""
        return 0o700 if self.is_me else 0o711


@dataclass(frozen=True)
class Store:
    """The folder, and whose its files are."""

    path: Path
    user: User

    def check(self) -> None:
        """Refuse a folder into which somebody else could put links, or that holds something else."""
        self._check_folder(self.path)
        link = self.path / CURRENT
        if link.exists() and not link.is_symlink():
            raise InputError(
                f"path: {link} is there, and is no link of this module. Give the SVID a folder of its own."
            )

    def _check_folder(self, path: Path) -> None:
        try:
            found = path.lstat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"path: {path} cannot be read: {error.strerror}.") from error
        if not stat.S_ISDIR(found.st_mode):
            raise InputError(f"path: {path} is no folder, or a link to one. Put a folder there.")
        if found.st_uid != os.geteuid():
            raise InputError(f"path: {path} belongs to user {found.st_uid}, not to {os.geteuid()}, who runs this.")
        if found.st_mode & 0o022:
            raise InputError(f"path: {path} has mode {stat.S_IMODE(found.st_mode):04o}, so others may write. Set 0700.")

    def read(self, name: str) -> str | None:
        """Return the text of a file. One that is missing, somebody else's, or open to others is as good as none."""
        path = self.path / CURRENT / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            private = found.st_uid == self.user.uid and not found.st_mode & 0o077
            if not (stat.S_ISREG(found.st_mode) and private and found.st_size <= _LARGEST):
                return None
            return file.read().decode(errors="replace")

    @contextlib.contextmanager
    def alone(self, make: bool) -> Iterator[None]:
        """Be the only one who reads and changes it. Where there is none and none is to be made, nobody waits."""
        if make:
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"path: {self.path} cannot be made: {error.strerror}.") from error
        elif not self.path.is_dir():
            yield
            return
        with _files.locked(self.path):
            yield

    def put(self, files: Mapping[str, str]) -> None:
        """Make these the files of the folder, all at one moment."""
        try:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self.path))
            for name, text in files.items():
                self._write(folder / name, text)
            folder.chmod(self.user.folder_mode)
            self.path.chmod(self.user.folder_mode)
            link = folder.with_name(f".{folder.name}")
            link.symlink_to(folder.name)
            link.replace(self.path / CURRENT)
        except OSError as error:
            raise TrustmeshError(f"path: {self.path} could not be written: {error.strerror}.") from error
        for left in self.path.glob(f"{_PREFIX}*"):
            if left.name != folder.name:
                shutil.rmtree(left, ignore_errors=True)

    def _write(self, path: Path, text: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            if not self.user.is_me:
                os.fchown(file.fileno(), self.user.uid, self.user.gid)

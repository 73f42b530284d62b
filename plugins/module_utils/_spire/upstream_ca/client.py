# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The folder in which a CA is kept, and the Secret by which a server gets it: all effects.

A pair is a folder of its own, made beside its place and put there by one rename, so that it is never half there. Who
comes second finds the place taken, and takes what is there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.trustmesh.spiffe.plugins.module_utils import _files
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.codec import parse_list, render_list
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject, stub
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.codec import (
    BUNDLE,
    CERTIFICATE,
    KEY,
    namespace_object,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.model import Pair
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.plan import CURRENT, PREVIOUS

ANNOTATION = "trustmesh.io/upstream-ca"
FIELD_MANAGER = "trustmesh.spiffe"
_LARGEST = 1024 * 1024


@dataclass(frozen=True)
class Store:
    """The folder of a CA."""

    path: Path

    def read(self, which: str) -> Pair | None:
        """Return a pair, or nothing when it is not there. What others could read or change is refused."""
        place = self.path / which
        if not place.is_symlink() and not place.exists():
            if self.path.is_symlink() or self.path.exists():
                check_private(self.path, folder=True)
            return None
        for folder in (self.path, place):
            check_private(folder, folder=True)
        return Pair(*(read_private(place / name) for name in (CERTIFICATE, KEY, BUNDLE)))

    def make_folder(self) -> None:
        """Make the folder itself."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"path: {self.path} cannot be made: {error.strerror}.") from error
        check_private(self.path, folder=True)

    @contextlib.contextmanager
    def alone(self, make: bool) -> Iterator[None]:
        """Be the only one who reads and changes it. Where there is none and none is to be made, nobody waits."""
        if make:
            self.make_folder()
        # One that belongs to somebody else is refused by whoever reads it.
        elif not self.exists() or not os.access(self.path, os.R_OK):
            yield
            return
        with _files.locked(self.path):
            yield

    def put(self, pair: Pair) -> bool:
        """Make a pair the current one, unless there is one. Return whether it is this one."""
        self.make_folder()
        try:
            temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=self.path))
        except OSError as error:
            raise InputError(f"path: {self.path} cannot be written: {error.strerror}.") from error
        try:
            for name, text in ((CERTIFICATE, pair.certificate), (KEY, pair.key), (BUNDLE, pair.bundle)):
                _write(temporary / name, text)
            _sync(temporary)
            return _moved(temporary, self.path / CURRENT)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def keep(self) -> None:
        """Put the current pair aside. Who comes second does nothing: either it is gone, or its place is taken."""
        with contextlib.suppress(FileNotFoundError):
            _moved(self.path / CURRENT, self.path / PREVIOUS)

    def drop(self) -> None:
        """Delete the pair that was put aside, and what was noted on the way. The mark goes first."""
        with contextlib.suppress(FileNotFoundError):
            gone = Path(tempfile.mkdtemp(prefix=".old-", dir=self.path))
            (self.path / PREVIOUS).rename(gone)
        for left in [*self.path.glob(".old-*"), *self.path.glob(".new-*")]:
            shutil.rmtree(left, ignore_errors=True)
        for noted in self.path.glob("*.agents.json"):
            noted.unlink(missing_ok=True)

    def exists(self) -> bool:
        """Whether there is a folder, whatever is in it."""
        return self.path.is_dir() and not self.path.is_symlink()

    def remove(self) -> None:
        """Delete all of it. Somebody else may be at it, too."""
        if not self.path.is_symlink() and not self.path.exists():
            return
        with contextlib.suppress(FileNotFoundError):
            check_private(self.path, folder=True)
            shutil.rmtree(self.path)


def _moved(source: Path, target: Path) -> bool:
    """Rename a folder, unless the target is taken; an empty folder is no hindrance. Return whether it was done."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    _sync(target.parent)
    return True


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_private(path: Path, folder: bool = False, name: str = "path") -> None:
    """Refuse what is a link, what is somebody else's, and what others may read or write."""
    try:
        found = path.lstat()
    except OSError as error:
        raise InputError(f"{name}: {path} cannot be read: {error.strerror}.") from error
    wanted = "0700" if folder else "0600"
    if stat.S_ISLNK(found.st_mode):
        raise InputError(f"{name}: {path} is a link, and may lead to what others have made. Put the real one there.")
    if folder != stat.S_ISDIR(found.st_mode) or not (folder or stat.S_ISREG(found.st_mode)):
        raise InputError(f"{name}: {path} is no {'folder' if folder else 'file'}.")
    if found.st_uid != os.geteuid():
        raise InputError(f"{name}: {path} belongs to user {found.st_uid}, not to {os.geteuid()}, who runs this.")
    if found.st_mode & 0o077:
        raise InputError(
            f"{name}: {path} has mode {stat.S_IMODE(found.st_mode):04o}, and others get to the CA's key. Set {wanted};"
            " if somebody may have read the key, replace the CA."
        )


def read_private(path: Path, name: str = "path") -> str:
    """Return the text of a file that only its owner may read."""
    check_private(path, name=name)
    return read_text(path, name)


def read_text(path: Path, name: str) -> str:
    """Return the text of a file of a user's."""
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{name}: {path} is larger than a CA's file is.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{name}: {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: {path} is no PEM.") from error


@dataclass(frozen=True)
class Cluster:
    """The Secret of a CA in the cluster of a server, and the server's pods."""

    kubectl: Kubectl
    namespace: str
    pod: str | None = None
    selector: str | None = None

    def secret(self, wanted: KubeObject) -> KubeObject | None:
        """Return the Secret as it is. It is held in memory only, and no error shows what was read."""
        arguments = ["get", "--ignore-not-found", "-o", "json", "-f", "-"]
        doing = f"Reading the Secret {self.namespace}/{wanted['metadata']['name']}"
        completed = self._run(arguments, wanted)
        if completed.rc != 0:
            raise ProcessError(f"{doing} failed: {completed.stderr.strip()[-500:] or 'kubectl printed nothing'}")
        try:
            found = parse_list(completed.stdout, doing)
        except ProcessError:
            raise ProcessError(f"{doing} failed: kubectl printed something that is no object.") from None
        return found[0] if found else None

    def _run(self, arguments: Sequence[str], obj: KubeObject) -> Completed:
        return self.kubectl.process.run(
            [*self.kubectl.access.argv, *arguments], render_list([obj]), self.kubectl.timeout
        )

    def annotations(self) -> Mapping[str, str]:
        """Return for each of the server's pods what it was told last; nothing for a server that is not there yet."""
        pods = self._pods()
        return {
            pod["metadata"]["name"]: (pod["metadata"].get("annotations") or {}).get(ANNOTATION, "")
            for pod in pods
            if not pod["metadata"].get("deletionTimestamp")
        }

    def _pods(self) -> Sequence[KubeObject]:
        if self.selector:
            arguments = ["get", "pods", "--namespace", self.namespace, f"--selector={self.selector}", "-o", "json"]
            return self.kubectl.read(arguments, None, "Reading the server's pods")
        if not self.pod:
            return []
        kind, _slash, _name = self.pod.rpartition("/")
        words = [self.pod] if kind else ["pod", self.pod]
        asked = ["get", "--ignore-not-found", "--namespace", self.namespace, "-o", "json", *words]
        found = self.kubectl.read(asked, None, "Reading the server's workload")
        if not found or not kind or kind.lower() in ("pod", "pods", "po"):
            return found
        return self.kubectl.pods(found[0])

    def apply(self, secret: KubeObject, live: KubeObject | None) -> None:
        """Write the Secret, and its namespace when there is none. The key goes by standard input."""
        place = namespace_object(self.namespace)
        if live is None and not self.kubectl.named([place]):
            # An existing one is left as it is: others say what is in it.
            arguments = ["apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "-f", "-"]
            self.kubectl.run(arguments, render_list([place]), "Making the server's namespace")
        if live is not None and live.get("type") != secret["type"]:
            self.withdraw(live)  # the type of a Secret cannot be changed
        arguments = ["apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "-f", "-"]
        completed = self._run(arguments, secret)
        if completed.rc != 0:
            # An API server may repeat in its answer what it was given.
            words = completed.stderr.strip()
            why = "(it repeats the object)" if secret["data"][KEY][:40] in words else words[-500:]
            name = secret["metadata"]["name"]
            raise ProcessError(
                f"The Secret {self.namespace}/{name} could not be applied: {why or 'kubectl said nothing'}"
            )

    def annotate(self, pod: str, authority_id: str) -> None:
        """Change a pod so that its kubelet looks at its volumes at once."""
        arguments = ["annotate", "pod", pod, "--namespace", self.namespace, "--overwrite"]
        self.kubectl.run([*arguments, f"{ANNOTATION}={authority_id}"], None, "Telling the server's pod of the new CA")

    def withdraw(self, secret: KubeObject) -> None:
        """Delete the Secret."""
        arguments = ["delete", "--ignore-not-found", "-f", "-"]
        self.kubectl.run(arguments, render_list([stub(secret)]), "Deleting the Secret of the CA")

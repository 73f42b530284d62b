# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a workload's X.509-SVID, its key and the trust bundle to files, and keeps them fresh.

For programs that read files: it asks the SPIFFE Workload API, and writes anew whenever the agent has something new.

What belongs together becomes visible together, as the kubelet does it with a Secret: each version is a folder of its
own, ``..data`` is a link to the one that counts and is replaced by a rename, and the files are links through it. So a
program that is told of the change finds all of it, and who opens ``..data`` once reads files that fit, because the
version before stays until the next one.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import queue
import re
import secrets
import signal
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

# What is slow to load stands where it is used: a probe needs none of it.

DATA = "..data"
"""The link to the version that counts, by the name that the kubelet gives it."""
FRESH = "..fresh"
"""A link that is not yet in its place."""
VERSION = re.compile(r"\.\.\d{4}(_\d\d){5}\.[0-9a-f]{8}")
RETRY_S = 1.0
"""Seconds between two tries. Somebody waits for the first certificate, and the socket is on the same machine."""
RENEWED_BY = 0.8
"""The part of what is left of a certificate by which there must be a new one. SPIRE's agent renews at half."""
PATIENCE_S = 10.0
"""Seconds within which an agent answers somebody who has just come, one way or the other."""


class Refused(Exception):
    """Something is wrong that trying again does not mend."""


class Waiting(Exception):
    """There is nothing to write yet; the text says why."""


# What is decided


def file_name(text: str) -> str:
    """Take a name that is no path and none of the program's own."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a plain file name.")
    return text


def socket_path(text: str) -> str:
    """Take the path of a socket, with or without unix: before it."""
    path = re.sub(r"^unix:(//)?(?=/)", "", text)
    if not re.fullmatch(r"/[\w./+@:-]+", path, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not the absolute path of a socket.")
    return path


def one_line(text: object) -> str:
    """Return what others have said without what could end or hide a line of the log."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))[:500]


@dataclass(frozen=True)
class Names:
    """What the files are called, and who may read them. Those without a name are not written."""

    certificate: str = "svid.pem"
    key: str = "svid.key"
    bundle: str = "bundle.pem"
    combined: str = ""
    federated: str = ""
    mode: int = 0o644
    key_mode: int = 0o600

    def __post_init__(self) -> None:
        names = [name for name in (self.certificate, self.key, self.bundle, self.combined, self.federated) if name]
        if len(names) != len(set(names)):
            raise Refused("two files have the same name: " + ", ".join(names))


@dataclass(frozen=True)
class File:
    """A file to be written. Its content is left out of what is printed."""

    content: bytes = field(repr=False)
    mode: int


def public_key(owner: Any) -> bytes:
    """Return the public key of a certificate or a private key, to be compared."""
    key: bytes = owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key


def pem(certificates: Any) -> bytes:
    """Return certificates as PEM, in the order given."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def authorities(bundle: Any) -> bytes:
    """Return a bundle as PEM, always in the same order."""
    return pem(sorted(bundle.x509_authorities, key=lambda one: one.public_bytes(Encoding.DER)))


def chosen(context: Any, wanted: str) -> Any:
    """Return the SVID that is wanted, or the first one, which SPIFFE calls the default."""
    for svid in context.x509_svids:
        if not wanted or str(svid.spiffe_id) == wanted:
            return svid
    given = ", ".join(str(svid.spiffe_id) for svid in context.x509_svids)
    raise Waiting(f"the agent gives {given}, and not {wanted}")


def files_of(svid: Any, bundles: Mapping[str, Any], names: Names) -> dict[str, File]:
    """Return the files for an SVID; ``bundles`` by trust domain. A name may have a folder before it."""
    own = svid.spiffe_id.trust_domain.name
    if own not in bundles or not bundles[own].x509_authorities:
        raise Waiting(f"the agent gives no bundle of the trust domain {own}")
    if public_key(svid.leaf) != public_key(svid.private_key):
        raise Waiting(f"the agent gives a key that is not that of the certificate of {svid.spiffe_id}")
    key = svid.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = pem(svid.cert_chain)
    files = {
        names.bundle: File(authorities(bundles[own]), names.mode),
        names.certificate: File(chain, names.mode),
        names.key: File(key, names.key_mode),
    }
    if names.combined:
        files[names.combined] = File(chain + key, names.key_mode)
    if names.federated:
        # A file for each trust domain: in one file, each could speak for the others.
        for domain in sorted(bundles.keys() - {own}):
            if re.fullmatch(r"[a-z0-9._-]{1,250}", domain):
                files[f"{names.federated}/{domain}.pem"] = File(authorities(bundles[domain]), names.mode)
    return files


# The folder


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a folder that is ours alone to write to. All that follows goes into this one, whatever its path leads to."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o755)
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:  # a link, too
        raise Refused(f"{path} is no folder, or a link to one") from None
    try:
        found = os.fstat(folder)
        hint = f"Name a folder below it, such as {path}/svid: it is made."
        if found.st_uid != os.geteuid():
            raise Refused(f"{path} belongs to user {found.st_uid}, and this is user {os.geteuid()}. {hint}")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Refused(f"others may write to {path} (mode {stat.S_IMODE(found.st_mode):04o}). {hint}")
        yield folder
    finally:
        os.close(folder)


@contextlib.contextmanager
def inside(name: str, folder: int) -> Iterator[int]:
    """Open a folder in a folder."""
    handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


def entries_of(folder: int) -> list[str]:
    """Return the names of what is in a folder."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def target(name: str, folder: int) -> str | None:
    """Return where a link leads, or None where there is none; empty when it is something else than a link."""
    try:
        return os.readlink(name, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError:
        return ""


def put(name: str, leads_to: str, folder: int) -> None:
    """Make a link, in place of one that is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(FRESH, dir_fd=folder)
    os.symlink(leads_to, FRESH, dir_fd=folder)
    os.rename(FRESH, name, src_dir_fd=folder, dst_dir_fd=folder)


def remove(name: str, folder: int) -> None:
    """Remove a version, with what is in it."""
    with inside(name, folder) as version:
        for entry in entries_of(version):
            if stat.S_ISDIR(os.stat(entry, dir_fd=version, follow_symlinks=False).st_mode):
                remove(entry, version)
            else:
                os.unlink(entry, dir_fd=version)
    os.rmdir(name, dir_fd=folder)


def contents(version: int, below: str = "") -> dict[str, File]:
    """Return the files of a version."""
    files = {}
    for name in entries_of(version):
        about = os.stat(name, dir_fd=version, follow_symlinks=False)
        if stat.S_ISDIR(about.st_mode):
            with inside(name, version) as deeper:
                files |= contents(deeper, f"{below}{name}/")
        else:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=version)
            with os.fdopen(handle, "rb") as file:
                files[below + name] = File(file.read(), stat.S_IMODE(about.st_mode))
    return files


def fill(version: int, files: Mapping[str, File]) -> None:
    """Write files into a new version."""
    # A volume of a pod with an fsGroup hands its group on by that bit.
    os.fchmod(version, 0o755 | (os.fstat(version).st_mode & stat.S_ISGID))
    for name, file in files.items():
        below, slash, rest = name.partition("/")
        if slash:
            with contextlib.suppress(FileExistsError):
                os.mkdir(below, dir_fd=version)
            with inside(below, version) as deeper:
                fill(deeper, {rest: file})
            continue
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=version), "wb") as new:
            os.fchmod(new.fileno(), file.mode)
            new.write(file.content)


def write(path: Path, files: Mapping[str, File]) -> bool:
    """Make the files of a folder these, all at one moment. Return whether they were others."""
    with opened(path) as folder:
        links = {name.partition("/")[0]: f"{DATA}/{name.partition('/')[0]}" for name in files}
        entries = entries_of(folder)
        before = target(DATA, folder)
        foreign = [name for name in links if name in entries and target(name, folder) != links[name]]
        if before is not None and not VERSION.fullmatch(before):
            foreign.append(DATA)
        if foreign:
            raise Refused(f"{path}/{foreign[0]} is there, and is not of this program")
        changed = True
        if before:
            # A version that cannot be read is one that was cut short.
            with contextlib.suppress(OSError), inside(before, folder) as version:
                changed = contents(version) != files
        # Links first: they lead nowhere until all files are there.
        for name in [name for name in links if name not in entries]:
            put(name, links[name], folder)
        if changed:
            now = datetime.datetime.now(datetime.timezone.utc)
            after = f"..{now:%Y_%m_%d_%H_%M_%S}.{secrets.token_hex(4)}"
            os.mkdir(after, 0o700, dir_fd=folder)
            with inside(after, folder) as version:
                fill(version, files)
            put(DATA, after, folder)
        else:
            after = before
        for name in entries:
            leads_to = target(name, folder)
            if leads_to == f"{DATA}/{name}" and name not in links:
                os.unlink(name, dir_fd=folder)
            # Who has opened the version before may read on.
            elif VERSION.fullmatch(name) and name not in (before, after):
                remove(name, folder)
        return changed


# Probe


def check(path: Path, names: Names, now: datetime.datetime) -> str:
    """Return what the files hold, or raise when they are not there, do not fit or have expired."""
    try:
        with opened_to_read(path) as version:
            files = contents(version)
        leaf = x509.load_pem_x509_certificate(files[names.certificate].content)
        key = load_pem_private_key(files[names.key].content, None)
        x509.load_pem_x509_certificates(files[names.bundle].content)
    except FileNotFoundError:
        raise Refused(f"there are no files in {path}") from None
    except KeyError as error:
        raise Refused(f"{path} has no file {error}") from None
    except ValueError:
        raise Refused(f"what is in {path} cannot be read") from None
    if public_key(leaf) != public_key(key):
        raise Refused(f"in {path} the key is not that of the certificate")
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        raise Refused(f"the certificate in {path} is valid from {leaf.not_valid_before_utc} to {until(leaf)}")
    return f"valid until {until(leaf)}"


@contextlib.contextmanager
def opened_to_read(path: Path) -> Iterator[int]:
    """Open the version that counts, as any reader would."""
    handle = os.open(path / DATA, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def until(leaf: x509.Certificate) -> str:
    """Return when a certificate ends."""
    return f"{leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"


# Workload API


def tell(text: str) -> None:
    """Write a line of the log."""
    print(f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ} {one_line(text)}", flush=True)


class Connection:
    """One stream of the Workload API. What comes is in ``events``: a context, or why there is none.

    It is made anew for each try, and closed after it: a channel of gRPC that is kept waits longer and longer before it
    looks again, up to two minutes, and would not see an agent that is back.
    """

    def __init__(self, path: str) -> None:
        import spiffe  # noqa: PLC0415

        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            there = Path(path).exists()
        except OSError as error:
            raise Waiting(f"the socket {path} cannot be reached: {error.strerror}") from None
        if not there:
            raise Waiting(f"there is no socket {path}: no agent is running, or it is another path")
        try:
            self._client = spiffe.WorkloadApiClient(f"unix:{path}")
        except Exception as error:
            raise Waiting(f"{path} cannot be used: {error}") from None
        self._stream = self._client.stream_x509_contexts(self.events.put, self.events.put, retry_connect=False)

    def next(self, deadline: float) -> Any:
        """Wait for what comes next. Raises queue.Empty at the deadline."""
        event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
        if isinstance(event, Exception):
            raise Waiting(reason(str(event)))
        return event

    def close(self) -> None:
        self._stream.cancel()
        self._client.close()


def reason(error: str) -> str:
    """Return what an error of the library means."""
    if "PERMISSION_DENIED" in error:
        return "the agent has no identity for this process: no registration entry fits it, or it has not come here yet"
    if "UNAVAILABLE" in error:
        return "the agent does not answer"
    return f"the agent's answer cannot be used: {error}"


@dataclass
class Keeper:
    """Keeps the files of a folder fresh."""

    folder: Path
    names: Names
    socket: str
    spiffe_id: str = ""
    leaf: x509.Certificate | None = None
    told: str = ""

    def run(self, once: bool, timeout: float) -> None:
        """Write what the agent gives, until it is once written or for ever."""
        deadline = time.monotonic() + timeout if once else None
        while True:
            try:
                self._follow(once, deadline)
                return
            except Waiting as error:
                self._say(str(error))
            except OSError as error:
                self._say(f"{self.folder} cannot be written: {error.strerror}")
            except queue.Empty:
                # A last try may have had no more than a moment: what an earlier one was told is worth more.
                if self.told and deadline is not None and time.monotonic() >= deadline:
                    why = f"{self.told}; asked once more, the agent had not answered by then"
                    raise Refused(f"nothing was written within {timeout:g} s: {why}") from None
                self._say("the agent has not answered")
            if deadline is not None and time.monotonic() + RETRY_S > deadline:
                raise Refused(f"nothing was written within {timeout:g} s: {self.told}")
            time.sleep(RETRY_S)

    def _follow(self, once: bool, deadline: float | None) -> None:
        connection = Connection(self.socket)
        try:
            limit = time.monotonic() + PATIENCE_S
            while True:
                leaf = self._take(connection.next(limit if deadline is None else min(limit, deadline)))
                if once:
                    return
                # An agent renews long before the end. One that has not is asked anew: it may hang.
                left = leaf.not_valid_after_utc - datetime.datetime.now(datetime.timezone.utc)
                limit = time.monotonic() + max(PATIENCE_S, left.total_seconds() * RENEWED_BY)
        finally:
            connection.close()

    def _take(self, context: Any) -> x509.Certificate:
        """Write what the agent gives, and return its certificate."""
        svid = chosen(context, self.spiffe_id)
        bundles = {bundle.trust_domain.name: bundle for bundle in context.x509_bundle_set.bundles}
        files = files_of(svid, bundles, self.names)
        changed = write(self.folder, files)
        if changed or self.told or not self.leaf:
            of = f", of {len(context.x509_svids)} identities" if len(context.x509_svids) > 1 else ""
            tell(f"{'written' if changed else 'unchanged'}: {svid.spiffe_id} until {until(svid.leaf)}{of}")
        self.leaf, self.told = svid.leaf, ""
        if self.names.federated:
            there = sum(name.startswith(f"{self.names.federated}/") for name in files)
            if there < len(bundles) - 1:
                tell(f"{len(bundles) - 1 - there} federated bundles have no name that can be one of a file")
        return self.leaf

    def _say(self, why: str) -> None:
        """Tell why nothing is written, when it is another reason than the last one."""
        now = datetime.datetime.now(datetime.timezone.utc)
        if self.leaf and self.leaf.not_valid_after_utc <= now:
            why += f"; the certificate in the files has expired at {until(self.leaf)}"
        if why != self.told:
            tell(f"waiting: {why}")
        self.told = why


# Command line


def end(_number: int, _frame: FrameType | None) -> None:
    """End at once: what is half written is in no reader's way."""
    os._exit(0)


def arguments() -> argparse.ArgumentParser:
    """Return the options."""
    parser = argparse.ArgumentParser(description="Writes a workload's X.509-SVID to files and keeps them fresh.")
    parser.add_argument(
        "--socket",
        type=socket_path,
        default=os.environ.get("SPIFFE_ENDPOINT_SOCKET") or None,
        help="the Workload API's socket; by default that of SPIFFE_ENDPOINT_SOCKET",
    )
    parser.add_argument("--folder", type=Path, required=True, help="made when missing; nobody else may write to it")
    parser.add_argument("--certificate", type=file_name, default=Names.certificate, help="the chain (%(default)s)")
    parser.add_argument("--key", type=file_name, default=Names.key, help="the private key (%(default)s)")
    parser.add_argument("--bundle", type=file_name, default=Names.bundle, help="the own trust domain's (%(default)s)")
    parser.add_argument("--combined", type=file_name, help="one file more with the chain and the key")
    parser.add_argument(
        "--federated", type=file_name, help="a folder more with <trust domain>.pem of each federated one"
    )
    parser.add_argument("--key-mode", choices=("0600", "0640", "0400", "0440"), default="0600")
    parser.add_argument("--mode", choices=("0600", "0640", "0644"), default="0644", help="of what is not secret")
    parser.add_argument("--spiffe-id", default="", help="which identity, where there are several; by default the first")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--once", action="store_true", help="end when the files are written")
    what.add_argument("--check", action="store_true", help="only see whether the files are there and valid")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds that --once may take (%(default)g)")
    return parser


def main() -> int:
    parser = arguments()
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # as the first process of a container there is no default
        signal.signal(number, end)
    os.environ["GRPC_VERBOSITY"] = "NONE"  # what it has to say is said here
    try:
        names = Names(
            *(options.certificate, options.key, options.bundle, options.combined or "", options.federated or ""),
            *(int(options.mode, 8), int(options.key_mode, 8)),
        )
        if options.check:
            print(check(options.folder, names, datetime.datetime.now(datetime.timezone.utc)))
            return 0
        if not options.socket:
            parser.error("give --socket, or SPIFFE_ENDPOINT_SOCKET")
        with opened(options.folder):
            pass
        Keeper(options.folder, names, options.socket, options.spiffe_id).run(options.once, options.timeout)
    except (Refused, OSError) as error:
        tell(f"failed: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

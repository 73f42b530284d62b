# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Calls of a SPIRE server through its own command line: one, or several as batches, and what a failure means.

What can be asked of a server stands with its kind of object, in ``<kind>/client.py``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import (
    NotReachedError,
    ProcessError,
    ProcessTimeout,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import (
    Completed,
    LocalProcess,
    Process,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire import codec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.causes import (
    essence,
    find_cause,
    which_program,
    without_usage,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import ItemResult
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact

DEFAULT_SOCKET = "/tmp/spire-server/private/api.sock"  # noqa: S108  SPIRE's own default


@dataclass(frozen=True)
class SpireServer:
    """The server behind ``socket_path``, as ``process`` reaches it.

    A call takes ``timeout`` seconds at most. A server that is not reached at all is tried again for ``wait_timeout``
    seconds: the request was not delivered then, so that trying again is safe for every verb.
    """

    process: Process
    binary: str = "spire-server"
    socket_path: str = DEFAULT_SOCKET
    timeout: float = 30
    wait_timeout: float = 0

    def batches(self, items: Iterable[Any], name: str, verb: list[str], doing: str) -> Iterator[list[ItemResult]]:
        pace = _Pace(self.timeout)
        for count, text in codec.batches(items, name, lambda: pace.limit):
            started = time.monotonic()
            results = codec.results_from_server(self.call(verb, doing, text), count, doing)
            pace.took(count, time.monotonic() - started)
            yield results

    def call(self, verb: list[str], doing: str, stdin: str | None = None, secret: bool = False) -> dict[str, Any]:
        argv = [self.binary, *verb, "-socketPath", self.socket_path, "-output", "json"]
        completed = self.reach(argv, doing, stdin)
        if completed.rc != 0:
            self.fail(completed, doing, secret)
        return codec.loads(completed.stdout, doing, secret)

    def reach(self, argv: list[str], doing: str, stdin: str | None) -> Completed:
        """Run a command, again for ``wait_timeout`` as long as it does not get to the server.

        Most commands are one call. The one of several calls, which could be cut off between two, only reads:
        ``entry show``, page by page.
        """
        deadline = time.monotonic() + self.wait_timeout
        while True:
            try:
                completed = self.run(argv, doing, stdin)
            except NotReachedError:
                if time.monotonic() >= deadline:
                    raise
            else:
                if completed.rc == 0 or not self._undelivered(completed) or time.monotonic() >= deadline:
                    return completed
            time.sleep(_RETRY_S)

    def run(self, argv: list[str], doing: str, stdin: str | None) -> Completed:
        try:
            return self.process.run(argv, stdin, self.timeout)
        except ProcessTimeout as error:
            raise ProcessTimeout(
                f"{doing} failed: no answer from the server at {self.socket_path} within {self.timeout:g} s. "
                "It may be busy or hanging; whether it carried out the request is not known. Look at the server's log, "
                "raise timeout if it is only slow, and run again."
            ) from error
        except ProcessError as error:
            raise type(error)(f"{doing} failed: {redact(error.message)}") from error

    def _undelivered(self, completed: Completed) -> bool:
        cause = find_cause(completed.stderr)
        return cause is not None and cause.undelivered and not self._no_socket()

    def _no_socket(self) -> str | None:
        """Return what stands at the socket's path instead of a socket; for a server of this host only.

        spire-server itself says that nobody answers there.
        """
        path = Path(self.socket_path)
        if not isinstance(self.process, LocalProcess):
            return None
        try:
            if path.is_dir():
                return f"{self.socket_path} is a folder. Give the path of the socket in it as socket_path."
            if path.exists() and not path.is_socket():
                return f"{self.socket_path} is not a socket. Fix socket_path."
        except OSError:  # no permission to look: the words of the program tell
            pass
        return None

    def fail(self, completed: Completed, doing: str, secret: bool) -> NoReturn:
        """Raise with the cause, as far as the words of spire-server, kubectl or the container runtime tell it."""
        words = completed.stderr.strip() or ("" if secret else completed.stdout.strip())
        cause = find_cause(words)
        if cause is None:
            why = f"the command ended with code {completed.rc} and "
            why += "said:" if words else f"printed nothing. Is {self.binary} the program spire-server?"
        else:
            found = self._no_socket() if cause.undelivered else None
            why = found or cause.text.format(socket=self.socket_path, binary=self.binary)
            if cause.program:
                why += f" {which_program(words, self._version_words())}"
        said = redact(words)[-2000:]
        kind = NotReachedError if cause is not None and cause.undelivered else ProcessError
        raise kind(
            f"{doing} failed: {why} {redact(essence(without_usage(words)))[-2000:]}".rstrip(),
            rc=completed.rc,
            stderr=said,
        )

    def _version_words(self) -> str:
        """Return what the program says of its version. It is asked only after it has refused a command."""
        try:
            completed = self.process.run([self.binary, "--version"], None, self.timeout)
        except ProcessError:
            return ""
        return completed.stdout.strip() or completed.stderr.strip()


class _Pace:
    """How many items the next call of several may hold: what the server does in a fifth of the time of one call.

    A server is slow on a slow disk, when it is busy, and with every entry that it has of the same selector, because it
    compares a new one with those. A call that is stopped at its limit leaves nobody knowing what it did.
    """

    def __init__(self, timeout: float) -> None:
        self._share = timeout / 5
        self.limit = _FIRST_BATCH

    def took(self, items: int, seconds: float) -> None:
        self.limit = max(1, int(items * self._share / max(seconds, 0.001)))


_FIRST_BATCH = 200
_RETRY_S = 1.0

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""SVIDs: minted by spire-server without any workload, or fetched from the Workload API of an agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import (
    NotReachedError,
    ProcessError,
    ProcessTimeout,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Process
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.codec import (
    jwt_from_agent,
    jwt_from_server,
    svid_from_server,
    x509_from_agent,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.model import JwtSvid, X509Svid

DEFAULT_AGENT_SOCKET = "/tmp/spire-agent/public/api.sock"  # noqa: S108  SPIRE's own default
_RETRY_S = 1.0

T = TypeVar("T", X509Svid, JwtSvid)


def mint_x509(server: SpireServer, spiffe_id: str, ttl: int, dns_names: Sequence[str] = ()) -> X509Svid:
    """Mint an X509-SVID for a SPIFFE ID, without any workload or entry. ``ttl`` is in seconds, 0 the server's own."""
    doing = f"Minting an X509-SVID for {spiffe_id}"
    words = ["x509", "mint", "-spiffeID", spiffe_id, *_lifetime(ttl)]
    words += [word for name in dns_names for word in ("-dns", name)]
    reply = server.call(words, doing, secret=True)
    try:
        return svid_from_server(reply)
    except (KeyError, ValueError):
        raise ProcessError(f"{doing} failed: the answer holds no certificate and key.") from None


def mint_jwt(server: SpireServer, spiffe_id: str, audience: Sequence[str], ttl: int) -> JwtSvid:
    """Mint a JWT-SVID for a SPIFFE ID, without any workload or entry."""
    doing = f"Minting a JWT-SVID for {spiffe_id}"
    words = ["jwt", "mint", "-spiffeID", spiffe_id, *_lifetime(ttl)]
    reply = server.call([*words, *(w for name in audience for w in ("-audience", name))], doing, secret=True)
    try:
        return jwt_from_server(reply)
    except (KeyError, TypeError, ValueError):
        raise ProcessError(f"{doing} failed: the answer holds no token.") from None


def _lifetime(ttl: int) -> list[str]:
    return ["-ttl", f"{ttl}s"] if ttl else []


@dataclass(frozen=True)
class WorkloadApi:
    """The Workload API behind ``socket_path``, as ``process`` reaches it: who runs the program is who is identified.

    What is not there yet, socket or identity, is asked for again for ``wait_timeout`` seconds.
    """

    process: Process
    binary: str = "spire-agent"
    socket_path: str = DEFAULT_AGENT_SOCKET
    timeout: int = 30
    wait_timeout: float = 0

    def fetch_x509(self, spiffe_id: str | None) -> X509Svid:
        """Return the X509-SVID of the caller with this SPIFFE ID, or its first, which is the default one."""
        return self._fetch(["x509"], "Fetching an X509-SVID", x509_from_agent, spiffe_id)

    def fetch_jwt(self, audience: Sequence[str], spiffe_id: str | None) -> JwtSvid:
        """Return a JWT-SVID of the caller, chosen in the same way."""
        words = ["jwt", "-audience", ",".join(audience), *(["-spiffeID", spiffe_id] if spiffe_id else [])]
        return self._fetch(words, "Fetching a JWT-SVID", jwt_from_agent, spiffe_id)

    def _fetch(self, words: list[str], doing: str, read: Callable[[Any], list[T]], spiffe_id: str | None) -> T:
        argv = [self.binary, "api", "fetch", *words, "-socketPath", self.socket_path]
        argv += ["-timeout", f"{self.timeout}s", "-output", "json"]
        deadline = time.monotonic() + self.wait_timeout
        while True:
            try:
                return _chosen(self._read(argv, doing, read), doing, spiffe_id)
            except NotReachedError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_RETRY_S)

    def _read(self, argv: list[str], doing: str, read: Callable[[Any], list[T]]) -> list[T]:
        reply = self._once(argv, doing)
        try:
            return read(reply)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise ProcessError(f"{doing} failed: the answer holds none that can be read (not shown).") from None

    def _once(self, argv: list[str], doing: str) -> Any:
        try:
            # The program has the limit too, and then says what it waited for.
            completed = self.process.run(argv, None, self.timeout + 5)
        except ProcessTimeout as error:
            raise ProcessTimeout(
                f"{doing} failed: no answer from the agent at {self.socket_path} within {self.timeout} s."
            ) from error
        if completed.rc == 0:
            try:
                return loads(completed.stdout)
            except ValueError:
                raise ProcessError(
                    f"{doing} failed: the output is not JSON (not shown). Is {self.binary} the program spire-agent?"
                ) from None
        words = " ".join(completed.stderr.split())[-2000:]
        for sign, kind, cause in _CAUSES:
            if sign in words:
                why = cause.format(socket=self.socket_path, binary=self.binary)
                raise kind(f"{doing} failed: {why} {words}", rc=completed.rc, stderr=words)
        said = words or f"it printed nothing. Is {self.binary} the program spire-agent?"
        raise ProcessError(f"{doing} failed: {self.binary} ended with code {completed.rc}: {said}", rc=completed.rc)


def _chosen(svids: Sequence[T], doing: str, spiffe_id: str | None) -> T:
    for svid in svids:
        if spiffe_id in (None, svid.spiffe_id):
            return svid
    told = ", ".join(sorted(svid.spiffe_id for svid in svids)) or "nothing"
    raise NotReachedError(f"{doing} failed: the agent gives who asks {told}, and not {spiffe_id}. {_ENTRY}")


_ENTRY = (
    "Is there a registration entry below this agent whose selectors the caller has, and for this SPIFFE ID? An entry "
    "takes about ten seconds to the agent: wait_timeout waits for it."
)

# What spire-agent 1.15 says, and kubectl.
_CAUSES: tuple[tuple[str, type[ProcessError], str], ...] = (
    (
        "no identity issued",
        NotReachedError,
        f"the agent has no identity for who asks. {_ENTRY}",
    ),
    (
        "connect: no such file or directory",
        NotReachedError,
        "there is no socket at {socket}. Is the agent running, and is this its agent_socket_path?",
    ),
    (
        "connect: connection refused",
        NotReachedError,
        "nobody answers at {socket}: the agent is down, or this is not its socket.",
    ),
    ("connect: permission denied", ProcessError, "no permission to use {socket}."),
    ("flag provided but not defined", ProcessError, "{binary} is no spire-agent, or too old for this."),
    ("executable file not found", ProcessError, "{binary} was not found in the container. Set agent_binary."),
)

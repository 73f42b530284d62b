# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""A SPIRE server, through its own command line. The only part of ``_spire`` that has effects on it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, ProcessTimeout
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed, Process
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire import codec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import (
    Agent,
    Bundle,
    ItemResult,
    JoinToken,
    X509Svid,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
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

    def list_entries(self, spiffe_id: str | None = None, parent_id: str | None = None) -> list[Entry]:
        """Return all entries, or those of one SPIFFE ID or parent. The command reads them page by page itself."""
        filters = []
        if spiffe_id:
            filters += ["-spiffeID", spiffe_id]
        if parent_id:
            filters += ["-parentID", parent_id]
        reply = self._json(["entry", "show", *filters], "Reading the registration entries")
        return [codec.entry_from_server(entry) for entry in reply.get("entries") or ()]

    def create_entries(self, entries: Sequence[Entry]) -> Iterator[list[ItemResult]]:
        """Create ``entries`` in batches; yield the results of each batch as it is done, in the order given."""
        return self._batches(entries, ["entry", "create"], "Creating registration entries")

    def update_entries(self, entries: Sequence[Entry]) -> Iterator[list[ItemResult]]:
        """Replace the entries of the same ids, whole, in batches; results as for :meth:`create_entries`."""
        return self._batches(entries, ["entry", "update"], "Updating registration entries")

    def delete_entries(self, entry_ids: Sequence[str]) -> Iterator[list[ItemResult]]:
        """Delete entries in batches; results as for :meth:`create_entries`."""
        doing = "Deleting registration entries"
        for count, text in codec.batches(list(entry_ids), "ids"):
            yield codec.results_from_server(self._json(["entry", "delete", "-file", "-"], doing, text), count, doing)

    def list_agents(self) -> list[Agent]:
        """Return every agent that the server knows, the expired and banned ones too."""
        reply = self._json(["agent", "list"], "Reading the list of agents")
        return [codec.agent_from_server(agent) for agent in reply.get("agents") or ()]

    def evict_agent(self, agent_id: str) -> None:
        """Forget an agent. One that joined by token can come back only with a new token."""
        self._json(["agent", "evict", "-spiffeID", agent_id], f"Evicting the agent {redact(agent_id)}")

    def generate_token(self, spiffe_id: str, ttl: int) -> JoinToken:
        """Mint a join token whose agent gets the alias ``spiffe_id``."""
        doing = f"Minting a join token for {spiffe_id}"
        reply = self._json(["token", "generate", "-spiffeID", spiffe_id, "-ttl", str(ttl)], doing, secret=True)
        if not reply.get("value"):
            raise ProcessError(f"{doing} failed: the answer holds no token.")
        return JoinToken(reply["value"], int(reply.get("expires_at", 0)))

    def show_bundle(self) -> Bundle:
        """Return the trust bundle of the server's own trust domain, as it is now."""
        return codec.bundle_from_server(self._json(["bundle", "show"], "Reading the trust bundle"))

    def mint_x509(self, spiffe_id: str, ttl: int, dns_names: Sequence[str] = ()) -> X509Svid:
        """Mint an X509-SVID for a SPIFFE ID, without any workload or entry. ``ttl`` is in seconds."""
        names = [word for name in dns_names for word in ("-dns", name)]
        doing = f"Minting an X509-SVID for {spiffe_id}"
        reply = self._json(["x509", "mint", "-spiffeID", spiffe_id, "-ttl", f"{ttl}s", *names], doing, secret=True)
        try:
            return codec.svid_from_server(reply)
        except (KeyError, ValueError):
            raise ProcessError(f"{doing} failed: the answer holds no certificate and key.") from None

    def _batches(self, entries: Sequence[Entry], verb: list[str], doing: str) -> Iterator[list[ItemResult]]:
        for count, text in codec.batches([codec.entry_to_server(entry) for entry in entries], "entries"):
            yield codec.results_from_server(self._json([*verb, "-data", "-"], doing, text), count, doing)

    def _json(self, verb: list[str], doing: str, stdin: str | None = None, secret: bool = False) -> dict[str, Any]:
        argv = [self.binary, *verb, "-socketPath", self.socket_path, "-output", "json"]
        deadline = time.monotonic() + self.wait_timeout
        completed = self._run(argv, doing, stdin)
        while completed.rc != 0 and _NOT_REACHED.search(completed.stderr) and time.monotonic() < deadline:
            time.sleep(_RETRY_S)
            completed = self._run(argv, doing, stdin)
        if completed.rc != 0:
            self._fail(completed, doing, secret)
        return codec.loads(completed.stdout, doing, secret)

    def _run(self, argv: list[str], doing: str, stdin: str | None) -> Completed:
        try:
            return self.process.run(argv, stdin, self.timeout)
        except ProcessTimeout as error:
            raise ProcessTimeout(
                f"{doing} failed: no answer from the server at {self.socket_path} within {self.timeout:g} s. "
                "It may be busy or hanging; whether it carried out the request is not known. Look at the server's log, "
                "raise timeout if it is only slow, and run again."
            ) from error
        except ProcessError as error:
            raise ProcessError(f"{doing} failed: {redact(error.message)}") from error

    def _fail(self, completed: Completed, doing: str, secret: bool) -> NoReturn:
        """Raise with the cause, as far as the words of spire-server, kubectl or the container runtime tell it."""
        words = completed.stderr.strip() or ("" if secret else completed.stdout.strip())
        known = next((cause for pattern, cause in _CAUSES if re.search(pattern, words)), None)
        if known is None:
            cause = f"the command ended with code {completed.rc} and " + ("said:" if words else "printed nothing.")
        else:
            cause = known.format(socket=self.socket_path, binary=self.binary)
        said = redact(words)[-2000:]
        raise ProcessError(f"{doing} failed: {cause} {said}".rstrip(), rc=completed.rc, stderr=said)


_RETRY_S = 1.0

# What is said when a request never got to the server: it is starting, its pod is being replaced, its node comes back.
_NOT_REACHED = re.compile(
    r"dial unix .*connect: (no such file or directory|connection refused)"
    r"|unable to upgrade connection|error dialing backend|container not found"
    r"|The connection to the server .* was refused|Unable to connect to the server"
    r"|pods? \".*\" not found|unable to find pod|no pods? found|timed out waiting for"
    r"|(is not running|is terminated|does not have a host assigned)"
    r"|container not running|the server is currently unable to handle the request"
)

# The words of SPIRE 1.15, kubectl 1.34, and containerd and CRI-O, and what to do about them. First match wins.
_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"dial unix .*connect: no such file or directory",
        "there is no socket at {socket}. Is the server running, and is this its socket_path?",
    ),
    (
        r"dial unix .*connect: connection refused",
        "nobody answers at {socket}: the server is down, or this is not its socket.",
    ),
    (
        r"dial unix .*connect: permission denied",
        "no permission to use {socket}. Run as the server's user or group (become).",
    ),
    (r"flag provided but not defined", "{binary} does not know an option that is needed. SPIRE 1.15 or later is."),
    (
        r"exec: .*(no such file or directory|executable file not found|not found in \$PATH)",
        "{binary} was not found in the container. Set binary to its full path there, or name another container.",
    ),
    (r"container .* (is not valid|not found)", "the pod has no such container."),
    (
        r"Error from server \(NotFound\)|pods? \".*\" not found|not found in namespace",
        "the pod, or its namespace, was not found.",
    ),
    (r"Error from server \(Forbidden\)", "the cluster refuses it: the user of this kubeconfig may not do that."),
    (r"error: (context .* does not exist|stat .*no such file)", "kubeconfig or context cannot be used."),
    (
        r"The connection to the server .* was refused|Unable to connect to the server|dial tcp",
        "the cluster cannot be reached.",
    ),
    (r"pod .* (is not running|is terminated|does not have a host assigned)|container not running", "the pod is down."),
    (r"ResourceExhausted", "a message was too large for the server."),
    (r"code = Unavailable", "the server went away while it answered. Run again."),
)

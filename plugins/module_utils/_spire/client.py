# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""A SPIRE server, through its own command line. The only part of ``_spire`` that has effects on it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
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
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.codec import agent_filters
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.causes import (
    essence,
    find_cause,
    which_program,
    without_usage,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import (
    Agent,
    Bundle,
    ItemResult,
    JoinToken,
    X509Svid,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.codec import entry_filters
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.codec import (
    relationship_from_server,
    relationship_to_server,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import Relationship
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

    def list_entries(self, **filters: Any) -> list[Entry]:
        """Return all entries, or those that pass ``filters``, the options of spire_entry_info.

        The command reads them page by page itself.
        """
        doing = "Reading the registration entries"
        reply = self._json(["entry", "show", *entry_filters(filters)], doing)
        return codec.read_list(reply, "entries", codec.entry_from_server, doing)

    def create_entries(self, entries: Sequence[Entry]) -> Iterator[list[ItemResult]]:
        """Create ``entries`` in batches; yield the results of each batch as it is done, in the order given."""
        items = (codec.entry_to_server(entry) for entry in entries)
        return self._batches(items, "entries", ["entry", "create", "-data", "-"], "Creating registration entries")

    def update_entries(self, entries: Sequence[Entry]) -> Iterator[list[ItemResult]]:
        """Replace the entries of the same ids, whole, in batches; results as for :meth:`create_entries`."""
        items = (codec.entry_to_server(entry) for entry in entries)
        return self._batches(items, "entries", ["entry", "update", "-data", "-"], "Updating registration entries")

    def delete_entries(self, entry_ids: Sequence[str]) -> Iterator[list[ItemResult]]:
        """Delete entries in batches; results as for :meth:`create_entries`."""
        doing = "Deleting registration entries"
        return self._batches(entry_ids, "ids", ["entry", "delete", "-file", "-"], doing)

    def list_agents(self, **filters: Any) -> list[Agent]:
        """Return every agent that the server knows, the expired and banned ones too, or those that pass ``filters``.

        They are the options of spire_agent_info by which the server itself can filter.
        """
        doing = "Reading the list of agents"
        reply = self._json(["agent", "list", *agent_filters(filters)], doing)
        return codec.read_list(reply, "agents", codec.agent_from_server, doing)

    def evict_agent(self, agent_id: str) -> None:
        """Forget an agent, if the server still knows it. One that joined by token needs a new token to come back."""
        try:
            self._json(["agent", "evict", "-spiffeID", agent_id], f"Evicting the agent {redact(agent_id)}")
        except ProcessError as error:
            if "code = NotFound" not in str(error.details.get("stderr")):
                raise

    def ban_agent(self, agent_id: str) -> None:
        """Refuse an agent from now on. It is kept as banned, so that it cannot attest anew."""
        self._json(["agent", "ban", "-spiffeID", agent_id], f"Banning the agent {redact(agent_id)}")

    def generate_token(self, spiffe_id: str, ttl: int) -> JoinToken:
        """Mint a join token whose agent gets the alias ``spiffe_id``."""
        doing = f"Minting a join token for {spiffe_id}"
        reply = self._json(["token", "generate", "-spiffeID", spiffe_id, "-ttl", str(ttl)], doing, secret=True)
        if not reply.get("value"):
            raise ProcessError(f"{doing} failed: the answer holds no token.")
        return JoinToken(reply["value"], int(reply.get("expires_at", 0)))

    def authorities(self, kind: str) -> dict[str, Any]:
        """Return the slots ``active``, ``prepared`` and ``old`` of the server's ``x509`` or ``jwt`` authority."""
        return self._json(["localauthority", kind, "show"], f"Reading the {kind} authority")

    def prepare_authority(self, kind: str) -> dict[str, Any]:
        """Make a new key and put it into the bundle. Nothing is signed with it yet."""
        return self._json(["localauthority", kind, "prepare"], f"Preparing a new {kind} authority")

    def change_authority(self, kind: str, verb: str, authority_id: str) -> dict[str, Any]:
        """``activate``, ``taint`` or ``revoke`` an authority; of the kind ``upstream`` only the last two exist."""
        doing = f"To {verb} the {kind} authority {authority_id}"
        if kind == "upstream":
            return self._json(["upstreamauthority", verb, "-subjectKeyID", authority_id], doing)
        return self._json(["localauthority", kind, verb, "-authorityID", authority_id], doing)

    def count(self, what: str) -> int:
        """Return how many objects of a sort the server holds: ``agent``, ``entry`` or ``bundle``."""
        doing = f"Counting: {what}"
        value = self._json([what, "count"], doing).get("count")
        if not isinstance(value, int):
            raise ProcessError(f"{doing} failed: the answer holds no number.")
        return value

    def version(self) -> str:
        """Return the version of the program, which in a pod is the server's own. It asks no server."""
        doing = "Reading the version"
        completed = self._run([self.binary, "--version"], doing, None)
        if completed.rc != 0:
            self._fail(completed, doing, False)
        # SPIRE prints it on the error stream.
        words = (completed.stdout.strip() or completed.stderr.strip()).splitlines()
        if not words:
            raise ProcessError(f"{doing} failed: the command ended well but printed nothing.")
        return words[-1].strip()

    def health(self) -> tuple[bool, str]:
        """Return whether the server calls itself healthy, and its words. A server that is not reached raises."""
        doing = "Asking for the server's health"
        # Only -verbose tells why a server could not be asked.
        completed = self._reach([self.binary, "healthcheck", "-verbose", "-socketPath", self.socket_path], doing, None)
        words = (completed.stderr.strip() or completed.stdout.strip()).splitlines()
        if completed.rc != 0 and "returned status" not in completed.stderr:
            self._fail(completed, doing, False)
        if not words:
            raise ProcessError(f"{doing} failed: the command ended well but printed nothing.")
        return completed.rc == 0, words[-1]

    def show_bundle(self) -> Bundle:
        """Return the trust bundle of the server's own trust domain, as it is now."""
        doing = "Reading the trust bundle"
        # Read as a list of one: an answer of another shape is a failure, not a bundle without authorities.
        reply = {"bundle": [self._json(["bundle", "show"], doing)]}
        (bundle,) = codec.read_list(reply, "bundle", codec.bundle_from_server, doing)
        if not bundle.trust_domain:
            raise ProcessError(f"{doing} failed: the answer names no trust domain.")
        return bundle

    def list_federated_bundles(self) -> list[Bundle]:
        """Return the bundles of other trust domains that the server holds."""
        doing = "Reading the bundles of other trust domains"
        return codec.read_list(self._json(["bundle", "list"], doing), "bundles", codec.bundle_from_server, doing)

    def set_federated_bundle(self, trust_domain: str, document: str) -> tuple[ItemResult, Bundle | None]:
        """Set the bundle of another trust domain, given in SPIFFE's JSON form. Returns what the server then holds."""
        doing = f"Setting the bundle of {trust_domain}"
        verb = ["bundle", "set", "-id", f"spiffe://{trust_domain}", "-format", "spiffe"]
        reply = self._json(verb, doing, document)
        (result,) = codec.results_from_server(reply, 1, doing)
        stored = reply["results"][0].get("bundle")
        return result, codec.bundle_from_server(stored) if stored else None

    def delete_federated_bundle(self, trust_domain: str, mode: str) -> ItemResult:
        """Delete the bundle of another trust domain. ``mode`` says what becomes of entries that federate with it."""
        doing = f"Deleting the bundle of {trust_domain}"
        reply = self._json(["bundle", "delete", "-id", f"spiffe://{trust_domain}", "-mode", mode], doing)
        return codec.results_from_server(reply, 1, doing)[0]

    def list_relationships(self) -> list[Relationship]:
        """Return the federation relationships that were made through the API. Those of its own file it never shows."""
        doing = "Reading the federation relationships"
        reply = self._json(["federation", "list"], doing)
        return codec.read_list(reply, "federation_relationships", relationship_from_server, doing)

    def set_relationship(self, relationship: Relationship, create: bool) -> ItemResult:
        """Create a federation relationship, or replace the one with the same trust domain."""
        doing = f"Setting the federation relationship with {relationship.trust_domain}"
        text = json.dumps({"federationRelationships": [relationship_to_server(relationship)]})
        reply = self._json(["federation", "create" if create else "update", "-data", "-"], doing, text)
        return codec.results_from_server(reply, 1, doing)[0]

    def delete_relationship(self, trust_domain: str) -> ItemResult:
        """Delete a federation relationship. The bundle stays."""
        doing = f"Deleting the federation relationship with {trust_domain}"
        reply = self._json(["federation", "delete", "-id", f"spiffe://{trust_domain}"], doing)
        return codec.results_from_server(reply, 1, doing)[0]

    def refresh_bundle(self, trust_domain: str) -> None:
        """Have the server fetch a bundle from its endpoint now. It has it, or this raises with the server's words."""
        doing = f"Refreshing the bundle of {trust_domain}"
        self._json(["federation", "refresh", "-id", f"spiffe://{trust_domain}"], doing)

    def mint_x509(self, spiffe_id: str, ttl: int) -> X509Svid:
        """Mint an X509-SVID for a SPIFFE ID, without any workload or entry. ``ttl`` is in seconds."""
        doing = f"Minting an X509-SVID for {spiffe_id}"
        reply = self._json(["x509", "mint", "-spiffeID", spiffe_id, "-ttl", f"{ttl}s"], doing, secret=True)
        try:
            return codec.svid_from_server(reply)
        except (KeyError, ValueError):
            raise ProcessError(f"{doing} failed: the answer holds no certificate and key.") from None

    def _batches(self, items: Iterable[Any], name: str, verb: list[str], doing: str) -> Iterator[list[ItemResult]]:
        pace = _Pace(self.timeout)
        for count, text in codec.batches(items, name, lambda: pace.limit):
            started = time.monotonic()
            results = codec.results_from_server(self._json(verb, doing, text), count, doing)
            pace.took(count, time.monotonic() - started)
            yield results

    def _json(self, verb: list[str], doing: str, stdin: str | None = None, secret: bool = False) -> dict[str, Any]:
        argv = [self.binary, *verb, "-socketPath", self.socket_path, "-output", "json"]
        completed = self._reach(argv, doing, stdin)
        if completed.rc != 0:
            self._fail(completed, doing, secret)
        return codec.loads(completed.stdout, doing, secret)

    def _reach(self, argv: list[str], doing: str, stdin: str | None) -> Completed:
        """Run a command, again for ``wait_timeout`` as long as it does not get to the server.

        Most commands are one call. The one of several calls, which could be cut off between two, only reads:
        ``entry show``, page by page.
        """
        deadline = time.monotonic() + self.wait_timeout
        while True:
            try:
                completed = self._run(argv, doing, stdin)
            except NotReachedError:
                if time.monotonic() >= deadline:
                    raise
            else:
                if completed.rc == 0 or not self._undelivered(completed) or time.monotonic() >= deadline:
                    return completed
            time.sleep(_RETRY_S)

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
                return f"{self.socket_path} is not a socket. Mend socket_path."
        except OSError:  # no permission to look: the words of the program tell
            pass
        return None

    def _fail(self, completed: Completed, doing: str, secret: bool) -> NoReturn:
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

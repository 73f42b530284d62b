# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The servers of trust domains that federate with ours: how they are reached, read, and waited for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import (
    InputError,
    ProcessError,
    TrustmeshError,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._polling import poll
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.codec import x509_by_id
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import (
    list_federated_bundles,
    show_bundle,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.client import (
    list_relationships,
    refresh_bundle,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.peer.model import Seen, refusal

_CONNECTION = (
    "binary",
    "socket_path",
    "pod",
    "pod_selector",
    "namespace",
    "container",
    "kubectl",
    "kubeconfig",
    "context",
)
_POLL_S = 2.0
"""Each look makes a peer fetch the bundle."""
_LEAST_S = 10.0
"""What a call gets when the time is nearly over: kubectl needs some of it."""


def peers_option() -> dict[str, Any]:
    """The option ``peers``. Twin of its documentation in the modules that have it."""
    shared = spire_spec()
    options = {name: shared.options[name] for name in _CONNECTION}
    return {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, **options},
        "mutually_exclusive": shared.mutually_exclusive,
    }


@dataclass(frozen=True)
class Peer:
    """A server of another trust domain. ``place`` is where the user has named it."""

    name: str
    place: str
    server: SpireServer

    def see(self, own: str) -> Seen:
        """Read what it holds of the trust domain ``own``."""
        related = any(one.trust_domain == own for one in list_relationships(self.server))
        return Seen(show_bundle(self.server).trust_domain, self._authorities(self.server, own), related)

    def without(self, authority_id: str, own: str, seconds: float) -> str:
        """Return nothing when it holds an authority of ``own``, else what is known of why not.

        It is made to fetch the bundle when it does not hold it. A call takes ``seconds`` at most, and is not repeated:
        whoever waits looks again.
        """
        server = replace(self.server, timeout=min(self.server.timeout, seconds), wait_timeout=0)
        said = ""
        try:
            if authority_id in (self._authorities(server, own) or ()):
                return ""
            try:
                refresh_bundle(server, own)
            except ProcessError as error:
                said = f" Told to fetch it, it says: {_words(error)}"
            if authority_id in (self._authorities(server, own) or ()):
                return ""
        except ProcessError as error:
            return error.message
        return f"It holds a bundle without it.{said}"

    def _authorities(self, server: SpireServer, own: str) -> frozenset[str] | None:
        held = [bundle for bundle in list_federated_bundles(server) if bundle.trust_domain == own]
        return frozenset(x509_by_id(held[0])) if held else None


@dataclass
class Peers:
    """All peers that a task names, and how long each let it wait, by name."""

    peers: list[Peer]
    timeout: int
    waited: dict[str, int] = field(default_factory=dict)

    @classmethod
    def connect(cls, params: Mapping[str, Any]) -> Peers:
        """Return the clients of the peers in ``params``. Nothing is contacted yet."""
        peers: list[Peer] = []
        for index, item in enumerate(params["peers"] or ()):
            name, place = item["name"], f"peers[{index}]"
            if not name.strip():
                raise InputError(f"{place}.name: it is empty. It is what messages call the peer.")
            if name in [peer.name for peer in peers]:
                raise InputError(f"{place}.name: {name!r} is the name of another peer too. Give each its own.")
            shared = {option: params[option] for option in ("timeout", "wait_timeout")}
            try:
                peers.append(Peer(name, f"{place} ({name})", connect({**item, **shared})))
            except InputError as error:
                raise InputError(f"{place} ({name}).{error.message}") from None
        return cls(peers, params["peer_timeout"])

    def check(self, own: str) -> set[str]:
        """Refuse peers that can never get an authority of the trust domain ``own``. Return their trust domains."""
        found = set()
        for peer in self.peers:
            try:
                seen = peer.see(own)
            except TrustmeshError as error:
                raise type(error)(f"{peer.place}: {error.message}", **error.details) from error
            wrong = refusal(seen, own)
            if wrong:
                raise TrustmeshError(f"{peer.place}: {wrong}")
            found.add(seen.trust_domain)
        return found

    def late(self, authority_id: str, own: str, seconds: int) -> dict[str, str]:
        """Wait until each peer holds an authority of ``own``. Return those that do not, with what is known of why."""
        began = time.monotonic()
        late = {peer.name: "" for peer in self.peers}

        def all_hold_it() -> bool:
            for peer in [one for one in self.peers if one.name in late]:
                left = max(began + seconds - time.monotonic(), _LEAST_S)
                late[peer.name] = peer.without(authority_id, own, left)
                if not late[peer.name]:
                    del late[peer.name]
                    took = int(time.monotonic() - began)
                    self.waited[peer.name] = max(took, self.waited.get(peer.name, 0))
            return not late

        poll(all_hold_it, began + seconds, _POLL_S)
        return late


def _words(error: ProcessError) -> str:
    """What the server itself says of a refresh that failed, without the calls on the way there."""
    words = str(error.details.get("stderr") or error.message).strip()
    # One line: the page that a web site answers with, and what kubectl adds, say no more.
    return words.rpartition("failed to refresh bundle: ")[2].partition("\n")[0].removeprefix("Error: ")

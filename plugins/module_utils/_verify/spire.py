# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What the checks ask of a SPIRE server. The only part of ``_verify`` that knows its client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation import info
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.client import mint_x509

_PROBE_S = 5
"""How long a bundle endpoint may take to answer."""


class Identity(Protocol):
    """A certificate chain and its key, both PEM."""

    @property
    def chain_pem(self) -> str:
        """The certificate, and those between it and a root."""

    @property
    def key_pem(self) -> str:
        """The private key."""


class Agent(Protocol):
    """An agent that the server knows."""

    @property
    def spiffe_id(self) -> str:
        """Who it is."""

    @property
    def attestation_type(self) -> str:
        """The plugin by which it has attested."""

    @property
    def expires_at(self) -> int:
        """When its identity ends, in seconds of the Unix epoch."""

    def is_alive(self, now: float) -> bool:
        """Whether it may still ask at that time."""


class Server(Protocol):
    """A SPIRE server, as the checks see it."""

    def bundle_pem(self) -> str:
        """Return the authorities of its trust domain."""

    def whole_bundle_pem(self) -> str:
        """Return these, with those that are tainted."""

    def mint(self, spiffe_id: str, ttl: int) -> Identity:
        """Issue a certificate, good for so many seconds."""

    def agents(self) -> Sequence[Agent]:
        """Return those that it knows."""

    def federation(self, trust_domain: str) -> Mapping[str, Any] | None:
        """Return the relationship with another trust domain, if there is one."""


@dataclass(frozen=True)
class RealServer:
    """The server that the shared connection leads to."""

    at: SpireServer

    def bundle_pem(self) -> str:
        return show_bundle(self.at).trusted_pem

    def whole_bundle_pem(self) -> str:
        """Also what is tainted: it is published, too, until it is revoked."""
        return show_bundle(self.at).pem

    def mint(self, spiffe_id: str, ttl: int) -> Identity:
        return mint_x509(self.at, spiffe_id, ttl)

    def agents(self) -> Sequence[Agent]:
        return list_agents(self.at)

    def federation(self, trust_domain: str) -> Mapping[str, Any] | None:
        """What spire_federation_info tells of the relationship with a trust domain; None without one."""
        return next(iter(info.reports(self.at, {trust_domain}, _PROBE_S)), None)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Endpoints, checks and the types of checks. Pure: no I/O, no Ansible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeId

POSITIVE = "positive"
NEGATIVE = "negative"
HERE = "here"
CLOSED = "nothing_listens"
BY_NAME = "name_mismatch"
BEHIND = "http_403_behind"
"""Let in by the proxy that was asked, and refused by somebody behind it."""
REFUSALS = ("tls_alert", "reset", "http_403", BEHIND, BY_NAME, CLOSED)
CLIENTS = ("none", "other_identity", "foreign_ca", "istiod", "expired")
# Clients whose certificate names somebody who is permitted, and must be refused all the same.
FORGERIES = ("foreign_ca", "istiod", "expired")
# Those of them whose key is worth nothing, so that it may be shown from a pod as well.
WORTHLESS = ("foreign_ca", "istiod")
OTHER_IDENTITY_PATH = "/trustmesh/verify/other-identity"


@dataclass(frozen=True)
class Endpoint:
    """A place in the picture: a workload, a server, or the host where the checks run."""

    name: str
    cluster: str = ""
    title: str = ""
    server: str | None = None
    """The name of the SPIRE server that gives it its identity, or that it is; None where no server can be told."""
    spiffe_id: str | None = None
    url: str | None = None
    address: str | None = None
    pod: str | None = None
    container: str | None = None
    namespace: str = "default"
    command: tuple[str, ...] = ()
    """The words before a program that is to run on it, where that is a machine: ``ssh``, or an engine's ``exec``."""

    @property
    def place(self) -> str | None:
        """Where a request can be made from: its pod, or its machine."""
        return self.pod or (" ".join(self.command) or None)

    @property
    def host_port(self) -> tuple[str, int]:
        """The parts of ``address``, which the caller knows to be there."""
        return host_port(self.address or "")


def host_port(address: str) -> tuple[str, int]:
    """The parts of an address that was read before."""
    host, _colon, port = address.rpartition(":")
    return host.strip("[]"), int(port)


@dataclass(frozen=True)
class Check:
    """One thing to be proven. ``fields`` are the type's own fields, with defaults filled in."""

    name: str
    type: str
    kind: str
    fields: Mapping[str, Any]
    hint: str = ""

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]

    @property
    def needs(self) -> tuple[str, ...]:
        """Checks that must have passed before this one can be judged."""
        return tuple(self.fields[key] for key in ("request", "control") if self.fields.get(key))


@dataclass(frozen=True)
class CheckType:
    """A type of check: the fields that it takes, and what the endpoints that it names must have."""

    kind: str
    required: tuple[str, ...]
    optional: Mapping[str, Any]
    """Field to its default."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """Field to what the endpoint has that it names; ``HERE`` when it can be no other."""

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


SPIRE, ISTIOD, EITHER = "spire", "istiod", "either"
CERTIFIERS = (SPIRE, ISTIOD, EITHER)
"""Who has signed a certificate itself. Where SPIRE's servers stand under istiod's CA, the root does not tell."""
_CERTIFICATE = {"spiffe_id": None, "min_remaining": 60}
_FILES = {"certificate": None, "address": None, "spiffe_id": None}
_PROXY = {"container": "istio-proxy", "secret": "default"}
_HEADER = {"header_key": "forwarded_client_cert"}
_ANSWER = {"path": "/", "status": 200, "json_key": None, "json_value": None}
_SAID = {"headers": None}
"""What a client says besides: headers by name."""
_WAY = {"address": None, "server_name": None, "alpn": None}
"""Where a handshake is made, when that is not the address of the endpoint, and what it asks for."""

TYPES: dict[str, CheckType] = {
    "request": CheckType(
        POSITIVE,
        ("to",),
        {"from": HERE, "url": None, **_ANSWER, "contains": None, **_FILES, **_SAID},
        {"from": "place", "to": "url"},
    ),
    "peer_certificate": CheckType(
        POSITIVE,
        ("to",),
        {
            "from": HERE,
            **_CERTIFICATE,
            "client_spiffe_id": None,
            "dns_names": None,
            "certified_by": SPIRE,
            **_WAY,
        },
        {"from": "place", "to": "address"},
    ),
    "certificate_chain": CheckType(
        POSITIVE,
        ("to",),
        {
            "from": HERE,
            **_CERTIFICATE,
            "client_spiffe_id": None,
            "server_name": None,
            "length": None,
            "issuers": None,
            "secret": None,
            "container": None,
        },
        {"from": "place", "to": "address"},
    ),
    "forwarded_certificate": CheckType(POSITIVE, ("from", "to", "request"), {**_CERTIFICATE, "hops": None, **_HEADER}),
    "sidecar_certificate": CheckType(
        POSITIVE,
        ("to",),
        {**_CERTIFICATE, **_HEADER, **_PROXY, "request": None, "certified_by": SPIRE},
        {"to": "place"},
    ),
    "same_authorities": CheckType(POSITIVE, ("servers",), {"from": None, "to": None}),
    "federated_bundle": CheckType(POSITIVE, ("to", "trust_domain"), {"from": None}),
    "published_authorities": CheckType(
        POSITIVE,
        ("to", "namespaces"),
        {"config_map": "istio-ca-root-cert", "config_map_key": "root-cert.pem"},
        {"to": "pod"},
    ),
    "webhook_authorities": CheckType(POSITIVE, ("to", "service"), {}, {"to": "pod"}),
    "proxy_authorities": CheckType(
        POSITIVE, ("to", "servers"), {"container": "istio-proxy", "root_secret": "ROOTCA"}, {"to": "place"}
    ),
    "accepted_handshake": CheckType(
        POSITIVE,
        ("to", "client_spiffe_id"),
        {"from": HERE, "spiffe_id": None, **_WAY, **_ANSWER, **_SAID},
        {"from": HERE, "to": "address"},
    ),
    "refused_handshake": CheckType(
        NEGATIVE,
        ("to", "client", "control"),
        {
            "from": HERE,
            "client_spiffe_id": None,
            "spiffe_id": None,
            **_WAY,
            "path": "/",
            "refusal": ("tls_alert",),
            "contains": None,
            **_SAID,
        },
        {"from": "place", "to": "address"},
    ),
    "refused_request": CheckType(
        NEGATIVE,
        ("to", "control"),
        {"from": HERE, "url": None, "path": "/", "refusal": ("reset",), "contains": None, **_FILES, **_SAID},
        {"from": "place", "to": "url"},
    ),
    "closed_port": CheckType(
        NEGATIVE,
        ("from", "to", "port", "control"),
        {"path": "/", "guard_port": None, "refusal": (CLOSED,)},
        {"from": "pod", "to": "pod"},
    ),
    "token_reuse": CheckType(NEGATIVE, ("to",), {"from": HERE}, {"from": HERE, "to": "address"}),
    "no_certificate_service": CheckType(
        NEGATIVE, ("from", "to"), {"spiffe_id": None}, {"from": "place", "to": "address"}
    ),
}

LOOKS = (
    "peer_certificate",
    "certificate_chain",
    "forwarded_certificate",
    "sidecar_certificate",
    "same_authorities",
    "federated_bundle",
    "published_authorities",
    "webhook_authorities",
    "proxy_authorities",
)
"""Checks that only look at a certificate: nobody is let in by them, and nobody refused."""


@dataclass(frozen=True)
class Mesh:
    """What checks may speak of, by name."""

    endpoints: Mapping[str, Endpoint]
    servers: Mapping[str, str]
    """The name of each server to its trust domain, in the order in which they were given."""

    def server_of(self, trust_domain: str) -> str | None:
        """The first server of a trust domain."""
        return next((name for name, domain in self.servers.items() if domain == trust_domain), None)

    def judge_of(self, spiffe_id: str, endpoint: Endpoint | None = None) -> str:
        """The server by whose bundle an ID is judged: that of the endpoint, when it is of the ID's own trust domain."""
        trust_domain = domain_of(spiffe_id)
        if endpoint and endpoint.server and self.servers[endpoint.server] == trust_domain:
            return endpoint.server
        server = self.server_of(trust_domain)
        if server is None:
            raise InputError(f"{spiffe_id}: servers names none of the trust domain {trust_domain}.")
        return server


def domain_of(spiffe_id: str) -> str:
    """Return the trust domain of a SPIFFE ID that was read before."""
    return SpiffeId.parse(spiffe_id).trust_domain


def shows_files(check: Check) -> bool:
    """Whether a request shows the certificate of files, and so learns what the server shows."""
    return bool(check.fields.get("certificate"))


def owner_field(of_type: str) -> str:
    """The field that names whose certificate is judged."""
    return "from" if of_type == "forwarded_certificate" else "to"


def owner(check: Check) -> str:
    """The name of the endpoint whose certificate is judged."""
    return str(check[owner_field(check.type)])

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Endpoints and checks: what may be asked, and whether it makes sense. Pure: no I/O, no Ansible.

Everything is read and refused here, before the first attempt, so that a typing mistake never costs a minute of waiting
and never looks like a failed check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeId, SpiffeIdError

POSITIVE = "positive"
NEGATIVE = "negative"
HERE = "here"
REFUSALS = ("tls_alert", "reset", "http_403")
CLIENTS = ("none", "stranger", "foreign_ca")

_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


@dataclass(frozen=True)
class Endpoint:
    """A place in the picture: a workload, a server, or the host where the checks run."""

    name: str
    cluster: str = ""
    title: str = ""
    spiffe_id: str | None = None
    url: str | None = None
    address: str | None = None
    pod: str | None = None
    container: str | None = None
    namespace: str = "default"
    kubectl: str | None = None
    kubeconfig: str | None = None
    context: str | None = None

    @property
    def host_port(self) -> tuple[str, int]:
        """The parts of ``address``, which the caller knows to be there."""
        host, _colon, port = (self.address or "").rpartition(":")
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
class Field:
    """One field of a check type. ``kind`` says how it is read; ``needs`` what an endpoint named by it must have."""

    kind: str
    required: bool = False
    default: Any = None
    needs: str = ""
    choices: Sequence[str] = ()


@dataclass(frozen=True)
class CheckType:
    """A type of check, and the fields that it takes."""

    kind: str
    fields: Mapping[str, Field]


_FROM = Field("source", default=HERE)
_FROM_HERE = Field("choice", default=HERE, choices=(HERE,))
_ID = Field("spiffe_id")
_LIFE = Field("seconds", default=60)
_PATH = Field("path", default="/")
_STATUS = Field("status", default=200)
_JSON_KEY = Field("text")
_HEADER_KEY = Field("text", default="forwarded_client_cert")
_REQUEST = Field("check")
_CONTROL = Field("check", required=True)

TYPES: dict[str, CheckType] = {
    "request": CheckType(
        POSITIVE,
        {
            "from": _FROM,
            "to": Field("endpoint", required=True, needs="url"),
            "path": _PATH,
            "status": _STATUS,
            "json_key": _JSON_KEY,
            "contains": Field("text"),
        },
    ),
    "peer_certificate": CheckType(
        POSITIVE,
        {
            "from": _FROM,
            "to": Field("endpoint", required=True, needs="address"),
            "spiffe_id": _ID,
            "client_spiffe_id": _ID,
            "server_name": Field("text"),
            "min_remaining": _LIFE,
        },
    ),
    "forwarded_certificate": CheckType(
        POSITIVE,
        {
            "from": Field("endpoint", required=True),
            "to": Field("endpoint", required=True),
            "request": Field("check", required=True),
            "spiffe_id": _ID,
            "header_key": _HEADER_KEY,
            "min_remaining": _LIFE,
        },
    ),
    "sidecar_certificate": CheckType(
        POSITIVE,
        {
            "to": Field("endpoint", required=True, needs="pod"),
            "spiffe_id": _ID,
            "container": Field("text", default="istio-proxy"),
            "secret": Field("text", default="default"),
            "request": _REQUEST,
            "header_key": _HEADER_KEY,
            "min_remaining": _LIFE,
        },
    ),
    "accepted_handshake": CheckType(
        POSITIVE,
        {
            "from": _FROM_HERE,
            "to": Field("endpoint", required=True, needs="address"),
            "client_spiffe_id": Field("spiffe_id", required=True),
            "spiffe_id": _ID,
            "server_name": Field("text"),
            "path": _PATH,
            "status": _STATUS,
            "json_key": _JSON_KEY,
        },
    ),
    "refused_handshake": CheckType(
        NEGATIVE,
        {
            "from": _FROM,
            "to": Field("endpoint", required=True, needs="address"),
            "client": Field("choice", required=True, choices=CLIENTS),
            "client_spiffe_id": _ID,
            "spiffe_id": _ID,
            "server_name": Field("text"),
            "path": _PATH,
            "control": _CONTROL,
            "refusal": Field("choices", default=("tls_alert",), choices=REFUSALS),
        },
    ),
    "refused_request": CheckType(
        NEGATIVE,
        {
            "from": _FROM,
            "to": Field("endpoint", required=True, needs="url"),
            "path": _PATH,
            "control": _CONTROL,
            "refusal": Field("choices", default=("reset",), choices=REFUSALS),
            "contains": Field("text"),
        },
    ),
    "token_reuse": CheckType(
        NEGATIVE,
        {"from": _FROM_HERE, "to": Field("endpoint", required=True, needs="address")},
    ),
}

_COMMON = ("name", "type", "kind", "hint")
_ENDPOINT_KEYS = {
    "cluster": "text",
    "title": "text",
    "spiffe_id": "spiffe_id",
    "url": "url",
    "address": "address",
    "pod": "text",
    "container": "text",
    "namespace": "text",
    "kubectl": "text",
    "kubeconfig": "text",
    "context": "text",
}


def read_endpoints(raw: Mapping[str, Any]) -> dict[str, Endpoint]:
    """Read the endpoints. ``here`` (the host on which the checks run) is always among them."""
    endpoints = {HERE: Endpoint(HERE, cluster="", title="control node")}
    for name, values in raw.items():
        where = f"endpoint {name!r}"
        if name == HERE:
            raise InputError(f"{where}: this name stands for the host that runs the checks. Take another name.")
        if not isinstance(values, Mapping):
            raise InputError(f"{where}: expected a dictionary, got {_shown(values)}.")
        _refuse_unknown(where, values, _ENDPOINT_KEYS)
        read = {k: _read(where, k, Field(_ENDPOINT_KEYS[k]), v) for k, v in values.items() if v is not None}
        endpoints[name] = Endpoint(str(name), **read)
    return endpoints


def read_checks(raw: Sequence[Any], endpoints: Mapping[str, Endpoint], trust_domain: str) -> list[Check]:
    """Read all checks, or raise InputError naming the check and the field."""
    if not raw:
        raise InputError("checks: there is none. A verify step without checks proves nothing: give at least one.")
    checks: dict[str, Check] = {}
    for index, values in enumerate(raw):
        check = _read_check(index, values, endpoints)
        if check.name in checks:
            raise InputError(f"checks[{index}]: the name {check.name!r} is taken by an earlier check.")
        checks[check.name] = check
    return [_judge_check(check, checks, endpoints, trust_domain) for check in checks.values()]


def _read_check(index: int, values: Any, endpoints: Mapping[str, Endpoint]) -> Check:
    where = f"checks[{index}]"
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a dictionary, got {_shown(values)}.")
    name = values.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{where}: name is missing. Say in a few words what the check proves.")
    where = f"{where} ({name!r})"
    kind_of = TYPES.get(str(values.get("type")))
    if kind_of is None:
        raise InputError(f"{where}: type is {_shown(values.get('type'))}. Known types: {', '.join(TYPES)}.")
    if values.get("kind") not in (None, kind_of.kind):
        raise InputError(f"{where}: kind is {_shown(values['kind'])}, but {values['type']} is a {kind_of.kind} check.")
    _refuse_unknown(where, values, [*_COMMON, *kind_of.fields])
    fields: dict[str, Any] = {}
    for key, field in kind_of.fields.items():
        value = values.get(key)
        if value is None:
            if field.required:
                raise InputError(f"{where}: {key} is missing. A check of type {values['type']} needs it.")
            fields[key] = field.default
            continue
        fields[key] = _read(where, key, field, value)
        if field.kind in ("source", "endpoint"):
            _require_endpoint(where, key, field, fields[key], endpoints)
    return Check(name, str(values["type"]), kind_of.kind, fields, str(values.get("hint") or ""))


def _require_endpoint(where: str, key: str, field: Field, name: str, endpoints: Mapping[str, Endpoint]) -> None:
    endpoint = endpoints.get(name)
    if endpoint is None:
        raise InputError(f"{where}: {key} names the endpoint {name!r}, known are: {', '.join(endpoints)}.")
    if field.kind == "source" and name != HERE and endpoint.pod is None:
        raise InputError(f"{where}: {key} is {name!r}, but this endpoint has no pod to make a request from.")
    if field.needs and getattr(endpoint, field.needs) is None:
        raise InputError(f"{where}: {key} is {name!r}, but this endpoint has no {field.needs}. Add it to the endpoint.")


def _judge_check(
    check: Check, checks: Mapping[str, Check], endpoints: Mapping[str, Endpoint], trust_domain: str
) -> Check:
    """What can only be said when all checks are known; fills the defaults that come from other objects."""
    where = f"check {check.name!r}"
    fields = dict(check.fields)
    for key, types in (("request", ("request",)), ("control", None)):
        name = fields.get(key)
        if name is None:
            continue
        other = checks.get(name)
        if other is None:
            raise InputError(f"{where}: {key} names the check {name!r}, which does not exist.")
        if types is not None and other.type not in types:
            wanted = " or ".join(types)
            raise InputError(f"{where}: {key} must name a check of type {wanted}, {name!r} is a {other.type}.")
    if fields.get("control"):
        _judge_control(where, fields, checks[fields["control"]])
    if "spiffe_id" in fields and fields["spiffe_id"] is None:
        owner = "from" if check.type == "forwarded_certificate" else "to"
        fields["spiffe_id"] = endpoints[fields[owner]].spiffe_id
        if fields["spiffe_id"] is None and check.kind == POSITIVE:
            raise InputError(
                f"{where}: spiffe_id is missing, and the endpoint {fields[owner]!r} has none. Give it to one of them."
            )
    if check.type == "refused_handshake":
        _judge_client(where, fields, checks[fields["control"]], trust_domain)
    if fields.get("client_spiffe_id") and fields.get("client") != "foreign_ca":
        _require_domain(where, "client_spiffe_id", fields["client_spiffe_id"], trust_domain)
    if fields.get("client_spiffe_id") and fields.get("from", HERE) != HERE:
        raise InputError(f"{where}: a test identity never leaves this host, so from must be {HERE!r} here.")
    return Check(check.name, check.type, check.kind, fields, check.hint)


def _judge_control(where: str, fields: Mapping[str, Any], control: Check) -> None:
    """A refusal proves something only when the same endpoint answers to others."""
    if control.kind != POSITIVE:
        raise InputError(f"{where}: control must name a positive check, {control.name!r} is negative.")
    if control.fields["to"] != fields["to"]:
        raise InputError(
            f"{where}: control must be about the same endpoint: this check goes to {fields['to']!r},"
            f" {control.name!r} goes to {control.fields['to']!r}."
        )
    if control.type not in ("request", "accepted_handshake"):
        raise InputError(
            f"{where}: control must be a check that gets an answer (request or accepted_handshake),"
            f" {control.name!r} is a {control.type}."
        )


def _judge_client(where: str, fields: dict[str, Any], control: Check, trust_domain: str) -> None:
    permitted = control.fields.get("client_spiffe_id")
    client, wanted = fields["client"], fields["client_spiffe_id"]
    if client == "none":
        if wanted is not None:
            raise InputError(f"{where}: client_spiffe_id has no meaning with client: none.")
        return
    if permitted is None:
        raise InputError(
            f"{where}: with client: {client}, control must be an accepted_handshake,"
            " so that the refusal is shown to be about the identity."
        )
    if client == "foreign_ca":
        fields["client_spiffe_id"] = wanted or permitted
        if fields["client_spiffe_id"] != permitted:
            raise InputError(
                f"{where}: the certificate of another CA must carry the permitted ID {permitted},"
                " else the ID and not the CA would be what is refused. Leave client_spiffe_id out."
            )
        return
    fields["client_spiffe_id"] = wanted or f"spiffe://{trust_domain}/trustmesh/verify/stranger"
    if fields["client_spiffe_id"] == permitted:
        raise InputError(f"{where}: client_spiffe_id is {permitted}, which is permitted. A stranger needs another ID.")


def _require_domain(where: str, key: str, spiffe_id: str, trust_domain: str) -> None:
    if urlsplit(spiffe_id).netloc != trust_domain:
        raise InputError(
            f"{where}: {key} is {spiffe_id}, but the server mints only IDs of its own trust domain {trust_domain}."
        )


def _refuse_unknown(where: str, values: Mapping[str, Any], known: Any) -> None:
    for key in values:
        if key not in known:
            raise InputError(f"{where}: unknown field {key!r}. Known: {', '.join(known)}.")


def _read(where: str, key: str, field: Field, value: Any) -> Any:
    kind, good = field.kind, False
    if kind == "choices":
        value = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        good = bool(value) and all(item in field.choices for item in value)
        expected = f"one or more of {', '.join(field.choices)}"
    elif kind == "choice":
        good, expected = value in field.choices, f"one of {', '.join(field.choices)}"
    elif kind in ("seconds", "status"):
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        low, high = (100, 599) if kind == "status" else (0, 10 * 365 * 86400)
        good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        expected = f"a whole number from {low} to {high}"
    elif not isinstance(value, str) or not value.strip():
        expected = "a text that is not empty"
    elif kind == "spiffe_id":
        good, expected = _is_spiffe_id(value), "a SPIFFE ID such as spiffe://example.org/ns/default/sa/sleep"
    elif kind == "address":
        match = _HOST_PORT.fullmatch(value)
        good, expected = match is not None and 0 < int(match[2]) < 65536, "host:port"
    elif kind == "url":
        good, expected = _is_url(value), "a URL such as http://gateway.default/"
    elif kind == "path":
        good = value.startswith("/") and value.isprintable() and " " not in value
        expected = "a path that starts with / and has no spaces"
    else:
        good, expected = value.isprintable(), "a text on one line"
    if not good:
        raise InputError(f"{where}: {key} is {_shown(value)}, expected {expected}.")
    return value


def _is_spiffe_id(value: str) -> bool:
    try:
        SpiffeId.parse(value)
    except SpiffeIdError:
        return False
    return True


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and value.isprintable()
        and " " not in value
        and "@" not in parts.netloc
    )


def _shown(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return "missing" if value is None else text[:80]

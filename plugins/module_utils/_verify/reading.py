# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What is asked for, and whether it makes sense. Pure: no I/O, no Ansible.

Everything is refused here, before the first attempt, so that a typing mistake never costs a minute of waiting and never
looks like a failed check. That a field exists and is of its type, the argument spec has seen to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import (
    HOST,
    PORT,
    SERVER_NAME,
    is_host,
    is_name,
    is_port,
    is_server_name,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import (
    SpiffeId,
    SpiffeIdError,
    trust_domain_of,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import (
    BY_NAME,
    CLOSED,
    FORGERIES,
    HERE,
    ISTIOD,
    OTHER_IDENTITY_PATH,
    POSITIVE,
    REFUSALS,
    TYPES,
    WORTHLESS,
    Check,
    Endpoint,
    Mesh,
    domain_of,
    owner_field,
)

_COMMON = ("name", "type", "kind", "hint")
# What kubectl takes as one word: never empty, never an option.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
# RFC 9110, 5.1 and 5.5: what is sent as the name and the value of a header, as one line.
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,4094}[\x21-\x7e])?")
_FRAMING = ("host", "content-length", "transfer-encoding")
"""Headers that say where a request goes and where it ends: they are the check's own matter."""
# What curl takes as a file, wherever it runs.
_PATH = re.compile(r"(/[A-Za-z0-9._+@%-]+)+")
_FILES = {"certificate": "svid.pem", "key": "svid.key", "authorities": "bundle.pem"}
"""What the program svid_files calls its files, in the words of the field ``certificate``."""
_FETCHED = ("socket", "agent")
"""What is said of the agent that is asked for a certificate when there are no files."""
_PLAIN = ("request", "refused_request")
"""Types of checks that send a request with curl."""
MOST = 8
"""Certificates of a chain, as many as are looked at."""


def by_name(option: str, items: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return name to place and item. A name that is empty or taken is refused."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for index, item in enumerate(items):
        name = item["name"]
        if not name.strip() or not name.isprintable():
            raise InputError(f"{option}[{index}]: name is {name!r}, expected {_TEXT}.")
        if name in found:
            raise InputError(f"{option}[{index}]: the name {name!r} is taken by {option}{_index(found[name][0])}.")
        found[name] = f"{option}[{index}] ({name!r})", item
    return found


def _index(place: str) -> str:
    return place[place.index("[") : place.index("]") + 1]


def read_mesh(raw: Sequence[Mapping[str, Any]], servers: Mapping[str, str], clusters: Sequence[str]) -> Mesh:
    """Read the endpoints. ``here`` (the host on which the checks run) is always among them."""
    endpoints = {HERE: Endpoint(HERE, title="control node")}
    mesh = Mesh(endpoints, servers)
    for name, (where, values) in by_name("endpoints", raw).items():
        if name == HERE:
            raise InputError(f"{where}: this name stands for the host that runs the checks. Take another name.")
        endpoints[name] = _endpoint(where, {k: v for k, v in values.items() if v is not None}, mesh, clusters)
    return mesh


def _endpoint(where: str, values: dict[str, Any], mesh: Mesh, clusters: Sequence[str]) -> Endpoint:
    for key, value in values.items():
        _judge(where, key, value)
    if "pod" in values and values.get("cluster") not in clusters:
        given = f"cluster is {values['cluster']!r}, which is none of clusters" if "cluster" in values else "no cluster"
        known = ", ".join(clusters) or "there is none"
        raise InputError(
            f"{where}: it has a pod, but {given}. Say by cluster how to get to the pod; known clusters: {known}."
        )
    if "command" in values:
        values["command"] = tuple(values["command"])
    if "command" in values and "pod" in values:
        raise InputError(f"{where}: command leads to a machine, and pod into a cluster. Give one of them.")
    if "container" in values and "pod" not in values:
        raise InputError(f"{where}: container is given without pod. Name the pod, too.")
    server, spiffe_id = values.get("server"), values.get("spiffe_id")
    if server is not None and server not in mesh.servers:
        raise InputError(f"{where}: server is {server!r}, known servers: {', '.join(mesh.servers) or 'there is none'}.")
    if spiffe_id is not None and mesh.servers:
        _require_server(where, "spiffe_id", spiffe_id, mesh)
    if server is None and spiffe_id is not None:
        values["server"] = mesh.server_of(domain_of(spiffe_id))
    elif server is None and len(mesh.servers) == 1:
        values["server"] = next(iter(mesh.servers))
    return Endpoint(**values)


def read_checks(raw: Sequence[Mapping[str, Any]], mesh: Mesh) -> list[Check]:
    """Read all checks, or raise InputError naming the check and the field."""
    if not raw:
        raise InputError("checks: there is none. A verify step without checks proves nothing: give at least one.")
    named = by_name("checks", raw)
    checks = {name: _read_check(where, values, mesh.endpoints) for name, (where, values) in named.items()}
    return [_judge_check(named[name][0], check, checks, mesh) for name, check in checks.items()]


def _read_check(where: str, values: Mapping[str, Any], endpoints: Mapping[str, Endpoint]) -> Check:
    given = {key: value for key, value in values.items() if value is not None}
    name, of = given["name"], TYPES[given["type"]]
    if given.get("kind") not in (None, of.kind):
        raise InputError(f"{where}: kind is {given['kind']!r}, but {given['type']} is a {of.kind} check.")
    for key in given:
        if key not in (*_COMMON, *of.fields):
            raise InputError(
                f"{where}: {key} is no field of a check of type {given['type']}. Its fields: {', '.join(of.fields)}."
            )
    for key in of.required:
        if key not in given:
            raise InputError(f"{where}: {key} is missing. A check of type {given['type']} needs it.")
    fields = {**of.optional, **{key: given[key] for key in of.fields if key in given}}
    for key in of.fields:
        if fields[key] is not None:
            _judge(where, key, fields[key])
        if key in ("from", "to") and fields[key] is not None:
            _require_endpoint(where, key, _need(of.needs.get(key, ""), key, fields), fields[key], endpoints)
    _judge_fields(where, given, fields)
    return Check(name, given["type"], of.kind, fields, given.get("hint", ""))


def _judge_fields(where: str, given: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """What can be said of the fields together; brings them into the form in which they are used."""
    if fields.get("json_value") is not None and fields["json_key"] is None:
        raise InputError(f"{where}: json_value is given without json_key. Name the key that must have it.")
    if "refusal" in fields:
        fields["refusal"] = tuple(fields["refusal"])
        if CLOSED in fields["refusal"] and given["type"] != "closed_port":
            raise InputError(f"{where}: refusal is {CLOSED}. Where nothing listens nobody refuses: take it out.")
    if fields.get("headers"):
        _judge_headers(where, fields["headers"])
    if fields.get("certificate") is not None:
        fields["certificate"] = _files(where, fields["certificate"])
    if given["type"] == "certificate_chain":
        _judge_held(where, given, fields)


def _judge_headers(where: str, headers: Mapping[Any, Any]) -> None:
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name) or name.lower() in _FRAMING:
            raise InputError(
                f"{where}: headers: {str(name)[:80]!r} cannot be sent. Give the name of a header that is none of"
                f" {', '.join(_FRAMING)}."
            )
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise InputError(f"{where}: headers: {name} is {str(value)[:80]!r}, expected one line of ASCII text.")
    lower = [name.lower() for name in headers]
    if len(set(lower)) < len(lower):
        raise InputError(f"{where}: headers: a name is given twice. Upper and lower case are the same there.")


def _need(need: str, key: str, fields: Mapping[str, Any]) -> str:
    """What the endpoint must have: not what the check itself says, and a pod where something is read in it."""
    if key == "to" and fields.get("secret") and need == "address":
        return "place"
    return "" if key == "to" and fields.get(need) else need


def _files(where: str, given: Mapping[str, Any]) -> dict[str, str]:
    """The paths of certificate, key and authorities: those that are given, or those that svid_files writes."""
    files = {key: value for key, value in given.items() if value is not None}
    folder = files.pop("folder", None)
    if set(_FETCHED) & files.keys():
        for key, value in files.items():
            if key not in _FETCHED or folder is not None or not _PATH.fullmatch(value):
                raise InputError(
                    f"{where}: certificate: {key} is {value[:80]!r}. With {' and '.join(_FETCHED)}, which are absolute"
                    " paths without spaces, there is nothing else."
                )
        if files.keys() != set(_FETCHED):
            raise InputError(f"{where}: certificate: give both {' and '.join(_FETCHED)}.")
        return files
    for key, value in given.items():
        if value is not None and not _PATH.fullmatch(value):
            raise InputError(
                f"{where}: certificate: {key} is {value[:80]!r}, expected an absolute path without spaces, such as"
                " /run/files/svid."
            )
    if folder is not None and files:
        raise InputError(f"{where}: certificate: folder is given, and so is {next(iter(files))}. Give one of them.")
    if folder is None and files.keys() != _FILES.keys():
        raise InputError(
            f"{where}: certificate: give folder, as the program svid_files fills it, or all of {', '.join(_FILES)}."
        )
    return files or {key: f"{folder}/{name}" for key, name in _FILES.items()}


def _judge_held(where: str, given: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """A chain that a proxy holds is read in its pod, another one is presented to somebody."""
    if not fields["secret"]:
        if "container" in given:
            raise InputError(f"{where}: container is given without secret. It is where a proxy is, which holds one.")
        return
    for key in ("from", "client_spiffe_id", "server_name"):
        if key in given:
            raise InputError(f"{where}: {key} has no meaning with secret, which is read in the pod itself.")
    fields["from"] = None
    fields["container"] = fields["container"] or "istio-proxy"


def _require_endpoint(where: str, key: str, need: str, name: str, endpoints: Mapping[str, Endpoint]) -> None:
    endpoint = endpoints.get(name)
    if endpoint is None:
        raise InputError(f"{where}: {key} names the endpoint {name!r}, known are: {', '.join(endpoints)}.")
    if need == HERE:
        if name != HERE:
            raise InputError(f"{where}: {key} is {name!r}, but this can only be tried from {HERE!r}. Leave {key} out.")
    elif need and getattr(endpoint, need) is None and not (key == "from" and name == HERE):
        purpose = " to make a request from" if key == "from" else ""
        need = "pod" if need == "place" else need
        raise InputError(
            f"{where}: {key} is {name!r}, but this endpoint has no {need}{purpose}. Add it to the endpoint."
        )


def _judge_check(where: str, check: Check, checks: Mapping[str, Check], mesh: Mesh) -> Check:
    """What can only be said when all checks are known; fills the defaults that come from other objects."""
    fields = dict(check.fields)
    for key in ("request", "control"):
        name = fields.get(key)
        if name is not None and name not in checks:
            raise InputError(f"{where}: {key} names the check {name!r}, which does not exist.")
        if name is not None and key == "request" and checks[name].type != "request":
            raise InputError(f"{where}: request must name a check of type request, {name!r} is a {checks[name].type}.")
    if fields.get("control"):
        _judge_control(where, check.type, fields, checks[fields["control"]])
    if check.type in _PLAIN:
        _judge_files(where, check.type, fields, mesh)
    elif "spiffe_id" in fields and fields["spiffe_id"] is None:
        owner = fields[owner_field(check.type)]
        fields["spiffe_id"] = mesh.endpoints[owner].spiffe_id
        if fields["spiffe_id"] is None and check.kind == POSITIVE:
            raise InputError(
                f"{where}: spiffe_id is missing, and the endpoint {owner!r} has none. Add it to one of them."
            )
    if check.type == "refused_handshake":
        _judge_client(where, fields, checks[fields["control"]])
    for key in ("spiffe_id", "client_spiffe_id"):
        # What istiod has certified is judged by istiod's own root.
        if fields.get(key) and not (key == "spiffe_id" and fields.get("certified_by") == ISTIOD):
            _require_server(where, key, fields[key], mesh)
    stays = fields.get("client_spiffe_id") and fields.get("client") not in WORTHLESS
    if stays and fields.get("from", HERE) != HERE:
        raise InputError(f"{where}: a test identity never leaves this host, so from must be {HERE!r} here.")
    _judge_places(where, check.type, fields, mesh)
    return Check(check.name, check.type, check.kind, fields, check.hint)


def _judge_places(where: str, of: str, fields: Mapping[str, Any], mesh: Mesh) -> None:
    """What is asked of the endpoints and servers that a check of the type ``of`` names."""
    if of == "closed_port":
        _judge_way(where, mesh.endpoints[fields["from"]], mesh.endpoints[fields["to"]])
    if of in ("same_authorities", "proxy_authorities"):
        _judge_servers(where, of, fields["servers"], mesh)
    if of == "federated_bundle":
        _judge_trust_domain(where, fields, mesh)
    if of in _OF_A_SERVER and mesh.endpoints[fields["to"]].server is None:
        known = f"which of servers the endpoint {fields['to']!r} {_OF_A_SERVER[of]}"
        raise InputError(f"{where}: nothing says {known}. Name it there, as server.")
    if of == "no_certificate_service" and mesh.endpoints[fields["to"]].pod is None:
        raise InputError(f"{where}: to is {fields['to']!r}, but this endpoint has no pod. Add it to the endpoint.")


_OF_A_SERVER = {
    "token_reuse": "is",
    "federated_bundle": "is",
    "published_authorities": "is certified by",
    "webhook_authorities": "is certified by",
    "no_certificate_service": "is certified by",
}
"""Types of checks that ask the server of ``to``, and what that server is to it."""


def _judge_trust_domain(where: str, fields: Mapping[str, Any], mesh: Mesh) -> None:
    try:
        domain = trust_domain_of(fields["trust_domain"])
    except SpiffeIdError as error:
        raise InputError(f"{where}: trust_domain: {error}") from None
    if domain == mesh.servers.get(mesh.endpoints[fields["to"]].server or ""):
        raise InputError(f"{where}: trust_domain is {domain}, the server's own. Name the one that it federates with.")


def _judge_files(where: str, of: str, fields: dict[str, Any], mesh: Mesh) -> None:
    """A certificate is shown by TLS only, and only then something is learnt of the server."""
    url = fields["url"] or mesh.endpoints[fields["to"]].url or ""
    if not fields["certificate"]:
        if fields["spiffe_id"]:
            raise InputError(f"{where}: spiffe_id is given without certificate. Plain HTTP shows none.")
        if BY_NAME in fields.get("refusal", ()):
            raise InputError(f"{where}: refusal is {BY_NAME}, and no name is verified without certificate. Give it.")
        return
    if not url.startswith("https://"):
        raise InputError(f"{where}: certificate is given, and the url {url} is not https://. It would show none.")
    fields["spiffe_id"] = fields["spiffe_id"] or mesh.endpoints[fields["to"]].spiffe_id
    if fields["spiffe_id"] is None and of == "request":
        raise InputError(
            f"{where}: spiffe_id is missing, and the endpoint {fields['to']!r} has none. Say who the server must be."
        )


def _judge_servers(where: str, of: str, names: Sequence[str], mesh: Mesh) -> None:
    """Servers of one trust domain are compared with each other, and a proxy holds a bundle for each trust domain."""
    least = 2 if of == "same_authorities" else 1
    if len(set(names)) < max(len(names), least):
        how_many = "two or more" if least > 1 else "some"
        raise InputError(f"{where}: servers is {', '.join(names) or 'empty'}. Name {how_many}, each once.")
    for name in names:
        if name not in mesh.servers:
            known = ", ".join(mesh.servers) or "there is none"
            raise InputError(f"{where}: servers names {name!r}, known servers: {known}.")
    domains = dict.fromkeys(mesh.servers[name] for name in names)
    if of == "same_authorities" and len(domains) > 1:
        raise InputError(
            f"{where}: servers are of {' and '.join(domains)}. Those of different trust domains have different ones."
        )
    if of == "proxy_authorities" and len(domains) < len(names):
        raise InputError(f"{where}: servers names two of one trust domain. A proxy holds one bundle for it: name one.")


def _judge_control(where: str, of: str, fields: Mapping[str, Any], control: Check) -> None:
    """A refusal proves something only when the same endpoint answers to others.

    Where nobody is let in, an alert about who the client is counts when the server has shown who it is itself.
    """
    if control.kind != POSITIVE:
        raise InputError(f"{where}: control must name a positive check, {control.name!r} is negative.")
    if control.fields["to"] != fields["to"]:
        raise InputError(
            f"{where}: control must be about the same endpoint: this check goes to {fields['to']!r},"
            f" {control.name!r} goes to {control.fields['to']!r}."
        )
    by_alert = of == "refused_handshake" and fields["refusal"] == ("tls_alert",)
    if control.type not in ("request", "accepted_handshake", *(("peer_certificate",) if by_alert else ())):
        raise InputError(
            f"{where}: control must be a check that gets an answer (request or accepted_handshake),"
            f" {control.name!r} is a {control.type}."
        )


def _judge_way(where: str, source: Endpoint, target: Endpoint) -> None:
    """Pods are reached at their own addresses from the pods of their cluster only."""
    if source.name == HERE or source.cluster != target.cluster:
        raise InputError(
            f"{where}: from is {source.name!r}, which is not in the cluster of {target.name!r}. Pods are reached at"
            " their own addresses from there only."
        )


def _judge_client(where: str, fields: dict[str, Any], control: Check) -> None:
    permitted = control.fields.get("client_spiffe_id")
    client, wanted = fields["client"], fields["client_spiffe_id"]
    if control.type == "peer_certificate" and client == "other_identity" and wanted is not None:
        return
    if client == "none":
        if wanted is not None:
            raise InputError(f"{where}: client_spiffe_id has no meaning with client: none.")
        return
    if permitted is None and client in WORTHLESS:
        # The control is a request, made by somebody whose ID only the caller knows.
        permitted = wanted
    if permitted is None:
        raise InputError(
            f"{where}: with client: {client}, control must be an accepted_handshake,"
            " so that the refusal is shown to be about the identity."
        )
    if client in FORGERIES:
        fields["client_spiffe_id"] = wanted or permitted
        if fields["client_spiffe_id"] != permitted:
            raise InputError(
                f"{where}: with client: {client} the certificate must carry the permitted ID {permitted},"
                " else the ID would be what is refused. Leave client_spiffe_id out."
            )
        return
    fields["client_spiffe_id"] = wanted or f"spiffe://{domain_of(permitted)}{OTHER_IDENTITY_PATH}"
    if fields["client_spiffe_id"] == permitted:
        raise InputError(
            f"{where}: client_spiffe_id is {permitted}, which is permitted. client: other_identity needs another ID."
        )


def _require_server(where: str, key: str, spiffe_id: str, mesh: Mesh) -> None:
    trust_domain = domain_of(spiffe_id)
    if mesh.server_of(trust_domain) is None:
        known = ", ".join(dict.fromkeys(mesh.servers.values())) or "there is none"
        raise InputError(
            f"{where}: {key} is {spiffe_id}, but no server of the trust domain {trust_domain} is given. Add one to"
            f" servers: its bundle judges this ID, and only it can mint it. Trust domains with a server: {known}."
        )


_TEXT = "a text on one line that is not empty"


def _judge(where: str, key: str, value: Any) -> None:
    """Refuse a value that is of the right type and still means nothing."""
    expected = _wrong(key, value)
    if expected:
        raise InputError(f"{where}: {key} is {repr(value)[:80]}, expected {expected}.")


def _wrong(key: str, value: Any) -> str:  # noqa: PLR0911 - a line for each kind of value
    """What was expected of ``value``; empty when it is fine."""
    if key in ("certificate", "headers"):
        return ""  # judged by _files and _judge_headers
    if key in _LISTS:
        good, expected = _LISTS[key]
        return "" if value and all(map(good, value)) else expected
    if key in _NUMBERS:
        low, high = _NUMBERS[key]
        return "" if low <= value <= high else f"a whole number from {low} to {high}"
    if key in ("port", "guard_port"):
        return "" if is_port(value) else PORT
    if not value.strip() or not value.isprintable():
        return _TEXT
    if key in ("spiffe_id", "client_spiffe_id"):
        return "" if _is_spiffe_id(value) else "a SPIFFE ID such as spiffe://example.org/ns/default/sa/sleep"
    if key == "address":
        host, _colon, port = value.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        return "" if is_host(bare) and is_port(port) else f"host:port, with {HOST} and {PORT}"
    if key == "server_name":
        return "" if is_server_name(value) else SERVER_NAME
    if key == "url":
        return "" if _is_url(value) else "a URL such as http://gateway.default/"
    if key == "path":
        return "" if value.startswith("/") and " " not in value else "a path that starts with / and has no spaces"
    if key in ("pod", "container", "namespace", "config_map", "service"):
        return "" if _is_word(value) else "a name of Kubernetes"
    return ""


def _is_spiffe_id(value: str) -> bool:
    try:
        SpiffeId.parse(value)
    except SpiffeIdError:
        return False
    return True


def _is_word(value: str) -> bool:
    return _WORD.fullmatch(value) is not None


def _is_line(value: str) -> bool:
    return bool(value.strip()) and value.isprintable()


def _is_protocol(value: str) -> bool:
    """RFC 7301: a name of 1 to 255 bytes."""
    return re.fullmatch(r"[\x21-\x7e]{1,255}", value) is not None


_NUMBERS = {"status": (100, 599), "min_remaining": (0, 10 * 365 * 86400), "length": (1, MOST)}
_LISTS: dict[str, tuple[Callable[[str], bool], str]] = {
    "hops": (_is_spiffe_id, "SPIFFE IDs, the first client on the way first"),
    "refusal": (lambda _word: True, f"one or more of {', '.join(REFUSALS)}"),
    "dns_names": (is_name, "DNS names"),
    "issuers": (_is_line, "names of certificates, that of the leaf's issuer first"),
    "servers": (_is_line, "names of servers"),
    "command": (_is_line, "words before a program, such as ssh and the name of a machine"),
    "namespaces": (_is_word, "names of Kubernetes"),
    "alpn": (_is_protocol, "protocols such as h2 or http/1.1"),
}
"""Fields that are lists of texts: what is asked of each, in code and in words."""


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

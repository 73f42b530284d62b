# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The proof that follows from a mesh: each pair that is allowed is tried, and each that is not. Pure.

Who may call is shown by somebody who may, by a request from its own pod where there are tools for one, and by a
handshake with a minted certificate of its SPIFFE ID. Who may not is tried in the same ways, and must be refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._envoy.config import CLIENT_ID
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import is_ip
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.apps import EXISTING
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.derive import (
    UNKNOWN,
    envoy_address,
    federation,
    gateway_address,
    joins_by_token,
    published_bundles,
    way_by_name,
    way_to,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.model import (
    ANYONE,
    CLUSTERS,
    ENVOY_PORT,
    MESH,
    UPSTREAM_CA,
    Host,
    Mesh,
    Workload,
)

Data = dict[str, Any]

BEHIND = "http_403_behind"
"""How ``trust_check`` calls it when a proxy lets somebody in, and one behind it does not."""
DENIED = "RBAC: access denied"
"""What Envoy says when a policy refuses. A 403 of the application is no refusal of ours."""
FORGED = (("foreign_ca", "from another CA"), ("istiod", "signed by istiod"))
"""Clients that show the name of one who may, by an authority that nobody should believe."""
EXPIRED = ("expired", "by a certificate whose time is over")
HERE = "here"
"""The control node, as the proof calls it."""
FILES = {"folder": "/run/files/svid"}
"""Where svid_files writes in the pods that have their certificate in files."""
OTHER_NAME = "other.invalid"
"""A name that no certificate carries (RFC 2606)."""
TO_COME = "SPIRE, and with it what holds in the mesh, is still to come"
PROXY_SECRET = "default"  # noqa: S105 - a name
"""What Istio's proxies call their own certificate."""
XDS_PORT, WEBHOOK_PORT = 15012, 443
"""Where istiod's Service takes proxies, and the API server."""


@dataclass
class Proof:
    """What ``verify`` is given, and the pairs that nothing here can try, each with the reason."""

    clusters: list[Data] = field(default_factory=list)
    servers: list[Data] = field(default_factory=list)
    istio_roots: list[Data] = field(default_factory=list)
    meshes: list[Data] = field(default_factory=list)
    """Where Istio is, for the status."""
    endpoints: list[Data] = field(default_factory=list)
    checks: list[Data] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)

    def add(self, name: str, kind: str, **fields: Any) -> str:
        """Add a check and return its name."""
        self.checks.append({"name": name, "type": kind, **{k: v for k, v in fields.items() if v not in (None, "")}})
        return name

    def data(self) -> Data:
        """The variables of the role ``verify``, without their prefix."""
        return {
            name: getattr(self, name)
            for name in ("clusters", "servers", "istio_roots", "meshes", "endpoints", "checks", "untried")
        }


@dataclass(frozen=True)
class _Hop:
    caller: Workload
    callee: Workload


def proof(mesh: Mesh) -> Proof:
    """Derive the whole proof of ``mesh``."""
    made = Proof()
    made.clusters = [{"name": host.name, **host.access} for host in mesh.hosts.values() if CLUSTERS in host.duties]
    made.servers = [
        {"name": host.name, "cluster": host.name, "trust_domain": host.trust_domain, **host.server_options}
        for host in mesh.servers()
        if not _is_to_come(host)
    ]
    made.meshes = [
        {"cluster": host.name, "namespace": host.istio_namespace}
        for host in mesh.hosts.values()
        if {MESH, CLUSTERS} <= host.duties
    ]
    made.istio_roots = [
        {"cluster": host.name, "namespace": host.istio_namespace}
        for host in mesh.hosts.values()
        if {MESH, CLUSTERS} <= host.duties and (not host.istiod_by_spire or host.wiring)
    ]
    made.endpoints = [_endpoint(mesh, workload) for workload in mesh.workloads.values()]
    for workload in mesh.workloads.values():
        if workload.is_gateway:
            _prove_gateway(mesh, workload, made)
    for workload in mesh.workloads.values():
        if workload.guard == "mesh" and workload.name in mesh.callers:
            _prove_mesh(mesh, workload, made)
    for workload in mesh.workloads.values():
        if workload.guard == "envoy" and workload.name in mesh.callers and not _is_to_come(mesh.hosts[workload.host]):
            _prove_envoy(mesh, workload, made)
    _tell_what_is_left(mesh, made)
    for host in mesh.hosts.values():
        _prove_control_plane(mesh, host, made)
    _prove_upstream(mesh, made)
    _prove_federation(mesh, made)
    _prove_bundles(mesh, made)
    _prove_tokens(mesh, made)
    return made


def _is_to_come(host: Host) -> bool:
    """Whether SPIRE is still to come to an Istio that was there, which then says all that there is."""
    return host.wiring is not None and not host.wiring.begun


def _certifier(mesh: Mesh, workload: Workload) -> Data:
    """The field of a check that says who has signed the certificate of a workload. Without it, it is SPIRE."""
    by = mesh.certified_by(workload)
    return {} if by == "spire" else {"certified_by": by}


def _endpoint(mesh: Mesh, workload: Workload) -> Data:
    has_server = workload.identity and not _is_to_come(mesh.hosts[workload.host])
    endpoint: Data = {
        "name": workload.name,
        "cluster": workload.host,
        "server": mesh.hosts[workload.host].server if has_server else None,
        "spiffe_id": mesh.spiffe_id(workload),
    }
    if mesh.is_on_machine(workload):
        endpoint["command"] = _words(mesh, workload)
    else:
        endpoint |= {"namespace": workload.namespace, "pod": workload.pod, "container": workload.container}
    if workload.name in mesh.callers:
        if workload.guard == "mesh":
            endpoint["url"] = f"http://{workload.dns}:{workload.port}/"
            endpoint["address"] = f"{workload.dns}:{workload.port}"
        elif workload.guard == "envoy":
            # From outside its cluster where it is exposed, else from the pods of its own.
            where = None if mesh.is_exposed(workload) else workload.host
            endpoint["address"] = envoy_address(mesh, where, workload)
            if workload.dns_names:
                endpoint["url"] = f"{way_by_name(workload)}/"
        elif workload.is_gateway:
            endpoint["address"] = gateway_address(mesh, workload)
            endpoint["url"] = _plain_way(mesh, workload) if mesh.is_open(workload) else f"{way_to(workload)}/"
    return {key: value for key, value in endpoint.items() if value is not None}


def _chain(mesh: Mesh, caller: Workload, callee: Workload) -> list[_Hop]:
    """The hops of a request: an Envoy with one callee goes on to it, and a gateway to whom the path leads."""
    hops, seen = [_Hop(caller, callee)], {caller.name, callee.name}
    while following := _next(mesh, callee):
        if following.name in seen:
            break
        seen.add(following.name)
        hops.append(_Hop(callee, following))
        callee = following
    return hops


def _next(mesh: Mesh, workload: Workload) -> Workload | None:
    """Whom a request goes on to that is made as the proof makes it."""
    callees = mesh.callees_of(workload)
    if workload.is_gateway:
        return next((callee for callee in callees if _permits(workload, callee.probe_path)), None)
    return callees[0] if workload.is_envoy and len(callees) == 1 else None


def _permits(gateway: Workload, path: str) -> bool:
    """Whether the policy of a gateway lets in requests for a path."""
    return not gateway.paths or any(
        path.startswith(one[:-1]) if one.endswith("*") else path == one for one in gateway.paths
    )


def _stopped_at(mesh: Mesh, hops: list[_Hop]) -> Workload | None:
    """Who on the way of a request takes none on behalf of its client, though the one before it does."""
    client = hops[0].caller
    for hop in hops[1:]:
        for_whom = [mesh.spiffe_id(mesh.workloads[name]) for name in hop.callee.on_behalf_of]
        if for_whom and mesh.spiffe_id(client) not in for_whom:
            return hop.callee
    return None


def _claims(mesh: Mesh, whom: Workload, proxy: Workload) -> dict[str, str]:
    """Headers by which a client says that it is somebody else."""
    spiffe_id = str(mesh.spiffe_id(whom))
    element = f"By={mesh.spiffe_id(proxy)};Hash={'0' * 64};URI={spiffe_id}"
    return {CLIENT_ID: spiffe_id, "x-forwarded-client-cert": element}


HOP_BY_HOP = {"connection": f"{CLIENT_ID}, x-forwarded-client-cert"}
"""What makes careless proxies drop the headers that they have just set (RFC 9110, 7.6.1)."""


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _has(mesh: Mesh, workload: Workload, program: str) -> bool:
    """Whether something can be tried from its container, or its machine, by this program."""
    return program in workload.tools and (not mesh.is_on_machine(workload) or bool(mesh.hosts[workload.host].command))


def _words(mesh: Mesh, workload: Workload) -> list[str] | None:
    """How the control node runs a program on a machine, as the user by which SPIRE's agent knows the workload."""
    users = [text.rpartition(":")[2] for text in workload.selectors if text.startswith("unix:uid:")]
    host = mesh.hosts[workload.host]
    words = [word.replace("{uid}", users[0] if users else "0") for word in host.command]
    if words and workload.mesh:
        # pilot-agent, which tells what the sidecar holds, is not where a shell looks.
        words += ["env", f"PATH={host.sidecar_dir}:{PATH}"]
    return words or None


def _takes_no_get(mesh: Mesh, callee: Workload, made: Proof) -> bool:
    """Whether a request of the proof, which is a GET, is refused to everybody. Then that is said."""
    for hop in _chain(mesh, callee, callee):
        if hop.callee.methods and "GET" not in hop.callee.methods:
            made.untried.append(
                f"who may call {callee.name}, and who may not: the proof asks by GET, which is none of the methods of"
                f" {hop.callee.name}"
            )
            return True
    return False


def _answer(hops: list[_Hop]) -> Data:
    """How the answer at the end of the chain is recognised. An Envoy that goes on to several says nothing."""
    end = hops[-1].callee
    return {
        "json_key": end.answer_key,
        # Through others it is chance who answers of those behind a Service, and not what is asked.
        "json_value": end.answer_value if len(hops) == 1 else None,
        "path": end.probe_path,
        "status": end.probe_status,
    }


def _request(mesh: Mesh, caller: Workload, callee: Workload, made: Proof) -> str | None:
    """Add the request of one that may call, and what can be learnt from its answer."""
    if not _has(mesh, caller, "curl"):
        return None
    hops = _chain(mesh, caller, callee)
    name = made.add(
        f"{caller.name} may call {callee.name}",
        "request",
        **{"from": caller.name, "to": callee.name, "url": f"{way_to(callee)}/", **_answer(hops)},
    )
    _forwarded(mesh, hops, made, name)
    return name


def _forwarded(mesh: Mesh, hops: list[_Hop], made: Proof, request: str, name: str = "") -> None:
    """What the answer to a request says of those whom the proxies on the way have verified."""
    last = hops[-1]
    if last.callee.guard == "envoy" and last.callee.shows_callers:
        _once(
            made,
            name or f"{last.caller.name} presents its SPIFFE ID to {last.callee.name}",
            "forwarded_certificate",
            **{"from": last.caller.name, "to": last.callee.name, "request": request},
            hops=[mesh.spiffe_id(hop.caller) for hop in hops],
        )


def _once(made: Proof, name: str, kind: str, **fields: Any) -> str:
    """Add a check unless one of this name is there."""
    return name if any(check["name"] == name for check in made.checks) else made.add(name, kind, **fields)


def _sidecar(mesh: Mesh, workload: Workload, made: Proof, request: str | None = None) -> None:
    """What a sidecar holds, and where one can see it, that this is what it shows."""
    if mesh.is_on_machine(workload) and not mesh.hosts[workload.host].command:
        text = (
            f"what {workload.name}'s sidecar holds: nothing says how a program is run on {workload.host}"
            " (machine_command)"
        )
        made.untried += [text] if text not in made.untried else []
        return
    seen = None
    if request is not None:
        asked = next(check for check in made.checks if check["name"] == request)
        end = _chain(mesh, workload, mesh.workloads[asked["to"]])[-1].callee
        seen = request if end.shows_callers else None
    by = {"spire": "SPIRE", "either": "SPIRE or istiod"}.get(mesh.certified_by(workload), "istiod")
    _once(
        made,
        f"{workload.name}'s {_proxy(workload)} is certified by {by}",
        "sidecar_certificate",
        to=workload.name,
        request=seen,
        **_certifier(mesh, workload),
    )


def _proxy(workload: Workload) -> str:
    """What keeps others out of a workload of a mesh."""
    return "proxy" if workload.is_gateway else "sidecar"


def _plain_way(mesh: Mesh, gateway: Workload) -> str:
    """Where anybody asks an open gateway, in plain HTTP."""
    if gateway.dns_names:
        return f"http://{gateway.dns_names[0]}:{gateway.port}/"
    return f"http://{gateway_address(mesh, gateway)}/"


def _door(mesh: Mesh, callee: Workload) -> str:
    """Where a gateway or an Envoy is reached by those who show a certificate by themselves."""
    if callee.is_gateway or mesh.is_exposed(callee):
        return gateway_address(mesh, callee)
    return envoy_address(mesh, callee.host, callee)


def _knows_its_name(mesh: Mesh, caller: Workload, callee: Workload) -> bool:
    """Whether a pod finds a callee by its name: where that is an alias in the pod, as callers of ours have it."""
    host, _colon, port = _door(mesh, callee).rpartition(":")
    return (
        callee in mesh.callees_of(caller)
        and caller.app != EXISTING
        and (host == UNKNOWN or is_ip(host.strip("[]")))
        and way_by_name(callee).endswith(f":{port}")
    )


def _by_files(mesh: Mesh, caller: Workload, callee: Workload) -> Data:
    """How a pod asks by its own certificate. The name is verified, wherever the connection goes."""
    address = None if _knows_its_name(mesh, caller, callee) else _door(mesh, callee)
    files: Data = FILES
    if mesh.is_on_machine(caller):
        files = dict(mesh.hosts[caller.host].agent)
    elif mesh.trust_domain(caller) != mesh.trust_domain(callee):
        # The authorities of each other trust domain are in a file of their own.
        folder = FILES["folder"]
        authorities = f"{folder}/federated/{mesh.trust_domain(callee)}.pem"
        files = {"certificate": f"{folder}/svid.pem", "key": f"{folder}/svid.key", "authorities": authorities}
    return {"from": caller.name, "url": f"{way_by_name(callee)}/", "certificate": files, "address": address}


def _can_show_files(mesh: Mesh, workload: Workload) -> bool:
    # On a machine its agent gives the certificate to the user by whom it is known, who asks at that moment.
    shows = bool(workload.selectors) if mesh.is_on_machine(workload) else workload.files
    return shows and _has(mesh, workload, "curl")


def _length(mesh: Mesh, workload: Workload) -> int | None:
    """Leaf, SPIRE's intermediate and the root, where the CA of the control node is above the server."""
    server = mesh.hosts[workload.host].server
    return 3 if server and UPSTREAM_CA in mesh.hosts[server].duties and mesh.hosts[server].upstream_is_root else None


def _prove_gateway(mesh: Mesh, gateway: Workload, made: Proof) -> None:
    """The proxy of a gateway, and who gets in from outside of its mesh."""
    _sidecar(mesh, gateway, made)
    if gateway.name not in mesh.callers or _takes_no_get(mesh, gateway, made):
        return
    end = _chain(mesh, gateway, gateway)
    if len(end) == 1:
        made.untried.append(
            f"who may call {gateway.name}, and who may not: none of its paths is one at which the proof asks whom it"
            " leads to"
        )
        return
    answer = _answer(end)
    if mesh.is_open(gateway):
        made.add(
            f"anyone may call {gateway.name}",
            "request",
            **{"to": gateway.name, "address": gateway_address(mesh, gateway), **answer},
        )
        return
    if _is_to_come(mesh.hosts[gateway.host]):
        made.untried.append(f"who may call {gateway.name}, and who may not: {TO_COME}")
        return
    callers, name = mesh.trusted_callers_of(gateway), gateway.dns_names[0]
    requests = {
        caller.name: made.add(
            f"{caller.name} may call {gateway.name}",
            "request",
            **{"to": gateway.name, **_by_files(mesh, caller, gateway), **answer},
        )
        for caller in callers
        if _can_show_files(mesh, caller)
    }
    shown: Data = {"to": gateway.name, "server_name": name}
    names = list(gateway.dns_names)
    # What istiod certifies carries no names of a gateway.
    by_spire = mesh.certified_by(gateway) == "spire"
    named = {"dns_names": names} if by_spire else _certifier(mesh, gateway)
    presented = made.add(f"{gateway.name} presents its SPIFFE ID", "peer_certificate", **named, **shown)
    _refuse_unfederated(mesh, gateway, made, {**shown, "control": presented, "path": answer["path"]})
    if by_spire:
        chain = f"{gateway.name} presents its whole chain"
        made.add(chain, "certificate_chain", length=_length(mesh, gateway), **shown)
    controls = [
        made.add(
            f"{caller.name} may call {gateway.name}" + (", by its SPIFFE ID" if caller.name in requests else ""),
            "accepted_handshake",
            client_spiffe_id=mesh.spiffe_id(caller),
            **shown,
            **answer,
        )
        for caller in callers
    ]
    if not controls:
        return
    refused: Data = {"control": controls[0], "path": answer["path"]}
    _refuse_forged(mesh, gateway, made, {**shown, **refused})
    _doubt_other_names(mesh, callers[0], gateway, made, refused)
    _prove_no_way_around(mesh, gateway, made, controls[0])
    for other in _not_allowed(mesh, gateway):
        _refuse_at_gateway(mesh, other, gateway, made, refused)


def _doubt_other_names(mesh: Mesh, caller: Workload, callee: Workload, made: Proof, refused: Data) -> None:
    """Who shows a certificate by itself turns away from a server of another name."""
    if not _can_show_files(mesh, caller):
        made.untried.append(
            f"that callers verify the name of {callee.name}: {caller.name} has no curl with its certificate in files"
        )
        return
    asked = {**_by_files(mesh, caller, callee), "address": _door(mesh, callee)}
    port = way_by_name(callee).rpartition(":")[2]
    made.add(
        f"{caller.name} does not believe {callee.name} under another name",
        "refused_request",
        **{"to": callee.name, **asked, "url": f"https://{OTHER_NAME}:{port}/", **refused},
        refusal=["name_mismatch"],
    )


def _forged(mesh: Mesh, callee: Workload) -> list[tuple[str, str]]:
    """The clients of ``FORGED``, and what they show: an istiod that SPIRE certifies has nothing to sign with."""
    istiod = mesh.istiod_of(callee.host)
    by_spire = istiod.istiod_by_spire
    if istiod.wiring:
        # Until the last one has come over, what istiod signs is believed.
        return list(FORGED[:1])
    return [
        (client, "from a CA named as istiod's would be" if by_spire and client == "istiod" else words)
        for client, words in FORGED
    ]


def _refuse_forged(mesh: Mesh, gateway: Workload, made: Proof, refused: Data) -> None:
    """Those without a certificate, with one of somebody else, and with one that nobody should believe."""
    made.add(f"nobody may call {gateway.name} without a certificate", "refused_handshake", client="none", **refused)
    made.add(
        f"an identity that is not listed may not call {gateway.name}",
        "refused_handshake",
        client="other_identity",
        refusal=["http_403"],
        contains=DENIED,
        **refused,
    )
    caller = mesh.trusted_callers_of(gateway)[0]
    for client, words in (*_forged(mesh, gateway), EXPIRED):
        made.add(
            f"{caller.name}'s SPIFFE ID {words} may not call {gateway.name}",
            "refused_handshake",
            client=client,
            **refused,
        )


def _refuse_at_gateway(mesh: Mesh, other: Workload, gateway: Workload, made: Proof, refused: Data) -> None:
    """One who may not: by its own certificate, by one that is minted for it, or without any."""
    name = f"{other.name} may not call {gateway.name}"
    shown: Data = {"to": gateway.name, "server_name": gateway.dns_names[0], **refused}
    denied = {"refusal": ["http_403"], "contains": DENIED}
    known = mesh.trust_domain(other) in {mesh.trust_domain(gateway), *mesh.foreign_domains(gateway)}
    if other.identity and known and _can_show_files(mesh, other):
        made.add(
            name, "refused_request", **{"to": gateway.name, **_by_files(mesh, other, gateway), **refused, **denied}
        )
    elif other.identity:
        # Who is of another trust domain is no client of this mesh at all.
        made.add(
            name,
            "refused_handshake",
            client="other_identity",
            client_spiffe_id=mesh.spiffe_id(other),
            **shown,
            **(denied if known else {}),
        )
    else:
        _refuse_nobody(mesh, other, gateway, made, shown)


def _refuse_unfederated(mesh: Mesh, callee: Workload, made: Proof, fields: Data) -> None:
    """Those who are listed, and of a trust domain that is not federated: they are no clients at all."""
    for caller in mesh.callers_of(callee):
        if not mesh.trusts(caller, callee):
            made.add(
                f"{caller.name} may not call {callee.name} while {mesh.trust_domain(caller)} is not federated",
                "refused_handshake",
                client="other_identity",
                client_spiffe_id=mesh.spiffe_id(caller),
                **fields,
            )


def _request_through(mesh: Mesh, gateway: Workload, callee: Workload, made: Proof) -> str | None:
    """The way of a gateway or a proxy to one that it may call: it asks nobody itself, so somebody asks through it."""
    name = f"{gateway.name} may call {callee.name}"
    fields: Data = {"to": callee.name, "spiffe_id": mesh.spiffe_id(gateway)}
    if gateway.name not in mesh.callers or (gateway.methods and "GET" not in gateway.methods):
        made.untried.append(f"{name}: nobody may ask through it by GET")
        return None
    if _next(mesh, gateway) is not callee and gateway.is_envoy:
        made.untried.append(f"{name}: it goes on to several, and by the name that is asked for")
        return None
    if not _permits(gateway, callee.probe_path):
        made.untried.append(f"{name}: {gateway.name} takes no request for {callee.probe_path}")
        return None
    if mesh.is_open(gateway):
        who = ANYONE
        fields |= {"url": _plain_way(mesh, gateway), "address": gateway_address(mesh, gateway), "spiffe_id": None}
    else:
        able = [
            caller
            for caller in mesh.trusted_callers_of(gateway)
            if (_can_show_files(mesh, caller) or (caller.envoy and _has(mesh, caller, "curl")))
            and not _stopped_at(mesh, [_Hop(caller, gateway), _Hop(gateway, callee)])
        ]
        if not able:
            made.untried.append(f"{name}: none of its callers has curl and its certificate in files")
            return None
        who = able[0].name
        if able[0].envoy:
            fields |= {"from": who, "url": f"{way_to(gateway)}/", "spiffe_id": None}
        else:
            fields |= _by_files(mesh, able[0], gateway)
    return made.add(f"{name}, for {who}", "request", **fields, **_answer([_Hop(gateway, callee)]))


def _prove_mesh(mesh: Mesh, callee: Workload, made: Proof) -> None:
    """One whose sidecar lets in who is listed."""
    if _takes_no_get(mesh, callee, made):
        return
    if callee in mesh.called_across(callee.host):
        _prove_across(mesh, callee, made)
    control = _request_in_mesh(mesh, callee, made)
    _sidecar(mesh, callee, made)
    if _is_to_come(mesh.hosts[callee.host]):
        made.untried.append(f"who may not call {callee.name}: {TO_COME}")
        return
    watcher = _outsider(mesh, callee, "python3") if _is_met_alone(mesh, callee, made) else None
    if watcher:
        made.add(
            f"{callee.name}'s sidecar presents its SPIFFE ID",
            "peer_certificate",
            **{"from": watcher.name, "to": callee.name, **_certifier(mesh, callee)},
        )
    if control is None:
        made.untried.append(
            f"who may not call {callee.name}: nobody who may can send a request to show that it answers"
        )
        return
    refused: Data = {"to": callee.name, "path": callee.probe_path, "control": control}
    _prove_no_way_around(mesh, callee, made, control)
    callers = [caller for caller in mesh.trusted_callers_of(callee) if caller.identity]
    if watcher and callers and not mesh.is_open(callee):
        shown_id = mesh.spiffe_id(callers[0])
        for client, words in _forged(mesh, callee):
            made.add(
                f"{callers[0].name}'s SPIFFE ID {words} may not call {callee.name}",
                "refused_handshake",
                **{"from": watcher.name, "client": client, "client_spiffe_id": shown_id, **refused},
            )
    _refuse_in_mesh(mesh, callee, made, refused)


def _refuse_in_mesh(mesh: Mesh, callee: Workload, made: Proof, refused: Data) -> None:
    """All who may not call a workload of a mesh: by their sidecars, or from outside of it."""
    for other in _not_allowed(mesh, callee):
        name = f"{other.name} may not call {callee.name}"
        if not mesh.share_a_mesh(other, callee):
            _refuse_outside(mesh, other, callee, made, refused)
        elif not mesh.leads_to(other.host, callee):
            made.untried.append(f"{name}: no way leads to it from {other.host}")
        elif mesh.trust_domain(callee) not in (mesh.trust_domain(other), *mesh.foreign_domains(other)):
            # Its sidecar does not believe the callee in the first place, which is no refusal of who it is. A handshake
            # with its SPIFFE ID has tried that.
            continue
        elif _has(mesh, other, "curl"):
            said = {"refusal": ["http_403"], "contains": DENIED}
            made.add(name, "refused_request", **{"from": other.name, **said, **refused})
        else:
            made.untried.append(f"{name}: nothing in its container can send a request")


def _request_in_mesh(mesh: Mesh, callee: Workload, made: Proof) -> str | None:
    """The requests of those that may call, of which the first one shows that it answers."""
    control: str | None = None
    for caller in mesh.trusted_callers_of(callee):
        request = (_request_through if caller.is_gateway else _request)(mesh, caller, callee, made)
        control = control or request
        if request is None and not caller.is_gateway:
            made.untried.append(f"{caller.name} may call {callee.name}: nothing in its container can send a request")
        if caller.mesh:
            _sidecar(mesh, caller, made, request)
    return control


def _prove_across(mesh: Mesh, callee: Workload, made: Proof) -> None:
    """One that is called from another network: the gateway there leads to it alone, so it is asked itself.

    A request through the Service may be answered by others, and a proxy that is refused tries the next one.
    """
    address = _door_of_network(mesh, callee, made)
    if address is None or not _is_met_alone(mesh, callee, made):
        return
    way: Data = {
        "to": callee.name,
        "address": address,
        # What sidecars ask for (Istio's SNI of a port of a Service), and the protocol by which they know each other.
        "server_name": f"outbound_.{callee.port}_._.{callee.dns}",
        "alpn": ["istio"],
    }
    answer = _answer([_Hop(callee, callee)])
    shown = made.add(f"{callee.name} presents its SPIFFE ID to other networks", "peer_certificate", **way)
    trusted = mesh.trusted_callers_of(callee)
    controls = [
        made.add(
            f"{caller.name} may call {callee.name}, by its SPIFFE ID",
            "accepted_handshake",
            client_spiffe_id=mesh.spiffe_id(caller),
            **way,
            **answer,
        )
        for caller in trusted
    ]
    refused: Data = {**way, "control": [*controls, shown][0], "path": answer["path"]}
    made.add(
        f"nobody may call {callee.name} from other networks without a certificate",
        "refused_handshake",
        client="none",
        **refused,
    )
    if controls:
        made.add(
            f"an identity that is not listed may not call {callee.name} from other networks",
            "refused_handshake",
            client="other_identity",
            refusal=["http_403"],
            contains=DENIED,
            **refused,
        )
        for client, words in (*_forged(mesh, callee), EXPIRED):
            made.add(
                f"{trusted[0].name}'s SPIFFE ID {words} may not call {callee.name} from other networks",
                "refused_handshake",
                client=client,
                **refused,
            )
    known = {mesh.trust_domain(callee), *(mesh.trust_domain(caller) for caller in trusted)}
    _refuse_unfederated(mesh, callee, made, {**refused, "control": shown})
    for other in _not_allowed(mesh, callee):
        if not other.identity:
            continue
        name = f"{other.name} may not call {callee.name} from other networks"
        fields = {**refused, "client": "other_identity", "client_spiffe_id": mesh.spiffe_id(other)}
        if mesh.trust_domain(other) not in known:
            # It is no client at all.
            made.add(name, "refused_handshake", **{**fields, "control": shown})
        elif controls:
            made.add(name, "refused_handshake", **fields, refusal=["http_403"], contains=DENIED)
        else:
            made.untried.append(f"{name}: nobody is let in to show that it answers")


def _door_of_network(mesh: Mesh, callee: Workload, made: Proof) -> str | None:
    """Where those of other networks reach a workload of a mesh: by the gateway of its cluster, or on its machine."""
    if not mesh.is_on_machine(callee):
        gateway = mesh.east_west_gateway(callee.host)
        return gateway_address(mesh, gateway) if gateway else None
    address = mesh.hosts[callee.host].address
    if address == "":
        made.untried.append(
            f"who may call {callee.name}, by handshakes: nobody knows at which address. Give machine_address of"
            f" {callee.host}."
        )
        return None
    return f"{address or UNKNOWN}:{callee.listens}"


def _is_met_alone(mesh: Mesh, callee: Workload, made: Proof) -> bool:
    """Whether no other answers a handshake in its place, under another SPIFFE ID. Else that is said."""
    # A machine is asked at its own address.
    shared = [] if mesh.is_on_machine(callee) else mesh.sharing(callee)
    others = [other.name for other in shared if mesh.spiffe_id(other) != mesh.spiffe_id(callee)]
    if others:
        text = f"handshakes with {callee.name} alone: the Service {callee.service} also leads to {' and '.join(others)}"
        made.untried += [text] if text not in made.untried else []
    return not others


def _outsider(mesh: Mesh, callee: Workload, program: str) -> Workload | None:
    """Somebody on its host whose connections no sidecar takes over, with a program to try something. Best a nobody."""
    outside = [other for other in mesh.on(callee.host) if not other.mesh and other.name != callee.name]
    able = [other for other in outside if _has(mesh, other, program)]
    return min(able, key=lambda other: (other.identity, len(other.tools) == 1), default=None)


def _prove_no_way_around(mesh: Mesh, callee: Workload, made: Proof, control: str) -> None:
    """Nothing answers at the pod itself but what keeps out those who are not listed."""
    if mesh.is_open(callee) or (callee.is_envoy and not callee.mesh):
        return
    guard = _proxy(callee) if callee.mesh else "Envoy"
    if mesh.is_on_machine(callee) and callee.mesh:
        if address := _door_of_network(mesh, callee, made):
            made.add(
                f"nobody gets an answer around {callee.name}'s {guard}, in plain text",
                "refused_request",
                **{"to": callee.name, "url": f"http://{address}/", "path": callee.probe_path, "control": control},
                refusal=["reset"],
            )
        return
    if mesh.is_on_machine(callee):
        made.untried.append(
            f"whether a way leads around {callee.name}'s {guard}: who else reaches port {callee.listens} of"
            f" {callee.host} is a matter of that machine, where its program is to listen on loopback"
        )
        return
    watcher = _outsider(mesh, callee, "curl")
    if watcher is None:
        made.untried.append(
            f"whether a way leads around {callee.name}'s {guard}: no workload of {callee.host} outside of a mesh has"
            " curl to try it"
        )
        return
    made.add(
        f"{watcher.name} gets no answer around {callee.name}'s {guard}",
        "closed_port",
        **{"from": watcher.name, "to": callee.name, "control": control},
        port=callee.listens,
        path=callee.probe_path,
        # A sidecar takes every connection of its pod, and cuts off those without mTLS.
        **({"refusal": ["reset", "nothing_listens"]} if callee.mesh else {}),
        # Silence is told from a broken way by a handshake, which takes python3.
        **({"guard_port": ENVOY_PORT} if not callee.mesh and _has(mesh, watcher, "python3") else {}),
    )


def _refuse_outside(mesh: Mesh, other: Workload, callee: Workload, made: Proof, refused: Data) -> None:
    """A pod outside of the mesh gets in neither in plain text nor by TLS."""
    name = f"{other.name} may not call {callee.name}"
    if mesh.is_on_machine(callee):
        _refuse_at_machine(mesh, other, callee, made, refused)
        return
    if other.host != callee.host:
        made.untried.append(f"{name}: it is reached from inside {callee.host} only")
        return
    if _has(mesh, other, "curl"):
        made.add(f"{name} in plain text", "refused_request", **{"from": other.name, "refusal": ["reset"], **refused})
    if _has(mesh, other, "python3") and _is_met_alone(mesh, callee, made):
        made.add(
            f"{name} without a certificate",
            "refused_handshake",
            **{"from": other.name, "client": "none", **refused},
        )
    if not (_has(mesh, other, "curl") or _has(mesh, other, "python3")):
        made.untried.append(f"{name}: nothing in its container can try it")


def _refuse_at_machine(mesh: Mesh, other: Workload, callee: Workload, made: Proof, refused: Data) -> None:
    """One outside of the mesh that asks a machine's sidecar, at its own address."""
    name = f"{other.name} may not call {callee.name}"
    address = _door_of_network(mesh, callee, made)
    if address is None:
        return
    if not _has(mesh, other, "curl"):
        made.untried.append(f"{name}: nothing in its container can try it")
        return
    plain = {"from": other.name, "url": f"http://{address}/", "refusal": ["reset"]}
    made.add(f"{name} in plain text", "refused_request", **{**refused, **plain})


def _not_allowed(mesh: Mesh, callee: Workload) -> Iterator[Workload]:
    """The workloads that may not call ``callee``. Those of one identity cannot be told apart, so one allows all."""
    if mesh.is_open(callee):
        return
    allowed = {mesh.spiffe_id(caller) for caller in mesh.callers_of(callee)}
    for other in mesh.workloads.values():
        if other.name != callee.name and not (other.identity and mesh.spiffe_id(other) in allowed):
            yield other


def _prove_envoy(mesh: Mesh, callee: Workload, made: Proof) -> None:
    """One whose Envoy lets in who is listed."""
    if _takes_no_get(mesh, callee, made):
        return
    trusted = mesh.trusted_callers_of(callee)
    callers = [caller for caller in trusted if not _stopped_at(mesh, _chain(mesh, caller, callee))]
    requests = {caller.name: _request_envoy(mesh, caller, callee, made) for caller in callers}
    if not mesh.is_exposed(callee):
        _prove_hidden_envoy(mesh, callee, made, next((name for name in requests.values() if name), None))
        return
    names = list(callee.dns_names) or None
    presented = made.add(f"{callee.name} presents its SPIFFE ID", "peer_certificate", to=callee.name, dns_names=names)
    shown = {"to": callee.name, **_answer(_chain(mesh, callee, callee))}
    _refuse_unfederated(mesh, callee, made, {"to": callee.name, "control": presented, "path": shown["path"]})
    controls = [
        made.add(
            f"{caller.name} may call {callee.name}" + (", by its SPIFFE ID" if requests.get(caller.name) else ""),
            "accepted_handshake",
            client_spiffe_id=mesh.spiffe_id(caller),
            **shown,
        )
        for caller in callers
    ]
    if not controls:
        return
    refused: Data = {"to": callee.name, "control": controls[0], "path": shown["path"]}
    made.add(f"nobody may call {callee.name} without a certificate", "refused_handshake", client="none", **refused)
    made.add(
        f"an identity that is not listed may not call {callee.name}",
        "refused_handshake",
        client="other_identity",
        **refused,
    )
    has_mesh = any(MESH in host.duties and not host.wiring for host in mesh.hosts.values())
    for client, words in (*FORGED[: 2 if has_mesh else 1], EXPIRED):
        made.add(
            f"{callers[0].name}'s SPIFFE ID {words} may not call {callee.name}",
            "refused_handshake",
            client=client,
            **refused,
        )
    for caller in callers[:1]:
        if mesh.shows_files_to(caller, callee):
            _doubt_other_names(mesh, caller, callee, made, refused)
    for caller in trusted:
        _refuse_behind(mesh, _chain(mesh, caller, callee), callers[0], made, refused)
    _prove_no_way_around(mesh, callee, made, controls[0])
    for other in _not_allowed(mesh, callee):
        name = f"{other.name} may not call {callee.name}"
        if other.identity and callee.dns_names and _can_show_files(mesh, other):
            made.add(name, "refused_request", **{**_by_files(mesh, other, callee), **refused}, refusal=["tls_alert"])
        elif other.identity:
            shown_id = mesh.spiffe_id(other)
            made.add(name, "refused_handshake", client="other_identity", client_spiffe_id=shown_id, **refused)
        else:
            _refuse_nobody(mesh, other, callee, made, refused)


def _request_envoy(mesh: Mesh, caller: Workload, callee: Workload, made: Proof) -> str | None:
    """The request of one that may call an Envoy: through its own, by a certificate in files, or through a proxy."""
    if caller.envoy:
        return _request(mesh, caller, callee, made)
    if caller.forwards_clients:
        return _request_through(mesh, caller, callee, made)
    if not (mesh.shows_files_to(caller, callee) and _can_show_files(mesh, caller)):
        return None
    hops = _chain(mesh, caller, callee)
    asked: Data = {"to": callee.name, **_by_files(mesh, caller, callee), **_answer(hops)}
    name = made.add(f"{caller.name} may call {callee.name}", "request", **asked)
    if len(hops) == 1 or not hops[-1].callee.shows_callers:
        return name
    end = hops[-1].callee
    _forwarded(mesh, hops, made, name)
    said = made.add(
        f"{caller.name} may call {callee.name}, and says that it is {end.name}",
        "request",
        headers=_claims(mesh, end, callee),
        **asked,
    )
    _forwarded(mesh, hops, made, said, f"{end.name} is told who {caller.name} is, whatever that says of itself")
    return name


def _refuse_behind(mesh: Mesh, hops: list[_Hop], permitted: Workload, made: Proof, refused: Data) -> None:
    """One that a proxy lets in, and one behind it does not: also when it says that it is somebody else."""
    caller, callee, end = hops[0].caller, hops[0].callee, _stopped_at(mesh, hops)
    if end is None:
        return
    name = f"{caller.name} may call {callee.name}, and not {end.name} behind it"
    denied: Data = {**refused, "refusal": [BEHIND], "contains": DENIED}
    shown: Data = {"client": "other_identity", "client_spiffe_id": mesh.spiffe_id(caller), **denied}
    claims = _claims(mesh, permitted, callee)
    if mesh.shows_files_to(caller, callee) and _can_show_files(mesh, caller):
        made.add(name, "refused_request", **{**_by_files(mesh, caller, callee), **denied})
        name += ", by its SPIFFE ID"
    made.add(name, "refused_handshake", **shown)
    made.add(f"{name}, as {permitted.name}", "refused_handshake", headers=claims, **shown)
    made.add(
        f"{name}, as {permitted.name} by headers for one hop",
        "refused_handshake",
        headers={**claims, **HOP_BY_HOP},
        **shown,
    )


def _refuse_nobody(mesh: Mesh, other: Workload, callee: Workload, made: Proof, refused: Data) -> None:
    """A pod that has no identity has no certificate to show."""
    name = f"{other.name} may not call {callee.name}"
    if _has(mesh, other, "curl"):
        if callee.is_gateway:
            address = gateway_address(mesh, callee)
        else:
            address = envoy_address(mesh, None if mesh.is_exposed(callee) else callee.host, callee)
        plain = {key: value for key, value in refused.items() if key != "server_name"}
        plain |= {"from": other.name, "url": f"http://{address}/"}
        made.add(f"{name} in plain text", "refused_request", **plain)
    if not _has(mesh, other, "python3"):
        made.untried.append(f"{name}: nothing in its container can try it")
    else:
        made.add(name, "refused_handshake", **{"from": other.name, "client": "none", **refused})


def _prove_hidden_envoy(mesh: Mesh, callee: Workload, made: Proof, control: str | None) -> None:
    """One that is reached from inside its cluster only, where no minted certificate goes."""
    if control is None:
        made.untried.append(
            f"who may call {callee.name}, and who may not: it is not exposed, and no caller can send a request"
        )
        return
    _prove_no_way_around(mesh, callee, made, control)
    for other in _not_allowed(mesh, callee):
        if not other.identity and other.host == callee.host:
            _refuse_nobody(mesh, other, callee, made, {"to": callee.name, "control": control})
            continue
        if other.host == callee.host and callee.dns_names and _can_show_files(mesh, other):
            # Around those who would ask for it.
            made.add(
                f"{other.name} may not call {callee.name}",
                "refused_request",
                **{"to": callee.name, **_by_files(mesh, other, callee), "control": control},
                refusal=["tls_alert"],
            )
            continue
        made.untried.append(
            f"{other.name} may not call {callee.name}: it is reached from inside {callee.host} only; expose: true lets"
            " the proof try it with a minted certificate"
        )


def _tell_what_is_left(mesh: Mesh, made: Proof) -> None:
    """Pairs that are allowed, and for which no check was found."""
    shown = {(check.get("from"), check["to"]) for check in made.checks}
    shown |= {(check.get("client_spiffe_id"), check["to"]) for check in made.checks}
    for callee in mesh.workloads.values():
        for caller in mesh.callers_of(callee):
            name = f"{caller.name} may call {callee.name}"
            told = (f"{name}:", f"who may call {callee.name},")
            tried = {(caller.name, callee.name), (mesh.spiffe_id(caller), callee.name)} & shown
            tried |= {check["name"] for check in made.checks if check["name"].startswith(f"{name}, for ")}
            if not tried and not any(text.startswith(told) for text in made.untried):
                made.untried.append(f"{name}: nothing in its container can send a request")


def _asker(mesh: Mesh, host: Host, program: str) -> Workload | None:
    """Somebody on a host with a program to try something. Best one without a sidecar, and without an identity."""
    able = [one for one in mesh.on(host.name) if _has(mesh, one, program) and not one.is_gateway]
    return min(able, key=lambda one: (one.mesh, one.identity), default=None)


def _prove_control_plane(mesh: Mesh, host: Host, made: Proof) -> None:
    """An istiod that SPIRE certifies: what it shows, that it issues nothing, and whom others believe it to be."""
    istiod = mesh.control_plane(host.name)
    if istiod is None or _is_to_come(host):
        return
    name, asked = f"istiod of {host.name}", istiod.dns_names[0]
    place: Data = {
        "name": name,
        "title": istiod.name,
        "cluster": host.name,
        "server": host.server,
        "namespace": istiod.namespace,
        "pod": istiod.pod,
        "spiffe_id": mesh.spiffe_id(istiod),
        "address": f"{asked}:{XDS_PORT}",
    }
    made.endpoints.append({key: value for key, value in place.items() if value is not None})
    if asker := _asker(mesh, host, "python3"):
        shown: Data = {"from": asker.name, "to": name, "server_name": asked}
        names = list(istiod.dns_names)
        made.add(f"{name} is certified by SPIRE", "peer_certificate", dns_names=names, **shown)
        made.add(
            f"{name} is certified by SPIRE for webhooks",
            "peer_certificate",
            dns_names=names,
            address=f"{asked}:{WEBHOOK_PORT}",
            **shown,
        )
        made.add(f"{name} presents its whole chain", "certificate_chain", length=_length(mesh, istiod), **shown)
    else:
        made.untried.append(f"what {name} presents: no workload of {host.name} has python3 to ask it")
    if host.wiring:
        made.untried.append(
            f"that no istiod of {host.name} issues certificates: {host.wiring.leaving} does until it goes"
        )
    elif asker := _asker(mesh, host, "curl"):
        made.add(f"{name} issues no certificates", "no_certificate_service", **{"from": asker.name, "to": name})
    else:
        made.untried.append(f"whether {name} issues certificates: no workload of {host.name} has curl to ask it")
    made.add(
        f"the API server of {host.name} knows istiod by SPIRE's authorities",
        "webhook_authorities",
        to=name,
        service=asked.partition(".")[0],
    )
    if published := published_bundles(mesh, host.name):
        made.add(
            f"the proxies of {host.name} know istiod by SPIRE's authorities",
            "published_authorities",
            to=name,
            namespaces=[bundle["namespace"] for bundle in published],
        )


def _prove_upstream(mesh: Mesh, made: Proof) -> None:
    """Servers of one trust domain under one CA show the same authorities, and the CA is in the chains."""
    first: dict[str, Host] = {}
    for server in mesh.servers():
        if UPSTREAM_CA not in server.duties:
            continue
        one = first.setdefault(server.trust_domain, server)
        if one is not server:
            made.add(
                f"the SPIRE servers of {one.name} and {server.name} show the same X.509 authorities",
                "same_authorities",
                **{"from": _server_endpoint(one, made), "to": _server_endpoint(server, made)},
                servers=[one.name, server.name],
            )
    for host in mesh.hosts.values():
        own = [one for one in mesh.on(host.name) if one.mesh and not one.is_gateway]
        held = next((one for one in own if mesh.certified_by(one) == "spire"), None)
        if held is not None and _length(mesh, held) is not None:
            made.add(
                f"{held.name}'s sidecar holds its whole chain",
                "certificate_chain",
                to=held.name,
                secret=PROXY_SECRET,
                length=_length(mesh, held),
            )


def _prove_federation(mesh: Mesh, made: Proof) -> None:
    """Servers hold what the others show now, so that nobody is judged by an authority that is gone."""
    for server in mesh.servers():
        for peer in federation(mesh, server.name):
            if peer.get("state") != "absent":
                made.add(
                    f"the SPIRE server of {server.name} holds the bundle of {peer['trust_domain']} of now",
                    "federated_bundle",
                    **{
                        "from": _server_endpoint(mesh.hosts[peer["host"]], made),
                        "to": _server_endpoint(server, made),
                    },
                    trust_domain=peer["trust_domain"],
                )


def _prove_bundles(mesh: Mesh, made: Proof) -> None:
    """Proxies judge each trust domain by its own authorities: those of one cannot vouch for another."""
    for workload in mesh.workloads.values():
        server = mesh.hosts[workload.host].server
        if not (workload.mesh and server and mesh.other_domains(workload)):
            continue
        others = {peer["trust_domain"]: peer["host"] for peer in federation(mesh, server)}
        known = [others[domain] for domain in mesh.foreign_domains(workload) if domain in others]
        each = "each trust domain by its own authorities" if known else "its own trust domain, and no other"
        made.add(
            f"{workload.name}'s {_proxy(workload)} judges {each}",
            "proxy_authorities",
            to=workload.name,
            servers=[server, *known],
        )


def _prove_tokens(mesh: Mesh, made: Proof) -> None:
    """A join token works once."""
    for server in mesh.servers():
        joined = joins_by_token(mesh, server.name)
        if not joined:
            continue
        name = _server_endpoint(server, made)
        address = server.endpoints.get(server.server_service, f"{UNKNOWN}:8081")
        next(place for place in made.endpoints if place["name"] == name)["address"] = address
        made.add(f"the join token of {' and '.join(joined)} works once", "token_reuse", to=name)


def _server_endpoint(server: Host, made: Proof) -> str:
    """The name of a SPIRE server as a place of the picture."""
    name = f"SPIRE server of {server.name}"
    if not any(place["name"] == name for place in made.endpoints):
        made.endpoints.append({"name": name, "cluster": server.name, "server": server.name})
    return name

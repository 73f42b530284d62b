# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""How each type of check is made. The only part of ``_verify``, with ``rejoin.py``, that touches the world."""

from __future__ import annotations

import base64
import binascii
import datetime
import inspect
import json
import re
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import (
    Completed,
    LocalProcess,
    PodProcess,
    Process,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.client import mint_x509
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.model import X509Svid
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain, probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import xfcc
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.foreign import foreign_identity
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import HERE, Check, Endpoint
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.rejoin import rejoin

SVID_TTL = 300
"""Seconds that a minted test identity lives."""
BUNDLE_AGE = 2.0
"""Seconds for which a bundle that was read counts as «now»: checks that run side by side share one reading."""
TRY_TIMEOUT = 5.0
"""Seconds for one request or handshake."""
EXEC_TIMEOUT = 15.0
"""Seconds for one command in a pod."""
_AGENT_TOKEN = "/spire/agent/join_token/"  # noqa: S105 - a path
_EXIT_CODE = re.compile(r"command terminated with exit code (\d+)")

# curl's exit codes that say how a server took the request. Every other one is no judgement of the server.
_CURL_KINDS = {
    6: (probe.UNREACHABLE, "the name could not be resolved"),
    7: (probe.NOTHING_LISTENS, "connection refused: nothing listens there"),
    28: (probe.TIMEOUT, "no answer in time"),
    52: (probe.RESET, "closed without a reply"),
    56: (probe.RESET, "connection reset"),
}

_HINTS = {
    probe.NOTHING_LISTENS: "Nothing listens there: is the pod Ready, and is the address the one of its Service?",
    probe.UNREACHABLE: "The address cannot be reached: look at the Service, its name and the network between.",
    probe.TIMEOUT: "No answer: look at the pod's log, and at a firewall or NetworkPolicy on the way.",
    probe.TLS_ALERT: "The server refuses this client: compare the SPIFFE IDs that it admits with the client's.",
    probe.RESET: "The connection was cut: a mesh in STRICT mode does so to clients without mTLS.",
    probe.PROTOCOL: "The other side speaks something else: is this the right port?",
}
_CUT_HANDSHAKE = (
    "The connection was cut in the middle of the handshake: is this the right port? A port of the mesh that also takes"
    " plain connections (PeerAuthentication not STRICT) does so to TLS from outside the mesh."
)
_PLAIN_WAS_READ = (
    "Plain HTTP was read, and only then refused by a policy: is mTLS of this workload STRICT (PeerAuthentication)?"
)


@dataclass(frozen=True)
class RootSource:
    """Where istiod publishes the root of its own CA, which must sign nothing here."""

    process: Process
    argv: tuple[str, ...]

    def read(self) -> list[Any]:
        done = self.process.run(self.argv, None, EXEC_TIMEOUT).check("Reading istiod's root from its ConfigMap")
        try:
            return chain.load_pem(done.stdout)
        except ValueError as error:
            raise ProcessError(
                "istiod's root could not be read: the ConfigMap holds no certificate under root-cert.pem."
            ) from error


@dataclass
class World:
    """What the checks need: the server, the endpoints, and what was read from them."""

    trust_domain: str
    server: SpireServer
    endpoints: Mapping[str, Endpoint]
    kubectl: str = "kubectl"
    istio_root: RootSource | None = None
    spire_agent_binary: str = "spire-agent"
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _kept: dict[str, tuple[float, Any]] = field(default_factory=dict)

    def authorities(self) -> list[Any]:
        return self._once("bundle", BUNDLE_AGE, lambda: chain.load_pem(self.bundle_pem()))

    def bundle_pem(self) -> str:
        return self._once("bundle_pem", BUNDLE_AGE, lambda: show_bundle(self.server).pem)

    def svid(self, spiffe_id: str) -> X509Svid:
        # Kept for half its life; the key stays in this process.
        return self._once(f"svid {spiffe_id}", SVID_TTL / 2, lambda: mint_x509(self.server, spiffe_id, SVID_TTL))

    def foreign_roots(self) -> list[Any]:
        source = self.istio_root
        return self._once("istio", 60, source.read) if source else []

    def process(self, name: str, container: str | None = None) -> Process:
        """Where commands of the endpoint ``name`` run."""
        endpoint = self.endpoints[name]
        if name == HERE or endpoint.pod is None:
            return LocalProcess()
        return PodProcess(
            endpoint.pod,
            endpoint.namespace,
            container or endpoint.container,
            endpoint.kubectl or self.kubectl,
            endpoint.kubeconfig,
            endpoint.context,
        )

    def _once(self, key: str, age: float, read: Callable[[], Any]) -> Any:
        """Read a thing once for all threads, again when it is older than ``age``; a failure is not kept."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            at, value = self._kept.get(key, (0.0, None))
            if value is None or time.monotonic() - at > age:
                value = read()
                self._kept[key] = (time.monotonic(), value)
            return value


@dataclass(frozen=True)
class Reply:
    """How a request ended, in the words of ``probe``."""

    kind: str
    words: str
    status: int | None = None
    body: str = ""


class Attempts:
    """Makes one attempt of a check."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, check: Check, needed: Mapping[str, Verdict], number: int) -> Attempt:
        attempt: Attempt = getattr(self, f"_{check.type}")(check, needed, number)
        return attempt

    def prepare(self, check: Check) -> None:
        """Mint the identity that a check will show, while its control still runs."""
        if check.fields.get("client") == "stranger":
            self._world.svid(check["client_spiffe_id"])

    # Positive checks

    def _request(self, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
        expected = f"HTTP {check['status']}" + (f" with {check['json_key']!r}" if check["json_key"] else "")
        reply = self._get(check)
        details: dict[str, Any] = {"http_status": reply.status}
        if reply.kind != probe.HTTP:
            return Attempt(False, expected, reply.words, _HINTS.get(reply.kind, ""), details)
        if reply.status != check["status"]:
            return Attempt(False, expected, _answer(reply), _status_hint(reply.status), details)
        if check["contains"] and check["contains"] not in reply.body:
            return Attempt(False, f"{expected} and {check['contains']!r}", _answer(reply), "", details)
        observed = reply.words
        if check["json_key"]:
            value = _json_value(reply.body, check["json_key"])
            if value is None:
                return Attempt(False, expected, _answer(reply), "The answer comes from something else.", details)
            details |= {"json_key": check["json_key"], "value": value}
            observed += f": «{value}»"
        return Attempt(True, expected, observed, "", details, saved=reply.body)

    def _peer_certificate(self, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
        svid = self._world.svid(check["client_spiffe_id"]) if check["client_spiffe_id"] else None
        seen = self._handshake(check, svid)
        if not seen["chain"]:
            return Attempt(False, self._wanted(check), seen["words"], _handshake_hint(seen["kind"]))
        return self._judged(check, "".join(seen["chain"]), {"tls_version": seen["tls_version"]})

    def _forwarded_certificate(self, check: Check, needed: Mapping[str, Verdict], number: int) -> Attempt:
        hops = self._hops(check, needed, number)
        if isinstance(hops, Attempt):
            return hops
        # The last hop is the nearest proxy in front of the service: it says whom it saw.
        last = hops[-1]
        pem = "".join(last.get("chain") or last.get("cert") or ())
        if not pem:
            return Attempt(
                False,
                self._wanted(check),
                f"the last hop of x-forwarded-client-cert carries no certificate, only {', '.join(sorted(last))}",
                "Let the Envoy in front of the service forward cert and chain (set_current_client_cert_details).",
            )
        attempt = self._judged(check, pem, {"hops": len(hops)})
        claimed = last.get("uri", [])
        if attempt.ok and claimed and claimed != [check["spiffe_id"]]:
            observed = f"URI= says {claimed}, the certificate another"
            return Attempt(False, attempt.expected, observed, "", attempt.details)
        return attempt

    def _sidecar_certificate(self, check: Check, needed: Mapping[str, Verdict], number: int) -> Attempt:
        process = self._world.process(check["to"], check["container"])
        done = process.run(
            ["pilot-agent", "request", "GET", "config_dump?resource=dynamic_active_secrets"], None, EXEC_TIMEOUT
        ).check(f"Reading the secrets of the sidecar of {check['to']}")
        pem = _active_certificate(done.stdout, check["secret"])
        if pem is None:
            return Attempt(
                False,
                self._wanted(check),
                f"the sidecar holds no certificate named {check['secret']!r} yet",
                "Is there a registration entry for this workload, and did the agent attest it?",
            )
        attempt = self._judged(check, pem, {})
        if not attempt.ok or not check["request"]:
            return attempt
        hops = self._hops(check, needed, number)
        if isinstance(hops, Attempt):
            return hops
        digest = attempt.details["sha256"]
        seen = {h for hop in hops if check["spiffe_id"] in hop.get("uri", ()) for h in hop.get("hash", ())}
        if digest not in seen:
            return Attempt(
                False,
                f"{attempt.expected}, and the same certificate on the wire",
                "the certificate that it holds is not the one that the next hop saw"
                if seen
                else f"no hop of x-forwarded-client-cert saw {check['spiffe_id']}",
                "If it was just renewed, run again; else the sidecar serves another certificate than it should.",
                attempt.details,
            )
        details = {**attempt.details, "seen_on_the_wire": True}
        return Attempt(True, attempt.expected, f"{attempt.observed}, seen by the next hop", "", details)

    def _accepted_handshake(self, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
        expected = f"{check['client_spiffe_id']} is let in: HTTP {check['status']}"
        seen = self._handshake(check, self._world.svid(check["client_spiffe_id"]))
        details = {"client_spiffe_id": check["client_spiffe_id"], "tls_version": seen["tls_version"]}
        if seen["kind"] != probe.HTTP:
            return Attempt(False, expected, seen["words"], _handshake_hint(seen["kind"]), details)
        wrong = self._wrong_server(check, seen["chain"])
        if wrong:
            return Attempt(False, expected, f"let in by the wrong server: {wrong}", "", details)
        reply = Reply(seen["kind"], seen["words"], seen["status"], seen["body"])
        if reply.status != check["status"]:
            return Attempt(False, expected, _answer(reply), _status_hint(reply.status), details)
        if check["json_key"] and _json_value(reply.body, check["json_key"]) is None:
            return Attempt(False, f"{expected} with {check['json_key']!r}", _answer(reply), "", details)
        return Attempt(True, expected, f"let in: {reply.words}", "", details)

    # Negative checks

    def _refused_handshake(self, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
        client, spiffe_id = check["client"], check["client_spiffe_id"]
        identity: Any = None
        if client == "stranger":
            identity = self._world.svid(spiffe_id)
        elif client == "foreign_ca":
            identity = foreign_identity(spiffe_id)
        seen = self._handshake(check, identity)
        expected = f"refused: {_any_of(check['refusal'])}"
        details: dict[str, Any] = {"client": client, "client_spiffe_id": spiffe_id, "tls_version": seen["tls_version"]}
        if seen["chain"]:
            details["refused_by"] = _leaf_id(seen["chain"])
        refusal = Reply(seen["kind"], seen["words"], seen["status"], seen["body"])
        attempt = self._refusal(check, refusal, expected, details)
        # The first is how TLS 1.2 asks for a certificate, the second is about time: both say nothing of who this is.
        if attempt.ok and client != "none" and seen["alert"] in ("handshake_failure", "certificate_expired"):
            return Attempt(False, expected, seen["words"], "This alert is not about the identity.", details)
        if attempt.ok and seen["chain"] and check["spiffe_id"]:
            wrong = self._wrong_server(check, seen["chain"])
            if wrong:
                return Attempt(False, expected, f"refused by the wrong server: {wrong}", "", details, early=True)
        return attempt

    def _refused_request(self, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
        reply = self._get(check)
        return self._refusal(check, reply, f"refused: {_any_of(check['refusal'])}", {"http_status": reply.status})

    def _token_reuse(self, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
        expected = "refused: the token was used"
        now = time.time()
        agents = [a for a in list_agents(self._world.server) if _AGENT_TOKEN in a.spiffe_id and a.is_alive(now)]
        if not agents:
            return Attempt(
                False,
                expected,
                "the server knows no living agent that joined with a token",
                "The agent did not join, or its SVID expired: run the playbook that joins it.",
            )
        host, port = self._world.endpoints[check["to"]].host_port
        token = agents[0].spiffe_id.partition(_AGENT_TOKEN)[2]
        end = rejoin(
            self._world.spire_agent_binary,
            host=host,
            port=port,
            trust_domain=self._world.trust_domain,
            bundle_pem=self._world.bundle_pem(),
            token=token,
        )
        if end.refused:
            return Attempt(True, expected, f"refused: {end.words}")
        if end.joined:
            return Attempt(False, expected, "a second agent joined with the used token", final=True)
        return Attempt(False, expected, f"the server was not heard: {end.words}", "Is the server's address right?")

    # What they share

    def _get(self, check: Check) -> Reply:
        endpoint = self._world.endpoints[check["to"]]
        url = (endpoint.url or "").rstrip("/") + check["path"]
        argv = ["curl", "--silent", "--show-error", "--max-time", f"{TRY_TIMEOUT:g}"]
        argv += ["--write-out", "\n%{http_code}", "--url", url]
        return _curl_reply(self._world.process(check["from"]).run(argv, None, EXEC_TIMEOUT))

    def _handshake(self, check: Check, identity: Any) -> dict[str, Any]:
        host, port = self._world.endpoints[check["to"]].host_port
        arguments: dict[str, Any] = {
            "host": host,
            "port": port,
            "path": check.fields.get("path", "/"),
            "server_name": check["server_name"],
            "timeout": TRY_TIMEOUT,
        }
        source = check.fields.get("from", HERE)
        if source == HERE:
            if identity is not None:
                arguments.update(certificate=identity.chain_pem, key=identity.key_pem)
            return probe.probe(**arguments)
        program = f"{inspect.getsource(probe)}\nmain({json.dumps(arguments)!r})\n"
        done = self._world.process(source).run(["python3", "-"], program, EXEC_TIMEOUT)
        done.check(f"The TLS attempt from {source}")
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError as error:
            raise ProcessError(f"The TLS attempt from {source} answered with something unreadable.") from error
        return answer

    def _hops(self, check: Check, needed: Mapping[str, Verdict], number: int) -> list[xfcc.Element] | Attempt:
        """The hops that the request check saw; asked for anew when an earlier look at them did not hold."""
        request = needed[check["request"]]
        body = request.attempt.saved
        if number > 1:
            again = self._request(request.check, {}, number)
            if not again.ok:
                return again
            body = again.saved
        header = _json_value(body, check["header_key"])
        try:
            hops = xfcc.parse(header) if isinstance(header, str) else []
        except ValueError as error:
            return Attempt(False, self._wanted(check), str(error))
        if not hops:
            return Attempt(
                False,
                self._wanted(check),
                f"the service received no x-forwarded-client-cert ({check['header_key']!r} is empty)",
                "Let the Envoy in front of the service append it (forward_client_cert_details).",
            )
        return hops

    def _wanted(self, check: Check) -> str:
        return f"{check['spiffe_id']}, by SPIRE, at least {check['min_remaining']} s left"

    def _judged(self, check: Check, pem: str, details: Mapping[str, Any]) -> Attempt:
        expected = self._wanted(check)
        try:
            certificates = chain.load_pem(pem)
        except ValueError as error:
            return Attempt(False, expected, f"a certificate that cannot be read: {error}", "", details)
        judgement = chain.judge(
            certificates,
            chain.Expectation(
                check["spiffe_id"], self._world.authorities(), check["min_remaining"], self._world.foreign_roots()
            ),
            datetime.datetime.now(datetime.timezone.utc),
        )
        details = {**judgement.details, **details}
        if not judgement.ok:
            return Attempt(False, expected, "; ".join(judgement.problems), _certificate_hint(judgement), details)
        observed = f"{judgement.details['spiffe_id']}, by SPIRE, {judgement.details['remaining_s']} s left"
        return Attempt(True, expected, observed, "", details)

    def _wrong_server(self, check: Check, presented: list[str]) -> str:
        """What is wrong with the server that answered; empty when it is the right one."""
        try:
            certificates = chain.load_pem("".join(presented))
        except ValueError:
            return "its certificate cannot be read"
        expectation = chain.Expectation(check["spiffe_id"], self._world.authorities())
        return "; ".join(chain.judge(certificates, expectation, datetime.datetime.now(datetime.timezone.utc)).problems)

    def _refusal(self, check: Check, reply: Reply, expected: str, details: dict[str, Any]) -> Attempt:
        kind = f"http_{reply.status}" if reply.kind == probe.HTTP else reply.kind
        if kind not in check["refusal"]:
            if reply.kind == probe.HTTP and (reply.status or 0) < 400:
                observed = f"let in: {_answer(reply)}"
                return Attempt(False, expected, observed, "This door is open to somebody it should refuse.", details)
            hint = "This is no refusal of who the client is."
            if check.type == "refused_handshake":
                hint = _handshake_hint(reply.kind) or hint
            elif kind == "http_403":
                hint = _PLAIN_WAS_READ
            else:
                hint = _HINTS.get(reply.kind, hint)
            # A proxy that cannot reach the next hop says 5xx, and one that is not up yet says nothing.
            early = reply.kind != probe.HTTP or (reply.status or 0) >= 500
            return Attempt(False, expected, _answer(reply), hint, details, early=early)
        if check.fields.get("contains") and check["contains"] not in reply.body:
            return Attempt(False, f"{expected} and {check['contains']!r}", _answer(reply), "", details)
        return Attempt(True, expected, f"refused: {reply.words}", "", details, weak=kind == probe.RESET)


def _curl_reply(done: Completed) -> Reply:
    rc = done.rc
    remote = _EXIT_CODE.search(done.stderr)
    if remote:
        rc = int(remote[1])
    if rc == 0:
        body, _newline, code = done.stdout.rpartition("\n")
        if not code.strip().isdigit():
            raise ProcessError("curl printed no status code.")
        return Reply(probe.HTTP, f"HTTP {code.strip()}", int(code), body)
    words = re.sub(r"\s+", " ", done.stderr.replace(remote[0] if remote else "", "")).strip()
    # kubectl itself also ends with 1 and 126 or 127; only what curl said counts as an answer.
    if rc in _CURL_KINDS and (remote or words.startswith("curl:")):
        kind, said = _CURL_KINDS[rc]
        return Reply(kind, said)
    shown = shlex.join(done.argv[-2:])
    raise ProcessError(f"The request {shown} could not be made: {words[-300:] or f'code {rc}'}")


def _active_certificate(text: str, name: str) -> str | None:
    """The chain of the secret ``name`` in Envoy's dump of its secrets, as PEM. The key is not in the dump."""
    try:
        # pilot-agent writes its own log lines to the same stream, before the answer; none of them starts with a brace.
        answer = re.search(r"^\{", text, re.MULTILINE)
        configs = json.loads(text[answer.start() :] if answer else text)["configs"]
        for config in configs:
            if config.get("name") != name:
                continue
            data = config["secret"]["tls_certificate"]["certificate_chain"]
            if "inline_bytes" in data:
                return base64.b64decode(data["inline_bytes"], validate=True).decode()
            return str(data["inline_string"])
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise TrustmeshError("The sidecar's dump of its secrets is not as Envoy writes it.") from error
    return None


def _leaf_id(presented: list[str]) -> str | None:
    try:
        ids = chain.spiffe_ids(chain.load_pem(presented[0])[0])
    except ValueError:
        return None
    return ids[0] if ids else None


def _json_value(body: str | None, key: str) -> Any:
    try:
        data = json.loads(body or "")
    except ValueError:
        return None
    return data.get(key) if isinstance(data, dict) else None


def _answer(reply: Reply) -> str:
    text = re.sub(r"\s+", " ", reply.body).strip()
    return f"{reply.words}: {text[:120]}" if text else reply.words


def _any_of(kinds: tuple[str, ...]) -> str:
    names = {"tls_alert": "TLS alert", "reset": "connection reset", "http_403": "HTTP 403"}
    return " or ".join(names[kind] for kind in kinds)


def _handshake_hint(kind: str) -> str:
    return _CUT_HANDSHAKE if kind == probe.RESET else _HINTS.get(kind, "")


def _status_hint(status: int | None) -> str:
    return {
        403: "A policy refuses this client: compare its principal with the AuthorizationPolicy or RBAC rules.",
        404: "The path or host has no route: look at the routes of the proxies on the way.",
        503: "A proxy on the way has no healthy or no trusted upstream: look at its log and its certificates.",
    }.get(status or 0, "")


def _certificate_hint(judgement: chain.Judgement) -> str:
    text = " ".join(judgement.problems)
    if "signed by istiod" in text:
        return "The proxy fell back to istiod's CA: is the SPIRE socket mounted under the name that Istio looks for?"
    if "trust bundle" in text:
        return "The certificate is older than the server's present CA, or from another server: look at the agent's log."
    if "expired" in text or "lives only" in text:
        return "The certificate is not renewed: is the SPIRE agent alive, and does it reach its server?"
    return "Compare the registration entry of this workload with the SPIFFE ID that is expected."

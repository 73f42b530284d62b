# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""How a request or a handshake ended, and whether that is the refusal that was asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import BEHIND, BY_NAME, Check, shows_files

UNTRUSTED = "untrusted"
"""A client did not believe the server, for another reason than its name."""

_EXIT_CODE = re.compile(r"command terminated with exit code (\d+)")

# curl's exit codes that say how a server took the request. Every other one is no judgement of the server.
_CURL_KINDS = {
    6: (probe.UNREACHABLE, "the name could not be resolved"),
    7: (probe.NOTHING_LISTENS, "connection refused: nothing listens there"),
    28: (probe.TIMEOUT, "no answer in time"),
    35: (probe.PROTOCOL, "the TLS handshake failed"),
    52: (probe.RESET, "closed without a reply"),
    55: (probe.RESET, "connection reset"),
    56: (probe.RESET, "connection reset"),
    98: (probe.PROTOCOL, "the TLS handshake failed"),
    60: (UNTRUSTED, "curl does not believe the server's certificate"),
    # HTTP/2 that was cut off, however curl calls it.
    16: (probe.RESET, "closed without a reply"),
    18: (probe.RESET, "closed without a reply"),
    92: (probe.RESET, "closed without a reply"),
}
_NO_HANDSHAKE = 35
# Those by which a server may have answered before it cut the connection off.
_CUT = (probe.RESET, probe.PROTOCOL)
# An alert of TLS 1.3 comes after curl's handshake, and so by any of its codes: what it says counts. In the words of
# OpenSSL: "tlsv13 alert certificate required".
_ALERTS = {alert.replace("_", " "): alert for alert in probe.IDENTITY_ALERTS.values()}
_ALERT = re.compile(rf"alert ({'|'.join(_ALERTS)})\b")
_OTHER_NAME = re.compile(r"\bname\b.*\bmatch", re.IGNORECASE)
"""How curl says that the certificate is another's, whatever TLS library it has."""
_TIME = re.compile("[0-9]+")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n")

_REFUSALS = {
    "tls_alert": "TLS alert",
    "reset": "connection reset",
    "http_403": "HTTP 403",
    BEHIND: "let in by TLS, and HTTP 403 from behind",
    BY_NAME: "by a client that verifies the name",
    "nothing_listens": "nothing listens",
}
WRITE_OUT = "\n%{num_connects} %{http_code} %header{x-envoy-upstream-service-time}"
"""What curl writes behind the body: whether there was a connection at all, the status, and what a proxy says of those
behind it (Envoy's router adds this header to what an upstream has answered). curl has ``header`` since 7.84."""
WRITE_CERTIFICATES = "%{certs}" + WRITE_OUT
"""The same, and what the server presented. curl has it since 7.88."""


@dataclass(frozen=True)
class Reply:
    """How a request ended, in the words of ``probe``."""

    kind: str
    words: str
    status: int | None = None
    body: str = ""
    connected: bool = True
    """Whether anybody took the connection."""
    from_behind: bool = False
    """Whether a proxy has it from somebody behind it, and has not made it itself."""
    presented: str = ""
    """The certificates that the server presented, as PEM, where curl was asked and can tell."""

    @property
    def shown(self) -> str:
        """The words, and the start of the answer."""
        text = re.sub(r"\s+", " ", self.body).strip()
        return f"{self.words}: {text[:120]}" if text else self.words

    @property
    def let_in(self) -> bool:
        return self.kind == probe.HTTP and (self.status or 0) < 400

    def value(self, key: str) -> Any:
        """What the JSON answer holds under ``key``; None when it is no such answer."""
        return json_value(self.body, key)


def json_value(body: str | None, key: str) -> Any:
    """What a JSON text holds under ``key``; None when it is no such text."""
    try:
        data = loads(body or "")
    except ValueError:
        return None
    return data.get(key) if isinstance(data, dict) else None


def is_value(value: Any, wanted: str | None) -> bool:
    """Whether an answer holds a value, and the one that is wanted, if it has to be a certain one."""
    return value is not None and wanted in (None, str(value))


def wanted_value(check: Check) -> str:
    """What the answer must hold, in words."""
    key, value = check["json_key"], check["json_value"]
    return repr(key) if value is None else f"{key!r} {value!r}"


def of_curl(done: Completed, url: str, mark: str = "") -> Reply:
    """Read what curl left behind, here or in a pod. Behind ``mark`` it wrote what the server presented."""
    rc = done.rc
    remote = _EXIT_CODE.search(done.stderr)
    if remote:
        rc = int(remote[1])
    body, _newline, told = done.stdout.rpartition("\n")
    presented = ""
    if mark:
        # The mark is made for this one request, so nobody can have put it into an answer.
        before, found, certificates = body.rpartition(mark)
        body, presented = (before, "".join(_CERTIFICATE.findall(certificates))) if found else (body, "")
    connects, code, behind = (*told.split(), "", "", "")[:3]
    if rc == 0:
        if not code.isdigit():
            raise ProcessError(f"The request to {url} cannot be judged: curl printed no status code.")
        return Reply(
            probe.HTTP, f"HTTP {code}", int(code), body, presented=presented, from_behind=bool(_TIME.fullmatch(behind))
        )
    words = re.sub(r"\s+", " ", done.stderr.replace(remote[0] if remote else "", "")).strip()
    # kubectl itself also ends with 1 and 126 or 127; only what curl said counts as an answer.
    if rc in _CURL_KINDS and (remote or words.startswith("curl:")):
        kind, said = _CURL_KINDS[rc]
        if kind in _CUT and re.fullmatch("[1-5][0-9]{2}", code):
            return Reply(probe.HTTP, f"HTTP {code}, and cut off", int(code), body, presented=presented)
        alert = _ALERT.search(words) if kind in _CUT else None
        # Before the server has shown itself anybody on the way can send an alert.
        if alert and (rc != _NO_HANDSHAKE or presented):
            kind, said = probe.TLS_ALERT, f"TLS alert {_ALERTS[alert[1]]}"
        elif kind == UNTRUSTED:
            kind = BY_NAME if _OTHER_NAME.search(words.partition("More details")[0]) else kind
            said = f"{said}: {words.partition('More details')[0].partition(') ')[2][:200].strip()}"
        elif kind == probe.PROTOCOL:
            said = f"{said}: {words.partition(') ')[2][:200]}"
        return Reply(kind, said, connected=connects != "0", presented=presented)
    why = f"The request to {url} could not be made: {words[-300:] or f'curl ended with code {rc}'}"
    raise ProcessError(f"{why.rstrip('.')}. {hints.of_program(words)}".rstrip())


def of_handshake(seen: dict[str, Any]) -> Reply:
    """Read what the probe saw."""
    return Reply(seen["kind"], seen["words"], seen["status"], seen["body"], from_behind=seen["from_behind"])


def any_of(kinds: tuple[str, ...]) -> str:
    """The refusals that a check takes, in words."""
    return " or ".join(_REFUSALS[kind] for kind in kinds)


def refusal(check: Check, reply: Reply, details: dict[str, Any]) -> Attempt:
    """Whether ``reply`` is a refusal of the kind that ``check`` asks for."""
    expected = f"refused: {any_of(check['refusal'])}"
    kind = f"http_{reply.status}" if reply.kind == probe.HTTP else reply.kind
    if reply.let_in:
        return Attempt(False, expected, f"let in: {reply.shown}", hints.OPEN_DOOR, details, breach=True)
    kinds = {kind, BEHIND} if kind == "http_403" and reply.from_behind else {kind}
    if not kinds & set(check["refusal"]):
        if check.type == "refused_handshake":
            hint = hints.of_handshake(reply.kind)
        else:
            plain = kind == "http_403" and not shows_files(check)
            hint = hints.PLAIN_WAS_READ if plain else hints.BY_ENDING.get(reply.kind, "")
            hint = hints.UNTRUSTED if reply.kind == UNTRUSTED else hint
        # A proxy that cannot reach the next hop says 5xx, and one that is not up yet says nothing.
        early = reply.kind != probe.HTTP or (reply.status or 0) >= 500
        return Attempt(False, expected, reply.shown, hint or hints.NO_REFUSAL, details, early=early)
    if check.fields.get("contains") and check["contains"] not in reply.body:
        return Attempt(False, f"{expected} and {check['contains']!r}", reply.shown, "", details)
    words = f"{reply.words} from behind" if BEHIND in check["refusal"] else reply.words
    return Attempt(True, expected, f"refused: {words}", "", details, weak=kind == probe.RESET)

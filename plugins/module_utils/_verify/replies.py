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
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check

_EXIT_CODE = re.compile(r"command terminated with exit code (\d+)")

# curl's exit codes that say how a server took the request. Every other one is no judgement of the server.
_CURL_KINDS = {
    6: (probe.UNREACHABLE, "the name could not be resolved"),
    7: (probe.NOTHING_LISTENS, "connection refused: nothing listens there"),
    28: (probe.TIMEOUT, "no answer in time"),
    52: (probe.RESET, "closed without a reply"),
    56: (probe.RESET, "connection reset"),
}

_REFUSALS = {
    "tls_alert": "TLS alert",
    "reset": "connection reset",
    "http_403": "HTTP 403",
    "nothing_listens": "nothing listens",
}
WRITE_OUT = "\n%{num_connects} %{http_code}"
"""What curl writes behind the body: whether there was a connection at all, and the status."""


@dataclass(frozen=True)
class Reply:
    """How a request ended, in the words of ``probe``."""

    kind: str
    words: str
    status: int | None = None
    body: str = ""
    connected: bool = True
    """Whether anybody took the connection."""

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


def of_curl(done: Completed, url: str) -> Reply:
    """Read what curl left behind, here or in a pod."""
    rc = done.rc
    remote = _EXIT_CODE.search(done.stderr)
    if remote:
        rc = int(remote[1])
    body, _newline, told = done.stdout.rpartition("\n")
    connects, _space, code = told.strip().partition(" ")
    if rc == 0:
        if not code.isdigit():
            raise ProcessError(f"The request to {url} cannot be judged: curl printed no status code.")
        return Reply(probe.HTTP, f"HTTP {code}", int(code), body)
    words = re.sub(r"\s+", " ", done.stderr.replace(remote[0] if remote else "", "")).strip()
    # kubectl itself also ends with 1 and 126 or 127; only what curl said counts as an answer.
    if rc in _CURL_KINDS and (remote or words.startswith("curl:")):
        kind, said = _CURL_KINDS[rc]
        return Reply(kind, said, connected=connects != "0")
    why = f"The request to {url} could not be made: {words[-300:] or f'curl ended with code {rc}'}"
    raise ProcessError(f"{why.rstrip('.')}. {hints.of_program(words)}".rstrip())


def of_handshake(seen: dict[str, Any]) -> Reply:
    """Read what the probe saw."""
    return Reply(seen["kind"], seen["words"], seen["status"], seen["body"])


def any_of(kinds: tuple[str, ...]) -> str:
    """The refusals that a check takes, in words."""
    return " or ".join(_REFUSALS[kind] for kind in kinds)


def refusal(check: Check, reply: Reply, details: dict[str, Any]) -> Attempt:
    """Whether ``reply`` is a refusal of the kind that ``check`` asks for."""
    expected = f"refused: {any_of(check['refusal'])}"
    kind = f"http_{reply.status}" if reply.kind == probe.HTTP else reply.kind
    if reply.let_in:
        return Attempt(False, expected, f"let in: {reply.shown}", hints.OPEN_DOOR, details, breach=True)
    if kind not in check["refusal"]:
        if check.type == "refused_handshake":
            hint = hints.of_handshake(reply.kind)
        else:
            hint = hints.PLAIN_WAS_READ if kind == "http_403" else hints.BY_ENDING.get(reply.kind, "")
        # A proxy that cannot reach the next hop says 5xx, and one that is not up yet says nothing.
        early = reply.kind != probe.HTTP or (reply.status or 0) >= 500
        return Attempt(False, expected, reply.shown, hint or hints.NO_REFUSAL, details, early=early)
    if check.fields.get("contains") and check["contains"] not in reply.body:
        return Attempt(False, f"{expected} and {check['contains']!r}", reply.shown, "", details)
    return Attempt(True, expected, f"refused: {reply.words}", "", details, weak=kind == probe.RESET)

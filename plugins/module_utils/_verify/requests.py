# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Checks by requests with curl: one that is answered, and one that must be refused.

They go in plain text, or by TLS with the certificate that files of the pod hold: then curl verifies the server and its
name, and what the server presented is judged as in every other check.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints, replies
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt, Verdict
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import BY_NAME, Check, shows_files
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.servers import leaf_id, wrong_server
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import EXEC_TIMEOUT, World

TRY_TIMEOUT = 5.0
"""Seconds for one request or handshake."""
HTTPS = 443
FETCHED = {"certificate": "svid.0.pem", "key": "svid.0.key", "authorities": "bundle.0.pem"}
"""What spire-agent calls the files that it writes."""
_FETCH = """
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT && cd "$folder" || exit 90
said=$("$1" api fetch x509 -socketPath "$2" -write "$folder" 2>&1) || { echo "$said" >&2; exit 91; }
shift 2
"$@"
"""
"""Asks SPIRE's agent for the certificate of whoever runs this, for one command, and leaves nothing behind."""
NOWHERE = "/dev/null"
"""In place of a folder of authorities: curl adds those of its operating system to a file of others."""


def request(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """A GET is answered as it should be."""
    expected = f"HTTP {check['status']}" + (f" with {replies.wanted_value(check)}" if check["json_key"] else "")
    reply = _reply(world, check)
    details: dict[str, Any] = {"http_status": reply.status, **_presented(reply)}
    if reply.kind != probe.HTTP:
        return Attempt(False, expected, reply.words, _hint(reply), details)
    wrong = _wrong_server(world, check, reply)
    if wrong:
        return Attempt(False, expected, f"answered by the wrong server: {wrong}", "", details)
    if reply.status != check["status"]:
        return Attempt(False, expected, reply.shown, hints.BY_STATUS.get(reply.status or 0, ""), details)
    if check["contains"] and check["contains"] not in reply.body:
        return Attempt(False, f"{expected} and {check['contains']!r}", reply.shown, "", details)
    observed = reply.words
    if check["json_key"]:
        value = reply.value(check["json_key"])
        if not replies.is_value(value, check["json_value"]):
            other = value is not None
            hint = hints.ANOTHER if other else "The answer comes from something else."
            return Attempt(False, expected, reply.shown, hint, details, chance=other)
        details |= {"json_key": check["json_key"], "value": value}
        observed += f": «{value}»"
    if shows_files(check):
        observed += f", from {leaf_id(reply.presented) or 'a server whose name curl has verified'}"
    return Attempt(True, expected, observed, "", details, saved=reply.body)


def refused_request(world: World, check: Check, _needed: Mapping[str, Verdict], _number: int) -> Attempt:
    """A GET is refused as it should be."""
    reply = _reply(world, check)
    details = {"http_status": reply.status, **_presented(reply)}
    attempt = replies.refusal(check, reply, details)
    if not attempt.ok or not shows_files(check):
        return attempt
    if not reply.presented and reply.kind in (probe.TLS_ALERT, BY_NAME):
        said = f"{reply.words}, from somebody who has shown no certificate"
        return Attempt(False, attempt.expected, said, hints.OLD_CURL, details, early=True)
    wrong = _wrong_server(world, check, reply)
    if wrong:
        return Attempt(False, attempt.expected, f"refused by the wrong server: {wrong}", "", details, early=True)
    return attempt


def _reply(world: World, check: Check) -> replies.Reply:
    url = (check["url"] or world.mesh.endpoints[check["to"]].url or "").rstrip("/") + check["path"]
    files = check["certificate"] or {}
    before = ["sh", "-c", _FETCH, "sh", files["agent"], files["socket"]] if "socket" in files else []
    return send(world, check["from"], url, options_of(check, url), before=before)


def options_of(check: Check, url: str) -> list[str]:
    """What curl is told beside the URL: whose certificate it shows, and where the connection goes."""
    options: list[str] = []
    files = check["certificate"]
    if files and "socket" in files:
        files = FETCHED
    if files:
        options += ["--cert", files["certificate"], "--key", files["key"], "--cacert", files["authorities"]]
        options += ["--capath", NOWHERE, "--tlsv1.3"]
        # What HTTP/2 makes of a refusal by TLS is told by curl in many ways, and an alert in one.
        options += ["--http1.1"] if check.type == "refused_request" else []
    for name, value in (check["headers"] or {}).items():
        options += ["--header", f"{name}: {value}"]
    if check["address"]:
        options += ["--connect-to", f"{_authority(url)}:{check['address']}"]
    return options


def _authority(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (HTTPS if parts.scheme == 'https' else 80)}"


def _presented(reply: replies.Reply) -> dict[str, Any]:
    return {"server_spiffe_id": leaf_id(reply.presented)} if reply.presented else {}


def _wrong_server(world: World, check: Check, reply: replies.Reply) -> str:
    """What is wrong with the server, where curl tells what it presented; the name has been verified by curl itself."""
    judged = shows_files(check) and check["spiffe_id"] and reply.presented
    return wrong_server(world, check, reply.presented) if judged else ""


def _hint(reply: replies.Reply) -> str:
    others = {replies.UNTRUSTED: hints.UNTRUSTED, BY_NAME: hints.NAME}
    return others.get(reply.kind) or hints.BY_ENDING.get(reply.kind, "")


def send(
    world: World,
    source: str,
    url: str,
    options: Sequence[str] = (),
    authorities: str | None = None,
    *,
    before: Sequence[str] = (),
) -> replies.Reply:
    """Send a GET with curl from the endpoint ``source``, and tell how it ended.

    ``authorities`` (PEM) are those by which it verifies the server; curl reads them from its standard input. ``before``
    is a program that runs curl.
    """
    argv = ["curl", "--silent", "--show-error", "--max-time", f"{TRY_TIMEOUT:g}"]
    argv += ["--max-filesize", str(probe.MAX_BODY), *options]
    if authorities is not None:
        argv += ["--cacert", "/dev/stdin", "--capath", NOWHERE]
    mark = f"\n{secrets.token_hex(16)}\n" if "--cacert" in argv else ""
    argv += ["--write-out", mark + (replies.WRITE_CERTIFICATES if mark else replies.WRITE_OUT), "--url", url]
    return replies.of_curl(world.process(source).run([*before, *argv], authorities, EXEC_TIMEOUT), url, mark)

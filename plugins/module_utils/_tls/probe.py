# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""One attempt to talk to a TLS server: what it presents, and whether it lets us in.

This file stands alone on Python's standard library, because its own text is also sent to ``python3 -`` in a pod, where
nothing of this collection exists. So a check made from a pod and one made from here are the same code.

The server's certificate is captured and not verified here: a check must be able to report a wrong certificate. Who may
be believed is decided in ``chain.py``. Nothing secret is ever sent, and the handshake itself proves that the peer owns
the key of the certificate that it shows.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import ssl
import sys
import tempfile
import time

# What an attempt can end with. Only HTTP means that the server let us in.
HTTP = "http"
TLS_ALERT = "tls_alert"
RESET = "reset"
NOTHING_LISTENS = "nothing_listens"
UNREACHABLE = "unreachable"
TIMEOUT = "timeout"
PROTOCOL = "protocol_error"

# The alerts by which a server says that it does not accept who the client is (RFC 8446, 6.2). Others, such as
# internal_error or protocol_version, say nothing about the client's identity.
IDENTITY_ALERTS = {
    "CERTIFICATE_REQUIRED": "certificate_required",
    "BAD_CERTIFICATE": "bad_certificate",
    "UNSUPPORTED_CERTIFICATE": "unsupported_certificate",
    "CERTIFICATE_REVOKED": "certificate_revoked",
    "CERTIFICATE_EXPIRED": "certificate_expired",
    "CERTIFICATE_UNKNOWN": "certificate_unknown",
    "UNKNOWN_CA": "unknown_ca",
    "ACCESS_DENIED": "access_denied",
}

# Only TLS 1.3 is spoken: there the server has shown its certificate, and that it owns the key, before it can refuse the
# client's. In older versions anybody on the way could say no in its name. The client is done with the handshake before
# it was judged: listening for a moment before sending anything lets the alert arrive before a reset can overtake it.
LISTEN_FIRST = 0.3
MAX_BODY = 1024 * 1024
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
# What OpenSSL calls the end of a handshake with a server that knows older versions only.
OLDER = ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION")


def probe(
    host: str,
    port: int,
    *,
    certificate: str | None = None,
    key: str | None = None,
    path: str = "/",
    server_name: str | None = None,
    alpn: list | None = None,
    headers: dict | None = None,
    timeout: float = 5.0,
) -> dict:
    """Connect with TLS, show ``certificate`` (PEM) when given, send one HTTP request and tell how it ended.

    ``server_name`` is asked for in the handshake and in the request, ``alpn`` are the protocols that are offered, and
    ``headers`` are sent besides those that the request needs. ``Connection`` is added to its own.

    Returns ``kind`` (one of the words above), ``words`` (what was said), ``alert``, ``status`` and ``body`` of the HTTP
    reply, ``from_behind`` (an Envoy has it from its upstream), ``chain`` (PEM, leaf first, as presented) and
    ``tls_version``. Never raises for what the peer does.
    """
    seen: dict = {"kind": "", "words": "", "alert": None, "status": None, "body": "", "chain": [], "tls_version": None}
    seen["from_behind"] = False
    deadline = time.monotonic() + timeout
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if alpn:
        context.set_alpn_protocols(alpn)
    if certificate is not None:
        _load_identity(context, certificate, key or "")
    try:
        with socket.create_connection((host, port), timeout) as plain:
            plain.settimeout(_left(deadline))
            with context.wrap_socket(plain, server_hostname=server_name) as tls:
                seen["tls_version"] = tls.version()
                seen["chain"] = _chain(tls)
                early = _listen(tls, min(LISTEN_FIRST, _left(deadline)))
                tls.settimeout(_left(deadline))
                if not early:
                    tls.sendall(_request(path, f"{server_name or host}:{port}", headers or {}).encode())
                seen.update(_reply(early + _read_all(tls, deadline)))
    except (OSError, ValueError) as error:
        seen.update(_why(error))
    return seen


def _request(path: str, host: str, headers: dict) -> str:
    more = {name.title(): value for name, value in headers.items()}
    ends = ", ".join(["close", *([more.pop("Connection")] if "Connection" in more else [])])
    lines = {"Host": host, "Connection": ends, "Accept": "*/*", **more}
    return f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.05)


def _load_identity(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Give the identity to OpenSSL, which reads files only: memory that looks like a file, so no key reaches a disk."""
    data = (certificate.rstrip() + "\n" + key).encode()
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return
    descriptor, name = tempfile.mkstemp()  # created 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        context.load_cert_chain(name)
    finally:
        os.unlink(name)  # noqa: PTH108 - one module fewer to ask of a pod's Python


def _chain(tls: ssl.SSLSocket) -> list:
    """All certificates that the peer presented, leaf first; before Python 3.13 the public name tells only the leaf."""
    getter = getattr(tls, "get_unverified_chain", None)
    getter = getter or getattr(getattr(tls, "_sslobj", None), "get_unverified_chain", None)
    if getter is None:
        leaf = tls.getpeercert(binary_form=True)
        return [ssl.DER_cert_to_PEM_cert(leaf)] if leaf else []
    return [ssl.DER_cert_to_PEM_cert(c) if isinstance(c, bytes) else c.public_bytes() for c in getter() or ()]


def _listen(tls: ssl.SSLSocket, seconds: float) -> bytes:
    tls.settimeout(seconds)
    try:
        early = tls.recv(1)
    except TimeoutError:
        return b""
    if not early:
        raise ConnectionResetError(errno.ECONNRESET, "closed by the server right after the handshake")
    return early


def _read_all(tls: ssl.SSLSocket, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < MAX_BODY:
        # By the clock, too: a peer that sends a byte now and then is never silent.
        if time.monotonic() > deadline:
            raise TimeoutError
        tls.settimeout(_left(deadline))
        try:
            piece = tls.recv(65536)
        except (ssl.SSLEOFError, ConnectionResetError):
            if data:
                break
            raise
        if not piece:
            break
        data += piece
    return bytes(data)


def _reply(data: bytes) -> dict:
    if not data:
        return {"kind": RESET, "words": "closed without a reply"}
    head, _separator, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    if not parts[0].startswith("HTTP/") or len(parts) < 2 or not re.fullmatch("[1-5][0-9]{2}", parts[1]):
        return {"kind": PROTOCOL, "words": f"answered with something that is not HTTP: {lines[0][:80]!r}"}
    if any(line.lower().replace(" ", "") == "transfer-encoding:chunked" for line in lines[1:]):
        whole = _dechunk(body)
        if whole is None:
            return {"kind": PROTOCOL, "words": "answered with chunks that are no HTTP"}
        body = whole
    text = body.decode("utf-8", "replace")
    behind = any(line.lower().startswith("x-envoy-upstream-service-time:") for line in lines[1:])
    return {
        "kind": HTTP,
        "words": f"HTTP {parts[1]}",
        "status": int(parts[1]),
        "body": text,
        "from_behind": behind,
    }


def _dechunk(data: bytes) -> bytes | None:
    """The body without its framing (RFC 9112, 7.1), as far as it came; None when it is none."""
    whole = bytearray()
    at = 0
    while at < len(data):
        size = CHUNK.match(data, at)
        if not size:
            return None
        length = int(size[1], 16)
        if length == 0:
            break
        whole += data[size.end() : size.end() + length]
        at = size.end() + length + 2
    return bytes(whole)


def _why(error: Exception) -> dict:  # noqa: PLR0911 - one line per way to fail
    """Name the way in which an attempt failed."""
    if isinstance(error, ssl.SSLEOFError):
        return {"kind": RESET, "words": "closed in the middle of TLS"}
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        if reason in OLDER:
            return {"kind": PROTOCOL, "words": "it speaks no TLS 1.3", "alert": "protocol_version"}
        if "ALERT_" in reason:
            name = reason.partition("ALERT_")[2]
            alert = IDENTITY_ALERTS.get(name)
            kind = TLS_ALERT if alert else PROTOCOL
            return {"kind": kind, "words": f"TLS alert {alert or name.lower()}", "alert": alert or name.lower()}
        return {"kind": PROTOCOL, "words": f"TLS failed: {reason.lower().replace('_', ' ')}"}
    if isinstance(error, (TimeoutError, socket.timeout)):
        return {"kind": TIMEOUT, "words": "no answer in time"}
    if isinstance(error, ConnectionRefusedError):
        return {"kind": NOTHING_LISTENS, "words": "connection refused: nothing listens there"}
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return {"kind": RESET, "words": "connection reset"}
    return {"kind": UNREACHABLE, "words": f"not reachable: {error}"}


def main(arguments: str) -> None:
    """Entry for ``python3 -`` in a pod: ``arguments`` and the answer are JSON."""
    sys.stdout.write(json.dumps(probe(**json.loads(arguments))) + "\n")

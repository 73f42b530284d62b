# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services have in common: a server with bounds, requests, answers, and how it all ends.

A request is answered by the first route whose pattern is its whole path. Nothing of a request is decoded, and none of
its text comes back in an error.
"""

from __future__ import annotations

import http.client
import http.server
import json
import re
import signal
import socketserver
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from typing import Any

MAX_HEAD = 64 * 1024
"""Bytes of all headers of a request. Certificates in one of them take some."""
MAX_BODY = 16 * 1024
MAX_CONNECTIONS = 128
LAST_WORDS = 5
"""Seconds for requests that are being answered when the end comes."""

TRACE = (
    "x-request-id",
    "traceparent",
    "tracestate",
    "b3",
    *(f"x-b3-{name}" for name in ("traceid", "spanid", "parentspanid", "sampled", "flags")),
    *(f"x-datadog-{name}" for name in ("trace-id", "parent-id", "sampling-priority")),
    "x-ot-span-context",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "sw8",
)
"""What carries a trace from the request that came to those that it causes: only an application knows which they are."""
END_USER = "end-user"
"""For whom a request is made: routes may go by it. It is a name and proves nothing."""

SAFE = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
)
CLOSED = "default-src 'none'; frame-ancestors 'none'"

# Of a header that goes on: one line, and not longer than proxies take.
_PASSABLE = re.compile(r"[\x20-\x7e]{1,4096}")
_LENGTH = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Request:
    """A request that was read whole."""

    method: str
    path: str
    headers: Message
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The text of a header, if it can go into another request as it is."""
        value = self.headers.get(name)
        return value if value is not None and _PASSABLE.fullmatch(value) else None

    @property
    def forwarded_client_cert(self) -> str | None:
        """Who was verified on the way, as the proxies say it."""
        return self.headers.get("x-forwarded-client-cert")

    def passed_on(self, *more: str) -> dict[str, str]:
        """The headers that the requests get which this one causes."""
        found = {name: self.header(name) for name in (*TRACE, *more)}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Answer:
    body: bytes = b""
    content_type: str = "application/json"
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    policy: str = CLOSED


def data(value: Mapping[str, Any] | Sequence[Any], status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(json.dumps(value).encode(), status=status)


class Refused(Exception):
    """A request that is not answered as it was asked."""

    def __init__(self, status: int, text: str = "", headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(text)
        self.status, self.headers = status, headers
        self.text = text or HTTPStatus(status).phrase


Handler = Callable[..., Answer]


@dataclass
class Service:
    """A name, and by method and pattern what answers. It gets the request and the groups of the pattern."""

    name: str
    routes: list[tuple[str, re.Pattern[str], Handler]] = field(default_factory=list)

    def route(self, method: str, pattern: str, handler: Handler) -> None:
        self.routes.append((method, re.compile(pattern), handler))

    def healthy(self, request: Request) -> Answer:
        text = f"{self.name.capitalize()} is healthy"
        return data({"status": text, "forwarded_client_cert": request.forwarded_client_cert})

    def refusal(self, request: Request | None, refused: Refused) -> Answer:  # noqa: ARG002 - for those that look at it
        return Answer(json.dumps({"error": refused.text}).encode(), status=refused.status, headers=refused.headers)

    def answer(self, request: Request) -> Answer:
        allowed = []
        for method, pattern, handler in self.routes:
            found = pattern.fullmatch(request.path)
            if not found:
                continue
            if method == request.method or (method, request.method) == ("GET", "HEAD"):
                return handler(request, *found.groups())
            allowed.append(method)
        if allowed:
            raise Refused(405, headers=[("allow", ", ".join(sorted(set(allowed))))])
        raise Refused(404)


def number(text: str) -> int:
    """The number of a product."""
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Refused(400, "a product is named by its number")
    return int(text)


class _Head:
    """Reads the lines of a head, up to a limit for all of them."""

    def __init__(self, raw: Any) -> None:
        self._raw, self._left = raw, MAX_HEAD

    def readline(self, size: int) -> bytes:
        line: bytes = self._raw.readline(min(size, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise http.client.LineTooLong("header")
        return line


class _Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 75  # seconds that a connection may be silent: more than those of the proxies in front
    disable_nagle_algorithm = True  # head and body are two writes, and the second would wait for an answer to the first
    server: Server

    def parse_request(self) -> bool:
        whole = self.rfile
        self.rfile = _Head(whole)  # type: ignore[assignment]
        try:
            good = super().parse_request()
        finally:
            self.rfile = whole
        if good and self.request_version == "HTTP/0.9":
            self.send_error(505)
            return False
        return good

    def _serve(self) -> None:
        with self.server.answering:
            request = None
            try:
                request = Request(self.command, self.path.partition("?")[0], self.headers, self._body())
                answer = self.server.service.answer(request)
            except Refused as refused:
                answer = self.server.service.refusal(request, refused)
            except TimeoutError:
                self.close_connection = True
                return
            except Exception:
                traceback.print_exc(file=sys.stderr)
                answer = self.server.service.refusal(request, Refused(500))
            self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def _body(self) -> bytes:
        """The whole body. What is not read would be the beginning of the next request, which is somebody else's."""
        lengths = self.headers.get_all("content-length", [])
        if not lengths and "transfer-encoding" not in self.headers:
            return b""
        going_on, self.close_connection = self.close_connection, True
        if self.command != "POST":
            raise Refused(400, f"a {self.command} has no body here")
        if "transfer-encoding" in self.headers or len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
            raise Refused(400, "a body has one content-length")
        length = int(lengths[0])
        if length > MAX_BODY:
            raise Refused(413)
        body = self.rfile.read(length)
        if len(body) < length:
            raise Refused(400, "the body ended too early")
        self.close_connection = going_on
        return body

    def _send(self, answer: Answer) -> None:
        if self.server.ending:
            self.close_connection = True
        self.send_response(answer.status)
        for name, value in (
            ("content-type", answer.content_type),
            ("content-length", str(len(answer.body))),
            ("content-security-policy", answer.policy),
            *SAFE,
            *answer.headers,
            *([("connection", "close")] if self.close_connection else []),
        ):
            self.send_header(name, value)
        if not any(name == "cache-control" for name, _value in answer.headers):
            self.send_header("cache-control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What could not be read as a request is told so, and not repeated."""
        self.close_connection = True
        self.request_version = self.protocol_version  # else what has none gets an answer without a head
        self._send(Service.refusal(self.server.service, None, Refused(int(code))))

    def version_string(self) -> str:
        return "bookinfo"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the proxies log the requests."""


class _Counter:
    """How many requests are being answered."""

    def __init__(self) -> None:
        self._count, self._changed = 0, threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_error: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0, seconds)


class Server(http.server.ThreadingHTTPServer):
    """A thread for each connection, and not more than there is room for."""

    request_queue_size = 64

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        self.ending = False
        self.answering = _Counter()
        self._room = threading.Semaphore(MAX_CONNECTIONS)
        super().__init__(address, _Connection)

    def server_bind(self) -> None:
        # The class above would ask the name service what this machine is called, and wait for it.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(timeout=1):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is nothing to tell of."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def serve_until(self, *ends: signal.Signals) -> None:
        """Serve until one of these signals comes, and then answer what has begun."""
        # They are waited for and not handled: a handler may never run while the first thread waits for something else.
        # There is one nevertheless, since the first process of a container gets no signal that nothing handles.
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        for one in ends:
            signal.signal(one, lambda *_: None)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        signal.sigwait(ends)
        self.ending = True
        self.shutdown()
        self.server_close()
        self.answering.wait(LAST_WORDS)


class Away(Exception):
    """A back end gave no answer that can be used. ``status`` is what it said, if it said something."""

    def __init__(self, status: int | None = None) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class BackEnd:
    """A service that this one asks."""

    name: str
    host: str
    port: int

    MAX_ANSWER = 256 * 1024

    def get(self, path: str, headers: Mapping[str, str], seconds: float) -> dict[str, Any]:
        """What it answers, which is an object in JSON, within so many seconds."""
        deadline = time.monotonic() + seconds
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            connection.connect()
            asked = connection.sock  # the connection forgets it when the answer ends with it
            connection.request("GET", path, headers={**headers, "accept": "application/json", "connection": "close"})
            asked.settimeout(max(deadline - time.monotonic(), 0.001))
            answer = connection.getresponse()
            body = b""
            while piece := answer.read1(65536):
                body += piece
                if len(body) > self.MAX_ANSWER or time.monotonic() > deadline:
                    raise Away
                if not answer.isclosed():  # since Python 3.13 it is, with its socket, as soon as it was read
                    asked.settimeout(max(deadline - time.monotonic(), 0.001))
            if answer.status != 200:
                raise Away(answer.status)
            found = json.loads(body, parse_constant=_no_number)
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise Away from error
        finally:
            connection.close()
        if not isinstance(found, dict):
            raise Away
        return found


def _no_number(text: str) -> None:
    raise ValueError(text)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bookinfo, helloworld and echo as they run in their image: each service a process, asked over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from peers import free_port
from playbook import ROOT

PROGRAM = ROOT / "roles" / "images" / "files" / "programs" / "bookinfo" / "main.py"
HERE = "127.0.0.1"
# What is compiled would lie in the folder that becomes the image.
CLEAN = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def data(self) -> Any:
        return json.loads(self.body)


def ask(port: int, path: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
    connection = http.client.HTTPConnection(HERE, port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())


def said(port: int, request: bytes) -> bytes:
    """Everything that is answered on one connection."""
    with socket.create_connection((HERE, port), 20) as client:
        with contextlib.suppress(OSError):  # it may be refused before all of it is sent
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65536):
                answer += piece
    return answer


def start(service: str, port: int, *options: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, str(PROGRAM), service, f"--address={HERE}", f"--port={port}", *options]
    return subprocess.Popen(argv, env=CLEAN)


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process in any case."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HERE, port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens at {port}")


class BackEnd(http.server.BaseHTTPRequestHandler):
    """A back end that answers what a test says, and keeps what it was asked."""

    answer: tuple[int, bytes] = (200, b"{}")
    asked: list[tuple[str, Mapping[str, str]]] = []  # noqa: RUF012 - of all connections

    def do_GET(self) -> None:
        BackEnd.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        status, body = BackEnd.answer
        self.send_response(status)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """The ports of all services, by name. ``away`` is one at which nothing listens."""
    backend = http.server.ThreadingHTTPServer((HERE, 0), BackEnd)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    names = ["away", "details", "ratings", "hello", "echo", "v1", "v2", "v3", "unrated"]
    names += ["page-v1", "page-v2", "page-v3", "no-reviews", "no-details", "told", "rating"]
    with contextlib.ExitStack() as held:
        sockets = {name: held.enter_context(socket.socket()) for name in names}
        for item in sockets.values():
            item.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            item.bind((HERE, 0))
        found = {name: item.getsockname()[1] for name, item in sockets.items()}
        found["backend"] = backend.server_address[1]
        for name in names[1:]:
            sockets[name].close()

        def to(**places: str) -> list[str]:
            return [f"--{name}=http://{HERE}:{found[place]}" for name, place in places.items()]

        running = [start(name, found[name]) for name in ("details", "ratings", "echo")]
        running.append(start("helloworld", found["hello"], "--version=v2"))
        for version in ("v1", "v2", "v3"):
            options = [f"--version={version}", "--cluster=one", *to(ratings="ratings")]
            running.append(start("reviews", found[version], *options))
            others = to(details="details", reviews=version, ratings="ratings")
            running.append(start("productpage", found[f"page-{version}"], *others))
        running.append(start("reviews", found["unrated"], "--version=v2", *to(ratings="away")))
        for name, places in (
            ("no-reviews", {"details": "details", "reviews": "away", "ratings": "ratings"}),
            ("no-details", {"details": "away", "reviews": "unrated", "ratings": "ratings"}),
            ("told", {"details": "backend", "reviews": "backend", "ratings": "backend"}),
        ):
            running.append(start("productpage", found[name], *to(**places)))
        running.append(start("reviews", found["rating"], "--version=v3", *to(ratings="backend")))
        try:
            for name in names[1:]:
                wait_for(found[name])
            yield found
        finally:
            for process in running:
                process.kill()
            for process in running:
                process.wait()
            backend.shutdown()
            backend.server_close()


@pytest.fixture
def backend() -> Iterator[type[BackEnd]]:
    BackEnd.answer = (200, b"{}")
    BackEnd.asked = []
    yield BackEnd


SERVICES = ("details", "ratings", "hello", "v1", "page-v1")


# What programs are told


def test_details_are_those_of_a_book(ports: dict[str, int]) -> None:
    reply = ask(ports["details"], "/details/7", headers={"X-Forwarded-Client-Cert": "URI=a"})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    fields = ["id", "author", "year", "type", "pages", "publisher", "language", "ISBN-10", "ISBN-13"]
    assert list(reply.data) == [*fields, "forwarded_client_cert"]
    assert (reply.data["id"], reply.data["forwarded_client_cert"]) == (7, "URI=a")


@pytest.mark.parametrize(("version", "color"), [("v1", None), ("v2", "black"), ("v3", "red")])
def test_reviews_have_the_stars_of_their_version(ports: dict[str, int], version: str, color: str | None) -> None:
    told = ask(ports[version], "/reviews/0").data
    assert (told["id"], told["podname"], told["clustername"]) == ("0", os.uname().nodename, "one")
    assert [item["reviewer"] for item in told["reviews"]] == ["Reviewer1", "Reviewer2"]
    ratings = [item.get("rating") for item in told["reviews"]]
    assert ratings == ([None, None] if color is None else [{"stars": stars, "color": color} for stars in (5, 4)])


def test_reviews_without_ratings_say_so(ports: dict[str, int]) -> None:
    reply = ask(ports["unrated"], "/reviews/0")
    assert reply.status == 200
    assert all(set(item["rating"]) == {"error"} for item in reply.data["reviews"])


def test_ratings_are_kept_by_product(ports: dict[str, int]) -> None:
    assert ask(ports["ratings"], "/ratings/0").data["ratings"] == {"Reviewer1": 5, "Reviewer2": 4}
    given = ask(ports["ratings"], "/ratings/3", "POST", json.dumps({"Reviewer1": 1}))
    assert (given.status, given.data["id"], given.data["ratings"]) == (200, 3, {"Reviewer1": 1})
    assert ask(ports["ratings"], "/ratings/3").data["ratings"] == {"Reviewer1": 1}
    reviews = ask(ports["v3"], "/reviews/3").data["reviews"]
    assert reviews[0]["rating"] == {"stars": 1, "color": "red"}
    assert set(reviews[1]["rating"]) == {"error"}, "nobody has rated it"


@pytest.mark.parametrize(
    "body",
    [
        *("", "x", "[]", "{}", "3", '{"a": 0}', '{"a": 6}', '{"a": 1.5}', '{"a": true}', '{"a": "5"}', '{"a": NaN}'),
        *('{"": 1}', '{"a\\nb": 1}', '{"\\ud800": 1}', json.dumps({"a" * 65: 1}), "[" * 9000),
        json.dumps({str(number): 1 for number in range(21)}),
        b"\xff\xfe",
    ],
)
def test_ratings_that_are_none_are_refused(ports: dict[str, int], body: Any) -> None:
    reply = ask(ports["ratings"], "/ratings/0", "POST", body)
    assert (reply.status, list(reply.data)) == (400, ["error"])
    assert ask(ports["ratings"], "/ratings/0").data["ratings"] == {"Reviewer1": 5, "Reviewer2": 4}


def test_ratings_of_many_products_are_not_all_kept(ports: dict[str, int]) -> None:
    connection = http.client.HTTPConnection(HERE, ports["ratings"], timeout=20)
    with contextlib.closing(connection):
        for product in range(5000, 6001):
            connection.request("POST", f"/ratings/{product}", b'{"a": 3}')
            connection.getresponse().read()
    assert ask(ports["ratings"], "/ratings/6000").data["ratings"] == {"a": 3}
    assert ask(ports["ratings"], "/ratings/5000").data["ratings"] == {"Reviewer1": 5, "Reviewer2": 4}


def test_the_page_tells_programs_what_its_back_ends_say(ports: dict[str, int]) -> None:
    port = ports["page-v3"]
    (product,) = ask(port, "/api/v1/products").data
    assert set(product) == {"id", "title", "descriptionHtml"}
    seen = {"X-Forwarded-Client-Cert": "URI=a"}
    details = ask(port, "/api/v1/products/0", headers=seen).data
    assert {"id": 0, "forwarded_client_cert": "URI=a", "details_forwarded_client_cert": None}.items() <= details.items()
    reviews = ask(port, "/api/v1/products/0/reviews", headers=seen).data
    assert reviews["reviews"][0]["rating"] == {"stars": 5, "color": "red"}
    hops = {key: value for key, value in reviews.items() if "forwarded" in key}
    assert hops == {
        "forwarded_client_cert": "URI=a",
        "reviews_forwarded_client_cert": None,
        "ratings_forwarded_client_cert": None,
    }
    assert ask(port, "/api/v1/products/0/ratings").data["ratings"] == {"Reviewer1": 5, "Reviewer2": 4}


def test_the_page_tells_programs_when_a_back_end_is_away(ports: dict[str, int], backend: type[BackEnd]) -> None:
    reply = ask(ports["no-details"], "/api/v1/products/0")
    assert (reply.status, list(reply.data)) == (500, ["error"])
    backend.answer = (403, b"RBAC: access denied")
    assert ask(ports["told"], "/api/v1/products/0").status == 403


def test_echo_answers_with_what_it_received(ports: dict[str, int]) -> None:
    said = {"X-Forwarded-Client-Cert": "URI=a,URI=b", "X-Client-Spiffe-Id": "a"}
    reply = ask(ports["echo"], "/tada?x=1", "POST", "a body", said)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    told = reply.data
    assert (told["request"], told["body"], told["served_by"]) == ("POST /tada", "a body", os.uname().nodename)
    assert told["forwarded_client_cert"] == "URI=a,URI=b"
    assert ["x-client-spiffe-id", "a"] in told["headers"]
    assert ask(ports["echo"], "/").data["body"] == ""
    assert ask(ports["echo"], "/", "PUT", "a body").status == 400


def test_hello_says_which_version_answers_and_where(ports: dict[str, int]) -> None:
    reply = ask(ports["hello"], "/hello")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert reply.body == f"Hello version: v2, instance: {os.uname().nodename}\n"
    told = ask(ports["hello"], "/version", headers={"X-Forwarded-Client-Cert": "URI=a"}).data
    assert told == {"version": "v2", "instance": os.uname().nodename, "forwarded_client_cert": "URI=a"}
    assert "URI=a" not in ask(ports["hello"], "/hello", headers={"X-Forwarded-Client-Cert": "URI=a"}).body


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_healthy_by_itself(ports: dict[str, int], name: str) -> None:
    reply = ask(ports[name], "/health")
    assert reply.status == 200
    assert reply.data["status"].endswith(" is healthy")


# What people see


class Page(HTMLParser):
    """Headings, tags that are open, and all text of a page."""

    VOID = ("meta", "link", "input", "br", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.stars: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.feed(text)
        assert self.open == [], "all tags are closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if given.get("role") == "img":
            self.stars.append((str(given["class"]), str(given["aria-label"])))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


BLACK = [("stars black", "5 of 5 stars"), ("stars black", "4 of 5 stars")]
RED = [("stars red", "5 of 5 stars"), ("stars red", "4 of 5 stars")]


@pytest.mark.parametrize(("name", "stars"), [("page-v1", []), ("page-v2", BLACK), ("page-v3", RED)])
def test_the_page_has_details_and_reviews(ports: dict[str, int], name: str, stars: Any) -> None:
    reply = ask(ports[name], "/productpage?u=normal")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = Page(reply.body)
    assert page.headings[1:] == ["Book Details", "Book Reviews"]
    assert page.stars == stars
    assert {"main", "header", "h1", "dl", "figure", "blockquote", "label"} <= set(page.tags)
    assert 'lang="en"' in reply.body
    assert "script" not in page.tags


def test_the_page_says_what_is_away_and_shows_the_rest(ports: dict[str, int]) -> None:
    no_reviews, no_details = (ask(ports[name], "/productpage") for name in ("no-reviews", "no-details"))
    assert (no_reviews.status, no_details.status) == (200, 200)
    assert Page(no_reviews.body).headings[1:] == ["Book Details", "Error fetching product reviews!"]
    assert Page(no_details.body).headings[1:] == ["Error fetching product details!", "Book Reviews"]
    assert "the ratings cannot be had now" in no_details.body


def test_files_are_those_that_there_are(ports: dict[str, int]) -> None:
    style, picture = (ask(ports["page-v1"], f"/static/{name}") for name in ("style.css", "book.svg"))
    assert (style.status, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert "prefers-color-scheme: dark" in style.body
    page = ask(ports["page-v1"], "/productpage").body
    for name in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        assert ask(ports["page-v1"], name).status == 200


PATHS_OUT = (
    "../main.py",
    "..%2fmain.py",
    "%2e%2e/main.py",
    "/etc/passwd",
    "./style.css",
    "style.css/",
    "style.css%00",
    "",
)


@pytest.mark.parametrize("path", PATHS_OUT)
def test_no_path_leads_out_of_the_files(ports: dict[str, int], path: str) -> None:
    for prefix in ("/static/", "/static//", "//static/../"):
        reply = ask(ports["page-v1"], f"{prefix}{path}")
        assert reply.status == 404
        assert "import" not in reply.body


def test_a_name_is_remembered_and_goes_on_to_the_back_ends(ports: dict[str, int], backend: type[BackEnd]) -> None:
    login = ask(ports["told"], "/login", "POST", "username=jason&passwd=x")
    assert (login.status, login.headers["location"]) == (303, "/productpage")
    cookie = login.headers["set-cookie"]
    assert cookie == "user=jason; Path=/; HttpOnly; SameSite=Lax"
    headers = {"Cookie": "other=1; user=jason", "X-Request-Id": "r-1", "Traceparent": "00-a-b-01"}
    headers |= {"X-B3-TraceId": "b3", "Authorization": "Bearer secret", "X-Forwarded-Client-Cert": "URI=a"}
    page = ask(ports["told"], "/productpage", headers=headers)
    assert "Signed in as <strong>jason</strong>" in page.body
    assert {path for path, _headers in backend.asked} == {"/details/0", "/reviews/0"}
    for _path, got in backend.asked:
        assert {"end-user": "jason", "x-request-id": "r-1", "traceparent": "00-a-b-01"}.items() <= got.items()
        assert got["x-b3-traceid"] == "b3"
        assert not {"cookie", "authorization", "x-forwarded-client-cert"} & got.keys(), "whose they are, keeps them"
    logout = ask(ports["told"], "/logout")
    assert (logout.status, logout.headers["location"]) == (303, "/productpage")
    assert logout.headers["set-cookie"].startswith("user=; Max-Age=0;")


def test_reviews_hand_the_name_on_to_ratings(ports: dict[str, int], backend: type[BackEnd]) -> None:
    backend.answer = (200, b'{"ratings": {"Reviewer1": 5}, "forwarded_client_cert": "URI=r"}')
    told = ask(ports["rating"], "/reviews/0", headers={"End-User": "jason", "X-Request-Id": "r-2"}).data
    ((path, got),) = backend.asked
    assert (path, got["end-user"], got["x-request-id"]) == ("/ratings/0", "jason", "r-2")
    assert told["ratings_forwarded_client_cert"] == "URI=r"


def test_a_name_that_is_sent_as_a_header_is_nobodys(ports: dict[str, int], backend: type[BackEnd]) -> None:
    ask(ports["told"], "/productpage", headers={"End-User": "jason"})
    assert all("end-user" not in got for _path, got in backend.asked)


def test_a_cookie_for_https_stays_there(ports: dict[str, int]) -> None:
    reply = ask(ports["page-v1"], "/login", "POST", "username=a", {"X-Forwarded-Proto": "https"})
    assert reply.headers["set-cookie"].endswith("; Secure")


BAD_NAMES = ("", "a b", "a;b", "a\r\nSet-Cookie: x=y", "<b>", "é", "a" * 65, "-a", "a=b", "a\0")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_no_other_name_gets_into_a_header(ports: dict[str, int], backend: type[BackEnd], name: str) -> None:
    reply = ask(ports["told"], "/login", "POST", urlencode({"username": name}))
    assert (reply.status, "set-cookie" in reply.headers) == (400, False)
    assert Page(reply.body).headings == ["That did not work"]
    ask(ports["told"], "/productpage", headers={"Cookie": f'user="{quote(name)}"'})
    assert all(re.fullmatch("[A-Za-z0-9._-]*", got.get("end-user", "")) for _path, got in backend.asked)


@pytest.mark.parametrize("folded", [b"a\r\n Evil: 1", b"a\r\n\tEvil: 1", b"\xff", b"a\x0bb", b"a" * 5000])
def test_a_header_of_several_lines_does_not_go_on(ports: dict[str, int], backend: type[BackEnd], folded: bytes) -> None:
    request = b"GET /productpage HTTP/1.1\r\nHost: p\r\nConnection: close\r\nX-Request-Id: " + folded + b"\r\n\r\n"
    assert said(ports["told"], request).startswith(b"HTTP/1.1 200 ")
    assert len(backend.asked) == 2
    assert all(not {"x-request-id", "evil"} & got.keys() for _path, got in backend.asked)


# Back ends that nobody should believe


EVIL = "<script>alert(1)</script>\"'&"


def test_what_back_ends_say_is_shown_and_never_run(ports: dict[str, int], backend: type[BackEnd]) -> None:
    review = {"reviewer": EVIL, "text": EVIL, "rating": {"stars": 3, "color": '"><script>'}}
    strange = {"reviewer": 1, "text": ["x"], "rating": {"stars": 10**30, "error": EVIL}}
    told = {"author": EVIL, "pages": {"a": 1}, "year": "\ud800", "podname": EVIL, "reviews": [review, strange, EVIL]}
    backend.answer = (200, json.dumps(told).encode())
    reply = ask(ports["told"], "/productpage")
    assert reply.status == 200
    page = Page(reply.body)
    assert "script" not in page.tags
    assert reply.body.count("&lt;script&gt;") >= 5
    assert page.stars == [("stars black", "3 of 5 stars")]


BAD_ANSWERS = {
    "no object": b"[]",
    "no JSON": b"<html>",
    "no text": b"\xff\xfe",
    "deep": b'{"a":' * 50000,
    "no number": b'{"reviews": NaN}',
    "a long number": b'{"a": 1' + b"0" * 10000 + b"}",
    "huge": b'{"a": "' + b"x" * 1_000_000 + b'"}',
    "nothing": b"",
}


@pytest.mark.parametrize("body", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_an_answer_that_is_none_is_an_error(ports: dict[str, int], backend: type[BackEnd], body: bytes) -> None:
    backend.answer = (200, body)
    headings = Page(ask(ports["told"], "/productpage").body).headings
    assert headings[1:] == ["Error fetching product details!", "Error fetching product reviews!"]
    assert ask(ports["told"], "/api/v1/products/0").status == 500
    reviews = ask(ports["rating"], "/reviews/0").data["reviews"]
    assert all(set(item["rating"]) == {"error"} for item in reviews)


def test_a_back_end_that_moved_is_not_followed(ports: dict[str, int], backend: type[BackEnd]) -> None:
    backend.answer = (302, b"{}")
    assert "Error fetching product details!" in ask(ports["told"], "/productpage").body
    assert len(backend.asked) == 3, "reviews are asked for twice"


def test_a_back_end_that_is_silent_is_not_waited_for() -> None:
    with socket.create_server((HERE, 0)) as silent:
        port = free_port()
        where = f"http://{HERE}:{silent.getsockname()[1]}"
        with ended(start("reviews", port, "--version=v3", f"--ratings={where}")):
            wait_for(port)
            before = time.monotonic()
            reviews = ask(port, "/reviews/0").data["reviews"]
            assert 2 < time.monotonic() - before < 10
            assert all(set(item["rating"]) == {"error"} for item in reviews)


# Callers that nobody should believe


PATHS = {
    "details": ["/details/0x1", "/details/-1", "/details/", "/details/%30", "/details/1e3", "/details/" + "9" * 10],
    "ratings": ["/ratings/abc", "/ratings/+1"],
    "v1": ["/reviews/zero", "/reviews/\u00b2".encode().decode("latin-1")],
    "page-v1": ["/api/v1/products/x", "/api/v1/products/x/reviews"],
}


@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in PATHS.items() for path in paths])
def test_what_is_no_number_is_no_product(ports: dict[str, int], name: str, path: str) -> None:
    answer = said(ports[name], f"GET {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("name", SERVICES)
def test_unknown_paths_and_methods(ports: dict[str, int], name: str) -> None:
    for path in ("/nothing", "/health/", "/HEALTH", "/details/0/0", "/%2e", "/<b>x"):
        assert ask(ports[name], path).status == 404
    reply = ask(ports[name], "/health", "DELETE")
    assert (reply.status, reply.headers["allow"]) == (405, "GET")
    assert "<b>" not in ask(ports[name], "/<b>x").body
    head = ask(ports[name], "/health", "HEAD")
    assert (head.status, head.body, int(head.headers["content-length"]) > 10) == (200, "", True)


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("path", ["/health", "/nothing", "/login", "/productpage"])
def test_every_answer_is_closed_to_other_sites(ports: dict[str, int], name: str, path: str) -> None:
    headers = ask(ports[name], path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["server"] == "bookinfo"


INNER = b"GET /health HTTP/1.1\r\nHost: q\r\nX-Forwarded-Client-Cert: URI=spiffe://example.org/forged\r\n\r\n"
LENGTH = b"Content-Length: %d" % len(INNER)
FRAMINGS = {
    b"GET": [LENGTH, b"Transfer-Encoding: chunked"],
    b"DELETE": [LENGTH],
    b"POST": [
        *(b"Transfer-Encoding: chunked", LENGTH + b"\r\nTransfer-Encoding: chunked", LENGTH + b"\r\nContent-Length: 0"),
        *(b"Content-Length: +4", b"Content-Length: 0x4", b"Content-Length: -1", b"Content-Length: 4, 4"),
        *(b"Content-Length: 99999999", b"Content-Length: " + b"9" * 400),
    ],
}


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    ("method", "framing"), [(method, framing) for method, found in FRAMINGS.items() for framing in found]
)
def test_a_body_is_never_taken_for_the_next_request(
    ports: dict[str, int], name: str, method: bytes, framing: bytes
) -> None:
    answer = said(ports[name], method + b" /health HTTP/1.1\r\nHost: q\r\n" + framing + b"\r\n\r\n" + INNER)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))
    assert answer.count(b"HTTP/1.1 ") == 1, "the connection ends with the refusal"
    assert b"forged" not in answer


HOSTILE = {
    "a long path": (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: b\r\n\r\n", b"414"),
    "a long query": (b"GET /health?" + b"a" * 60000 + b" HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n", b"200"),
    "a long header": (b"GET /health HTTP/1.1\r\nHost: b\r\nX: " + b"a" * 70000 + b"\r\n\r\n", b"431"),
    "long headers": (b"GET /health HTTP/1.1\r\nHost: b\r\n" + (b"X: " + b"a" * 9000 + b"\r\n") * 9 + b"\r\n", b"431"),
    "many headers": (b"GET /health HTTP/1.1\r\nHost: b\r\n" + b"X: a\r\n" * 200 + b"\r\n", b"431"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
    "no version": (b"GET /<script> HTTP/x\r\n\r\n", b"400"),
    "HTTP of the past": (b"GET /health\r\n\r\n", b"505"),
    "HTTP of the future": (b"GET / HTTP/3.0\r\n\r\n", b"505"),
    "an unknown method": (b"<script> / HTTP/1.1\r\nHost: b\r\n\r\n", b"501"),
    "another host": (b"GET http://other/health HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n", b"404"),
}


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(("request_bytes", "status"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_requests_are_refused_and_not_repeated(
    ports: dict[str, int], name: str, request_bytes: bytes, status: bytes
) -> None:
    answer = said(ports[name], request_bytes)
    # A connection that is cut while the rest is on its way may take the answer with it.
    assert not answer or status in answer.split(b"\r\n")[0]
    assert b"<script>" not in answer
    assert b"Traceback" not in answer
    assert ask(ports[name], "/health").status == 200


# How it begins and ends


def test_it_always_ends_when_it_is_told() -> None:
    # Whatever its threads do at that moment.
    for _time in range(10):
        port = free_port()
        process = start("details", port)
        with ended(process):
            wait_for(port)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_it_ends_when_it_is_told_and_answers_what_has_begun() -> None:
    with socket.create_server((HERE, 0)) as slow:
        port = free_port()
        process = start("reviews", port, "--version=v2", f"--ratings=http://{HERE}:{slow.getsockname()[1]}")
        with ended(process):
            wait_for(port)
            idle = socket.create_connection((HERE, port), 20)
            client = socket.create_connection((HERE, port), 20)
            client.sendall(b"GET /reviews/0 HTTP/1.1\r\nHost: r\r\n\r\n")
            asked, _address = slow.accept()
            process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 10
            with contextlib.suppress(OSError):
                while time.monotonic() < deadline:
                    socket.create_connection((HERE, port), 1).close()
                    time.sleep(0.05)
            body = b'{"ratings": {"Reviewer1": 5, "Reviewer2": 4}}'
            asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            assert process.wait(10) == 0
            for item in (idle, client, asked):
                item.close()
    assert b'"stars": 5' in answer
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nothing"],
        ["reviews", "--version=v4"],
        ["details", "--ratings=http://a"],
        *(["helloworld", f"--version={version}"] for version in ("", "v1\n", "v 1", "<b>", "-v", "a" * 64)),
        *(
            ["productpage", f"--details={url}"]
            for url in ("https://a", "http://", "http://a/b", "http://a:x", "http://u@a", "a:1")
        ),
    ],
)
def test_options_that_mean_nothing_are_refused(argv: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *argv], capture_output=True, text=True, timeout=30, env=CLEAN, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_nothing_is_left_in_the_folder_of_the_image() -> None:
    assert not list(PROGRAM.parent.rglob("*.pyc"))

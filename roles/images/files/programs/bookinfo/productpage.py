# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page that brings together what the back ends know, and its interface for programs."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import page
from web import END_USER, Answer, Away, BackEnd, Refused, Request, Service, data, number

PRODUCTS = [
    {
        "id": 0,
        "title": "The Lamplighter's Ledger",
        "descriptionHtml": "A town keeps its accounts in light: <em>who lit which lamp, and for whom</em>.",
    }
]
PATIENCE = 3.0
"""Seconds for one answer of a back end."""
TRIES = {"details": 1, "reviews": 2, "ratings": 1}

COOKIE = "user"
# It goes into a cookie and a header as it is.
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STATIC = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


class ProductPage(Service):
    def __init__(self, back_ends: dict[str, BackEnd]) -> None:
        super().__init__("productpage")
        self._back_ends = back_ends
        # All that there is, read once: no path of a request is ever one of a file.
        self._static = {
            path.name: Answer(
                path.read_bytes(), _STATIC[path.suffix], headers=[("cache-control", "public, max-age=3600")]
            )
            for path in sorted((Path(__file__).parent / "static").iterdir())
            if path.suffix in _STATIC
        }
        for method, pattern, handler in (
            ("GET", "/|/index[.]html", self.index),
            ("GET", "/productpage", self.product_page),
            ("GET", "/static/(.*)", self.static),
            ("POST", "/login", self.login),
            ("GET", "/logout", self.logout),
            ("POST", "/logout", self.logout),
            ("GET", "/health", self.healthy),
            ("GET", "/api/v1/products", self.products),
            ("GET", "/api/v1/products/([^/]*)", self.details),
            ("GET", "/api/v1/products/([^/]*)/reviews", self.reviews),
            ("GET", "/api/v1/products/([^/]*)/ratings", self.ratings),
        ):
            self.route(method, pattern, handler)

    # For people

    def index(self, _request: Request) -> Answer:
        return page.answer(page.index(PRODUCTS))

    def product_page(self, request: Request) -> Answer:
        found: dict[str, dict[str, Any] | None] = {"details": None, "reviews": None}

        def ask(name: str) -> None:
            try:
                found[name] = self._ask(name, PRODUCTS[0]["id"], request)
            except Away:
                found[name] = None

        with ThreadPoolExecutor(len(found)) as pool:
            list(pool.map(ask, list(found)))
        return page.answer(page.product(PRODUCTS[0], found["details"], found["reviews"], user_of(request)))

    def static(self, _request: Request, name: str) -> Answer:
        if name not in self._static:
            raise Refused(404)
        return self._static[name]

    def login(self, request: Request) -> Answer:
        """Remember a name. It proves nothing, and no password is asked for."""
        try:
            (name,) = parse_qs(request.body.decode("ascii"), max_num_fields=10).get("username", [""])
        except ValueError:
            name = ""
        if not _NAME.fullmatch(name):
            raise Refused(400, "a name has 1 to 64 letters, digits, dots, dashes and underscores")
        return _to_the_page(request, f"{COOKIE}={name}")

    def logout(self, request: Request) -> Answer:
        return _to_the_page(request, f"{COOKIE}=; Max-Age=0")

    # For programs

    def products(self, _request: Request) -> Answer:
        return data(PRODUCTS)

    def details(self, request: Request, product: str) -> Answer:
        return self._passed_on("details", product, request)

    def reviews(self, request: Request, product: str) -> Answer:
        return self._passed_on("reviews", product, request)

    def ratings(self, request: Request, product: str) -> Answer:
        return self._passed_on("ratings", product, request)

    def _passed_on(self, name: str, product: str, request: Request) -> Answer:
        """What a back end says, with what was seen of who asked here, and there."""
        try:
            found = self._ask(name, number(product), request)
        except Away as away:
            raise Refused(away.status or 500, f"the {name} of this product cannot be had now") from away
        seen = {f"{name}_forwarded_client_cert": found.get("forwarded_client_cert")}
        return data({**found, **seen, "forwarded_client_cert": request.forwarded_client_cert})

    def _ask(self, name: str, product: int, request: Request) -> dict[str, Any]:
        headers = request.passed_on()
        user = user_of(request)
        if user is not None:
            headers[END_USER] = user
        for left in reversed(range(TRIES[name])):
            try:
                return self._back_ends[name].get(f"/{name}/{product}", headers, PATIENCE)
            except Away:
                if not left:
                    raise
        raise Away

    def refusal(self, request: Request | None, refused: Refused) -> Answer:
        if request is None or request.path.startswith(("/api/", "/health", "/static/")):
            return super().refusal(request, refused)
        return page.answer(page.refusal(refused.status, refused.text), refused.status, refused.headers)


def user_of(request: Request) -> str | None:
    """The name that somebody has given, if it is one."""
    try:
        found = SimpleCookie(request.header("cookie") or "").get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None and _NAME.fullmatch(found.value) else None


def _to_the_page(request: Request, cookie: str) -> Answer:
    secure = "; Secure" if request.header("x-forwarded-proto") == "https" else ""
    cookie = f"{cookie}; Path=/; HttpOnly; SameSite=Lax{secure}"
    return Answer(status=303, content_type="text/plain", headers=[("location", "/productpage"), ("set-cookie", cookie)])

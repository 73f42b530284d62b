# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The back ends: what is known of a book, what is said of it, and how many stars it got."""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from typing import Any

from web import END_USER, Answer, Away, BackEnd, Refused, Request, Service, data, number

STARS = range(1, 6)
MAX_PRODUCTS, MAX_REVIEWERS, MAX_NAME = 1000, 20, 64

COLORS = {"v1": None, "v2": "black", "v3": "red"}
"""Of the stars, by version. The first knows none."""
PATIENCE = {"v2": 10.0, "v3": 2.5}
"""Seconds that a version waits for ratings. One waits longer than the page does, which is a fault to be found."""


class Details(Service):
    def __init__(self) -> None:
        super().__init__("details")
        self.route("GET", "/details/([^/]*)", self.details)
        self.route("GET", "/health", self.healthy)

    def details(self, request: Request, product: str) -> Answer:
        return data(
            {
                "id": number(product),
                "author": "M. Lindqvist",
                "year": 2021,
                "type": "paperback",
                "pages": 212,
                "publisher": "Northquay",
                "language": "English",
                "ISBN-10": "0000000000",
                "ISBN-13": "9780000000002",
                "forwarded_client_cert": request.forwarded_client_cert,
            }
        )


class Ratings(Service):
    def __init__(self) -> None:
        super().__init__("ratings")
        self._given: OrderedDict[int, dict[str, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.route("GET", "/ratings/([^/]*)", self.ratings)
        self.route("POST", "/ratings/([^/]*)", self.rate)
        self.route("GET", "/health", self.healthy)

    def ratings(self, request: Request, product: str) -> Answer:
        with self._lock:
            found = self._given.get(number(product), {"Reviewer1": 5, "Reviewer2": 4})
        return self._told(request, product, found)

    def rate(self, request: Request, product: str) -> Answer:
        """Keep the stars of each reviewer in place of those that there were, until this process ends."""
        given = _stars(request.body)
        with self._lock:
            self._given[number(product)] = given
            self._given.move_to_end(number(product))
            if len(self._given) > MAX_PRODUCTS:
                self._given.popitem(last=False)
        return self._told(request, product, given)

    def _told(self, request: Request, product: str, ratings: dict[str, int]) -> Answer:
        seen = request.forwarded_client_cert
        return data({"id": number(product), "ratings": ratings, "forwarded_client_cert": seen})


def _stars(body: bytes) -> dict[str, int]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not 0 < len(given) <= MAX_REVIEWERS:
        raise Refused(400, f"give an object in JSON with the stars of 1 to {MAX_REVIEWERS} reviewers")
    for name, stars in given.items():
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise Refused(400, f"a reviewer's name has 1 to {MAX_NAME} printable letters")
        if isinstance(stars, bool) or not isinstance(stars, int) or stars not in STARS:
            raise Refused(400, "stars are a whole number from 1 to 5")
    return given


class Reviews(Service):
    def __init__(self, version: str, cluster: str | None, ratings: BackEnd) -> None:
        super().__init__("reviews")
        self._version, self._cluster, self._ratings = version, cluster, ratings
        self.route("GET", "/reviews/([^/]*)", self.reviews)
        self.route("GET", "/health", self.healthy)

    def reviews(self, request: Request, product: str) -> Answer:
        told: dict[str, Any] = {
            "id": str(number(product)),
            "podname": os.uname().nodename,
            "clustername": self._cluster,
            "reviews": [
                {"reviewer": "Reviewer1", "text": "Every chapter opens a door, and the last one opens them all."},
                {"reviewer": "Reviewer2", "text": "A quiet book that I would lend to a friend, and ask to have back."},
            ],
            "forwarded_client_cert": request.forwarded_client_cert,
        }
        color = COLORS[self._version]
        if color is not None:
            self._rate(request, told, color)
        return data(told)

    def _rate(self, request: Request, told: dict[str, Any], color: str) -> None:
        ratings: Any = None
        try:
            found = self._ratings.get(f"/ratings/{told['id']}", request.passed_on(END_USER), PATIENCE[self._version])
            ratings = found.get("ratings")
            told["ratings_forwarded_client_cert"] = found.get("forwarded_client_cert")
        except Away:
            pass
        for review in told["reviews"]:
            stars = ratings.get(review["reviewer"]) if isinstance(ratings, dict) else None
            if isinstance(stars, int) and stars in STARS:
                review["rating"] = {"stars": stars, "color": color}
            else:
                missing = "no stars yet" if isinstance(ratings, dict) else "the ratings cannot be had now"
                review["rating"] = {"error": missing}

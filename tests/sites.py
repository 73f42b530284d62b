# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of made-up sites, as ``report.make`` makes them. For the tests of what is shown of one."""

from __future__ import annotations

from collections import Counter
from typing import Any

EVIL = """</style></title><script>alert('x')</script>"&]]>"""


def place(name: str, cluster: str, spiffe_id: str | None = None, title: str = "") -> dict[str, Any]:
    return {"name": name, "cluster": cluster, "title": title or name, "spiffe_id": spiffe_id}


def check(
    source: str | None, target: str, kind: str = "positive", verdict: str = "proven", **more: Any
) -> dict[str, Any]:
    return {
        "name": f"{source} to {target}",
        "kind": kind,
        "type": "request" if kind == "positive" else "refused_request",
        "status": "pass" if verdict == "proven" else "fail",
        "verdict": verdict,
        "breach": False,
        "expected": "HTTP 200",
        "observed": "HTTP 200",
        "duration_s": 0.5,
        "attempts": 1,
        "from": source,
        "to": target,
        **more,
    }


def report(places: list[dict[str, Any]], checks: list[dict[str, Any]], scenario: str = "site") -> dict[str, Any]:
    count = Counter(check["verdict"] for check in checks)
    return {
        "schema_version": 1,
        "scenario": scenario,
        "started": "2026-11-25T10:15:00.000Z",
        "finished": "2026-11-25T10:15:02.250Z",
        "duration_s": 2.25,
        "trust_domains": ["example.org", "other.org"],
        "versions": {"SPIRE": "1.15.3", "Istio <x>": "1.28"},
        "summary": {
            "passed": count["proven"],
            "failed": count["refuted"] + count["not_judged"],
            "refuted": count["refuted"],
            "not_judged": count["not_judged"],
        },
        "clusters": [{"name": "blue", "context": "kind-blue"}],
        "servers": [
            {"name": "one", "trust_domain": "example.org", "agents": []},
            {"name": "two", "trust_domain": "other.org", "agents": []},
        ],
        "endpoints": places,
        "checks": checks,
    }


def site() -> dict[str, Any]:
    """One check of each outcome, and texts that have to be escaped."""
    return report(
        [
            place("here", "", None, "control node"),
            place("sleep", "blue", "spiffe://td/sleep"),
            place("gate", "blue", "spiffe://td/" + "x" * 80, "Blue's <Envoy>"),
            place("server", "blue"),
            place("green", "green"),
        ],
        [
            check("sleep", "gate", json_key="quote", value="a <quote>"),
            check("gate", "green", verdict="refuted", hint="Look <here>."),
            check("here", "green", "negative"),
            check("here", "gate", type="peer_certificate", issuer="O=SPIFFE"),
            check("here", "server", "negative", verdict="not_judged", builds_on="gate to green"),
            check(None, "sleep", type="sidecar_certificate"),
            check("sleep", "green", "negative", verdict="refuted", breach=True, observed="let in: HTTP 200"),
        ],
    )


def circle() -> dict[str, Any]:
    names = ["a", "b", "c"]
    return report([place(n, "one") for n in names], [check(a, b) for a in names for b in names if a != b])


def many() -> dict[str, Any]:
    places = [place("here", "", None, "control node"), *(place(f"p{n}", f"c{n % 4}") for n in range(12))]
    return report(places, [check("here", f"p{n}") for n in range(12)] + [check(f"p{n}", "p0") for n in range(1, 12)])


def mesh() -> dict[str, Any]:
    """Four clusters with three services each, and 36 checks within and between them."""
    clusters, apps = ("north", "east", "south", "west"), ("web", "cart", "ledger-of-all-payments")
    places = [place("here", "", None, "control node")]
    places += [
        place(f"{a}-{c}", c, f"spiffe://{c}.example/ns/shop/sa/{a}", f"{a} of {c}") for c in clusters for a in apps
    ]
    checks = []
    for index, cluster in enumerate(clusters):
        web, cart, ledger = (f"{app}-{cluster}" for app in apps)
        following = clusters[(index + 1) % len(clusters)]
        checks += [check(web, cart), check(cart, ledger), check(web, ledger, "negative")]
        checks += [check(cart, f"{apps[2]}-{following}"), check(web, f"cart-{following}", "negative")]
        checks += [check("here", ledger, type="peer_certificate"), check("here", ledger)]
        checks += [check("here", ledger, "negative", name=f"{name} {cluster}") for name in ("none", "foreign")]
    return report(places, checks)


def only() -> dict[str, Any]:
    return report([place("only", "one")], [check(None, "only")])


def nothing() -> dict[str, Any]:
    return report([], [])

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a status says of servers and meshes, as lines and as a page."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._status.model import (
    ends_words,
    entries_told,
    make,
    outcome,
    problems,
    span,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._status.report import MOST, html, table
from sites import EVIL

NOW = datetime.datetime(2026, 11, 25, 10, 0, tzinfo=datetime.timezone.utc)
SECONDS = int(NOW.timestamp())
HOUR = 3600


def agent(name: str, **fields: Any) -> dict[str, Any]:
    one = {"id": name, "attestation_type": "x509pop", "aliases": [], "banned": False, "expires_at": SECONDS + HOUR}
    return {**one, **fields}


def server(**fields: Any) -> dict[str, Any]:
    return {
        "name": "blue",
        "problem": "",
        "trust_domain": "example.org",
        "version": "1.15.3",
        "healthy": True,
        "health": "Server is healthy.",
        "ca_expires_at": SECONDS + 20 * HOUR,
        "agents": [],
        "entries": entries_told([], SECONDS),
        "federation": [],
        **fields,
    }


def relationship(health: str, error: str | None = None) -> dict[str, Any]:
    where = {"bundle_endpoint_url": "https://other.org/", "bundle_endpoint_profile": "https_web"}
    return {"trust_domain": "other.org", "health": health, "error": error, "age": 7200, "bundle": {}, **where}


def mesh(**fields: Any) -> dict[str, Any]:
    revision = {"name": "default", "version": "1.31.0", "trust_domain": "example.org", "ready": True, "problem": ""}
    return {
        "cluster": "blue",
        "namespace": "istio-system",
        "problem": "",
        "revisions": [{**revision, "tags": ["prod"], "proxies": 1}],
        "namespaces": [{"name": "shop", "status": "injected"}],
        "proxies": [],
        "summary": {"total": 0, "synced": 0, "out_of_sync": [], "versions": {}},
        **fields,
    }


def proxy(name: str, problem: str = "") -> dict[str, Any]:
    certificate = {"issuer": "2.5.4.5=123,CN=SPIRE,O=SPIFFE", "problem": problem}
    return {"name": name, "namespace": "shop", "kind": "pod", "certificate": certificate}


def told(servers: list[dict[str, Any]], meshes: list[dict[str, Any]] | None = None) -> list[tuple[str, str, str]]:
    lines = make("mine", servers, meshes or [], NOW)["lines"]
    return [(line["kind"], line["name"], line["state"]) for line in lines]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "ok"),
        ({"healthy": False, "health": "not live"}, "bad"),
        ({"ca_expires_at": SECONDS}, "bad"),
        ({"problem": "it does not answer"}, "bad"),
    ],
)
def test_a_server(fields: dict[str, Any], state: str) -> None:
    assert told([server(**fields)])[0] == ("server", "blue", state)


@pytest.mark.parametrize(
    ("fields", "state"), [({}, "ok"), ({"banned": True}, "look"), ({"expires_at": SECONDS}, "look")]
)
def test_an_agent(fields: dict[str, Any], state: str) -> None:
    assert told([server(agents=[agent("a", **fields)])])[1] == ("agent", "a", state)


@pytest.mark.parametrize(
    ("health", "state"), [("healthy", "ok"), ("not_probed", "ok"), ("no_bundle", "bad"), ("expired", "bad")]
)
def test_a_relationship(health: str, state: str) -> None:
    assert told([server(federation=[relationship(health)])])[-1] == ("federation", "blue → other.org", state)


def test_entries_by_owner() -> None:
    one = Entry("spiffe://example.org/a", "spiffe://example.org/node/a", ("unix:uid:0",), "trustmesh.shop.1")
    held = [one, replace(one, entry_id="trustmesh.2", admin=True), replace(one, entry_id="x", expires_at=SECONDS + 9)]
    summary = entries_told([*held, replace(one, entry_id="y", expires_at=SECONDS)], SECONDS)
    assert summary["owners"] == {"(no owner)": 1, "(others)": 2, "shop": 1}
    assert (summary["total"], summary["admin"], summary["federated"]) == (4, [one.spiffe_id], 0)
    assert [entry["entry_id"] for entry in summary["ending"]] == ["x"]
    (line,) = [line for line in make("m", [server(entries=summary)], [], NOW)["lines"] if line["kind"] == "entries"]
    assert line["text"] == (
        "1 without an owner, 2 made by others, 1 of shop, 1 admin, "
        "spiffe://example.org/a ends in 9 s (25 Nov 2026 10:00:09 UTC)"
    )


def test_istio() -> None:
    good = mesh(proxies=[proxy("a")], summary={"total": 1, "synced": 1, "out_of_sync": [], "versions": {"1.31.0": 1}})
    assert told([], [good]) == [
        ("istio", "blue: default", "ok"),
        ("proxies", "blue: proxies", "ok"),
        ("signed", "blue: certificates", "ok"),
    ]
    assert make("mine", [], [good], NOW)["lines"][-1]["text"] == "1 by CN=SPIRE,O=SPIFFE"
    assert told([], [mesh(problem="no answer")]) == [("istio", "blue", "bad")]
    assert told([], [mesh(revisions=[])]) == [("istio", "blue", "look")]
    dangling = mesh(namespaces=[{"name": "shop", "status": "dangling"}])
    assert ("istio", "blue: namespaces", "bad") in told([], [dangling])
    late = mesh(
        proxies=[proxy("a", "signed by nobody")],
        summary={"total": 1, "synced": 0, "out_of_sync": ["shop/a"], "versions": {}},
    )
    assert told([], [late])[1:] == [("proxies", "blue: proxies", "look"), ("signed", "blue: shop/a", "bad")]


def test_the_table_shows_what_is_wrong_of_very_many() -> None:
    agents = [agent(f"spiffe://example.org/spire/agent/x509pop/{number:03}") for number in range(40)]
    agents[30]["banned"] = True
    status = make("mine", [server(agents=agents), server(name="red", problem="down")], [], NOW)
    lines = table(status, 132)
    assert sum(line.startswith("agent") for line in lines) == MOST + 1
    assert any("030" in line and "LOOK" in line for line in lines)
    assert any("28 more, on the page" in line for line in lines)
    assert lines[-1] == outcome(status) == "mine: 1 not as it should be, 1 worth a look, 41 as it should be"
    assert problems(status) == ["server red: down"]
    assert max(map(len, lines)) <= 132
    assert html(status).count('<tr id="line-') == 43


def test_the_page_escapes_everything_and_leads_to_what_is_wrong() -> None:
    evil = server(name=EVIL, trust_domain=EVIL, healthy=False, health=EVIL, agents=[agent(EVIL, aliases=[EVIL])])
    evil["federation"] = [{**relationship("no_bundle", EVIL), "trust_domain": EVIL}]
    page = html(make("mine", [evil], [mesh(cluster=EVIL, problem=EVIL)], NOW))
    assert "<script" not in page
    assert page.count('href="#line-') == 3
    assert "25 Nov 2026 10:00:00 UTC" in page


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172799, "47 h"), (172800, "2 days")],
)
def test_a_span_as_people_say_it(seconds: int, words: str) -> None:
    assert span(seconds) == words


def test_when_something_ends() -> None:
    assert ends_words(SECONDS + 60, SECONDS) == "ends in 60 s (25 Nov 2026 10:01:00 UTC)"
    assert ends_words(SECONDS - 60, SECONDS) == "ended 60 s ago (25 Nov 2026 09:59:00 UTC)"

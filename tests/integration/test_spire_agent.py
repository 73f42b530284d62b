# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_agent and spire_agent_info against a real server, with agents that attest in two ways."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import evict_agent, list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token
from certificates import issue

from .conftest import Server, run_module, running_agent, running_server, wait_until

GREEN = "spiffe://example.org/node/green"
POP = "spiffe://example.org/node/pop"


def info(server: Server, **options: Any) -> list[dict[str, Any]]:
    result = run_module("spire_agent_info", {**server.connection, **options})
    assert not result.get("failed"), result
    assert not result["changed"]
    agents: list[dict[str, Any]] = result["agents"]
    return agents


def run(server: Server, check: bool = False, **options: Any) -> dict[str, Any]:
    result = run_module("spire_agent", {**server.connection, **options}, check=check)
    assert not result.get("failed"), result
    return result


def failure(server: Server, **options: Any) -> str:
    result = run_module("spire_agent", {**server.connection, **options})
    assert result.get("failed"), result
    assert not result.get("changed")
    return str(result["msg"])


def predicted(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("changed", "diff", "actions", "agents")}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and key for an agent that attests by x509pop, and their authority."""
    folder = tmp_path_factory.mktemp("pki")
    authority = issue(ca=True, name="pop-ca")
    leaf = issue(by=authority, name="popnode")
    (folder / "ca.pem").write_text(authority.pem)
    (folder / "leaf.pem").write_text(leaf.pem)
    (folder / "leaf.key").write_text(leaf.key_pem)
    return folder


@pytest.fixture(scope="module")
def server(pki: Path) -> Iterator[Server]:
    attestor = f'NodeAttestor "x509pop" {{ plugin_data {{ ca_bundle_path = "{pki}/ca.pem" }} }}'
    with running_server(plugins=attestor) as one:
        one.cli(
            "entry", "create", "-node", "-spiffeID", POP, "-selector", "x509pop:subject:cn:popnode"
        )  # fmt: skip
        yield one


@pytest.fixture
def agents(server: Server, pki: Path) -> Iterator[str]:
    """Two agents: one joined by token, the other by x509pop. Gives the id of the first, as it is."""
    for one in list_agents(server.client):
        evict_agent(server.client, one.spiffe_id)
    pop = (
        f'NodeAttestor "x509pop" {{ plugin_data {{ private_key_path = "{pki}/leaf.key" '
        f'certificate_path = "{pki}/leaf.pem" }} }}'
    )
    with ExitStack() as stack:
        token = generate_token(server.client, GREEN, 60).value
        stack.enter_context(running_agent(server, token, f"green-{time.monotonic_ns()}"))
        stack.enter_context(running_agent(server, "", f"pop-{time.monotonic_ns()}", pop))
        wait_until("both agents join", lambda: len(list_agents(server.client)) == 2)
        (joined,) = (one.spiffe_id for one in list_agents(server.client) if one.spiffe_id.endswith(token))
        yield joined


def test_agents_are_shown_without_their_tokens_and_found_by_each_filter(server: Server, agents: str) -> None:
    found = info(server)
    by_type = {one["attestation_type"]: one for one in found}
    green, pop = by_type["join_token"], by_type["x509pop"]
    assert agents.rsplit("/", 1)[1] not in str(found)
    assert "join_token/sha256:" in green["id"]
    assert green["aliases"] == [GREEN]
    assert pop["aliases"] == [POP]
    assert (green["can_reattest"], pop["can_reattest"]) == (False, True)
    assert "x509pop:subject:cn:popnode" in pop["selectors"]
    assert green["expires_at"] > time.time()
    assert green["serial_number"].isdigit()
    assert green["version"]
    later = int(time.time()) + 90000
    for filters, expected in (
        ({"attestation_type": "x509pop"}, [pop]),
        ({"attestation_type": "k8s_psat"}, []),
        ({"can_reattest": False}, [green]),
        ({"banned": True}, []),
        ({"banned": False, "can_reattest": True}, [pop]),
        ({"expires_before": int(time.time())}, []),
        ({"expires_before": later, "can_reattest": False}, [green]),
        ({"selectors": ["x509pop:subject:cn:popnode"]}, [pop]),
        ({"selectors": ["x509pop:subject:cn:popnode"], "selectors_match": "exact"}, []),
        ({"selectors": ["x509pop:subject:cn:other", *pop["selectors"]], "selectors_match": "any"}, [pop]),
        ({"spiffe_ids": [green["id"]]}, [green]),
        ({"spiffe_ids": [agents]}, [green]),
        ({"spiffe_ids": [pop["id"]], "aliases": [GREEN]}, []),
        ({"aliases": [POP]}, [pop]),
        ({"spiffe_ids": []}, []),
    ):
        assert info(server, **filters) == expected, filters


def test_evicting_by_alias_and_by_the_shown_id(server: Server, agents: str) -> None:
    wanted = {"state": "evicted", "aliases": [GREEN]}
    check = run(server, check=True, **wanted)
    assert len(list_agents(server.client)) == 2
    real = run(server, **wanted)
    assert predicted(check) == predicted(real)
    (action,) = real["actions"]
    assert action["verb"] == "evict"
    assert agents.rsplit("/", 1)[1] not in str(real)
    assert [one["attestation_type"] for one in info(server)] == ["x509pop"]
    # It is gone, by whatever name.
    assert not run(server, **wanted)["changed"]
    assert not run(server, state="evicted", spiffe_ids=[action["id"], agents])["changed"]


def test_the_id_that_is_shown_evicts(server: Server, agents: str) -> None:
    (green,) = info(server, aliases=[GREEN])
    assert run(server, state="evicted", spiffe_ids=[green["id"]])["changed"]
    assert agents not in [one.spiffe_id for one in list_agents(server.client)]


def test_a_ban_holds_until_it_is_lifted_by_name(server: Server, agents: str) -> None:
    wanted = {"state": "banned", "selectors": ["x509pop:subject:cn:popnode"]}
    check = run(server, check=True, **wanted)
    assert info(server, banned=True) == []
    real = run(server, **wanted)
    assert predicted(check) == predicted(real)
    (pop,) = info(server, banned=True)
    assert pop["attestation_type"] == "x509pop"
    assert pop["serial_number"] == ""
    assert not run(server, **wanted)["changed"]
    evict = {"state": "evicted", "spiffe_ids": [pop["id"]]}
    assert "lift_ban" in failure(server, **evict)
    assert info(server, banned=True) == [pop]
    assert run(server, **evict, lift_ban=True)["changed"]
    assert info(server, banned=True) == []
    assert agents


def test_an_agent_that_never_attested_cannot_be_banned(server: Server) -> None:
    never = "spiffe://example.org/spire/agent/join_token/sha256:0123456789abcdef"
    assert never in failure(server, state="banned", spiffe_ids=[never])
    assert "node/never" in failure(server, state="banned", aliases=["spiffe://example.org/node/never"])
    # Selectors tell a set, and a set may be empty.
    assert not run(server, state="banned", selectors=["x509pop:subject:cn:never"])["changed"]


def test_purge_forgets_the_expired_and_keeps_the_banned() -> None:
    with running_server(agent_ttl="3s") as server:
        for name in ("one", "two"):
            alias = f"spiffe://example.org/node/{name}"
            with running_agent(server, generate_token(server.client, alias, 60).value, name):
                wait_until("the agent joins", lambda alias=alias: info(server, aliases=[alias]))
        run(server, state="banned", aliases=["spiffe://example.org/node/two"])
        wait_until("both expire", lambda: all(one["expires_at"] < time.time() - 1 for one in info(server)), 30)
        assert not run(server, state="purged")["changed"]
        assert not run(server, state="purged", expired_for=0, attestation_type="x509pop")["changed"]
        check = run(server, check=True, state="purged", expired_for=0)
        real = run(server, state="purged", expired_for=0)
        assert predicted(check) == predicted(real)
        assert [one["aliases"] for one in real["agents"]] == [["spiffe://example.org/node/one"]]
        assert not run(server, state="purged", expired_for=0)["changed"]
        assert [one["banned"] for one in info(server)] == [True]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"state": "evicted"}, "spiffe_ids, aliases"),
        ({"state": "banned", "attestation_type": "join_token"}, "every agent of the trust domain"),
        ({"state": "evicted", "spiffe_ids": []}, "spiffe_ids: the list is empty"),
        ({"state": "banned", "aliases": []}, "aliases: the list is empty"),
        ({"state": "purged", "selectors": []}, "selectors: the list is empty"),
        ({"state": "evicted", "spiffe_ids": ["green"]}, "spiffe_ids[0]: 'green' does not start with spiffe://"),
        ({"state": "evicted", "spiffe_ids": [GREEN]}, "spiffe_ids[0]: spiffe://example.org/node/green is no agent's"),
        (
            {"state": "evicted", "spiffe_ids": ["spiffe://example.org/spire/agent/join_token/sha256:12"]},
            "spiffe_ids[0]",
        ),
        (
            {"state": "evicted", "aliases": [GREEN, "spiffe://example.org"]},
            "aliases[1]: spiffe://example.org cannot be",
        ),
        ({"state": "evicted", "aliases": ["spiffe://example.org/spire/agent/x509pop/1"]}, "aliases[0]"),
        ({"state": "banned", "selectors": ["k8s"]}, "selectors[0]: 'k8s' is not of the form type:value"),
        ({"state": "purged", "expired_for": -1}, "expired_for: -1 is negative"),
        ({"state": "gone", "aliases": [GREEN]}, "value of state must be one of"),
    ],
)
def test_bad_input_is_refused_before_the_server_is_asked(options: dict[str, Any], words: str) -> None:
    result = run_module("spire_agent", {"binary": "/nonexistent/spire-server", **options})
    assert result["failed"]
    assert words in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spiffe_ids": ["x"]}, "spiffe_ids[0]"),
        ({"aliases": ["spiffe://example.org"]}, "aliases[0]"),
        ({"selectors": ["x"]}, "selectors[0]"),
        ({"expires_before": -5}, "expires_before: -5"),
        ({"expires_before": 10**15}, "expires_before"),
        ({"selectors_match": "all"}, "value of selectors_match must be one of"),
    ],
)
def test_bad_filters_are_refused_before_the_server_is_asked(options: dict[str, Any], words: str) -> None:
    result = run_module("spire_agent_info", {"binary": "/nonexistent/spire-server", **options})
    assert result["failed"]
    assert words in result["msg"]

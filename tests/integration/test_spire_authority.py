# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_authority against real servers, with real agents and a workload that must be believed all the time."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import Expectation, judge, load_pem
from certificates import issue
from cryptography.hazmat.primitives.serialization import Encoding

from .authorities import Root, active, failure, options, run, slots, trusted, upstream_of, verbs
from .conftest import Server, binary, run_module, running_agent, running_server, start_module, wait_until

NODE = "spiffe://example.org/node/blue"
CART = "spiffe://example.org/cart"


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


class Workload(threading.Thread):
    """Fetches its SVID again and again, as a workload does, and judges it by the bundle that the server shows then."""

    def __init__(self, server: Server, folder: Path) -> None:
        super().__init__(daemon=True)
        self.server, self.folder = server, folder
        self.socket = server.folder / "agent" / "agent.sock"
        self.done = threading.Event()
        self.problems: list[str] = []
        self.serials: list[str] = []

    def fetch(self) -> bool:
        argv = [
            binary("spire-agent"),
            "api",
            "fetch",
            "x509",
            "-socketPath",
            str(self.socket),
            "-write",
            str(self.folder),
        ]
        return subprocess.run(argv, check=False, capture_output=True).returncode == 0

    def run(self) -> None:
        while not self.done.is_set():
            if not self.fetch():
                self.problems.append(f"{time.monotonic():.1f}: no SVID could be fetched")
            chain = load_pem((self.folder / "svid.0.pem").read_text())
            # What a peer believes: the bundle that its agent gave it, and the server's, which is the newest there is.
            for bundle in ((self.folder / "bundle.0.pem").read_text(), show_bundle(self.server.client).pem):
                now = datetime.datetime.now(datetime.timezone.utc)
                judgement = judge(chain, Expectation(CART, load_pem(bundle)), now)
                self.problems += [f"{time.monotonic():.1f}: {problem}" for problem in judgement.problems]
            self.serials.append(str(chain[0].serial_number))
            self.done.wait(0.2)


def test_a_workload_is_believed_at_every_moment_of_a_rotation(server: Server, tmp_path: Path) -> None:
    entry = ["-spiffeID", CART, "-parentID", NODE, "-selector", f"unix:uid:{os.getuid()}"]
    server.cli("entry", "create", *entry)
    with running_agent(server, generate_token(server.client, NODE, 60).value) as agent:
        workload = Workload(server, tmp_path)
        wait_until("the workload gets its SVID", workload.fetch, 40)
        old = active(server)
        wanted = {"state": "rotated", "authority_id": old, "propagation": 8}
        check = run(server, check=True, **wanted)
        assert active(server) == old
        assert set(slots(server)) == {"active"}
        workload.start()
        real = run(server, **wanted)
        workload.done.set()
        workload.join()
        assert workload.problems == []
        assert len(workload.serials) > 20
        assert len(set(workload.serials)) > 1, "the workload still has its first SVID"
        for name in ("changed", "diff", "actions", "reason"):
            assert check[name] == real[name]
        assert verbs(real) == ["prepare", "activate", "taint", "revoke"]
        assert real["authorities"]["active"]["authority_id"] == active(server) != old
        assert real["authorities"]["old"]["status"] == "revoked"
        assert trusted(server) == 1
        again = run(server, **wanted)
        assert (again["changed"], again["actions"], again["diff"]) == (False, [], {"before": {}, "after": {}})
        # The agent is the same process with the same identity, and still gets news.
        assert agent.poll() is None
        assert workload.fetch()


def test_a_rotation_that_was_killed_goes_on_where_it_stood(server: Server) -> None:
    old = active(server)
    wanted = options(server, state="rotated", authority_id=old, propagation=600)
    with start_module("spire_authority", wanted) as module:
        wait_until("a new authority is prepared", lambda: "prepared" in slots(server))
        module.kill()
    prepared = slots(server)["prepared"]["authority_id"]
    check = run(server, check=True, state="rotated", authority_id=old)
    real = run(server, state="rotated", authority_id=old)
    assert (
        check["diff"]
        == real["diff"]
        == {
            "before": {old: "active", prepared: "prepared"},
            "after": {old: "revoked", prepared: "active"},
        }
    )
    assert check["actions"] == real["actions"]
    assert verbs(real) == ["activate", "taint", "revoke"]
    assert active(server) == prepared
    assert not run(server, state="rotated", authority_id=old)["changed"]


@pytest.mark.parametrize("kind", ["x509", "jwt"])
def test_one_step_at_a_time(server: Server, kind: str) -> None:
    old = active(server, kind)
    assert "use state=rotated" in failure(server, type=kind, state="tainted", authority_id=old)["msg"]
    check = run(server, check=True, type=kind, state="prepared")
    made = run(server, type=kind, state="prepared")
    assert check["diff"] == made["diff"] == {"before": {}, "after": {"(new)": "prepared"}}
    new = made["authorities"]["prepared"]["authority_id"]
    assert not run(server, type=kind, state="prepared")["changed"]
    assert "signs nothing yet" in failure(server, type=kind, state="rotated", authority_id=new)["msg"]
    for state, one, status in (
        ("activated", new, "active"),
        ("tainted", old, "tainted"),
        ("revoked", old, "revoked"),
    ):
        if state == "revoked":
            # A prepared authority would take the place of the tainted one, which then could not be revoked.
            assert "Finish first" in failure(server, type=kind, state="prepared")["msg"]
        check = run(server, check=True, type=kind, state=state, authority_id=one)
        real = run(server, type=kind, state=state, authority_id=one)
        for name in ("changed", "diff", "actions"):
            assert check[name] == real[name]
        assert real["changed"]
        assert real["diff"]["after"][one] == status
        assert not run(server, type=kind, state=state, authority_id=one)["changed"]
    assert active(server, kind) == new
    assert run(server, type=kind, state="rotated", authority_id=new)["changed"]
    assert not run(server, type=kind, state="rotated", authority_id=new)["changed"]


def test_an_agent_that_is_down_holds_the_revocation_up(server: Server) -> None:
    with running_agent(server, generate_token(server.client, NODE, 60).value):
        wait_until("the agent joins", lambda: list_agents(server.client))
    old = active(server)
    failed = failure(server, state="rotated", authority_id=old, renewal_timeout=2)
    assert "did not use a new SVID" in failed["msg"]
    assert failed["changed"]
    assert verbs(failed) == ["prepare", "activate", "taint"]
    (agent,) = failed["agents_not_renewed"]
    assert "sha256:" in agent
    assert trusted(server) == 2
    # The next run waits as well, and says that it cannot know what happened in between.
    again = failure(server, state="rotated", authority_id=old, renewal_timeout=1)
    assert (again["changed"], again["actions"]) == (False, [])
    assert "has to renew once more" in again["msg"]
    # The id that was shown is good for giving the agent up.
    assert run_module("spire_agent", {**server.connection, "state": "evicted", "spiffe_ids": [agent]})["changed"]
    assert verbs(run(server, state="rotated", authority_id=old)) == ["revoke"]
    assert trusted(server) == 1


@pytest.mark.thorough
def test_a_rotation_that_stopped_after_the_taint_waits_for_the_agents_again() -> None:
    with (
        running_server(agent_ttl="30s") as server,
        running_agent(server, generate_token(server.client, NODE, 60).value) as agent,
    ):
        wait_until("the agent joins", lambda: list_agents(server.client))
        old = active(server)
        new = run(server, state="prepared")["authorities"]["prepared"]["authority_id"]
        run(server, state="activated", authority_id=new)
        run(server, state="tainted", authority_id=old)
        before = list_agents(server.client)[0].serial_number
        assert verbs(run(server, state="rotated", authority_id=old)) == ["revoke"]
        after = list_agents(server.client)[0].serial_number
        assert before != after
        # What it has now is of the new authority: it goes on renewing.
        wait_until("the agent renews again", lambda: list_agents(server.client)[0].serial_number != after, 40)
        assert agent.poll() is None


def test_age_is_a_condition_too(server: Server) -> None:
    assert not run(server, state="rotated", older_than=3600)["changed"]
    # A new CA is made valid from ten seconds before on.
    assert verbs(run(server, state="rotated", older_than=0)) == ["prepare", "activate", "taint", "revoke"]
    assert not run(server, state="rotated", older_than=3600)["changed"]


def test_partners_that_learn_too_late_are_warned_of(server: Server) -> None:
    data = '{"federationRelationships":[{"trustDomain":"other.org","bundleEndpointURL":"https://other.org",'
    data += '"bundleEndpointProfile":"https_web"}]}'
    server.cli("federation", "create", "-data", "-", stdin=data)
    wanted = {"state": "rotated", "authority_id": active(server)}
    assert "every 300 s" in str(run(server, check=True, **wanted)["warnings"])
    assert "warnings" not in run(server, check=True, **{**wanted, "propagation": 300})


def test_an_upstream_authority_is_rotated_after_its_own_key(tmp_path: Path) -> None:
    def upstream(name: str) -> None:
        root = issue(ca=True, name=name)
        (tmp_path / "root.pem").write_text(root.pem)
        (tmp_path / "root.key").write_text(root.key_pem)

    upstream("first")
    plugin = (
        f'UpstreamAuthority "disk" {{ plugin_data {{ cert_file_path = "{tmp_path}/root.pem" '
        f'key_file_path = "{tmp_path}/root.key" }} }}'
    )
    with running_server(plugins=plugin) as server:
        local = active(server)
        refused = failure(server, state="rotated", authority_id=local)
        first = slots(server)["active"]["upstream_authority_subject_key_id"]
        assert f"type=upstream with authority_id={first}" in refused["msg"]
        assert not refused.get("changed")
        early = failure(server, type="upstream", state="rotated", authority_id=first)
        assert "still signs with" in early["msg"]
        assert active(server) == local

        upstream("second")
        check = run(server, check=True, type="upstream", state="rotated", authority_id=first)
        real = run(server, type="upstream", state="rotated", authority_id=first)
        assert (check["diff"], check["actions"]) == (real["diff"], real["actions"])
        assert verbs(real) == ["prepare", "activate", "taint", "revoke"]
        assert real["authorities"]["active"]["upstream_authority_id"] != first
        assert trusted(server) == 1
        assert not run(server, type="upstream", state="rotated", authority_id=first)["changed"]
        # The server's own key can be renewed at any time.
        new = run(server, state="prepared")["authorities"]["prepared"]["authority_id"]
        assert run(server, state="activated", authority_id=new)["changed"]


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = Root(tmp_path)
    made.put("first")
    return made


@pytest.mark.thorough
def test_two_servers_under_one_root_are_led_to_another_one(root: Root) -> None:
    with running_server(plugins=root.plugin) as one, running_server(plugins=root.plugin) as other:
        first, second = root.put("first"), root.put("second")
        for server in (one, other):
            assert upstream_of(server) == first
            check = run(server, check=True, state="prepared", upstream_authority_id=second)
            assert set(slots(server)) == {"active"}
            made = run(server, state="prepared", upstream_authority_id=second, wait=True)
            assert check["diff"] == made["diff"]
            assert verbs(check) == verbs(made) == ["prepare"]
            assert upstream_of(server, "prepared") == second
            assert not run(server, state="prepared", upstream_authority_id=second)["changed"]
        for server in (one, other):
            new = slots(server)["prepared"]["authority_id"]
            run(server, state="activated", authority_id=new)
            # One more would be one too many.
            again = run(server, state="prepared", upstream_authority_id=second)
            assert not again["changed"]
            assert again["reason"] == f"the active authority {new} is signed by {second} already"
        for server in (one, other):
            assert run(server, type="upstream", state="tainted", authority_id=first, wait=True)["changed"]
        for server in (one, other):
            assert run(server, type="upstream", state="revoked", authority_id=first)["changed"]
        trusted_by = [{one.der for one in show_bundle(server.client).x509_authorities} for server in (one, other)]
        assert trusted_by[0] == trusted_by[1] == {root.names["second"].certificate.public_bytes(Encoding.DER)}


def test_files_that_come_late_are_waited_for(root: Root) -> None:
    second = root.put("second")
    root.put("first")
    with running_server(plugins=root.plugin) as server:
        # What the server has prepared by itself, by the old issuer, is in the way of nothing.
        run(server, state="prepared")
        wanted = options(server, state="prepared", upstream_authority_id=second)
        with start_module("spire_authority", wanted) as module:
            before = slots(server)["prepared"]["authority_id"]
            wait_until("it was prepared in vain", lambda: slots(server)["prepared"]["authority_id"] != before)
            root.put("second")
            answer = json.loads(module.communicate()[0])
        assert verbs(answer) == ["prepare"]
        assert answer["authorities"]["prepared"]["upstream_authority_id"] == second == upstream_of(server, "prepared")


def test_what_another_upstream_authority_signs_is_not_called_prepared(root: Root) -> None:
    with running_server(plugins=root.plugin) as server:
        first, second = root.put("first"), root.put("second")
        # A pair that does not fit: the server goes on with the one before, and does not tell.
        (root.folder / "root.pem").write_text(root.names["first"].pem)
        failed = failure(server, state="prepared", upstream_authority_id=second, upstream_timeout=1)
        assert f"still signed by {first}, and not by {second}" in failed["msg"]
        assert failed["authorities"]["prepared"]["upstream_authority_id"] == first


def test_a_third_upstream_authority_waits_until_the_first_one_is_gone(root: Root) -> None:
    with running_server(plugins=root.plugin) as server:
        first = root.put("first")
        second = root.put("second")
        new = run(server, state="prepared", upstream_authority_id=second)["authorities"]["prepared"]["authority_id"]
        run(server, state="activated", authority_id=new)
        third = root.put("third")
        refused = failure(server, state="prepared", upstream_authority_id=third)
        assert f"Finish first, with type=upstream state=rotated and authority_id={first}" in refused["msg"]
        run(server, type="upstream", state="rotated", authority_id=first)
        assert run(server, state="prepared", upstream_authority_id=third)["changed"]


def test_a_taint_that_was_stopped_knows_who_has_renewed(root: Root, tmp_path: Path) -> None:
    with running_server(plugins=root.plugin) as server:
        noted = tmp_path / "agents.json"
        with running_agent(server, generate_token(server.client, NODE, 60).value):
            wait_until("the agent joins", lambda: list_agents(server.client))
            first, second = root.put("first"), root.put("second")
            new = run(server, state="prepared", upstream_authority_id=second, wait=True, propagation=6)
            run(server, state="activated", authority_id=new["authorities"]["prepared"]["authority_id"])
            before = list_agents(server.client)[0].serial_number
            wanted = {"type": "upstream", "state": "tainted", "authority_id": first, "wait": True}
            with start_module("spire_authority", options(server, **wanted, renewal_file=str(noted))) as module:
                wait_until("it is tainted", lambda: show_bundle(server.client).x509_authorities[0].tainted)
                module.kill()
            assert noted.stat().st_mode & 0o777 == 0o600
            assert "sha256:" in noted.read_text(), "the id of an agent that joined by token has the token in it"
            wait_until("the agent renews", lambda: list_agents(server.client)[0].serial_number != before, 40)
            # Without the file it would wait for one more renewal, half an hour.
            started = time.monotonic()
            assert not run(server, **wanted, renewal_file=str(noted))["changed"]
            assert time.monotonic() - started < 20
            assert run(server, type="upstream", state="revoked", authority_id=first)["changed"]
            assert not run(server, **wanted, renewal_file=str(noted))["changed"], "there is nobody to wait for"


def test_no_upstream_authority(server: Server) -> None:
    assert "self-signed" in failure(server, type="upstream", state="rotated", authority_id="a" * 40)["msg"]


def test_a_server_that_signs_no_jwt_has_no_such_authority() -> None:
    with running_server(extra="disable_jwt_svids = true") as server:
        result = failure(server, type="jwt", state="prepared")
        assert "issue no JWT-SVIDs" in result["msg"]
        info = run_module("spire_server_info", server.connection)
        assert info["server"]["authorities"]["jwt"] == {}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "missing required arguments: state"),
        ({"state": "rotated"}, "authority_id, older_than"),
        ({"state": "activated"}, "missing: authority_id"),
        ({"state": "tainted"}, "missing: authority_id"),
        ({"state": "revoked"}, "missing: authority_id"),
        ({"state": "show"}, "value of state must be one of"),
        ({"state": "rotated", "type": "wit", "authority_id": "a" * 40}, "value of type must be one of"),
        ({"state": "rotated", "authority_id": "a" * 40, "older_than": 5}, "mutually exclusive"),
        ({"state": "rotated", "authority_id": "A" * 40}, "40 digits"),
        ({"state": "rotated", "authority_id": ""}, "authority_id: ''"),
        ({"state": "rotated", "type": "jwt", "authority_id": "a b"}, "letters, digits"),
        ({"state": "rotated", "type": "jwt", "older_than": 5}, "does not tell when a jwt authority was made"),
        ({"state": "rotated", "type": "upstream", "older_than": 5}, "older_than"),
        ({"state": "rotated", "older_than": -1}, "older_than: -1 is negative"),
        ({"state": "tainted", "authority_id": "a" * 40, "propagation": -1}, "propagation: -1"),
        ({"state": "tainted", "authority_id": "a" * 40, "renewal_timeout": -1}, "renewal_timeout: -1"),
        ({"state": "prepared", "authority_id": "a" * 40}, "authority_id: state=prepared takes none"),
        ({"state": "prepared", "older_than": 5}, "older_than: state=prepared takes none"),
        ({"state": "prepared", "type": "upstream"}, "Use type=x509"),
    ],
)
def test_bad_input_is_refused_before_the_server_is_asked(args: dict[str, Any], words: str) -> None:
    result = run_module("spire_authority", {"binary": "/nonexistent/spire-server", **args})
    assert result["failed"]
    assert words in result["msg"]

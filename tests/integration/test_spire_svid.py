# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_svid against a real server and a real agent: what is in the files, when it is made anew, and no leaks."""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain

from .authorities import active
from .conftest import Server, binary, run_module, running_agent, running_server, wait_until

DB = "spiffe://example.org/db/orders"
NODE = "spiffe://example.org/node/blue"


def run(server: Server, check: bool = False, **options: Any) -> dict[str, Any]:
    result = run_module("spire_svid", {**server.connection, **options}, check=check)
    assert not result.get("failed"), result
    return result


def refused(server: Server, **options: Any) -> str:
    result = run_module("spire_svid", {**server.connection, **options})
    assert result.get("failed"), result
    return str(result["msg"])


def check_and_run(server: Server, **options: Any) -> dict[str, Any]:
    """Run after a check, which must have said the same and changed nothing; a second run must change nothing."""
    check = run(server, check=True, **options)
    real = run(server, **options)
    assert [check[key] for key in ("changed", "actions", "reason", "diff")] == [
        real[key] for key in ("changed", "actions", "reason", "diff")
    ]
    again = run(server, **options)
    assert (again["changed"], again["actions"], again["diff"]) == (False, [], {"before": {}, "after": {}})
    assert {**again["svid"], "seconds_left": 0} == {**real["svid"], "seconds_left": 0}
    for name in ("svid.key", "svid.jwt"):
        path = Path(options["path"]) / "current" / name
        if path.exists():
            secret = path.read_text().replace("\n", "")
            assert secret[40:90] not in json.dumps([check, real, again]).replace("\\n", "")
    return real


def test_an_x509_svid_by_the_server(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "orders"
    wanted = {"spiffe_id": DB, "path": str(folder), "dns_names": ["orders.example.org", "a.example.org"]}
    run(server, check=True, **wanted)
    assert not folder.exists()
    made = check_and_run(server, **wanted, ttl=600)
    svid = made["svid"]
    assert (svid["spiffe_id"], svid["dns_names"]) == (DB, wanted["dns_names"])
    assert 0 < svid["expires_at"] - time.time() <= 601
    assert svid["chain"][0]["serial_number"] == svid["serial_number"]
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder / "current").iterdir()}
    assert modes == {"svid.pem": 0o600, "svid.key": 0o600, "bundle.pem": 0o600}
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "current")] == [0o700, 0o700]
    # The key belongs to the certificate.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(folder / "current" / "svid.pem", folder / "current" / "svid.key")
    authorities = chain.load_pem((folder / "current" / "bundle.pem").read_text())
    presented = chain.load_pem((folder / "current" / "svid.pem").read_text())
    assert chain.presented(presented, authorities).problem == ""


def test_when_it_is_made_anew(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "orders"
    current = folder / "current"
    wanted: dict[str, Any] = {"spiffe_id": DB, "path": str(folder), "ttl": 600}
    check_and_run(server, **wanted)
    wait_until("a second passes", lambda: run(server, check=True, **wanted)["svid"]["seconds_left"] < 599)
    assert run(server, **wanted, renew_before=599)["reason"] == "less than 599 s are left"
    assert check_and_run(server, **wanted, dns_names=["b.org", "a.org"])["reason"] == "the SVID has other DNS names"
    (current / "svid.key").chmod(0o640)
    assert check_and_run(server, **wanted)["reason"] == "there is no SVID that can be used"
    assert len(list(folder.glob("svid-*"))) == 1
    (current / "bundle.pem").write_text((current / "svid.pem").read_text())
    before = run(server, check=True, **wanted)
    assert before["actions"] == [{"verb": "write_bundle", "id": DB}]
    serial = before["svid"]["serial_number"]
    assert check_and_run(server, **wanted)["svid"]["serial_number"] == serial
    assert (current / "bundle.pem").read_text() == show_bundle(server.client).pem


def test_an_authority_that_is_not_trusted_any_more(tmp_path: Path) -> None:
    with running_server() as server:
        x509 = {"spiffe_id": DB, "path": str(tmp_path / "x509")}
        jwt = {"spiffe_id": DB, "path": str(tmp_path / "jwt"), "type": "jwt", "audience": ["a"]}
        for wanted in (x509, jwt):
            run(server, **wanted)
        for kind in ("x509", "jwt"):
            old = active(server, kind)
            new = server.cli("localauthority", kind, "prepare")["prepared_authority"]["authority_id"]
            server.cli("localauthority", kind, "activate", "-authorityID", new)
            server.cli("localauthority", kind, "taint", "-authorityID", old)
        for wanted in (x509, jwt):
            assert check_and_run(server, **wanted)["reason"] == "the authority that signed it is not trusted any more"


def test_a_jwt_svid_by_the_server(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "release"
    wanted = {"type": "jwt", "spiffe_id": DB, "path": str(folder), "audience": ["vault", "https://b.example.org"]}
    made = check_and_run(server, **wanted)
    assert made["svid"]["audience"] == ["https://b.example.org", "vault"]
    assert made["svid"]["key_id"] in [key.key_id for key in show_bundle(server.client).jwt_authorities]
    token = folder / "current" / "svid.jwt"
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text().count(".") == 2
    assert check_and_run(server, **{**wanted, "audience": ["vault"]})["reason"] == "the SVID is for another audience"
    token.write_text("a.b.c")
    assert check_and_run(server, **wanted)["reason"] == "there is no SVID that can be used"
    # One folder is for one SVID.
    assert check_and_run(server, spiffe_id=DB, path=str(folder))["svid"]["type"] == "x509"


def test_files_of_another_user(server: Server, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        assert "only root" in refused(server, spiffe_id=DB, path=str(tmp_path / "x"), owner="0")
        return
    folder = tmp_path / "orders"
    check_and_run(server, spiffe_id=DB, path=str(folder), owner="nobody")
    key = (folder / "current" / "svid.key").stat()
    assert (key.st_uid, key.st_mode & 0o777) == (65534, 0o600)
    assert {path.stat().st_uid for path in (folder, folder / "current")} == {0}
    assert run(server, spiffe_id=DB, path=str(folder))["changed"]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda path: path.write_text(""), "is no folder"),
        (lambda path: path.symlink_to("/tmp"), "or a link to one"),
        (lambda path: path.mkdir() or path.chmod(0o777), "others may write"),
        (lambda path: (path / "current").mkdir(parents=True), "a folder of its own"),
    ],
)
def test_folders_that_are_refused(server: Server, tmp_path: Path, prepare: Any, words: str) -> None:
    prepare(tmp_path / "x")
    assert words in refused(server, spiffe_id=DB, path=str(tmp_path / "x"))


def test_another_trust_domain_is_refused_before_anything_is_minted(server: Server, tmp_path: Path) -> None:
    message = refused(server, spiffe_id="spiffe://other.org/x", path=str(tmp_path / "x"))
    assert "signs for the trust domain example.org, not for other.org" in message
    assert not (tmp_path / "x").exists()


@pytest.fixture(scope="module")
def agent() -> Iterator[Server]:
    """A server with an agent, below which this user has two identities."""
    with running_server() as server:
        for name in ("one", "two"):
            words = [
                "-spiffeID",
                f"spiffe://example.org/{name}",
                "-parentID",
                NODE,
                "-hint",
                name,
                "-dns",
                f"{name}.org",
            ]
            server.cli("entry", "create", *words, "-selector", f"unix:uid:{os.geteuid()}")
        with running_agent(server, generate_token(server.client, NODE, 60).value):
            socket = server.folder / "agent" / "agent.sock"
            wait_until("the agent's socket is there", socket.exists)
            yield server


def by_agent(server: Server, **options: Any) -> dict[str, Any]:
    socket = str(server.folder / "agent" / "agent.sock")
    given = {"source": "workload_api", "agent_binary": binary("spire-agent"), "agent_socket_path": socket}
    return {**given, "wait_timeout": 20, **options}


def test_what_an_agent_gives(agent: Server, tmp_path: Path) -> None:
    told = run(agent, **by_agent(agent))
    assert not told["changed"]
    assert told["svid"]["spiffe_id"] in ("spiffe://example.org/one", "spiffe://example.org/two")
    folder = tmp_path / "two"
    made = check_and_run(agent, **by_agent(agent, spiffe_id="spiffe://example.org/two", path=str(folder)))
    assert (made["svid"]["dns_names"], made["changed"]) == (["two.org"], True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(folder / "current" / "svid.pem", folder / "current" / "svid.key")
    jwt = by_agent(agent, type="jwt", audience=["vault", "b"])
    assert run(agent, **jwt)["svid"]["audience"] == ["b", "vault"]
    made = check_and_run(agent, **{**jwt, "spiffe_id": "spiffe://example.org/two", "path": str(tmp_path / "jwt")})
    assert made["svid"]["audience"] == ["b", "vault"]


def test_what_an_agent_does_not_give(agent: Server) -> None:
    none = by_agent(agent, spiffe_id="spiffe://example.org/three", wait_timeout=0)
    assert "spiffe://example.org/one, spiffe://example.org/two, and not" in refused(agent, **none)
    assert "has no identity for who asks" in refused(agent, **{**none, "type": "jwt", "audience": ["a"]})
    nobody = refused(agent, **by_agent(agent, agent_socket_path="/nonexistent/agent.sock", wait_timeout=0))
    assert "there is no socket at /nonexistent/agent.sock" in nobody

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_entry against a real server: what a user sees, run after run."""

from __future__ import annotations

import json
import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries

from .conftest import Server, run_module
from .entries import PARENT, clear, entry, predicted, refused, run


@pytest.fixture(autouse=True)
def empty(server: Server) -> None:
    clear(server)


def test_check_mode_predicts_the_run_and_a_second_run_changes_nothing(server: Server) -> None:
    wanted = [entry("cart"), entry("quote", x509_svid_ttl=300, dns_names=["quote.shop.svc", "a.shop.svc"], hint="q")]
    check = run(server, wanted, check=True)
    assert check["changed"]
    assert list_entries(server.client) == []
    real = run(server, wanted)
    assert predicted(check) == predicted(real)
    stored = {one.entry_id: one.public() for one in list_entries(server.client)}
    assert stored == {one["entry_id"]: one for one in real["entries"]}
    again = run(server, wanted)
    assert not again["changed"]
    assert again["actions"] == []
    assert again["entries"] == real["entries"]


def test_all_fields_reach_the_server_and_come_back(server: Server) -> None:
    server.cli("bundle", "set", "-id", "spiffe://other.org", "-format", "pem", stdin=show_bundle(server.client).pem)
    wanted = [
        entry(
            "all",
            x509_svid_ttl=60,
            jwt_svid_ttl=70,
            federates_with=["spiffe://other.org"],
            dns_names=["z.org", "a.org", "*.m.org"],
            admin=True,
            downstream=True,
            store_svid=True,
            hint="h",
            expires_at=1999999999,
            entry_id="mine.1",
        )
    ]
    first = run(server, wanted, acknowledge_privileged=True)
    assert first["entries"][0]["entry_id"] == "mine.1"
    assert not run(server, wanted, acknowledge_privileged=True)["changed"]
    (stored,) = list_entries(server.client)
    assert stored.public() == first["entries"][0]
    assert stored.dns_names[0] == "z.org"


def test_drift_is_repaired_and_what_was_not_named_is_kept(server: Server) -> None:
    run(server, [entry("cart", x509_svid_ttl=300, hint="kept")])
    (before,) = list_entries(server.client)
    cli = ["entry", "update", "-entryID", before.entry_id, "-spiffeID", before.spiffe_id, "-parentID", PARENT]
    cli += [word for selector in before.selectors for word in ("-selector", selector)]
    server.cli(*cli, "-x509SVIDTTL", "900", "-hint", "kept", "-jwtSVIDTTL", "77", "-jwtSVIDIncludeJTI")
    check = run(server, [entry("cart", x509_svid_ttl=300)], check=True)
    real = run(server, [entry("cart", x509_svid_ttl=300)])
    assert predicted(check) == predicted(real)
    assert real["diff"] == {
        "before": {before.entry_id: {"spiffe_id": before.spiffe_id, "x509_svid_ttl": 900}},
        "after": {before.entry_id: {"spiffe_id": before.spiffe_id, "x509_svid_ttl": 300}},
    }
    (after,) = list_entries(server.client)
    assert (after.x509_svid_ttl, after.hint, after.jwt_svid_ttl) == (300, "kept", 77)
    assert after.additional_attributes["jwt_svid_include_jti"] is True


def test_named_empty_values_reset(server: Server) -> None:
    run(server, [entry("cart", dns_names=["a.org"], hint="x", x509_svid_ttl=5)])
    assert run(server, [entry("cart", dns_names=[], hint="", x509_svid_ttl=0)])["changed"]
    (after,) = list_entries(server.client)
    assert (after.dns_names, after.hint, after.x509_svid_ttl) == ((), "", 0)


def test_an_entry_whose_selectors_were_changed_by_hand_is_led_back(server: Server) -> None:
    (made,) = run(server, [entry("cart")])["entries"]
    server.cli(
        "entry", "update", "-entryID", made["entry_id"], "-spiffeID", made["spiffe_id"], "-parentID", PARENT,
        "-selector", "unix:uid:0",
    )  # fmt: skip
    result = run(server, [entry("cart")])
    assert [action["verb"] for action in result["actions"]] == ["update"]
    assert [one.selectors for one in list_entries(server.client)] == [("k8s:ns:shop", "k8s:sa:cart")]


def test_an_entry_made_by_others_is_taken_over_under_its_own_id(server: Server) -> None:
    one = entry("cart")
    words = [word for selector in one["selectors"] for word in ("-selector", selector)]
    server.cli("entry", "create", "-spiffeID", one["spiffe_id"], "-parentID", PARENT, "-entryID", "theirs", *words)
    assert not run(server, [one])["changed"]
    assert run(server, [entry("cart", hint="x")])["entries"][0]["entry_id"] == "theirs"


def test_duplicates_on_the_server_are_reported_and_all_deleted_by_absent(server: Server) -> None:
    (made,) = run(server, [entry("cart")])["entries"]
    other = ["-spiffeID", made["spiffe_id"], "-parentID", PARENT, "-entryID", "twin"]
    server.cli("entry", "create", *other, "-selector", "unix:uid:0")
    server.cli("entry", "update", *other, "-selector", "k8s:ns:shop", "-selector", "k8s:sa:cart")
    result = run(server, [entry("cart")])
    assert not result["changed"]
    assert "The server holds 2 entries" in str(result["warnings"])
    assert len(run(server, [entry("cart")], state="absent")["actions"]) == 2
    assert list_entries(server.client) == []


def test_absent(server: Server) -> None:
    run(server, [entry("cart"), entry("quote")])
    check = run(server, [entry("cart"), entry("never")], check=True, state="absent")
    real = run(server, [entry("cart"), entry("never")], state="absent")
    assert predicted(check) == predicted(real)
    assert [action["verb"] for action in real["actions"]] == ["delete"]
    assert [one.spiffe_id for one in list_entries(server.client)] == ["spiffe://example.org/quote"]
    assert not run(server, [entry("cart"), entry("never")], state="absent")["changed"]


def test_one_bad_of_many_is_named_and_nothing_is_changed_unless_asked(server: Server) -> None:
    many = [entry(f"w{number}") for number in range(20)]
    many[7]["federates_with"] = ["unknown.org"]
    for check in (True, False):
        result = refused(server, many, check=check)
        assert (result["changed"], result["actions"]) == (False, [])
        assert "entries[7] (spiffe://example.org/w7), federates_with" in result["msg"]
        assert "no bundle of unknown.org" in result["msg"]
        (bad,) = result["failed_entries"]
        assert (bad["index"], bad["field"], bad["spiffe_id"]) == (7, "federates_with", "spiffe://example.org/w7")
    assert list_entries(server.client) == []
    check_result = refused(server, many, check=True, on_refusal="continue")
    result = refused(server, many, on_refusal="continue")
    assert result["changed"]
    assert check_result["actions"] == result["actions"]
    assert check_result["failed_entries"] == result["failed_entries"]
    assert len(result["actions"]) == len(list_entries(server.client)) == 19
    many[7]["federates_with"] = []
    assert [action["spiffe_id"] for action in run(server, many)["actions"]] == ["spiffe://example.org/w7"]


def test_a_refusal_that_cannot_be_foreseen_stops_the_batches_after_it(server: Server, tmp_path: Path) -> None:
    # A stand-in for the program that lets the server refuse one entry, as a database with a fault of its own would: it
    # gives that entry a parent of another trust domain on the way.
    program = tmp_path / "spire-server"
    real = server.connection["binary"]
    change = "s#example.org/node/bad#other.org/node/bad#g"
    program.write_text(f'#!/bin/sh\ncase "$*" in *create*) sed "{change}" | {real} "$@";; *) exec {real} "$@";; esac\n')
    program.chmod(0o755)
    many = [entry(f"w{number}") for number in range(250)]
    many[7]["parent_id"] = "spiffe://example.org/node/bad"
    result = refused(server, many, binary=str(program))
    (bad,) = result["failed_entries"]
    assert (bad["index"], bad["field"], bad["code"]) == (7, "parent_id", 3)
    assert result["changed"]
    assert len(result["actions"]) == len(list_entries(server.client)) == 199
    result = refused(server, many, binary=str(program), on_refusal="continue")
    assert len(result["actions"]) == 50
    assert len(list_entries(server.client)) == 249
    assert len(run(server, many)["actions"]) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ttl": 5}, ["entries[1]", "ttl", "Supported parameters"]),
        ({"spiffe_id": "http://x/y"}, ["entries[1].spiffe_id", "spiffe://"]),
        ({"spiffe_id": "spiffe://example.org"}, ["entries[1].spiffe_id", "path"]),
        ({"spiffe_id": "spiffe://example.org/spire/x"}, ["entries[1].spiffe_id", "/spire"]),
        ({"parent_id": "spiffe://other.org/x"}, ["entries[1].parent_id", "trust domain"]),
        ({"spiffe_id": "spiffe://other.org/x", "parent_id": "spiffe://other.org/n"}, ["entries[1]", "other.org"]),
        ({"selectors": []}, ["entries[1].selectors", "at least one"]),
        ({"selectors": ["nocolon"]}, ["entries[1].selectors", "type:value"]),
        ({"admin": True}, ["entries[1].admin", "acknowledge_privileged"]),
        ({"downstream": True}, ["entries[1].downstream", "acknowledge_privileged"]),
        ({"dns_names": ["UPPER"]}, ["entries[1].dns_names", "UPPER"]),
        ({"x509_svid_ttl": -1}, ["entries[1].x509_svid_ttl", "-1"]),
        ({"federates_with": ["example.org"]}, ["entries[1].federates_with", "own trust domain"]),
        ({"entry_id": "a b"}, ["entries[1].entry_id", "a b"]),
        ({"spiffe_id": "spiffe://example.org/ok", "selectors": ["k8s:sa:ok", "k8s:ns:shop"]}, ["entries[0]", "merge"]),
    ],
)
def test_bad_input_is_refused_before_the_server_is_asked(change: dict[str, Any], words: list[str]) -> None:
    nowhere = {"binary": "/nonexistent/spire-server", "socket_path": "/nonexistent/api.sock"}
    result = run_module("spire_entry", {**nowhere, "entries": [entry("ok"), {**entry("bad"), **change}]})
    assert result["failed"]
    for word in words:
        assert word in result["msg"]
    assert "/nonexistent" not in result["msg"]


def test_connection_errors_have_their_own_messages(server: Server, tmp_path: Path) -> None:
    def message(**options: Any) -> str:
        result = run_module("spire_entry", {**server.connection, "entries": [entry("x")], **options})
        assert result["failed"]
        assert not result.get("changed")
        return str(result["msg"])

    (tmp_path / "file").touch()
    assert "there is no socket at" in message(socket_path=str(tmp_path / "none"))
    assert "is not a socket" in message(socket_path=str(tmp_path / "file"))
    assert "was not found. Install the program" in message(binary="/nonexistent")
    assert "printed nothing" in message(binary="/bin/true")
    assert "not JSON" in message(binary="/bin/echo")
    with closing(socket.socket(socket.AF_UNIX)) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        started = time.monotonic()
        assert "no answer from the server" in message(socket_path=str(tmp_path / "silent"), timeout=1)
        assert time.monotonic() - started < 5


def test_many_entries_stay_below_the_message_limit_of_grpc(server: Server) -> None:
    # In one call, the request and still more the reply would be over 4 MiB.
    many = [{**entry(f"w{number}"), "selectors": [f"k8s:pod-label:{number}{'x' * 2500}"]} for number in range(2000)]
    result = run(server, many)
    assert len(result["actions"]) == 2000
    assert len(list_entries(server.client)) == 2000
    assert not run(server, many)["changed"]


def test_through_kubectl_exec(server: Server, tmp_path: Path) -> None:
    # A stand-in for kubectl that runs what stands after «--»: it proves arguments, standard input and output.
    kubectl = tmp_path / "kubectl"
    seen = tmp_path / "seen"
    # It knows no other pods nor ConfigMaps, and so no other registrar.
    empty = """case "$*" in *" get "*) echo '{"kind":"List","items":[]}'; exit;; esac"""
    rest = 'while [ "$1" != -- ]; do shift; done\nshift\nexec "$@"'
    kubectl.write_text(f'#!/bin/sh\necho "$*" >> {seen}\n{empty}\n{rest}\n')
    kubectl.chmod(0o755)
    pod = {"kubectl": str(kubectl), "pod": "statefulset/spire-server", "context": "blue", "kubeconfig": "/k"}
    assert run(server, [entry("cart")], **pod)["changed"]
    assert seen.read_text().startswith(
        "--kubeconfig /k --context blue --namespace spire-server exec statefulset/spire-server"
    )
    gone = tmp_path / "gone"
    gone.write_text("#!/bin/sh\necho 'Error from server (NotFound): pods \"spire-server-0\" not found' >&2\nexit 1\n")
    gone.chmod(0o755)
    result = run_module("spire_entry", {"kubectl": str(gone), "pod": "spire-server-0", "entries": [entry("cart")]})
    assert "the pod, or what is to lead to it, was not found" in result["msg"]


def test_diff_and_results_are_json_for_ansible(server: Server) -> None:
    result = run_module("spire_entry", {**server.connection, "entries": [entry("cart")]}, diff=False)
    assert "diff" not in result
    json.dumps(result)

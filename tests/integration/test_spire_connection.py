# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each way in which a server of this host cannot be reached has its own message, and never ends as unchanged."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token

from .conftest import TRUST_DOMAIN, Server, binary, run_module, run_playbook, running_agent, running_server, wait_until

ENTRY = {
    "spiffe_id": f"spiffe://{TRUST_DOMAIN}/cart",
    "parent_id": f"spiffe://{TRUST_DOMAIN}/node/blue",
    "selectors": ["unix:uid:1"],
}
HEAVY_SELECTOR = {"type": "k8s", "value": f"pod-label:{'x' * 40000}"}


def failure(server: Server, **options: Any) -> str:
    """Run a task that would change nothing on an empty server, and return why it failed: it must not pass for done."""
    args = {**server.connection, "entries": [ENTRY], "state": "absent", **options}
    result = run_module("spire_entry", args)
    assert result.get("failed"), result
    assert not result.get("changed")
    return str(result["msg"])


def program(folder: Path, script: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
        one.listen()
        yield one


def test_socket_that_is_missing(server: Server, tmp_path: Path) -> None:
    words = failure(server, socket_path=str(tmp_path / "none"))
    assert f"there is no socket at {tmp_path}/none. Is the server running" in words


def test_socket_that_is_a_file_or_a_folder(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    started = time.monotonic()
    assert f"{tmp_path}/file is not a socket. Fix socket_path" in failure(
        server, socket_path=str(tmp_path / "file"), wait_timeout=60
    )
    assert f"{tmp_path} is a folder. Give the path of the socket in it" in failure(server, socket_path=str(tmp_path))
    assert "is not a socket, or lies below a file" in failure(server, socket_path=str(tmp_path / "file" / "api.sock"))
    assert time.monotonic() - started < 30  # waiting would not help


def test_socket_that_nobody_serves_any_more(server: Server, tmp_path: Path) -> None:
    with listening(tmp_path / "stale"):
        pass
    assert "nobody answers at" in failure(server, socket_path=str(tmp_path / "stale"))


def test_socket_without_permission(server: Server, tmp_path: Path) -> None:
    # The real program, as another user: like a task without become.
    shutil.copy(binary("spire-server"), server.folder / "spire-server")
    server.folder.chmod(0o711)  # so that it is the mode of the socket that decides
    stranger = program(
        tmp_path, f'exec setpriv --reuid=65534 --regid=65534 --clear-groups {server.folder}/spire-server "$@"'
    )
    words = failure(server, binary=stranger, wait_timeout=60)
    assert f"no permission to use {server.socket_path}. Run as the server's user or group (become)" in words


def test_server_that_accepts_and_never_answers(server: Server, tmp_path: Path) -> None:
    with listening(tmp_path / "silent"):
        started = time.monotonic()
        words = failure(server, socket_path=str(tmp_path / "silent"), timeout=1, wait_timeout=60)
        # It may have been delivered, so it is not tried again.
        assert time.monotonic() - started < 20
    assert "no answer from the server" in words
    assert "whether it carried out the request is not known" in words


def test_socket_of_something_else(server: Server, tmp_path: Path) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "unix"

        def handle(self) -> None:
            super().handle()
            # It goes on to listen. One that hangs up at once may do so before the client has read what it said.
            while self.rfile.read1(65536):  # type: ignore[attr-defined]
                pass

        def log_message(self, *_words: object) -> None:
            pass

    class UnixServer(http.server.HTTPServer):
        address_family = socket.AF_UNIX

        def server_bind(self) -> None:
            self.socket.bind(self.server_address)

    with UnixServer(str(tmp_path / "web"), Handler) as web:  # type: ignore[arg-type]
        threading.Thread(target=web.serve_forever, daemon=True).start()
        assert "is no SPIRE server" in failure(server, socket_path=str(tmp_path / "web"), timeout=10)
        web.shutdown()


def test_socket_of_an_agent(server: Server) -> None:
    token = generate_token(server.client, f"spiffe://{TRUST_DOMAIN}/node/a", 60).value
    with running_agent(server, token):
        path = server.folder / "agent" / "agent.sock"
        wait_until("the agent serves its socket", path.exists)
        words = failure(server, socket_path=str(path))
    assert "the server does not know this call" in words
    assert "such as an agent" in words


def test_program_that_cannot_be_used(server: Server, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\x7fELF\x01\x02\x01" + bytes(9) + b"\x00\x02\x00\x02\x00\x00\x00\x01" + bytes(64))
    foreign.chmod(0o755)
    assert "was not found. Install the program there" in failure(server, binary=str(tmp_path / "none"))
    assert "was not found on PATH" in failure(server, binary="spire-server-of-nobody")
    assert "is a folder" in failure(server, binary=str(tmp_path))
    assert "is not executable for this user" in failure(server, binary=str(plain))
    assert "another kind of processor" in failure(server, binary=str(foreign))


def test_program_that_is_another_one(server: Server) -> None:
    assert "printed nothing. Is binary the program spire-server?" in failure(server, binary="/bin/true")
    assert "the output is not JSON" in failure(server, binary="/bin/echo")
    assert "ended with code 1 and printed nothing. Is /bin/false the program" in failure(server, binary="/bin/false")
    words = failure(server, binary=binary("spire-agent"))
    assert "It is spire-agent, not spire-server. Fix binary." in words
    assert "Available commands" not in words


def test_program_that_is_too_old(server: Server, tmp_path: Path) -> None:
    # The real one stands for a newer one: it complains in the same words about an option that it does not know.
    real = binary("spire-server")
    old = program(
        tmp_path,
        f'if [ "$1" = --version ]; then echo 1.9.6 >&2; exit; fi\nexec {real} entry show -option-of-the-future',
    )
    words = failure(server, binary=old)
    assert "does not know a command or an option that is needed. It is spire-server 1.9.6; SPIRE 1.14.6" in words
    assert "-matchSelectorsOn" not in words  # the page of options is left out


def test_server_that_only_starts_is_waited_for() -> None:
    with running_server() as server:
        server.stop()
        assert "nobody answers at" in failure(server)
        later = threading.Timer(2, server.start)
        later.start()
        result = run_module("spire_entry", {**server.connection, "entries": [ENTRY], "wait_timeout": 60})
        later.join()
        assert result["changed"], result


def test_the_socket_named_by_the_option_holds_over_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SPIRE prefers this variable when it is given the default path, which is what the option has when it is left out.
    monkeypatch.setenv("SPIRE_SERVER_PRIVATE_SOCKET", server.socket_path)
    result = run_module("spire_bundle_info", {"binary": binary("spire-server")})
    assert "there is no socket at /tmp/spire-server/private/api.sock" in result["msg"]


def test_entries_too_large_for_one_answer() -> None:
    with running_server() as server:
        # As somebody else made them: the module itself refuses to make such a list.
        for part in range(2):
            heavy = [
                {**ENTRY, "spiffe_id": f"spiffe://{TRUST_DOMAIN}/w{part}-{number}", "selectors": [HEAVY_SELECTOR]}
                for number in range(60)
            ]
            server.cli("entry", "create", "-data", "-", stdin=json.dumps({"entries": heavy}))
        assert "a message was too large: over gRPC's limit of 4 MiB" in failure(server)


def test_a_policy_that_refuses_the_call(tmp_path: Path) -> None:
    (tmp_path / "policy.rego").write_text(
        """
        package spire
        result = {
          "allow": false, "allow_if_admin": false, "allow_if_downstream": false, "allow_if_agent": false,
          "allow_if_local": local
        }
        default local = true
        local = false if input.full_method == "/spire.api.server.entry.v1.Entry/ListEntries"
        """
    )
    (tmp_path / "data.json").write_text("{}")
    files = f'rego_path = "{tmp_path}/policy.rego"\n policy_data_path = "{tmp_path}/data.json"'
    engine = f"experimental {{ auth_opa_policy_engine {{ local {{ {files} }} }} }}"
    with running_server(extra=engine) as server:
        assert "the server's policy refuses this call" in failure(server)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("", "printed nothing"),
        ('{"entries":[{"id":"x"', "is not whole JSON"),
        ('{"entries":[],', "is not whole JSON"),
        ("[]", "is not one JSON object"),
        ("null", "is not JSON"),
        ("Found 0 entries", "is not JSON"),
        ("{}", "has no list entries"),
        ('{"entries":null}', "has no list entries"),
        ('{"entries":{}}', "has no list entries"),
        ('{"entries":["x"]}', "has an unknown shape"),
        ('{"entries":[{"spiffe_id":"x"}]}', "has an unknown shape"),
        ('{"agents":[]}', "has no list entries"),
        ('{"level":"warning"}\n{"entries":[]}', "is not one JSON object"),
        (r'{"entries":[],"next_page_token":"\377"}', "is not UTF-8"),
    ],
)
def test_exit_code_0_proves_nothing(server: Server, tmp_path: Path, output: str, words: str) -> None:
    # Faults that the real program does not show by itself: a stand-in prints what a broken one, or a cut line, would.
    (tmp_path / "output").write_bytes(output.replace(r"\377", "\udcff").encode(errors="surrogateescape"))
    assert words in failure(server, binary=program(tmp_path, f"cat {tmp_path}/output"))


def test_warnings_around_the_json_are_passed_over(server: Server, tmp_path: Path) -> None:
    real = binary("spire-server")
    noisy = program(tmp_path, f'echo "WARNING: {{old}} config"; echo more >&2; {real} "$@"; echo done')
    result = run_module("spire_entry", {**server.connection, "binary": noisy, "entries": [ENTRY], "state": "absent"})
    assert not result.get("failed"), result
    assert not result["changed"]


def test_a_large_answer_is_read_whole(server: Server, tmp_path: Path) -> None:
    many = [
        {
            "id": f"x{number}",
            "spiffe_id": {"trust_domain": TRUST_DOMAIN, "path": f"/w{number}"},
            "parent_id": {"trust_domain": TRUST_DOMAIN, "path": "/node"},
            "selectors": [{"type": "k8s", "value": "x" * 400}],
        }
        for number in range(30_000)
    ]
    (tmp_path / "output").write_text(json.dumps({"entries": many, "next_page_token": ""}))
    big = program(tmp_path, f"cat {tmp_path}/output")
    result = run_module("spire_entry", {**server.connection, "binary": big, "entries": [ENTRY], "state": "absent"})
    assert not result.get("failed"), result


def test_a_play_sets_the_connection_once_for_the_whole_group(server: Server, tmp_path: Path) -> None:
    token = {"spiffe_id": f"spiffe://{TRUST_DOMAIN}/node/new", "dest": f"{tmp_path}/token"}
    tasks = [
        {"trustmesh.spiffe.spire_bundle_info": {}, "register": "own"},
        {"trustmesh.spiffe.spire_entry": {"entries": [ENTRY]}},
        {"trustmesh.spiffe.spire_join_token": token},
        {"ansible.builtin.assert": {"that": f"own.bundle.trust_domain == '{TRUST_DOMAIN}'"}},
    ]
    run_playbook(tasks, tmp_path, module_defaults={"group/trustmesh.spiffe.spire": server.connection})
    assert f"spiffe://{TRUST_DOMAIN}/cart" in [one.spiffe_id for one in list_entries(server.client)]

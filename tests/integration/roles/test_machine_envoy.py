# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoys on a machine beside a real server: this host, with an agent and Envoys that the roles keep running."""

from __future__ import annotations

import http.server
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import meshes
import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh import derive
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.probe import probe
from peers import free_port
from playbook import ROOT, play

from ..conftest import Server, binary, wait_until
from .test_machine import ALIAS, Machine, changed

Data = dict[str, Any]
# The users are made on this host, and called so that nobody else's are.
LEDGER, SHOP = "tm-test-ledger", "tm-test-shop"
GROUPS = {"clusters": ["one"], "machines": ["vm1"], "spire_server": ["one"], "spire_agent": ["one", "vm1"]}
SERVICES = (
    "opt/agent/spire-agent-service",
    f"envoys/envoy-{LEDGER}/envoy-service",
    f"envoys/envoy-{SHOP}/envoy-service",
)


@pytest.fixture
def folder() -> Iterator[Path]:
    # A short path: a socket's path may have 107 bytes at most. The Envoys' users have to get through.
    made = Path(tempfile.mkdtemp(prefix="tm-e-", dir="/tmp"))
    made.chmod(0o755)
    (made / "envoys").mkdir()
    yield made
    for service in SERVICES:
        if (made / service).exists():
            subprocess.run([str(made / service), "stop"], check=False)
    for user in (LEDGER, SHOP):
        subprocess.run(["userdel", f"envoy-{user}"], check=False, capture_output=True)  # noqa: S607
    shutil.rmtree(made)


@pytest.fixture
def program() -> Iterator[int]:
    """What is there already: a program that listens on loopback. It tells who was said to ask."""

    class Ledger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = str(self.headers.get("x-client-spiffe-id")).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_words: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ledger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Site:
    """A machine with two workloads: shop asks ledger, each by its Envoy."""

    def __init__(self, machine: Machine, program: int) -> None:
        self.machine = machine
        self.dir = machine.folder / "envoys"
        workloads = {
            LEDGER: {"host": "vm1", "envoy": True, "port": program, "spiffe_path": "/ledger"},
            SHOP: {"host": "vm1", "envoy": True, "spiffe_path": "/shop"},
        }
        workloads[LEDGER]["local_port"] = self.local = free_port()
        told = {"vm1": {"machine_address": "127.0.0.1", "envoy_machine_dir": str(self.dir), "machine_spiffe_id": ALIAS}}
        mesh = meshes.mesh(workloads, {LEDGER: [SHOP]}, GROUPS, told)
        self.entries = derive.entries(mesh, "one")
        # Another port than 8443, which somebody may have on this host, and one that is not everybody's.
        self.door = 843
        texts = json.dumps(derive.envoys(mesh, "vm1")).replace('"port": 8443', f'"port": {self.door}')
        self.instances: list[Data] = json.loads(texts)
        self.ledger, self.shop = self.instances

    def run(self, *words: str, tasks: tuple[str, ...] = ("machine",), good: bool = True, **variables: Any) -> str:
        given = {
            "envoy_instances": self.instances,
            "envoy_binary": binary("envoy"),
            "envoy_machine_dir": str(self.dir),
            "envoy_service_manager": "supervisor",
            "envoy_timeout": 60,
            "machine_agent": {"socket_path": str(self.machine.socket)},
            "trustmesh_scenario": "tm-test",
            "trustmesh_cache_dir": str(self.machine.folder / "cache"),
            **variables,
        }
        steps = [
            {"ansible.builtin.include_role": {"name": "trustmesh.spiffe.envoy", "tasks_from": each}} for each in tasks
        ]
        extra = json.dumps(given)
        done = play(
            [{"hosts": "localhost", "tasks": steps}], self.machine.folder, "--diff", *words, "--extra-vars", extra
        )
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == good, said[-6000:]
        return said

    def register(self) -> None:
        for entry in self.entries:
            parts = ["-spiffeID", entry["spiffe_id"], "-parentID", entry["parent_id"]]
            selectors = [word for selector in entry["selectors"] for word in ("-selector", selector)]
            self.machine.server.cli("entry", "create", *parts, *selectors)

    def pid(self, workload: str) -> int:
        return int((self.dir / f"envoy-{workload}/run/envoy.pid").read_text())

    def answer(self) -> str:
        """What shop's program gets when it asks for ledger, at its own Envoy."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.local}/", timeout=10) as got:
                return str(got.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.code)
        except OSError as error:
            return str(error)

    def left(self) -> set[Path]:
        found = {path for path in self.machine.folder.rglob("*") if "cache" not in path.parts}
        return found - {self.machine.folder / "play.yml"}


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _colon, value in (line.partition(":") for line in lines)}


def mint(server: Server, spiffe_id: str) -> str:
    """A certificate with its key, as a file of PEM."""
    argv = [binary("spire-server"), "x509", "mint", "-spiffeID", spiffe_id, "-socketPath", server.socket_path]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return "".join(re.findall(r"-----BEGIN .*?-----END [A-Z ]+-----\n", text.partition("Root CAs")[0], re.DOTALL))


@pytest.mark.thorough
def test_the_life_of_envoys_on_a_machine(folder: Path, server: Server, program: int) -> None:  # noqa: PLR0915 - one life
    machine = Machine(folder, server, {"machine_attestor": "join_token"})
    machine.run()
    site = Site(machine, program)
    assert {tuple(entry["selectors"]) for entry in site.entries} == {
        (f"unix:user:envoy-{name}", f"unix:path:{folder}/envoys/envoy-{name}/envoy") for name in (LEDGER, SHOP)
    }

    before = site.left()
    assert changed(site.run("--check")) > 0
    assert site.left() == before, "check mode has made something"

    # Nobody is registered, so nobody gets a certificate, and nothing listens.
    said = site.run(good=False, envoy_timeout=3)
    assert f"The Envoy {LEDGER}-envoy of localhost does not listen after 3 s" in said
    assert f"unix:user:envoy-{LEDGER} and unix:path:{folder}/envoys/envoy-{LEDGER}/envoy" in said
    site.register()
    site.run()
    wait_until("ledger answers shop", lambda: site.answer() == "spiffe://example.org/shop", 30)

    # Each runs as a user of its own, who can do nothing else.
    for name in (LEDGER, SHOP):
        home, status = site.dir / f"envoy-{name}", status_of(site.pid(name))
        uid = pwd.getpwnam(f"envoy-{name}").pw_uid
        assert status["Uid"].split() == [str(uid)] * 4
        # The one whose port is not everybody's may take it (CAP_NET_BIND_SERVICE).
        may = f"{1 << 10:016x}" if name == LEDGER else "0" * 16
        assert (status["NoNewPrivs"], status["CapEff"], status["CapBnd"]) == ("1", may, may)
        assert stat.S_IMODE((home / "conf").stat().st_mode) == 0o750
        assert stat.S_IMODE((home / "conf/envoy.json").stat().st_mode) == 0o640
        assert stat.S_IMODE((home / "state").stat().st_mode) == 0o700
        assert (home / "state").stat().st_uid == uid
        # Loopback is everybody's on this machine: the admin interface is not there.
        assert stat.S_IMODE((home / "state/admin.sock").stat().st_mode) == 0o600
        assert "9901" not in (home / "conf/envoy.json").read_text()

    # Who is not listed, and who shows nothing, is refused.
    listed, other = mint(server, "spiffe://example.org/shop"), mint(server, "spiffe://example.org/other")
    assert probe("127.0.0.1", site.door, certificate=listed, key=listed)["status"] == 200
    assert probe("127.0.0.1", site.door, certificate=other, key=other)["alert"]
    assert probe("127.0.0.1", site.door)["alert"]

    pids = [site.pid(LEDGER), site.pid(SHOP)]
    assert changed(site.run()) == 0
    assert changed(site.run("--check")) == 0
    # As the playbooks take them, step by step.
    steps = ("preflight", "machine/preflight", "machine/install")
    assert changed(site.run(tasks=steps)) == 0
    assert [site.pid(LEDGER), site.pid(SHOP)] == pids, "nothing has changed, so nothing was started again"

    os.kill(pids[0], signal.SIGKILL)
    wait_until("it comes back", lambda: site.pid(LEDGER) != pids[0] and "spiffe" in site.answer(), 30)

    # Whose configuration has changed is started again, and nobody else.
    pids = [site.pid(LEDGER), site.pid(SHOP)]
    site.ledger["listeners"][0]["paths"] = ["/balance"]
    assert "Listens | The Envoy holds its certificate and listens" in site.run()
    assert site.pid(LEDGER) != pids[0]
    assert site.pid(SHOP) == pids[1]
    wait_until("a path that is not listed is refused", lambda: site.answer() == "403", 15)
    # What Envoy refuses is not put in place.
    pid, kept = site.pid(LEDGER), (site.dir / f"envoy-{LEDGER}/conf/envoy.json").read_text()
    site.ledger["listeners"][0]["routes"][0]["domains"] = ["twice", "twice"]
    assert "envoy.json is refused by what checks it, so that no file was replaced" in site.run(good=False)
    assert (site.dir / f"envoy-{LEDGER}/conf/envoy.json").read_text() == kept
    assert site.pid(LEDGER) == pid
    del site.ledger["listeners"][0]["routes"][0]["domains"]

    # One that the inventory does not ask for any more goes.
    site.instances = [site.ledger]
    site.run()
    assert not (site.dir / f"envoy-{SHOP}").exists()
    assert f"envoy-{SHOP}:" not in Path("/etc/passwd").read_text() + Path("/etc/group").read_text()
    assert site.pid(LEDGER) == pid
    assert changed(site.run()) == 0

    site.run(tasks=("machine/remove",))
    assert not Path(f"/proc/{pid}").exists()
    assert site.left() == before
    assert f"envoy-{LEDGER}:" not in Path("/etc/passwd").read_text() + Path("/etc/group").read_text()
    assert changed(site.run(tasks=("machine/remove",))) == 0
    machine.remove()


def theirs(folder: Path) -> None:
    (folder / f"envoys/envoy-{LEDGER}").mkdir()
    (folder / f"envoys/envoy-{LEDGER}/file").touch()


def linked(site: Site) -> None:
    (site.machine.folder / "envoys").rmdir()
    (site.machine.folder / "elsewhere").mkdir()
    (site.machine.folder / "envoys").symlink_to(site.machine.folder / "elsewhere")


def nobody(site: Site) -> None:
    site.ledger["user"] = site.shop["user"] = "root"


@pytest.mark.parametrize(
    ("prepare", "given", "words"),
    [
        (None, {"envoy_binary": "/nonexistent"}, "envoy_binary: /nonexistent is no file on the control node."),
        (None, {"envoy_machine_dir": "opt"}, "envoy_machine_dir: «opt» is no absolute path of a folder"),
        (None, {"envoy_service_manager": "systemd"}, "that is not the init of this machine. Leave it at auto."),
        (
            None,
            {"machine_workload_attestors": {"unix": {}}},
            "machine_workload_attestors: an Envoy is known by the path of its program.",
        ),
        (lambda site: theirs(site.machine.folder), {}, "is there, is not empty and was not made by this role"),
        (lambda site: site.ledger.update(user="root"), {}, "The user root is there and was not made by this role."),
        (linked, {}, "envoys is a link, and an agent knows a program by where it is."),
        (nobody, {}, "several name the same one, or none"),
        (lambda site: site.ledger.update(user="a/b"), {}, "user is 'a/b'. Give 1 to 32 lower case letters"),
    ],
    ids=["binary", "folder", "init", "paths", "taken", "user", "link", "twice", "name"],
)
def test_what_cannot_work_is_refused_before_anything_is_done(
    folder: Path, prepare: Callable[[Site], None] | None, given: Data, words: str
) -> None:
    site = Site(Machine(folder, Server(folder, 1)), 8080)
    if prepare:
        prepare(site)
    before = site.left()
    said = site.run(good=False, **given)
    assert words in said
    assert site.left() == before


def test_systemd_accepts_the_unit(folder: Path) -> None:
    site = Site(Machine(folder, Server(folder, 1)), 8080)
    site.ledger["listeners"][0]["port"] = 443
    home, unit = site.dir / f"envoy-{LEDGER}", folder / f"envoy-{LEDGER}.service"
    home.mkdir()
    (home / "envoy").symlink_to(binary("envoy"))
    role = {"name": "trustmesh.spiffe.envoy", "tasks_from": "preflight"}
    template = {"src": str(ROOT / "roles/trustmesh/templates/service.unit.j2"), "dest": str(unit), "mode": "0644"}
    steps: list[Data] = [
        {"ansible.builtin.import_role": role},
        {"ansible.builtin.template": template, "vars": {"trustmesh_service": "{{ __envoy_kept }}"}},
    ]
    given = {"envoy_instances": site.instances, "__envoy_one": site.ledger, "envoy_machine_dir": str(site.dir)}
    given |= {"envoy_unit_settings": {"MemoryMax": "1G", "ProtectClock": None}}
    done = play([{"hosts": "localhost", "tasks": steps}], folder, "--extra-vars", json.dumps(given))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = unit.read_text().splitlines()
    for line in (
        f"Description=Envoy {LEDGER}-envoy",
        f"ExecStart={home}/envoy --config-path {home}/conf/envoy.json --disable-hot-restart --log-level warning",
        f"User=envoy-{LEDGER}",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        f"ReadWritePaths={home}/state",
        "MemoryMax=1G",
    ):
        assert line in lines
    assert "ProtectClock" not in unit.read_text()
    argv = ["systemd-analyze", "verify", "--man=no", str(unit)]
    checked = subprocess.run(argv, check=False, capture_output=True, text=True)
    said = [line for line in (checked.stdout + checked.stderr).splitlines() if f"envoy-{LEDGER}" in line]
    assert checked.returncode == 0, checked.stderr
    assert said == []

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine beside a real server: this host, with an agent that the role installs and its script keeps running."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook import ROOT, play

from ..conftest import Server, binary, running_server, wait_until

NAME, ALIAS, SHOP = "vm1", "spiffe://example.org/host/vm1", "spiffe://example.org/shop"
GROUP = "tm-test-agent"


@dataclass
class Machine:
    """This host, with all of the role's paths in a folder of its own."""

    folder: Path
    server: Server
    given: dict[str, Any] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def dir(self) -> Path:
        return self.folder / "opt/agent"

    @property
    def socket(self) -> Path:
        return self.folder / "run/sockets/agent.sock"

    @property
    def control(self) -> Path:
        return self.folder / "control"

    @property
    def variables(self) -> dict[str, Any]:
        return {
            "machine_name": NAME,
            "machine_trust_domain": "example.org",
            "machine_dir": str(self.dir),
            "machine_socket_path": str(self.socket),
            "machine_control_dir": str(self.control),
            "machine_agent_binary": binary("spire-agent"),
            "machine_server_address": "127.0.0.1",
            "machine_server_port": self.server.port,
            "machine_server_connection": self.server.connection,
            "machine_service_manager": "supervisor",
            "machine_timeout": 40,
            "trustmesh_cache_dir": str(self.folder / "cache"),
            **self.given,
        }

    def run(self, *words: str, tasks: str = "main", good: bool = True, **variables: Any) -> str:
        role = {"name": "trustmesh.spiffe.machine", "tasks_from": tasks}
        steps: list[dict[str, Any]] = [{"ansible.builtin.include_role": role}]
        if tasks == "names":
            told = "{{ [machine_agent, machine_server_attestor, machine_ca] | to_json }}"
            steps.append(
                {"ansible.builtin.copy": {"content": told, "dest": f"{self.folder}/facts.json", "mode": "0600"}}
            )
        extra = json.dumps({**self.variables, **variables})
        done = play([{"hosts": "localhost", "tasks": steps}], self.folder, "--diff", *words, "--extra-vars", extra)
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == good, said[-6000:]
        assert "PRIVATE KEY" not in said
        for key in self.folder.rglob("tls.key"):
            assert key.read_text().splitlines()[1] not in said
        return said

    def facts(self, **variables: Any) -> list[dict[str, Any]]:
        """What the role tells of the machine before anything is done: asked for once, unless it is told more."""
        if self.told and not variables:
            return self.told
        self.run(tasks="names", **variables)
        found: list[dict[str, Any]] = json.loads((self.folder / "facts.json").read_text())
        self.told = self.told if variables else found
        return found

    def remove(self) -> str:
        return self.run(tasks="remove")

    def pid(self, whose: str = "agent") -> int:
        return int((self.dir / f"run/{whose}.pid").read_text())

    def register(self) -> None:
        """The node alias as the role tells it, and a workload of this user below it."""
        entry = self.facts()[0]["alias_entry"]
        if entry:
            parts = ["-spiffeID", entry["spiffe_id"], "-parentID", entry["parent_id"]]
            self.server.cli("entry", "create", *parts, "-selector", entry["selectors"][0])
        parts = ["-spiffeID", SHOP, "-parentID", ALIAS, "-selector", f"unix:uid:{os.getuid()}"]
        self.server.cli("entry", "create", *parts)

    def workload_gets(self) -> bool:
        argv = [str(self.dir / "spire-agent"), "api", "fetch", "x509", "-socketPath", str(self.socket)]
        return SHOP in subprocess.run(argv, check=False, capture_output=True, text=True).stdout

    def agents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.cli("agent", "list").get("agents", [])
        return found


def changed(said: str) -> int:
    return int(re.findall(r" changed=(\d+) ", said)[-1])


def private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) == 0o600 and path.stat().st_uid == os.getuid()


@pytest.mark.thorough
def test_by_a_ca_of_our_own(folder: Path) -> None:  # noqa: PLR0915 - one machine's life
    # The server has to know the CA before it starts, so its certificate is made first.
    early = Machine(folder, Server(folder, 1))
    agent, overlay, ca = early.facts()
    assert agent["alias_entry"] == {
        "spiffe_id": ALIAS,
        "parent_id": "spiffe://example.org/spire/server",
        "selectors": ["x509pop:subject:cn:vm1"],
    }
    data = overlay["plugins"]["NodeAttestor"]["x509pop"]["plugin_data"]
    (path,) = data["ca_bundle_paths"]
    assert Path(path).read_text() == ca["certificate"]
    plugin = f'NodeAttestor "x509pop" {{ plugin_data {{ ca_bundle_paths = ["{path}"] }} }}'
    with running_server(plugins=plugin) as server:
        machine = Machine(folder, server, told=early.told)
        before = sorted(folder.rglob("*"))
        assert changed(machine.run("--check")) > 0
        after = [path for path in sorted(folder.rglob("*")) if path not in before and "cache" not in path.parts]
        assert after == [], "check mode has made something"

        machine.run()
        (one,) = machine.agents()
        assert one["attestation_type"] == "x509pop"
        machine.register()
        wait_until("the workload gets its SVID", machine.workload_gets, 40)
        for name in ("agent.conf", "bundle.crt", "tls.crt", "tls.key"):
            assert private(machine.dir / "conf" / name)
        for path in (machine.control / "ca/current/tls.key", machine.control / "nodes/vm1/current/tls.key"):
            assert private(path)
        for path in (machine.dir / "conf", machine.dir / "data", machine.control / "ca", machine.control / "nodes/vm1"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        configuration = json.loads((machine.dir / "conf/agent.conf").read_text())
        assert "insecure_bootstrap" not in configuration["agent"]
        assert stat.S_IMODE(machine.socket.parent.stat().st_mode) == 0o755

        pid, keeper = machine.pid(), machine.pid("keeper")
        assert changed(machine.run()) == 0
        assert changed(machine.run("--check")) == 0
        assert machine.pid() == pid, "nothing has changed, so nothing was started again"

        os.kill(pid, signal.SIGKILL)
        wait_until("the agent comes back", lambda: machine.pid() != pid and machine.workload_gets(), 40)
        assert machine.pid("keeper") == keeper
        # A second one of the script does nothing, and one that was killed leaves an agent that the next one ends.
        subprocess.run([str(machine.dir / "spire-agent-service"), "start"], check=True)
        assert machine.pid("keeper") == keeper
        orphan = machine.pid()
        os.kill(keeper, signal.SIGKILL)
        assert changed(machine.run()) > 0
        assert machine.pid() != orphan
        assert not Path(f"/proc/{orphan}").exists() or "Z" in Path(f"/proc/{orphan}/stat").read_text()
        wait_until("the workload gets its SVID", machine.workload_gets, 40)

        pid = machine.pid()
        machine.given = {"machine_agent_overlay": {"agent": {"log_level": "DEBUG"}}, "machine_agent_group": GROUP}
        machine.run()
        assert machine.pid() != pid
        # Its redirection by Istio leaves this group alone.
        gid = next(line.split(":")[2] for line in Path("/etc/group").read_text().splitlines() if line.startswith(GROUP))
        status = Path(f"/proc/{machine.pid()}/status").read_text()
        assert f"Gid:\t{gid}\t{gid}" in status
        assert "NoNewPrivs:\t1" in status
        assert changed(machine.run()) == 0

        # Whoever was started again is waited for, also where nothing but its configuration is new.
        machine.given["machine_agent_overlay"] = {"agent": {"log_level": "INFO"}}
        assert "Answers | The agent is healthy at its socket" in machine.run()
        assert "Answers | The agent is healthy at its socket" not in machine.run()

        # A configuration that SPIRE refuses leaves the agent alone.
        pid = machine.pid()
        said = machine.run(good=False, machine_agent_overlay={"agent": {"log_levle": "DEBUG"}})
        assert "log_levle" in said
        assert machine.pid() == pid
        assert changed(machine.run()) == 0

        machine.remove()
        left = {path for path in folder.rglob("*") if "cache" not in path.parts} - {
            folder / "play.yml",
            folder / "facts.json",
        }
        assert left == set()
        assert GROUP not in Path("/etc/group").read_text()
        assert not Path(f"/proc/{pid}").exists()
        assert changed(machine.remove()) == 0


OF_THE_SERVER = 'NodeAttestor "x509pop" { plugin_data { mode = "spiffe" } }'


def test_by_a_certificate_of_the_server(folder: Path) -> None:
    with running_server(plugins=OF_THE_SERVER) as server:
        machine = Machine(folder, server, {"machine_x509pop_mode": "spiffe"})
        assert machine.facts()[1] == {"plugins": {"NodeAttestor": {"x509pop": {"plugin_data": {"mode": "spiffe"}}}}}
        machine.run()
        (one,) = machine.agents()
        assert one["id"]["path"] == "/spire/agent/x509pop/vm1"
        machine.register()
        wait_until("the workload gets its SVID", machine.workload_gets, 40)
        assert changed(machine.run()) == 0
        assert not (machine.control / "ca").exists()
        machine.remove()
        assert not machine.dir.exists()


@pytest.mark.thorough
def test_by_a_certificate_of_a_server_that_has_lost_all_that_it_knew(folder: Path) -> None:
    # The machine begins again with the next one's bundle.
    with running_server(plugins=OF_THE_SERVER) as first:
        machine = Machine(folder, first, {"machine_x509pop_mode": "spiffe"})
        machine.run()
    with running_server(plugins=OF_THE_SERVER) as second:
        machine.server = second
        said = machine.run()
        assert "Forget an identity that is lost" in said
        assert [one["id"]["path"] for one in machine.agents()] == ["/spire/agent/x509pop/vm1"]
        assert changed(machine.run()) == 0


@pytest.mark.thorough
def test_by_join_token(folder: Path, server: Server) -> None:
    machine = Machine(folder, server, {"machine_attestor": "join_token"})
    assert changed(machine.run("--check")) > 0
    assert not machine.dir.exists()
    said = machine.run("-vvv")
    tokens = re.findall(r"join_token/([0-9a-f-]{36})", json.dumps(machine.agents()))
    assert tokens
    for path in [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".log", ".json")]:
        assert tokens[-1] not in path.read_bytes().decode(errors="replace"), path
    assert tokens[-1] not in said
    machine.register()
    wait_until("the workload gets its SVID", machine.workload_gets, 40)
    pid = machine.pid()
    assert changed(machine.run()) == 0
    os.kill(pid, signal.SIGKILL)
    wait_until("the agent comes back without a token", lambda: machine.pid() != pid and machine.workload_gets(), 40)

    # The server has forgotten it: the next run joins it again.
    for one in machine.agents():
        server.cli("agent", "evict", "-spiffeID", f"spiffe://example.org{one['id']['path']}")
    machine.run()
    wait_until("the workload gets its SVID", machine.workload_gets, 40)
    # The machine has lost its identity, and the server waits for it.
    subprocess.run([str(machine.dir / "spire-agent-service"), "stop"], check=True)
    shutil.rmtree(machine.dir / "data")
    machine.run()
    wait_until("the workload gets its SVID", machine.workload_gets, 40)
    assert len(machine.agents()) == 1
    assert changed(machine.run()) == 0
    machine.remove()
    assert not machine.dir.exists()
    assert not machine.control.exists()


def keygen(*words: str) -> None:
    subprocess.run(["ssh-keygen", "-q", *words], check=True)  # noqa: S607 - it is where PATH says


@pytest.mark.thorough
def test_by_an_ssh_certificate_of_the_host(folder: Path) -> None:
    keys = folder / "ssh"
    keys.mkdir()
    for name in ("ca", "host"):
        keygen("-t", "ed25519", "-N", "", "-f", str(keys / name))
    words = ["-h", "-I", NAME, "-n", NAME, "-V", "+1d", str(keys / "host.pub")]
    keygen("-s", str(keys / "ca"), *words)
    authority = (keys / "ca.pub").read_text().strip()
    given = {
        "machine_attestor": "sshpop",
        "machine_ssh_authorities": [authority],
        "machine_attestor_data": {
            "host_key_path": str(keys / "host"),
            "host_cert_path": str(keys / "host-cert.pub"),
        },
    }
    early = Machine(folder, Server(folder, 1), given)
    data = early.facts()[1]["plugins"]["NodeAttestor"]["sshpop"]["plugin_data"]
    settings = " ".join(f"{key} = {json.dumps(value)}" for key, value in data.items())
    with running_server(plugins=f'NodeAttestor "sshpop" {{ plugin_data {{ {settings} }} }}') as server:
        machine = Machine(folder, server, given, early.told)
        machine.run()
        machine.register()
        wait_until("the workload gets its SVID", machine.workload_gets, 40)
        assert [one["id"]["path"] for one in machine.agents()] == ["/spire/agent/sshpop/vm1"]
        assert changed(machine.run()) == 0
        machine.remove()


@pytest.mark.thorough
def test_by_an_http_challenge(folder: Path) -> None:
    # A name of this host that is not «localhost», which the plugin refuses.
    given = {
        "machine_attestor": "http_challenge",
        "machine_attestor_data": {"hostname": "127.0.0.1", "port": 80},
    }
    early = Machine(folder, Server(folder, 1), given)
    data = early.facts()[1]["plugins"]["NodeAttestor"]["http_challenge"]["plugin_data"]
    settings = " ".join(f"{key} = {json.dumps(value)}" for key, value in data.items())
    with running_server(plugins=f'NodeAttestor "http_challenge" {{ plugin_data {{ {settings} }} }}') as server:
        machine = Machine(folder, server, given, early.told)
        machine.run()
        machine.register()
        wait_until("the workload gets its SVID", machine.workload_gets, 40)
        machine.remove()


@pytest.mark.parametrize(
    ("attestor", "data"),
    [
        ("aws_iid", {"ec2_metadata_endpoint": "http://192.0.2.1"}),
        pytest.param("gcp_iit", {"service_account": "agent"}, marks=pytest.mark.thorough),
        pytest.param("azure_imds", {"tenant_domain": "corp.example"}, marks=pytest.mark.thorough),
    ],
)
def test_spire_accepts_the_attestors_of_clouds(folder: Path, attestor: str, data: dict[str, Any]) -> None:
    given = {"machine_attestor": attestor, "machine_attestor_data": data}
    given["machine_workload_attestors"] = {"unix": {}, "systemd": {}, "docker": {}}
    machine = Machine(folder, Server(folder, 1), given)
    machine.run(tasks="preflight")
    assert list(folder.glob("cache/accepted/*")), "SPIRE was asked"
    assert "unknown_key" in machine.run(
        tasks="preflight", good=False, machine_agent_overlay={"agent": {"unknown_key": "a"}}
    )
    overlay = machine.facts(machine_server_attestor_data={"a": "b"}, machine_node_selectors=[f"{attestor}:a:b"])
    assert overlay[1] == {"plugins": {"NodeAttestor": {attestor: {"plugin_data": {"a": "b"}}}}}
    assert overlay[0]["alias_entry"]["selectors"] == [f"{attestor}:a:b"]


def test_the_example_of_the_page(folder: Path, server: Server) -> None:
    page = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "roles/machine/README.md").read_text(), re.MULTILINE | re.DOTALL)[
        0
    ]
    texts = {
        "/usr/local/bin/spire-agent": binary("spire-agent"),
        "{socket_path: /tmp/spire-server/private/api.sock}": json.dumps(server.connection),
        "corp.example": "example.org",
        "8081": str(server.port),
    }
    for there, here in texts.items():
        assert there in page
        page = page.replace(there, here)
    machine = Machine(folder, server)
    kept = (
        "machine_dir",
        "machine_socket_path",
        "machine_control_dir",
        "machine_service_manager",
        "trustmesh_cache_dir",
    )
    extra = json.dumps({name: machine.variables[name] for name in kept})
    done = play(yaml.safe_load(page), folder, "--extra-vars", extra)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(machine.agents()) >= 1
    subprocess.run([str(machine.dir / "spire-agent-service"), "stop"], check=True)


def test_systemd_accepts_the_unit(folder: Path) -> None:
    given = {"machine_agent_group": "root", "machine_unit_settings": {"MemoryMax": "1G", "ProtectHome": None}}
    given |= {"machine_socket_path": "/run/spire/agent-sockets/spire-agent.sock", "machine_attestor": "http_challenge"}
    unit = folder / "spire-agent.service"
    # What it starts has to be there.
    (folder / "opt/agent").mkdir(parents=True)
    (folder / "opt/agent/spire-agent").symlink_to(binary("spire-agent"))
    role = {"name": "trustmesh.spiffe.machine", "tasks_from": "names"}
    template = {"src": str(ROOT / "roles/trustmesh/templates/service.unit.j2"), "dest": str(unit), "mode": "0644"}
    kept = {"trustmesh_service": "{{ __machine_kept }}"}
    steps = [{"ansible.builtin.import_role": role}, {"ansible.builtin.template": template, "vars": kept}]
    extra = json.dumps({**Machine(folder, Server(folder, 1)).variables, **given})
    done = play([{"hosts": "localhost", "tasks": steps}], folder, "--extra-vars", extra)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = unit.read_text().splitlines()
    assert f"ExecStart={folder}/opt/agent/spire-agent run -config {folder}/opt/agent/conf/agent.conf" in lines
    for line in (
        "Restart=always",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "Group=root",
        "RuntimeDirectory=spire/agent-sockets",
        "MemoryMax=1G",
        f"ReadWritePaths={folder}/opt/agent/data",
        "CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_SYS_PTRACE CAP_NET_BIND_SERVICE",
    ):
        assert line in lines
    assert "ProtectHome" not in unit.read_text()
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],  # noqa: S607 - it is where PATH says
        check=False,
        capture_output=True,
        text=True,
    )
    said = [line for line in (checked.stdout + checked.stderr).splitlines() if "spire-agent" in line]
    assert checked.returncode == 0, checked.stderr
    assert said == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"machine_agent_binary": "/nonexistent"}, "machine_agent_binary: /nonexistent is no file on the control node"),
        ({"machine_dir": "/opt"}, "machine_dir: '/opt' is no absolute path of a folder for the agent alone"),
        ({"machine_socket_path": "/tmp/" + "x" * 110}, "machine_socket_path: "),
        ({"machine_name": "a b"}, "machine_name: 'a b' is no name of a node"),
        ({"machine_spiffe_id": "spiffe://other.org/host/a"}, "is not in the trust domain example.org"),
        ({"machine_attestor": "sshpop"}, "machine_ssh_authorities is empty"),
        ({"machine_attestor": "join_token", "machine_server_connection": {}}, "give machine_server_connection"),
        ({"machine_service_manager": "systemd"}, "that is not the init of this machine"),
        ({"machine_agent_overlay": {"agent": {"log_levle": "DEBUG"}}}, "log_levle"),
    ],
)
def test_bad_input_is_refused_before_anything_is_touched(folder: Path, given: dict[str, Any], words: str) -> None:
    machine = Machine(folder, Server(folder, 1), given)
    assert words in machine.run(good=False)
    assert not machine.dir.exists()
    assert not machine.control.exists()


def test_a_folder_of_somebody_else_is_left_alone(folder: Path) -> None:
    machine = Machine(folder, Server(folder, 1))
    machine.dir.mkdir(parents=True)
    (machine.dir / "precious").touch()
    assert "is not empty and is not of this role" in machine.run(good=False)
    machine.remove()
    assert (machine.dir / "precious").exists()


@pytest.mark.thorough
def test_a_server_that_does_not_answer_is_told(folder: Path, server: Server) -> None:
    given = {"machine_attestor": "x509pop", "machine_timeout": 4}
    said = Machine(folder, server, given).run(good=False)
    assert "has no identity after 4 s" in said
    assert "x509pop" in said

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidecar of a machine: what is told to pilot-agent, what is refused, and its certificate for istiod.

The redirection is not tried here, where it would catch the connections of this host.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import load_pem
from playbook import ROOT, play

from ..conftest import Server, running_server, wait_until
from .test_machine import ALIAS, Machine

LEDGER = "spiffe://example.org/ns/books/sa/ledger"
WORKLOAD = {
    "name": "ledger",
    "namespace": "books",
    "service_account": "ledger",
    "labels": {"app": "ledger", "version": "v2"},
    "ports": [9000],
}


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as found:
        yield found


def settings(folder: Path, **more: Any) -> dict[str, Any]:
    for name in ("pilot-agent", "envoy", "envoy_bootstrap.json"):
        (folder / name).touch()
    return {
        "sidecar_workload": WORKLOAD,
        "sidecar_trust_domain": "example.org",
        "sidecar_istiod_address": "192.0.2.9:15012",
        "sidecar_istiod_name": "istiod.istio-system.svc",
        "sidecar_istiod_host": "one",
        "sidecar_cluster": "one",
        "sidecar_mesh_id": "",
        "sidecar_network": "vm",
        "sidecar_pilot_agent": str(folder / "pilot-agent"),
        "sidecar_envoy": str(folder / "envoy"),
        "sidecar_bootstrap": str(folder / "envoy_bootstrap.json"),
        "sidecar_spire_agent_group": "spire-agent",
        "trustmesh_cache_dir": str(folder / "cache"),
        **more,
    }


def prepared(folder: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Check the settings, and write what the role would put on the machine."""
    if not (folder / "templates").exists():
        (folder / "templates").symlink_to(ROOT / "roles" / "sidecar" / "templates")
    role = {"name": "trustmesh.spiffe.sidecar", "tasks_from": "preflight", "public": True}
    texts = {"keep": "__sidecar_keep", "start": "__sidecar_start", "env": "__sidecar_environment_text"}
    steps: list[dict[str, Any]] = [{"ansible.builtin.include_role": role}]
    steps += [
        {"ansible.builtin.copy": {"content": f"{{{{ {text} }}}}", "dest": f"{folder}/{name}", "mode": "0755"}}
        for name, text in texts.items()
    ]
    extra = json.dumps(settings(folder, **more))
    return play([{"hosts": "localhost", "tasks": steps}], folder, "--extra-vars", extra)


def environment(folder: Path, **more: Any) -> dict[str, str]:
    """What a shell makes of the file."""
    done = prepared(folder, **more)
    assert done.returncode == 0, done.stdout
    argv = ["sh", "-ec", 'set -a; . "$1"; env -0', "sh", str(folder / "env")]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, env={}).stdout
    return dict(line.split("=", 1) for line in said.split("\0") if line)


def test_pilot_agent_is_told_who_it_is_and_whom_to_ask(folder: Path) -> None:
    told = environment(folder)
    assert json.loads(told["PROXY_CONFIG"])["discoveryAddress"] == "192.0.2.9:15012"
    # Whoever asks is who its sidecar says, and nobody adds another one.
    assert json.loads(told["PROXY_CONFIG"])["proxyHeaders"] == {"forwardedClientCert": "SANITIZE_SET"}
    assert told["ISTIOD_SAN"] == "istiod.istio-system.svc"
    assert (told["POD_NAMESPACE"], told["SERVICE_ACCOUNT"]) == ("books", "ledger")
    assert told["ISTIO_META_AUTO_REGISTER_GROUP"] == "ledger"
    assert json.loads(told["ISTIO_METAJSON_LABELS"])["version"] == "v2"
    # The redirection: the ports of the workload, and never SPIRE's agent, on which the sidecar waits.
    assert (told["ISTIO_INBOUND_PORTS"], told["ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE"]) == ("9000", "spire-agent")
    # Another name than Istio's own, or a sidecar without SPIRE would take its identity from istiod.
    assert told["WORKLOAD_IDENTITY_SOCKET_FILE"] == "spire-agent.sock"


def test_what_it_is_told_can_be_changed(folder: Path) -> None:
    more = {"sidecar_environment": {"ISTIO_SERVICE_CIDR": "10.0.0.0/8"}, "sidecar_proxy_config": {"concurrency": 1}}
    told = environment(folder, **more)
    assert told["ISTIO_SERVICE_CIDR"] == "10.0.0.0/8"
    assert json.loads(told["PROXY_CONFIG"])["concurrency"] == 1
    assert json.loads(told["PROXY_CONFIG"])["discoveryAddress"] == "192.0.2.9:15012"


def watching(socket: Path) -> list[str]:
    """The programs that watch for a certificate at a socket."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_text().split("\0")
            found += [path.parent.name] if "watch" in words and str(socket) in words else []
    return found


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"sidecar_spire_agent_group": ""}, "is no group of the SPIRE agent alone"),
        ({"sidecar_pilot_agent": "/nowhere"}, "sidecar_pilot_agent: no file on the control node"),
        ({"sidecar_socket_path": "/run/socket"}, "the name «socket» cannot be used"),
        ({"sidecar_istiod_address": "istiod"}, "«istiod» is no address and port"),
        ({"sidecar_user": "0x"}, "«0x» is no name of a user"),
        ({"sidecar_dir": "opt"}, "«opt» is no absolute path"),
        ({"sidecar_environment": {"A": "it's"}}, "no value can hold a single quotation mark"),
    ],
)
def test_what_cannot_work_is_refused_before_the_machine_is_touched(folder: Path, given: Any, text: str) -> None:
    done = prepared(folder, **given)
    assert done.returncode != 0
    assert text in done.stdout


def test_a_machine_without_a_workload_of_a_mesh_is_left_alone(folder: Path) -> None:
    roles = [{"ansible.builtin.include_role": {"name": "trustmesh.spiffe.sidecar"}}]
    extra = json.dumps(settings(folder, sidecar_workload={}, sidecar_pilot_agent=""))
    # By a part that validates no argument specs, as playbooks do.
    for role, tasks in zip(roles * 3, ("preflight", "install", "verify"), strict=True):
        step = {"ansible.builtin.include_role": {**role["ansible.builtin.include_role"], "tasks_from": tasks}}
        step["ansible.builtin.include_role"]["rolespec_validate"] = False
        done = play([{"hosts": "localhost", "tasks": [step]}], folder, "--extra-vars", extra)
        assert done.returncode == 0, done.stdout
        assert " changed=0 " in done.stdout


def test_the_certificate_for_istiod_is_kept_in_files(folder: Path, server: Server) -> None:
    machine = Machine(folder, server, {"machine_attestor": "join_token"})
    machine.run()
    me = pwd.getpwuid(os.getuid()).pw_name
    given = ["-parentID", ALIAS, "-selector", f"unix:user:{me}", "-x509SVIDTTL", "20"]
    server.cli("entry", "create", "-spiffeID", LEDGER, *given)
    paths = {"sidecar_spire_agent": str(machine.dir / "spire-agent"), "sidecar_socket_path": str(machine.socket)}
    assert prepared(folder, sidecar_dir=str(folder / "istio-proxy"), **paths).returncode == 0
    kept = folder / "istio-proxy" / "istiod"
    kept.mkdir(parents=True)
    keeper = subprocess.Popen([str(folder / "keep")])
    try:
        chain, key, root = (kept / name for name in ("cert-chain.pem", "key.pem", "root-cert.pem"))
        wait_until("the files are there", root.exists, 30)
        first = load_pem(chain.read_text())[0]
        assert LEDGER in str(first.extensions)
        assert load_pem(root.read_text())
        assert {stat.S_IMODE(path.stat().st_mode) for path in (chain, key, root)} == {0o600}

        def renewed() -> bool:
            return load_pem(chain.read_text())[0].serial_number != first.serial_number

        wait_until("the agent renews it, and so do the files", renewed, 40)
        # It is deleted after the files in it are at their places.
        wait_until("no folder stays behind", lambda: not list(kept.glob(".new*")))

        # One whose keeper was killed makes room for the next.
        before, keeper = keeper, subprocess.Popen([str(folder / "keep")])
        wait_until("the one before ends", lambda: before.poll() is not None)
        wait_until("one watches", lambda: len(watching(machine.socket)) == 1)
    finally:
        keeper.terminate()
        keeper.wait(20)
    # What it has started ends with it.
    wait_until("nothing of it is left", lambda: not watching(machine.socket))

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control node is said to be able to do, read from this very host."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node import plan
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.info import run as control_node_info
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

DEFAULTS: dict[str, Any] = {
    **{"disk_path": "/", "ports": [], "address": "127.0.0.1", "registry": None, "registry_timeout": 3.0},
    **{"folders": [], "path": []},
}


def info(**params: Any) -> dict[str, Any]:
    outcome = control_node_info({**DEFAULTS, **params}, False)
    assert not outcome.changed
    return outcome.result["control_node"]


@contextlib.contextmanager
def registry(status: int, delay: float = 0) -> Iterator[tuple[str, list[str]]]:
    """Serve an image registry that answers with ``status``; yields its address and the paths it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            time.sleep(delay)
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs are looked for nowhere but where the test puts them."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(plan, "SYSTEM_PATH", (str(tmp_path),))
    monkeypatch.setattr(plan, "GO_PLACES", ())
    monkeypatch.setattr(plan, "_SBIN", ())
    return tmp_path


def test_the_machine_is_as_the_kernel_says() -> None:
    node = info()
    assert node["cpus"] == len(os.sched_getaffinity(0))
    assert node["uid"] == os.getuid()
    assert 0 < node["memory_available_mb"] <= node["memory_total_mb"]
    assert f"ID={node['distribution']['id']}" in Path("/etc/os-release").read_text().replace('"', "")
    assert "registry" not in node


@pytest.mark.usefixtures("path")
def test_the_disk_of_a_folder_that_is_yet_to_be_made(tmp_path: Path) -> None:
    there, yet_to_be = (info(disk_path=str(path))["disk_free_mb"] for path in (tmp_path, tmp_path / "a" / "b"))
    assert there > 0
    assert abs(there - yet_to_be) < 1024


@pytest.mark.usefixtures("path")
def test_only_ports_in_use_are_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as used, socket.create_server(("127.0.0.1", 0)) as closed:
        taken, free = used.getsockname()[1], closed.getsockname()[1]
        closed.close()
        assert info(ports=[taken, free])["ports_in_use"] == [taken]


@pytest.mark.parametrize("port", [0, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(InputError, match=f"^ports: {port} is not a TCP port; give a number from 1 to 65535"):
        info(ports=[port])


@pytest.mark.usefixtures("path")
def test_an_engine_that_is_not_installed() -> None:
    assert info()["engines"]["docker"] == {
        "installed": False,
        "answers": False,
        "version": "",
        "error": "docker is not installed",
    }


def test_an_engine_whose_daemon_does_not_answer(path: Path) -> None:
    program(path, "docker", "echo; echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    assert info()["engines"]["docker"] == {
        "installed": True,
        "answers": False,
        "version": "",
        "error": "Cannot connect to the Docker daemon",
    }


def test_an_engine_that_tells_its_version_and_does_not_work(path: Path) -> None:
    program(path, "podman", 'case "$*" in version*) echo 4.3.1 ;; *) echo "storage is locked" >&2; exit 125 ;; esac')
    told = {"installed": True, "answers": False, "version": "", "error": "storage is locked"}
    assert info()["engines"]["podman"] == told


def test_an_engine_that_answers(path: Path) -> None:
    known = '"version --format {{.Client.Version}}") echo 4.3.1 ;; "ps --quiet")'
    program(path, "podman", f'case "$*" in {known} ;; *) exit 1 ;; esac')
    assert info()["engines"]["podman"] == {"installed": True, "answers": True, "version": "4.3.1", "error": ""}


def test_the_go_compiler_on_the_path(path: Path) -> None:
    program(path, "go", "echo go1.26.1")
    assert info()["go"] == {"version": "1.26.1", "path": str(path / "go")}


def test_a_folder_more_comes_before_the_others(path: Path) -> None:
    for folder in ("a", "b"):
        (path / folder).mkdir()
    program(path / "b", "podman", "echo 5.0.0")
    program(path, "podman", "echo 4.3.1")
    found = info(path=[str(path / "a"), str(path / "b")])
    assert found["engines"]["podman"]["version"] == "5.0.0"
    assert found["path"] == f"{path}/a:{path}/b:{path}"


def test_a_loose_folder_is_refused_before_any_program_is_run(path: Path) -> None:
    program(path, "podman", f"touch {path}/was-run")
    loose = path / "w" / "build" / "bin"
    loose.mkdir(parents=True)
    loose.chmod(0o777)
    with pytest.raises(InputError) as caught:
        info(folders=[{"path": str(loose), "set_by": "trustmesh_build_dir"}])
    assert f"The folder {loose} can be written to by everybody" in caught.value.message
    assert "mode 0777" in caught.value.message
    assert f"chmod go-w {loose}" in caught.value.message
    assert "choose another folder with trustmesh_build_dir" in caught.value.message
    assert not (path / "was-run").exists()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("status", [200, 401])
def test_a_registry_that_answers(status: int) -> None:
    with registry(status) as (url, asked):
        assert info(registry=url + "/")["registry"] == {
            "reachable": True,
            "reason": f"it answered with HTTP {status}",
        }
    assert asked == ["/v2/"]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("status", [403, 502])
def test_something_that_answers_but_is_no_registry(status: int) -> None:
    with registry(status) as (url, _asked):
        answer = info(registry=url)["registry"]
    assert answer == {"reachable": False, "reason": f"it answered with HTTP {status}, which is no registry's answer"}


@pytest.mark.usefixtures("path")
def test_a_registry_at_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    answer = info(registry=url)["registry"]
    assert not answer["reachable"]
    assert "Connection refused" in answer["reason"]


@pytest.mark.usefixtures("path")
def test_a_registry_that_keeps_silent_costs_no_more_than_the_limit() -> None:
    with registry(200, delay=2) as (url, _asked):
        begun = time.monotonic()
        answer = info(registry=url, registry_timeout=0.3)["registry"]
        assert time.monotonic() - begun < 1.5
    assert not answer["reachable"]
    assert answer["reason"].startswith("no answer after 0.")


@pytest.mark.usefixtures("path")
def test_a_registry_that_is_no_url() -> None:
    answer = info(registry="registry.example.org")["registry"]
    assert not answer["reachable"]

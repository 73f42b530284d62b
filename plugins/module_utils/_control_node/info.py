# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What the control node can do: read only."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
import urllib.error
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.urls import open_url
from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node import plan
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.client import (
    folders_of,
    refuse_loose_folders,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess, Process
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome

_ENGINE_TIMEOUT_S = 15.0
# What tells the version, and what an engine that works has an answer to. podman info asks the package manager whose
# each of its parts is, which takes longer than all the rest.
_QUESTIONS = {
    "docker": (("info", "--format", "{{.ServerVersion}}"),),
    "podman": (("version", "--format", "{{.Client.Version}}"), ("ps", "--quiet")),
}


def spec() -> ArgumentSpec:
    """Return the options of control_node_info."""
    return ArgumentSpec(
        options={
            "disk_path": {"type": "path", "default": "/"},
            "ports": {"type": "list", "elements": "int", "default": []},
            "address": {"type": "str", "default": "127.0.0.1"},
            "folders": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"path": {"type": "path", "required": True}, "set_by": {"type": "str"}},
            },
            "path": {"type": "list", "elements": "path", "default": []},
            "registry": {"type": "str"},
            "registry_timeout": {"type": "float", "default": 3},
        }
    )


def run(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Look at this host, and ask its engines and the registry."""
    refuse_loose_folders(folders_of([*params["folders"], *({"path": folder} for folder in params["path"])]))
    path = plan.search_path(os.geteuid(), os.environ.get("PATH", os.defpath), params["path"])
    memory = _memory_mb()
    found: dict[str, Any] = {
        "cpus": len(os.sched_getaffinity(0)),
        "memory_total_mb": memory.get("MemTotal", 0),
        "memory_available_mb": memory.get("MemAvailable", 0),
        "disk_free_mb": _disk_free_mb(Path(params["disk_path"])),
        "uid": os.getuid(),
        "path": path,
        "inotify_instances": _number(Path("/proc/sys/fs/inotify/max_user_instances")),
        "distribution": _distribution(),
        **_programs(LocalProcess(env={"PATH": path, "GOFLAGS": ""}), path),
        "ports_in_use": [port for port in params["ports"] if _in_use(params["address"], port)],
    }
    if params["registry"]:
        found["registry"] = _registry(params["registry"], params["registry_timeout"])
    return Outcome(result={"control_node": found})


def _programs(process: Process, path: str) -> dict[str, Any]:
    """Ask the compiler and the engines at the same time: each takes its while to answer."""
    with ThreadPoolExecutor() as pool:
        go = pool.submit(_go, process, path)
        engines = {name: pool.submit(_engine, process, name, path) for name in ("docker", "podman")}
        return {"go": go.result(), "engines": {name: answer.result() for name, answer in engines.items()}}


def _memory_mb() -> dict[str, int]:
    """Return /proc/meminfo in MiB."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return {name: int(value.split()[0]) // 1024 for name, value in (line.split(":") for line in lines)}


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


def _disk_free_mb(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free // 2**20


def _distribution() -> dict[str, str]:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return {}
    words = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', text, re.MULTILINE))
    return {"id": words.get("ID", ""), "version": words.get("VERSION_ID", ""), "like": words.get("ID_LIKE", "")}


def _go(process: Process, path: str) -> dict[str, Any] | None:
    """Return the Go compiler's version and path. It is often not on PATH."""
    place = shutil.which("go", path=":".join((path, *plan.GO_PLACES)))
    if place is None:
        return None
    answer = process.run([place, "env", "GOVERSION"], timeout=_ENGINE_TIMEOUT_S)
    return {"version": answer.stdout.strip().removeprefix("go"), "path": place}


def _engine(process: Process, name: str, path: str) -> dict[str, Any]:
    place = shutil.which(name, path=path)
    if place is None:
        return {"installed": False, "answers": False, "version": "", "error": f"{name} is not installed"}
    version = ""
    try:
        for words in _QUESTIONS[name]:
            answer = process.run([place, *words], timeout=_ENGINE_TIMEOUT_S)
            version = version or answer.stdout.strip()
            if answer.rc != 0 or not version:
                error = (answer.stderr.strip().splitlines() or ["no version was told"])[-1]
                return {"installed": True, "answers": False, "version": "", "error": error}
    except ProcessError as failure:
        return {"installed": True, "answers": False, "version": "", "error": failure.message}
    return {"installed": True, "answers": True, "version": version, "error": ""}


def _in_use(address: str, port: int) -> bool:
    if not 0 < port < 65536:
        raise InputError(f"ports: {port} is not a TCP port; give a number from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False


def _registry(url: str, timeout: float) -> dict[str, Any]:
    """Ask the registry's version endpoint. 401 is an answer too: the registry is there and wants a token.

    Source: OCI Distribution Specification, end-1 (``GET /v2/``).
    """
    begun = time.monotonic()
    try:
        with open_url(f"{url.rstrip('/')}/v2/", timeout=timeout) as answer:
            code = answer.status
    except urllib.error.HTTPError as failure:
        code = failure.code
    except (OSError, ValueError) as failure:
        seconds = time.monotonic() - begun
        return {"reachable": False, "reason": f"no answer after {seconds:.1f} s ({failure})"}
    if code in (200, 401):
        return {"reachable": True, "reason": f"it answered with HTTP {code}"}
    return {"reachable": False, "reason": f"it answered with HTTP {code}, which is no registry's answer"}

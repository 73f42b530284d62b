# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bench/entries.py measures with: a spire-server of its own, a set of entries, and the time of single tasks."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TRUST_DOMAIN = "example.org"
OWNER = "bench"

CONFIG = """
server {{
  bind_address = "127.0.0.1"
  bind_port = "{port}"
  trust_domain = "{trust_domain}"
  data_dir = "{data}"
  socket_path = "{socket_path}"
  log_file = "{folder}/server.log"
}}
plugins {{
  DataStore "sql" {{
    plugin_data {{ database_type = "sqlite3" connection_string = "{data}/datastore.sqlite3" }}
  }}
  KeyManager "disk" {{ plugin_data {{ keys_path = "{data}/keys.json" }} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
}}
"""


class Server:
    """A spire-server on SQLite. Its state is kept and brought back as files, while it does not run."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary = binary
        self.folder = folder
        self.data = folder / "data"
        self.socket_path = str(folder / "api.sock")
        self.state: str | None = None
        """The kept state that the server is in, as long as nothing was changed since."""
        self._process: subprocess.Popen[bytes] | None = None
        self.data.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "server.conf").write_text(
            CONFIG.format(
                port=port, trust_domain=TRUST_DOMAIN, data=self.data, socket_path=self.socket_path, folder=folder
            )
        )
        self.start()
        self.keep("empty")

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self.binary, "run", "-config", str(self.folder / "server.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        check = [self.binary, "healthcheck", "-socketPath", self.socket_path]
        limit = time.monotonic() + 60
        while subprocess.run(check, check=False, capture_output=True).returncode:
            if time.monotonic() > limit or self._process.poll() is not None:
                raise SystemExit(f"spire-server did not become healthy; its log is {self.folder}/server.log")
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _state(self, name: str) -> Path:
        return self.folder / "states" / name

    def has(self, name: str) -> bool:
        return self._state(name).is_dir()

    def keep(self, name: str) -> None:
        """Keep the present state under a name."""
        self.stop()
        shutil.rmtree(self._state(name), ignore_errors=True)
        shutil.copytree(self.data, self._state(name))
        self.start()
        self.state = name

    def restore(self, name: str) -> None:
        """Bring a kept state back, for something that will change it."""
        self.stop()
        shutil.rmtree(self.data)
        shutil.copytree(self._state(name), self.data)
        self.start()
        self.state = None

    def read(self, name: str) -> None:
        """Be in a kept state, for something that will only read."""
        if self.state != name:
            self.restore(name)
            self.state = name

    def argv(self, *words: str) -> list[str]:
        return [self.binary, *words, "-socketPath", self.socket_path, "-output", "json"]

    def cli(self, *words: str) -> Any:
        """Run a command that is not measured, and return its answer."""
        done = subprocess.run(self.argv(*words), check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        answer = json.loads(done.stdout)
        refused = [one for one in answer.get("results") or () if one["status"]["code"]]
        if refused:
            raise SystemExit(f"spire-server {' '.join(words[:2])} was refused: {refused[0]['status']}")
        return answer

    def bare(self, *words: str) -> float:
        """Run a command as it is and return its seconds. Its answer goes where it costs nobody anything."""
        began = time.monotonic()
        subprocess.run(
            self.argv(*words),
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        return time.monotonic() - began

    def expect(self, entries: int) -> None:
        """End the bench when the server does not hold so many entries: something else was measured then."""
        held = self.cli("entry", "count")["count"]
        if held != entries:
            raise SystemExit(f"The server holds {held} entries, {entries} were expected.")


# The set of entries


def entry(number: int, kind: str = "service") -> dict[str, Any]:
    """A workload of Kubernetes: 25 of them in a namespace, the namespaces on 20 nodes.

    Entries that share a selector are compared by the server with each other when one is created, so a set in which all
    share one would measure that instead.
    """
    namespace, account = f"team-{number // 25:04d}", f"{kind}-{number:06d}"
    return {
        "spiffe_id": f"spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{account}",
        "parent_id": f"spiffe://{TRUST_DOMAIN}/node/{number // 25 % 20:02d}",
        "selectors": [f"k8s:ns:{namespace}", f"k8s:sa:{account}"],
        "x509_svid_ttl": 3600,
    }


def as_data(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The entries as ``entry create -data`` takes them."""

    def selector(text: str) -> dict[str, str]:
        kind, _colon, value = text.partition(":")
        return {"type": kind, "value": value}

    return {"entries": [{**one, "selectors": [selector(text) for text in one["selectors"]]} for one in entries]}


@dataclass(frozen=True)
class EntrySet:
    """Files with the same entries: for the task, for the bare command, and for the controller manager."""

    folder: Path
    size: int

    def entries(self) -> list[dict[str, Any]]:
        return [entry(number) for number in range(self.size)]

    def _file(self, name: str, make: Callable[[], Any]) -> str:
        path = self.folder / f"{name}-{self.size}.json"
        if not path.exists():
            path.write_text(json.dumps(make()))
        return str(path)

    @property
    def src(self) -> str:
        return self._file("src", self.entries)

    @property
    def data(self) -> str:
        return self._file("data", lambda: as_data(self.entries()))

    @property
    def manifests(self) -> str:
        """A folder with a ClusterStaticEntry in each file, which the controller manager reads without Kubernetes."""
        folder = self.folder / f"manifests-{self.size}"
        if not folder.exists():
            folder.mkdir()
            for number, one in enumerate(self.entries()):
                manifest = {
                    "apiVersion": "spire.spiffe.io/v1alpha1",
                    "kind": "ClusterStaticEntry",
                    "metadata": {"name": f"service-{number:06d}"},
                    "spec": {
                        "spiffeID": one["spiffe_id"],
                        "parentID": one["parent_id"],
                        "selectors": one["selectors"],
                        "x509SVIDTTL": f"{one['x509_svid_ttl']}s",
                    },
                }
                (folder / f"{number:06d}.yaml").write_text(json.dumps(manifest))
        return str(folder)


# Tasks


def task(server: Server, entries: EntrySet | None, **more: Any) -> dict[str, Any]:
    """A task of spire_entry for a set, or one with an empty list, which leaves the server alone."""
    options: dict[str, Any] = {"binary": server.binary, "socket_path": server.socket_path, "timeout": 600}
    if entries is None:
        options["entries"] = []
    else:
        options.update(src=entries.src, owner=OWNER, purge="owned")
    return {"trustmesh.spiffe.spire_entry": options, **more}


def play(folder: Path, tasks: Sequence[dict[str, Any]], changed: int, *options: str) -> list[float]:
    """Run tasks in one play on this host and return the seconds of each, as Ansible itself counts them.

    Ansible counts from the start of the task until its result is there. ``changed`` is how many of the tasks must
    report a change. Names of the tasks are replaced.
    """
    reports = folder / "junit"
    shutil.rmtree(reports, ignore_errors=True)
    named = [{**one, "name": f"measured-{number}"} for number, one in enumerate(tasks)]
    playbook = folder / "play.yml"
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": named}]))
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit",
        "ANSIBLE_NOCOLOR": "1",
        "JUNIT_OUTPUT_DIR": str(reports),
    }
    # By name, because the Python that runs this may have another environment's first on PATH.
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, *options, str(playbook)],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        check=False,
    )
    recap = re.search(r"changed=(\d+)", done.stdout)
    if done.returncode or recap is None:
        raise SystemExit(f"A measured task failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    if int(recap[1]) != changed:
        raise SystemExit(f"{recap[1]} measured tasks changed something, {changed} were expected to:\n{tasks}"[:3000])
    (report,) = reports.glob("*.xml")
    seconds = {}
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - our own report
        found = re.search(r"measured-(\d+)", case.get("name", ""))
        if found:
            seconds[int(found[1])] = float(case.get("time", 0))
    return [seconds[number] for number in range(len(tasks))]


# What Ansible hands to a module it gets here too, and beside it a file for what is to be told.
MODULE_PROGRAM = r"""
import atexit, functools, importlib, json, os, pathlib, re, runpy, sys, time
told, parts = {}, "ansible_collections.trustmesh.spiffe.plugins.module_utils."
def timed(owner, name, label):
    whole = getattr(owner, name)
    @functools.wraps(whole)
    def wrapper(*words, **more):
        began = time.perf_counter()
        try:
            return whole(*words, **more)
        finally:
            told[label] = told.get(label, 0) + time.perf_counter() - began
    setattr(owner, name, wrapper)
def tell():
    status = pathlib.Path("/proc/self/status").read_text()
    told["memory"] = int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024
    pathlib.Path(os.environ["BENCH_TOLD"]).write_text(json.dumps(told))
began = time.perf_counter()
run = importlib.import_module(parts + "_spire.entry.run")
told["imports"] = time.perf_counter() - began
timed(run, "read_entries", "reading src")
timed(run, "wanted_entries", "checking it")
timed(importlib.import_module(parts + "_process").LocalProcess, "run", "spire-server")
codec = importlib.import_module(parts + "_spire.codec")
timed(codec, "loads", "parsing its answer")
timed(importlib.import_module(parts + "_spire.entry.client"), "read_list", "reading the entries in it")
timed(run, "plan_present", "planning")
atexit.register(tell)
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def module_by_itself(folder: Path, options: dict[str, Any]) -> dict[str, float]:
    """Run the module without Ansible around it: the seconds of its parts, and the most ``memory`` it held, in MB."""
    told = folder / "told.json"
    done = subprocess.run(
        [sys.executable, "-c", MODULE_PROGRAM, str(ROOT / "plugins" / "modules" / "spire_entry.py")],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**options, "_ansible_diff": True}}),
        env={**os.environ, "PYTHONPATH": str(ROOT / ".ansible" / "collections"), "BENCH_TOLD": str(told)},
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"The module failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    parts: dict[str, float] = json.loads(told.read_text())
    return parts


# The controller manager

MANAGER_CONFIG = {
    "apiVersion": "spire.spiffe.io/v1alpha1",
    "kind": "ControllerManagerConfig",
    "clusterName": "bench",
    "clusterDomain": "cluster.local",
    "trustDomain": TRUST_DOMAIN,
    "entryIDPrefix": "manager",
    "reconcile": {"clusterStaticEntries": True},
    "metrics": {"bindAddress": "0"},
    "health": {"healthProbeBindAddress": "0"},
}


def controller_manager(program: str, server: Server, entries: EntrySet) -> float:
    """Return the seconds from the start of the controller manager to the end of its first pass over all entries."""
    config = server.folder / "manager.json"
    config.write_text(
        json.dumps(
            {**MANAGER_CONFIG, "spireServerSocketPath": server.socket_path, "staticManifestPath": entries.manifests}
        )
    )
    log = server.folder / "manager.log"
    began = time.monotonic()
    with log.open("wb") as out:
        # At this level it tells when a pass is over.
        process = subprocess.Popen(
            [program, "-config", str(config), "-zap-log-level", "2"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        with log.open("rb") as words:
            line = b""
            while not (line.endswith(b"\n") and b"Reconciliation finished" in line):
                line = b"" if line.endswith(b"\n") else line
                more = words.readline()
                line += more
                if not more:
                    if process.poll() is not None or time.monotonic() - began > 600:
                        raise SystemExit(f"The controller manager did not finish a pass; its log is {log}")
                    time.sleep(0.01)
        return time.monotonic() - began
    finally:
        process.terminate()
        process.wait()

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real spire-server and spire-agent processes on this host, and a way to run modules as Ansible does."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from peers import free_port
from playbook import ROOT, play

MODULES = ROOT / "plugins" / "modules"
TRUST_DOMAIN = "example.org"
LONGEST = ["machine_envoy", "istio_install", "machine", "spire_authority_peers", "k8s", "spire_authority"]
"""The files that take longest. Side by side they are run first: one of them at the end would be waited for alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = item.path.stem.removeprefix("test_")
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


def binary(name: str) -> str:
    """Return the path of a program. The tests need the real ones, so a missing one is a failure."""
    folder = os.environ.get("TRUSTMESH_BIN_DIR")
    if not folder:
        pytest.fail("TRUSTMESH_BIN_DIR is not set: it names the folder that holds spire-server and the other programs.")
    path = Path(folder).resolve() / name  # some are started from other folders
    if not os.access(path, os.X_OK):
        pytest.fail(f"{path} is missing or not executable. These tests need the real program.")
    return str(path)


def wait_until(what: str, condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait until ``condition`` gives something true, and return that."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: did not happen within {seconds:g} s")


@dataclass
class Server:
    """A running spire-server."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    env: dict[str, str] = field(default_factory=dict)

    @property
    def socket_path(self) -> str:
        return str(self.folder / "api.sock")

    @property
    def client(self) -> SpireServer:
        return SpireServer(LocalProcess(), binary("spire-server"), self.socket_path, 30)

    @property
    def connection(self) -> dict[str, Any]:
        return {"binary": binary("spire-server"), "socket_path": self.socket_path}

    def cli(self, *words: str, stdin: str | None = None) -> Any:
        """Run spire-server by hand, as an operator beside us would."""
        argv = [binary("spire-server"), *words, "-socketPath", self.socket_path, "-output", "json"]
        return json.loads(subprocess.run(argv, input=stdin, text=True, check=True, capture_output=True).stdout)

    def start(self) -> None:
        log = (self.folder / "server.log").open("ab")
        argv = [binary("spire-server"), "run", "-config", str(self.folder / "server.conf")]
        environment = {**os.environ, **self.env}
        self.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
        check = [binary("spire-server"), "healthcheck", "-socketPath", self.socket_path]
        wait_until(
            f"spire-server becomes healthy (log: {self.folder}/server.log)",
            lambda: subprocess.run(check, check=False, capture_output=True).returncode == 0,
        )

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def running_server(
    agent_ttl: str = "1h",
    trust_domain: str = TRUST_DOMAIN,
    extra: str = "",
    env: dict[str, str] | None = None,
    plugins: str = "",
) -> Iterator[Server]:
    """A running server.

    ``extra`` goes into the server block of its configuration, ``plugins`` beside its plugins, ``env`` into its
    environment.
    """
    # A short path: a socket's path may have 108 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="tm-", dir="/tmp"))
    server = Server(folder, free_port(), env=env or {})
    (folder / "server.conf").write_text(
        f"""
        server {{
          bind_address = "127.0.0.1"
          bind_port = "{server.port}"
          trust_domain = "{trust_domain}"
          data_dir = "{folder}"
          socket_path = "{server.socket_path}"
          ca_ttl = "24h"
          agent_ttl = "{agent_ttl}"
          {extra}
        }}
        plugins {{
          DataStore "sql" {{
            plugin_data {{
              database_type = "sqlite3"
              connection_string = "{folder}/datastore.sqlite3"
            }}
          }}
          KeyManager "disk" {{ plugin_data {{ keys_path = "{folder}/keys.json" }} }}
          NodeAttestor "join_token" {{ plugin_data {{}} }}
          {plugins}
        }}
        """
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


@contextlib.contextmanager
def running_agent(
    server: Server,
    token: str,
    name: str = "agent",
    attestor: str = 'NodeAttestor "join_token" { plugin_data {} }',
    extra: str = "",
) -> Iterator[subprocess.Popen[bytes]]:
    """A spire-agent that joins ``server`` with the token in a file, and with the server's bundle pinned.

    Without a token it attests by the plugin ``attestor``. ``extra`` goes into the agent block of its configuration.
    """
    folder = server.folder / name
    folder.mkdir(exist_ok=True)
    (folder / "bundle.pem").write_text(show_bundle(server.client).pem)
    (folder / "token").write_text(token)
    (folder / "token").chmod(0o600)
    (folder / "agent.conf").write_text(
        f"""
        agent {{
          data_dir = "{folder}"
          socket_path = "{folder}/agent.sock"
          server_address = "127.0.0.1"
          server_port = "{server.port}"
          trust_domain = "{TRUST_DOMAIN}"
          trust_bundle_path = "{folder}/bundle.pem"
          {f'join_token_file = "{folder}/token"' if token else ""}
          {extra}
        }}
        plugins {{
          KeyManager "disk" {{ plugin_data {{ directory = "{folder}" }} }}
          {attestor}
          WorkloadAttestor "unix" {{ plugin_data {{}} }}
        }}
        """
    )
    log = (folder / "agent.log").open("ab")
    argv = [binary("spire-agent"), "run", "-config", str(folder / "agent.conf")]
    agent = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield agent
    finally:
        agent.kill()
        agent.wait()


def through(server: Server, folder: Path) -> dict[str, Any]:
    """The connection through the stand-in for kubectl, which notes what it was called with."""
    path = folder / "kubectl"
    path.write_text(
        "#!/bin/sh\n"
        f'echo "$*" >> {folder}/calls\n'
        f'case " $* " in *" exec "*) ;; *) exec {binary("kubectl")} "$@";; esac\n'
        'while [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n'
    )
    path.chmod(0o755)
    return {**server.connection, "kubectl": str(path)}


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def run_module(name: str, args: dict[str, Any], check: bool = False, diff: bool = True) -> dict[str, Any]:
    """Run a module as a process with its arguments as JSON on standard input, as Ansible's own wrapper hands them."""
    with start_module(name, args, check, diff) as module:
        out, err = module.communicate()
    assert out.strip(), err
    result: dict[str, Any] = json.loads(out)
    if not result.get("failed"):
        wrong = list(differences({key: value for key, value in result.items() if key not in COMMON}, documented(name)))
        assert not wrong, f"{name} and its documentation (RETURN) differ: {wrong}"
    return result


# What Ansible adds to every result, and to one that names a file as dest or path.
COMMON = {"changed", "diff", "warnings", "deprecations", "invocation", "exception"}
COMMON |= {"uid", "gid", "owner", "group", "mode", "size", "state", "secontext"}
TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool, "list": list, "dict": dict}


@cache
def documented(module: str) -> dict[str, Any]:
    """What a module's documentation says of the values that it returns."""
    source = (MODULES / f"{module}.py").read_text()
    values: dict[str, Any] = yaml.safe_load(source.partition('RETURN = r"""')[2].partition('"""')[0])
    for returned in values.values():
        _spell_out(returned, values)
    return values


# A value that is described elsewhere: «in the form of RV(bundle)», «… of RV(namespace.name.module#module:bundle),
# without its C(pem) and C(spiffe)».
LIKE = re.compile(r"in the form of RV\((?:trustmesh\.spiffe\.(\w+)#module:)?(\w+)\)(?:,\s+without its ([^.]*))?")


def _spell_out(field: dict[str, Any], values: dict[str, Any]) -> None:
    """Put the fields of a value that is only named in the place of its name, also below ``contains``."""
    words = field.get("description", "")
    found = LIKE.search(" ".join(words) if isinstance(words, list) else words)
    if found:
        there = documented(found[1]) if found[1] else values
        without = re.findall(r"C\((\w+)\)", found[3] or "")
        field["contains"] = {name: told for name, told in there[found[2]]["contains"].items() if name not in without}
    for inner in (field.get("contains") or {}).values():
        _spell_out(inner, values)


def differences(values: dict[str, Any], fields: dict[str, Any], place: str = "") -> Iterator[str]:
    """Where values are not what the documentation says of them."""
    for name in values.keys() - fields.keys():
        yield f"{place}{name} is not documented"
    for name, said in fields.items():
        if name not in values:
            if said["returned"] == "always":
                yield f"{place}{name} is missing"
            continue
        value = values[name]
        if value is not None and not isinstance(value, TYPES[said["type"]]):
            yield f"{place}{name} is {value!r}, and not of the type {said['type']}"
        for one in value if isinstance(value, list) else [value]:
            if "contains" in said and isinstance(one, dict):
                yield from differences(one, said["contains"], f"{place}{name}.")


def start_module(name: str, args: dict[str, Any], check: bool = False, diff: bool = True) -> subprocess.Popen[str]:
    """Start a module as :func:`run_module` does, and leave it running."""
    internal = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_verbosity": 4}
    with tempfile.TemporaryFile("w+") as given:
        json.dump({"ANSIBLE_MODULE_ARGS": {**args, **internal}}, given)
        given.seek(0)
        argv = [sys.executable, str(MODULES / f"{name}.py")]
        return subprocess.Popen(argv, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_playbook(tasks: list[dict[str, Any]], folder: Path, *words: str, **keywords: Any) -> str:
    """Run ``tasks`` on this host as a user does, with more words of the command line and more keywords of the play.

    Returns all that was printed. Raises when they fail.
    """
    done = play([{"hosts": "localhost", "tasks": tasks, **keywords}], folder, *words)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def example_tasks(
    module: str, server: Server, texts: Mapping[str, str], others: Mapping[str, Server] | None = None
) -> list[dict[str, Any]]:
    """The examples in a module's documentation, for ``server``; ``texts`` are replaced in them.

    An example for a cluster whose kubeconfig is in ``others`` gets that server.
    """
    text = (MODULES / f"{module}.py").read_text().partition('EXAMPLES = r"""')[2].partition('"""')[0]
    for there, here in texts.items():
        text = text.replace(there, here)
    # An example is a task, or a play of several.
    tasks: list[dict[str, Any]] = [task for item in yaml.safe_load(text) for task in item.get("tasks", [item])]
    for task in tasks:
        for action in [name for name in task if name.startswith("trustmesh.spiffe.spire_")]:
            options = task[action] or {}
            there = (others or {}).get(options.pop("kubeconfig", ""), server)
            options.pop("pod", None)
            task[action] = {**options, **there.connection}
            for peer in options.get("peers", []):
                peer.update((others or {}).get(peer.pop("kubeconfig", ""), server).connection)
                peer.pop("pod", None)
    return tasks

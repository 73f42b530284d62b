# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CA that two real servers share, and its rotation as the role does it, stopped at every step and run again."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import Expectation, judge, load_pem
from cryptography.hazmat.primitives.serialization import Encoding
from playbook import play

from .conftest import Server, binary, run_module, running_agent, running_server, start_module, wait_until
from .kubernetes_api import Api, running_api

NODE, CART = "spiffe://example.org/node/blue", "spiffe://example.org/cart"
FAKE = Path(__file__).with_name("fake_kubectl.py")


def run(check: bool = False, **options: Any) -> dict[str, Any]:
    result = run_module("spire_upstream_ca", {"trust_domain": "example.org", **options}, check=check)
    assert not result.get("failed"), result
    assert "PRIVATE KEY" not in json.dumps(result)
    return result


def verbs(result: dict[str, Any]) -> list[str]:
    return [action["verb"] for action in result["actions"]]


def failure(**options: Any) -> str:
    result = run_module("spire_upstream_ca", {"trust_domain": "example.org", **options})
    assert result.get("failed"), result
    return str(result["msg"])


# The Secret, at a real API server


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with running_api() as one:
        yield one


def test_the_secret_is_made_once_healed_and_restored_from(api: Api, tmp_path: Path) -> None:
    wanted = {
        "path": str(tmp_path / "ca"),
        "secret_name": "ca",
        "namespace": "one",
        "scenario": "tests",
        "pod": "statefulset/spire-server",
        "kubeconfig": api.kubeconfig,
        "kubectl": binary("kubectl"),
    }
    check = run(check=True, **wanted)
    assert check["changed"]
    assert not (tmp_path / "ca").exists()
    first = run(**wanted)
    assert verbs(first) == verbs(check) == ["make", "apply"]
    assert not run(**wanted)["changed"]
    ca = first["upstream_ca"]
    assert 363 <= ca["days_left"] <= 365
    secret = api.get("secret", "ca", "-n", "one")
    labels = secret["metadata"]["labels"]
    assert labels["trustmesh.io/role"] == "upstream_ca"
    assert labels["trustmesh.io/scenario"] == "tests"
    assert "annotations" not in secret["metadata"], "a client's apply would have left a copy of the key here"
    assert api.get("namespace", "one")["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "trustmesh.spiffe"

    # Somebody changed it.
    api.patch("secret", "ca", "-n", "one", body={"data": {"tls.key": base64.b64encode(b"x").decode()}})
    healed = run(**wanted)
    assert verbs(healed) == ["apply"]
    assert healed["diff"]["after"]["secret"]["sha256"] == ca["sha256"]
    assert api.get("secret", "ca", "-n", "one")["data"] == secret["data"]

    # The folder was lost, such as with the build folder of a clone.
    (tmp_path / "ca").rename(tmp_path / "lost")
    back = run(**wanted)
    assert verbs(back) == ["restore"]
    assert back["upstream_ca"]["authority_id"] == ca["authority_id"]
    assert (tmp_path / "ca/current/tls.key").read_bytes() == (tmp_path / "lost/current/tls.key").read_bytes()
    assert not run(**wanted)["changed"]

    gone = run(**wanted, state="absent")
    assert verbs(gone) == ["withdraw"]
    assert (tmp_path / "ca").exists()
    assert not run(**wanted, state="absent")["changed"]
    assert run(**wanted, state="absent", purge=True)["changed"]
    assert not (tmp_path / "ca").exists()
    assert not run(**wanted, state="absent", purge=True)["changed"]


def test_a_pod_is_told_that_the_secret_changed(api: Api, tmp_path: Path) -> None:
    wanted = {
        "path": str(tmp_path / "ca"),
        "secret_name": "ca",
        "namespace": "two",
        "pod": "statefulset/spire-server",
        "kubeconfig": api.kubeconfig,
        "kubectl": binary("kubectl"),
    }
    first = run(**wanted)["upstream_ca"]["authority_id"]
    labels = {"app": "spire-server"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    stateful = {"selector": {"matchLabels": labels}, "serviceName": "a", "template": pod}
    for made in (
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "spire-server"}, "spec": stateful},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "spire-server-0", "labels": labels},
            "spec": pod["spec"],
        },
    ):
        api.kubectl("apply", "-n", "two", "-f", "-", stdin=json.dumps(made))

    def told() -> str:
        annotations = api.get("pod", "spire-server-0", "-n", "two")["metadata"].get("annotations") or {}
        return str(annotations.get("trustmesh.io/upstream-ca", ""))

    assert not run(**wanted)["changed"], "it came after the Secret"
    (tmp_path / "ca").rename(tmp_path / "gone")
    api.kubectl("delete", "secret", "ca", "-n", "two")
    check, real = run(check=True, **wanted), run(**wanted)
    assert verbs(real) == ["make", "apply", "annotate"]
    assert verbs(check) == ["make", "apply", "annotate"]
    assert told() == real["upstream_ca"]["authority_id"] != first
    assert not run(**wanted)["changed"]


def test_a_secret_of_somebody_else_is_left_alone(api: Api, tmp_path: Path) -> None:
    api.kubectl("create", "secret", "generic", "mine", "--from-literal=a=b")
    options = {
        "path": str(tmp_path / "ca"),
        "secret_name": "mine",
        "namespace": "default",
        "kubeconfig": api.kubeconfig,
        "kubectl": binary("kubectl"),
    }
    assert "did not make" in failure(**options)
    assert not (tmp_path / "ca").exists()
    assert not run(**options, state="absent")["changed"]
    assert api.get("secret", "mine")["data"]["a"]


def test_many_at_once_make_one_ca(tmp_path: Path) -> None:
    options = {"trust_domain": "example.org", "path": str(tmp_path / "ca")}
    started = [start_module("spire_upstream_ca", options) for _number in range(6)]
    results = [json.loads(one.communicate()[0]) for one in started]
    assert len({result["upstream_ca"]["authority_id"] for result in results}) == 1
    assert sorted(path.name for path in (tmp_path / "ca").iterdir()) == ["current"]


# The rotation, with two real servers


@dataclass
class Cluster:
    """A folder in the place of a cluster, and its server."""

    folder: Path
    server: Server
    agents: list[Any] = field(default_factory=list)

    def stop_at(self, words: str) -> None:
        (self.folder / "stop").write_text(words)

    def roots(self) -> set[str]:
        return {one.der.hex() for one in show_bundle(self.server.client).x509_authorities}

    def slots(self) -> dict[str, Any]:
        found: dict[str, Any] = self.server.cli("localauthority", "x509", "show")
        return found

    def upstream(self) -> str:
        return str(self.slots()["active"]["upstream_authority_subject_key_id"])


@dataclass
class Estate:
    """Two clusters under one CA."""

    folder: Path
    clusters: dict[str, Cluster] = field(default_factory=dict)

    @property
    def ca(self) -> Path:
        return self.folder / "ca"

    def rotate(self, *words: str, good: bool = True, **variables: Any) -> str:
        hosts = {
            name: {
                "upstream_ca_access": {"kubectl": str(self.folder / "kubectl"), "kubeconfig": f"{one.folder}/config"}
            }
            for name, one in self.clusters.items()
        }
        given = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "upstream_ca_dir": str(self.ca),
            "upstream_ca_propagation": 1,
            "upstream_ca_settle": 0,
            "upstream_ca_timeout": 30,
            "upstream_ca_renewal_timeout": 60,
            "trustmesh_trust_domain": "example.org",
            "trustmesh_scenario": "tests",
            **variables,
        }
        (self.folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": given}}))
        role = {"name": "trustmesh.spiffe.upstream_ca", "tasks_from": "rotate", "rolespec_validate": False}
        one = {"hosts": "all", "any_errors_fatal": True, "tasks": [{"ansible.builtin.import_role": role}]}
        done = play([one], self.folder, "-i", "hosts.json", "--diff", *words, FAKE_SPIRE_SERVER=binary("spire-server"))
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == good, said
        key = (self.ca / "current/tls.key").read_text().splitlines()[1]
        calls = "".join((cluster.folder / "calls").read_text() for cluster in self.clusters.values())
        assert key not in said + calls
        assert "PRIVATE" not in said + calls
        return " ".join(said.split())  # a long message is broken into lines

    def current(self) -> str:
        return str(run(path=str(self.ca))["upstream_ca"]["authority_id"])


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    made = Estate(tmp_path)
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    program.chmod(0o755)
    with contextlib.ExitStack() as stack:
        for name in ("foo", "bar"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "calls").touch()
            options = {"kubectl": str(program), "kubeconfig": f"{folder}/config", "secret_name": "spire-upstream-ca"}
            run(path=str(made.ca), **options)
            (folder / "files").mkdir()
            for key, text in json.loads((folder / "secret.json").read_text())["data"].items():
                (folder / "files" / key).write_bytes(base64.b64decode(text))
            (folder / "files").rename(folder / "first")
            (folder / "files").symlink_to(folder / "first")
            paths = {"cert": "tls.crt", "key": "tls.key", "bundle": "ca.crt"}
            data = " ".join(f'{key}_file_path = "{folder}/files/{file}"' for key, file in paths.items())
            plugin = f'UpstreamAuthority "disk" {{ plugin_data {{ {data} }} }}'
            server = stack.enter_context(running_server(plugins=plugin))
            (folder / "socket").write_text(server.socket_path)
            made.clusters[name] = Cluster(folder, server)
        yield made


def finished(estate: Estate, old: str) -> None:
    """Both servers stand under the new CA and know no other one."""
    new = estate.current()
    assert new != old
    root = load_pem((estate.ca / "current/ca.crt").read_text())[0]
    for cluster in estate.clusters.values():
        assert cluster.upstream() == new
        (trusted,) = show_bundle(cluster.server.client).x509_authorities
        assert trusted.der == root.public_bytes(Encoding.DER)
    assert sorted(path.name for path in estate.ca.iterdir()) == ["current"]


class Workload(threading.Thread):
    """Fetches its SVID again and again, and judges it by what the servers of both clusters trust then."""

    def __init__(self, server: Server, everybody: list[Server], folder: Path) -> None:
        super().__init__(daemon=True)
        self.server, self.everybody, self.folder = server, everybody, folder
        self.done = threading.Event()
        self.problems: list[str] = []
        self.serials: set[int] = set()
        self.longest = 0

    def fetch(self) -> bool:
        argv = [binary("spire-agent"), "api", "fetch", "x509", "-write", str(self.folder)]
        argv += ["-socketPath", str(self.server.folder / "agent" / "agent.sock")]
        return subprocess.run(argv, check=False, capture_output=True).returncode == 0

    def run(self) -> None:
        while not self.done.is_set():
            if not self.fetch():
                self.problems.append(f"{time.monotonic():.1f}: no SVID could be fetched")
            chain = load_pem((self.folder / "svid.0.pem").read_text())
            self.longest = max(self.longest, len(chain))
            for server in self.everybody:
                now = datetime.datetime.now(datetime.timezone.utc)
                judgement = judge(chain, Expectation(CART, load_pem(show_bundle(server.client).pem)), now)
                self.problems += [f"{time.monotonic():.1f}: {problem}" for problem in judgement.problems]
            self.serials.add(chain[0].serial_number)
            self.done.wait(0.2)


def test_workloads_of_both_clusters_are_believed_by_both_at_every_moment(estate: Estate, tmp_path: Path) -> None:
    old = estate.current()
    servers = [cluster.server for cluster in estate.clusters.values()]
    with contextlib.ExitStack() as stack:
        workloads = []
        for name, cluster in estate.clusters.items():
            entry = ["-spiffeID", CART, "-parentID", NODE, "-selector", f"unix:uid:{os.getuid()}"]
            cluster.server.cli("entry", "create", *entry)
            token = generate_token(cluster.server.client, NODE, 60).value
            stack.enter_context(running_agent(cluster.server, token))
            (tmp_path / f"svid-{name}").mkdir()
            workloads.append(Workload(cluster.server, servers, tmp_path / f"svid-{name}"))
            wait_until("the workload gets its SVID", workloads[-1].fetch, 40)
        check = estate.rotate("--check", upstream_ca_propagation=8)
        assert "from " + old + " to (new): prepare a CA by the new one" in check
        assert estate.current() == old
        assert "changed=2" in check
        for workload in workloads:
            workload.start()
        estate.rotate(upstream_ca_propagation=8, upstream_ca_settle=4)
        for workload in workloads:
            workload.done.set()
            workload.join()
        finished(estate, old)
        for workload in workloads:
            assert workload.problems == []
            assert len(workload.serials) > 1, "the workload still has its first SVID"
            assert workload.longest == 3, "leaf, SPIRE's own CA, and the root"


# A call of kubectl of one cluster, before which (with a !) or after which it is gone, in the order of a rotation. The
# other cluster goes on to the end of the step.
STEPS = (
    ("foo", "!localauthority x509 show"),
    ("bar", "!bundle show"),
    ("bar", "!apply --server-side"),
    ("bar", "apply --server-side"),
    ("foo", "!localauthority x509 prepare"),
    ("foo", "localauthority x509 prepare"),
    ("bar", "!localauthority x509 activate"),
    ("bar", "localauthority x509 activate"),
    ("foo", "!upstreamauthority taint"),
    ("foo", "upstreamauthority taint"),
    ("bar", "!upstreamauthority revoke"),
    ("bar", "upstreamauthority revoke"),
)


@pytest.mark.thorough
def test_a_rotation_that_is_stopped_at_each_step_goes_on(estate: Estate) -> None:
    old = estate.current()
    ids = set()
    for number, (name, words) in enumerate(STEPS):
        estate.clusters[name].stop_at(words)
        said = estate.rotate(good=False)
        assert "switched off by the test" in said or "cannot be reached" in said or "not be reached" in said, said
        (estate.clusters[name].folder / "stop").unlink()
        new = estate.current()
        if new != old:
            ids.add(new)
        assert (number > 1) == (estate.ca / "previous").exists(), "nothing is done before each server has answered"
        assert len(ids) <= 1, "one rotation makes one CA"
    estate.rotate()
    finished(estate, old)


@pytest.mark.thorough
def test_a_site_run_in_the_middle_brings_the_new_ca(estate: Estate) -> None:
    old = estate.current()
    estate.clusters["foo"].stop_at("!apply --server-side")
    estate.rotate(good=False)
    (estate.clusters["foo"].folder / "stop").unlink()
    for cluster in estate.clusters.values():
        options = {"kubectl": str(estate.folder / "kubectl"), "kubeconfig": f"{cluster.folder}/config"}
        brought = run(path=str(estate.ca), secret_name="spire-upstream-ca", **options)["upstream_ca"]
        assert brought["authority_id"] == estate.current() != old
        assert brought["rotating"]
    estate.rotate()
    finished(estate, old)


@pytest.mark.thorough
def test_a_server_that_lost_the_old_slot_is_led_back_and_forth(estate: Estate) -> None:
    old = estate.current()
    estate.clusters["bar"].stop_at("!upstreamauthority taint")
    estate.rotate(good=False)
    (estate.clusters["bar"].folder / "stop").unlink()
    # What the server does by itself after half of the life of its CA, and before anybody has tainted the old one.
    estate.clusters["bar"].server.cli("localauthority", "x509", "prepare")
    said = estate.rotate()
    assert "go back to the old CA and forth again" in said
    finished(estate, old)


@pytest.mark.thorough
def test_the_servers_of_own_files_are_rotated_and_nothing_is_copied(estate: Estate, tmp_path: Path) -> None:
    old = estate.current()
    run(path=str(tmp_path / "other"))
    files = {
        "upstream_ca_certificate": str(tmp_path / "other/current/tls.crt"),
        "upstream_ca_key": str(tmp_path / "other/current/tls.key"),
    }
    estate.rotate(**files)
    assert not (estate.ca / "previous").exists()
    for cluster in estate.clusters.values():
        assert cluster.upstream() == run(path=str(tmp_path / "other"))["upstream_ca"]["authority_id"] != old
        assert len(cluster.roots()) == 1
    assert "nothing, it knows the new one only" in estate.rotate(**files)
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "other/current/tls.crt").read_text() + (estate.ca / "current/tls.crt").read_text())
    # Back to the first one, with the root that has to go left in the bundle.
    (tmp_path / "mine.key").write_text((estate.ca / "current/tls.key").read_text())
    (tmp_path / "mine.key").chmod(0o600)
    (tmp_path / "mine.pem").write_text((estate.ca / "current/tls.crt").read_text())
    wrong = {"upstream_ca_certificate": str(tmp_path / "mine.pem"), "upstream_ca_key": str(tmp_path / "mine.key")}
    assert "would come back" in estate.rotate(good=False, **wrong, upstream_ca_bundle=str(both))

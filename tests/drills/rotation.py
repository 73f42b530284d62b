# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotate the authorities of a scenario that is up, under traffic, and count what fails: nothing has to.

Requests from sleep are counted: with a new connection each, on one that is kept, and in federation by its sidecar. In
mithril also pods that the API server asks istiod's webhook about, and handshakes with istiod as a proxy makes them, by
the root that lies in a proxy's pod at that moment. `make drill_rotation` runs it on clusters named tm-drill-*.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOAD = (ROOT / "tests" / "drills" / "load.py").read_text()
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "asked-about", "namespace": "default", "labels": {"sidecar.istio.io/inject": "true"}},
    "spec": {"containers": [{"name": "one", "image": "none.example/none:1"}]},
}
HANDSHAKE = """
import socket, ssl, sys
context = ssl.create_default_context(cadata=sys.stdin.read())
place = ("istiod.istio-system.svc", 15012)
with socket.create_connection(place, 5) as plain, context.wrap_socket(plain, server_hostname=place[0]) as secure:
    secure.getpeercert()
"""


@dataclass(frozen=True)
class Scenario:
    """What is rotated by which playbook, and what is asked meanwhile."""

    playbook: str
    client: str
    """The host on which sleep is."""
    requests: Mapping[str, tuple[str, ...]]
    """What load.py is given, by what is counted."""
    istiod: str = ""
    """The host whose istiod is asked, too."""
    options: tuple[str, ...] = ()
    """More for the playbook."""


PAGE = "https://app.example.org:8000/productpage"
HELLO = "https://helloworld.bar.example:8443/hello"
SCENARIOS = {
    "mithril": Scenario(
        "rotate_upstream_ca",
        "foo",
        {"new connections": ("new", PAGE), "a kept connection": ("kept", PAGE)},
        istiod="bar",
    ),
    "federation": Scenario(
        "rotate_authorities",
        "foo-cluster",
        {
            "new connections": ("new", HELLO, "federated/bar.example.pem"),
            "a kept connection": ("kept", HELLO, "federated/bar.example.pem"),
            "to v1 and v2": ("new", "http://helloworld.helloworld:5000/hello"),
            "to a page of both": ("new", "http://productpage.bookinfo:9080/productpage"),
        },
        # The clusters of a drill have just been made.
        options=("-e", "spire_server_rotate_older_than=60"),
    ),
}


class Clusters:
    """The clusters of an instance, by kubectl."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self.build = ROOT / "build" / instance

    def kubectl(self, host: str, *argv: str) -> list[str]:
        kubeconfig = self.build / "clusters" / f"{self.instance}-{host}.kubeconfig"
        return [str(self.build / "bin" / "kubectl"), "--kubeconfig", str(kubeconfig), *argv]

    def call(self, host: str, *argv: str, said: str = "") -> str:
        """Call kubectl and return what it says, or raise an error with its last words."""
        done = subprocess.run(
            self.kubectl(host, *argv), input=said, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise OSError(done.stderr.strip()[-300:])
        return done.stdout


class Counter(threading.Thread):
    """Does one thing after the other until it is told to stop."""

    def __init__(self, name: str, act: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self.act = act
        self.ended = threading.Event()
        self.result: dict[str, object] = {}

    def run(self) -> None:
        answered, reasons = 0, []
        while not self.ended.is_set():
            try:
                self.act()
                answered += 1
            except (OSError, subprocess.TimeoutExpired) as error:
                reasons.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {error}")
            self.ended.wait(0.5)
        self.result = {"answered": answered, "failed": len(reasons), "first": reasons[:5]}


def requests_of(clusters: Clusters, host: str, asked: tuple[str, ...]) -> subprocess.Popen[str]:
    """Start asking from the pod of sleep, wherever it is."""
    namespace = clusters.call(
        host,
        "get",
        "deployment",
        "-A",
        "--field-selector=metadata.name=sleep",
        "-o",
        "jsonpath={.items[0].metadata.namespace}",
    )
    program = ["python3", "-c", LOAD, *asked]
    argv = clusters.kubectl(host, "-n", namespace, "exec", "-i", "deploy/sleep", "-c", "sleep", "--", *program)
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def greet_istiod(clusters: Clusters, host: str) -> None:
    """Make the handshake of a proxy that comes back to istiod."""
    root = clusters.call(
        host, "exec", "deploy/productpage", "-c", "istio-proxy", "--", "cat", "/var/run/secrets/istio/root-cert.pem"
    )
    clusters.call(host, "-n", "outside", "exec", "-i", "deploy/outsider", "--", "python3", "-c", HANDSHAKE, said=root)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("scenario", nargs="?", default="mithril", choices=SCENARIOS)
    parser.add_argument("--instance", default="tm-drill", help="whose clusters these are (default: %(default)s)")
    parser.add_argument(
        "--kill-after", type=float, nargs="*", default=[], help="seconds after which it is killed, in turn"
    )
    asked = parser.parse_args()
    clusters = Clusters(asked.instance)
    scenario = SCENARIOS[asked.scenario]
    pods = {name: requests_of(clusters, scenario.client, words) for name, words in scenario.requests.items()}
    counters = counters_of(clusters, scenario.istiod) if scenario.istiod else []
    for counter in counters:
        counter.start()
    began = time.monotonic()
    code = rotate(asked.scenario, asked.instance, asked.kill_after)
    took = time.monotonic() - began
    time.sleep(5)  # what is wrong now would be seen by the next requests
    for counter in counters:
        counter.ended.set()
    results: dict[str, dict[str, object]] = {}
    for name, pod in pods.items():
        out, err = pod.communicate("")
        results[f"requests, {name}"] = json.loads(out) if out else {"failed": 1, "first": [err[-300:]]}
    for counter in counters:
        counter.join()
        results[counter.name] = counter.result
    print(f"the playbook ended with {code} after {took:.0f} s")
    for name, result in results.items():
        print(f"{name:<28} {result.get('answered', 0):>6} answered, {result['failed']} failed  {result['first'] or ''}")
    return int(code != 0 or any(result["failed"] or not result.get("answered") for result in results.values()))


def counters_of(clusters: Clusters, host: str) -> list[Counter]:
    """What is asked of istiod."""
    dry_run = ("create", "--dry-run=server", "-f", "-")
    return [
        Counter("webhook", lambda: clusters.call(host, *dry_run, said=json.dumps(POD))),
        Counter("istiod", lambda: greet_istiod(clusters, host)),
    ]


def rotate(scenario: str, instance: str, moments: list[float]) -> int:
    """Run the playbook, killed at each of the moments and then to its end. Return its exit code."""
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    argv = ["ansible-playbook", f"playbooks/{SCENARIOS[scenario].playbook}.yml", "-i", f"inventories/{scenario}"]
    argv += ["-e", f"trustmesh_scenario={scenario}", "-e", f"trustmesh_instance={instance}"]
    argv += SCENARIOS[scenario].options
    for moment in moments:
        run = subprocess.Popen(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
        time.sleep(moment)
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        print(f"killed after {moment:g} s", flush=True)
    return subprocess.run(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

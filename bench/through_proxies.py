# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests through the proxy and the backend's Envoy of front_proxy, against plain HTTP to the same program.

The scenario is set up on clusters named tm-bench-*, and beside it the backend's program once more, in plain HTTP. The
generator asks both over kept connections, in turn. Prints requests per second, latencies, and the processor time of the
two Envoys and of the programs for each request, and writes the ratios to build/tm-bench/through_proxies.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import load
from from_nothing import BUILD, FILES, SCENARIOS, Scenario, ask, environment, kubeconfig, playbook, tear_down

FRONT_PROXY = SCENARIOS["front_proxy"]
(FRONT,) = FRONT_PROXY.clusters
WAYS: dict[str, dict[str, Any]] = {
    "through both Envoys": {"host": "example.com", "port": 443, "files": FILES},
    "plain HTTP": {"host": "plain.plain", "port": 8080},
}
CONTAINERS = {
    "proxy": ("proxy", "envoy"),
    "backend's Envoy": ("backend", "envoy"),
    "backend": ("backend", "backend"),
    "plain": ("plain", "plain"),
}
"""Whose processor time is told: namespace and container."""


def kubectl(*words: str, stdin: str | None = None) -> str:
    """Run a command about the bench's cluster, and return what it prints."""
    argv = ["kubectl", "--kubeconfig", kubeconfig(FRONT, "clusters"), *words]
    if stdin is None:
        return ask(*argv)
    return subprocess.run(argv, env=environment(), check=True, capture_output=True, text=True, input=stdin).stdout


def add_plain() -> None:
    """The backend's program once more, as it is, and nobody in front of it."""
    backend = json.loads(kubectl("-n", "backend", "get", "deployment", "backend", "-o", "json"))
    (program,) = (one for one in backend["spec"]["template"]["spec"]["containers"] if one["name"] == "backend")
    labels = {"app": "plain"}
    container = {
        **{key: program[key] for key in ("image", "imagePullPolicy", "command", "resources", "securityContext")},
        "name": "plain",
        "args": ["--address=", "--port=8080"],
    }
    meta = {"name": "plain", "namespace": "plain"}
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "plain"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": [{"port": 8080}]},
        },
    ]
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    kubectl("-n", "plain", "rollout", "status", "deployment/plain", "--timeout=120s")


def processor_seconds() -> dict[str, float]:
    """The processor time that each container has used by now. The kubelet looks every ten seconds or so."""
    now = datetime.datetime.now(datetime.timezone.utc)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{FRONT}-control-plane/proxy/stats/summary"))
        found = {
            name: one["cpu"]
            for name, (namespace, container) in CONTAINERS.items()
            for pod in told["pods"]
            for one in pod.get("containers") or []
            if (pod["podRef"]["namespace"], one["name"]) == (namespace, container)
        }
        seen = [datetime.datetime.fromisoformat(cpu["time"].replace("Z", "+00:00")) for cpu in found.values()]
        if len(found) == len(CONTAINERS) and min(seen) > now:
            return {name: cpu["usageCoreNanoSeconds"] / 1e9 for name, cpu in found.items()}
        time.sleep(0.5)
    raise SystemExit("The kubelet has told no processor time for a minute.")


def measured(way: str, connections: int, seconds: float) -> dict[str, Any]:
    """Let the generator ask one way, and return what it counted, with milliseconds of processor time a request."""
    argv = [
        "kubectl",
        "--kubeconfig",
        kubeconfig(FRONT, "clusters"),
        "-n",
        "cert-gen",
        "exec",
        "-i",
        "deploy/generator",
    ]
    before = processor_seconds()
    asked = {**WAYS[way], "path": "/", "holds": "served_by", "connections": connections, "seconds": seconds}
    counted = load.measured([*argv, "-c", "generator", "--"], environment(), asked)
    after = processor_seconds()
    used = {name: 1000 * (after[name] - before[name]) / max(counted["answered"], 1) for name in CONTAINERS}
    return {**counted, "cpu_ms": {name: round(value, 3) for name, value in used.items() if value > 0.01}}


def race(scenario: Scenario, engine: str, rounds: int, connections: int, seconds: float) -> dict[str, list[Any]]:
    """Set the scenario up, measure both ways in turn, and take it down."""
    tear_down(scenario, engine)
    playbook(scenario, scenario.name)
    add_plain()
    found: dict[str, list[Any]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS if number % 2 == 0 else reversed(WAYS):
            found[way].append(measured(way, connections, seconds))
            print(f"round {number + 1} of {rounds}, {way}: {found[way][-1]}", flush=True)
    tear_down(scenario, engine)
    playbook(scenario, "teardown")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often both are measured (default: 3)")
    parser.add_argument("--connections", type=int, default=8, help="how many at a time (default: 8)")
    parser.add_argument("--seconds", type=float, default=10.0, help="for how long each time (default: 10)")
    parser.add_argument("--engine", choices=["podman", "docker"], default="podman")
    options = parser.parse_args()
    found = race(FRONT_PROXY, options.engine, options.rounds, options.connections, options.seconds)
    middle = {
        way: {key: statistics.median(one[key] for one in rounds) for key in ("per_second", "ms_p50", "ms_p99")}
        for way, rounds in found.items()
    }
    for way, numbers in middle.items():
        rate, usual, slow = (numbers[key] for key in ("per_second", "ms_p50", "ms_p99"))
        print(f"{way:<22} {rate:8.1f} requests/s, {usual} ms (p50), {slow} ms (p99)")
    through, plain = (middle[way] for way in WAYS)
    rows = {
        "through / plain, requests per second": round(through["per_second"] / plain["per_second"], 3),
        "through / plain, latency (p50)": round(through["ms_p50"] / plain["ms_p50"], 3),
        "failed": sum(one["failed"] for rounds in found.values() for one in rounds),
        "cpu_ms": {way: rounds[-1]["cpu_ms"] for way, rounds in found.items()},
    }
    print("\n".join(f"{name:<40} {value}" for name, value in rows.items()))
    (BUILD / "through_proxies.json").write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

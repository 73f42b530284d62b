# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests across two gateways and two trust domains, against the same within a cluster.

The scenario federation is set up on clusters named tm-bench-*. sleep asks helloworld over kept connections, through its
sidecar: first with nobody left but version 2 in bar, then with nobody but version 1 in its own cluster, in turn. Prints
requests per second and latencies of each, and their ratio, and writes them to build/tm-bench/across_gateways.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any

import load
from from_nothing import BUILD, SCENARIOS, Scenario, ask, environment, kubeconfig, playbook, tear_down

FEDERATION = SCENARIOS["federation"]
FOO, BAR = FEDERATION.clusters
WAYS = {"across both gateways": "v2", "within the cluster": "v1"}


def kubectl(cluster: str, *words: str) -> str:
    """Run a command about a cluster of the bench, and return what it prints."""
    return ask("kubectl", "--kubeconfig", kubeconfig(cluster, "clusters"), *words)


def leave_only(version: str) -> None:
    """Leave the pods of one version and nobody else's, and wait until nobody else is asked."""
    for cluster, name in ((FOO, "v1"), (BAR, "v2")):
        where = ("-n", "helloworld", f"deploy/helloworld-{name}")
        kubectl(cluster, "scale", *where, f"--replicas={int(name == version)}")
        kubectl(cluster, "rollout", "status", *where, "--timeout=120s")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if not measured(version, connections=2, seconds=2.0)["failed"]:
            return
    raise SystemExit(f"helloworld is still answered by others than {version} after 120 s.")


def measured(version: str, connections: int, seconds: float) -> dict[str, Any]:
    """Let sleep ask, and return what it counted."""
    argv = ["kubectl", "--kubeconfig", kubeconfig(FOO, "clusters"), "-n", "sleep", "exec", "-i", "deploy/sleep"]
    asked = {"host": "helloworld.helloworld", "port": 5000, "path": "/hello", "holds": f"version: {version},"}
    return load.measured(
        [*argv, "-c", "sleep", "--"], environment(), {**asked, "connections": connections, "seconds": seconds}
    )


def race(scenario: Scenario, engine: str, rounds: int, connections: int, seconds: float) -> dict[str, list[Any]]:
    """Set the scenario up, measure both ways in turn, and take it down."""
    tear_down(scenario, engine)
    playbook(scenario, scenario.name)
    found: dict[str, list[Any]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS if number % 2 == 0 else reversed(WAYS):
            leave_only(WAYS[way])
            found[way].append(measured(WAYS[way], connections, seconds))
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
    found = race(FEDERATION, options.engine, options.rounds, options.connections, options.seconds)
    middle = {
        way: {key: statistics.median(one[key] for one in rounds) for key in ("per_second", "ms_p50", "ms_p99")}
        for way, rounds in found.items()
    }
    failed = sum(one["failed"] for rounds in found.values() for one in rounds)
    for way, numbers in middle.items():
        rate, usual, slow = (numbers[key] for key in ("per_second", "ms_p50", "ms_p99"))
        print(f"{way:<22} {rate:8.1f} requests/s, {usual} ms (p50), {slow} ms (p99)")
    across, within = (middle[way]["per_second"] for way in WAYS)
    rows = {"across / within, requests per second": round(across / within, 3), "failed": failed}
    print("\n".join(f"{name:<40} {value}" for name, value in rows.items()))
    (BUILD / "across_gateways.json").write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

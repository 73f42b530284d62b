# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a registration entry to the certificate in a sidecar, against when the agent has heard of the entry.

istio_spire is set up on a cluster named tm-bench-*. In each round the entry of details goes and its pod is started
again, which waits without a certificate; then the entry comes back. An agent asks its server for entries at an interval
(trustmesh_sync_interval, here SPIRE's own default), so rounds begin at different moments of it. Prints how long the
agent does not know, how long it takes until the sidecar has its certificate, and ratios, and writes them to
build/tm-bench/entry_to_certificate.json.
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

from from_nothing import BUILD, SCENARIOS, ask, entries, environment, kubeconfig, playbook, tear_down

ISTIO_SPIRE = SCENARIOS["istio_spire"]
(CLUSTER,) = ISTIO_SPIRE.clusters
NAME = "details-v1"
GOAL = 1.15


def kubectl(*words: str, stdin: str | None = None) -> str:
    """Run a command about the bench's cluster, and return what it prints."""
    argv = ["kubectl", "--kubeconfig", kubeconfig(CLUSTER, "clusters"), *words]
    if stdin is None:
        return ask(*argv)
    return subprocess.run(argv, env=environment(), check=True, capture_output=True, text=True, input=stdin).stdout


def server(*words: str, stdin: str | None = None) -> str:
    """Run a command of the SPIRE server."""
    where = ("-n", "spire-server", "exec", "-i", "statefulset/spire-server", "--", "/opt/spire/bin/spire-server")
    return kubectl(*where, *words, stdin=stdin)


def pods() -> list[dict[str, Any]]:
    """Return the pods of the workload."""
    found: list[dict[str, Any]] = json.loads(kubectl("get", "pods", "-l", "app=details,version=v1", "-o", "json"))[
        "items"
    ]
    return found


def waiting_pod() -> dict[str, Any]:
    """Start the workload again, and return its pod once its proxy runs without a certificate."""
    kubectl("scale", f"deployment/{NAME}", "--replicas=0")
    deadline = time.monotonic() + 120
    while pods() and time.monotonic() < deadline:
        time.sleep(0.2)
    kubectl("scale", f"deployment/{NAME}", "--replicas=1")
    while time.monotonic() < deadline:
        for pod in pods():
            states = pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", [])
            if any(one["name"] == "istio-proxy" and "running" in one["state"] for one in states):
                return pod
        time.sleep(0.2)
    raise SystemExit(f"No proxy of {NAME} has started within 120 s.")


def has_certificate(pod: str) -> bool:
    """Whether the proxy of a pod has got a certificate: its own page of certificates names one."""
    argv = ["kubectl", "--kubeconfig", kubeconfig(CLUSTER, "clusters"), "exec", pod, "-c", "istio-proxy", "--"]
    argv += ["pilot-agent", "request", "GET", "certs"]
    told = subprocess.run(argv, env=environment(), check=False, capture_output=True, text=True).stdout
    # Before the page it may warn, on the same stream.
    _before, begins, rest = f"\n{told}".partition("\n{")
    return bool(begins) and any(one.get("cert_chain") for one in json.loads(f"{{{rest}")["certificates"])


def agent_heard(node: str, spiffe_id: str, since: float) -> float:
    """Return when the agent of a node began to make a certificate for an ID, after ``since``: as its log says."""
    (agent,) = (
        pod["metadata"]["name"]
        for pod in json.loads(kubectl("-n", "spire-system", "get", "pods", "-o", "json"))["items"]
        if pod["spec"].get("nodeName") == node and pod["metadata"]["name"].startswith("spire-agent")
    )
    log = kubectl("-n", "spire-system", "logs", agent, "-c", "spire-agent", "--timestamps", "--since=120s")
    for line in log.splitlines():
        if "Creating X509-SVID" in line and spiffe_id in line:
            stamp, _space, _rest = line.partition(" ")
            # Nanoseconds are more than Python reads.
            at = datetime.datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00").timestamp()
            if at >= since - 1:
                return at
    raise SystemExit(f"The log of {agent} says nothing of {spiffe_id}.")


def rounds(number: int, interval: float) -> list[dict[str, float]]:
    """Take the entry and give it back so many times, and return the seconds of each round."""
    prefix = ["kubectl", "--kubeconfig", kubeconfig(CLUSTER, "clusters"), "-n", "spire-server"]
    prefix += ["exec", "-i", "statefulset/spire-server", "--", "/opt/spire/bin/spire-server"]
    (entry,) = (one for one in entries(prefix) if one["spiffe_id"].endswith("/sa/bookinfo-details"))
    found = []
    for index in range(number):
        for one in json.loads(server("entry", "show", "-spiffeID", entry["spiffe_id"], "-output", "json"))["entries"]:
            server("entry", "delete", "-entryID", one["id"])
        time.sleep(2 * interval + 1)  # until its server has read its entries anew, and the agent has asked for them
        pod = waiting_pod()
        name = pod["metadata"]["name"]
        time.sleep(2 + index * interval / number)
        if has_certificate(name):
            raise SystemExit(f"{name} has a certificate although it has no entry.")
        server("entry", "create", "-data", "-", "-output", "json", stdin=json.dumps({"entries": [entry]}))
        began = time.time()
        while not has_certificate(name):
            if time.time() - began > 60:
                raise SystemExit(f"{name} has no certificate 60 s after its entry.")
        ended = time.time()
        heard = agent_heard(pod["spec"]["nodeName"], entry["spiffe_id"], began)
        found.append({"agent": round(max(heard - began, 0.0), 2), "certificate": round(ended - began, 2)})
        print(f"round {index + 1} of {number}: {found[-1]}", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=8, help="how often (default: 8)")
    parser.add_argument("--interval", type=float, default=5.0, help="the agent's interval in seconds (default: 5)")
    parser.add_argument("--engine", choices=["podman", "docker"], default="podman")
    options = parser.parse_args()
    tear_down(ISTIO_SPIRE, options.engine)
    sync = ("-e", f"trustmesh_sync_interval={round(options.interval * 1000)}ms")
    playbook(ISTIO_SPIRE, ISTIO_SPIRE.name, "--skip-tags", "verify", *sync)
    found = rounds(options.rounds, options.interval)
    tear_down(ISTIO_SPIRE, options.engine)
    playbook(ISTIO_SPIRE, "teardown")
    total = {key: sum(one[key] for one in found) for key in ("agent", "certificate")}
    middle = {key: statistics.median(one[key] for one in found) for key in ("agent", "certificate")}
    print(f"until the agent has heard  {middle['agent']:6.2f} s (median)")
    print(f"until the certificate      {middle['certificate']:6.2f} s (median)")
    rows = [
        {
            "name": "entry to certificate / entry to agent",
            "ratio": round(total["certificate"] / total["agent"], 3),
            "goal": GOAL,
        },
        {
            "name": "entry to certificate / the agent's interval",
            "ratio": round(middle["certificate"] / options.interval, 3),
            "goal": GOAL,
        },
    ]
    for row in rows:
        print(f"{row['name']:<45} {row['ratio']:.3f}  (goal {row['goal']} or less)")
    (BUILD / "entry_to_certificate.json").write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

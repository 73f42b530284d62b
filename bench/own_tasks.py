# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task with a module of this collection costs beside the module's work: in a fork, and as Ansible runs it.

Ten tasks are refused for their input, so their modules do nothing. What a playbook of as many tasks without a module
takes is left out. Ten more are of k8s_info, which imports the Kubernetes client. Both contestants run in turn. Prints
seconds of a task and the ratio, the median of the pairs, and writes them to build/bench/own_tasks.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
ALIKE = ["spire_bundle_info"] * 10
DIFFERENT = [
    "control_node_info",
    "istio_install",
    "kind_cluster",
    "kubernetes_cluster_info",
    "kubernetes_workload_wait",
    "spire_agent_info",
    "spire_bundle_info",
    "spire_entry",
    "spire_upstream_ca",
    "trust_check",
]
# Its kubeconfig leads nowhere, which it learns when it has all that it needs for a cluster.
KUBERNETES = ["k8s_info"] * 10
ARGUMENTS = {"k8s_info": {"kind": "Namespace", "host": "http://127.0.0.1:1"}}
# Ansible does not fork where a task has an environment of its own.
WAYS: dict[str, dict[str, Any]] = {"fork": {}, "packed": {"environment": {"PYTHONUNBUFFERED": "1"}}}


def seconds(folder: Path, tasks: list[dict[str, Any]], keywords: dict[str, Any]) -> float:
    """Run ``tasks`` as a playbook, and return how long it took."""
    playbook = folder / "play.yml"
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks, **keywords}]))
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook)]
    began = time.monotonic()
    subprocess.run(argv, check=True, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    pairs = parser.parse_args().pairs
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nothing: list[dict[str, Any]] = [{"ansible.builtin.assert": {"that": True, "quiet": True}}]
        for title, modules in (("of one module", ALIKE), ("of ten modules", DIFFERENT), ("of k8s_info", KUBERNETES)):
            tasks = [
                {f"trustmesh.spiffe.{one}": ARGUMENTS.get(one, {"bogus": 1}), "failed_when": False} for one in modules
            ]
            ratios, sides = [], {way: [] for way in WAYS}
            for _pair in range(pairs):
                base = seconds(folder, nothing * len(tasks), {})
                cost = {way: (seconds(folder, tasks, keywords) - base) / len(tasks) for way, keywords in WAYS.items()}
                ratios.append(cost["fork"] / cost["packed"])
                for way, of_a_task in cost.items():
                    sides[way].append(of_a_task)
            results[title] = {
                "ratio": statistics.median(ratios),
                **{f"{way}_s": statistics.median(values) for way, values in sides.items()},
            }
            told = ", ".join(f"{key} {value:.3f}" for key, value in results[title].items())
            print(f"ten tasks {title}: {told}", flush=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "own_tasks.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From no clusters to the first quote: playbooks/blue_green.yml against a plain parallel shell script.

Both run on artifacts that are built already, alternately, on clusters named tm-bench-*. The script applies the objects
that the playbook's roles rendered, so the two differ only in who drives. Prints medians, spreads and ratios, and writes
the ratios to build/tm-bench/zero_to_quote.json.

The playbook is timed without its verify role until this program gets a quote through the whole path, and so is the
script. Then the playbook runs again, with nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
INSTANCE = "tm-bench"
BUILD = ROOT / "build" / INSTANCE
OUT = BUILD / "script"
IN = OUT / "in"
BLUE, GREEN = f"{INSTANCE}-blue", f"{INSTANCE}-green"
NETWORK = INSTANCE
INVENTORY = (
    *("-i", str(ROOT / "inventories" / "blue_green"), "-e", "trustmesh_scenario=blue_green"),
    *("-e", f"trustmesh_instance={INSTANCE}", "-e", "kubernetes_cluster_adopt=true"),
)
GOALS = {"playbook / script": 1.0, "rerun / first run": 0.25, "rerun / first run, both with verify": 0.25}


def environment() -> dict[str, str]:
    """Return what both contestants run with."""
    path = os.pathsep.join([str(BUILD / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


def run(name: str, argv: list[str], env: Mapping[str, str] | None = None) -> float:
    """Run a command with its output in a log, and return its seconds. When it fails the log's end is shown."""
    log = BUILD / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("w") as out:
        code = subprocess.run(
            argv, env=env or environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False
        ).returncode
    if code:
        raise SystemExit(f"{name} ended with code {code}; its log is {log}:\n{log.read_text()[-3000:]}")
    return time.monotonic() - began


def ask(*argv: str) -> str:
    """Return the output of a command."""
    return subprocess.run(argv, env=environment(), check=True, capture_output=True, text=True).stdout.strip()


def playbook(name: str, *options: str) -> float:
    """Run a playbook against the bench's clusters and return its seconds."""
    return run(name, ["ansible-playbook", str(ROOT / "playbooks" / f"{name}.yml"), *INVENTORY, *options])


def tear_down(engine: str) -> None:
    """Remove what a contestant left. kind itself does it: the collection would not touch the script's clusters."""
    env = {**environment(), "KIND_EXPERIMENTAL_PROVIDER": engine}
    kind = shutil.which("kind", path=env["PATH"])
    if kind:
        run("kind-delete", [kind, "delete", "clusters", BLUE, GREEN], env)
    shutil.rmtree(BUILD / "clusters", ignore_errors=True)


def kubeconfig(cluster: str, folder: str) -> str:
    """Return the kubeconfig of a cluster: the playbook has them in clusters/, the script in script/."""
    return str(BUILD / folder / f"{cluster}.kubeconfig")


def first_quote(request: str, folder: str) -> float:
    """Ask for a quote from the pod sleep until one comes, and return the seconds that took."""
    began = time.monotonic()
    base = ["kubectl", "--kubeconfig", kubeconfig(BLUE, folder)]
    where = ask(
        *base, "get", "deployment", "-A", "-o", "jsonpath={.items[?(@.metadata.name=='sleep')].metadata.namespace}"
    )
    curl = [*base, "-n", where, "exec", "deploy/sleep", "-c", "sleep", "--", "curl", "-sf", "-m", "2", request]
    while time.monotonic() - began < 120:
        answer = subprocess.run(curl, env=environment(), check=False, capture_output=True, text=True)
        if answer.returncode == 0 and answer.stdout.strip():
            return time.monotonic() - began
        time.sleep(0.2)
    raise SystemExit(f"No quote came from {request} within 120 s: {answer.stderr.strip() or answer.returncode}")


# What the script is given: the objects of the playbook's last run, with marks where this run's values belong


KINDS = (
    "namespaces,serviceaccounts,configmaps,services,deployments,statefulsets,daemonsets,roles,rolebindings,"
    "clusterroles,clusterrolebindings,customresourcedefinitions,csidrivers,networkpolicies.networking.k8s.io"
)
MESH_KINDS = (
    "peerauthentications.security.istio.io,authorizationpolicies.security.istio.io,destinationrules.networking.istio.io,"
    "sidecars.networking.istio.io,envoyfilters.networking.istio.io"
)
REGISTRAR_KINDS = "clusterspiffeids.spire.spiffe.io,clusterstaticentries.spire.spiffe.io"
OURS = "trustmesh."
"""How the ids of entries begin that the playbook made. The controller manager makes its own again."""
MADE_HERE = ("app.kubernetes.io/managed-by", "trustmesh.spiffe")
"""The label of what the roles applied. Nodes apply something of their own."""
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def objects(cluster: str, kinds: str) -> list[dict[str, Any]]:
    """Return what the playbook applied to a cluster, as it was applied: the cluster remembers it."""
    base = ["kubectl", "--kubeconfig", kubeconfig(cluster, "clusters"), "get", kinds, "-A", "-o", "json"]
    found = []
    for live in json.loads(ask(*base))["items"]:
        applied = (live["metadata"].get("annotations") or {}).get(APPLIED)
        if applied and (live["metadata"].get("labels") or {}).get(MADE_HERE[0]) == MADE_HERE[1]:
            item = json.loads(applied)
            if item["kind"] == "Service":  # the script's clusters must not give it another port
                for wanted, given in zip(item["spec"]["ports"], live["spec"]["ports"], strict=True):
                    if "nodePort" in given:
                        wanted["nodePort"] = given["nodePort"]
            found.append(item)
    # What others need comes first.
    first = ("Namespace", "ServiceAccount", "CustomResourceDefinition")
    return sorted(found, key=lambda item: [item["kind"] != kind for kind in first])


def part_of(item: dict[str, Any], cluster: str) -> str:
    """Return the part of the scenario that an object belongs to."""
    name, namespace = item["metadata"]["name"], item["metadata"].get("namespace", "")
    if name == "spire-bundle":  # in blue the server writes into it and does not start without it
        return "spire_server" if cluster == BLUE else "spire_agent"
    if (
        "spire-server" in (name, namespace)
        or name in ("spire-server-bundle", "spire-controller-manager")
        or name.endswith(".spire.spiffe.io")
    ):
        return "spire_server"
    if "spire-agent" in name or "spire-system" in (name, namespace) or item["kind"] == "CSIDriver":
        return "spire_agent"
    # In green the quote and its Envoy are one pod, which needs the agent.
    if name == "gateway" or cluster == GREEN:
        return "envoy"
    return "demo_app"


def marked(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object with a mark in the place of the trust bundle."""
    if item.get("kind") == "ConfigMap":
        data = {
            key: "@BUNDLE@" if "BEGIN CERTIFICATE" in str(value) else value
            for key, value in (item.get("data") or {}).items()
        }
        return {**item, "data": data}
    return item


def write_objects(name: str, items: list[dict[str, Any]], addresses: Mapping[str, str]) -> None:
    """Write a list of objects for the script."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [marked(item) for item in items]})
    for mark, address in addresses.items():
        text = text.replace(address, mark)
    (IN / f"{name}.json").write_text(text)


def entries(server: list[str]) -> list[dict[str, Any]]:
    """Return the entries that the playbook made, as `entry create -data` takes them."""
    shown = json.loads(ask(*server, "entry", "show", "-output", "json"))["entries"]

    def spiffe_id(value: Mapping[str, str]) -> str:
        return f"spiffe://{value['trust_domain']}{value['path']}"

    return [
        {
            "spiffe_id": spiffe_id(entry["spiffe_id"]),
            "parent_id": spiffe_id(entry["parent_id"]),
            "selectors": entry["selectors"],
        }
        for entry in shown
        if entry["id"].startswith(OURS)
    ]


def prepare_script(engine: str, server_command: str) -> dict[str, str]:
    """Write the script's input from the playbook's clusters, which are running, and return its environment."""
    network = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    addresses = {
        mark: ask(engine, "inspect", "--format", network, f"{cluster}-control-plane")
        for mark, cluster in (("@BLUE@", BLUE), ("@GREEN@", GREEN))
    }
    for cluster in (BLUE, GREEN):
        found_here = objects(cluster, KINDS)
        if cluster == GREEN:
            found_here.append(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": "spire-agent-join-tokens", "namespace": "spire-system"},
                    "stringData": {f"{GREEN}-control-plane": "@TOKEN@"},
                }
            )
        for part in ("spire_server", "spire_agent", "envoy", "demo_app"):
            # Parts share namespaces, so each brings all of them.
            own = [i for i in found_here if i["kind"] == "Namespace" or part_of(i, cluster) == part]
            write_objects(f"{cluster}.{part}", own, addresses)
    write_objects(f"{BLUE}.istio_objects", objects(BLUE, MESH_KINDS), addresses)
    write_objects(f"{BLUE}.registrar_objects", objects(BLUE, REGISTRAR_KINDS), addresses)
    namespace = "spire-server"
    server = ["kubectl", "--kubeconfig", kubeconfig(BLUE, "clusters"), "-n", namespace]
    server += ["exec", "-i", "statefulset/spire-server", "--", server_command]
    found = entries(server)
    (IN / "entries.json").write_text(json.dumps({"entries": found}))
    green_nodes = sorted({e["parent_id"] for e in found} - {e["spiffe_id"] for e in found} - {server_id(found)})
    env = {
        "IN": str(IN),
        "OUT": str(OUT),
        "BLUE": BLUE,
        "GREEN": GREEN,
        "ENGINE": engine,
        "NETWORK": NETWORK,
        "IMAGE": ask(engine, "inspect", "--format", "{{.Config.Image}}", f"{BLUE}-control-plane"),
        "SPIRE_NAMESPACE": namespace,
        "SPIRE_SERVER": server_command,
        # The alias of green's agent is made by its token, so it is a parent that no entry makes.
        "TOKEN_ID": green_nodes[0],
        "KIND_EXPERIMENTAL_PROVIDER": engine,
        f"KIND_EXPERIMENTAL_{engine.upper()}_NETWORK": NETWORK,
    }
    if engine == "podman":
        env["CONTAINERS_CONF"] = str(ROOT / "roles" / "toolchain" / "files" / "containers.conf")
    return {**environment(), **env}


def server_id(found: list[dict[str, Any]]) -> str:
    """Return the SPIFFE ID that stands for the server as a parent."""
    return "spiffe://" + found[0]["spiffe_id"].removeprefix("spiffe://").split("/")[0] + "/spire/server"


# The race


def median_and_spread(seconds: list[float]) -> str:
    """Return a series as text."""
    return (
        f"median {statistics.median(seconds):6.1f} s, from {min(seconds):.1f} to {max(seconds):.1f}, n={len(seconds)}"
    )


def race(pairs: int, request: str, engine: str, server_command: str) -> dict[str, list[float]]:
    """Run both contestants alternately and return their seconds."""
    times: dict[str, list[float]] = {"playbook": [], "rerun": [], "rerun with verify": [], "script": []}

    def play() -> None:
        took = playbook("blue_green", "--skip-tags", "verify")
        times["playbook"].append(took + first_quote(request, "clusters"))
        times["rerun"].append(playbook("blue_green", "--skip-tags", "verify"))
        times["rerun with verify"].append(playbook("blue_green"))

    def script() -> None:
        took = run("script", ["bash", str(ROOT / "bench" / "zero_to_quote.sh")], script_environment)
        times["script"].append(took + first_quote(request, "script"))

    print("Warming up: one run of the playbook that is not counted", flush=True)
    tear_down(engine)
    shutil.rmtree(OUT, ignore_errors=True)
    IN.mkdir(parents=True)
    OUT.chmod(0o700)  # kubeconfigs live here
    record = str(ROOT / "bench" / ".playbooks" / "record.yml")
    # A playbook outside of playbooks/ does not find the build folder by itself.
    folders = ("-e", f"bench_record_dir={IN}", "-e", f"trustmesh_build_dir={BUILD}")
    run("record", ["ansible-playbook", record, *INVENTORY, *folders])
    script_environment = prepare_script(engine, server_command)
    contestants: list[Callable[[], None]] = [play, script]
    for pair in range(pairs):
        for contestant in contestants if pair % 2 == 0 else contestants[::-1]:
            tear_down(engine)
            contestant()
            last = {name: round(series[-1], 1) for name, series in times.items() if series}
            print(f"pair {pair + 1} of {pairs}, {contestant.__name__}: {last}", flush=True)
    tear_down(engine)
    playbook("teardown")  # and the network
    return times


def ratios(times: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """Return the claims: a name, the measured ratio, and the goal."""
    middle = {name: statistics.median(series) for name, series in times.items()}
    verify = middle["rerun with verify"] - middle["rerun"]
    measured = {
        "playbook / script": statistics.median(a / b for a, b in zip(times["playbook"], times["script"], strict=True)),
        "rerun / first run": middle["rerun"] / middle["playbook"],
        "rerun / first run, both with verify": middle["rerun with verify"] / (middle["playbook"] + verify),
    }
    return [{"name": name, "ratio": round(value, 3), "goal": GOALS[name]} for name, value in measured.items()]


def print_setup() -> None:
    """Print how long each step of the cold set-up took when it was last made."""
    path = next(
        (p for p in (ROOT / "build" / "toolchain-times.json", BUILD / "toolchain-times.json") if p.is_file()), None
    )
    if path is None:
        return
    steps: dict[str, float] = json.loads(path.read_text())
    print(f"\ncold set-up by step ({path.relative_to(ROOT)})")
    for name, seconds in sorted(steps.items(), key=lambda item: -item[1]):
        print(f"  {name:<24} {seconds:8.1f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--pairs", type=int, default=3, help="how often both run (default: 3)")
    parser.add_argument(
        "--request", default="http://gateway.egress/", help="what the pod sleep asks for (default: %(default)s)"
    )
    parser.add_argument("--engine", choices=["podman", "docker"], default="podman")
    parser.add_argument("--spire-server", default="/opt/spire/bin/spire-server", help="the program inside its pod")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error("--pairs must be 1 or more")
    times = race(options.pairs, options.request, options.engine, options.spire_server)
    for name, series in times.items():
        print(f"{name:<20} {median_and_spread(series)}")
    rows = ratios(times)
    print()
    for row in rows:
        print(f"{row['name']:<40} {row['ratio']:.3f}  (goal {row['goal']} or less)")
    print_setup()
    (BUILD / "zero_to_quote.json").write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

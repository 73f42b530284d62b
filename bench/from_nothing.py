# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From no clusters to the first answer: a scenario's playbook against a plain parallel shell script.

Both run on artifacts that are built already, alternately, on clusters named tm-bench-*. The script applies the objects
that the playbook's roles rendered, so the two differ only in who drives. Prints medians, spreads and ratios, and writes
the ratios to build/tm-bench/from_nothing_<scenario>.json.

The playbook is timed without its verify role until this program gets an answer through the whole path, and so is the
script. Then the playbook runs again, with nothing to do. istio_spire begins with a cluster that is ready, which each
makes out of the same image and configuration, and which is not counted, and ends when every proxy has shown a
certificate of SPIRE's too. Its rerun is compared with a first run from nothing, as everywhere, which is measured beside
the race, and once more with the one from a ready cluster.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

ROOT = Path(__file__).resolve().parents[1]
INSTANCE = "tm-bench"
BUILD = ROOT / "build" / INSTANCE
OUT = BUILD / "script"
IN = OUT / "in"
NETWORK = INSTANCE
FILES = "/run/files/svid"
RERUN_GOAL = 0.25


@dataclass(frozen=True)
class Scenario:
    """What is raced: ``asker`` is a pod in the cluster of the first host, and asks as ``curl`` says."""

    name: str
    hosts: tuple[str, ...]
    servers: tuple[str, ...]
    """Hosts with a SPIRE server."""
    curl: tuple[str, ...]
    goal: float
    asker: str = "sleep"
    machine: str = ""
    """A host outside of the clusters, which is a container here."""
    machine_envoy: str = ""
    """The workload there whose Envoy is a service of the machine, and which the script starts too."""
    begins_ready: bool = False
    """Whether the clusters are there before the race."""
    certified: bool = False
    """Whether the race ends when every proxy shows a certificate of SPIRE's, beside the answer."""

    @property
    def clusters(self) -> list[str]:
        return [cluster_of(host) for host in self.hosts]

    @property
    def script(self) -> Path:
        return ROOT / "bench" / f"from_nothing_{self.name}.sh"

    @property
    def inventory(self) -> tuple[str, ...]:
        return (
            *("-i", str(ROOT / "inventories" / self.name), "-e", f"trustmesh_scenario={self.name}"),
            *("-e", f"trustmesh_instance={INSTANCE}", "-e", "kubernetes_cluster_adopt=true"),
        )


def cluster_of(host: str) -> str:
    """Return the name of a host's cluster."""
    return f"{INSTANCE}-{host}"


def key_of(host: str) -> str:
    """Return what stands for a host in the objects and in the environment of the script: a name of the shell's."""
    return host.partition("-")[0].upper()


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("blue_green", ("blue", "green"), ("blue",), ("http://gateway.egress/",), 1.0),
        Scenario(
            "mithril",
            ("foo", "bar"),
            ("foo", "bar"),
            (
                *("--cert", f"{FILES}/svid.pem", "--key", f"{FILES}/svid.key", "--cacert", f"{FILES}/bundle.pem"),
                "https://app.example.org:8000/productpage",
            ),
            1.15,
        ),
        Scenario(
            "federation",
            ("foo-cluster", "bar-cluster"),
            ("foo-cluster", "bar-cluster"),
            # The one in bar, through its gateway, by both trust domains.
            (
                *("--cert", f"{FILES}/svid.pem", "--key", f"{FILES}/svid.key"),
                *("--cacert", f"{FILES}/federated/bar.example.pem", "https://helloworld.bar.example:8443/hello"),
            ),
            1.15,
        ),
        Scenario(
            "front_proxy",
            ("front",),
            ("front",),
            (
                *("--cert", f"{FILES}/svid.pem", "--key", f"{FILES}/svid.key", "--cacert", f"{FILES}/bundle.pem"),
                "https://example.com/",
            ),
            1.15,
            asker="generator",
            machine="laptop",
            machine_envoy="desk",
        ),
        # Asked by the one that is in the mesh and calls nobody: the page is for everybody.
        Scenario(
            "istio_spire",
            ("demo-cluster",),
            ("demo-cluster",),
            ("http://istio-ingressgateway.istio-system/productpage",),
            1.15,
            asker="outsider",
            begins_ready=True,
            certified=True,
        ),
    )
}


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


def playbook(scenario: Scenario, name: str, *options: str) -> float:
    """Run a playbook against the bench's clusters and return its seconds."""
    return run(name, ["ansible-playbook", str(ROOT / "playbooks" / f"{name}.yml"), *scenario.inventory, *options])


def tear_down(scenario: Scenario, engine: str) -> None:
    """Remove what a contestant left. kind itself does it: the collection would not touch the script's clusters."""
    env = {**environment(), "KIND_EXPERIMENTAL_PROVIDER": engine}
    kind = shutil.which("kind", path=env["PATH"])
    if kind:
        run("kind-delete", [kind, "delete", "clusters", *scenario.clusters], env)
    if scenario.machine:
        run("machine-delete", [engine, "rm", "--force", "--volumes", cluster_of(scenario.machine)])
    shutil.rmtree(BUILD / "clusters", ignore_errors=True)


def kubeconfig(cluster: str, folder: str) -> str:
    """Return the kubeconfig of a cluster: the playbook has them in clusters/, the script in script/."""
    return str(BUILD / folder / f"{cluster}.kubeconfig")


def first_answer(scenario: Scenario, folder: str) -> float:
    """Ask from the asker's pod until an answer comes, and return the seconds that took."""
    began = time.monotonic()
    base = ["kubectl", "--kubeconfig", kubeconfig(scenario.clusters[0], folder)]
    named = f"jsonpath={{.items[?(@.metadata.name=='{scenario.asker}')].metadata.namespace}}"
    where = ask(*base, "get", "deployment", "-A", "-o", named)
    curl = [*base, "-n", where, "exec", f"deploy/{scenario.asker}", "-c", scenario.asker, "--"]
    curl += ["curl", "-sf", "-m", "2", *scenario.curl]
    while time.monotonic() - began < 120:
        answer = subprocess.run(curl, env=environment(), check=False, capture_output=True, text=True)
        if answer.returncode == 0 and answer.stdout.strip():
            return time.monotonic() - began
        time.sleep(0.2)
    raise SystemExit(
        f"No answer came from {scenario.curl[-1]} within 120 s: {answer.stderr.strip() or answer.returncode}"
    )


def proxies(kubectl: list[str]) -> list[tuple[str, str]]:
    """Return the namespace and the name of each pod with a proxy of Istio's."""
    pods = json.loads(ask(*kubectl, "get", "pods", "-A", "-o", "json"))["items"]
    return [
        (pod["metadata"]["namespace"], pod["metadata"]["name"])
        for pod in pods
        if any(
            one["name"] == "istio-proxy" for one in pod["spec"]["containers"] + pod["spec"].get("initContainers", [])
        )
    ]


def signed_by_spire(config: str, namespace: str, name: str) -> bool:
    """Whether a proxy has a certificate, and its issuer names itself as SPIRE's CA does."""
    argv = ["istioctl", "--kubeconfig", config, "proxy-config", "secret", f"{name}.{namespace}", "-o", "json"]
    told = subprocess.run(argv, env=environment(), check=False, capture_output=True, text=True)
    if told.returncode:
        return False
    for one in json.loads(told.stdout).get("dynamicActiveSecrets") or []:
        chain = (one["secret"].get("tlsCertificate") or {}).get("certificateChain") or {}
        if one["name"] == "default" and chain:
            issuer = x509.load_pem_x509_certificate(base64.b64decode(chain["inlineBytes"])).issuer
            # Its CA is called so by the role spire_server, and where nobody names it by SPIRE itself.
            return any(part.value in ("SPIRE", "SPIFFE") for part in issuer)
    return False


def all_certified(scenario: Scenario, folder: str) -> float:
    """Ask every proxy until each has shown a certificate of SPIRE's, and return the seconds that took."""
    began = time.monotonic()
    for cluster in scenario.clusters:
        config = kubeconfig(cluster, folder)
        left = proxies(["kubectl", "--kubeconfig", config])
        while left:
            if time.monotonic() - began > 120:
                raise SystemExit(f"No certificate of SPIRE's within 120 s in {left}.")
            left = [one for one in left if not signed_by_spire(config, *one)]
    return time.monotonic() - began


def make_clusters(scenario: Scenario, env: Mapping[str, str]) -> None:
    """Make the clusters that the script begins with."""
    steps = f'source "{ROOT}/bench/from_nothing_lib.sh"; network; cluster=$1 create'
    for cluster in scenario.clusters:
        run(f"create-{cluster}", ["bash", "-c", steps, "bash", cluster], env)


# What the script is given: the objects of the playbook's last run, with marks where this run's values belong


KINDS = (
    "namespaces,serviceaccounts,configmaps,services,deployments,statefulsets,daemonsets,roles,rolebindings,"
    "clusterroles,clusterrolebindings,customresourcedefinitions,csidrivers,networkpolicies.networking.k8s.io,"
    "validatingadmissionpolicies.admissionregistration.k8s.io,validatingadmissionpolicybindings.admissionregistration.k8s.io"
)
MESH_KINDS = (
    "peerauthentications.security.istio.io,authorizationpolicies.security.istio.io,destinationrules.networking.istio.io,"
    "sidecars.networking.istio.io,envoyfilters.networking.istio.io,gateways.networking.istio.io,"
    "virtualservices.networking.istio.io,serviceentries.networking.istio.io"
)
CERTIFICATE_KINDS = "clusterissuers.cert-manager.io,issuers.cert-manager.io,certificates.cert-manager.io"
BALANCER_KINDS = "ipaddresspools.metallb.io,l2advertisements.metallb.io"
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
            if item["kind"] == "Service":  # the script's clusters must not give it another port, or another address
                for wanted, given in zip(item["spec"]["ports"], live["spec"]["ports"], strict=True):
                    if "nodePort" in given:
                        wanted["nodePort"] = given["nodePort"]
                for given in (live.get("status", {}).get("loadBalancer") or {}).get("ingress") or []:
                    item["metadata"].setdefault("annotations", {})["metallb.io/loadBalancerIPs"] = given["ip"]
            found.append(item)
    return in_order(found)


def in_order(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return objects with those first that others need: a pod that starts before its Secret waits a minute for it."""
    first = ("Namespace", "ServiceAccount", "CustomResourceDefinition", "Secret")
    return sorted(items, key=lambda item: [item["kind"] != kind for kind in first])


def part_of(item: dict[str, Any], has_server: bool) -> str:
    """Return the part of the scenario that an object belongs to."""
    name, namespace = item["metadata"]["name"], item["metadata"].get("namespace", "")
    if name in ("spire-bundle", "istio-ca-root-cert"):  # a server writes into it
        return "spire_server" if has_server else "spire_agent"
    if (
        "spire-server" in (name, namespace)
        or name in ("spire-server-bundle", "spire-controller-manager")
        or name.endswith(".spire.spiffe.io")
    ):
        return "spire_server"
    if "metallb" in f"{name}/{namespace}" or "cert-manager" in f"{name}/{namespace}":
        return "balancer"
    # Which pods may be in its namespaces is said by the role spire_agent, too.
    brought = item["kind"] == "CSIDriver" or item["kind"].startswith("ValidatingAdmissionPolicy")
    if "spire-agent" in name or "spire-system" in (name, namespace) or brought:
        return "spire_agent"
    # Addresses that others have to know.
    if item["kind"] == "Service":
        return "balancer"
    return "apps"


def marked(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object with a mark in the place of the trust bundle, or of the CA of machines."""
    if item.get("kind") == "ConfigMap":
        mark = "@MACHINES_CA@" if item["metadata"]["name"] == "spire-machines-ca" else "@BUNDLE@"
        data = {
            key: mark if "BEGIN CERTIFICATE" in str(value) else value for key, value in (item.get("data") or {}).items()
        }
        return {**item, "data": data}
    return item


def write_objects(name: str, items: list[dict[str, Any]], addresses: Mapping[str, str]) -> None:
    """Write a list of objects for the script."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [marked(item) for item in items]})
    for mark, address in addresses.items():
        # A whole address: that of a node may be how one of the balancer's begins.
        text = re.sub(rf"(?<![0-9.]){re.escape(address)}(?![0-9]|\.[0-9])", mark, text)
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
            "dns_names": entry.get("dns_names") or [],
            "x509_svid_ttl": entry.get("x509_svid_ttl") or 0,
        }
        for entry in shown
        if entry["id"].startswith(OURS)
    ]


def prepare_script(scenario: Scenario, engine: str, server_command: str) -> dict[str, str]:
    """Write the script's input from the playbook's clusters, which are running, and return its environment."""
    network = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    addresses = {
        f"@{key_of(host)}@": ask(engine, "inspect", "--format", network, f"{cluster_of(host)}-control-plane")
        for host in scenario.hosts
    }
    token_id = ""
    for host in scenario.hosts:
        cluster, has_server = cluster_of(host), host in scenario.servers
        found_here = objects(cluster, KINDS)
        if not has_server:
            found_here.append(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": "spire-agent-join-tokens", "namespace": "spire-system"},
                    "stringData": {f"{cluster}-control-plane": "@TOKEN@"},
                }
            )
        for part in ("balancer", "spire_server", "spire_agent", "apps"):
            # Parts share namespaces, so each brings all of them.
            own = [i for i in found_here if i["kind"] == "Namespace" or part_of(i, has_server) == part]
            write_objects(f"{cluster}.{part}", in_order(own), addresses)
        for part, kinds in (
            *(("pools", BALANCER_KINDS), ("certificates", CERTIFICATE_KINDS)),
            *(("registrar", REGISTRAR_KINDS), ("mesh", MESH_KINDS)),
        ):
            write_objects(f"{cluster}.{part}", objects(cluster, kinds) if knows(cluster, kinds) else [], addresses)
        if has_server:
            server = ["kubectl", "--kubeconfig", kubeconfig(cluster, "clusters"), "-n", "spire-server"]
            found = entries([*server, "exec", "-i", "statefulset/spire-server", "--", server_command])
            (IN / f"{cluster}.entries.json").write_text(json.dumps({"entries": found}))
            # The alias of an agent that joins is made by its token, so it is a parent that no entry makes.
            made = {entry["spiffe_id"] for entry in found} | ({server_id(found)} if found else set())
            token_id = next(iter(sorted({entry["parent_id"] for entry in found} - made)), token_id)
    first = scenario.clusters[0]
    env = {
        "IN": str(IN),
        "OUT": str(OUT),
        **{key_of(host): cluster_of(host) for host in scenario.hosts},
        "ENGINE": engine,
        "NETWORK": NETWORK,
        "IMAGE": ask(engine, "inspect", "--format", "{{.Config.Image}}", f"{first}-control-plane"),
        "SPIRE_NAMESPACE": "spire-server",
        "SPIRE_SERVER": server_command,
        "TOKEN_ID": token_id,
        "KIND_EXPERIMENTAL_PROVIDER": engine,
        f"KIND_EXPERIMENTAL_{engine.upper()}_NETWORK": NETWORK,
    }
    if scenario.machine:
        env["MACHINE"] = cluster_of(scenario.machine)
        env["MACHINE_IMAGE"] = ask(engine, "inspect", "--format", "{{.Config.Image}}", env["MACHINE"])
        env["MACHINE_ENVOY"] = f"envoy-{scenario.machine_envoy}"
        config = ask(engine, "exec", env["MACHINE"], "cat", f"/opt/{env['MACHINE_ENVOY']}/conf/envoy.json")
        (IN / f"{env['MACHINE_ENVOY']}.json").write_text(config)
    if engine == "podman":
        env["CONTAINERS_CONF"] = str(ROOT / "roles" / "toolchain" / "files" / "containers.conf")
    return {**environment(), **env}


def knows(cluster: str, kinds: str) -> bool:
    """Whether a cluster has the types of these objects."""
    group = kinds.split(",", maxsplit=1)[0].partition(".")[2]
    listed = ask(
        "kubectl",
        "--kubeconfig",
        kubeconfig(cluster, "clusters"),
        "api-resources",
        f"--api-group={group}",
        "-o",
        "name",
    )
    return bool(listed)


def server_id(found: list[dict[str, Any]]) -> str:
    """Return the SPIFFE ID that stands for the server as a parent."""
    return "spiffe://" + found[0]["spiffe_id"].removeprefix("spiffe://").split("/")[0] + "/spire/server"


# The race


def median_and_spread(seconds: list[float]) -> str:
    """Return a series as text."""
    return (
        f"median {statistics.median(seconds):6.1f} s, from {min(seconds):.1f} to {max(seconds):.1f}, n={len(seconds)}"
    )


def race(scenario: Scenario, pairs: int, engine: str, server_command: str) -> dict[str, list[float]]:
    """Run both contestants alternately and return their seconds."""
    times: dict[str, list[float]] = {"playbook": [], "rerun": [], "rerun with verify": [], "script": []}
    if scenario.begins_ready:
        times["from nothing"] = []

    def end(folder: str) -> float:
        return first_answer(scenario, folder) + (all_certified(scenario, folder) if scenario.certified else 0)

    def first_run() -> float:
        return playbook(scenario, scenario.name, "--skip-tags", "verify") + end("clusters")

    def play() -> None:
        if scenario.begins_ready:
            playbook(scenario, "site", "-e", json.dumps({"trustmesh_roles": ["kubernetes_cluster"]}))
        times["playbook"].append(first_run())
        times["rerun"].append(playbook(scenario, scenario.name, "--skip-tags", "verify"))
        times["rerun with verify"].append(playbook(scenario, scenario.name))

    def script() -> None:
        if scenario.begins_ready:
            make_clusters(scenario, script_environment)
        took = run("script", ["bash", str(scenario.script)], script_environment)
        times["script"].append(took + end("script"))

    def from_nothing() -> None:
        times["from nothing"].append(first_run())

    print("Warming up: one run of the playbook that is not counted", flush=True)
    tear_down(scenario, engine)
    shutil.rmtree(OUT, ignore_errors=True)
    IN.mkdir(parents=True)
    OUT.chmod(0o700)  # kubeconfigs live here
    record = str(ROOT / "bench" / ".playbooks" / "record.yml")
    # A playbook outside of playbooks/ does not find the build folder by itself.
    folders = ("-e", f"bench_record_dir={IN}", "-e", f"trustmesh_build_dir={BUILD}")
    run("record", ["ansible-playbook", record, *scenario.inventory, *folders])
    script_environment = prepare_script(scenario, engine, server_command)
    contestants: list[Callable[[], None]] = [play, script, *([from_nothing] if scenario.begins_ready else [])]
    for pair in range(pairs):
        for contestant in contestants if pair % 2 == 0 else contestants[::-1]:
            tear_down(scenario, engine)
            contestant()
            last = {name: round(series[-1], 1) for name, series in times.items() if series}
            print(f"pair {pair + 1} of {pairs}, {contestant.__name__}: {last}", flush=True)
    tear_down(scenario, engine)
    playbook(scenario, "teardown")  # and the network
    return times


def ratios(times: Mapping[str, list[float]], goal: float) -> list[dict[str, Any]]:
    """Return the claims: a name, the measured ratio, and the goal."""
    middle = {name: statistics.median(series) for name, series in times.items()}
    verify = middle["rerun with verify"] - middle["rerun"]
    first = middle.get("from nothing", middle["playbook"])
    measured = {
        "playbook / script": statistics.median(a / b for a, b in zip(times["playbook"], times["script"], strict=True)),
        "rerun / first run": middle["rerun"] / first,
        "rerun / first run, both with verify": middle["rerun with verify"] / (first + verify),
    }
    if "from nothing" in times:
        measured["rerun / first run from a ready cluster"] = middle["rerun"] / middle["playbook"]
    return [
        {"name": name, "ratio": round(value, 3), "goal": goal if name == "playbook / script" else RERUN_GOAL}
        for name, value in measured.items()
    ]


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
    parser.add_argument("scenario", nargs="?", choices=sorted(SCENARIOS), default="blue_green")
    parser.add_argument("--pairs", type=int, default=3, help="how often both run (default: 3)")
    parser.add_argument("--engine", choices=["podman", "docker"], default="podman")
    parser.add_argument("--spire-server", default="/opt/spire/bin/spire-server", help="the program inside its pod")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error("--pairs must be 1 or more")
    scenario = SCENARIOS[options.scenario]
    times = race(scenario, options.pairs, options.engine, options.spire_server)
    for name, series in times.items():
        print(f"{name:<20} {median_and_spread(series)}")
    rows = ratios(times, scenario.goal)
    print()
    for row in rows:
        print(f"{row['name']:<40} {row['ratio']:.3f}  (goal {row['goal']} or less)")
    print_setup()
    (BUILD / f"from_nothing_{scenario.name}.json").write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

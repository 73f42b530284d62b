# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job templates as AWX starts them: in the execution environment that `make ee` builds, on two clusters that exist.

The tests follow one another, as somebody starts the jobs.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import awx_job
import machines
import pytest
import yaml

from .conftest import INSTANCE, ROOT, Estate, changed, give_volumes_back

pytestmark = pytest.mark.thorough
INVENTORIES = "inventories"
PODMAN = shutil.which("podman") or "podman"
NODE = "spiffe://example.org/node/one"
NAMESPACE = "reports"
HELD = "spire-server"
"""A namespace that a job of blue_green makes."""
Launch = Callable[..., awx_job.Job]


@pytest.fixture(scope="module")
def image(estate: Estate) -> Iterator[str]:
    """The execution environment, as `make ee` builds it out of the tools of this estate."""
    reference = "localhost/trustmesh/ee:test"
    settings = pytest.MonkeyPatch()
    # As the role toolchain has it for all that it starts.
    settings.setenv("CONTAINERS_CONF", str(ROOT / "roles" / "toolchain" / "files" / "containers.conf"))
    argv = ["sh", str(ROOT / "ee" / "build.sh"), "podman", sys.executable, str(estate.build / "bin"), "test"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    yield reference
    settings.undo()
    subprocess.run([PODMAN, "rmi", "--force", reference], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def volumes_of_each(estate: Estate) -> None:
    """Give back what servers of earlier jobs have left: more jobs set one up than there are volumes."""
    give_volumes_back(estate)


@pytest.fixture(scope="module")
def launched() -> set[str]:
    """The templates that were started."""
    return set()


@pytest.fixture(scope="module")
def launch(estate: Estate, image: str, launched: set[str], tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """Start a job by the name of its template. Hosts of its inventory are the clusters of the estate, in this order."""

    def contexts(hosts: tuple[str, ...]) -> str:
        config = yaml.safe_load(estate.kubeconfig("config").read_text())
        named = zip(hosts, config["contexts"], strict=False)
        config["contexts"] = [{"name": host, "context": one["context"]} for host, one in named]
        return str(yaml.safe_dump(config))

    def start(name: str, hosts: tuple[str, ...], answers: Mapping[str, Any], **more: Any) -> awx_job.Job:
        folder = tmp_path_factory.mktemp("job")
        launched.add(name)
        job = awx_job.launch(
            name, folder, answers, kubeconfig=contexts(hosts), images=estate.images, image=image, beside=BESIDE, **more
        )
        assert job.rc == 0, job.stdout[-8000:]
        assert not set(re.findall(r"eyJ[\w-]{20,}", job.stdout)), "no token is shown"
        return job

    return start


BLUE_GREEN = ("blue", "green")
MITHRIL = ("foo", "bar")
# The published CSI driver is in no registry that these clusters reach, and the proxy was built out of packages.
BESIDE = {"trustmesh_socket_delivery": "host_path", "istio_stock_envoy": True}
EXPOSED = {"kubernetes_cluster_exposes_by": "NodePort"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[machines.Machine]:
    """A machine outside of the clusters, with systemd, which jobs reach by ssh."""
    machines.build_image()
    found = machines.Machine.start(f"{INSTANCE}-machine", INSTANCE, tmp_path_factory.mktemp("machine"))
    yield found
    found.remove()
    machines.remove_image()


def reached(machine: machines.Machine) -> dict[str, Any]:
    """What is said in AWX of the host that it is."""
    become = {"ansible_user": machines.USER, "ansible_become": True}
    return {"ansible_host": machine.address, "machine_command": machine.command, **become}


def left_on(machine: machines.Machine, more: str) -> str:
    """What our roles have left there: files, units, users, and what ``more`` prints."""
    units = "ls /etc/systemd/system | grep -e spire -e envoy -e istio"
    return machine.run("sh", "-c", f"ls /opt; {units}; grep -e envoy -e istio /etc/passwd /etc/group; {more}; true")


@pytest.fixture(scope="module")
def balanced(estate: Estate) -> dict[str, dict[str, Any]]:
    """What is said in AWX of the two clusters, so that jobs bring MetalLB, with addresses that no container gets."""
    subnet = json.loads(estate.run("podman", "network", "inspect", INSTANCE))[0]
    network = ipaddress.ip_network((subnet.get("subnets") or subnet["plugins"][0]["ipam"]["ranges"][0])[0]["subnet"])
    top = [str(network.broadcast_address - back) for back in (40, 31, 30, 21)]
    internal = "{.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    return {
        cluster: {
            "load_balancer_install": True,
            "load_balancer_addresses": [f"{first}-{last}"],
            # The kubeconfigs are those of this host, and an istiod asks from elsewhere.
            "kubernetes_cluster_api_server": "https://"
            + estate.kubectl(cluster, "get", "nodes", "-o", f"jsonpath={internal}")
            + ":6443",
        }
        for cluster, first, last in (("eu", *top[:2]), ("us", *top[2:]))
    }


def proven(job: awx_job.Job) -> int:
    """How many checks a job has proven, and that none failed."""
    outcome = job.artifacts["trustmesh_outcome"]
    assert outcome["failures"] == []
    assert outcome["summary"]["failed"] == 0
    return int(outcome["summary"]["passed"])


def test_the_environment_has_what_jobs_need_and_no_root(image: str) -> None:
    programs = "ansible-playbook ansible-runner kubectl istioctl envoy spire-server spire-agent git ssh curl"
    asked = "id -u; for one in " + programs + "; do command -v $one || echo no $one; done; command -v podman docker"
    argv = [PODMAN, "run", "--rm", "--pull=never", image, "sh", "-c", asked]
    told = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split("\n")
    assert told[0] == "1000"
    assert [line for line in told if line.startswith("no ")] == []
    assert len(list(filter(None, told))) == 1 + len(programs.split()), "and no container engine"


def test_blue_green_is_set_up_and_proven(launch: Launch, estate: Estate) -> None:
    estate.kubectl("eu", "create", "namespace", NAMESPACE)
    job = launch("trustmesh blue_green: set up", BLUE_GREEN, {**EXPOSED, "verify_config_map_namespace": NAMESPACE})
    assert proven(job) > 20
    kept = json.loads(
        estate.kubectl("eu", "-n", NAMESPACE, "get", "configmap", "trustmesh-report-blue-green", "-o", "json")
    )
    assert set(kept["data"]) == {"report.html", "report.json", "report.xml"}
    assert json.loads(kept["data"]["report.json"])["summary"] == job.artifacts["trustmesh_outcome"]["summary"]


def test_the_job_of_any_inventory_changes_nothing_then(launch: Launch) -> None:
    answers = {**EXPOSED, "trustmesh_scenario": "blue_green"}
    inventory = f"{INVENTORIES}/blue_green/hosts.ini"
    assert changed(launch("trustmesh: set up", BLUE_GREEN, answers, inventory=inventory).stdout) == 0


def test_the_proof_alone_by_ansible_runner(launch: Launch) -> None:
    answers = {"trustmesh_scenario": "blue_green"}
    inventory = f"{INVENTORIES}/blue_green/hosts.ini"
    job = launch("trustmesh: proof", BLUE_GREEN, answers, inventory=inventory, by_runner=True)
    assert proven(job) > 20
    assert changed(job.stdout) == 0


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("trustmesh: show what follows", {"trustmesh_scenario": "blue_green"}),
        ("trustmesh: status", {"trustmesh_scenario": "blue_green"}),
        ("trustmesh: rotate authorities", {"trustmesh_scenario": "blue_green", "spire_server_rotate_older_than": 0}),
    ],
)
def test_a_job_on_what_is_there(name: str, answers: dict[str, Any], launch: Launch) -> None:
    launch(name, BLUE_GREEN, answers, inventory=f"{INVENTORIES}/blue_green/hosts.ini")


def server_of(folder: Path, entries: list[dict[str, Any]]) -> str:
    """An inventory with nothing but a SPIRE server that is there, and entries."""
    (folder / "group_vars").mkdir()
    (folder / "hosts.ini").write_text("[clusters]\nblue\n\n[spire_server]\nblue\n")
    connection = {
        "namespace": "spire-server",
        "pod": "statefulset/spire-server",
        "container": "spire-server",
        "binary": "/opt/spire/bin/spire-server",
        "kubeconfig": "{{ lookup('ansible.builtin.env', 'K8S_AUTH_KUBECONFIG') }}",
        "context": "blue",
    }
    said = {"spire_entries_connection": connection, "spire_entries_entries": entries}
    (folder / "group_vars" / "all.yml").write_text(yaml.safe_dump(said))
    return str(folder / "hosts.ini")


def test_entries_of_somebody_else_beside_them(launch: Launch, tmp_path: Path) -> None:
    entry = {
        "spiffe_id": "spiffe://example.org/ns/shop/sa/web",
        "parent_id": NODE,
        "selectors": ["k8s:ns:shop", "k8s:sa:web"],
    }
    inventory, answers = server_of(tmp_path, [entry]), {"spire_entries_owner": "shop"}
    assert changed(launch("trustmesh: entries", BLUE_GREEN, answers, inventory=inventory).stdout) == 1
    assert changed(launch("trustmesh: entries", BLUE_GREEN, answers, inventory=inventory).stdout) == 0


def test_a_join_token_is_in_its_secret_and_nowhere_else(launch: Launch, estate: Estate, tmp_path: Path) -> None:
    answers = {"join_token_spiffe_id": NODE, "join_token_secret_namespace": NAMESPACE}
    job = launch("trustmesh: join token", BLUE_GREEN, answers, inventory=server_of(tmp_path, []))
    where = ("-n", NAMESPACE, "get", "secret", "spire-join-token", "-o", "go-template={{.data.token | base64decode}}")
    token = estate.kubectl("eu", *where)
    assert len(token) == len("00000000-0000-0000-0000-000000000000")
    assert token not in job.stdout
    assert token not in json.dumps(job.artifacts)


def test_blue_green_is_taken_down(launch: Launch, estate: Estate) -> None:
    answers = {"trustmesh_scenario": "blue_green"}
    inventory = f"{INVENTORIES}/blue_green/hosts.ini"
    launch("trustmesh: tear down", BLUE_GREEN, answers, inventory=inventory)
    for cluster in ("eu", "us"):
        assert f"namespace/{HELD}" not in estate.names(cluster, "namespaces")
    assert changed(launch("trustmesh: tear down", BLUE_GREEN, answers, inventory=inventory).stdout) == 0
    estate.kubectl("eu", "delete", "namespace", NAMESPACE)


def test_mithril_is_set_up_turned_over_and_taken_down(
    launch: Launch, estate: Estate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # The CA of an earlier mesh stays, for no job purges. Where SPIRE certifies istiod the proof wants it gone.
    estate.kubectl("eu", "-n", "istio-system", "delete", "secret", "istio-ca-secret", "--ignore-not-found")
    # What an administrator mounts into jobs.
    shared = tmp_path_factory.mktemp("shared")
    answers = {**EXPOSED, "upstream_ca_dir": "/shared/ca"}
    assert proven(launch("trustmesh mithril: set up", MITHRIL, answers, volumes={str(shared): "/shared"})) > 90
    inventory = f"{INVENTORIES}/mithril/hosts.ini"
    made = {path: path.read_bytes() for path in shared.rglob("*.crt")}
    assert made
    # Nobody's calls are counted here, so nobody is given time to learn of it.
    turned = {"trustmesh_scenario": "mithril", "upstream_ca_dir": "/shared/ca", "upstream_ca_propagation": 30}
    launch("trustmesh: rotate upstream CA", MITHRIL, turned, inventory=inventory, volumes={str(shared): "/shared"})
    assert {path: path.read_bytes() for path in shared.rglob("*.crt")} != made
    answers = {"trustmesh_scenario": "mithril"}
    assert proven(launch("trustmesh: proof", MITHRIL, answers, inventory=inventory)) > 90
    launch("trustmesh: tear down", MITHRIL, answers, inventory=inventory)
    for cluster in ("eu", "us"):
        assert f"namespace/{HELD}" not in estate.names(cluster, "namespaces")


def test_istio_spire_is_set_up_and_taken_down(launch: Launch, estate: Estate) -> None:
    assert proven(launch("trustmesh istio_spire: set up", ("demo-cluster",), EXPOSED)) > 60
    answers = {"trustmesh_scenario": "istio_spire"}
    inventory = f"{INVENTORIES}/istio_spire/hosts.ini"
    launch("trustmesh: tear down", ("demo-cluster",), answers, inventory=inventory)
    assert f"namespace/{HELD}" not in estate.names("eu", "namespaces")


def test_federation_is_set_up_and_taken_down(
    launch: Launch, estate: Estate, balanced: dict[str, dict[str, Any]]
) -> None:
    both = ("foo-cluster", "bar-cluster")
    hosts = {both[0]: {**balanced["eu"], "cert_manager_install": True}, both[1]: balanced["us"]}
    assert proven(launch("trustmesh federation: set up", both, {}, host_variables=hosts)) > 150
    named = {"answers": {"trustmesh_scenario": "federation"}, "inventory": f"{INVENTORIES}/federation/hosts.ini"}
    launch("trustmesh: tear down", both, **named, host_variables=hosts)
    for cluster in ("eu", "us"):
        made = (HELD, "metallb-system", "cert-manager", "bookinfo", "helloworld")
        assert not {f"namespace/{name}" for name in made} & estate.names(cluster, "namespaces")


def test_front_proxy_is_set_up_with_a_machine_by_ssh_and_taken_down(
    launch: Launch, estate: Estate, machine: machines.Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = {"volumes": {str(tmp_path_factory.mktemp("shared")): "/shared"}}
    more = {**shared, "host_variables": {"laptop": reached(machine)}, "ssh_key": machine.key.read_text()}
    answers = {**EXPOSED, "machine_control_dir": "/shared/machines"}
    name = "trustmesh front_proxy: set up"
    # All of the page, those that are asked from the machine among them.
    assert proven(launch(name, ("front",), answers, **more)) == 32
    units = ("spire-agent", "envoy-desk")
    assert machine.run("systemctl", "is-active", *units).split() == ["active"] * 2
    assert changed(launch(name, ("front",), answers, **more).stdout) == 0
    # A machine that has started anew has what it needs, without a run.
    before = machine.run("systemctl", "show", "--property", "MainPID", *units)
    machine.run("systemctl", "restart", *units)
    assert machine.run("systemctl", "show", "--property", "MainPID", *units) != before
    inventory = f"{INVENTORIES}/front_proxy/hosts.ini"
    named = {"answers": {"trustmesh_scenario": "front_proxy"}, "inventory": inventory}
    assert proven(launch("trustmesh: proof", ("front",), **named, **more)) == 32
    launch("trustmesh: tear down", ("front",), **named, **more)
    assert f"namespace/{HELD}" not in estate.names("eu", "namespaces")
    assert left_on(machine, "ls -d /run/spire 2>/dev/null") == ""


def test_istio_vm_is_set_up_with_a_machine_by_ssh_and_taken_down(
    launch: Launch,
    estate: Estate,
    machine: machines.Machine,
    balanced: dict[str, dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # The program that is there before: a version of Bookinfo's reviews, as a service of a user.
    app = tmp_path_factory.mktemp("app")
    made = estate.run("podman", "create", estate.images["bookinfo"], "none").strip()
    estate.run("podman", "cp", f"{made}:/app", str(app))
    estate.run("podman", "rm", made)
    estate.run("podman", "cp", str(app / "app"), f"{machine.name}:/srv/app")
    words = [
        "reviews",
        "--address=127.0.0.1",
        "--version=v2",
        "--ratings=http://ratings.default.svc.cluster.local:9080",
    ]
    machine.run("systemd-run", "--unit=reviews", "--property=DynamicUser=yes", "python3", "/srv/app/main.py", *words)
    shared = {"volumes": {str(tmp_path_factory.mktemp("shared")): "/shared"}}
    hosts = {"vm": reached(machine), "shore": balanced["eu"]}
    more = {**shared, "host_variables": hosts, "ssh_key": machine.key.read_text()}
    answers = {"machine_control_dir": "/shared/machines"}
    name = "trustmesh istio_vm: set up"
    assert proven(launch(name, ("shore",), answers, **more)) > 40
    assert machine.run("systemctl", "is-active", "istio-proxy", "istio-proxy-certificate").split() == ["active"] * 2
    assert changed(launch(name, ("shore",), answers, **more).stdout) == 0
    inventory = f"{INVENTORIES}/istio_vm/hosts.ini"
    launch("trustmesh: tear down", ("shore",), {"trustmesh_scenario": "istio_vm"}, inventory=inventory, **more)
    assert f"namespace/{HELD}" not in estate.names("eu", "namespaces")
    assert left_on(machine, "iptables-save | grep ISTIO") == ""


def test_no_other_template_is_said_to_run_here(launched: set[str]) -> None:
    assert launched == awx_job.ON_CLUSTERS

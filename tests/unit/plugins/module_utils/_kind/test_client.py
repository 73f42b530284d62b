# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine says of a cluster, where a real engine would have to be broken for it."""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.addresses import SHARES, choose
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.client import KindClient, _request
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.plan import Found, Node, Wanted
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NODE = {
    "Name": "/blue-control-plane",
    "Config": {"Labels": {"io.x-k8s.kind.role": "control-plane"}, "Image": "localhost/trustmesh/node:1"},
    "NetworkSettings": {"Networks": {"kind": {"IPAddress": "192.0.2.1"}}, "Ports": {}},
    "State": {"Running": True},
}


class Engine:
    """An engine with one node, in which ``cat`` ends as told."""

    def __init__(self, rc: int, stdout: str = "", stderr: str = "") -> None:
        self.answer = Completed((), rc, stdout, stderr)

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        del stdin, timeout
        if argv[1] == "exec":
            return self.answer
        if argv[1] == "create":
            Path(argv[argv.index("--kubeconfig") + 1]).write_text("apiVersion: v1\n")
        return Completed(tuple(argv), 0, "0123456789ab" if argv[1] == "ps" else json.dumps([NODE]), "")


def client(engine: Engine | Networks, folder: Path) -> KindClient:
    return KindClient("podman", "kind", "kubectl", "kind", engine, folder)  # type: ignore[arg-type]


def test_the_note_of_a_cluster_under_way_is_not_written_through_a_link(tmp_path: Path) -> None:
    made = client(Engine(0), tmp_path)
    wanted = Wanted("blue", "localhost/trustmesh/node:1", {}, 0, str(tmp_path))
    precious = tmp_path / "precious"
    precious.write_text("kept")
    made._intent("blue").parent.mkdir(parents=True, exist_ok=True)
    made._intent("blue").symlink_to(precious)
    assert made.create(wanted, 1) == "apiVersion: v1\n"
    assert precious.read_text() == "kept"
    assert made._intent("blue").read_text() == wanted.fingerprint


class Kind:
    """A kind that locks the kubeconfig that it is told to tidy, as the real one does (loader.go of client-go)."""

    def __init__(self) -> None:
        self.locked: list[Path] = []

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        del stdin, timeout
        lock = Path(f"{argv[argv.index('--kubeconfig') + 1]}.lock")
        assert lock.parent.is_dir()
        self.locked.append(lock)
        return Completed(tuple(argv), 1 if lock in self.locked[:-1] else 0, "", "failed to lock config file")


def test_clusters_can_be_deleted_at_the_same_time(tmp_path: Path) -> None:
    kind = Kind()
    for name in ("blue", "green"):
        client(kind, tmp_path).delete(name)  # type: ignore[arg-type]
    assert len(kind.locked) == 2


def test_the_mark_in_the_first_node_says_whose_it_is(tmp_path: Path) -> None:
    found = client(Engine(0, '{"owner": "/here"}'), tmp_path).read("blue")
    assert found.mark == {"owner": "/here"}


@pytest.mark.parametrize("port", ["4321", "9"], ids=["current", "of another cluster"])
def test_an_api_server_is_asked_only_by_a_kubeconfig_that_is_its_own(port: str, tmp_path: Path) -> None:
    asked: set[str] = set()

    class Asked(Engine):
        def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
            asked.add(argv[0])
            if argv[0] == "kubectl":
                return Completed(tuple(argv), 1, "", "it does not answer")
            answer = super().run(argv, stdin, timeout)
            return replace(
                answer, stdout=answer.stdout.replace('"Ports": {}', '"Ports": {"6443/tcp": [{"HostPort": "4321"}]}')
            )

    kubeconfig = tmp_path / "blue.kubeconfig"
    kubeconfig.write_text(f"server: https://127.0.0.1:{port}\n")
    kubeconfig.chmod(0o600)
    found, network, nodes = client(Asked(0, '{"owner": "/here"}'), tmp_path).read_beside("blue", kubeconfig)
    assert (found.mark, network) == ({"owner": "/here"}, None)
    assert ("kubectl" in asked) == (port == "4321") == (nodes is not None)
    assert nodes is None or str(nodes) == "it does not answer"


def test_a_cluster_without_a_mark_was_made_by_somebody_else(tmp_path: Path) -> None:
    found = client(Engine(1, stderr="cat: /kind/trustmesh.json: No such file or directory"), tmp_path).read("blue")
    assert found.mark is None


def test_a_node_that_only_seems_to_run_is_not_taken_for_somebody_elses(tmp_path: Path) -> None:
    dead = Engine(255, stderr="Error: OCI runtime error: runc: exec failed: cannot exec in a stopped container")
    found = client(dead, tmp_path).read("blue")
    assert found.mark is None
    assert found.silent == (
        "podman says that the node blue-control-plane runs and cannot run a command in it: Error: OCI runtime error: "
        "runc: exec failed: cannot exec in a stopped container"
    )


def test_a_stopped_node_says_by_its_disk_whose_it_is(tmp_path: Path) -> None:
    class Stopped(Engine):
        def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
            if argv[1] == "cp":
                assert argv[2] == "blue-control-plane:/kind/trustmesh.json"
                Path(argv[3]).write_text('{"owner": "/here"}')
            answer = super().run(argv, stdin, timeout)
            return replace(answer, stdout=answer.stdout.replace('"Running": true', '"Running": false'))

    found = client(Stopped(125, stderr="it does not run"), tmp_path).read("blue")
    assert (found.mark, found.silent) == ({"owner": "/here"}, "")


# The network


class Networks:
    """An engine that makes networks. It refuses what ``refused`` says, and shows them in the form of ``shown``."""

    def __init__(self, shown: str, refused: str = "", taken: tuple[str, ...] = ()) -> None:
        self.shown, self.refused = shown, refused
        self.names = set(taken)
        self.made: list[list[str]] = []

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        del stdin, timeout
        verb, name = argv[2], argv[-1]
        rc = 1 if verb != "create" and name not in self.names else 0
        if verb == "create":
            if self.refused and self.refused in argv:
                return Completed(tuple(argv), 125, "", f"{self.refused} is not known")
            self.names.add(name)
            self.made.append(list(argv[3:]))
        elif verb == "rm" and not rc:
            self.names.remove(name)
        return Completed(tuple(argv), rc, self.shown if verb == "inspect" and not rc else "", "")


PODMAN = json.dumps([{"name": "kind", "subnets": [{"subnet": "10.89.2.0/24", "gateway": "10.89.2.1"}]}])
DOCKER = json.dumps([{"Name": "kind", "IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]}}])


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (PODMAN, ["--subnet", "10.89.2.0/24", "--ip-range", "10.89.2.0/25", "kind"]),
        (DOCKER, ["--subnet", "172.18.0.0/16", "--ip-range", "172.18.0.0/17", "kind"]),
        ("[]", ["kind"]),
        ("no JSON", ["kind"]),
    ],
)
def test_containers_get_addresses_of_the_lower_half_of_a_new_network(
    tmp_path: Path, shown: str, words: list[str]
) -> None:
    engine = Networks(shown)
    client(engine, tmp_path)._ensure_network()
    assert engine.made[-1] == words
    assert engine.names == {"kind"}, "the network that was asked for a subnet is left"


def test_an_engine_that_takes_no_range_makes_a_network_all_the_same(tmp_path: Path) -> None:
    engine = Networks(PODMAN, refused="--ip-range")
    client(engine, tmp_path)._ensure_network()
    assert engine.made[-1] == ["kind"]
    assert engine.names == {"kind"}


def test_a_network_that_is_there_is_left_alone(tmp_path: Path) -> None:
    engine = Networks(PODMAN, taken=("kind",))
    client(engine, tmp_path)._ensure_network()
    assert engine.made == []


def test_what_a_kubelet_asks_for_is_read_from_its_request() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "system:node:blue-worker")])
    claims = [x509.DNSName("blue-worker"), x509.IPAddress(ipaddress.ip_address("10.89.0.3"))]
    built = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = built.add_extension(x509.SubjectAlternativeName(claims), critical=False).sign(key, hashes.SHA256())
    pem = base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()
    spec = {"request": pem, "username": "system:node:blue-worker"}
    read = _request({"metadata": {"name": "csr-1"}, "spec": spec})
    assert read.claims == {"blue-worker", "10.89.0.3"}
    assert (read.name, read.username, read.subject) == ("csr-1", *[spec["username"]] * 2)
    with pytest.raises(ProcessError, match="cannot be read"):
        _request({"metadata": {"name": "csr-1"}, "spec": {**spec, "request": "AAAA"}})


# Addresses for load balancers


class Marked:
    """An engine with clusters on a network, each with a mark. ``racing`` writes its own when ours is written first."""

    def __init__(self, marks: dict[str, object], racing: tuple[str, int] | None = None) -> None:
        self.marks = marks
        self.racing = racing
        self.written: list[dict[str, object]] = []

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        del timeout
        if argv[1] == "exec":
            self.written.append(json.loads(str(stdin)))
            if self.racing:
                self.marks[self.racing[0]] = {"taking": self.racing[1]}
                self.racing = None
        elif argv[1] == "cp":
            name = argv[2].partition(":")[0]
            if self.marks.get(name) is None:
                return Completed(tuple(argv), 125, "", "no such file")
            Path(argv[3]).write_text(json.dumps(self.marks[name]))
        return Completed(tuple(argv), 0, "\n".join(self.marks) if argv[1] == "ps" else "", "")


BLUE = Wanted("blue", "localhost/trustmesh/node:1", {}, 0, "/here")
OURS = Node("blue-control-plane", "control-plane", True, "localhost/trustmesh/node:1", "192.0.2.1")


def marked(engine: Marked, folder: Path, mark: dict[str, object] | None = None) -> int | None:
    made, found = client(engine, folder), Found((OURS,), mark)  # type: ignore[arg-type]
    share = made.take_share(BLUE, found)
    made.mark(BLUE, found, share)
    return share


def test_a_new_cluster_takes_a_share_that_no_other_on_the_network_has(tmp_path: Path) -> None:
    first = choose("blue", ())
    others = {"green-control-plane": {"share": first}, "half-made-control-plane": None, "blue-control-plane": None}
    engine = Marked(others)
    share = marked(engine, tmp_path)
    assert share is not None
    assert share != first
    assert engine.written[-1] == {"fingerprint": BLUE.fingerprint, "owner": "/here", "share": share}


def test_of_two_that_take_the_same_share_at_the_same_time_this_one_gives_way(tmp_path: Path) -> None:
    first = choose("blue", ())
    assert first is not None
    engine = Marked({"blue-control-plane": None}, racing=("green-control-plane", first))
    assert marked(engine, tmp_path) not in (None, first)
    assert "share" not in engine.written[0], "it was not ours yet"


def test_a_cluster_keeps_its_share(tmp_path: Path) -> None:
    engine = Marked({"green-control-plane": {"share": 5}})
    assert marked(engine, tmp_path, {"share": 7}) == 7
    assert [mark["share"] for mark in engine.written] == [7]


def test_a_cluster_too_many_gets_no_share_and_is_not_asked_for_one_again(tmp_path: Path) -> None:
    engine = Marked({f"c{share}-control-plane": {"share": share} for share in range(SHARES)})
    assert marked(engine, tmp_path) is None
    assert engine.written[-1]["share"] is None

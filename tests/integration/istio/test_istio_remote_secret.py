# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istio_remote_secret between two real API servers: whether the token works, when it is renewed, and who sees it."""

from __future__ import annotations

import base64
import json
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from certificates import issue
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ..conftest import binary, run_module
from ..kubernetes_api import Api, running_api

NAMESPACE, READER = "istio-system", "istio-reader-service-account"
SECRET = ("secret", "istio-remote-secret-green", "-n", NAMESPACE)
LIFETIME, SHORTENED = 1800, 3600


@dataclass
class Mesh:
    """Two clusters: the istiod of blue is to read from green. kubectl leaves its arguments in a file."""

    blue: Api
    green: Api
    folder: Path

    @property
    def server(self) -> str:
        config = json.loads(Path(self.green.kubeconfig).read_text())
        return str(config["clusters"][0]["cluster"]["server"])

    @property
    def kubectl(self) -> str:
        return str(self.folder / "kubectl")

    @property
    def arguments(self) -> str:
        return (self.folder / "arguments").read_text()

    def args(self, **change: Any) -> dict[str, Any]:
        args = {
            "kubectl": self.kubectl,
            "kubeconfig": self.blue.kubeconfig,
            "cluster": "green",
            "server": self.server,
            "remote": {"kubeconfig": self.green.kubeconfig},
            "token_lifetime": LIFETIME,
            "scenario": "tests",
        }
        return {name: value for name, value in {**args, **change}.items() if value is not None}

    def run(self, check: bool = False, **change: Any) -> dict[str, Any]:
        """Run the module, and see that nobody but the Secret has the token, the one before as little as the new one."""
        before = self.token()
        result = run_module("istio_remote_secret", self.args(**change), check=check)
        for token in filter(None, (before, self.token())):
            for part in token.split("."):
                assert part not in json.dumps(result)
                assert part not in self.arguments
        assert not result.get("failed"), result
        return result

    def failure(self, **change: Any) -> str:
        result = run_module("istio_remote_secret", self.args(**change))
        assert result.get("failed"), result
        return str(result["msg"])

    def secret(self) -> dict[str, Any] | None:
        text = self.blue.kubectl("get", *SECRET, "--ignore-not-found", "-o", "json")
        found: dict[str, Any] | None = json.loads(text) if text else None
        return found

    def config(self) -> str:
        data = (self.secret() or {}).get("data") or {}
        return base64.b64decode(data.get("green", "")).decode()

    def token(self) -> str:
        config = self.config()
        return str(json.loads(config)["users"][0]["user"]["token"]) if config.startswith("{") else ""

    def read_green(self) -> subprocess.CompletedProcess[str]:
        """Read from green as the istiod of blue would: with the kubeconfig in the Secret and nothing else."""
        path = self.folder / "from-secret"
        path.touch(mode=0o600)
        path.write_text(self.config())
        argv = [binary("kubectl"), "--kubeconfig", str(path), "get", "services", "--all-namespaces"]
        return subprocess.run(argv, text=True, capture_output=True, check=False)

    def remake_account(self) -> None:
        self.green.kubectl("delete", "serviceaccount", READER, "-n", NAMESPACE)
        self.green.kubectl("create", "serviceaccount", READER, "-n", NAMESPACE)

    def forge(self, issued: float, expires: float, **change: Any) -> None:
        """Put a token into the Secret that green has signed for a life of another time."""
        claims = {
            "iss": "https://issuer.test",
            "aud": ["https://issuer.test"],
            "sub": f"system:serviceaccount:{NAMESPACE}:{READER}",
            "iat": int(time.time() + issued),
            "nbf": int(time.time() + issued),
            "exp": int(time.time() + expires),
            "kubernetes.io": {
                "namespace": NAMESPACE,
                "serviceaccount": {
                    "name": READER,
                    "uid": self.green.get("serviceaccount", READER, "-n", NAMESPACE)["metadata"]["uid"],
                },
            },
            **change,
        }
        parts = [{"alg": "RS256", "typ": "JWT"}, claims]
        signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
        key = serialization.load_pem_private_key((self.green.folder / "sa.key").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        signature = base64.urlsafe_b64encode(key.sign(signed, padding.PKCS1v15(), hashes.SHA256())).rstrip(b"=")
        config = self.config().replace(self.token(), b".".join((signed, signature)).decode())
        self.blue.patch(*SECRET, body={"data": {"green": base64.b64encode(config.encode()).decode()}})


def reasons(result: dict[str, Any]) -> list[str]:
    return [reason for action in result["actions"] for reason in action["reasons"]]


def warnings(result: dict[str, Any]) -> str:
    return json.dumps(result.get("warnings", []))


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("mesh")
    kubectl = folder / "kubectl"
    kubectl.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/arguments"\nexec {shlex.quote(binary("kubectl"))} "$@"\n')
    kubectl.chmod(0o755)
    shorten = [f"--service-account-max-token-expiration={SHORTENED}s"]
    with running_api() as blue, running_api(("reader", "asker"), shorten) as green:
        for api in (blue, green):
            api.kubectl("create", "namespace", NAMESPACE)
        # What Istio's installation and Kubernetes' own controllers would make.
        green.kubectl("create", "serviceaccount", READER, "-n", NAMESPACE)
        green.kubectl("create", "clusterrole", "reader", "--verb=get,list,watch", "--resource=services")
        account = f"--serviceaccount={NAMESPACE}:{READER}"
        green.kubectl("create", "clusterrolebinding", "reader", "--clusterrole=reader", account)
        root = f"--from-file=ca.crt={green.folder}/certs/apiserver.crt"
        green.kubectl("create", "configmap", "kube-root-ca.crt", "-n", NAMESPACE, root)
        for user, rights in (
            ("reader", ["--verb=get", "--resource=serviceaccounts,configmaps"]),
            ("asker", ["--verb=get,create", "--resource=serviceaccounts,serviceaccounts/token,configmaps"]),
        ):
            green.kubectl("create", "role", user, "-n", NAMESPACE, *rights)
            green.kubectl("create", "rolebinding", user, "-n", NAMESPACE, f"--role={user}", f"--user={user}")
        yield Mesh(blue, green, folder)


@pytest.fixture(autouse=True)
def bare(mesh: Mesh) -> Iterator[None]:
    mesh.blue.kubectl("delete", *SECRET, "--ignore-not-found")
    (mesh.folder / "arguments").write_text("")
    yield


def test_the_secret_is_made_once_and_what_is_in_it_works(mesh: Mesh) -> None:
    check = mesh.run(check=True)
    assert mesh.secret() is None
    first = mesh.run()
    assert first["actions"] == check["actions"]
    assert [action["verb"] for action in first["actions"]] == ["created"]
    assert check["remote_secret"]["expires"] == "(new)"
    assert {**check["remote_secret"], **dict.fromkeys(("expires", "renewed_from"))} == {
        **first["remote_secret"],
        **dict.fromkeys(("expires", "renewed_from")),
    }
    assert first["remote_secret"]["lifetime"] == LIFETIME
    assert mesh.read_green().returncode == 0, mesh.read_green().stderr

    secret = mesh.secret() or {}
    assert secret["metadata"]["annotations"] == {
        "networking.istio.io/cluster": "green",
        "trustmesh.io/token-lifetime": str(LIFETIME),
    }
    assert secret["metadata"]["labels"] == {
        "istio/multiCluster": "true",
        "app.kubernetes.io/managed-by": "trustmesh.spiffe",
        "trustmesh.io/role": "istio",
        "trustmesh.io/scenario": "tests",
    }
    assert list(secret["data"]) == ["green"]

    again = mesh.run()
    assert (again["changed"], again["actions"]) == (False, [])
    assert again["remote_secret"] == first["remote_secret"]
    assert again["diff"] == {"before": {}, "after": {}}
    assert not mesh.run(check=True)["changed"]
    assert (mesh.secret() or {})["metadata"]["resourceVersion"] == secret["metadata"]["resourceVersion"]
    said = warnings(first)
    assert "leads each pod to itself" in said, "as it does, in these tests"
    assert "token_lifetime" not in said


def test_the_diff_shows_fields(mesh: Mesh) -> None:
    diff = mesh.run()["diff"]
    assert diff["before"] == {}
    assert sorted(diff["after"]) == ["account", "account_uid", "ca_sha256", "expires", "server"]
    assert diff["after"]["server"] == mesh.server
    assert diff["after"]["account"] == f"{NAMESPACE}/{READER}"
    assert len(diff["after"]["ca_sha256"][0]) == 64
    again = mesh.run(server="https://localhost:1")["diff"]
    assert again["before"] == diff["after"]
    assert again["after"]["server"] == "https://localhost:1"


def test_an_account_that_was_made_anew_gives_a_new_token(mesh: Mesh) -> None:
    mesh.run()
    mesh.remake_account()
    check = mesh.run(check=True)
    done = mesh.run()
    assert done["actions"] == check["actions"]
    assert [action["verb"] for action in done["actions"]] == ["updated"]
    (why,) = reasons(done)
    assert "was made anew" in why
    assert done["diff"]["before"]["account_uid"] != done["diff"]["after"]["account_uid"]
    assert mesh.read_green().returncode == 0
    assert not mesh.run()["changed"]


def test_a_token_near_its_end_is_replaced(mesh: Mesh) -> None:
    mesh.run()
    mesh.forge(-1000, LIFETIME - 1000)
    assert mesh.read_green().returncode == 0, "it is a good one"
    assert mesh.run(check=True)["actions"][0]["reasons"][0].startswith("its token ends at ")
    assert not mesh.run(check=True, renew_before=600)["changed"]
    done = mesh.run()
    assert done["changed"]
    assert done["diff"]["before"]["expires"] < done["diff"]["after"]["expires"]
    assert not mesh.run()["changed"]
    mesh.forge(-2000, -200)
    assert mesh.run()["actions"][0]["reasons"][0].startswith("its token ended at ")


def test_a_life_that_was_shortened_is_told_and_does_not_renew_in_each_run(mesh: Mesh) -> None:
    asked = {"token_lifetime": 86400, "renew_before": 43200}
    first = mesh.run(**asked)
    assert first["remote_secret"]["lifetime"] == SHORTENED
    assert f"gave a token for {SHORTENED} s, and not for the 86400 s" in warnings(first)
    again = mesh.run(**asked)
    assert not again["changed"]
    assert again["remote_secret"] == first["remote_secret"]
    mesh.forge(-SHORTENED * 0.6, SHORTENED * 0.4)
    assert mesh.run(**asked)["changed"]
    # One who asks for another life gets another token.
    assert reasons(mesh.run()) == [f"its token was not asked for with a life of {LIFETIME} s"]


def test_a_token_that_the_other_api_server_does_not_take_is_replaced(mesh: Mesh) -> None:
    mesh.run()
    mesh.forge(0, LIFETIME, aud=["elsewhere"])
    assert mesh.read_green().returncode != 0
    # Who may not ask whether it is taken believes what it says of itself.
    asker = {"remote": {"kubeconfig": f"{mesh.green.folder}/asker.kubeconfig"}}
    assert not mesh.run(**asker)["changed"]
    done = mesh.run()
    assert reasons(done) == ["the other API server does not take its token any more"]
    assert mesh.read_green().returncode == 0
    mesh.blue.kubectl("delete", *SECRET)
    assert mesh.run(**asker)["changed"]
    assert mesh.read_green().returncode == 0


def test_another_server_ca_account_or_scenario_is_written(mesh: Mesh) -> None:
    mesh.run()
    (other,) = reasons(mesh.run(server="https://localhost:1"))
    assert other == f"its server is {mesh.server}"
    ca = issue(ca=True).pem
    changed = mesh.run(server_ca=ca)
    assert reasons(changed) == ["its server is https://localhost:1", "its CA is another one"]
    assert not mesh.run(server_ca=f"A comment.\r\n{ca}\n\n")["changed"]
    assert reasons(mesh.run(server_ca=ca, scenario="others")) == ["its labels or annotations are others"]
    mesh.green.kubectl("create", "serviceaccount", "other", "-n", NAMESPACE)
    remote = {"kubeconfig": mesh.green.kubeconfig, "service_account": "other"}
    done = mesh.run(server_ca=ca, scenario="others", remote=remote)
    assert reasons(done) == [f"its token is of the ServiceAccount {NAMESPACE}/{READER}"]
    assert not mesh.run(server_ca=ca, scenario="others", remote=remote)["changed"]
    assert mesh.run()["changed"]
    assert mesh.read_green().returncode == 0


def test_what_was_changed_by_hand_is_set_right(mesh: Mesh) -> None:
    mesh.run()
    for body in ({"data": {"green": "eA=="}}, {"data": {"green": ""}}, {"data": {"green": None}}):
        mesh.blue.patch(*SECRET, body=body)
        assert reasons(mesh.run()) == ["it holds no kubeconfig of the form that is written here"]
        assert mesh.read_green().returncode == 0
    mesh.blue.patch(*SECRET, body={"metadata": {"labels": {"istio/multiCluster": None}}})
    assert reasons(mesh.run()) == ["its labels or annotations are others"]
    assert (mesh.secret() or {})["metadata"]["labels"]["istio/multiCluster"] == "true"


def istioctl(mesh: Mesh) -> None:
    """Make the Secret as Istio's guide says."""
    # No controller fills in the token here, so istioctl is given one that is.
    mesh.green.kubectl("delete", "secret", "old-token", "-n", NAMESPACE, "--ignore-not-found")
    uid = mesh.green.get("serviceaccount", READER, "-n", NAMESPACE)["metadata"]["uid"]
    about = {"kubernetes.io/service-account.name": READER, "kubernetes.io/service-account.uid": uid}
    root = (mesh.green.folder / "certs/apiserver.crt").read_text()
    old = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "old-token", "namespace": NAMESPACE, "annotations": about},
        "stringData": {"token": "the-old-token-without-an-end", "ca.crt": root},
    }
    mesh.green.kubectl("apply", "-f", "-", stdin=json.dumps(old))
    argv = [binary("istioctl"), "--kubeconfig", mesh.green.kubeconfig, "create-remote-secret", "--name", "green"]
    argv += ["--secret-name", "old-token", "--server", mesh.server]
    made = subprocess.run(argv, text=True, capture_output=True, check=False)
    assert made.returncode == 0, made.stderr
    mesh.blue.kubectl("apply", "-f", "-", stdin=made.stdout)


def test_a_secret_of_istioctl_is_taken_over_and_has_the_form_of_ours(mesh: Mesh) -> None:
    istioctl(mesh)
    theirs = mesh.secret() or {}
    left = mesh.run(state="absent")
    assert not left["changed"]
    assert "stays, since somebody else made it" in warnings(left)
    check = mesh.run(check=True)
    done = mesh.run()
    assert done["actions"] == check["actions"]
    assert reasons(done) == ["somebody else made it for the same cluster"]
    assert "may have no end" in warnings(done)
    ours = mesh.secret() or {}
    assert "the-old-token" not in json.dumps(ours), "also not in a copy of what was applied once"
    assert base64.b64encode(b"the-old-token-without-an-end").decode() not in json.dumps(ours)
    assert ours["type"] == theirs["type"]
    assert list(ours["data"]) == list(theirs["data"])
    assert theirs["metadata"]["labels"].items() <= ours["metadata"]["labels"].items()
    cluster = "networking.istio.io/cluster"
    assert ours["metadata"]["annotations"][cluster] == theirs["metadata"]["annotations"][cluster]
    assert mesh.read_green().returncode == 0
    assert not mesh.run()["changed"]


def test_a_secret_that_serves_something_else_is_refused_and_left_alone(mesh: Mesh) -> None:
    mesh.blue.kubectl("create", *SECRET[:1], "generic", *SECRET[1:], "--from-literal=green=x")
    there = mesh.secret()
    assert "neither this collection nor istioctl made it" in mesh.failure()
    assert not mesh.run(state="absent")["changed"]
    assert mesh.secret() == there
    mesh.blue.kubectl("delete", *SECRET)
    mesh.run()
    mesh.blue.patch(*SECRET, body={"data": {"red": "eA=="}})
    assert "for red" in mesh.failure()


def test_absent_removes_it_and_does_not_ask_the_other_cluster(mesh: Mesh) -> None:
    mesh.run()
    gone = {"state": "absent", "remote": None, "server": None}
    check = mesh.run(check=True, **gone)
    assert mesh.secret() is not None
    done = mesh.run(**gone)
    assert done["actions"] == check["actions"]
    assert [action["verb"] for action in done["actions"]] == ["deleted"]
    assert done["remote_secret"] == {}
    assert done["diff"]["before"]["server"] == mesh.server
    assert done["diff"]["after"] == {}
    assert mesh.secret() is None
    assert not mesh.run(**gone)["changed"]


def test_what_is_missing_is_said_with_what_to_do(mesh: Mesh, tmp_path: Path) -> None:
    def remote(**change: str) -> dict[str, Any]:
        return {"remote": {"kubeconfig": mesh.green.kubeconfig, **change}}

    assert "no ServiceAccount istio-system/none" in mesh.failure(**remote(service_account="none"))
    assert "Install Istio there" in mesh.failure(**remote(namespace="none"))
    mesh.green.kubectl("create", "serviceaccount", "tm", "-n", "kube-system")
    assert "Give the CA as server_ca" in mesh.failure(**remote(namespace="kube-system", service_account="tm"))
    assert "no namespace none in this cluster" in mesh.failure(namespace="none")
    reader = remote(kubeconfig=f"{mesh.green.folder}/reader.kubeconfig")
    said = mesh.failure(**reader)
    assert 'cannot create resource "serviceaccounts/token"' in said
    assert "Give a user of the other cluster who may do that" in said
    assert mesh.secret() is None
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    elsewhere = json.loads(Path(mesh.green.kubeconfig).read_text())
    elsewhere["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    (tmp_path / "elsewhere").write_text(json.dumps(elsewhere))
    said = mesh.failure(**remote(kubeconfig=str(tmp_path / "elsewhere")))
    assert "the other cluster cannot be reached" in said
    assert str(port) in said
    assert "remote.kubeconfig: /nonexistent is not a file" in mesh.failure(**remote(kubeconfig="/nonexistent"))
    assert "same cluster" in mesh.failure(remote={"kubeconfig": mesh.blue.kubeconfig})

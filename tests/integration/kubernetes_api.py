# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Kubernetes API server and its etcd, without nodes or controllers.

It takes three seconds to start. What controllers would do, such as reporting a Deployment as available, the tests write
into the objects' status themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from peers import free_port

from .conftest import binary, wait_until


@dataclass
class Api:
    """A running API server."""

    folder: Path

    @property
    def kubeconfig(self) -> str:
        return str(self.folder / "kubeconfig")

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        argv = [binary("kubectl"), "--kubeconfig", self.kubeconfig, *words]
        done = subprocess.run(argv, input=stdin, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def apply(self, objects: Sequence[Any]) -> None:
        """Apply what a role brings: what is of a type that comes with it when that type is known."""
        first = [item for item in objects if item["kind"] in ("Namespace", "CustomResourceDefinition")]
        types = [item["metadata"]["name"] for item in first if item["kind"] == "CustomResourceDefinition"]
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(first))
        names = [f"customresourcedefinition/{name}" for name in types]
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
        rest = [item for item in objects if item not in first]
        if rest:
            self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(rest))

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def patch(self, *words: str, body: Any, kind: str = "merge") -> None:
        self.kubectl("patch", *words, "--type", kind, "-p", json.dumps(body))


def kubeconfig(cluster: dict[str, str], token: str) -> bytes:
    """Return a kubeconfig for one cluster and user."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    return json.dumps(config).encode()


def _start(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)


@contextlib.contextmanager
def running_api(users: Sequence[str] = (), arguments: Sequence[str] = ()) -> Iterator[Api]:
    """A running API server, with more ``arguments`` of its command line where they are given.

    Its kubeconfig is that of an administrator; ``users`` get one each, without any rights.
    """
    folder = Path(tempfile.mkdtemp(prefix="tm-api-"))
    client, peer, port = free_port(), free_port(), free_port()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _private(folder / "sa.key", pem)
    tokens = ["test-token,admin,admin,system:masters", *(f"{name}-token,{name},{name}" for name in users)]
    _private(folder / "tokens.csv", "".join(f"{line}\n" for line in tokens).encode())
    started = []
    try:
        started.append(
            _start(
                [
                    binary("etcd"),
                    f"--data-dir={folder}/etcd",
                    "--unsafe-no-fsync",
                    f"--listen-client-urls=http://127.0.0.1:{client}",
                    f"--advertise-client-urls=http://127.0.0.1:{client}",
                    f"--listen-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-cluster=default=http://127.0.0.1:{peer}",
                ],
                folder / "etcd.log",
            )
        )
        server = _start(
            [
                binary("kube-apiserver"),
                f"--etcd-servers=http://127.0.0.1:{client}",
                "--bind-address=127.0.0.1",
                f"--secure-port={port}",
                f"--cert-dir={folder}/certs",
                "--authorization-mode=RBAC",
                f"--token-auth-file={folder}/tokens.csv",
                "--service-account-issuer=https://issuer.test",
                f"--service-account-key-file={folder}/sa.key",
                f"--service-account-signing-key-file={folder}/sa.key",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--disable-admission-plugins=ServiceAccount",
                "--allow-privileged=true",  # as kubeadm has it
                *arguments,
            ],
            folder / "kube-apiserver.log",
        )
        started.append(server)
        one = Api(folder)
        cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": f"{folder}/certs/apiserver.crt"}
        _private(folder / "kubeconfig", kubeconfig(cluster, "test-token"))
        for name in users:
            _private(folder / f"{name}.kubeconfig", kubeconfig(cluster, f"{name}-token"))
        ready = [binary("kubectl"), "--kubeconfig", one.kubeconfig, "get", "namespace", "default"]

        def answers() -> bool:
            assert server.poll() is None, (folder / "kube-apiserver.log").read_text()[-2000:]
            return subprocess.run(ready, capture_output=True, check=False).returncode == 0

        wait_until(f"the API server answers (logs: {folder})", answers, 60)
        yield one
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)

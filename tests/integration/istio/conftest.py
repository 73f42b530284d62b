# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Kubernetes API server and its etcd, without nodes or controllers, and the real istioctl and kubectl.

It takes three seconds to start. What controllers would do, such as reporting a Deployment as available, the tests write
into the objects' status themselves.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ..conftest import free_port, wait_until

NEEDED = ("etcd", "kube-apiserver", "kubectl", "istioctl")


def program(name: str) -> str:
    """Return the path of a program. A missing one is a failure: nothing here is skipped."""
    folder = os.environ.get("TRUSTMESH_BIN_DIR")
    if not folder:
        pytest.fail(f"TRUSTMESH_BIN_DIR is not set: it names the folder that holds {', '.join(NEEDED)}.")
    path = Path(folder) / name
    if not os.access(path, os.X_OK):
        pytest.fail(f"{path} is missing or not executable: TRUSTMESH_BIN_DIR must hold {', '.join(NEEDED)}.")
    return str(path)


@dataclass
class Api:
    """A running API server."""

    folder: Path

    @property
    def kubeconfig(self) -> str:
        return str(self.folder / "kubeconfig")

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        argv = [program("kubectl"), "--kubeconfig", self.kubeconfig, *words]
        done = subprocess.run(argv, input=stdin, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def patch(self, *words: str, body: Any, kind: str = "merge") -> None:
        self.kubectl("patch", *words, "--type", kind, "-p", json.dumps(body))


def _start(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)


@pytest.fixture(scope="session")
def api() -> Iterator[Api]:
    for name in NEEDED:
        program(name)
    folder = Path(tempfile.mkdtemp(prefix="tm-api-"))
    client, peer, port = free_port(), free_port(), free_port()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _private(folder / "sa.key", pem)
    _private(folder / "tokens.csv", b"test-token,admin,admin,system:masters\n")
    started = []
    try:
        started.append(
            _start(
                [
                    program("etcd"),
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
                program("kube-apiserver"),
                f"--etcd-servers=http://127.0.0.1:{client}",
                "--bind-address=127.0.0.1",
                f"--secure-port={port}",
                f"--cert-dir={folder}/certs",
                "--authorization-mode=AlwaysAllow",
                f"--token-auth-file={folder}/tokens.csv",
                "--service-account-issuer=https://issuer.test",
                f"--service-account-key-file={folder}/sa.key",
                f"--service-account-signing-key-file={folder}/sa.key",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--disable-admission-plugins=ServiceAccount",
            ],
            folder / "kube-apiserver.log",
        )
        started.append(server)
        one = Api(folder)
        cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": f"{folder}/certs/apiserver.crt"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": "test-token"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        _private(folder / "kubeconfig", json.dumps(config).encode())
        ready = [program("kubectl"), "--kubeconfig", one.kubeconfig, "get", "namespace", "default"]

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

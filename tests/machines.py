# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as users have them: Debian with systemd, reached by ssh. Here it is a container beside the clusters."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PODMAN = shutil.which("podman") or "podman"
PACKAGES = "systemd-sysv,openssh-server,sudo,python3,curl,ca-certificates,iptables,iproute2"
USER = "admin"
IMAGE = "localhost/trustmesh/test-machine"


def _run(*words: str, given: str | None = None) -> str:
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def build_image() -> None:
    """Make the root file system of it, as roles/images makes those of its images."""
    debian = yaml.safe_load((ROOT / "roles" / "trustmesh" / "vars" / "main.yml").read_text())
    suite = debian["__trustmesh_versions"]["debian"]
    with tempfile.TemporaryDirectory() as folder:
        tar = f"{folder}/machine.tar"
        _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", suite, tar)
        _run(PODMAN, "import", "--quiet", tar, IMAGE)


def remove_image() -> None:
    """Take it away."""
    _run(PODMAN, "rmi", "--force", IMAGE)


@dataclass(frozen=True)
class Machine:
    """One that runs, and the key of a user there who may become root."""

    name: str
    address: str
    key: Path

    @classmethod
    def start(cls, name: str, network: str, folder: Path) -> Machine:
        """Start one with a network of the engine's. A key for it is made in ``folder``."""
        key = folder / name
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        _run(PODMAN, "rm", "--force", "--ignore", "--time", "0", name)
        words = ["--privileged", "--systemd=always", "--hostname", name, "--network", network, "--name", name]
        _run(PODMAN, "run", "--detach", *words, IMAGE, "/sbin/init")
        where = "{{ range .NetworkSettings.Networks }}{{ .IPAddress }}{{ end }}"
        found = cls(name, _run(PODMAN, "inspect", "--format", where, name).strip(), key)
        until = time.monotonic() + 60
        while found.state() != "running":
            assert time.monotonic() < until, f"systemd of {name} is not up: {found.state()}"
            time.sleep(0.5)
        script = f"""
            useradd --create-home {USER}
            echo '{USER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{USER}
            install -d -m 0700 -o {USER} /home/{USER}/.ssh
            cat >/home/{USER}/.ssh/authorized_keys
        """
        found.run("sh", "-euc", script, given=Path(f"{key}.pub").read_text())
        return found

    def state(self) -> str:
        """What systemd says of the whole of it."""
        argv = [PODMAN, "exec", self.name, "systemctl", "is-system-running"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()

    def run(self, *words: str, given: str | None = None) -> str:
        """Run a command there, and return what it prints."""
        return _run(PODMAN, "exec", "--interactive", self.name, *words, given=given)

    @property
    def command(self) -> list[str]:
        """What an inventory says as C(machine_command), so that the proof asks from there as the user of a workload."""
        words = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        become = ["sudo", "setpriv", "--reuid", "{uid}", "--regid", "{uid}", "--clear-groups", "--"]
        return [*words, "-o", "LogLevel=ERROR", f"{USER}@{self.address}", *become]

    def remove(self) -> None:
        """Take it away."""
        _run(PODMAN, "rm", "--force", "--time", "0", self.name)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of a cluster that exists attest by a certificate of theirs, and then by their SSH host key.

The example of SPIRE on such clusters, with the variables of the role's page beside it. The tests follow one another.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from certificates import issue

from .conftest import INSTANCE, ROOT, Estate, changed

pytestmark = pytest.mark.thorough

NODE = f"{INSTANCE}-us-control-plane"
"""The only node of the cluster ``us``."""
BILLING = "spiffe://corp.example/ns/billing/sa/billing"
PROGRAM = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: billing, namespace: billing}
spec:
  selector: {matchLabels: {app: billing}}
  template:
    metadata: {labels: {app: billing}}
    spec:
      serviceAccountName: billing
      terminationGracePeriodSeconds: 1
      containers:
        - name: billing
          image: IMAGE
          imagePullPolicy: IfNotPresent
          command: [python3, /app/main.py, --folder, /tmp/svid, --socket, /run/spire/agent-sockets/spire-agent.sock]
          volumeMounts: [{name: socket, mountPath: /run/spire/agent-sockets, readOnly: true}]
      volumes: [{name: socket, hostPath: {path: /run/spire/agent-sockets}}]
"""


class Spire:
    """The example, with what belongs to the nodes of ``us``."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.inventory = estate.folder / "attest"
        shutil.copytree(ROOT / "examples" / "spire", self.inventory)

    def says(self, variables: dict[str, Any]) -> None:
        path = self.inventory / "host_vars" / "us.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(variables))

    def play(self, name: str) -> str:
        words = (str(ROOT / "playbooks" / f"{name}.yml"), "-i", str(self.inventory))
        config = {"kubernetes_cluster_kubeconfig": str(self.estate.kubeconfig("config"))}
        return self.estate.ansible(*words, trustmesh_artifacts="packages", **config)

    def agents(self) -> dict[str, str]:
        """Who is attested, by how it is so."""
        where = ("-n", "spire-server", "exec", "spire-server-0", "-c", "spire-server", "--")
        what = ("/opt/spire/bin/spire-server", "agent", "list", "-output", "json")
        listed = json.loads(self.estate.kubectl("eu", *where, *what))["agents"]
        return {one["attestation_type"]: one["id"]["path"] for one in listed}

    def starts_anew(self) -> str:
        """What the program of the workload says when its pod is a new one: who it is."""
        self.estate.kubectl("us", "-n", "billing", "delete", "pod", "--all", "--wait")
        limit, said = time.monotonic() + 60, ""
        while "written" not in said and time.monotonic() < limit:
            time.sleep(1)
            said = self.estate.kubectl("us", "-n", "billing", "logs", "-l", "app=billing", "--ignore-errors")
        return said


@pytest.fixture(scope="module")
def spire(estate: Estate) -> Iterator[Spire]:
    estate.run("podman", "exec", NODE, "mkdir", "-p", "-m", "0700", "/etc/node")
    estate.kubectl("us", "create", "namespace", "billing")
    estate.kubectl("us", "-n", "billing", "create", "serviceaccount", "billing")
    found = Spire(estate)
    yield found
    found.play("teardown")
    estate.kubectl("us", "delete", "namespace", "billing", "--ignore-not-found")


def brought(estate: Estate, name: str, text: str) -> None:
    """Put a file of root's on the node."""
    estate.run("podman", "exec", "-i", NODE, "sh", "-c", f"umask 077; cat > /etc/node/{name}", given=text)


def test_by_a_certificate(spire: Spire) -> None:
    ca = issue(name="Nodes CA", ca=True)
    node = issue(name=NODE, by=ca)
    brought(spire.estate, "tls.crt", node.pem)
    brought(spire.estate, "tls.key", node.key_pem)
    spire.says(
        {
            "spire_agent_attestor": "x509pop",
            "spire_agent_attestor_data": {
                "certificate_path": "/etc/node/tls.crt",
                "private_key_path": "/etc/node/tls.key",
            },
            "spire_agent_attestor_files": ["/etc/node"],
            "spire_agent_attestor_server_data": {"ca_bundle_paths": ["/run/spire/node-attestors/nodes-ca.crt"]},
            "spire_agent_attestor_server_files": {"nodes-ca.crt": ca.pem},
            "spire_agent_node_selectors": [f"x509pop:subject:cn:{NODE}"],
        }
    )
    assert changed(spire.play("spire")) > 0
    assert spire.agents().keys() == {"k8s_psat", "x509pop"}
    spire.estate.kubectl("us", "apply", "-f", "-", given=PROGRAM.replace("IMAGE", spire.estate.images["svid_files"]))
    assert BILLING in spire.starts_anew()
    assert changed(spire.play("spire")) == 0


def test_and_then_by_the_host_key_of_ssh(spire: Spire, tmp_path: Path) -> None:
    run = spire.estate.run
    for name in ("ca", "host"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name))
    sign = ("ssh-keygen", "-q", "-s", str(tmp_path / "ca"), "-h", "-I", "us", "-n", NODE, "-V", "+1d")
    run(*sign, str(tmp_path / "host.pub"))
    brought(spire.estate, "host", (tmp_path / "host").read_text())
    brought(spire.estate, "host-cert.pub", (tmp_path / "host-cert.pub").read_text())
    spire.says(
        {
            "spire_agent_attestor": "sshpop",
            "spire_agent_attestor_data": {
                "host_key_path": "/etc/node/host",
                "host_cert_path": "/etc/node/host-cert.pub",
            },
            "spire_agent_attestor_files": ["/etc/node"],
            "spire_agent_attestor_server_data": {
                "cert_authorities": [(tmp_path / "ca.pub").read_text().strip()],
                # Go's words, and not Ansible's.
                "agent_path_template": "{% raw %}/{{ .PluginName }}/{{ index .ValidPrincipals 0 }}{% endraw %}",
            },
            "spire_agent_node_selectors": [f"spiffe_id:spiffe://corp.example/spire/agent/sshpop/{NODE}"],
        }
    )
    assert changed(spire.play("spire")) > 0
    assert spire.agents()["sshpop"] == f"/spire/agent/sshpop/{NODE}", "what it had attested by before is not used"
    assert BILLING in spire.starts_anew()
    assert changed(spire.play("spire")) == 0

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job templates as AWX would start them: what they find, what they are told, and what they do without a cluster.

tests/pages runs them on clusters.
"""

from __future__ import annotations

import configparser
import json
import os
from pathlib import Path

import awx_job
import pytest
import yaml
from peers import free_port

from ..conftest import binary
from ..kubernetes_api import running_api

SECRET = "t0ken-of-a-kubeconfig"
OURS = ("quote", "bookinfo", "svid_files")
IMAGES = {name: f"registry.corp.example/trustmesh/{name}:0.1.0" for name in OURS}
MINE = "inventories/mithril/hosts.ini"


@pytest.fixture(autouse=True)
def tools_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """An execution environment brings them."""
    monkeypatch.setenv("PATH", f"{Path(binary('kubectl')).parent}{os.pathsep}{os.environ['PATH']}")


def clusters(inventory: Path) -> list[str]:
    """Return the hosts that an inventory has as clusters."""
    read = configparser.ConfigParser(allow_no_value=True, delimiters=(" ",))
    read.read(inventory)
    return list(read["clusters"])


def nowhere(*contexts: str) -> str:
    """Return a kubeconfig with a context for each host, whose clusters nobody answers for."""
    url = f"https://127.0.0.1:{free_port()}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": url}}],
        "users": [{"name": "one", "user": {"token": SECRET}}],
        "contexts": [{"name": name, "context": {"cluster": "one", "user": "one"}} for name in contexts],
    }
    return json.dumps(config)


FIRST, *OTHERS = [name for name in awx_job.templates() if name.endswith(": set up")]


@pytest.mark.parametrize("name", [FIRST, *(pytest.param(name, marks=pytest.mark.thorough) for name in OTHERS)])
def test_a_job_gets_as_far_as_its_clusters(name: str, tmp_path: Path) -> None:
    hosts = [host for path in sorted(awx_job.ROOT.glob("inventories/*/hosts.ini")) for host in clusters(path)]
    folders = {"upstream_ca_dir": str(tmp_path / "ca"), "machine_control_dir": str(tmp_path / "machines")}
    mine = MINE if name.startswith("trustmesh: ") else ""
    answers = {"trustmesh_scenario": "mithril", **folders}
    job = awx_job.launch(name, tmp_path / "job", answers, inventory=mine, kubeconfig=nowhere(*hosts), images=IMAGES)
    assert SECRET not in job.stdout
    assert job.rc != 0
    if "front_proxy" in name:
        # Its machine is asked before its cluster, by ssh.
        assert "Could not resolve hostname laptop" in job.stdout, job.stdout
        return
    assert "did not answer at https://127.0.0.1:" in job.stdout, job.stdout
    assert "of context" in job.stdout, job.stdout


def test_an_answer_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="variables_needed_to_start"):
        awx_job.launch("trustmesh: proof", tmp_path, {}, inventory=MINE)


def test_a_template_in_an_answer_stays_a_text(tmp_path: Path) -> None:
    evil = "{{ lookup('ansible.builtin.pipe', 'touch " + str(tmp_path / "made") + "') }}"
    name = "trustmesh: show what follows"
    job = awx_job.launch(name, tmp_path / "job", {"trustmesh_scenario": evil}, inventory=MINE)
    assert job.rc != 0
    assert "cannot name a file" in job.stdout
    assert not (tmp_path / "made").exists()


def test_a_token_of_awx_s_own_credential_leads_to_the_cluster(tmp_path: Path) -> None:
    inventory = tmp_path / "mine"
    inventory.mkdir()
    (inventory / "hosts.ini").write_text("[clusters]\neu\n")
    tables = {"trustmesh_workloads": {"web": {"host": "eu", "namespace": "shop", "identity": False}}}
    (inventory / "group_vars").mkdir()
    (inventory / "group_vars" / "all.yml").write_text(yaml.safe_dump(tables))
    with running_api() as api:
        config = yaml.safe_load(Path(api.kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        credential = {
            "K8S_AUTH_HOST": cluster["server"],
            "K8S_AUTH_API_KEY": user["token"],
            "K8S_AUTH_VERIFY_SSL": "True",
            "K8S_AUTH_SSL_CA_CERT": cluster["certificate-authority"],
        }
        api.kubectl("create", "namespace", "shop")
        labels = {"app.kubernetes.io/managed-by": "trustmesh.spiffe", "trustmesh.io/scenario": "mine"}
        stale = {"name": "stale", "namespace": "shop", "labels": labels}
        api.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": stale}))
        answers = {"trustmesh_scenario": "mine"}
        job = awx_job.launch(
            "trustmesh: set up", tmp_path / "job", answers, inventory=str(inventory / "hosts.ini"), env=credential
        )
        assert user["token"] not in job.stdout
        assert "localhost:8080" not in job.stdout, "kubectl was left without a cluster"
        left = api.kubectl("get", "configmaps", "-n", "shop", "-o", "name").split()
        assert "configmap/stale" not in left, job.stdout

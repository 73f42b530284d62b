# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories of examples/ with the playbooks that do a part alone. Two more are run in test_your_own.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Estate, changed

ALONE = {"own", "proof"}
"""Run in test_your_own.py."""


@pytest.fixture(scope="module")
def examples(estate: Estate) -> Path:
    """The folder of the examples, with the kubeconfigs that are here."""
    there = estate.folder / "examples"
    shutil.copytree(ROOT / "examples", there)
    for path in [path for path in there.rglob("*") if path.is_file()]:
        path.write_text(estate.text(path.read_text()))
    return there


def run(estate: Estate, playbook: str, inventory: Path, **more: Any) -> str:
    """Run a playbook with the clusters as contexts of the user's own kubeconfig."""
    extra = {"trustmesh_build_dir": str(estate.build), "trustmesh_artifacts": "packages", **more}
    words = (
        "ansible-playbook",
        f"trustmesh.spiffe.{playbook}",
        "-i",
        str(inventory),
        "--extra-vars",
        json.dumps(extra),
    )
    return estate.run(*words, kubeconfig=estate.kubeconfig("config"))


def test_no_example_is_left_out() -> None:
    assert {path.parent.name for path in ROOT.glob("examples/*/hosts.ini")} == {"spire", "entries", "istio", *ALONE}


def test_spire_alone_then_entries_alone(estate: Estate, examples: Path) -> None:
    # Nobody gives addresses to balancers here.
    reached: dict[str, Any] = {"kubernetes_cluster_exposes_by": "NodePort"}
    assert changed(run(estate, "spire", examples / "spire", **reached)) > 0
    assert changed(run(estate, "spire", examples / "spire", **reached)) == 0
    for cluster in ("eu", "us"):
        agents = ("-n", "spire-system", "rollout", "status", "daemonset/spire-agent", "--timeout=60s")
        assert "successfully rolled out" in estate.kubectl(cluster, *agents)

    # This server has an entry that stands for the nodes of eu already, made by the example above.
    given = examples / "entries" / "group_vars" / "all.yml"
    given.write_text(given.read_text().replace("corp.example/node/eu", "corp.example/nodes-of-shop/eu"))
    assert changed(run(estate, "entries", examples / "entries")) == 1
    assert changed(run(estate, "entries", examples / "entries")) == 0
    show = ("-n", "spire-server", "exec", "spire-server-0", "-c", "spire-server", "--", "/opt/spire/bin/spire-server")
    shown = estate.kubectl("eu", *show, "entry", "show", "-spiffeID", "spiffe://corp.example/ns/shop/sa/web")
    assert "Found 1 entry" in shown

    run(estate, "teardown", examples / "spire", **reached)
    for cluster in ("eu", "us"):
        assert not estate.names(cluster, "namespaces") & {"namespace/spire-server", "namespace/spire-system"}


def test_istio_alone(estate: Estate, examples: Path) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cart"}}
    estate.kubectl("eu", "apply", "-f", "-", given=json.dumps(namespace))
    assert changed(run(estate, "istio", examples / "istio")) > 0
    policies = "authorizationpolicies,peerauthentications"
    assert "authorizationpolicy.security.istio.io/callers-of-cart" in estate.names("eu", policies, "-n", "cart")
    assert changed(run(estate, "istio", examples / "istio")) == 0

    run(estate, "teardown", examples / "istio", istio_purge=True)
    assert "namespace/istio-system" not in estate.names("eu", "namespaces")
    assert not estate.names("eu", "configmap", "-n", "cart", "--selector", "istio.io/config")

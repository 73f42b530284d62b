# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istio_info against a real API server. What an istiod and a proxy would tell istioctl was recorded of real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playbook import ROOT

from ..conftest import binary, run_module
from ..kubernetes_api import Api, running_api
from .test_istio_install import OVERLAY, install, remove
from .test_istio_revision_tag import NEW, OF_NEW, label, tag

RECORDED = ROOT / "tests/unit/plugins/module_utils/_istio/mesh/recorded"
READY = {"observedGeneration": 9, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
# There are no nodes here, so istioctl reaches neither istiod nor proxies.
ISTIOCTL = f"""#!/bin/sh
case "$*" in
  *proxy-status*"--revision new"*) cat '{RECORDED}/proxy-status-1.31.0.json' ;;
  *proxy-status*) echo 'Error: no running Istio pods' >&2; exit 1 ;;
  *proxy-config*cart-1.default*) cat '{RECORDED}/secrets-1.31.0.json' ;;
  *proxy-config*) echo 'Error: unable to retrieve Pod' >&2; exit 1 ;;
  *) exec '{{istioctl}}' "$@" ;;
esac
"""


def info(api: Api, **more: Any) -> dict[str, Any]:
    args = {"istioctl": binary("istioctl"), "kubectl": binary("kubectl"), "kubeconfig": api.kubeconfig, **more}
    result = run_module("istio_info", args)
    assert "msg" not in result, result["msg"]
    assert not result["changed"]
    return result


def proxy(api: Api, name: str, revision: str) -> None:
    annotations = {"istio.io/rev": revision, "sidecar.istio.io/status": "{}"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"service.istio.io/canonical-name": name},
            "annotations": annotations,
        },
        "spec": {"containers": [{"name": "istio-proxy", "image": "registry.test/proxyv2:1"}]},
    }
    api.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """Return one that no other file has put an Istio into."""
    with running_api() as one:
        yield one


@pytest.fixture
def mesh(api: Api) -> Iterator[Api]:
    install(api, OVERLAY)
    install(api, NEW)
    for name in ("istiod", "istiod-new"):
        api.patch("deployment", name, "-n", "istio-system", "--subresource=status", body={"status": READY})
    tag(api, revision="new")
    # Before the label: no injector answers here.
    proxy(api, "cart-1", "new")
    proxy(api, "till-1", "default")
    label(api, "=prod")
    yield api
    api.kubectl("delete", "pods", "--all", "-n", "default", "--force", "--grace-period=0")
    label(api, "-")
    tag(api, state="absent", force=True)
    install(api, OF_NEW, state="absent", force=True)
    remove(api, force=True)


def test_a_cluster_without_istio_is_told_as_such(api: Api) -> None:
    told = info(api)
    assert told["revisions"] == told["proxies"] == told["machines"] == []
    assert {space["status"] for space in told["namespaces"]} == {"none"}


def test_two_revisions_with_their_tags_namespaces_proxies_and_certificates(mesh: Api, tmp_path: Path) -> None:
    program = tmp_path / "istioctl"
    program.write_text(ISTIOCTL.format(istioctl=binary("istioctl")))
    program.chmod(0o755)
    entry = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": "vm-1", "namespace": "default"},
        "spec": {"address": "192.0.2.9", "serviceAccount": "till"},
    }
    mesh.kubectl("apply", "-f", "-", stdin=json.dumps(entry))
    told = info(mesh, istioctl=str(program), certificates=True)
    default, new = told["revisions"]
    assert (default["name"], default["ready"], default["proxies"]) == ("default", True, 1)
    assert new == {
        "name": "new",
        "version": told["istioctl_version"],
        "trust_domain": "example.org",
        "ready": True,
        "problem": "",
        "tags": ["prod"],
        "namespaces": ["default"],
        "proxies": 1,
        "proxy_namespaces": ["default"],
    }
    (one,) = [space for space in told["namespaces"] if space["name"] == "default"]
    assert (one["status"], one["tag"], one["revision"]) == ("injected", "prod", "new")
    cart, till = told["proxies"]
    assert (cart["name"], cart["revision"], cart["synced"], cart["istiod"]) == ("cart-1", "new", True, "istiod-test-1")
    assert cart["certificate"]["spiffe_id"] == "spiffe://example.org/ns/default/sa/default"
    assert cart["certificate"]["root"] == "O=example.org"
    assert (till["name"], till["connected"], till["synced"]) == ("till-1", False, False)
    assert "unable to retrieve Pod" in till["certificate"]["problem"]
    assert "Revision default did not tell its proxies" in str(told["warnings"])
    assert told["summary"]["out_of_sync"] == ["default/till-1"]
    assert [machine["name"] for machine in told["machines"]] == ["vm-1"]
    mesh.kubectl("delete", "workloadentry", "vm-1", "-n", "default")
    assert info(mesh, istioctl=str(program), proxy_namespaces=["other"])["proxies"] == []
    assert info(mesh, proxies=False)["proxies"] == []

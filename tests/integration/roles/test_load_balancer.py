# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server takes what the role load_balancer brings, whose programs may do what they need and no more."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from rendering import CASES, render

from ..conftest import binary
from ..kubernetes_api import Api, running_api

CASE = "balanced"
NAMESPACE = "metallb-system"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API server with all of it, in the order of a run: the pools when their types are known."""
    rendered = render(tmp_path_factory.mktemp("rendered"), {CASE: CASES[CASE]})
    (pending,) = rendered.pending(CASE, "load_balancer")
    with running_api() as one:
        one.apply([item for item in yaml.safe_load_all(pending["text"]) if item])
        yield one


def test_the_pool_has_the_addresses_of_the_cluster(api: Api) -> None:
    pool = api.get("ipaddresspools.metallb.io", "trustmesh", "--namespace", NAMESPACE)
    assert pool["spec"]["addresses"] == ["192.0.2.136-192.0.2.143"]
    assert pool["spec"]["autoAssign"] is True


def test_a_pool_without_addresses_is_refused_by_its_type(api: Api) -> None:
    pool = {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "spec": {"avoidBuggyIPs": True}}
    asked = json.dumps({**pool, "metadata": {"name": "none", "namespace": NAMESPACE}})
    argv = [binary("kubectl"), "--kubeconfig", api.kubeconfig, "create", "--dry-run=server", "-f", "-"]
    done = subprocess.run(argv, input=asked, text=True, capture_output=True, check=False)
    assert "spec.addresses: Required value" in done.stderr


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_both_versions_of_a_peer_are_served(api: Api, version: str) -> None:
    assert api.get(f"bgppeers.{version}.metallb.io", "--namespace", NAMESPACE)["items"] == []


@pytest.mark.parametrize(
    ("who", "what", "may"),
    [
        ("controller", ("update", "services", "--subresource=status", "--namespace", "shop"), True),
        ("controller", ("watch", "ipaddresspools.metallb.io", "--namespace", NAMESPACE), True),
        ("controller", ("update", "services", "--namespace", "shop"), False),
        ("controller", ("get", "secrets", "--namespace", NAMESPACE), False),
        ("controller", ("patch", "customresourcedefinitions"), False),
        ("speaker", ("watch", "endpointslices.discovery.k8s.io", "--namespace", "shop"), True),
        ("speaker", ("create", "servicel2statuses.metallb.io", "--namespace", NAMESPACE), True),
        ("speaker", ("update", "services", "--subresource=status", "--namespace", "shop"), False),
        ("speaker", ("get", "secrets", "--namespace", "shop"), False),
        ("speaker", ("create", "pods", "--namespace", NAMESPACE), False),
    ],
)
def test_its_programs_may_do_what_they_need_and_no_more(api: Api, who: str, what: tuple[str, ...], may: bool) -> None:
    argv: list[Any] = [binary("kubectl"), "--kubeconfig", api.kubeconfig, "auth", "can-i", *what]
    argv.append(f"--as=system:serviceaccount:{NAMESPACE}:{who}")
    done = subprocess.run(argv, text=True, capture_output=True, check=False)
    assert done.stdout.strip() == ("yes" if may else "no"), done.stderr

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server takes what the role cert_manager brings, whose controllers may do what they need and no more."""

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

CASE = "issuing"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API server with all of it, in the order of a run: what is named when its types are known."""
    rendered = render(tmp_path_factory.mktemp("rendered"), {CASE: CASES[CASE]})
    (pending,) = rendered.pending(CASE, "cert_manager")
    with running_api() as one:
        one.apply([item for item in yaml.safe_load_all(pending["text"]) if item])
        yield one


def test_what_is_named_is_kept_as_it_was_said(api: Api) -> None:
    found = api.get("certificates.cert-manager.io", "cacerts", "--namespace", "istio-system")
    assert found["spec"].items() >= {"isCA": True, "secretName": "cacerts", "commonName": "cacerts"}.items()
    assert found["spec"]["issuerRef"].items() >= {"name": "mesh-root", "kind": "ClusterIssuer"}.items()
    assert api.get("clusterissuers.cert-manager.io", "mesh-root")["spec"] == {"ca": {"secretName": "mesh-root"}}
    assert api.get("issuers.cert-manager.io", "self-signed", "--namespace", "cert-manager")["spec"] == {
        "selfSigned": {}
    }


def test_a_certificate_of_nobody_is_refused_by_its_type(api: Api) -> None:
    asked = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "none", "namespace": "istio-system"},
        "spec": {"secretName": "none"},
    }
    argv = [binary("kubectl"), "--kubeconfig", api.kubeconfig, "create", "--dry-run=server", "-f", "-"]
    done = subprocess.run(argv, input=json.dumps(asked), text=True, capture_output=True, check=False)
    assert "spec.issuerRef: Required value" in done.stderr


@pytest.mark.parametrize(
    ("what", "may"),
    [
        (("watch", "secrets", "--namespace", "shop"), True),
        (("patch", "secrets", "--namespace", "istio-system"), True),
        (("create", "secrets", "--namespace", "cert-manager"), True),
        (("create", "certificaterequests.cert-manager.io", "--namespace", "istio-system"), True),
        (("update", "certificates.cert-manager.io", "--subresource=status", "--namespace", "shop"), True),
        (("create", "secrets", "--namespace", "shop"), False),
        (("patch", "secrets", "--namespace", "kube-system"), False),
        (("delete", "secrets", "--namespace", "shop"), False),
        (("update", "certificates.cert-manager.io", "--namespace", "istio-system"), False),
        (("create", "pods", "--namespace", "istio-system"), False),
        (("patch", "customresourcedefinitions"), False),
    ],
)
def test_its_controllers_may_do_what_they_need_and_no_more(api: Api, what: tuple[str, ...], may: bool) -> None:
    argv: list[Any] = [binary("kubectl"), "--kubeconfig", api.kubeconfig, "auth", "can-i", *what]
    argv.append("--as=system:serviceaccount:cert-manager:cert-manager")
    done = subprocess.run(argv, text=True, capture_output=True, check=False)
    assert done.stdout.strip() == ("yes" if may else "no"), done.stderr

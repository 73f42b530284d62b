# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A revision beside an Istio that istioctl has made, on a real API server: it outlives that one, and leaves nothing."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ..conftest import binary, run_module
from ..kubernetes_api import Api, running_api

META = {"name": "istio", "namespace": "istio-system"}
NEW = {"profile": "minimal", "revision": "spire", "values": {"defaultRevision": "default"}}


@pytest.fixture
def api() -> Iterator[Api]:
    """A server of its own, which knows nothing of Istio but what istioctl puts there; no pod ever starts."""
    with running_api() as one:
        argv = [binary("istioctl"), "install", "--kubeconfig", one.kubeconfig, "-y", "--set", "profile=minimal"]
        subprocess.run([*argv, "--readiness-timeout", "1s"], capture_output=True, check=False)
        yield one


def test_the_last_revision_takes_what_all_of_them_share(api: Api) -> None:
    def run(**args: Any) -> dict[str, Any]:
        access = {"kubectl": binary("kubectl"), "kubeconfig": api.kubeconfig, "istioctl": binary("istioctl")}
        result = run_module("istio_install", {**access, "wait": False, "precheck": False, "analyze": False, **args})
        assert not result.get("failed"), result
        return result

    def left(kinds: str) -> str:
        return api.kubectl("get", kinds, "-A", "-l", "operator.istio.io/managed", "-o", "name", "--ignore-not-found")

    assert "deployment.apps/istiod" in left("deployments")
    run(overlay={"metadata": META, "spec": NEW})
    run(state="absent", any_owner=True, overlay={"metadata": META, "spec": {"revision": "default"}})
    assert left("deployments").split() == ["deployment.apps/istiod-spire"]
    run(state="absent", purge=True, overlay={"metadata": META, "spec": {"revision": "spire"}})
    # The server takes its time to forget a type.
    kinds = "deployments,serviceaccounts,customresourcedefinitions,validatingwebhookconfigurations"
    limit = time.monotonic() + 60
    while left(kinds):
        assert time.monotonic() < limit, left(kinds)
        time.sleep(0.5)

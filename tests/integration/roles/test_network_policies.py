# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server takes all NetworkPolicies, keeps them as they are, and sees no change in them later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networks
import pytest
import yaml
from rendering import CASES, render

from ..kubernetes_api import Api, running_api

Data = dict[str, Any]


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with running_api() as one:
        yield one


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Data]]:
    cases = {**CASES, **networks.cases()}
    rendered = render(tmp_path_factory.mktemp("rendered"), cases)
    found = {
        name: [item for item in rendered.applied(name) if item["kind"] == "NetworkPolicy"]
        for name in cases
        if {"spire_server", "envoy", "istio", "demo_app"} & set(cases[name].roles)
    }
    return {name: items for name, items in found.items() if items}


def test_they_are_taken_and_stay_as_they_are(api: Api, policies: dict[str, list[Data]]) -> None:
    assert len(policies) > len(networks.HOSTS)
    there: set[str] = {"default"}
    for name, items in policies.items():
        spaces = {item["metadata"]["namespace"] for item in items} - there
        there |= spaces
        made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}} for space in sorted(spaces)]
        text = yaml.safe_dump_all([*made, *items])
        api.kubectl("apply", "--validate=strict", "-f", "-", stdin=text)
        again = api.kubectl("apply", "-f", "-", stdin=text).splitlines()
        assert [line for line in again if not line.endswith(" unchanged")] == [], name
        for item in items:
            kept = api.get("networkpolicy", item["metadata"]["name"], "-n", item["metadata"]["namespace"])
            assert kept["spec"] == item["spec"], "what the server fills in would be a difference"

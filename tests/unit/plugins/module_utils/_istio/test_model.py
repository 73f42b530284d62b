# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of an overlay."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import (
    Installation,
    complete_overlay,
    installation_of,
    is_builtin,
)


def test_an_empty_overlay_means_the_default_installation() -> None:
    assert installation_of({}) == Installation("istio", "istio-system", "default")


def test_the_overlay_says_which_installation_is_meant() -> None:
    overlay = {
        "metadata": {"name": "east", "namespace": "mesh"},
        "spec": {"revision": "canary", "values": {"global": {"network": "net1"}}},
    }
    assert installation_of(overlay) == Installation("east", "mesh", "canary", "net1")


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"kind": "Deployment"}, "expected kind IstioOperator"),
        ({"apiVersion": "install.istio.io/v2"}, "install.istio.io/v2"),
        ({"profile": "minimal"}, "unknown key profile.*below the key spec"),
        ({"spec": []}, "spec must be a dictionary, not list"),
        ({"spec": {"values": "x"}}, "spec.values must be a dictionary"),
        ({"metadata": {"namespace": "Istio_System"}}, "metadata.namespace is 'Istio_System'"),
        ({"spec": {"revision": "1.31"}}, "spec.revision is '1.31'"),
        (
            {"metadata": {"namespace": "a"}, "spec": {"values": {"global": {"istioNamespace": "b"}}}},
            "the same namespace",
        ),
    ],
)
def test_a_bad_overlay_is_refused_with_the_field(overlay: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        installation_of(overlay)


def test_the_overlay_is_completed_and_nothing_of_it_is_lost() -> None:
    overlay = {"metadata": {"labels": {"a": "b"}}, "spec": {"profile": "minimal"}}
    complete = complete_overlay(overlay, installation_of(overlay))
    assert complete["kind"] == "IstioOperator"
    assert complete["metadata"] == {"labels": {"a": "b"}, "name": "istio", "namespace": "istio-system"}
    assert complete["spec"] == {"profile": "minimal"}


@pytest.mark.parametrize(
    ("api_version", "builtin"),
    [
        ("v1", True),
        ("apps/v1", True),
        ("policy/v1", True),
        ("networking.istio.io/v1", False),
        ("k8s.cni.cncf.io/v1", False),
    ],
)
def test_kinds_that_need_a_definition_first(api_version: str, builtin: bool) -> None:
    assert is_builtin({"apiVersion": api_version, "kind": "X", "metadata": {"name": "x"}}) is builtin

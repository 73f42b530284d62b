# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which changes break a mesh that is in use."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio import guard
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import Installation
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import Ref

ISTIO = Installation("istio", "istio-system", "default")


def istiod(image: str = "registry.test/pilot:1.30.2", revision: str = "default", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "istiod", "labels": {"app": "istiod", "istio.io/rev": revision, **labels}},
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
    }


def mesh(trust_domain: str = "", revision: str = "default") -> dict[str, Any]:
    name = "istio" if revision == "default" else f"istio-{revision}"
    text = f"trustDomain: {trust_domain}\n" if trust_domain else "{}"
    labels = {"istio.io/rev": revision}
    return {"kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"mesh": text}}


@pytest.mark.parametrize(
    ("deployment", "version"),
    [
        (istiod(), "1.30.2"),
        (istiod("registry.test:5000/pilot@sha256:abc"), ""),
        (istiod("registry.test:5000/pilot:1.30.2-distroless@sha256:abc"), "1.30.2-distroless"),
        (istiod("registry.test/pilot:latest"), ""),
        (istiod(**{"app.kubernetes.io/version": "1.29.0"}), "1.29.0"),
        (istiod(**{"app.kubernetes.io/version": "1.0.0"}), "1.30.2"),
        (istiod(**{"app.kubernetes.io/version": "1.29.0", "operator.istio.io/version": "1.31.0"}), "1.31.0"),
    ],
)
def test_the_version_of_a_control_plane_is_what_is_written_at_it(deployment: dict[str, Any], version: str) -> None:
    assert guard.installed_version(deployment) == version


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("1.30.2", "1.31.0", True),
        ("1.9.0", "1.31.0", True),
        ("1.31.0", "1.31.0", False),
        ("1.31.0", "1.31.0-distroless", False),
        ("v1.30", "1.30.1", True),
        ("1.31.0", "", False),
        ("unknown", "1.31.0", False),
    ],
)
def test_versions_are_compared_as_numbers_and_what_is_none_is_not(version: str, than: str, older: bool) -> None:
    assert guard.is_older(version, than) is older


def test_only_the_revision_that_is_replaced_is_looked_at() -> None:
    with pytest.raises(InputError, match=r"revision default in istio-system is 1\.30\.2"):
        guard.refuse_downgrade("1.29.9", [istiod()], ISTIO)
    guard.refuse_downgrade("1.29.9", [istiod(revision="canary")], ISTIO)
    guard.refuse_downgrade("1.30.2", [istiod()], ISTIO)


def test_a_trust_domain_that_is_not_named_is_the_default_one() -> None:
    assert guard.meshes([mesh(), mesh("example.org", "canary")]) == {
        "default": "cluster.local",
        "canary": "example.org",
    }
    broken = mesh()
    broken["data"]["mesh"] = ": ["
    assert guard.meshes([broken]) == {"default": "cluster.local"}


def test_another_trust_domain_counts_in_every_revision_and_only_while_somebody_lives_in_it() -> None:
    asked, others = guard.other_trust_domains([mesh("b.org", "canary")], [mesh("a.org"), mesh("b.org", "canary")])
    assert (asked, others) == ("b.org", {"default": "a.org"})
    guard.refuse_trust_domain(asked, others, [])
    guard.refuse_trust_domain(asked, {}, ["pod a/b"])
    with pytest.raises(InputError, match=r"has a\.org \(revision default\)\. 6 proxies .* and 1 more\.") as caught:
        guard.refuse_trust_domain(asked, others, [f"pod a/{n}" for n in range(6)])
    assert "allow_trust_domain_change" in caught.value.message


def namespace(name: str, **labels: str) -> dict[str, Any]:
    spelled = {key.replace("_", "-").replace("rev", "istio.io/rev"): value for key, value in labels.items()}
    return {"kind": "Namespace", "metadata": {"name": name, "labels": spelled}}


def tag(name: str, revision: str) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": f"istio-revision-tag-{name}",
            "labels": {"istio.io/tag": name, "istio.io/rev": revision},
        },
    }


def pod(name: str, revision: str, phase: str = "Running") -> dict[str, Any]:
    annotations = {"sidecar.istio.io/status": "{}", "istio.io/rev": revision}
    return {"metadata": {"name": name, "namespace": "shop", "annotations": annotations}, "status": {"phase": phase}}


def test_users_are_namespaces_by_name_by_tag_and_by_the_older_label() -> None:
    spaces = [
        namespace("a", rev="old"),
        namespace("b", rev="prod"),
        namespace("c", rev="new"),
        namespace("d", istio_injection="enabled"),
        namespace("e", istio_injection="disabled", rev="old"),
    ]
    tags = [tag("prod", "old"), tag("prod", "old"), tag("next", "new")]
    assert guard.users_of("old", spaces, tags, [], set()) == ["tag prod", "namespace a (old)", "namespace b (prod)"]
    assert guard.users_of("old", spaces, tags, [], {Ref.of(tags[0])}) == ["namespace a (old)", "namespace b (prod)"]
    assert guard.users_of("default", spaces, tags, [], set()) == ["namespace d (default)"]
    assert guard.users_of("old", [], [], [pod("a", "old"), pod("b", "new"), pod("c", "old", "Failed")], set()) == [
        "pod shop/a"
    ]
    guard.refuse_in_use(ISTIO, [])
    with pytest.raises(InputError, match="still in use: namespace d"):
        guard.refuse_in_use(ISTIO, ["namespace d (default)"])

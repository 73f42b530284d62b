# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom others are told to believe: bundles of servers, ConfigMaps and webhook configurations."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.attempts import MAKERS
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.reading import read_checks, read_mesh
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import Cluster, World
from certificates import issue

ROOT, NEXT = issue(ca=True, name="root"), issue(ca=True, name="next")
SAME_NAME, ISTIO = issue(ca=True, name="root"), issue(ca=True, name="istiod")


class Server:
    def __init__(self, trusted: str, whole: str = "", federated: Mapping[str, Any] | None = None) -> None:
        self.trusted, self.whole, self.federated = trusted, whole or trusted, federated or {}

    def bundle_pem(self) -> str:
        return self.trusted

    def whole_bundle_pem(self) -> str:
        return self.whole

    def federation(self, trust_domain: str) -> Mapping[str, Any] | None:
        return self.federated.get(trust_domain)


class Kubectl:
    """A cluster that has these objects, by the words by which they are asked for."""

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self.objects = objects

    def run(self, argv: Sequence[str], _stdin: str | None = None, _timeout: float | None = None) -> Completed:
        words = " ".join(argv)
        found = next((value for key, value in self.objects.items() if key in words), None)
        return Completed(tuple(argv), 0, json.dumps(found) if found else "", "")


def tried(known: Mapping[str, Server], objects: Mapping[str, Any] | None = None, /, **fields: Any) -> Attempt:
    place = {"name": "istiod", "cluster": "one", "pod": "deploy/istiod", "namespace": "istio-system", "server": "one"}
    mesh = read_mesh([place], dict.fromkeys(known, "example.org"), ["one"])
    (check,) = read_checks([{"name": "x", **fields}], mesh)
    clusters = {"one": Cluster("kubectl", None, None, Kubectl(objects or {}))}
    world = World(mesh=mesh, servers=known, clusters=clusters)  # type: ignore[arg-type]
    return MAKERS[check.type](world, check, {}, 1)


# Servers


def same(**servers: Server) -> Attempt:
    return tried(servers, type="same_authorities", servers=list(servers))


def test_servers_that_show_the_same_in_any_order() -> None:
    attempt = same(one=Server(ROOT.pem + NEXT.pem), two=Server(NEXT.pem + ROOT.pem), three=Server(ROOT.pem + NEXT.pem))
    assert attempt.ok
    assert attempt.details["authorities"] == ["CN=next", "CN=root"]


@pytest.mark.parametrize("other", [NEXT.pem, ROOT.pem + NEXT.pem, SAME_NAME.pem])
def test_servers_that_do_not(other: str) -> None:
    attempt = same(one=Server(ROOT.pem), two=Server(ROOT.pem), three=Server(other))
    assert (attempt.ok, attempt.hint) == (False, hints.SAME)
    assert "three shows" in attempt.observed
    assert "two shows" not in attempt.observed
    one, three = attempt.observed.split("; ")
    assert one.removeprefix("one") != three.removeprefix("three"), "names alone do not tell them apart"


def test_what_one_has_tainted_is_not_what_the_other_trusts() -> None:
    assert not same(one=Server(ROOT.pem, ROOT.pem + NEXT.pem), two=Server(ROOT.pem + NEXT.pem)).ok


# Federation


def federated(**told: Any) -> Attempt:
    about = {"health": "healthy", "error": None, "age": 7200, "bundle_endpoint_url": "https://x", **told}
    about["bundle_endpoint_profile"] = "https_spiffe"
    server = Server("", federated={"other.example": about})
    return tried({"one": server}, type="federated_bundle", to="istiod", trust_domain="other.example")


def test_a_server_holds_what_the_other_one_shows() -> None:
    attempt = federated()
    assert (attempt.ok, attempt.observed) == (True, "healthy; its youngest authority is 2 h old")
    assert attempt.details["bundle_endpoint_url"] == "https://x"
    assert federated(age=30).observed == "healthy; its youngest authority is 30 s old"
    assert federated(age=200_000).observed == "healthy; its youngest authority is 2 d old"


@pytest.mark.parametrize("health", ["no_bundle", "expired", "bundles_differ", "unreachable"])
def test_a_server_that_holds_another_bundle_or_none(health: str) -> None:
    attempt = federated(health=health, error="Who knows.", age=None)
    assert (attempt.ok, attempt.observed) == (False, f"{health}: Who knows.")
    assert attempt.hint == hints.FEDERATION


def test_a_server_that_does_not_federate() -> None:
    attempt = tried({"one": Server("")}, type="federated_bundle", to="istiod", trust_domain="other.example")
    assert (attempt.ok, attempt.observed) == (False, "it has no relationship with other.example")


@pytest.mark.parametrize(
    ("domain", "words"), [("example.org", "the server's own"), ("Not a name", "trust_domain: "), ("", "trust_domain")]
)
def test_a_trust_domain_that_cannot_be_compared(domain: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tried({"one": Server("")}, type="federated_bundle", to="istiod", trust_domain=domain)


# What is published


def config_map(text: str, key: str = "root-cert.pem") -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "istio-ca-root-cert"}, "data": {key: text}}


def webhooks(*bundles: str, service: str = "istiod", namespace: str = "istio-system") -> dict[str, Any]:
    hooks = [
        {
            "name": f"hook-{number}",
            "clientConfig": {
                "service": {"name": service, "namespace": namespace},
                "caBundle": base64.b64encode(bundle.encode()).decode(),
            },
        }
        for number, bundle in enumerate(bundles)
    ]
    elsewhere = {"name": "theirs", "clientConfig": {"url": "https://192.0.2.1/", "caBundle": "?"}}
    other = {"name": "other", "clientConfig": {"service": {"name": "cert-manager", "namespace": "cm"}}}
    item = {
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "injector"},
        "webhooks": [*hooks, elsewhere, other],
    }
    empty = {"kind": "ValidatingWebhookConfiguration", "metadata": {"name": "empty"}}
    return {"kind": "List", "items": [item, empty]}


def published(server: Server, text: str) -> Attempt:
    objects = {"get configmap": config_map(text)}
    return tried({"one": server}, objects, type="published_authorities", to="istiod", namespaces=["a", "b"])


def hooked(server: Server, *bundles: str, **fields: str) -> Attempt:
    objects = {"webhookconfigurations": webhooks(*bundles, **fields)}
    return tried({"one": server}, objects, type="webhook_authorities", to="istiod", service="istiod")


BOTH: list[Callable[[Server, str], Attempt]] = [published, hooked]


@pytest.mark.parametrize("look", BOTH)
def test_what_holds_the_authorities_of_the_server(look: Callable[[Server, str], Attempt]) -> None:
    assert look(Server(ROOT.pem), ROOT.pem).ok
    rotating = Server(ROOT.pem, ROOT.pem + NEXT.pem)
    assert look(rotating, ROOT.pem + NEXT.pem).ok, "what is tainted is published until it is revoked"
    assert look(rotating, ROOT.pem).ok


@pytest.mark.parametrize("look", BOTH)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it holds no certificate"),
        ("nonsense", "it holds no certificate"),
        (ISTIO.pem, "it holds CN=istiod, which is not SPIRE's, and it lacks CN=root"),
        (ROOT.pem + ISTIO.pem, "it holds CN=istiod, which is not SPIRE's"),
        (SAME_NAME.pem, "it holds CN=root, which is not SPIRE's, and it lacks CN=root"),
    ],
)
def test_what_holds_anything_else(look: Callable[[Server, str], Attempt], text: str, words: str) -> None:
    attempt = look(Server(ROOT.pem), text)
    assert (attempt.ok, attempt.hint) == (False, hints.PUBLISHED)
    assert attempt.observed.endswith(words)


def test_every_namespace_and_every_webhook_is_looked_at() -> None:
    assert (
        "a/istio-ca-root-cert, b/istio-ca-root-cert: it lacks CN=root"
        in published(Server(ROOT.pem, ROOT.pem + NEXT.pem), NEXT.pem).observed
    )
    attempt = hooked(Server(ROOT.pem), ROOT.pem, ISTIO.pem)
    assert attempt.observed.startswith("injector hook-1: it holds CN=istiod")
    assert hooked(Server(ROOT.pem), ROOT.pem, ROOT.pem).observed.startswith("2 places with CN=root (")


def test_what_is_not_there_is_not_right() -> None:
    missing = tried({"one": Server(ROOT.pem)}, type="published_authorities", to="istiod", namespaces=["a"])
    assert missing.observed == "a/istio-ca-root-cert: it holds no certificate"
    for fields in ({"service": "istiod-canary"}, {"namespace": "elsewhere"}):
        attempt = hooked(Server(ROOT.pem), ROOT.pem, **fields)
        assert (attempt.ok, attempt.observed) == (False, "no webhook leads to the Service istiod of istio-system")


def test_another_config_map_and_key() -> None:
    objects = {"get configmap trust --namespace a ": config_map(ROOT.pem, "ca.crt")}
    fields = {"type": "published_authorities", "to": "istiod", "namespaces": ["a"], "config_map": "trust"}
    assert tried({"one": Server(ROOT.pem)}, objects, **fields, config_map_key="ca.crt").ok
    assert not tried({"one": Server(ROOT.pem)}, objects, **fields).ok

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istio_info tells. ``recorded`` is what istioctl 1.31.0 printed about an istiod and a sidecar that really ran."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.mesh.codec import parse_secrets, parse_status
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.mesh.model import (
    Certified,
    Found,
    Synced,
    injection,
    machines,
    proxies,
    revisions,
    summary,
)

RECORDED = Path(__file__).parent / "recorded"
STATUS = (RECORDED / "proxy-status-1.31.0.json").read_text()
SECRETS = (RECORDED / "secrets-1.31.0.json").read_text()


def test_the_state_of_each_kind_of_configuration_is_read() -> None:
    states = dict.fromkeys(("CDS", "EDS", "LDS", "RDS"), "SYNCED")
    one = Synced("cart-1", "default", "1.31.0", "Kubernetes", "istiod-test-1", states)
    assert parse_status(STATUS) == [one]
    assert parse_status(STATUS + STATUS) == [one, one], "a document for each istiod"
    assert parse_status("") == []
    assert parse_status('{"versionInfo": "1"}') == [], "an istiod without proxies"


@pytest.mark.parametrize("text", ["no json", "[1]", '{"resources": [{}]}', '{"controlPlane": {"identifier": "x"}}'])
def test_another_answer_is_an_error(text: str) -> None:
    with pytest.raises(ProcessError, match="something unexpected"):
        parse_status(text)


def test_the_certificate_tells_its_identity_and_who_signed_it() -> None:
    found = parse_secrets(SECRETS)
    assert found.spiffe_id == "spiffe://example.org/ns/default/sa/default"
    assert (found.issuer, found.issuers, found.root) == ("O=example.org", ("O=example.org",), "O=example.org")
    assert found.expires_at.startswith("2026-11-29T")
    assert found.problem == ""
    assert "private" not in json.dumps(found.public)


def test_a_bundle_of_several_trust_domains_counts_as_well() -> None:
    secrets = json.loads(SECRETS)
    bundle = secrets["dynamicActiveSecrets"][1]["secret"]["validationContext"].pop("trustedCa")
    validator = {"typedConfig": {"trustDomains": [{"name": "example.org", "trustBundle": bundle}]}}
    secrets["dynamicActiveSecrets"][1]["secret"]["validationContext"]["customValidatorConfig"] = validator
    assert parse_secrets(json.dumps(secrets)).root == "O=example.org"


def test_what_the_proxy_itself_does_not_trust_is_a_problem() -> None:
    secrets = json.loads(SECRETS)
    del secrets["dynamicActiveSecrets"][1]
    found = parse_secrets(json.dumps(secrets))
    assert "not in the trust bundle" in found.problem
    assert (found.issuer, found.issuers, found.root) == ("O=example.org", (), "")
    assert parse_secrets('{"dynamicWarmingSecrets": []}') == Certified(problem="it has no certificate yet")


@pytest.mark.parametrize("text", ["no json", "[]", '{"dynamicActiveSecrets": [{}]}'])
def test_other_secrets_are_an_error(text: str) -> None:
    with pytest.raises(ProcessError, match="something unexpected"):
        parse_secrets(text)
    broken = {"name": "default", "secret": {"tlsCertificate": {"certificateChain": {}}}}
    broken["secret"]["tlsCertificate"]["certificateChain"]["inlineBytes"] = base64.b64encode(b"no pem").decode()
    with pytest.raises(ProcessError, match="something unexpected"):
        parse_secrets(json.dumps({"dynamicActiveSecrets": [broken]}))


def obj(kind: str, name: str, namespace: str = "", /, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    metadata |= {key: more.pop(key) for key in ("labels", "annotations") if key in more}
    return {"kind": kind, "metadata": metadata, **more}


def hook(revision: str, tag: str = "") -> dict[str, Any]:
    labels = {"istio.io/rev": revision, **({"istio.io/tag": tag} if tag else {})}
    return obj("MutatingWebhookConfiguration", f"{revision}-{tag}", labels=labels)


def space(name: str, **labels: str) -> dict[str, Any]:
    known = {"rev": "istio.io/rev", "old": "istio-injection"}
    return obj("Namespace", name, labels={known[key]: value for key, value in labels.items()})


def pod(name: str, revision: str = "default", **status: str) -> dict[str, Any]:
    annotations = {"sidecar.istio.io/status": "{}", "istio.io/rev": revision}
    return obj("Pod", name, "shop", annotations=annotations, status=status)


HOOKS = [hook("default"), hook("new"), hook("new", "prod"), hook("gone", "lost")]
SPACES = [
    space("a", rev="new"),
    space("b", rev="prod"),
    space("c", rev="lost"),
    space("d", rev="never"),
    space("e", old="enabled", rev="new"),
    space("f", old="disabled"),
    space("g"),
]


def test_each_namespace_says_who_answers_to_its_label() -> None:
    told = {one["name"]: tuple(one.values())[1:] for one in injection(Found(webhooks=HOOKS, namespaces=SPACES))}
    assert told == {
        "a": ("istio.io/rev=new", "injected", "", "new"),
        "b": ("istio.io/rev=prod", "injected", "prod", "new"),
        "c": ("istio.io/rev=lost", "dangling", "lost", ""),
        "d": ("istio.io/rev=never", "dangling", "", ""),
        "e": ("istio-injection=enabled", "injected", "", "default"),
        "f": ("istio-injection=disabled", "disabled", "", ""),
        "g": ("", "none", "", ""),
    }
    moved = injection(Found(webhooks=[hook("new"), hook("new", "default")], namespaces=[space("e", old="enabled")]))
    assert (moved[0]["tag"], moved[0]["revision"]) == ("default", "new")


def test_a_revision_says_what_it_is_and_who_points_to_it() -> None:
    istiod = obj(
        "Deployment",
        "istiod-new",
        "istio-system",
        labels={"app": "istiod", "istio.io/rev": "new", "operator.istio.io/version": "1.31.0"},
        spec={"replicas": 1},
        status={"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    )
    mesh = obj(
        "ConfigMap", "istio-new", "istio-system", labels={"istio.io/rev": "new"}, data={"mesh": "trustDomain: a.org"}
    )
    found = Found([istiod, mesh], HOOKS, SPACES, [pod("cart", "new"), pod("till")])
    default, new = revisions(found, injection(found), proxies(found, []))
    assert new == {
        "name": "new",
        "version": "1.31.0",
        "trust_domain": "a.org",
        "ready": True,
        "problem": "",
        "tags": ["prod"],
        "namespaces": ["a", "b"],
        "proxies": 1,
        "proxy_namespaces": ["shop"],
    }
    assert (default["ready"], default["problem"]) == (False, "no istiod of it is in the namespace")
    assert (default["namespaces"], default["proxies"]) == (["e"], 1)


def test_every_proxy_is_told_whether_istiod_knows_it_or_not() -> None:
    status = [
        Synced("cart", "shop", "1.31.0", "blue", "istiod-1", {"CDS": "SYNCED", "RDS": "NOT_SENT", "ECDS": "UNKNOWN"}),
        Synced("till", "shop", "1.30.0", "blue", "istiod-1", {"CDS": "SYNCED", "LDS": "ERROR"}),
        Synced("vm-1", "shop", "1.31.0", "blue", "istiod-1", {"CDS": "STALE"}),
    ]
    bare = obj("Pod", "bare", "shop")
    pods = [pod("cart", "new"), pod("till"), pod("lonely"), pod("done", phase="Succeeded"), bare]
    told = proxies(Found(pods=pods), status)
    short = [(one["name"], one["kind"], one["revision"], one["connected"], one["synced"]) for one in told]
    assert short == [
        ("cart", "pod", "new", True, True),
        ("lonely", "pod", "default", False, False),
        ("till", "pod", "default", True, False),
        ("vm-1", "machine", "", True, False),
    ]
    assert summary(told) == {
        "total": 4,
        "synced": 1,
        "out_of_sync": ["shop/lonely", "shop/till", "shop/vm-1"],
        "versions": {"1.30.0": 1, "1.31.0": 2},
    }


def test_a_machine_is_connected_when_istiod_noted_so() -> None:
    spec = {"address": "192.0.2.9", "serviceAccount": "till"}
    on = {"istio.io/connectedAt": "now"}
    entries = [
        obj("WorkloadEntry", "b", "shop", annotations=on, spec=spec),
        obj("WorkloadEntry", "a", "shop", annotations={**on, "istio.io/disconnectedAt": "later"}),
    ]
    assert machines(Found(entries=entries)) == [
        {"name": "a", "namespace": "shop", "address": "", "service_account": "", "connected": False},
        {"name": "b", "namespace": "shop", "address": "192.0.2.9", "service_account": "till", "connected": True},
    ]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Istio that somebody has installed with istioctl comes over to SPIRE, as the page says: by namespaces.

Its istiod has made a CA for itself, and mutual TLS is STRICT from the beginning to the end. The tests follow one
another.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
import yaml

from .conftest import ROOT, Estate, Guide, changed

pytestmark = pytest.mark.thorough

SCENARIO = "wire_istio"
SERVERS = {"cart": ["python3", "-m", "http.server", "8080"], "bank": ["python3", "-m", "http.server", "8080"]}
INJECTED = {"shop": "web", "cart": "cart", "bank": "bank"}
"""The namespaces of the mesh, and who is there."""
CALLS = (("shop", "web", "cart.cart"), ("cart", "cart", "bank.bank"))
RULES = 8
"""Refusals that follow from the page's tables, at least."""


def prior(images: dict[str, str]) -> str:
    """An Istio as istioctl installs it, with images that are here: their Envoy has none of Istio's own filters."""
    spec = {
        "profile": "minimal",
        "meshConfig": {
            "defaultProviders": {"metrics": [], "tracing": [], "accessLogging": []},
            "enablePrometheusMerge": False,
        },
        "values": {
            "global": {"proxy": {"image": images["istio_proxyv2"]}, "proxy_init": {"image": images["istio_proxyv2"]}},
            "pilot": {
                "image": images["istio_pilot"],
                "autoscaleEnabled": False,
                "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
                "env": {
                    "PILOT_ENABLE_ALPN_FILTER": "false",
                    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
                    "PILOT_ENABLE_TELEMETRY_LABEL": "false",
                },
            },
            "telemetry": {"enabled": False},
        },
    }
    spec["values"]["global"]["imagePullPolicy"] = "IfNotPresent"  # type: ignore[index]
    operator = {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec}
    return yaml.safe_dump(operator)


def service(name: str) -> str:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    meta = {"name": name, "namespace": name}
    return yaml.safe_dump(
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": {"app": name}, "ports": ports}}
    )


STRICT = yaml.safe_dump(
    {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "istio-system"},
        "spec": {"mtls": {"mode": "STRICT"}},
    }
)


@pytest.fixture(scope="module")
def page(estate: Estate) -> Iterator[Guide]:
    (estate.folder / "prior.yml").write_text(prior(estate.images))
    estate.run("istioctl", "install", "--kubeconfig", str(estate.kubeconfig("eu")), "-y", "-f", "prior.yml")
    estate.kubectl("eu", "apply", "-f", "-", given=STRICT)
    for namespace, name in INJECTED.items():
        estate.kubectl("eu", "create", "namespace", namespace)
        estate.kubectl("eu", "label", "namespace", namespace, "istio-injection=enabled")
        estate.deploy("eu", name, namespace, "tools", *SERVERS.get(name, ["sleep", "infinity"]))
    for name in SERVERS:
        estate.kubectl("eu", "apply", "-f", "-", given=service(name))
    estate.deploy("eu", "batch", "outside", "tools", "sleep", "infinity")
    found = Guide(estate, ROOT / "docs" / f"{SCENARIO}.md", {"trustmesh_artifacts": "packages"})
    found.write_files()
    yield found
    found.follow("spiffe.teardown")
    for namespace in (*INJECTED, "outside", "istio-system"):
        estate.kubectl("eu", "delete", "namespace", namespace, "--ignore-not-found")


def answered(estate: Estate, namespace: str, name: str, url: str) -> bool:
    """Whether a workload gets an answer of another one, by one request through both sidecars."""
    words = ["--kubeconfig", str(estate.kubeconfig("eu")), "-n", namespace, "exec", f"deployment/{name}", "-c", name]
    asked = ["curl", "-s", "-o", "/dev/null", "-m", "5", "-w", "%{http_code}", f"http://{url}/"]
    done = subprocess.run(
        [str(estate.build / "bin" / "kubectl"), *words, "--", *asked], capture_output=True, text=True, check=False
    )
    return done.stdout == "200"


def settled(estate: Estate) -> None:
    """All listed calls are answered, and stay so: a pod that has just gone may be asked for a moment."""
    limit = time.monotonic() + 60
    in_a_row = 0
    while in_a_row < 5:
        assert time.monotonic() < limit, "A call that is listed is not answered."
        in_a_row = in_a_row + 1 if all(answered(estate, *call) for call in CALLS) else 0


class Traffic:
    """Asks all the time, while namespaces come over, and counts what was not answered."""

    def __init__(self, estate: Estate, *call: str) -> None:
        self.asked = self.lost = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._ask, args=(estate, *call))

    def _ask(self, estate: Estate, *call: str) -> None:
        while not self.over.is_set():
            self.asked += 1
            self.lost += not answered(estate, *call)

    def __enter__(self) -> Traffic:
        self.thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self.over.set()
        self.thread.join()
        print(f"{self.asked} requests, {self.lost} without an answer")


def comes_over_under_traffic(page: Guide, command: str, call: tuple[str, ...]) -> None:
    """Follow a command of the page that brings workloads over, while somebody asks all the time."""
    with Traffic(page.estate, *call) as traffic:
        assert changed(page.follow(command)) > 0
    assert traffic.asked > 50
    # A pod is replaced, and is asked for a moment longer.
    assert traffic.lost <= traffic.asked / 20


def verdicts(estate: Estate) -> dict[str, str]:
    report = json.loads((estate.build / "reports" / f"{SCENARIO}.json").read_text())
    return {check["name"]: check["verdict"] for check in report["checks"]}


def certified(estate: Estate) -> dict[str, str]:
    """Who has certified whose sidecar, as the last proof has seen it."""
    found = [name.split("'s sidecar is certified by ") for name in verdicts(estate) if "is certified by" in name]
    return {words[0]: words[1] for words in found if len(words) == 2}


def issuer(estate: Estate, namespace: str, name: str) -> str:
    """The name of whoever has signed the certificate of a sidecar, as istioctl tells it."""
    pod = estate.kubectl("eu", "-n", namespace, "get", "pod", "-l", f"app={name}", "-o", "name").split()[-1]
    words = ["proxy-config", "secret", pod.removeprefix("pod/"), "-n", namespace, "-o", "json"]
    told = json.loads(estate.run("istioctl", "--kubeconfig", str(estate.kubeconfig("eu")), *words))
    chains = [one["secret"]["tlsCertificate"] for one in told["dynamicActiveSecrets"] if one["name"] == "default"]
    text = estate.run("base64", "-d", given=chains[0]["certificateChain"]["inlineBytes"])
    return estate.run("openssl", "x509", "-noout", "-issuer", given=text)


def test_a_proof_before_anything_is_changed(page: Guide) -> None:
    page.follow("spiffe.verify")
    assert certified(page.estate) == {"web": "istiod", "cart": "istiod", "bank": "istiod"}
    assert set(verdicts(page.estate).values()) == {"proven"}


def test_another_trust_domain_is_refused_before_anything_is_touched(page: Guide) -> None:
    path = page.estate.folder / SCENARIO / "group_vars" / "all.yml"
    text, before = path.read_text(), page.estate.names("eu", "namespaces")
    path.write_text(text.replace("cluster.local", "corp.example"))
    with pytest.raises(AssertionError, match=r"the mesh that is there has the trust domain cluster\.local"):
        page.follow("spiffe.wire_istio", "--check")
    path.write_text(text)
    assert page.estate.names("eu", "namespaces") == before


def test_check_mode_says_what_would_come(page: Guide) -> None:
    before = page.estate.names("eu", "namespaces")
    assert changed(page.follow("spiffe.wire_istio", "--check")) > 0
    assert page.estate.names("eu", "namespaces") == before


def test_one_namespace_comes_over_and_the_others_call_it(page: Guide) -> None:
    estate = page.estate
    comes_over_under_traffic(page, "istio_canary_namespaces", CALLS[0])
    assert certified(estate) == {"web": "istiod", "cart": "SPIRE", "bank": "istiod"}
    assert set(verdicts(estate).values()) == {"proven"}
    refused = [name for name in verdicts(estate) if "may not call" in name or "around" in name]
    assert len(refused) >= RULES, refused
    settled(estate)
    assert "O=cluster.local" in issuer(estate, "shop", "web").replace(" ", "")
    assert "SPI" in issuer(estate, "cart", "cart")


def test_a_second_run_changes_nothing(page: Guide) -> None:
    assert changed(page.follow("istio_canary_namespaces")) == 0


def test_no_file_and_no_output_shows_the_key(page: Guide) -> None:
    estate = page.estate
    key = estate.kubectl(
        "eu", "-n", "istio-system", "get", "secret", "istio-ca-secret", "-o", r"jsonpath={.data.ca-key\.pem}"
    )
    kept = list((estate.build / "upstream_ca").rglob("tls.key"))
    assert [oct(path.stat().st_mode & 0o777) for path in kept] == ["0o600"]
    text = estate.run("base64", "-d", given=key)
    assert kept[0].read_text() == text
    line = text.splitlines()[1]
    seen = [path for path in estate.folder.rglob("*") if path.is_file() and path != kept[0]]
    assert [path for path in seen if line.encode() in path.read_bytes()] == []


def test_a_namespace_in_which_a_run_was_stopped_is_taken_as_it_is(page: Guide) -> None:
    page.estate.kubectl("eu", "label", "namespace", "shop", "istio-injection-", "istio.io/rev=spire")
    page.follow("spiffe.verify")
    assert certified(page.estate) == {"web": "SPIRE or istiod", "cart": "SPIRE", "bank": "istiod"}
    assert set(verdicts(page.estate).values()) == {"proven"}


def test_the_rest_comes_over_and_the_old_one_goes(page: Guide) -> None:
    estate = page.estate
    comes_over_under_traffic(page, "spiffe.wire_istio", CALLS[1])
    assert certified(estate) == {"web": "SPIRE", "cart": "SPIRE", "bank": "SPIRE"}
    assert verdicts(estate)["istiod of eu issues no certificates"] == "proven"
    assert set(verdicts(estate).values()) == {"proven"}
    settled(estate)
    left = estate.names("eu", "deployments,secrets", "-n", "istio-system")
    assert not left & {"deployment.apps/istiod", "secret/istio-ca-secret"}
    assert "deployment.apps/istiod-spire" in left
    kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations,clusterroles,clusterrolebindings"
    assert estate.names("eu", kinds, "-l", "istio.io/rev=default") == set()
    assert changed(page.follow("spiffe.wire_istio")) == 0


def test_the_old_root_is_left_behind(page: Guide) -> None:
    estate = page.estate
    root = r"jsonpath={.data.root-cert\.pem}"
    words = ["-n", "shop", "get", "configmap", "istio-ca-root-cert", "-o", root]
    before = estate.kubectl("eu", *words)
    page.follow("spiffe.rotate_upstream_ca")
    page.follow("spiffe.verify")
    assert set(verdicts(estate).values()) == {"proven"}
    assert before.strip() not in estate.kubectl("eu", *words)
    settled(estate)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istio_install against a real API server: what a user sees, run after run."""

from __future__ import annotations

import copy
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playbook import play

from ..conftest import binary, run_module, wait_until
from ..kubernetes_api import Api

OVERLAY: dict[str, Any] = {
    "spec": {
        "profile": "minimal",
        "meshConfig": {"trustDomain": "example.org"},
        "values": {
            "defaultRevision": "default",
            "pilot": {
                "autoscaleEnabled": False,
                "image": "registry.test/pilot:1",
                "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}},
                "env": {"PILOT_ENABLE_ALPN_FILTER": "false"},
            },
        },
    }
}
DEPLOYMENT = ("deployment", "istiod", "-n", "istio-system")
HOOK = ("mutatingwebhookconfiguration", "istio-sidecar-injector")
VALIDATOR = ("validatingwebhookconfiguration", "istiod-default-validator")


def install(api: Api, overlay: dict[str, Any] | None = None, *, check: bool = False, **more: Any) -> dict[str, Any]:
    args = {
        "overlay": OVERLAY if overlay is None else overlay,
        "istioctl": binary("istioctl"),
        "kubectl": binary("kubectl"),
        "kubeconfig": api.kubeconfig,
        "wait": False,
        **more,
    }
    return run_module("istio_install", args, check=check)


def remove(api: Api, *, check: bool = False, purge: bool = False, **more: Any) -> dict[str, Any]:
    # Without a controller for namespaces, one that is deleted stays in the state Terminating: nothing to wait for.
    return install(api, {}, check=check, state="absent", purge=purge, **more)


def changed(**spec: Any) -> dict[str, Any]:
    """Return the overlay with another spec laid over it."""
    overlay = copy.deepcopy(OVERLAY)
    for key, value in spec.items():
        overlay["spec"][key] = {**overlay["spec"].get(key, {}), **value} if isinstance(value, dict) else value
    return overlay


def did(result: dict[str, Any]) -> list[str]:
    assert "actions" in result, result.get("msg")
    return [f"{action['verb']} {action['object']}" for action in result["actions"]]


def fields(result: dict[str, Any], name: str) -> list[str]:
    return next(action["fields"] for action in result["actions"] if action["object"] == name)


@pytest.fixture
def installed(api: Api) -> Iterator[Api]:
    result = install(api)
    assert "msg" not in result, result["msg"]
    yield api


@pytest.fixture
def bare(api: Api) -> Iterator[Api]:
    result = remove(api)
    assert "msg" not in result, result["msg"]
    wait_until("Istio is gone", lambda: not remove(api, check=True)["changed"])
    yield api


def test_check_mode_predicts_an_install_and_changes_nothing(bare: Api) -> None:
    predicted = install(bare, check=True)
    assert predicted["changed"]
    assert install(bare, check=True)["actions"] == predicted["actions"]
    done = install(bare)
    assert done["actions"] == predicted["actions"]
    assert done["diff"] == predicted["diff"]
    assert done["version"]
    assert "created Deployment istio-system/istiod" in did(done)


def test_a_second_run_changes_nothing(installed: Api) -> None:
    before = installed.get(*DEPLOYMENT)["metadata"]["resourceVersion"]
    again = install(installed)
    assert not again["changed"]
    assert did(again) == []
    assert again["diff"] == []
    assert {entry["action"] for entry in again["objects"]} == {"unchanged"}
    assert installed.get(*DEPLOYMENT)["metadata"]["resourceVersion"] == before


def test_a_field_changed_by_hand_is_set_back_and_nothing_else_is_touched(installed: Api) -> None:
    body = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "elsewhere/pilot:2"}]
    installed.patch(*DEPLOYMENT, body=body, kind="json")
    predicted, done = install(installed, check=True), install(installed)
    assert predicted["actions"] == done["actions"]
    assert did(done) == ["updated Deployment istio-system/istiod"]
    where = "spec.template.spec.containers[discovery].image"
    assert fields(done, "Deployment istio-system/istiod") == [where]
    assert done["diff"][0]["before"] == f'{where}: "elsewhere/pilot:2"\n'
    assert done["diff"][0]["after"] == f'{where}: "registry.test/pilot:1"\n'
    assert not install(installed)["changed"]


def test_a_setting_taken_out_of_the_overlay_leaves_the_cluster(installed: Api) -> None:
    less = copy.deepcopy(OVERLAY)
    del less["spec"]["values"]["pilot"]["env"]
    done = install(installed, less)
    env = "spec.template.spec.containers[discovery].env[PILOT_ENABLE_ALPN_FILTER]"
    assert fields(done, "Deployment istio-system/istiod") == [env]
    container = installed.get(*DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]
    assert "PILOT_ENABLE_ALPN_FILTER" not in {one["name"] for one in container["env"]}
    assert not install(installed, less)["changed"]


def test_objects_deleted_by_hand_come_back(installed: Api) -> None:
    victims: list[tuple[str, ...]] = [
        ("service", "istiod", "-n", "istio-system"),
        ("clusterrole", "istiod-clusterrole-istio-system"),
        ("customresourcedefinition", "sidecars.networking.istio.io"),
        ("configmap", "istio-sidecar-injector", "-n", "istio-system"),
        HOOK,
    ]
    for victim in victims:
        installed.kubectl("delete", *victim)
    done = install(installed)
    assert [action["verb"] for action in done["actions"]] == ["created"] * len(victims)
    created = sorted(action["object"].rpartition("/")[2].rpartition(" ")[2] for action in done["actions"])
    assert created == sorted(victim[1] for victim in victims)
    assert not install(installed)["changed"]


def test_labels_removed_by_hand_come_back(installed: Api) -> None:
    installed.kubectl("label", *DEPLOYMENT, "operator.istio.io/managed-")
    assert did(install(installed)) == ["updated Deployment istio-system/istiod"]
    assert not install(installed)["changed"]


def test_what_is_rendered_no_more_is_removed(installed: Api) -> None:
    scaled = copy.deepcopy(OVERLAY)
    scaled["spec"]["values"]["pilot"] = {"image": "registry.test/pilot:1", "autoscaleEnabled": True, "autoscaleMin": 2}
    assert "created HorizontalPodAutoscaler istio-system/istiod" in did(install(installed, scaled))
    assert not install(installed, scaled)["changed"]
    predicted, done = install(installed, check=True), install(installed)
    assert predicted["actions"] == done["actions"]
    assert "deleted HorizontalPodAutoscaler istio-system/istiod" in did(done)
    assert not install(installed)["changed"]


def hooks(api: Api, what: tuple[str, str], **values: Any) -> None:
    """Write into every webhook what istiod would."""
    body = []
    for index in range(len(api.get(*what)["webhooks"])):
        for path, value in values.items():
            body.append({"op": "add", "path": f"/webhooks/{index}/{path.replace('__', '/')}", "value": value})
    api.patch(*what, body=body, kind="json")


@pytest.mark.thorough
def test_what_istiod_writes_stays_even_when_the_webhook_is_updated(installed: Api) -> None:
    hooks(installed, HOOK, clientConfig__caBundle="QUJD")
    hooks(installed, VALIDATOR, clientConfig__caBundle="QUJD", failurePolicy="Fail")
    assert not install(installed)["changed"]
    installed.kubectl("label", *VALIDATOR, "istio=someone", "--overwrite")
    assert did(install(installed)) == ["updated ValidatingWebhookConfiguration istiod-default-validator"]
    hook = installed.get(*VALIDATOR)["webhooks"][0]
    assert hook["failurePolicy"] == "Fail"
    assert hook["clientConfig"]["caBundle"] == "QUJD"


def report_ready(api: Api) -> None:
    """Say what the controllers and istiod say when all is well."""
    generation = api.get(*DEPLOYMENT)["metadata"]["generation"]
    status = {"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    api.patch(*DEPLOYMENT, "--subresource=status", body={"status": {**status, "readyReplicas": 1}})
    hooks(api, HOOK, clientConfig__caBundle="QUJD")


def test_a_wait_that_ends_in_vain_says_what_was_last_seen(installed: Api) -> None:
    api = installed
    api.kubectl("delete", *HOOK)
    failed = install(api, wait=True, wait_timeout=1)
    assert failed["failed"]
    assert "could not be used after 1 s" in failed["msg"]
    assert "MutatingWebhookConfiguration istio-sidecar-injector: istiod has not written its CA bundle" in failed["msg"]


@pytest.mark.thorough
def test_a_wait_ends_when_all_is_ready(bare: Api) -> None:
    results: list[dict[str, Any]] = []
    run = threading.Thread(target=lambda: results.append(install(bare, wait=True, wait_timeout=60)))
    run.start()
    wait_until("istiod is written", lambda: bare.get("deployment", "-n", "istio-system")["items"], 30)
    assert run.is_alive()
    report_ready(bare)
    run.join(30)
    assert results[0]["changed"], results[0].get("msg")
    again = install(bare, wait=True, wait_timeout=5)
    assert not again["changed"]


@pytest.mark.thorough
def test_a_cached_rendering_gives_the_same_and_a_broken_one_is_made_anew(installed: Api, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = install(installed, cache_dir=str(cache))
    files = list(cache.iterdir())
    assert len(files) == 1
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert install(installed, cache_dir=str(cache))["objects"] == first["objects"]
    files[0].write_text(files[0].read_text()[:1000])
    assert install(installed, cache_dir=str(cache))["objects"] == first["objects"]


def test_the_istio_of_another_tool_is_refused_before_anything_is_written(bare: Api) -> None:
    manifest = subprocess.run(
        [binary("istioctl"), "manifest", "generate", "-f", "-"],
        input=json.dumps({"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", **OVERLAY}),
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    bare.kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=istio-operator", "-f", "-", stdin=manifest
    )
    try:
        refused = install(bare)
        assert refused["failed"]
        assert "An Istio of another owner is in the way" in refused["msg"]
        assert "istio-operator" in refused["msg"]
    finally:
        bare.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=manifest)


def test_removal_keeps_the_configuration_of_the_mesh_and_a_second_one_changes_nothing(installed: Api) -> None:
    predicted, done = remove(installed, check=True), remove(installed)
    assert predicted["actions"] == done["actions"]
    assert done["changed"]
    wait_until("Istio is gone", lambda: not remove(installed, check=True)["changed"])
    assert not remove(installed)["changed"]
    assert installed.get("customresourcedefinition")["items"]
    assert "istio-system" in installed.kubectl("get", "namespace")


def test_a_bad_overlay_is_refused_with_its_own_words(api: Api) -> None:
    assert "unknown key profile" in install(api, {"profile": "minimal"})["msg"]
    said = install(api, {"spec": {"profile": "minimall"}})["msg"]
    assert "spec.profile is 'minimall'" in said
    assert "Did you mean minimal?" in said
    assert "ambient" in said
    said = install(api, changed(values={"pilot": {"imagge": "a/b:1"}}))["msg"]
    assert "overlay: spec.values.pilot.imagge: istioctl" in said
    assert "does not know the key imagge" in said


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"meshConfig": {"trustDomian": "example.org"}},
            "spec.meshConfig.trustDomian: istiod does not know it and would pass over it. Did you mean trustDomain?",
        ),
        (
            {"meshConfig": {"defaultConfig": {"proxyMetadatas": {"A": "b"}}}},
            "spec.meshConfig.defaultConfig.proxyMetadatas: istiod does not know it",
        ),
        (
            {"values": {"gateways": {"istio-ingressgateway": {"type": "NodePort"}}}},
            "spec.values.gateways.istio-ingressgateway: no such gateway is installed",
        ),
        (
            {"components": {"pilot": {"k8s": {"hpaSpec": {"maxReplicas": 7}}}}},
            "spec.components.pilot.k8s.hpaSpec: no HorizontalPodAutoscaler is rendered",
        ),
        (
            {
                "components": {
                    "pilot": {
                        "k8s": {"overlays": [{"kind": "Deployment", "name": "istio", "patches": [{"path": "a"}]}]}
                    }
                }
            },
            "overlays[0]: no Deployment «istio» is rendered, so its patches change nothing. There is istiod.",
        ),
        (
            {
                "components": {
                    "pilot": {
                        "k8s": {
                            "overlays": [
                                {
                                    "kind": "Deployment",
                                    "name": "istiod",
                                    "patches": [
                                        {"path": "spec.template.spec.containers.[name:pilot].image", "value": "a/b:1"}
                                    ],
                                }
                            ]
                        }
                    }
                }
            },
            "patches[0]: Deployment «istiod» has no [name:pilot]",
        ),
    ],
)
def test_what_istioctl_would_drop_is_refused_with_its_place(api: Api, spec: dict[str, Any], words: str) -> None:
    said = install(api, changed(**spec), check=True)
    assert said["failed"]
    assert "would drop a part of it without a word" in said["msg"]
    assert words in said["msg"]


def proxy(api: Api, name: str, revision: str = "default") -> None:
    """A pod as the injector leaves it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"service.istio.io/canonical-name": name},
            "annotations": {"istio.io/rev": revision, "sidecar.istio.io/status": "{}"},
        },
        "spec": {"containers": [{"name": "istio-proxy", "image": "registry.test/proxyv2:1"}]},
    }
    api.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def test_another_trust_domain_is_refused_while_somebody_lives_in_the_present_one(installed: Api) -> None:
    other = changed(meshConfig={"trustDomain": "other.example"})
    proxy(installed, "cart")
    try:
        for check in (True, False):
            refused = install(installed, other, check=check)
            assert "spec.meshConfig.trustDomain is other.example, and the mesh there has example.org" in refused["msg"]
            assert refused["proxies"] == ["pod default/cart"]
        # Beside it just as well: both revisions would serve one cluster.
        assert "revision default" in install(installed, {"spec": {**other["spec"], "revision": "canary"}})["msg"]
        assert not install(installed)["changed"], "nothing was touched"
        asked = install(installed, other, check=True, allow_trust_domain_change=True)
        assert "updated ConfigMap istio-system/istio" in did(asked)
    finally:
        installed.kubectl("delete", "pod", "cart", "--force", "--grace-period=0")
    assert "updated ConfigMap istio-system/istio" in did(install(installed, other, check=True))


def test_an_older_istio_does_not_take_the_place_of_a_newer_one(installed: Api) -> None:
    crd = ("customresourcedefinition", "sidecars.networking.istio.io")
    for what in (DEPLOYMENT, crd):
        installed.kubectl("label", *what, "operator.istio.io/version=1.99.1", "--overwrite")
    refused = install(installed)
    assert "revision default in istio-system is 1.99.1" in refused["msg"]
    done = install(installed, allow_downgrade=True)
    assert did(done) == ["updated Deployment istio-system/istiod"]
    assert installed.get(*crd)["metadata"]["labels"]["operator.istio.io/version"] == "1.99.1", "the newest one stays"
    assert not install(installed)["changed"]
    installed.kubectl("label", *crd, f"operator.istio.io/version={done['version']}", "--overwrite")


def test_what_speaks_against_an_installation_stops_it_before_anything_is_touched(bare: Api, tmp_path: Path) -> None:
    """By an account that may read all and create nothing."""
    rules = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "looks"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}],
    }
    bare.kubectl("apply", "-f", "-", stdin=json.dumps(rules))
    bare.kubectl("create", "serviceaccount", "looks", "-n", "default")
    bare.kubectl("create", "clusterrolebinding", "looks", "--clusterrole=looks", "--serviceaccount=default:looks")
    config = json.loads(Path(bare.kubeconfig).read_text())
    config["users"][0]["user"] = {"token": bare.kubectl("create", "token", "looks", "-n", "default").strip()}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    refused = install(bare, kubeconfig=str(tmp_path / "kubeconfig"))
    assert "istioctl x precheck: Istio cannot be installed in this cluster" in refused["msg"]
    assert {message["level"] for message in refused["precheck"]} == {"Error"}
    assert all(message["code"] and message["message"] for message in refused["precheck"])
    done = install(bare)
    assert done["precheck"] == []


def test_what_is_wrong_in_the_mesh_is_returned_after_a_change(bare: Api) -> None:
    bare.kubectl("label", "namespace", "default", "istio-injection=enabled")
    bare.kubectl("create", "deployment", "cart", "--image=registry.test/a")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": "default"}}
    pod["spec"] = {"containers": [{"name": "main", "image": "registry.test/a"}]}
    bare.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    try:
        messages = install(bare)["analysis"]
        assert {"code": "IST0103", "level": "Warning", "object": "Pod default/bare"}.items() <= messages[0].items()
        assert install(bare)["analysis"] == [], "nothing has changed, so nobody looked"
    finally:
        bare.kubectl("delete", "pod", "bare", "--force", "--grace-period=0")
        bare.kubectl("delete", "deployment", "cart")
        bare.kubectl("label", "namespace", "default", "istio-injection-")


def test_a_mesh_that_cannot_be_analysed_is_installed_all_the_same(bare: Api, tmp_path: Path) -> None:
    stuck = tmp_path / "istioctl"
    stuck.write_text(f'#!/bin/sh\n[ "$1" != analyze ] || exec sleep 60\nexec {binary("istioctl")} "$@"\n')
    stuck.chmod(0o755)
    result = install(bare, istioctl=str(stuck), timeout=10)
    assert result["changed"]
    assert result["analysis"] == []
    assert "The mesh was not analysed" in json.dumps(result["warnings"])


@pytest.mark.thorough
def test_a_second_revision_lives_beside_the_first_and_each_can_go(bare: Api) -> None:
    canary = {"spec": {**OVERLAY["spec"], "revision": "canary"}}
    named = {"metadata": {"name": "istio"}, "spec": {"revision": "canary"}}
    install(bare)
    done = install(bare, canary)
    assert {action["verb"] for action in done["actions"]} == {"created"}
    assert "created Deployment istio-system/istiod-canary" in did(done)
    assert not [line for line in did(done) if "istiod-default-validator" in line or "reader-service-account" in line]
    assert not install(bare)["changed"], "the first one is as it was"
    assert not install(bare, canary)["changed"]
    bare.kubectl("label", "namespace", "default", "istio.io/rev=canary")
    try:
        refused = install(bare, named, state="absent")
        assert "Revision canary is still in use: namespace default (canary)" in refused["msg"]
        assert refused["users"] == ["namespace default (canary)"]
        removed = remove(bare)
        assert "deleted Deployment istio-system/istiod" in did(removed)
        assert "deleted ServiceAccount istio-system/istio-reader-service-account" not in did(removed)
        assert not install(bare, canary)["changed"], "the second one does not miss anything"
        forced = install(bare, named, state="absent", force=True)
        assert "deleted ServiceAccount istio-system/istio-reader-service-account" in did(forced), "it was the last one"
    finally:
        bare.kubectl("label", "namespace", "default", "istio.io/rev-")


@pytest.mark.thorough
def test_the_default_validator_goes_to_the_revision_that_asks_for_it(bare: Api) -> None:
    install(bare)
    default = changed(revision="canary", values={"defaultRevision": "canary"})
    done = install(bare, default)
    assert "updated ValidatingWebhookConfiguration istiod-default-validator" in did(done)
    assert bare.get(*VALIDATOR)["webhooks"][0]["clientConfig"]["service"]["name"] == "istiod-canary"
    removed = remove(bare)
    assert "deleted ValidatingWebhookConfiguration istiod-default-validator" not in did(removed)
    assert not install(bare, default)["changed"]
    install(bare, {"spec": {"revision": "canary"}}, state="absent")


def test_an_unreachable_cluster_is_an_error_within_the_limit(api: Api) -> None:
    config = json.loads(Path(api.kubeconfig).read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    other = Path(api.kubeconfig).with_name("nowhere")
    other.write_text(json.dumps(config))
    failed = install(api, kubeconfig=str(other), timeout=10)
    assert "Reading what is installed failed" in failed["msg"]
    assert "127.0.0.1:1" in failed["msg"]


def test_a_missing_program_is_named(api: Api) -> None:
    assert "/nowhere/istioctl was not found" in install(api, istioctl="/nowhere/istioctl")["msg"]


WORKLOADS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: native, namespace: default}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}, annotations: {inject.istio.io/templates: "sidecar,spire"}}
    spec: {containers: [{name: app, image: registry.test/app}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: classic, namespace: default}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata:
      labels: {app: a}
      annotations: {inject.istio.io/templates: "sidecar,spire", sidecar.istio.io/nativeSidecar: "false"}
    spec: {containers: [{name: app, image: registry.test/app}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: gateway, namespace: default}
spec:
  selector: {matchLabels: {app: g}}
  template:
    metadata:
      labels: {app: g, sidecar.istio.io/inject: "true"}
      annotations: {inject.istio.io/templates: "gateway,spire-gateway"}
    spec: {containers: [{name: istio-proxy, image: auto, imagePullPolicy: IfNotPresent}]}
"""


# What a phase would do, without the wait for pods, of which there are none here.
STEPS = (("istio", "preflight"), ("istio", "install"), ("istio", "configure"), ("kubernetes_objects", "apply"))


def role(
    api: Api, folder: Path, steps: tuple[tuple[str, str], ...] = STEPS, **variables: Any
) -> subprocess.CompletedProcess[str]:
    """Take steps with the variables that the roles before them would leave."""
    settings = {
        "toolchain_bin": {"istioctl": binary("istioctl"), "kubectl": binary("kubectl")},
        "kubernetes_cluster": {
            "name": "test",
            "kubectl": binary("kubectl"),
            "kubeconfig": api.kubeconfig,
            "context": "test",
            "nodes": [],
            "address": "",
            "made_here": False,
        },
        "images_refs": {"istio_pilot": "registry.test/pilot:1", "istio_proxyv2": "registry.test/proxyv2:1"},
        "images_stock_envoy": True,
        "istio_cache_dir": str(folder / "cache"),
        **variables,
    }
    tasks = [
        {"ansible.builtin.include_role": {"name": f"trustmesh.spiffe.{name}", "tasks_from": tasks}}
        for name, tasks in steps
    ]
    return play([{"hosts": "localhost", "tasks": tasks}], folder, "--extra-vars", json.dumps(settings))


def controllers(api: Api, done: threading.Event) -> None:
    """Report control planes as available and certify their webhooks, as controllers and istiod would."""
    status = {"observedGeneration": 99, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    while not done.wait(0.5):
        for istiod in api.get("deployment", "-n", "istio-system")["items"]:
            if not istiod.get("status", {}).get("availableReplicas"):
                where = ("deployment", istiod["metadata"]["name"], "-n", "istio-system", "--subresource=status")
                api.patch(*where, body={"status": status})
        for hook in api.get("mutatingwebhookconfiguration")["items"]:
            if not all("caBundle" in one["clientConfig"] for one in hook["webhooks"]):
                hooks(api, ("mutatingwebhookconfiguration", hook["metadata"]["name"]), clientConfig__caBundle="QUJD")


@pytest.mark.thorough
def test_the_role_moves_namespaces_to_another_revision_and_leaves_the_old_one(bare: Api, tmp_path: Path) -> None:
    ready = threading.Event()
    helper = threading.Thread(target=controllers, args=(bare, ready))
    first = role(bare, tmp_path)
    assert first.returncode == 0, first.stdout
    bare.kubectl("create", "deployment", "cart", "--image=registry.test/a", "-n", "default")
    cart = ("deployment", "cart", "-n", "default")
    status = {"observedGeneration": 99, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    bare.patch(*cart, "--subresource=status", body={"status": status})
    proxy(bare, "left", "default")
    bare.kubectl("label", "namespace", "default", "istio-injection=enabled")
    new: dict[str, Any] = {"istio_overlay": {"spec": {"revision": "new"}}}
    helper.start()
    try:
        stuck = role(bare, tmp_path, (("istio", "canary"),), **new)
        assert "default/left has a proxy of revision default still." in stuck.stdout
        template = bare.get(*cart)["spec"]["template"]["metadata"]["annotations"]
        assert template["trustmesh.io/istio-revision"] == "new", "it was restarted"
        refused = role(bare, tmp_path, (("istio", "leave"),), **new)
        assert "Revision default is still in use: pod default/left" in refused.stdout
        bare.kubectl("delete", "pod", "left", "-n", "default", "--force", "--grace-period=0")
        for _run in range(2):
            moved = role(bare, tmp_path, (("istio", "canary"),), **new)
            assert moved.returncode == 0, moved.stdout
        labels = bare.get("namespace", "default")["metadata"]["labels"]
        assert labels["istio.io/rev"] == "new"
        assert "istio-injection" not in labels
        assert bare.get(*DEPLOYMENT), "the old one is still there"
        for _run in range(2):
            left = role(bare, tmp_path, (("istio", "leave"),), **new)
            assert left.returncode == 0, left.stdout
        names = [one["metadata"]["name"] for one in bare.get("deployment", "-n", "istio-system")["items"]]
        assert names == ["istiod-new"]
        hook = bare.get("mutatingwebhookconfiguration", "istio-revision-tag-default")
        assert hook["metadata"]["labels"]["istio.io/rev"] == "new"
        doors = [one["metadata"]["name"] for one in bare.get("networkpolicy", "-n", "istio-system")["items"]]
        assert doors == ["istiod-new-doors"]
        wrong = role(bare, tmp_path, (("istio", "canary"),), istio_canary_from="new", **new)
        assert "«new» is the revision that istio_overlay installs" in wrong.stdout
        gone = role(
            bare,
            tmp_path,
            (("istio", "canary"),),
            istio_canary_from="older",
            istio_overlay={"spec": {"revision": "newer"}},
        )
        assert "there is no revision «older» in istio-system. There is new." in " ".join(gone.stdout.split())
        # Where the new one is there without the old one, an earlier run has left that.
        assert "changed=0" in role(bare, tmp_path, (("istio", "canary"),), istio_canary_from="older", **new).stdout
    finally:
        ready.set()
        helper.join(30)
        bare.kubectl("label", "namespace", "default", "istio.io/rev-", "istio-injection-")
        bare.kubectl("delete", "deployment", "cart", "-n", "default")
        bare.kubectl("delete", "pod", "left", "-n", "default", "--force", "--grace-period=0", "--ignore-not-found")
        bare.kubectl("delete", "mutatingwebhookconfiguration", "-l", "istio.io/tag=default", "--ignore-not-found")
        bare.kubectl("delete", "service", "-n", "istio-system", "-l", "istio.io/tag=default", "--ignore-not-found")
        bare.kubectl("delete", *VALIDATOR, "--ignore-not-found")
        install(bare, {"spec": {"revision": "new"}}, state="absent", force=True)


POLICY = {
    "name": "quote",
    "namespace": "default",
    "selector": {"app": "quote"},
    "principals": ["example.org/ns/default/sa/sleep"],
    "ports": [80],
}


@pytest.mark.parametrize(
    ("delivery", "volume"),
    [
        # So have all scenarios that run on clusters here.
        pytest.param(
            "host_path",
            {"hostPath": {"path": "/run/spire/agent-sockets", "type": "Directory"}},
            marks=pytest.mark.thorough,
        ),
        ("csi", {"csi": {"driver": "csi.spiffe.io", "readOnly": True}}),
    ],
)
def test_every_proxy_gets_the_socket_of_spire_and_cannot_do_without(
    bare: Api, tmp_path: Path, delivery: str, volume: dict[str, Any]
) -> None:
    done = role(bare, tmp_path, trustmesh_socket_delivery=delivery)
    assert done.returncode == 0, done.stdout
    injector = bare.get("configmap", "istio-sidecar-injector", "-n", "istio-system")["data"]
    (tmp_path / "config").write_text(injector["config"])
    (tmp_path / "values").write_text(injector["values"])
    (tmp_path / "mesh").write_text(bare.get("configmap", "istio", "-n", "istio-system")["data"]["mesh"])
    assert "defaultTemplates:\n- sidecar\n- spire\n" in injector["config"]
    (tmp_path / "apps.yml").write_text(WORKLOADS)
    words = ["kube-inject", "--kubeconfig", bare.kubeconfig, "--injectConfigFile", str(tmp_path / "config")]
    words += ["--meshConfigFile", str(tmp_path / "mesh"), "--valuesFile", str(tmp_path / "values")]
    injected = subprocess.run(
        [binary("istioctl"), *words, "-f", str(tmp_path / "apps.yml")],
        text=True,
        capture_output=True,
        check=True,
        env={"ENABLE_NATIVE_SIDECARS": "true", "HOME": str(tmp_path)},
    ).stdout
    accepted = bare.kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=injected)
    pods = {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in json.loads(accepted)["items"]}
    for name, place in (("native", "initContainers"), ("classic", "containers"), ("gateway", "containers")):
        proxy = next(one for one in pods[name][place] if one["name"] == "istio-proxy")
        mounts = [one for one in proxy["volumeMounts"] if one["name"] == "workload-socket"]
        assert mounts == [
            {"name": "workload-socket", "mountPath": "/var/run/secrets/workload-spiffe-uds", "readOnly": True}
        ]
        assert {"name": "WORKLOAD_IDENTITY_SOCKET_FILE", "value": "spire-agent.sock"} in proxy["env"]
        assert proxy["terminationMessagePolicy"] == "FallbackToLogsOnError"
        assert proxy["image"] == "registry.test/proxyv2:1"
        assert proxy["imagePullPolicy"] == "IfNotPresent"
        sockets = [one for one in pods[name]["volumes"] if one["name"] == "workload-socket"]
        assert sockets == [{"name": "workload-socket", **volume}]


@pytest.mark.thorough
def test_the_role_twice_and_then_without_a_policy(bare: Api, tmp_path: Path) -> None:
    first = role(bare, tmp_path, istio_authorization_policies=[POLICY])
    assert first.returncode == 0, first.stdout
    again = role(bare, tmp_path, istio_authorization_policies=[POLICY])
    assert "changed=0" in again.stdout, again.stdout
    assert bare.get("peerauthentication", "default", "-n", "istio-system")["spec"] == {"mtls": {"mode": "STRICT"}}
    assert bare.get("authorizationpolicy", "default-deny", "-n", "istio-system").get("spec", {}) == {}
    assert bare.get("authorizationpolicy", "quote")["spec"] == {
        "action": "ALLOW",
        "selector": {"matchLabels": {"app": "quote"}},
        "rules": [
            {
                "from": [{"source": {"principals": ["example.org/ns/default/sa/sleep"]}}],
                "to": [{"operation": {"ports": ["80"]}}],
            }
        ],
    }
    without = role(bare, tmp_path, istio_authorization_policies=[{**POLICY, "state": "absent"}])
    assert without.returncode == 0, without.stdout
    assert bare.get("authorizationpolicy")["items"] == []


BY_GATEWAY_API: dict[str, Any] = {
    "istio_gateways": [
        {"name": "web", "namespace": "default", "gateway_api": True, "ports": [{"name": "http", "port": 80}]},
    ],
    "istio_objects": [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"parentRefs": [{"name": "web"}], "rules": [{"backendRefs": [{"name": "shop", "port": 8080}]}]},
        }
    ],
}
TYPES = "gateway.networking.k8s.io"


@pytest.fixture
def unrouted(bare: Api) -> Iterator[Api]:
    """Return one that does not know the Gateway API, and leave it so."""
    yield bare
    for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies", "crd"):
        names = [item["metadata"]["name"] for item in bare.get(kind)["items"]]
        if ours := [name for name in names if name.endswith(TYPES)]:
            bare.kubectl("delete", kind, *ours)


@pytest.mark.thorough
def test_the_role_brings_the_gateway_api_when_it_is_told_to_and_leaves_that_of_others(
    unrouted: Api, tmp_path: Path
) -> None:
    # The Service comes in a phase of its own.
    steps = (*STEPS[:2], ("istio", "names"), *STEPS[2:])
    refused = role(unrouted, tmp_path, steps, **BY_GATEWAY_API)
    assert refused.returncode != 0
    words = " ".join(refused.stdout.split())
    assert (
        f"does not know gatewayclasses.{TYPES}, gateways.{TYPES}, httproutes.{TYPES}, referencegrants.{TYPES}" in words
    )
    assert "istio_gateway_api_install=true" in words
    assert unrouted.get("deployments", "-A")["items"] == [], "refused before anything was touched"

    types = Path(binary("kubectl")).parent / "gateway-api"
    brings = {**BY_GATEWAY_API, "istio_gateway_api_install": True, "istio_gateway_api_types": str(types)}
    first = role(unrouted, tmp_path, steps, **brings)
    assert first.returncode == 0, first.stdout
    classes = unrouted.get("configmap", "-n", "istio-system", "-l", "gateway.istio.io/defaults-for-class=istio")
    assert "workload-socket" in classes["items"][0]["data"]["deployment"]
    gateway = unrouted.get(f"gateways.{TYPES}", "web")
    assert [listener["protocol"] for listener in gateway["spec"]["listeners"]] == ["HTTP"]
    assert unrouted.get(f"httproutes.{TYPES}", "web")["spec"]["parentRefs"][0]["name"] == "web"
    again = role(unrouted, tmp_path, steps, **brings)
    assert "changed=0" in again.stdout, again.stdout
    assert role(unrouted, tmp_path, steps, **BY_GATEWAY_API).returncode == 0, "there they are used"

    unrouted.kubectl("label", "crd", f"gateways.{TYPES}", "app.kubernetes.io/managed-by-")
    unrouted.kubectl("delete", "crd", f"referencegrants.{TYPES}")
    others = role(unrouted, tmp_path, steps, **brings)
    assert others.returncode != 0
    assert "which somebody else brought" in " ".join(others.stdout.split())


ENVOY = {"name": "gateway", "namespace": "shop"}
BESIDE = {"kind": "Deployment", "name": "till"}
BESIDE_EXISTING = {**ENVOY, "beside": {**BESIDE, "existing": True}}


@pytest.mark.parametrize(
    "brings",
    [
        {"envoy_instances": [ENVOY]},
        {"envoy_instances": [{**ENVOY, "beside": {**BESIDE, "existing": False}}]},
        {"demo_app_workloads": [{"name": "till", "namespace": "shop", "app": "client"}]},
        {"istio_objects": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}]},
        {"kubernetes_objects_definitions": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}]},
    ],
    ids=["an envoy", "an envoy beside", "an application", "objects of the mesh", "objects of the inventory"],
)
def test_policies_are_taken_for_a_namespace_that_this_run_brings(
    api: Api, tmp_path: Path, brings: dict[str, Any]
) -> None:
    policies = [{**POLICY, "namespace": "shop"}]
    taken = role(api, tmp_path, (("istio", "preflight"),), istio_authorization_policies=policies, **brings)
    assert taken.returncode == 0, taken.stdout


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"istio_trust_domain": "Example.org"}, "istio_trust_domain"),
        ({"istio_socket_file": "socket"}, "takes its identity from istiod"),
        ({"istio_socket_file": "run/x.sock"}, "istio_socket_file"),
        ({"trustmesh_socket_delivery": "host_path", "istio_socket_host_dir": "sockets"}, "istio_socket_host_dir"),
        ({"istio_proxy_image": "proxyv2"}, "istio_proxy_image"),
        (
            {"istio_authorization_policies": [{**POLICY, "principals": ["spiffe://example.org/ns/a"]}]},
            "no full principal",
        ),
        ({"istio_authorization_policies": [{**POLICY, "principals": ["*"]}]}, "no full principal"),
        ({"istio_overlay": {"metadata": {"name": "x"}}}, "istio_namespace"),
        # Policies for a namespace that nobody brings.
        ({"istio_authorization_policies": [{**POLICY, "namespace": "shpo"}]}, "has no namespace «shpo»"),
        (
            {"istio_authorization_policies": [{**POLICY, "namespace": "shop"}], "envoy_instances": [BESIDE_EXISTING]},
            "has no namespace «shop»",
        ),
        ({"istio_enforce": "namespaces", "istio_enforced_namespaces": ["shpo"]}, "has no namespace «shpo»"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_touched(
    api: Api, tmp_path: Path, variables: dict[str, Any], words: str
) -> None:
    failed = role(api, tmp_path, **variables)
    assert failed.returncode != 0
    assert words in failed.stdout.replace("\n", " ").replace("        ", " ")
    assert "Install |" not in failed.stdout

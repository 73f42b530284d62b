# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of several roles as one list, and what its answer tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube import batch

Data = dict[str, Any]
ENFORCE = "pod-security.kubernetes.io/enforce"
EVERYTHING = {
    "namespaces": ["demo"],
    "apis": {"v1": {k: {} for k in ("Namespace", "Secret", "ConfigMap", "Service")}, "apps/v1": {"Deployment": {}}},
}


def made(kind: str, name: str, namespace: str | None = "demo", **fields: Any) -> Data:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    version = {"Deployment": "apps/v1", "CustomResourceDefinition": "apiextensions.k8s.io/v1"}.get(kind, "v1")
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def space(name: str = "demo", **labels: str) -> Data:
    found = made("Namespace", name, None)
    return {**found, "metadata": {**found["metadata"], "labels": labels}} if labels else found


def of(owner: str, *objects: Data, **more: Any) -> Data:
    return {"owner": owner, "objects": list(objects), **more}


def read(text: str) -> list[Data]:
    return [item for item in yaml.safe_load_all(text) if item]


def kinds(text: str) -> list[str]:
    return [f"{item['kind']} {item['metadata']['name']}" for item in read(text)]


# What is sent


def test_namespaces_go_first_and_types_before_the_controllers_that_come_with_them() -> None:
    crd = made("CustomResourceDefinition", "things.example.org", None)
    found = batch.batch([of("one", made("ConfigMap", "a"), crd), of("two", made("Service", "b"), space())])
    assert kinds(found["objects"]) == [
        "Namespace demo",
        "Service b",
        "CustomResourceDefinition things.example.org",
        "ConfigMap a",
    ]
    assert found["secrets"] == found["absent"] == ""
    assert found["later"] == []


def test_objects_of_a_type_that_comes_with_them_go_last() -> None:
    crd = made("CustomResourceDefinition", "things.example.org", None)
    crd["spec"] = {"group": "example.org", "names": {"kind": "Thing"}}
    thing = {**made("Thing", "first"), "apiVersion": "example.org/v1"}
    other = {**made("Thing", "of-another-group"), "apiVersion": "example.com/v1"}
    found = batch.batch([of("one", thing, crd, other, made("ConfigMap", "a"))])
    assert kinds(found["objects"]) == [
        "CustomResourceDefinition things.example.org",
        "Thing of-another-group",
        "ConfigMap a",
        "Thing first",
    ]


def test_ansibles_containers_are_read_as_they_are_templated() -> None:
    class Lazy(dict[str, object]):
        """As Ansible's own: what is in it is only found by asking for it."""

        def items(self) -> object:
            return {key: "told" if value == "{{ later }}" else value for key, value in super().items()}.items()

        def __iter__(self) -> Iterator[str]:
            return super().__iter__()

        def __deepcopy__(self, _memo: object) -> object:
            raise AssertionError("copied with all of its variables")

    given = made("ConfigMap", "a")
    given["data"] = Lazy(key="{{ later }}")
    (found,) = read(batch.batch([of("one", given)])["objects"])
    assert found["data"] == {"key": "told"}


def test_text_and_objects_of_one_owner_are_together() -> None:
    text = f"---\n{json.dumps(made('ConfigMap', 'a'))}\n---\n# nothing\n---\n{json.dumps(made('ConfigMap', 'b'))}\n"
    found = batch.batch([{"owner": "one", "text": text, "objects": [made("ConfigMap", "c")]}])
    assert sorted(kinds(found["objects"])) == ["ConfigMap a", "ConfigMap b", "ConfigMap c"]


def test_every_object_says_whose_it_is() -> None:
    found = read(batch.batch([of("envoy", space(), made("ConfigMap", "a"))], "blue_green")["objects"])
    labels = {item["kind"]: item["metadata"]["labels"] for item in found}
    ours = {"app.kubernetes.io/managed-by": "trustmesh.spiffe"}
    assert labels["ConfigMap"] == {**ours, "trustmesh.io/role": "envoy", "trustmesh.io/scenario": "blue_green"}
    assert labels["Namespace"] == ours, "it may be somebody else's too"


def test_what_is_given_is_not_changed() -> None:
    given = [of("one", space(), made("ConfigMap", "a"))]
    before = json.dumps(given)
    batch.batch(given, "x")
    assert json.dumps(given) == before


def test_a_namespace_that_several_want_is_there_once_with_the_labels_of_all() -> None:
    found = batch.batch([of("one", space(a="1")), of("two", space(b="2"))])
    (namespace,) = read(found["objects"])
    assert namespace["metadata"]["labels"].items() >= {"a": "1", "b": "2"}.items()
    assert found["namespaces"] == ["demo"]


@pytest.mark.parametrize(
    "levels", [("restricted", "privileged"), ("privileged", "restricted"), ("baseline", "restricted")]
)
def test_pod_security_is_what_lets_all_of_them_run(levels: tuple[str, str]) -> None:
    found = batch.batch([of(level, space(**{ENFORCE: level})) for level in levels])
    assert read(found["objects"])[0]["metadata"]["labels"][ENFORCE] == "privileged"


def test_one_pod_security_stays_as_it_is() -> None:
    found = batch.batch([of(owner, space(**{ENFORCE: "restricted"})) for owner in ("one", "two")])
    assert read(found["objects"])[0]["metadata"]["labels"][ENFORCE] == "restricted"


@pytest.mark.parametrize("spaces", [({}, {ENFORCE: "restricted"}), ({ENFORCE: "restricted"}, {})])
def test_who_names_no_pod_security_leaves_it_to_others(spaces: tuple[dict[str, str], dict[str, str]]) -> None:
    found = batch.batch([of(str(number), space(**labels)) for number, labels in enumerate(spaces)])
    assert read(found["objects"])[0]["metadata"]["labels"][ENFORCE] == "restricted"


def test_namespaces_of_others_are_used_and_left_as_they_are() -> None:
    found = batch.batch([of("one", space(), made("ConfigMap", "a"))], "", ["demo", "kube-system"])
    assert kinds(found["objects"]) == ["ConfigMap a"]
    assert found["namespaces"] == []
    assert found["names"] == ["ConfigMap demo/a"]


def test_secrets_go_by_themselves_with_the_namespaces_that_they_need() -> None:
    given = of("one", made("ConfigMap", "a"), made("Secret", "s"), space(), space("other"))
    found = batch.batch([given])
    assert kinds(found["secrets"]) == ["Namespace demo", "Secret s"]
    assert kinds(found["objects"]) == ["Namespace demo", "Namespace other", "ConfigMap a"]
    assert "Secret demo/s" in found["names"]


def test_what_two_want_alike_is_sent_once_and_what_they_want_otherwise_is_refused() -> None:
    given = of("one", made("ConfigMap", "a", data={"x": "1"}))
    assert len(read(batch.batch([given, given])["objects"])) == 1
    with pytest.raises(InputError) as refused:
        batch.batch([given, of("one", made("ConfigMap", "a", data={"x": "2"}))])
    assert refused.value.message == "one: ConfigMap demo/a is wanted twice, in two forms. Take one of them out."


@pytest.mark.parametrize("lacking", ["apiVersion", "kind", "metadata", "name"])
def test_an_object_that_is_none_is_refused_with_its_owner(lacking: str) -> None:
    broken = made("ConfigMap", "a")
    (broken["metadata"] if lacking == "name" else broken).pop(lacking)
    with pytest.raises(
        InputError, match=r"^one: an object without apiVersion, kind or metadata\.name: .* Give all three"
    ):
        batch.batch([of("one", broken)])
    with pytest.raises(InputError, match=r"^one: an object without"):
        batch.batch([{"owner": "one", "text": "just text"}])


def test_in_check_mode_what_cannot_be_asked_about_is_for_later() -> None:
    given = of("one", space("new"), made("ConfigMap", "a"), made("ConfigMap", "b", "new"), made("Deployment", "c"))
    found = batch.batch([given], "", [], {**EVERYTHING, "apis": {"v1": EVERYTHING["apis"]["v1"]}})
    assert kinds(found["objects"]) == ["Namespace new", "ConfigMap a"]
    assert found["later"] == ["ConfigMap new/b", "Deployment demo/c"]
    assert len(found["names"]) == 4


def test_what_is_to_be_absent_is_by_itself() -> None:
    found = batch.batch([of("one", absent=[made("ConfigMap", "old")]), of("two", made("ConfigMap", "a"))])
    assert kinds(found["absent"]) == ["ConfigMap old"]
    assert found["names"] == ["ConfigMap demo/a"]


def test_nothing_is_nothing() -> None:
    assert batch.batch([])["objects"] == ""


# Pod templates


def test_a_pod_template_reaches_the_workloads_of_its_owner_alone() -> None:
    pod = {"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "c"}], "hostNetwork": False}}
    workload = made("Deployment", "w", spec={"replicas": 1, "template": pod})
    other = made("Deployment", "v", spec={"template": pod})
    overlay = {"metadata": {"labels": {"b": "2"}}, "spec": {"priorityClassName": "high", "tolerations": [{"key": "x"}]}}
    found = batch.batch([of("one", workload, made("ConfigMap", "a"), pod_template=overlay), of("two", other)])
    changed, same = (item for item in read(found["objects"]) if item["kind"] == "Deployment")
    assert changed["spec"]["replicas"] == 1
    assert changed["spec"]["template"] == {
        "metadata": {"labels": {"a": "1", "b": "2"}},
        "spec": {
            "containers": [{"name": "c"}],
            "hostNetwork": False,
            "priorityClassName": "high",
            "tolerations": [{"key": "x"}],
        },
    }
    assert same["spec"]["template"] == pod


def test_who_wanted_something_is_said_once_even_when_it_was_nothing() -> None:
    assert batch.batch([of("two"), of("one", made("ConfigMap", "a")), of("two", space())])["owners"] == ["one", "two"]


# What is taken away


def test_removal_goes_backwards_and_asks_only_about_what_can_be_there() -> None:
    given = of("one", space(), made("ConfigMap", "a"), made("Service", "b"), made("ConfigMap", "c", "gone"))
    found = batch.removal([given, of("two", made("Deployment", "d", spec={"template": {}}))], [], EVERYTHING)
    assert kinds(found["objects"]) == ["Deployment d", "Service b", "ConfigMap a"]
    assert found["namespaces"] == ["demo"]
    assert {*found["names"]} == {"Deployment demo/d", "Service demo/b", "ConfigMap demo/a"}
    assert "spec" not in read(found["objects"])[0], "as much as is needed to find it"


def test_claims_go_last_for_pods_hold_their_volumes() -> None:
    known = {**EVERYTHING, "apis": {"v1": {"ConfigMap": {}, "PersistentVolumeClaim": {}}}}
    given = of("one", made("ConfigMap", "a"), made("PersistentVolumeClaim", "data"))
    assert kinds(batch.removal([given], [], known)["objects"])[-1] == "PersistentVolumeClaim data"


def test_removal_leaves_resource_types_for_others_may_have_some() -> None:
    crds = {"apiextensions.k8s.io/v1": {"CustomResourceDefinition": {}}}
    given = of("one", made("CustomResourceDefinition", "things.example.org", None), made("ConfigMap", "a"))
    found = batch.removal([given], [], {**EVERYTHING, "apis": {**EVERYTHING["apis"], **crds}})
    assert kinds(found["objects"]) == ["ConfigMap a"]


def test_removal_leaves_namespaces_of_others() -> None:
    assert batch.removal([of("one", space())], ["demo"], EVERYTHING)["namespaces"] == []


def test_foreign_namespaces_are_those_without_our_label() -> None:
    ours = space("ours", **{"app.kubernetes.io/managed-by": "trustmesh.spiffe"})
    helm = space("helm", **{"app.kubernetes.io/managed-by": "Helm"})
    assert batch.foreign_namespaces([ours, helm, space("plain")]) == ["helm", "plain"]


def test_a_namespace_is_unused_when_only_kubernetes_own_things_are_in_it() -> None:
    own = [
        "serviceaccount/default",
        "configmap/kube-root-ca.crt",
        "configmap/istio-ca-root-cert",
        "configmap/istio-ca-crl",
    ]
    looked = [
        {"item": "empty", "stdout_lines": []},
        {"item": "bare", "stdout_lines": own},
        {"item": "used", "stdout_lines": [*own, "pod/somebody"]},
    ]
    assert kinds("\n---\n".join(json.dumps(item) for item in batch.unused_namespaces(looked))) == [
        "Namespace empty",
        "Namespace bare",
    ]


def test_what_an_istiod_leaves_is_nobodys_and_its_ca_when_it_is_said() -> None:
    left = ["serviceaccount/default", "configmap/istio-leader", "configmap/istio-ip-autoallocate"]
    looked = [
        {"item": "led", "stdout_lines": left},
        {"item": "certified", "stdout_lines": [*left, "secret/istio-ca-secret"]},
        {"item": "of-a-user", "stdout_lines": [*left, "secret/istio-ca-secret", "secret/cacerts"]},
    ]
    for with_ca, expected in ((False, ["led"]), (True, ["led", "certified"])):
        assert [one["metadata"]["name"] for one in batch.unused_namespaces(looked, with_ca)] == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], ["demo"]),
        # What is owned goes with all of its owners, and with nobody else's.
        (["pod/other-1 replicaset.apps/other"], []),
        (["secret/two deployment.apps/web things.example.org/one"], []),
        (["configmap/kube-root-ca.crt"], ["demo"]),
    ],
)
def test_check_mode_foretells_what_would_be_empty(more: list[str], expected: list[str]) -> None:
    lines = ["deployment.apps/web", "pod/web-1-a replicaset.apps/web-1", "replicaset.apps/web-1 deployment.apps/web"]
    looked = [{"item": "demo", "stdout_lines": [*lines, *more]}, {"item": "others", "stdout_lines": lines}]

    def foretold(*going: str) -> list[str]:
        return [one["metadata"]["name"] for one in batch.unused_namespaces(looked, going=going)]

    assert foretold("Deployment demo/web") == expected
    assert foretold() == []
    assert foretold("Deployment demo/web", "Namespace demo") == [], "told once"


def test_an_address_that_nobody_answers_for_is_told() -> None:
    def service(name: str, whose: str = "trustmesh.spiffe", **spec: Any) -> dict[str, Any]:
        given = made("Service", name)
        given["metadata"]["labels"] = {"app.kubernetes.io/managed-by": whose}
        given["spec"] = {"type": "LoadBalancer", **spec}
        given["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.8"}]}}
        return given

    def slice_of(name: str, **conditions: bool) -> dict[str, Any]:
        given = made("EndpointSlice", f"{name}-1")
        given["metadata"]["labels"] = {"kubernetes.io/service-name": name}
        given["endpoints"] = [{"addresses": ["192.0.2.9"], "conditions": conditions}]
        return given

    def announced(name: str) -> dict[str, Any]:
        given = made("ServiceL2Status", f"l2-{name}")
        given["metadata"]["labels"] = {"metallb.io/service-name": name, "metallb.io/service-namespace": "demo"}
        return given

    waiting = service("waiting")
    waiting["status"] = {"loadBalancer": {}}
    items = [
        *(service(name) for name in ("silent", "heard", "starting", "alone")),
        *(waiting, service("inner", type="ClusterIP"), service("foreign", "somebody")),
        *(slice_of(name, ready=True) for name in ("silent", "heard", "waiting", "inner", "foreign")),
        slice_of("starting", ready=False),
        announced("heard"),
    ]
    assert batch.unannounced_services(json.dumps({"items": items})) == [{"name": "silent", "namespace": "demo"}]
    assert batch.unannounced_services("") == []


def test_unwanted_is_what_an_earlier_run_made_and_nobody_wants() -> None:
    child = made("ConfigMap", "child")
    child["metadata"]["ownerReferences"] = [{"kind": "Something"}]
    found = json.dumps({"items": [made("ConfigMap", "a", data={"x": "1"}), made("ConfigMap", "old"), child]})
    assert kinds(batch.unwanted(found, ["ConfigMap demo/a"])) == ["ConfigMap old"]
    assert batch.unwanted(found, ["ConfigMap demo/a", "ConfigMap demo/old"]) == ""


def test_a_kind_of_another_group_is_another_kind_when_it_is_pruned() -> None:
    of_istio = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "in", "namespace": "edge"},
    }
    of_gateway_api = {**of_istio, "apiVersion": "gateway.networking.k8s.io/v1"}
    wanted = batch.batch([{"owner": "istio", "objects": [of_gateway_api]}])["names"]
    found = json.dumps({"items": [of_istio, of_gateway_api]})
    (gone,) = yaml.safe_load_all(batch.unwanted(found, wanted))
    assert gone == of_istio


def test_nothing_is_unwanted_where_kubectl_found_nothing() -> None:
    assert batch.unwanted("", ["ConfigMap demo/a"]) == ""


# What the answer tells


def service(name: str, kind: str, ingress: list[Data] | None = None, ports: list[Data] | None = None) -> Data:
    default = [{"name": "https", "port": 8443, "nodePort": 30443}]
    status = {"loadBalancer": {"ingress": ingress} if ingress else {}}
    return made("Service", name, spec={"type": kind, "ports": ports or default}, status=status)


@pytest.mark.parametrize(
    ("item", "address", "at"),
    [
        (service("s", "NodePort"), "192.0.2.1", "192.0.2.1:30443"),
        (service("s", "NodePort"), "", None),
        (service("s", "ClusterIP"), "192.0.2.1", None),
        (service("s", "LoadBalancer"), "192.0.2.1", None),
        (service("s", "LoadBalancer", [{"ip": "198.51.100.1"}]), "192.0.2.1", "198.51.100.1:8443"),
        (service("s", "LoadBalancer", [{"hostname": "lb.example"}]), None, "lb.example:8443"),
    ],
)
def test_where_a_service_is_reached(item: Data, address: str | None, at: str | None) -> None:
    wanted = {} if at is None else {"demo/s": at, "demo/s:https": at}
    assert batch.endpoints([item], address) == wanted


def test_services_that_need_a_balancer_are_found_in_all_that_is_to_be_applied() -> None:
    text = json.dumps(service("told", "LoadBalancer")) + "\n---\n" + json.dumps(service("inside", "ClusterIP"))
    pending = [
        {"owner": "a", "text": text},
        {"owner": "b", "objects": [service("by-hand", "LoadBalancer"), service("node", "NodePort")]},
        {"owner": "c", "text": json.dumps(made("ConfigMap", "words", data={"type": "LoadBalancer"}))},
        {"owner": "d", "absent": [service("gone", "LoadBalancer")]},
        {"owner": "e", "objects": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bare"}}]},
    ]
    assert batch.balanced_services(pending) == ["demo/told", "demo/by-hand"]
    assert batch.balanced_services([]) == []


EVIL = (
    '6.6.6.6", port_value: 80}}}',
    "a b",
    "lb.example\n",
    "http://lb.example",
    "{{ x }}",
    "-a",
    "fe80::1%x y",
    ["a"],
)


@pytest.mark.parametrize("evil", EVIL)
def test_another_cluster_tells_an_address_or_nothing(evil: Any) -> None:
    for field in ("ip", "hostname"):
        with pytest.raises(InputError, match=r"^The API server of the Service demo/s has told the address"):
            batch.endpoints([service("s", "LoadBalancer", [{field: evil}])], None)
    with pytest.raises(InputError, match=r"^The API server of the Service demo/s has told the address"):
        batch.endpoints([service("s", "NodePort")], evil)


@pytest.mark.parametrize("evil", [0.5, 65536, -1, "80 }", "80\n", [80]])
def test_another_cluster_tells_a_port_or_nothing(evil: Any) -> None:
    ports = [{"name": "x", "port": evil, "nodePort": evil}]
    for kind in ("NodePort", "LoadBalancer"):
        with pytest.raises(InputError, match=r"^The API server of the Service demo/s has told the port"):
            batch.endpoints([service("s", kind, [{"ip": "192.0.2.1"}], ports)], "192.0.2.1")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": "a\nb"}, "metadata.name"),
        ({"namespace": "{{ x }}"}, "metadata.namespace"),
        ({"labels": {"app": "a\nb"}}, "metadata.labels.app"),
    ],
)
def test_names_of_objects_hold_no_line_break_and_no_template(change: Data, place: str) -> None:
    item = made("ConfigMap", "c")
    item["metadata"] |= change
    with pytest.raises(InputError, match=rf"^tests: object 2, of kind 'ConfigMap': {place}: it holds"):
        batch.batch([of("tests", space(), item)])


def test_what_is_in_an_object_is_its_owners() -> None:
    batch.batch([of("tests", made("ConfigMap", "c", data={"a": "several\nlines and {{ templates }}"}))])


def test_the_first_port_has_the_name_of_the_service() -> None:
    ports = [{"name": "grpc", "port": 8081, "nodePort": 30081}, {"name": "bundle", "port": 8443, "nodePort": 30443}]
    assert batch.endpoints([service("s", "NodePort", ports=ports)], "192.0.2.1") == {
        "demo/s": "192.0.2.1:30081",
        "demo/s:grpc": "192.0.2.1:30081",
        "demo/s:bundle": "192.0.2.1:30443",
    }


def answered(*items: Data) -> Data:
    """The result of kubernetes.core.k8s for several objects."""
    return {"changed": True, "result": {"results": [{"changed": True, "result": item} for item in items]}}


def workload(name: str, role: str, ready: int) -> Data:
    found = made("Deployment", name)
    found["metadata"] |= {
        "generation": 1,
        "labels": {"trustmesh.io/role": role},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    found["spec"] = {"replicas": 1, "template": {"metadata": {}, "spec": {}}}
    found["status"] = {
        "observedGeneration": 1,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    return found


def test_what_is_not_ready_is_told_by_role() -> None:
    items = [workload("a", "envoy", 0), workload("b", "envoy", 1), workload("c", "demo_app", 0), made("ConfigMap", "d")]
    found = batch.answers(answered(*items))
    assert found["unready"] == {
        "envoy": [{"kind": "Deployment", "namespace": "demo", "name": "a"}],
        "demo_app": [{"kind": "Deployment", "namespace": "demo", "name": "c"}],
    }


def test_certificates_that_are_not_ready_are_told_too() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]}
    made_by = {"generation": 1, "labels": {"trustmesh.io/role": "cert_manager"}}
    issuer = {"kind": "ClusterIssuer", "metadata": {"name": "root", **made_by}}
    certificates = [
        {"kind": "Certificate", "metadata": {"name": name, "namespace": "demo", **made_by}, "status": status}
        for name, status in (("late", {}), ("there", ready))
    ]
    items = [{"apiVersion": "cert-manager.io/v1", **item} for item in (issuer, *certificates)]
    others = {**items[1], "apiVersion": "other.example/v1"}
    assert batch.answers(answered(*items, others))["unready"] == {
        "cert_manager": [
            {"kind": "ClusterIssuer", "name": "root"},
            {"kind": "Certificate", "namespace": "demo", "name": "late"},
        ]
    }


def test_a_gateway_that_is_not_programmed_is_told_with_the_deployment_that_its_controller_makes() -> None:
    made_by = {"namespace": "demo", "generation": 1, "labels": {"trustmesh.io/role": "istio"}}
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "in", **made_by},
        "spec": {"gatewayClassName": "istio"},
    }
    route = {**gateway, "kind": "HTTPRoute", "metadata": {"name": "way", **made_by}}
    of_istio = {**gateway, "apiVersion": "networking.istio.io/v1"}
    assert batch.answers(answered(gateway, route, of_istio))["unready"] == {
        "istio": [
            {"kind": "Gateway", "namespace": "demo", "name": "in"},
            {"kind": "Deployment", "namespace": "demo", "name": "in-istio"},
            {"kind": "HTTPRoute", "namespace": "demo", "name": "way"},
        ]
    }


def test_a_balancer_without_an_address_is_waited_for() -> None:
    found = batch.answers(answered(service("s", "LoadBalancer"), service("n", "NodePort")), "192.0.2.1")
    assert found["without_address"] == [{"namespace": "demo", "name": "s"}]
    assert found["endpoints"].keys() == {"demo/n", "demo/n:https"}


def test_the_answer_for_a_single_object_and_for_none() -> None:
    alone = batch.answers({"result": service("n", "NodePort")}, "192.0.2.1")
    assert alone["endpoints"]["demo/n"] == "192.0.2.1:30443"
    nothing = {"unready": {}, "endpoints": {}, "without_address": [], "renew": [], "to_come": []}
    assert batch.answers({}) == batch.answers({"result": {"results": None}}) == nothing
    assert batch.answers({"skipped": True}) == nothing


def test_what_was_only_tried_is_to_come() -> None:
    there, tried, everywhere = made("ConfigMap", "there"), made("ConfigMap", "tried"), made("ClusterRole", "all", None)
    there["metadata"]["resourceVersion"] = "7"
    assert batch.answers(answered(there, tried, everywhere))["to_come"] == ["ConfigMap demo/tried", "ClusterRole all"]


def test_pods_with_dead_tokens_are_renewed() -> None:
    account = made("ServiceAccount", "till")
    account["metadata"] |= {"creationTimestamp": "2026-01-02T00:00:00Z", "uid": "new"}
    old = workload("a", "envoy", 1)
    old["spec"]["template"]["spec"]["serviceAccountName"] = "till"
    (patch,) = batch.answers(answered(account, old))["renew"]
    assert patch["metadata"] == {"name": "a", "namespace": "demo"}


def test_kinds_that_a_cluster_does_not_know_yet_are_not_asked_for() -> None:
    kinds = ["services", "networkpolicies.networking.k8s.io", "sidecars.networking.istio.io"]
    assert batch.known_kinds(kinds, {}) == kinds
    assert batch.known_kinds(kinds, {"v1": {}, "networking.k8s.io/v1": {}}) == kinds[:2]
    assert batch.known_kinds(kinds, {"v1": {}, "networking.k8s.io/v1": {}, "networking.istio.io/v1": {}}) == kinds

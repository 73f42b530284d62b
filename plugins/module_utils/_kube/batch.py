# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Objects of several roles as one list for one apply, and what the answer tells each of them. Pure.

A task costs a second or more, whatever it applies, so what is ready at the same time goes out together.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import WORKLOAD_KINDS, KubeObject, Ref, stub
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.readiness import unready

OURS = ("app.kubernetes.io/managed-by", "trustmesh.spiffe")
"""The label of everything that this collection made."""
ROLE, SCENARIO = "trustmesh.io/role", "trustmesh.io/scenario"
"""Labels that say which role wanted an object, and for which inventory."""
_FIRST = ("Namespace", "CustomResourceDefinition")


def batch(
    pending: Sequence[Mapping[str, Any]],
    scenario: str = "",
    foreign_namespaces: Iterable[str] = (),
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what is to be applied: ``secrets``, and ``objects`` with namespaces and resource types first.

    ``pending`` is a list of ``owner`` and ``objects``. A namespace that several want is there once, with the labels of
    all. Namespaces of others are used as they are, and not among the objects. With ``known`` (``namespaces`` by name,
    ``apis`` by version) those that nothing could be asked about yet are in ``later``, by name.
    """
    foreign = set(foreign_namespaces)
    found: dict[Ref, KubeObject] = {}
    for item in pending:
        for given in item["objects"] or []:
            _require_identity(item["owner"], given)
            made = _labelled(given, item["owner"], scenario)
            ref = Ref.of(made)
            if made["kind"] == "Namespace":
                if ref.name in foreign:
                    continue
                if ref in found:
                    _add_labels(found[ref], made)
                    continue
            if found.get(ref, made) != made:
                raise InputError(f"{item['owner']}: {ref} is wanted twice, in two forms. Take one of them out.")
            found[ref] = made
    later = [ref for ref, made in found.items() if known is not None and not _can_be_asked(made, known)]
    now = [made for ref, made in found.items() if ref not in later]
    secrets = [made for made in now if made["kind"] == "Secret"]
    homes = {made["metadata"].get("namespace") for made in secrets}
    return {
        # They go first and by themselves, unseen, and so with the namespaces that they need.
        "secrets": [m for m in now if m["kind"] == "Namespace" and m["metadata"]["name"] in homes] + secrets,
        "objects": sorted((made for made in now if made["kind"] != "Secret"), key=_order),
        "later": [str(ref) for ref in later],
    }


def _labelled(given: Mapping[str, Any], role: str, scenario: str) -> KubeObject:
    made = copy.deepcopy(dict(given))
    labels = {**(made["metadata"].get("labels") or {}), OURS[0]: OURS[1]}
    if made["kind"] != "Namespace":
        # Namespaces, which several may want, say neither.
        labels.update({ROLE: role, **({SCENARIO: scenario} if scenario else {})})
    made["metadata"]["labels"] = labels
    return made


def _order(made: KubeObject) -> int:
    return _FIRST.index(made["kind"]) if made["kind"] in _FIRST else len(_FIRST)


def _can_be_asked(made: KubeObject, known: Mapping[str, Any]) -> bool:
    """Whether the API server can say what an apply would do: it refuses unknown kinds and namespaces."""
    namespace = made["metadata"].get("namespace")
    return made["kind"] in known["apis"].get(made["apiVersion"], {}) and namespace in (None, *known["namespaces"])


def _add_labels(namespace: KubeObject, other: KubeObject) -> None:
    """The stricter pod security goes when somebody needs the looser one: all of them have to run."""
    ours, theirs = namespace["metadata"]["labels"], other["metadata"]["labels"]
    enforce = "pod-security.kubernetes.io/enforce"
    if ours.get(enforce) != theirs.get(enforce):
        ours[enforce] = "privileged"
        theirs = {key: value for key, value in theirs.items() if key != enforce}
    ours.update(theirs)


def _require_identity(owner: str, given: Any) -> None:
    good = isinstance(given, Mapping) and isinstance(given.get("metadata"), Mapping)
    if not (good and given.get("apiVersion") and given.get("kind") and given["metadata"].get("name")):
        raise InputError(
            f"{owner}: an object without apiVersion, kind or metadata.name: {str(given)[:120]!r}. Give all three."
        )


def _place(item: Mapping[str, Any]) -> str:
    metadata = item["metadata"]
    return "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)


def split(applied: Mapping[str, Any], pending: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return for each owner in ``pending`` the part of the result that is about its objects, in the same form."""
    by_ref = {Ref.of(answer["result"]): answer for answer in _answers(applied)}
    found: dict[str, Any] = {}
    for item in pending:
        mine = [by_ref[Ref.of(given)] for given in item["objects"] or [] if Ref.of(given) in by_ref]
        kept = found.setdefault(item["owner"], {"changed": False, "result": {"results": []}})
        kept["result"]["results"] += mine
        kept["changed"] = kept["changed"] or any(answer.get("changed", applied.get("changed")) for answer in mine)
    return found


def _answers(applied: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The answers in a result about one object, about many, or about none."""
    result = applied.get("result") or {}
    answers = result.get("results") if "results" in result else [{"result": result}]
    return [answer for answer in answers or [] if (answer.get("result") or {}).get("kind")]


def endpoints(
    applied: Mapping[str, Any], address: str | None, looked_at: Iterable[KubeObject] = ()
) -> dict[str, str]:
    """Return where Services are reached from outside their cluster, ``namespace/name`` to ``host:port``.

    That is the balancer's address, or ``address`` (that of a node) and the node port. A Service that only its cluster
    reaches, and one whose balancer has given no address yet, is left out. The first port has the Service's own name,
    each of the others ``namespace/name:port``. ``looked_at`` are Services as they were found later.
    """
    found = {}
    for item in [*_services(applied), *looked_at]:
        for number, port in enumerate(item["spec"].get("ports") or []):
            at = _reached(item, port, address)
            if at:
                place = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
                found[f"{place}:{port.get('name')}"] = at
                if number == 0:
                    found[place] = at
    return found


def _services(applied: Mapping[str, Any]) -> list[KubeObject]:
    return [answer["result"] for answer in _answers(applied) if answer["result"]["kind"] == "Service"]


def _reached(service: KubeObject, port: Mapping[str, Any], address: str | None) -> str | None:
    kind = service["spec"].get("type")
    if kind == "LoadBalancer":
        ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        host = (ingress[0].get("ip") or ingress[0].get("hostname")) if ingress else None
        return f"{host}:{port['port']}" if host else None
    if kind == "NodePort" and address and port.get("nodePort"):
        return f"{address}:{port['nodePort']}"
    return None


def without_address(applied: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the Services whose balancer has given no address yet, as ``namespace`` and ``name``."""
    return [
        {"namespace": item["metadata"]["namespace"], "name": item["metadata"]["name"]}
        for item in _services(applied)
        if item["spec"].get("type") == "LoadBalancer"
        and not ((item.get("status") or {}).get("loadBalancer") or {}).get("ingress")
    ]


def to_wait_for(applied: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the applied workloads that are not ready, as ``kind``, ``namespace`` and ``name``."""
    workloads = {
        Ref.of(answer["result"]): answer["result"]
        for answer in _answers(applied)
        if answer["result"]["kind"] in WORKLOAD_KINDS
    }
    return [
        {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
        for ref in unready(workloads.values(), workloads)
    ]


def names(pending: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of all that is wanted."""
    return [str(Ref.of(given)) for item in pending for given in item["objects"] or []]


def unwanted(found: Iterable[KubeObject], wanted: Iterable[str]) -> list[KubeObject]:
    """Of the objects that were found, those that nobody wants any more, as much of each as is needed to delete it."""
    kept = set(wanted)
    return [stub(item) for item in found if str(Ref.of(item)) not in kept and not item["metadata"].get("ownerReferences")]


def with_pod_template(objects: Iterable[KubeObject], overlay: Mapping[str, Any]) -> list[KubeObject]:
    """Return ``objects`` with ``overlay`` merged into the pod template of each workload. Lists are replaced."""
    found = []
    for item in objects:
        made = copy.deepcopy(dict(item))
        if overlay and made["kind"] in WORKLOAD_KINDS:
            made["spec"]["template"] = _merge(made["spec"]["template"], overlay)
        found.append(made)
    return found


def _merge(base: Any, overlay: Any) -> Any:
    if not (isinstance(base, Mapping) and isinstance(overlay, Mapping)):
        return overlay
    return {**base, **{key: _merge(base.get(key), value) for key, value in overlay.items()}}


def foreign_namespaces(namespaces: Iterable[KubeObject]) -> list[str]:
    """Of the namespaces of a cluster, the names of those that this collection did not make."""
    return [
        item["metadata"]["name"]
        for item in namespaces
        if (item["metadata"].get("labels") or {}).get(OURS[0]) != OURS[1]
    ]


def unused_namespaces(looked: Iterable[Mapping[str, Any]]) -> list[KubeObject]:
    """Of the namespaces that were looked into, those in which nothing is left, as objects.

    Each item has the name of a namespace in ``item``, and in ``stdout_lines`` what ``kubectl get --output name`` lists.
    """
    own = ("serviceaccount/default", "configmap/kube-root-ca.crt", "configmap/istio-ca-root-cert")
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": looked_at["item"]}}
        for looked_at in looked
        if not [line for line in looked_at.get("stdout_lines") or [] if line and line not in own]
    ]

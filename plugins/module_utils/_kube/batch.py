# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Objects of several roles as one list for one apply, and what the answer tells. Pure.

A task costs a second or more, whatever it applies, so what is ready at the same time goes out together. Objects travel
as text: Ansible looks at every member of a structure each time that it is handed on, which for a hundred objects takes
longer than to apply them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import told_place, unclean
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import (
    AWAITED_VERSIONS,
    CERTIFYING_KINDS,
    ISTIOD_CA,
    ISTIOD_COPIES,
    ISTIOD_ELECTIONS,
    ROUTING_KINDS,
    WORKLOAD_KINDS,
    KubeObject,
    Ref,
    stub,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.readiness import unready
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.renewal import workloads_to_renew

# It comes with Ansible on the control node, the only place where this is used.
with contextlib.suppress(ImportError):
    import yaml

OURS = ("app.kubernetes.io/managed-by", "trustmesh.spiffe")
"""The label of everything that this collection made."""
ROLE, SCENARIO = "trustmesh.io/role", "trustmesh.io/scenario"
"""Labels that say which role wanted an object, and for which inventory."""
_TYPE = "CustomResourceDefinition"


def batch(
    pending: Sequence[Mapping[str, Any]],
    scenario: str = "",
    foreign_namespaces: Iterable[str] = (),
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what is to be applied, as texts: ``secrets``, and ``objects`` in the order in which they go.

    ``pending`` is a list with an ``owner`` each, and what it wants as ``text`` (YAML documents) or as ``objects``, with
    a ``pod_template`` to be merged into workloads and objects that are to be ``absent``. A namespace that several want
    is there once, with the labels of all. Namespaces of others are used as they are, and not among the objects. With
    ``known`` (``namespaces`` by name, ``apis`` by version) those that nothing could be asked about yet are ``later``.
    ``namespaces`` are those of the objects that are ours, ``names`` the names of all that is wanted, ``owners``
    those who want it.
    """
    foreign = set(foreign_namespaces)
    found: dict[Ref, KubeObject] = {}
    absent: list[KubeObject] = []
    for item in pending:
        absent += item.get("absent") or []
        for given in _objects(item):
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
    waiting = set(later)
    now = [made for ref, made in found.items() if ref not in waiting]
    secrets = [made for made in now if made["kind"] == "Secret"]
    homes = {made["metadata"].get("namespace") for made in secrets}
    return {
        # They go first and by themselves, unseen, and so with the namespaces that they need.
        "secrets": _text([m for m in now if m["kind"] == "Namespace" and m["metadata"]["name"] in homes] + secrets),
        "objects": _text(sorted((made for made in now if made["kind"] != "Secret"), key=_order(now))),
        "absent": _text(absent),
        "later": [str(ref) for ref in later],
        "namespaces": [ref.name for ref in found if ref.kind == "Namespace"],
        "names": [_full_name(ref) for ref in found],
        "owners": sorted({item["owner"] for item in pending}),
    }


def removal(
    pending: Sequence[Mapping[str, Any]], foreign_namespaces: Iterable[str], known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is to be removed, as ``objects`` and by ``names``, and the ``namespaces`` that may go when they are
    empty then.

    CustomResourceDefinitions stay: with one would go what others have of it.
    """
    wanted = [given for item in pending for given in _objects(item)]
    going = [given for given in wanted if given["kind"] not in ("Namespace", "CustomResourceDefinition")]
    there = [stub(given) for given in going if _can_be_asked(given, known)]
    # A claim cannot go while a pod uses its volume.
    there.sort(key=lambda given: given["kind"] != "PersistentVolumeClaim")
    names = {given["metadata"]["name"] for given in wanted if given["kind"] == "Namespace"}
    own = names & set(known["namespaces"]) - set(foreign_namespaces)
    names_of_all = [str(Ref.of(given)) for given in there]
    return {"objects": _text(list(reversed(there))), "names": names_of_all, "namespaces": sorted(own)}


def _objects(item: Mapping[str, Any]) -> list[KubeObject]:
    """What one owner wants."""
    given = [_plain(made) for made in item.get("objects") or []]
    if item.get("text"):
        # As bytes, because libyaml takes no string of a class of Ansible's own. By str, since before ansible-core 2.19
        # such a string makes bytes of such a class.
        documents = yaml.load_all(str.encode(item["text"]), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        given += [document for document in documents if document]
    for number, made in enumerate(given, start=1):
        good = isinstance(made, Mapping) and isinstance(made.get("metadata"), Mapping)
        if not (good and made.get("apiVersion") and made.get("kind") and made["metadata"].get("name")):
            raise InputError(
                f"{item['owner']}: an object without apiVersion, kind or metadata.name: {str(made)[:120]!r}. Give all"
                " three."
            )
        identity = {
            "apiVersion": made["apiVersion"],
            "kind": made["kind"],
            **{f"metadata.{field}": made["metadata"].get(field) for field in ("name", "namespace", "labels")},
        }
        wrong = unclean(identity)
        if wrong:
            raise InputError(f"{item['owner']}: object {number}, of kind {str(made['kind'])[:40]!r}: {' '.join(wrong)}")
    return with_pod_template(given, item.get("pod_template") or {})


def _text(objects: Sequence[Mapping[str, Any]]) -> str:
    """As a stream of YAML documents; JSON is YAML, and written in a fraction of the time."""
    return "\n---\n".join(json.dumps(item, sort_keys=True) for item in objects)


def _labelled(given: Mapping[str, Any], role: str, scenario: str) -> KubeObject:
    labels = {**(given["metadata"].get("labels") or {}), OURS[0]: OURS[1]}
    if given["kind"] != "Namespace":
        # Namespaces, which several may want, say neither.
        labels.update({ROLE: role, **({SCENARIO: scenario} if scenario else {})})
    return {**given, "metadata": {**given["metadata"], "labels": labels}}


def _plain(value: Any) -> Any:
    """Ansible's own containers as those of Python: each of theirs brings all variables along when it is copied."""
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    return [_plain(member) for member in value] if isinstance(value, list) else value


def _order(objects: Iterable[Mapping[str, Any]]) -> Callable[[Mapping[str, Any]], int]:
    """Namespaces first, and last what is of a type that comes with them: it takes a moment.

    A server needs longest to be ready. So what has nothing to do with new types goes before them, and only the
    controllers of whoever brings them after.
    """
    types = [made for made in objects if made["kind"] == _TYPE]
    bring_types = {_role(made) for made in types}
    specs = [made.get("spec") or {} for made in types]
    new = {(spec.get("group"), (spec.get("names") or {}).get("kind")) for spec in specs}

    def place(made: Mapping[str, Any]) -> int:
        if made["kind"] == "Namespace":
            return 0
        if made["kind"] == _TYPE:
            return 2
        if (made["apiVersion"].partition("/")[0], made["kind"]) in new:
            return 4
        return 3 if _role(made) in bring_types else 1

    return place


def _role(made: Mapping[str, Any]) -> str:
    return str((made["metadata"].get("labels") or {}).get(ROLE, ""))


def _can_be_asked(made: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether the API server can say anything about it: it refuses unknown kinds and namespaces."""
    namespace = made["metadata"].get("namespace")
    return made["kind"] in known["apis"].get(made["apiVersion"], {}) and namespace in (None, *known["namespaces"])


def _add_labels(namespace: KubeObject, other: KubeObject) -> None:
    """The stricter pod security goes when somebody needs the looser one: all of them have to run.

    Who names no level has no pods there, and leaves it to those who have.
    """
    ours, theirs = namespace["metadata"]["labels"], other["metadata"]["labels"]
    enforce = "pod-security.kubernetes.io/enforce"
    if enforce in ours and enforce in theirs and ours[enforce] != theirs[enforce]:
        ours[enforce] = "privileged"
        theirs = {key: value for key, value in theirs.items() if key != enforce}
    ours.update(theirs)


def answers(applied: Mapping[str, Any], address: str | None = None) -> dict[str, Any]:
    """Return what the result of an apply tells.

    ``unready``: what is not ready of workloads, and of cert-manager's kinds and the Gateway API's, by the role that
    wanted it, each with ``kind``, ``name`` and, if it is in one, ``namespace``. ``endpoints``: where Services are
    reached, see :func:`endpoints`. ``without_address``: Services whose balancer has given none yet. ``renew``: patches
    for pods whose service account was made anew. ``to_come``: what was only tried, in check mode, and is not there.
    """
    result = applied.get("result") or {}
    found = result.get("results") if "results" in result else [{"result": result}]
    objects = [answer["result"] for answer in found or [] if (answer.get("result") or {}).get("kind")]
    awaited = {
        Ref.of(item): item
        for item in objects
        if item["kind"] in (*WORKLOAD_KINDS, *CERTIFYING_KINDS, *ROUTING_KINDS)
        and item.get("apiVersion") == AWAITED_VERSIONS[item["kind"]]
    }
    waiting: dict[str, list[dict[str, str]]] = {}
    for ref in unready(awaited.values(), awaited):
        role = (awaited[ref]["metadata"].get("labels") or {}).get(ROLE, "")
        place = {"namespace": ref.namespace} if ref.namespace else {}
        waiting.setdefault(role, []).append({"kind": ref.kind, **place, "name": ref.name})
        if ref.kind == "Gateway":
            # Its controller makes it, so that nobody has applied it; its pods say why the gateway is not there.
            made = f"{ref.name}-{awaited[ref]['spec']['gatewayClassName']}"
            waiting[role].append({"kind": "Deployment", **place, "name": made})
    services = [item for item in objects if item["kind"] == "Service"]
    return {
        "unready": waiting,
        "endpoints": endpoints(services, address),
        "without_address": [
            {"namespace": item["metadata"]["namespace"], "name": item["metadata"]["name"]}
            for item in services
            if item["spec"].get("type") == "LoadBalancer" and not _ingress(item)
        ],
        "renew": workloads_to_renew(objects),
        # What an API server keeps has a version.
        "to_come": [str(Ref.of(item)) for item in objects if not item["metadata"].get("resourceVersion")],
    }


def endpoints(services: Iterable[KubeObject], address: str | None) -> dict[str, str]:
    """Return where Services are reached from outside their cluster, ``namespace/name`` to ``host:port``.

    That is the balancer's address, or ``address`` (that of a node) and the node port. Others put it into their
    configurations, so it is refused when it is anything but an address and a port. A Service that only its cluster
    reaches, and one whose balancer has given no address yet, is left out. The first port has the Service's own name,
    each of the others ``namespace/name:port``.
    """
    found = {}
    for item in services:
        for number, port in enumerate(item["spec"].get("ports") or []):
            at = _reached(item, port, address)
            if at:
                place = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
                found[f"{place}:{port.get('name')}"] = at
                if number == 0:
                    found[place] = at
    return found


def balanced_services(pending: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of what is to be applied (see :func:`batch`), the Services whose address a balancer gives, ``namespace/name``."""
    return [
        f"{given['metadata'].get('namespace', 'default')}/{given['metadata']['name']}"
        for item in pending
        if item.get("objects") or "LoadBalancer" in (item.get("text") or "")
        for given in _objects(item)
        if given["kind"] == "Service" and (given.get("spec") or {}).get("type") == "LoadBalancer"
    ]


def unannounced_services(found: str) -> list[dict[str, str]]:
    """Of Services of ours that have an address and a ready endpoint, those that no node of MetalLB announces.

    ``found`` is what kubectl lists of Services, EndpointSlices and ServiceL2Statuses, as JSON.
    """
    listed = json.loads(found)["items"] if found.strip() else []
    labels = [item["metadata"].get("labels") or {} for item in listed if item["kind"] == "ServiceL2Status"]
    announced = {(one.get("metallb.io/service-namespace"), one.get("metallb.io/service-name")) for one in labels}
    ready = {
        (item["metadata"]["namespace"], (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name"))
        for item in listed
        # One of which nothing is known is ready, as EndpointSlice says.
        if any((one.get("conditions") or {}).get("ready") is not False for one in item.get("endpoints") or [])
    }
    return [
        {"name": item["metadata"]["name"], "namespace": item["metadata"]["namespace"]}
        for item in listed
        if item["kind"] == "Service"
        and (item["metadata"].get("labels") or {}).get(OURS[0]) == OURS[1]
        and item["spec"].get("type") == "LoadBalancer"
        and _ingress(item)
        and (item["metadata"]["namespace"], item["metadata"]["name"]) in ready - announced
    ]


def _ingress(service: KubeObject) -> list[Mapping[str, Any]]:
    return ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def _reached(service: KubeObject, port: Mapping[str, Any], address: str | None) -> str | None:
    kind, ingress = service["spec"].get("type"), _ingress(service)
    whose = f"The API server of the Service {service['metadata']['namespace']}/{service['metadata']['name']}"
    if kind == "LoadBalancer":
        host = (ingress[0].get("ip") or ingress[0].get("hostname")) if ingress else None
        return told_place(whose, host, port["port"]) if host else None
    if kind == "NodePort" and address and port.get("nodePort"):
        return told_place(whose, address, port["nodePort"])
    return None


def unwanted(found: str, wanted: Iterable[str]) -> str:
    """Of the objects in ``found`` (what kubectl lists, as JSON), those that nobody wants any more, as a text.

    Objects that Kubernetes made for others are left out. Where there is nothing kubectl prints nothing.
    """
    kept = set(wanted)
    listed = json.loads(found)["items"] if found.strip() else []
    gone = [
        stub(item)
        for item in listed
        if _full_name(Ref.of(item)) not in kept and not item["metadata"].get("ownerReferences")
    ]
    return _text(gone)


def _full_name(ref: Ref) -> str:
    """With the group, by which kinds of one name are told apart: Istio and the Gateway API have a Gateway each."""
    return str(replace(ref, kind=f"{ref.kind}.{ref.group}" if ref.group else ref.kind))


def known_kinds(kinds: Sequence[str], apis: Mapping[str, Any]) -> list[str]:
    """Of ``kinds`` (``plural.group``), those whose group the cluster serves; all where nobody has asked (no ``apis``).

    ``apis`` is by version, as the module k8s_cluster_info tells it.
    """
    groups = {version.rpartition("/")[0] for version in apis}
    return [kind for kind in kinds if not groups or "." not in kind or kind.partition(".")[2] in groups]


def with_pod_template(objects: Iterable[KubeObject], overlay: Mapping[str, Any]) -> list[KubeObject]:
    """Return ``objects`` with ``overlay`` merged into the pod template of each workload. Lists are replaced."""
    found = []
    for item in objects:
        if overlay and item["kind"] in WORKLOAD_KINDS:
            spec = {**item["spec"], "template": _merge(item["spec"]["template"], overlay)}
            found.append({**item, "spec": spec})
        else:
            found.append(item)
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


def unused_namespaces(
    looked: Iterable[Mapping[str, Any]], with_ca: bool = False, going: Iterable[str] = ()
) -> list[KubeObject]:
    """Of the namespaces that were looked into, those in which nothing is left, as objects.

    Each item has the name of a namespace in ``item``, and in ``stdout_lines`` what ``kubectl get --output name`` lists,
    with the names of its owners behind it where ``going`` counts: what check mode would have removed by now, as
    ``Kind namespace/name``. What is owned goes with that. ``with_ca`` says that the key of an istiod's own CA is
    nobody's, when that is all that is left.
    """
    # What Kubernetes and istiod put into namespaces by themselves. Where an istiod is, it is seen itself.
    own = {f"configmap/{name}" for name in ("kube-root-ca.crt", *ISTIOD_COPIES, *ISTIOD_ELECTIONS)}
    own |= {"serviceaccount/default", *((f"secret/{ISTIOD_CA}",) if with_ca else ())}
    gone: dict[str, set[str]] = {}
    for ref in going:
        kind, place = ref.split(" ", 1)
        namespace, name = place.split("/", 1) if "/" in place else ("", place)
        gone.setdefault(namespace, set()).add(f"{kind.lower()}/{name}")
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": looked_at["item"]}}
        for looked_at in looked
        if f"namespace/{looked_at['item']}" not in gone.get("", ())
        and not _left(looked_at.get("stdout_lines") or [], own, gone.get(looked_at["item"], set()))
    ]


def _left(lines: Iterable[str], own: set[str], gone: set[str]) -> list[str]:
    """Return the names in a namespace that are nobody's ``own`` and stay when those that are ``gone`` have gone."""
    names = [[_without_group(name) for name in line.split()] for line in lines if line]
    while True:
        left = [name for name in names if name[0] not in own | gone]
        owned = {name for name, *owners in left if owners and gone.issuperset(owners)}
        if not owned:
            return [name[0] for name in left]
        gone = gone | owned


def _without_group(name: str) -> str:
    kind, rest = name.split("/", 1)
    return f"{kind.split('.')[0]}/{rest}"

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Another registrar beside us: SPIRE's controller manager, which may delete entries that it did not make.

It serves a server from a container of the server's own pod, through its socket, or from a pod of its own, over TCP.
Without an ``entryIDPrefix`` it takes every entry for its own and deletes, within seconds, those that no resource of the
cluster asks for. With one it minds only the entries whose ids begin with it, and with ``entryIDPrefixCleanup`` if that
is set.

Looked at are the server's pod, and every Deployment and pod of the same namespace that runs a manager and no server. Of
those, one that is told the address of a Service which leads to another server does not count. A manager in another
namespace or cluster is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._json import loads
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.codec import parse_list
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import PodProcess
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.pod import SelectedPod

MANAGER = "spire-controller-manager"
SERVER = "spire-server"
KINDS = "pods,deployments.apps,configmaps,services"

_OFF = "set check_registrar to false if you know that it leaves them alone."
REMEDY = (
    "Give it an entryIDPrefix of its own in its configuration (and no entryIDPrefixCleanup that matches these ids; in "
    f"SPIFFE's Helm chart controllerManager.addEntryIDPrefix), or {_OFF}"
)
UNREADABLE_REMEDY = (
    f"Let the user of this kubeconfig read the ConfigMaps of the namespace, keep its configuration in one, or {_OFF}"
)


def registrar_spec() -> ArgumentSpec:
    """Whether to look for another registrar. Twin of the doc fragment ``spire.registrar``."""
    return ArgumentSpec(options={"check_registrar": {"type": "bool", "default": True}})


@dataclass(frozen=True)
class Registrar:
    """A controller manager and the ids that it takes for its own. ``prefix`` is None when that cannot be read."""

    place: str
    """The pod or Deployment that it runs in, as kind and name."""
    container: str
    prefix: str | None
    cleanup: str | None = None
    why: str = ""
    """Why the configuration could not be read."""

    def deletes(self, entry_id: str) -> bool:
        """Whether it would delete an entry of this id that it did not make."""
        if not self.prefix or entry_id.startswith(_dotted(self.prefix)):
            return True
        if self.cleanup is None:
            return False
        return entry_id.startswith(_dotted(self.cleanup)) if self.cleanup else "." not in entry_id


def refuse_unprefixed_registrar(params: Mapping[str, Any], server: SpireServer, ids: Iterable[str]) -> None:
    """Raise when a controller manager beside the server would delete one of the entries with these ``ids``.

    Costs one call of kubectl; nothing for a server of this host, beside which none can be found, nor without ids.
    """
    wanted = list(ids)
    if not params["check_registrar"] or not wanted or not isinstance(server.process, (PodProcess, SelectedPod)):
        return
    process = server.process
    pod = process.template if isinstance(process, SelectedPod) else process
    # kubectl prints what it may read even when it may not read the rest, so the exit code alone says little.
    listed = pod.local.run([*pod.kubectl_argv, "get", KINDS, "--output=json"], None, server.timeout)
    try:
        objects = parse_list(listed.stdout, "Looking for another registrar")
    except ProcessError:
        objects = []
    if listed.rc != 0 and not any(item.get("kind") == "Pod" for item in objects):
        raise TrustmeshError(
            f"Looking for another registrar beside the server failed: kubectl get {KINDS} in namespace "
            f"{pod.namespace} said: {listed.stderr.strip()[-500:] or 'nothing'}. Grant the user of this kubeconfig get "
            f"and list on them, or set check_registrar to false if no {MANAGER} serves this server."
        )
    target = process.current if isinstance(process, SelectedPod) else process.pod
    for registrar in find_registrars(objects, target, listed.stderr.strip()):
        to_be_lost = [entry_id for entry_id in wanted if registrar.deletes(entry_id)]
        if to_be_lost:
            raise TrustmeshError(
                _complaint(registrar, to_be_lost), registrar=registrar.place, entry_ids=to_be_lost[:10]
            )


def _complaint(registrar: Registrar, lost: Sequence[str]) -> str:
    who = f"The container {registrar.container} of {registrar.place} is a {MANAGER}"
    these = f"{lost[0]}{f' and {len(lost) - 1} more' if len(lost) > 1 else ''}"
    if registrar.prefix is None:
        return (
            f"{who} whose configuration cannot be read ({registrar.why}). It may delete the entries {these}. "
            f"{UNREADABLE_REMEDY}"
        )
    if not registrar.prefix:
        return f"{who} without an entryIDPrefix. It deletes entries that it did not make, such as {these}. {REMEDY}"
    return f"{who} that takes entries whose ids begin like {these} for its own, and deletes them. {REMEDY}"


# What follows is pure: from what the cluster shows to who would delete what.


@dataclass(frozen=True)
class _Place:
    """Something that runs containers: a pod, or a Deployment by its template."""

    kind: str
    name: str
    spec: Mapping[str, Any]

    def containers(self) -> Iterator[Mapping[str, Any]]:
        yield from self.spec.get("containers") or ()
        # A native sidecar is an init container that goes on running.
        yield from (item for item in self.spec.get("initContainers") or () if item.get("restartPolicy") == "Always")

    def runs(self, program: str) -> bool:
        return any(_runs(container, program) for container in self.containers())

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def find_registrars(objects: Sequence[Mapping[str, Any]], target: str, complaint: str = "") -> list[Registrar]:
    """Return the controller managers that serve the server in the pods that ``target`` (a name, or kind/name) means.

    ``objects`` are the pods, Deployments, ConfigMaps and Services of the namespace; ``complaint`` is what kubectl said
    if some were missing.
    """
    own = [item for item in _of_kind(objects, "Pod") if _is_meant(item, target)]
    maps = {str(item["metadata"]["name"]): item for item in _of_kind(objects, "ConfigMap")}
    elsewhere = _services_of_others(objects, own)
    beside = [
        place for place in _places_beside(objects, own) if not place.runs(SERVER) and not _dials(place, maps, elsewhere)
    ]
    found = (
        _registrar(place, container, maps, complaint)
        for place in [*sorted(map(_pod, own), key=str), *sorted(beside, key=str)]
        for container in place.containers()
        if _runs(container, MANAGER)
    )
    return [registrar for registrar in found if registrar]


def _of_kind(objects: Iterable[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [item for item in objects if item.get("kind") == kind]


def _pod(pod: Mapping[str, Any]) -> _Place:
    return _Place("pod", str(pod["metadata"]["name"]), pod.get("spec") or {})


def _places_beside(objects: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]) -> Iterator[_Place]:
    """Yield what runs in the namespace beside the server's pods: a Deployment stands for its pods, if it wants any."""
    deployments = {str(item["metadata"]["name"]): item for item in _of_kind(objects, "Deployment")}
    for name, item in deployments.items():
        if item["spec"].get("replicas", 1) and not any(_is_meant(pod, f"deployment/{name}") for pod in own):
            yield _Place("deployment", name, item["spec"]["template"].get("spec") or {})
    for pod in _of_kind(objects, "Pod"):
        if pod not in own and not any(_is_meant(pod, f"deployment/{name}") for name in deployments):
            yield _pod(pod)


def _services_of_others(objects: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the names of the Services that lead to pods, and to none of the server's own."""
    labels = [(pod["metadata"].get("labels") or {}).items() for pod in own]
    if not labels:
        return set()  # what leads to the server cannot be told
    return {
        str(item["metadata"]["name"])
        for item in _of_kind(objects, "Service")
        if (selector := (item.get("spec") or {}).get("selector"))
        and not any(selector.items() <= pod_labels for pod_labels in labels)
    }


# A manager in a pod of its own dials the server, or an agent beside it does. Either is told the address in a file:
# server_address = "…" of spire-agent, or a key of the manager whose name ends so.
_ADDRESS = re.compile(r"server_?address[\"']?\s*[:=]\s*[\"']?(?:dns:/+)?([a-z0-9][a-z0-9.-]*)", re.IGNORECASE)


def _dials(place: _Place, maps: Mapping[str, Mapping[str, Any]], services: set[str]) -> bool:
    """Whether all the server addresses in its files, and at least one, are of these ``services``."""
    names = {
        str(source.get("name", "")) for volume in place.spec.get("volumes") or () for source in _config_maps(volume)
    }
    texts = [str(text) for name in names for text in ((maps.get(name) or {}).get("data") or {}).values()]
    hosts = {host.partition(".")[0] for text in texts for host in _ADDRESS.findall(text)}
    return bool(hosts) and hosts <= services


def _is_meant(pod: Mapping[str, Any], target: str) -> bool:
    kind, slash, name = target.rpartition("/")
    if not slash or kind.lower() in ("pod", "pods", "po"):
        return bool(pod["metadata"]["name"] == name)
    owners = [str(owner.get("name")) for owner in pod["metadata"].get("ownerReferences") or ()]
    # A Deployment owns its pods through a ReplicaSet, which is named after it.
    return any(owner == name or owner.startswith(f"{name}-") for owner in owners)


def _runs(container: Mapping[str, Any], program: str) -> bool:
    image = str(container.get("image", "")).partition("@")[0].rpartition("/")[2].partition(":")[0]
    command = PurePosixPath((container.get("command") or [""])[0]).name
    name = str(container.get("name", ""))
    # The chart names the managers of other clusters after them: spire-controller-manager-west.
    return program in (image, command, name) or (program == MANAGER and name.startswith(f"{program}-"))


def _registrar(
    place: _Place, container: Mapping[str, Any], maps: Mapping[str, Mapping[str, Any]], complaint: str
) -> Registrar | None:
    where = (str(place), str(container.get("name", "")))
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    path = _config_path(words)
    if path is None:  # it runs with its defaults, which have no prefix
        return Registrar(*where, prefix="")
    try:
        config = _parse(_file(place.spec, container, maps, path))
        if not _minds_entries(config):
            return None
        values = [config.get(name) for name in ("entryIDPrefix", "entryIDPrefixCleanup")]
        if any(word.lstrip("-").partition("=")[::2] in (("expand-env", ""), ("expand-env", "true")) for word in words):
            values = [_expanded(value, container) for value in values]
    except _UnreadableError as error:
        return Registrar(*where, prefix=None, why=f"{error}; {complaint}" if complaint else str(error))
    prefix, cleanup = values
    return Registrar(*where, str(prefix or ""), None if cleanup is None else str(cleanup))


_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def _expanded(value: Any, container: Mapping[str, Any]) -> Any:
    """Return a value with the container's variables in it, as ``--expand-env`` reads it."""
    known = {item["name"]: item["value"] for item in container.get("env") or () if item.get("value")}

    def of(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in known:
            raise _UnreadableError(f"its prefix holds the variable {name}, which the container does not give as it is")
        return str(known[name])

    return _VARIABLE.sub(of, value) if isinstance(value, str) else value


def _minds_entries(registrar_config: Mapping[str, Any]) -> bool:
    parts = registrar_config.get("reconcile")
    if not isinstance(parts, dict):
        return True
    return any(parts.get(name, False) for name in ("clusterSPIFFEIDs", "clusterStaticEntries"))


class _UnreadableError(Exception):
    """The configuration cannot be read from here."""


def _config_path(words: Sequence[str]) -> str | None:
    for position, word in enumerate(words):
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and name == "config":
            return value if equals else next(iter(words[position + 1 :]), "")
    return None


def _file(
    spec: Mapping[str, Any], container: Mapping[str, Any], maps: Mapping[str, Mapping[str, Any]], path: str
) -> str:
    """Return the text of a file of a container that comes out of a ConfigMap."""
    # A relative path means one below the folder that the program starts in: the image's, which is / here.
    found = PurePosixPath("/", container.get("workingDir") or "", path)
    mounts = sorted(container.get("volumeMounts") or (), key=lambda mount: -len(str(mount["mountPath"])))
    for mount in mounts:
        base = PurePosixPath("/", mount["mountPath"])
        if found != base and base not in found.parents:
            continue
        inside = PurePosixPath(mount.get("subPath") or ".") / found.relative_to(base)
        volume: Mapping[str, Any] = next(
            (item for item in (spec.get("volumes") or ()) if item.get("name") == mount.get("name")), {}
        )
        for source in _config_maps(volume):
            keys = {item["path"]: item["key"] for item in source.get("items") or ()}
            key = keys.get(str(inside), None if keys else str(inside))
            data = (maps.get(source.get("name", "")) or {}).get("data") or {}
            if key in data:
                return str(data[key])
        break
    raise _UnreadableError(f"{path} does not come out of a ConfigMap that can be seen")


def _config_maps(volume: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "configMap" in volume:
        yield volume["configMap"]
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "configMap" in source:
            yield source["configMap"]


def _parse(text: str) -> Mapping[str, Any]:
    try:
        value = loads(text)
    except ValueError:
        value = _parse_yaml(text)
    if not isinstance(value, dict):
        raise _UnreadableError("it is not a mapping")
    return value


def _parse_yaml(text: str) -> Any:
    try:
        import yaml  # noqa: PLC0415 - not every target host has it, and it is seldom needed
    except ImportError:
        raise _UnreadableError("it is YAML, and this host's Python has no PyYAML") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise _UnreadableError("it is not YAML") from None


def _dotted(prefix: str) -> str:
    # The controller manager adds the dot when the configuration has none.
    return prefix if prefix.endswith(".") else f"{prefix}."

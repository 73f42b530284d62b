# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Another registrar beside us: SPIRE's controller manager, which may delete entries that it did not make.

It serves a server from a container of the server's own pod, since it needs the server's socket. Without an
``entryIDPrefix`` it takes every entry for its own and deletes, within seconds, those that no resource of the cluster
asks for. With one it minds only the entries whose ids begin with it, and with ``entryIDPrefixCleanup`` if that is set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.codec import parse_list
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import PodProcess
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.client import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.pod import SelectedPod

PROGRAM = "spire-controller-manager"
REMEDY = (
    "Give it an entryIDPrefix of its own in its configuration (and no entryIDPrefixCleanup that matches these ids), or "
    "set check_registrar to false if you know that it leaves them alone."
)


def registrar_spec() -> ArgumentSpec:
    """Whether to look for another registrar. Twin of the doc fragment ``spire.registrar``."""
    return ArgumentSpec(options={"check_registrar": {"type": "bool", "default": True}})


@dataclass(frozen=True)
class Registrar:
    """A controller manager and the ids that it takes for its own. ``prefix`` is None when that cannot be read."""

    pod: str
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
    words = ["get", "pods,configmaps", "--output=json"]
    # kubectl prints what it may read even when it may not read the rest, so the exit code alone says little.
    listed = pod.local.run([*pod.kubectl_argv, *words], None, server.timeout)
    try:
        objects = parse_list(listed.stdout, "Looking for another registrar")
    except ProcessError:
        objects = []
    if listed.rc != 0 and not any(one.get("kind") == "Pod" for one in objects):
        raise TrustmeshError(
            "Looking for another registrar beside the server failed: kubectl get pods,configmaps in namespace "
            f"{pod.namespace} said: {listed.stderr.strip()[-500:] or 'nothing'}. Grant the user of this kubeconfig get "
            "and list on both, or set check_registrar to false if no spire-controller-manager serves this server."
        )
    target = process.current if isinstance(process, SelectedPod) else process.pod
    for registrar in find_registrars(objects, target, listed.stderr.strip()):
        lost = [entry_id for entry_id in wanted if registrar.deletes(entry_id)]
        if lost:
            raise TrustmeshError(_complaint(registrar, lost), registrar_pod=registrar.pod, entry_ids=lost[:10])


def _complaint(registrar: Registrar, lost: Sequence[str]) -> str:
    who = f"The container {registrar.container} of pod {registrar.pod} is a spire-controller-manager"
    these = f"{lost[0]}{f' and {len(lost) - 1} more' if len(lost) > 1 else ''}"
    if registrar.prefix is None:
        return (
            f"{who} whose configuration cannot be read ({registrar.why}). It may delete the entries {these}. {REMEDY}"
        )
    if not registrar.prefix:
        return f"{who} without an entryIDPrefix. It deletes entries that it did not make, such as {these}. {REMEDY}"
    return f"{who} that takes entries whose ids begin like {these} for its own, and deletes them. {REMEDY}"


# What follows is pure: from what the cluster shows to who would delete what.


def find_registrars(objects: Sequence[Mapping[str, Any]], target: str, complaint: str = "") -> list[Registrar]:
    """Return the controller managers in the pods that ``target`` (a pod's name, or kind/name) means.

    ``objects`` are the pods and ConfigMaps of the namespace; ``complaint`` is what kubectl said if some were missing.
    """
    pods = [one for one in objects if one.get("kind") == "Pod" and _is_meant(one, target)]
    maps = {one["metadata"]["name"]: one for one in objects if one.get("kind") == "ConfigMap"}
    found = (
        _registrar(pod, container, maps, complaint)
        for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"]))
        for container in _containers(pod)
        if _is_registrar(container)
    )
    return [one for one in found if one]


def _is_meant(pod: Mapping[str, Any], target: str) -> bool:
    kind, slash, name = target.rpartition("/")
    if not slash or kind.lower() in ("pod", "pods", "po"):
        return bool(pod["metadata"]["name"] == name)
    owners = [str(owner.get("name")) for owner in pod["metadata"].get("ownerReferences") or ()]
    # A Deployment owns its pods through a ReplicaSet, which is named after it.
    return any(owner == name or owner.startswith(f"{name}-") for owner in owners)


def _containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    spec = pod.get("spec") or {}
    yield from spec.get("containers") or ()
    # A native sidecar is an init container that goes on running.
    yield from (one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always")


def _is_registrar(container: Mapping[str, Any]) -> bool:
    image = str(container.get("image", "")).partition("@")[0].rpartition("/")[2].partition(":")[0]
    program = PurePosixPath((container.get("command") or [""])[0]).name
    return PROGRAM in (image, program) or container.get("name") == PROGRAM


def _registrar(
    pod: Mapping[str, Any], container: Mapping[str, Any], maps: Mapping[str, Mapping[str, Any]], complaint: str
) -> Registrar | None:
    where = (str(pod["metadata"]["name"]), str(container.get("name", "")))
    path = _config_path([*(container.get("command") or ()), *(container.get("args") or ())])
    if path is None:  # it runs with its defaults, which have no prefix
        return Registrar(*where, prefix="")
    try:
        config = _parse(_file(pod, container, maps, path))
    except _UnreadableError as error:
        return Registrar(*where, prefix=None, why=f"{error}; {complaint}" if complaint else str(error))
    if not _minds_entries(config):
        return None
    cleanup = config.get("entryIDPrefixCleanup")
    return Registrar(*where, str(config.get("entryIDPrefix") or ""), None if cleanup is None else str(cleanup))


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
    pod: Mapping[str, Any], container: Mapping[str, Any], maps: Mapping[str, Mapping[str, Any]], path: str
) -> str:
    """Return the text of a file of a container that comes out of a ConfigMap."""
    found = PurePosixPath(path)
    mounts = sorted(container.get("volumeMounts") or (), key=lambda one: -len(str(one["mountPath"])))
    for mount in mounts:
        base = PurePosixPath(mount["mountPath"])
        if found != base and base not in found.parents:
            continue
        inside = PurePosixPath(mount.get("subPath") or ".") / found.relative_to(base)
        volume: Mapping[str, Any] = next(
            (one for one in (pod["spec"].get("volumes") or ()) if one.get("name") == mount.get("name")), {}
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
        value = json.loads(text)
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

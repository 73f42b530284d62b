# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The effects: istioctl renders, kubectl reads and writes. Both through the process port."""

from __future__ import annotations

import difflib
import hashlib
import json
import mmap
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.client import refuse_loose_folders
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.plan import Folder, trusted_uids
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import replace
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio import codec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.dropped import dropped
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.guard import injected_by
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import (
    FIELD_MANAGER,
    LISTED_KINDS,
    REVISION,
    TAG,
    is_builtin,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.schema import Schema, mesh_schema
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl, resource
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.codec import render_list
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject, Ref, stub
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import Access
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed, LocalProcess, Process

_CACHE_FORMAT = 3
# Injection sets it for sidecars and gateways.
_INJECTED = "service.istio.io/canonical-name"
_ENTRIES = ("get", "workloadentries.networking.istio.io", "--all-namespaces")
_PROFILE = re.compile(rb"profiles/([a-z][a-z-]*)\.yaml")


@dataclass(frozen=True)
class Rendering:
    """What istioctl made of an overlay."""

    version: str
    objects: list[KubeObject]


@dataclass(frozen=True)
class Istioctl:
    """Renders overlays. With a cache folder, an overlay that was rendered by the same program is not rendered again."""

    path: str = "istioctl"
    timeout: float = 60
    cache_dir: str | None = None
    process: Process = field(default_factory=LocalProcess)
    notes: list[str] = field(default_factory=list)
    """What the user should hear of."""

    def render(self, overlay: Mapping[str, Any]) -> Rendering:
        text = json.dumps(overlay, sort_keys=True)
        cached = self._cache_file(text)
        if cached:
            refuse_loose_folders([Folder(str(cached.parent), "istio_cache_dir")])
            try:
                rendering = _read_cache(cached)
            except ValueError as reason:
                self.notes.append(f"{cached} is not used, {reason}. The overlay is rendered again.")
                rendering = None
            if rendering:
                return rendering
        version = self.version()
        done = self.process.run([self.path, "manifest", "generate", "-f", "-"], text, self.timeout)
        if done.rc:
            self._refused(done, overlay, version)
        objects = codec.parse_manifest(done.check("Rendering the overlay").stdout)
        faults = dropped(overlay, objects, self._schema(overlay))
        if faults:
            raise InputError(
                f"overlay: istioctl {version} would drop a part of it without a word: {' '.join(faults)}",
                dropped=faults,
            )
        rendering = Rendering(version, objects)
        if cached:
            _write_cache(cached, rendering)
        return rendering

    def version(self) -> str:
        """Return the version of the program."""
        return codec.parse_version(self._run(["version", "--remote=false", "-o", "json"], None, "Asking istioctl"))

    def precheck(self, access: Access, namespace: str) -> list[dict[str, str]]:
        """Return what speaks against an installation in the cluster."""
        arguments = ["x", "precheck", "--istioNamespace", namespace]
        return self._messages(arguments, access, "Looking at the cluster with istioctl x precheck")

    def analyze(self, access: Access, namespace: str, revision: str) -> list[dict[str, str]]:
        """Return what is wrong with the configuration of the mesh in all namespaces."""
        arguments = ["analyze", "--all-namespaces", "--istioNamespace", namespace, "--revision", revision]
        # More than it needs: when it comes to its own limit it says nothing of what it has found.
        arguments += [f"--timeout={self.timeout:g}s"]
        return self._messages(arguments, access, "Looking at the mesh with istioctl analyze")

    def proxy_status(self, access: Access, namespace: str, revision: str) -> str:
        """Return what the istiods of a revision know of their proxies, as JSON."""
        arguments = ["proxy-status", "--istioNamespace", namespace, "--revision", revision]
        arguments += ["--xds-label", f"app=istiod,{REVISION}={revision}", f"--timeout={self.timeout:g}s"]
        argv = [*arguments, *access_arguments(access), "-o", "json"]
        return self._run(argv, None, f"Asking revision {revision} for its proxies")

    def proxy_secrets(self, access: Access, namespace: str, pod: str) -> str:
        """Return the certificates of a pod's proxy as JSON. Envoy itself leaves the key out."""
        argv = ["proxy-config", "secret", f"{pod}.{namespace}", *access_arguments(access), "-o", "json"]
        return self._run(argv, None, f"Asking the proxy of {namespace}/{pod} for its certificate")

    def _messages(self, arguments: Sequence[str], access: Access, doing: str) -> list[dict[str, str]]:
        argv = [self.path, *arguments, *access_arguments(access), "-o", "json"]
        done = self.process.run(argv, None, self.timeout)
        # It ends with an error both when it could not look and when it has found something, which it then prints.
        if done.rc and not done.stdout.lstrip().startswith("["):
            done.check(doing)
        return codec.parse_messages(done.stdout, doing)

    def _refused(self, done: Completed, overlay: Mapping[str, Any], version: str) -> None:
        """Raise what the user can act on when istioctl said it. Anything else is left to who asked."""
        profile = codec.unknown_profile(done.stderr)
        if profile is not None:
            known = self._profiles()
            close = difflib.get_close_matches(profile, known, 1)
            guess = f" Did you mean {close[0]}?" if close else ""
            there = f" There are {', '.join(known)}." if known else ""
            raise InputError(
                f"overlay: spec.profile is {profile!r}, which istioctl {version} does not know.{guess}{there}",
                profiles=known,
            )
        unknown = codec.unknown_field(done.stderr, overlay)
        if unknown:
            key, places = unknown
            raise InputError(
                f"overlay: {' or '.join(places) or key}: istioctl {version} does not know the key {key} there. It is "
                "misspelt, stands in the wrong place, or is of another version.",
                stderr=done.stderr[-2000:],
            )

    def _program(self) -> mmap.mmap | None:
        path = shutil.which(self.path)
        if not path:
            return None
        try:
            with Path(path).open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return None

    def _profiles(self) -> list[str]:
        """Return the profiles that the program brings."""
        program = self._program()
        return sorted({name.decode() for name in _PROFILE.findall(program)}) if program else []

    def _schema(self, overlay: Mapping[str, Any]) -> Schema:
        """Return the fields of meshConfig that the program knows, when the overlay has any."""
        spec = overlay.get("spec") or {}
        if not spec.get("meshConfig") and not (spec.get("values") or {}).get("meshConfig"):
            return {}
        program = self._program()
        schema = mesh_schema(program) if program else {}
        if not schema:
            self.notes.append(
                f"The keys below meshConfig were not checked: {self.path} does not say which there are, as a "
                "program of Istio's releases does."
            )
        return schema

    def _run(self, arguments: Sequence[str], stdin: str | None, doing: str) -> str:
        return self.process.run([self.path, *arguments], stdin, self.timeout).check(doing).stdout

    def _cache_file(self, overlay: str) -> Path | None:
        program = shutil.which(self.path)
        if not self.cache_dir or not program:
            return None
        # The program is told apart by file, not by its version: two builds may claim the same one.
        about = Path(program).resolve().stat()
        identity = json.dumps([_CACHE_FORMAT, os.path.realpath(program), about.st_size, about.st_mtime_ns, overlay])
        return Path(self.cache_dir) / f"istio-{hashlib.sha256(identity.encode()).hexdigest()}.json"


def access_arguments(access: Access) -> list[str]:
    """Return how istioctl is told which cluster is meant."""
    arguments = []
    if access.kubeconfig:
        arguments += ["--kubeconfig", access.kubeconfig]
    if access.context:
        arguments += ["--context", access.context]
    return arguments


def _read_cache(path: Path) -> Rendering | None:
    """Return what was rendered before, or None when nothing was. Raises ValueError that says why it is not used."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
            about = os.fstat(file.fileno())
            digest, _newline, text = file.read().partition("\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise ValueError(f"it cannot be read: {error}") from error
    if about.st_uid not in trusted_uids(os.geteuid(), os.environ) or about.st_mode & 0o022:
        raise ValueError(f"others can write to it (uid {about.st_uid}, mode {about.st_mode & 0o7777:04o})")
    if digest != _digest(text):
        raise ValueError("it is not what was written")
    found = json.loads(text)
    return Rendering(found["version"], found["objects"])


def _write_cache(path: Path, rendering: Rendering) -> None:
    text = json.dumps({"version": rendering.version, "objects": rendering.objects})
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Readable by its owner only: an overlay may hold something private.
        replace(path, f"{_digest(text)}\n{text}")
    except OSError as exc:
        raise InputError(f"cache_dir: {path.parent} cannot be written: {exc.strerror}.") from exc


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Cluster(Kubectl):
    """Reads and writes objects of one cluster."""

    def labelled(self, selector: str) -> list[KubeObject]:
        """Return every object with the labels, of the kinds that an installation is made of."""
        kinds = ",".join(resource(version, kind) for version, kind in LISTED_KINDS)
        arguments = ["get", kinds, "--all-namespaces", "--selector", selector, "--show-managed-fields", "-o", "json"]
        return self.read(arguments, None, "Reading what is installed")

    def named(self, objects: Iterable[KubeObject]) -> list[KubeObject]:
        """Return those of the objects that exist."""
        asked = list(objects)
        known = [obj for obj in asked if is_builtin(obj)]
        custom = [obj for obj in asked if not is_builtin(obj)]
        found = super().named(known)
        if custom:
            try:
                found += super().named(custom)
            except ProcessError as error:
                # The definitions of these kinds come with this very run, so there can be none of them yet.
                if "no matches for kind" not in error.message:
                    raise
        return found

    def of_revisions(self, namespace: str) -> list[KubeObject]:
        """Return Deployments and ConfigMaps of every revision of the namespace, whoever installed it."""
        kinds = f"{resource('apps/v1', 'Deployment')},{resource('v1', 'ConfigMap')}"
        arguments = ["get", kinds, "--namespace", namespace, "--selector", REVISION, "-o", "json"]
        return self.read(arguments, None, "Reading which revisions there are")

    def proxies(self) -> list[str]:
        """Return namespace and name of every pod with a proxy and of every WorkloadEntry, a machine's proxy."""
        pods = [
            f"pod {one['metadata']['namespace']}/{one['metadata']['name']}"
            for one in self.proxied_pods()
            if injected_by(one)
        ]
        machines = [Ref.of(one) for one in self.workload_entries()]
        return sorted([*pods, *(str(one) for one in machines)])

    def all_namespaces(self) -> list[KubeObject]:
        """Return every namespace."""
        return self.read(["get", "namespaces", "-o", "json"], None, "Reading the namespaces")

    def proxied_pods(self) -> list[KubeObject]:
        """Return every pod that was injected, as a sidecar's or as a gateway."""
        arguments = ["get", "pods", "--all-namespaces", "--selector", _INJECTED, "-o", "json"]
        return self.read(arguments, None, "Reading which pods have proxies")

    def workload_entries(self) -> list[KubeObject]:
        """Return the machines that are written down as workloads of the mesh."""
        try:
            return self.read([*_ENTRIES, "-o", "json"], None, "Reading the machines of the mesh")
        except ProcessError as error:
            if "the server doesn't have a resource type" not in error.message:
                raise
            return []

    def asking(self) -> list[KubeObject]:
        """Return every namespace that asks for injection by one of its labels."""
        found = []
        for selector in ("istio-injection", REVISION):
            arguments = ["get", "namespaces", "--selector", selector, "-o", "json"]
            found += self.read(arguments, None, "Reading which namespaces are injected")
        return list({obj["metadata"]["name"]: obj for obj in found}.values())

    def tagged(self) -> list[KubeObject]:
        """Return the webhooks and Services of revision tags."""
        hooks = resource("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
        kinds = f"{hooks},{resource('v1', 'Service')}"
        arguments = ["get", kinds, "--all-namespaces", "--selector", TAG, "--show-managed-fields", "-o", "json"]
        return self.read(arguments, None, "Reading the revision tags")

    def webhooks(self) -> list[KubeObject]:
        """Return the webhooks and Services of every revision and tag."""
        group = "admissionregistration.k8s.io/v1"
        hooks = [resource(group, kind) for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")]
        kinds = ",".join([*hooks, resource("v1", "Service")])
        arguments = ["get", kinds, "--all-namespaces", "--selector", REVISION, "--show-managed-fields", "-o", "json"]
        return self.read(arguments, None, "Reading revisions and their tags")

    def istiod_copies(self) -> list[KubeObject]:
        """Return the copies of its root certificate and revocation list that istiod writes into every namespace."""
        arguments = ["get", "configmap", "--all-namespaces", "--selector", "istio.io/config=true", "-o", "json"]
        return self.read(arguments, None, "Reading istiod's copies")

    def istiod_pods(self, namespace: str) -> list[KubeObject]:
        """Return the pods of istiod that are still there, those that are ending as well."""
        arguments = ["get", "pods", "--namespace", namespace, "--selector", "app=istiod", "-o", "json"]
        return self.read(arguments, None, "Reading the pods of istiod")

    def apply(self, objects: Iterable[KubeObject]) -> None:
        """Write the objects, in their order, as the owner of their fields."""
        asked = list(objects)
        for part in ([o for o in asked if is_builtin(o)], [o for o in asked if not is_builtin(o)]):
            if part:
                arguments = ["apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}"]
                self.run([*arguments, "-f", "-"], render_list(part), "Applying the objects of Istio")

    def wait_established(self, names: Sequence[str], limit: float) -> None:
        """Wait until the server serves the kinds of these CustomResourceDefinitions."""
        arguments = ["wait", "--for=condition=Established", f"--timeout={limit:g}s"]
        self.run(
            [*arguments, *(f"crd/{name}" for name in names)], None, "Waiting for the new kinds", limit + self.timeout
        )

    def delete(self, objects: Iterable[KubeObject], wait: bool, limit: float) -> None:
        """Remove the objects, in their order; gone already is as good."""
        arguments = ["delete", "--ignore-not-found", f"--wait={str(wait).lower()}", f"--timeout={limit:g}s", "-f", "-"]
        text = render_list(stub(obj) for obj in objects)
        self.run(arguments, text, "Removing objects of Istio", limit + self.timeout)

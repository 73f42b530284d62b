# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The effects: istioctl renders, kubectl reads and writes. Both through the process port."""

from __future__ import annotations

import hashlib
import json
import os
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
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import (
    FIELD_MANAGER,
    LISTED_KINDS,
    is_builtin,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl, resource
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.codec import render_list
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject, stub
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess, Process

_CACHE_FORMAT = 2


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
        version = codec.parse_version(self._run(["version", "--remote=false", "-o", "json"], None, "Asking istioctl"))
        objects = codec.parse_manifest(self._run(["manifest", "generate", "-f", "-"], text, "Rendering the overlay"))
        rendering = Rendering(version, objects)
        if cached:
            _write_cache(cached, rendering)
        return rendering

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

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Changes that break a mesh which is in use, and are refused unless they are asked for. Pure: no Ansible, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio import codec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import (
    REVISION,
    TAG,
    VERSION,
    Installation,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject, Ref

_NUMBERS = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
# What charts say that were taken from sources and not from a release.
_UNRELEASED = "1.0.0"


def version_key(text: str) -> tuple[int, int, int] | None:
    """Return a version as numbers that can be compared, or None when it is none (``latest``)."""
    match = _NUMBERS.match(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def installed_version(deployment: Mapping[str, Any]) -> str:
    """Return the version of a control plane by its Deployment, or nothing when it does not tell."""
    labels = deployment["metadata"].get("labels") or {}
    if labels.get(VERSION):
        return str(labels[VERSION])
    told = str(labels.get("app.kubernetes.io/version") or "")
    if told not in ("", _UNRELEASED):
        return told
    containers = deployment["spec"]["template"]["spec"].get("containers") or [{}]
    tag = str(containers[0].get("image") or "").partition("@")[0].rpartition("/")[2].partition(":")[2]
    return tag if version_key(tag) else ""


def is_older(version: str, than: str) -> bool:
    """Whether a version is known to be older than another one."""
    ours, theirs = version_key(version), version_key(than)
    return ours is not None and theirs is not None and ours < theirs


def istiods(objects: Iterable[KubeObject]) -> list[KubeObject]:
    """Return the Deployments of istiod among the objects."""
    return [
        obj
        for obj in objects
        if obj["kind"] == "Deployment" and (obj["metadata"].get("labels") or {}).get("app") == "istiod"
    ]


def refuse_downgrade(version: str, live: Iterable[KubeObject], installation: Installation) -> None:
    """Refuse to put an older Istio in the place of a newer one."""
    for deployment in istiods(live):
        if revision_of(deployment) != installation.revision:
            continue
        installed = installed_version(deployment)
        if is_older(version, installed):
            raise InputError(
                f"istioctl: it is of Istio {version}, and revision {installation.revision} in "
                f"{installation.namespace} is {installed}. An older istiod may not read what the newer one was given. "
                "Give the istioctl of the installed version, install the older one beside it (spec.revision), or set "
                "allow_downgrade to true.",
                version=version,
                installed_version=installed,
            )


def meshes(objects: Iterable[KubeObject]) -> dict[str, str]:
    """Return the trust domain of each revision whose settings are among the objects."""
    found = {}
    for obj in objects:
        revision = revision_of(obj)
        if obj["kind"] == "ConfigMap" and obj["metadata"]["name"] == mesh_name(revision):
            found[revision] = codec.parse_trust_domain((obj.get("data") or {}).get("mesh") or "")
    return found


def mesh_name(revision: str) -> str:
    """Return the name of the ConfigMap that holds the settings of a revision's mesh."""
    return "istio" if revision == "default" else f"istio-{revision}"


def other_trust_domains(wanted: Iterable[KubeObject], live: Iterable[KubeObject]) -> tuple[str, dict[str, str]]:
    """Return the trust domain that is wanted, and by revision those of the namespace that differ from it."""
    asked = next(iter(meshes(wanted).values()), "")
    return asked, {rev: name for rev, name in sorted(meshes(live).items()) if asked and name != asked}


def refuse_trust_domain(asked: str, others: Mapping[str, str], proxies: Sequence[str]) -> None:
    """Refuse another trust domain while somebody lives by the present one."""
    if not others or not proxies:
        return
    there = ", ".join(f"{name} (revision {revision})" for revision, name in others.items())
    more = f" and {len(proxies) - 5} more" if len(proxies) > 5 else ""
    raise InputError(
        f"overlay: spec.meshConfig.trustDomain is {asked}, and the mesh there has {there}. {len(proxies)} proxies live "
        f"in it: {', '.join(proxies[:5])}{more}. Their certificates, and the principals of the policies, are of the "
        "trust domain that is there; who has another one is refused. Keep it, take these workloads out of the mesh "
        "first, or set allow_trust_domain_change to true.",
        trust_domains=dict(others),
        proxies=list(proxies),
    )


def refuse_in_use(installation: Installation, users: Sequence[str]) -> None:
    """Refuse to remove a control plane that namespaces or tags point to."""
    if users:
        more = f" and {len(users) - 10} more" if len(users) > 10 else ""
        raise InputError(
            f"Revision {installation.revision} is still in use: {', '.join(users[:10])}{more}. Proxies of it would "
            "have no control plane, and pods that start would get no sidecar or be refused. Move them to another "
            "revision first, or set force to true.",
            users=list(users),
        )


def users_of(
    revision: str,
    namespaces: Iterable[KubeObject],
    tags: Iterable[KubeObject],
    pods: Iterable[KubeObject],
    own: set[Ref],
) -> list[str]:
    """Return what still needs a revision: namespaces by its name or a tag of it, these tags, and pods with its proxy.

    Tags among ``own`` go together with the installation. What points to them is named, they themselves are not.
    """
    names = {revision}
    users = []
    for obj in tags:
        labels = obj["metadata"].get("labels") or {}
        tag = labels.get(TAG)
        if tag and labels.get(REVISION) == revision:
            names.add(tag)
            if Ref.of(obj) not in own and f"tag {tag}" not in users:
                users.append(f"tag {tag}")
    for namespace in namespaces:
        asked = asked_revision(namespace["metadata"].get("labels") or {})
        if asked in names:
            users.append(f"namespace {namespace['metadata']['name']} ({asked})")
    injected = [pod for pod in pods if injected_by(pod) == revision]
    return users + [f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in injected]


def injected_by(pod: Mapping[str, Any]) -> str:
    """Return the revision whose proxy a pod has, or nothing. A pod that has ended, such as a Job's, has none."""
    annotations = pod["metadata"].get("annotations") or {}
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return ""
    return str(annotations.get(REVISION) or "default") if "sidecar.istio.io/status" in annotations else ""


def asked_revision(labels: Mapping[str, str]) -> str:
    """Return the revision or tag that a namespace asks for by its labels, or nothing.

    The older label holds over the newer one; both of Istio's webhooks are made so.
    """
    older = labels.get("istio-injection")
    if older is not None:
        return "default" if older == "enabled" else ""
    return labels.get(REVISION, "")


def revision_of(obj: Mapping[str, Any]) -> str:
    """Return the revision that an object belongs to."""
    return (obj["metadata"].get("labels") or {}).get(REVISION) or "default"

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a run of istio_install will do. Pure: no Ansible, no I/O. ``changed``, diff and check mode come from here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.compare import (
    MISSING,
    Change,
    differences,
    with_yielded_fields,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.guard import is_older
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import (
    DEFAULT_VALIDATOR,
    FIELD_MANAGER,
    OWNER_NAME,
    READER,
    REVISION,
    SHARED_KINDS,
    VERSION,
    Installation,
    apply_order,
    delete_order,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import ISTIOD_COPIES, KubeObject, Ref

CREATED, UPDATED, DELETED, UNCHANGED = "created", "updated", "deleted", "unchanged"


@dataclass(frozen=True)
class Step:
    """One object and what becomes of it."""

    action: str
    ref: Ref
    body: KubeObject
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Every object of the installation and what becomes of it, in the order in which it is done."""

    steps: tuple[Step, ...]

    @property
    def changed(self) -> bool:
        return any(step.action != UNCHANGED for step in self.steps)

    @property
    def to_apply(self) -> list[KubeObject]:
        return [step.body for step in self.steps if step.action in (CREATED, UPDATED)]

    @property
    def to_delete(self) -> list[KubeObject]:
        return [step.body for step in self.steps if step.action == DELETED]

    @property
    def objects(self) -> list[dict[str, str]]:
        return [
            {"kind": s.ref.kind, "name": s.ref.name, "namespace": s.ref.namespace, "action": s.action}
            for s in self.steps
        ]

    @property
    def actions(self) -> list[dict[str, Any]]:
        """Only what is done, with the fields that an update touches."""
        return [
            {
                "verb": step.action,
                "object": str(step.ref),
                "fields": sorted({change.where for change in step.changes}),
            }
            for step in self.steps
            if step.action != UNCHANGED
        ]

    @property
    def diff(self) -> list[dict[str, str]]:
        """One entry per touched object; a line per field, so that long texts show only what differs in them."""
        return [_diff_of(step) for step in self.steps if step.action != UNCHANGED]


def plan_present(
    wanted: Iterable[KubeObject], live: Iterable[KubeObject], installation: Installation, namespace_exists: bool
) -> Plan:
    """Plan to bring the cluster to what is rendered.

    ``live`` holds every object that carries the installation's labels, and every rendered object that exists without
    them. An object with the labels that is not rendered any more is removed; CustomResourceDefinitions never are,
    because every Istio object in the cluster would go with them.
    """
    current = {Ref.of(obj): obj for obj in live}
    desired = sorted(wanted, key=apply_order)
    _refuse_foreign(desired, current, installation)
    steps = []
    namespace = installation.namespace_object()
    if not namespace_exists:
        steps.append(Step(CREATED, Ref.of(namespace), namespace))
    for obj in desired:
        ref = Ref.of(obj)
        if ref not in current:
            steps.append(Step(CREATED, ref, obj))
            continue
        # Revisions of several versions share the definitions. The newest holds: older ones read them as well.
        newer = ref.kind == "CustomResourceDefinition" and is_older(_version(obj), _version(current[ref]))
        changes = () if newer else tuple(differences(obj, current[ref]))
        if changes:
            steps.append(Step(UPDATED, ref, with_yielded_fields(obj, current[ref]), changes))
        else:
            steps.append(Step(UNCHANGED, ref, obj))
    rendered = {Ref.of(obj) for obj in desired} | {Ref.of(namespace)}
    stale = [
        obj
        for ref, obj in current.items()
        if ref not in rendered and ref.kind not in SHARED_KINDS and not _is_reader(obj) and installation.owns(obj)
    ]
    steps += [Step(DELETED, Ref.of(obj), obj) for obj in sorted(stale, key=delete_order)]
    return Plan(tuple(steps))


def plan_absent(live: Iterable[KubeObject], installation: Installation, purge: bool) -> Plan:
    """Plan to remove the installation.

    Without ``purge`` the CustomResourceDefinitions stay, and with them all mesh configuration of the cluster, and so
    does the namespace. With it they go too, the namespace only when this installation created it.
    """
    kept = () if purge else SHARED_KINDS
    objects = list(live)
    # What serves all revisions may bear the name of the one that made it: the account of readers, definitions.
    alone = [obj for obj in objects if obj["kind"] not in SHARED_KINDS and not _is_reader(obj)]
    others = sorted({_revision(obj) for obj in alone} - {"", installation.revision})
    if purge and others:
        raise InputError(
            f"purge: revision {', '.join(others)} of installation {installation.name} still needs the namespace and "
            "the definitions. Remove it first, or leave out purge."
        )
    # istiod itself writes these into every namespace; its copies belong to the installation too.
    to_delete = [
        obj
        for obj in objects
        if obj["kind"] not in kept and (installation.owns(obj) or _is_copy(obj)) and not (others and _is_reader(obj))
    ]
    return Plan(tuple(Step(DELETED, Ref.of(obj), obj) for obj in sorted(to_delete, key=delete_order)))


def _revision(obj: KubeObject) -> str:
    return (obj["metadata"].get("labels") or {}).get(REVISION, "")


def _version(obj: KubeObject) -> str:
    return (obj["metadata"].get("labels") or {}).get(VERSION, "")


def _is_reader(obj: KubeObject) -> bool:
    return (obj["kind"], obj["metadata"]["name"]) == READER


def _is_copy(obj: KubeObject) -> bool:
    return obj["kind"] == "ConfigMap" and obj["metadata"]["name"] in ISTIOD_COPIES


def _refuse_foreign(desired: Sequence[KubeObject], current: dict[Ref, KubeObject], installation: Installation) -> None:
    """Stop before two installers fight over one control plane. Left-over definitions are shared and taken over."""
    foreign = []
    for obj in desired:
        ref = Ref.of(obj)
        if ref.kind == "CustomResourceDefinition" or ref not in current or installation.owns(current[ref]):
            continue
        metadata = current[ref]["metadata"]
        writers = sorted({entry.get("manager", "?") for entry in metadata.get("managedFields") or []})
        labels = metadata.get("labels") or {}
        owner, revision = labels.get(OWNER_NAME), labels.get(REVISION)
        # What a cluster has once goes to the revision that asks for it.
        single = (ref.kind, ref.name) in (READER, DEFAULT_VALIDATOR)
        same = single or revision in (None, installation.revision)
        ours = owner in (None, "unknown", installation.name) and same
        # The account of readers serves an Istio of another owner as well as before, and does not go with it then.
        beside = (ref.kind, ref.name) == READER and revision != installation.revision
        if ours and (FIELD_MANAGER in writers or beside):
            continue  # only some of its labels were lost
        said = [f"written by {', '.join(writers)}"] if writers else []
        if owner not in (None, "unknown"):
            said.append(f"owned by {owner}")
        if revision not in (None, installation.revision):
            said.append(f"of revision {revision}")
        foreign.append(f"{ref} ({'; '.join(said)})" if said else str(ref))
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise InputError(
            f"An Istio of another owner is in the way: {', '.join(foreign[:3])}{more}. "
            "Remove it first (istioctl uninstall, or helm uninstall), or give this installation its own revision.",
            objects=foreign,
        )


def _diff_of(step: Step) -> dict[str, str]:
    title = str(step.ref)
    if step.action == CREATED:
        before, after = "", f"{title} is created\n"
    elif step.action == DELETED:
        before, after = f"{title} is there\n", ""
    else:
        secret = step.ref.kind == "Secret"
        before = "".join(_lines(change.where, change.before, secret) for change in step.changes)
        after = "".join(_lines(change.where, change.after, secret) for change in step.changes)
    return {"before_header": title, "after_header": title, "before": before, "after": after}


def _lines(where: str, value: Any, secret: bool) -> str:
    if value is MISSING:
        return ""
    if secret:
        return f"{where}: (hidden)\n"
    if isinstance(value, str) and "\n" in value:
        return f"{where}: |\n" + "".join(f"  {line}\n" for line in value.splitlines())
    if isinstance(value, (dict, list)):
        text = json.dumps(value, indent=2, sort_keys=True)
        return f"{where}:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    return f"{where}: {json.dumps(value)}\n"

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a run of istio_revision_tag will do. Pure: no Ansible, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.compare import differences, with_yielded_fields
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.guard import revision_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import TAG, apply_order, delete_order
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.plan import (
    CREATED,
    DELETED,
    UNCHANGED,
    UPDATED,
    Plan,
    Step,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.tag.model import (
    Tag,
    belongs_to,
    injectors,
    is_default_validator,
    owner_of,
    points_to,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject, Ref, by_ref


def refuse(tag: Tag, live: Sequence[KubeObject]) -> None:
    """Stop when the name means something else already."""
    there = injectors(live)
    if tag.name in there:
        serves = " It serves the label istio-injection=enabled by itself." if tag.name == "default" else ""
        raise InputError(
            f"name: {tag.name} is a revision of its own in this cluster.{serves} Give the tag another name, or remove "
            "that revision first."
        )
    for obj in live:
        if (obj["metadata"].get("labels") or {}).get(TAG) == tag.name and owner_of(obj):
            raise InputError(
                f"name: {Ref.of(obj)} comes from the overlay of installation {owner_of(obj)} (values.revisionTags). "
                f"Take {tag.name} out of it there first."
            )


def missing_revision(tag: Tag, live: Sequence[KubeObject]) -> str:
    """Return what to say when there is no such revision, or nothing."""
    there = injectors(live)
    if tag.revision in there:
        return ""
    known = f"There is {', '.join(sorted(there))}." if there else "There is none."
    return f"revision: no revision {tag.revision} in this cluster. {known} Install it first."


def plan_tag(wanted: Iterable[KubeObject], live: Sequence[KubeObject], tag: Tag) -> Plan:
    """Plan to let the tag point to its revision."""
    current = by_ref(live)
    injector = injectors(live).get(tag.revision)
    steps = []
    for obj in sorted(wanted, key=apply_order):
        ref = Ref.of(obj)
        there = current.get(ref)
        if there is None:
            steps.append(Step(CREATED, ref, _certified(obj, injector)))
            continue
        if is_default_validator(obj) and owner_of(there) and revision_of(there) == tag.revision:
            continue  # the revision brings it itself
        changes = tuple(differences(obj, there))
        if changes:
            body = _certified(with_yielded_fields(obj, there), injector or there)
            steps.append(Step(UPDATED, ref, body, changes))
        else:
            steps.append(Step(UNCHANGED, ref, obj))
    return Plan(tuple(steps))


def plan_no_tag(live: Sequence[KubeObject], tag: Tag) -> Plan:
    """Plan to remove the tag."""
    found = [obj for obj in live if belongs_to(obj, tag)] if points_to(live, tag.name) else []
    return Plan(tuple(Step(DELETED, Ref.of(obj), obj) for obj in sorted(found, key=delete_order)))


def _certified(obj: KubeObject, injector: KubeObject | None) -> KubeObject:
    """Return a webhook with the bundle by which the revision is believed.

    istiod writes it there as well, but only after a moment in which no pod could start.
    """
    bundle = next(
        (
            hook["clientConfig"]["caBundle"]
            for hook in (injector or {}).get("webhooks") or []
            if hook.get("clientConfig", {}).get("caBundle")
        ),
        None,
    )
    if not bundle or not obj.get("webhooks"):
        return obj
    hooks = [{**hook, "clientConfig": {**hook["clientConfig"], "caBundle": bundle}} for hook in obj["webhooks"]]
    return {**obj, "webhooks": hooks}

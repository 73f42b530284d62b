# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Resources of the SPIRE controller manager: what is wanted, what is wrong with it, and what was acted on. Pure.

Fields and status: github.com/spiffe/spire-controller-manager, api/v1alpha1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

API_VERSION = "spire.spiffe.io/v1alpha1"
_NEEDED = {"ClusterSPIFFEID": ("spiffeIDTemplate",), "ClusterStaticEntry": ("spiffeID", "parentID", "selectors")}
_POWER = ("admin", "downstream")


def resources(
    cluster_spiffe_ids: Iterable[Mapping[str, Any]],
    static_entries: Iterable[Mapping[str, Any]],
    state: str = "present",
) -> list[dict[str, Any]]:
    """Return those of both kinds that are to be ``present``, or ``absent``, as objects."""
    return [
        {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": item["name"]}, "spec": item.get("spec") or {}}
        for kind, items in (("ClusterSPIFFEID", cluster_spiffe_ids), ("ClusterStaticEntry", static_entries))
        for item in items
        if item.get("state", "present") == state
    ]


def faults(wanted: Iterable[Mapping[str, Any]], acknowledged: bool) -> list[str]:
    """Return what could not become an entry, or must be meant, a text for each fault."""
    found = []
    for item in wanted:
        spec, name = item["spec"], f"{item['kind']} {item['metadata']['name']}"
        missing = [key for key in _NEEDED[item["kind"]] if not spec.get(key)]
        if missing:
            found.append(f"{name}: spec is incomplete. Give {', '.join(missing)}.")
        power = [key for key in _POWER if spec.get(key)]
        if power and not acknowledged:
            found.append(
                f"{name}: {' and '.join(power)} gives a workload power over the SPIRE server. If that is meant, set"
                " spire_controller_manager_acknowledge_privileged to true."
            )
    return found


def unregistered(wanted: Iterable[Mapping[str, Any]], live: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the wanted resources without a good status.

    A static entry is ``set`` only in the moment in which it is written, so that says nothing later.
    """
    good = {(item["kind"], item["metadata"]["name"]) for item in live if _is_good(item.get("status") or {})}
    names = [(item["kind"], item["metadata"]["name"]) for item in wanted]
    return [f"{kind} {name}" for kind, name in names if (kind, name) not in good]


def _is_good(status: Mapping[str, Any]) -> bool:
    if status.get("rendered"):
        return not status.get("masked")
    stats = status.get("stats")
    return stats is not None and not stats.get("podEntryRenderFailures") and not stats.get("entryFailures")

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_bundle: read, plan, apply, report. Reading the content of bundles is shared."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import side_by_side
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import (
    delete_federated_bundle,
    list_federated_bundles,
    set_federated_bundle,
    show_bundle,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.document import FORMATS, spiffe_document
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.plan import (
    DELETE,
    DISSOCIATE,
    RESTRICT,
    BundlePlan,
    BundleStep,
    plan_delete,
    plan_set,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.wanted import (
    Wanted,
    public,
    same_content,
    wanted_bundle,
    wanted_names,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.carry_out import carry_out
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import (
    FAILED_PRECONDITION,
    NOT_FOUND,
    ItemResult,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.client import list_relationships
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography


def content_options() -> dict[str, dict[str, Any]]:
    """The options of an item by which a bundle is given."""
    return {
        "bundle": {"type": "raw"},
        "src": {"type": "path"},
        "format": {"type": "str", "choices": list(FORMATS)},
    }


def spec() -> ArgumentSpec:
    """The options of spire_bundle."""
    return ArgumentSpec(
        options={
            "bundles": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"trust_domain": {"type": "str", "required": True}, **content_options()},
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "allow_older": {"type": "bool", "default": False},
            "delete_mode": {"type": "str", "choices": [RESTRICT, DISSOCIATE, DELETE], "default": RESTRICT},
            "acknowledge_entry_deletion": {"type": "bool", "default": False},
        },
        public=["bundles"],
        free=["bundle"],
    ).merge(spire_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Make the server hold, or not hold, the bundles of ``params``."""
    require_cryptography()
    wanted = wanted_names(params["bundles"], "bundles")
    present = params["state"] == "present"
    if present:
        wanted = [read_wanted(want, item, required=True) for want, item in zip(wanted, params["bundles"], strict=True)]
    elif params["delete_mode"] == DELETE and not params["acknowledge_entry_deletion"]:
        raise InputError(
            "delete_mode: delete also deletes every registration entry that federates with the trust domain, and the "
            "workloads of those entries lose their identity. Set acknowledge_entry_deletion to say that this is meant, "
            "or take delete_mode dissociate, which keeps the entries."
        )
    server = connect(params)
    plan, warnings = BundlePlan(), [words for want in wanted for words in want.warnings]
    if wanted:
        shown, held = side_by_side(lambda: show_bundle(server), lambda: held_bundles(server))
        own = shown.trust_domain
        if present:
            plan = plan_set(wanted, held, own, params["allow_older"])
        else:
            entries = entries_federating_with(
                server, [want.trust_domain for want in wanted if want.trust_domain in held]
            )
            plan = plan_delete(wanted, held, own, params["delete_mode"], entries)
            warnings += _left_behind(server, plan)
    if not check_mode:
        carry_out(plan.steps, lambda step: apply_bundle(server, step, plan.mode))
    return Outcome(
        changed=plan.changed,
        diff=plan.diff(),
        warnings=warnings,
        result={
            "bundles": [public(bundle) for bundle in plan.bundles],
            "actions": [step.action() for step in plan.steps],
        },
    )


def read_wanted(want: Wanted, item: Mapping[str, Any], required: bool) -> Wanted:
    """Return ``one`` with the bundle that the options of ``item`` give, or as it is when they give none."""
    if item["bundle"] is not None and item["src"] is not None:
        raise want.refused("src", "bundle and src are both given. Give one of them.")
    now = datetime.datetime.now(datetime.timezone.utc)
    if item["bundle"] is not None:
        return wanted_bundle(want, item["bundle"], "bundle", item["format"], now)
    if item["src"] is not None:
        return wanted_bundle(want, _read(want, Path(item["src"])), "src", item["format"], now)
    if required:
        raise want.refused("bundle", "neither bundle nor src is given. One of them holds the bundle to set.")
    return want


def _read(want: Wanted, path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        raise want.refused("src", f"{path} is no text. A bundle is PEM or JSON; convert DER first.") from None
    except OSError as error:
        raise want.refused("src", f"{path} cannot be read: {error.strerror}. It must be on the target host.") from None


def held_bundles(server: SpireServer) -> dict[str, Bundle]:
    """The bundles of other trust domains that the server holds, by trust domain."""
    return {bundle.trust_domain: bundle for bundle in list_federated_bundles(server)}


def entries_federating_with(server: SpireServer, trust_domains: Sequence[str]) -> list[Entry]:
    """The registration entries that federate with one of these trust domains."""
    if not trust_domains:
        return []
    return list_entries(server, federates_with=trust_domains, federates_with_match="any")


def apply_bundle(server: SpireServer, step: BundleStep, mode: str) -> None:
    """Set or delete one bundle, and see from the answer that it was done."""
    want = step.wanted
    if step.after is None:
        result = delete_federated_bundle(server, want.trust_domain, mode)
        if not result.ok and result.code != NOT_FOUND:
            raise refused_by_server(want, "delete the bundle", result)
        return
    result, stored = set_federated_bundle(server, want.trust_domain, spiffe_document(step.after))
    if not result.ok:
        raise refused_by_server(want, "set the bundle", result)
    if not same_content(stored, step.after):
        raise TrustmeshError(
            f"{want.where()}: the server answered that the bundle is set, but shows other authorities in it. "
            "Somebody else, or a federation relationship, set it at the same moment."
        )


def refused_by_server(want: Wanted, verb: str, result: ItemResult) -> TrustmeshError:
    """The error for what the server would not do."""
    remedy = ""
    if result.code == FAILED_PRECONDITION:
        remedy = " An entry that federates with it was created meanwhile; run again to see which."
    return TrustmeshError(
        f"{want.where()}: the server refused to {verb}: {result.message.rstrip('.')}.{remedy}",
        index=want.index,
        code=result.code,
    )


def _left_behind(server: SpireServer, plan: BundlePlan) -> list[str]:
    """Warn of relationships that would bring a deleted bundle back, or cannot work without it."""
    if not plan.changed:
        return []
    gone = {step.wanted.trust_domain: step.wanted for step in plan.steps}
    warnings = []
    for relationship in list_relationships(server):
        if relationship.trust_domain in gone:
            warnings.append(
                f"{gone[relationship.trust_domain].where()}: the federation relationship with it stays, and the server "
                f"may fetch the bundle again from {relationship.bundle_endpoint_url}. Remove it with spire_federation."
            )
        elif relationship.endpoint_trust_domain in gone:
            warnings.append(
                f"{gone[relationship.endpoint_trust_domain].where()}: the bundle endpoint of "
                f"{relationship.trust_domain} is authenticated with this bundle; the server can no longer refresh it."
            )
    return warnings

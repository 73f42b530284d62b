# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Trust bundles, as spire-server shows, sets and deletes them."""

from __future__ import annotations

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.codec import bundle_from_server
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import (
    ItemResult,
    read_list,
    results_from_server,
)


def show_bundle(server: SpireServer) -> Bundle:
    """Return the trust bundle of the server's own trust domain, as it is now."""
    doing = "Reading the trust bundle"
    # Read as a list of one: an answer of another shape is a failure, not a bundle without authorities.
    reply = {"bundle": [server.call(["bundle", "show"], doing)]}
    (bundle,) = read_list(reply, "bundle", bundle_from_server, doing)
    if not bundle.trust_domain:
        raise ProcessError(f"{doing} failed: the answer names no trust domain.")
    return bundle


def list_federated_bundles(server: SpireServer) -> list[Bundle]:
    """Return the bundles of other trust domains that the server holds."""
    doing = "Reading the bundles of other trust domains"
    return read_list(server.call(["bundle", "list"], doing), "bundles", bundle_from_server, doing)


def set_federated_bundle(server: SpireServer, trust_domain: str, document: str) -> tuple[ItemResult, Bundle | None]:
    """Set the bundle of another trust domain, given in SPIFFE's JSON form. Returns what the server then holds."""
    doing = f"Setting the bundle of {trust_domain}"
    verb = ["bundle", "set", "-id", f"spiffe://{trust_domain}", "-format", "spiffe"]
    reply = server.call(verb, doing, document)
    (result,) = results_from_server(reply, 1, doing)
    stored = reply["results"][0].get("bundle")
    return result, bundle_from_server(stored) if stored else None


def delete_federated_bundle(server: SpireServer, trust_domain: str, mode: str) -> ItemResult:
    """Delete the bundle of another trust domain. ``mode`` says what becomes of entries that federate with it."""
    doing = f"Deleting the bundle of {trust_domain}"
    reply = server.call(["bundle", "delete", "-id", f"spiffe://{trust_domain}", "-mode", mode], doing)
    return results_from_server(reply, 1, doing)[0]

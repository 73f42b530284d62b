# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_bundle_info."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import (
    list_federated_bundles,
    show_bundle,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.wanted import forms
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography


def spec() -> ArgumentSpec:
    """The options of spire_bundle_info."""
    return ArgumentSpec(options={"federated": {"type": "bool", "default": True}}).merge(spire_spec())


def run(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Read the bundles that the server holds now."""
    require_cryptography()
    server = connect(params)
    result: dict[str, Any] = {"bundle": forms(show_bundle(server))}
    if params["federated"]:
        bundles = sorted(list_federated_bundles(server), key=lambda bundle: bundle.trust_domain)
        result["federated_bundles"] = [forms(bundle) for bundle in bundles]
    return Outcome(result=result)

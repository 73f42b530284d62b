# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Between SPIRE's JSON and minted SVIDs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import pem
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.model import X509Svid


def svid_from_server(data: Mapping[str, Any]) -> X509Svid:
    return X509Svid(
        chain_pem="".join(pem("CERTIFICATE", der) for der in data["x509_svid"]),
        key_pem=pem("PRIVATE KEY", data["private_key"]),
        bundle_pem="".join(pem("CERTIFICATE", der) for der in data.get("root_cas") or ()),
    )

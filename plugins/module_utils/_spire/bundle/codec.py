# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Between SPIRE's JSON and trust bundles. Pure, and free of the library for certificates, which is slow to load."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import (
    Authority,
    Bundle,
    JwtAuthority,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import pem


def bundle_from_server(data: Mapping[str, Any]) -> Bundle:
    return Bundle(
        trust_domain=data.get("trust_domain", ""),
        x509_authorities=tuple(
            Authority(pem("CERTIFICATE", authority["asn1"]), bool(authority.get("tainted", False)))
            for authority in data.get("x509_authorities") or ()
        ),
        sequence_number=int(data.get("sequence_number", 0)),
        refresh_hint=int(data.get("refresh_hint", 0)),
        jwt_authorities=tuple(
            JwtAuthority(
                str(key.get("key_id", "")),
                base64.b64decode(key.get("public_key", "")),
                int(key.get("expires_at", 0)),
                bool(key.get("tainted", False)),
            )
            for key in data.get("jwt_authorities") or ()
        ),
    )

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The words of ``localauthority show`` and of the bundle's authorities. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.model import (
    JWT,
    Authorities,
    Slot,
    Trusted,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Bundle

# chain.require_cryptography() tells the user when it is not there.
with contextlib.suppress(ImportError):
    from cryptography import x509


def authorities_from_server(kind: str, slots: Mapping[str, Any], bundle: Bundle) -> Authorities:
    """Join what the server says of its slots with the bundle of its trust domain."""
    active = _slot(slots.get("active"))
    if active is None:
        raise ProcessError(f"Reading the {kind} authority failed: the answer names no active authority.")
    trusted = (
        {authority.key_id: Trusted(authority.tainted) for authority in bundle.jwt_authorities}
        if kind == JWT
        else x509_by_id(bundle)
    )
    return Authorities(kind, active, _slot(slots.get("prepared")), _slot(slots.get("old")), trusted)


def _slot(data: Mapping[str, Any] | None) -> Slot | None:
    if not data or not data.get("authority_id"):
        return None
    return Slot(
        data["authority_id"], int(data.get("expires_at", 0)), str(data.get("upstream_authority_subject_key_id", ""))
    )


def x509_by_id(bundle: Bundle) -> dict[str, Trusted]:
    """Return the X.509 authorities by subject key id, which is what SPIRE calls the id of one."""
    found = {}
    for authority in bundle.x509_authorities:
        certificate = x509.load_der_x509_certificate(authority.der)
        try:
            key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
        except x509.ExtensionNotFound:
            continue  # without an id it can be neither SPIRE's own nor tainted
        found[key_id] = Trusted(authority.tainted, int(certificate.not_valid_before_utc.timestamp()))
    return found

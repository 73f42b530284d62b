# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Finding private values where only public ones belong. Pure.

Ansible logs the options of a module and returns them with a failure. A private key, or a password in a URL, that
somebody gives by mistake must be gone before that happens, and the module must still be able to say what was wrong.
"""

from __future__ import annotations

import re
from typing import Any

REMOVED = "(removed: a private key)"
"""What stands in place of a text that held a private key."""

# PEM, whatever the kind of key; and the private members of a JSON Web Key (RFC 7518, 6.2.2, 6.3.2, 6.4).
_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_PRIVATE = re.compile(rf"PRIVATE\s+KEY-----|[\"'](?:{'|'.join(_MEMBERS)})\\?[\"']\s*:")

_USER_OF_URL = re.compile(r"(?<=://)[^/\s@]+(?=@)")


def holds_private_key(text: str) -> bool:
    """Whether ``text`` has a private key in it, as PEM or as JSON."""
    return _PRIVATE.search(text) is not None


def without_private_values(value: Any) -> Any:
    """Return ``value`` with :data:`REMOVED` for each text or JSON Web Key that is private, and URLs without a user."""
    if isinstance(value, str):
        return REMOVED if holds_private_key(value) else _USER_OF_URL.sub("***", value)
    if isinstance(value, dict):
        if "kty" in value and any(member in value for member in _MEMBERS):
            return REMOVED
        return {key: without_private_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_private_values(item) for item in value]
    return value

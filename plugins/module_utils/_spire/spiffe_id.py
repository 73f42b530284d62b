# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""SPIFFE IDs: what is one, and what is not. Pure.

The rules are those of the standard «SPIFFE-ID.md», sections 2.1 to 2.4; each check names its section. The standard
asks implementations to support 2048 bytes and never to generate more, which SPIRE itself does not check.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

SCHEME = "spiffe://"
MAX_ID_BYTES = 2048
MAX_TRUST_DOMAIN_BYTES = 255

_SPIFFE_ID = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/(?!\.\.?(?:/|\Z))[a-zA-Z0-9._-]+)*)\Z")
"""Trust domain and path of every SPIFFE ID, but for the length of the whole."""
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+\Z")
_SEGMENT = re.compile(r"[a-zA-Z0-9._-]+\Z")
_JOIN_TOKEN = re.compile(r"(/spire/agent/join_token/)(?!sha256:)([a-zA-Z0-9._-]+)")


class SpiffeIdError(InputError):
    """A text is not a SPIFFE ID, or not one that may stand in its place."""


@dataclass(frozen=True)
class SpiffeId:
    """A valid SPIFFE ID."""

    trust_domain: str
    path: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain}{self.path}"

    @property
    def is_reserved(self) -> bool:
        """SPIRE keeps /spire for its servers and agents (spire pkg/common/idutil)."""
        return self.path == "/spire" or self.path.startswith("/spire/")

    @property
    def is_agent(self) -> bool:
        return self.path.startswith("/spire/agent/")

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """Return the SPIFFE ID that ``text`` is, or raise :class:`SpiffeIdError` saying which rule it breaks."""
        match = _SPIFFE_ID.match(text)
        if match is None or len(text) > MAX_ID_BYTES:
            raise _broken_rule(text)
        return cls(match[1], match[2])


def check_trust_domain(name: str) -> str:
    """Return ``name`` when it is a trust domain's name, else raise :class:`SpiffeIdError` saying why not."""
    # SPIFFE-ID 2.1: not empty; no userinfo, no port, no percent-encoding; [a-z0-9.-_] only.
    if not name:
        raise SpiffeIdError("the trust domain is empty (SPIFFE-ID 2.1)")
    if len(name.encode(errors="surrogatepass")) > MAX_TRUST_DOMAIN_BYTES:
        raise SpiffeIdError(f"the trust domain is longer than {MAX_TRUST_DOMAIN_BYTES} bytes (SPIFFE-ID 2.3)")
    if "@" in name:
        raise SpiffeIdError(f"the trust domain {name!r} has a user part before @ (SPIFFE-ID 2.1)")
    if ":" in name:
        raise SpiffeIdError(f"the trust domain {name!r} has a port or a colon (SPIFFE-ID 2.1)")
    if not _TRUST_DOMAIN.match(name):
        raise SpiffeIdError(
            f"the trust domain {name!r} may hold only lower case letters, digits, dots, dashes and underscores "
            "(SPIFFE-ID 2.1)"
        )
    return name


def trust_domain_of(text: str) -> str:
    """Return the trust domain that ``text`` names: ``example.org`` or ``spiffe://example.org``."""
    if "://" not in text:
        return check_trust_domain(text)
    spiffe_id = SpiffeId.parse(text)
    if spiffe_id.path:
        raise SpiffeIdError(f"{text!r} has a path; a trust domain has none (SPIFFE-ID 2.1)")
    return spiffe_id.trust_domain


def redact(text: str) -> str:
    """Return ``text`` with a digest in place of each join token: the id of an agent that joined by token holds it."""
    return _JOIN_TOKEN.sub(lambda match: f"{match[1]}sha256:{_digest(match[2])}", text)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def _broken_rule(text: str) -> SpiffeIdError:  # noqa: PLR0911 - a rule, a return
    """Why a text is no SPIFFE ID."""
    if not text:
        return SpiffeIdError("it is empty; a SPIFFE ID looks like spiffe://example.org/workload (SPIFFE-ID 2)")
    # SPIFFE-ID 2.3: at most 2048 bytes, scheme included.
    if len(text.encode(errors="surrogatepass")) > MAX_ID_BYTES:
        return SpiffeIdError(f"it is longer than {MAX_ID_BYTES} bytes (SPIFFE-ID 2.3)")
    # SPIFFE-ID 2: the scheme is «spiffe», and only lower case is generated.
    if not text.startswith(SCHEME):
        return SpiffeIdError(f"{text!r} does not start with {SCHEME} (SPIFFE-ID 2)")
    rest = text[len(SCHEME) :]
    # SPIFFE-ID 2.1, 2.2: a SPIFFE ID has no query and no fragment.
    for sign, name in (("?", "query"), ("#", "fragment")):
        if sign in rest:
            return SpiffeIdError(f"{text!r} has a {name}; a SPIFFE ID has none (SPIFFE-ID 2.2)")
    trust_domain, _slash, path = rest.partition("/")
    try:
        check_trust_domain(trust_domain)
    except SpiffeIdError as error:
        return error
    # SPIFFE-ID 2.2: segments of [a-zA-Z0-9.-_]; none is empty, «.» or «..»; no slash at the end.
    for segment in path.split("/"):
        if not segment:
            break
        if segment in {".", ".."}:
            return SpiffeIdError(f"the path {'/' + path!r} has the segment {segment!r} (SPIFFE-ID 2.2)")
        if not _SEGMENT.match(segment):
            return SpiffeIdError(
                f"the path segment {segment!r} may hold only letters, digits, dots, dashes and underscores "
                "(SPIFFE-ID 2.2)"
            )
    return SpiffeIdError(f"the path {'/' + path!r} has an empty segment or ends with a slash (SPIFFE-ID 2.2)")

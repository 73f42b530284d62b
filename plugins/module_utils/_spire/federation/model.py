# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Federation relationships as values: what the user wants, what the server has. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeId, SpiffeIdError

if TYPE_CHECKING:
    # At run time it would bring the library for certificates into every module that talks to a server.
    from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.wanted import Wanted

HTTPS_WEB = "https_web"
HTTPS_SPIFFE = "https_spiffe"
PROFILES = (HTTPS_WEB, HTTPS_SPIFFE)
HEALTHY, NO_BUNDLE, EXPIRED = "healthy", "no_bundle", "expired"
DIFFER, UNREACHABLE, NOT_PROBED = "bundles_differ", "unreachable", "not_probed"

MAX_URL = 2048

# Letters that a URL may have (RFC 3986, 2), so that the server shows it again as it was given.
_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+\Z")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z|[0-9A-Fa-f:.]+\Z")


@dataclass(frozen=True)
class Relationship:
    """From where, and how authenticated, the server fetches the bundle of another trust domain."""

    trust_domain: str
    bundle_endpoint_url: str
    bundle_endpoint_profile: str
    endpoint_spiffe_id: str = ""

    @property
    def endpoint_trust_domain(self) -> str | None:
        """Whose bundle authenticates the endpoint; none with the Web PKI."""
        return SpiffeId.parse(self.endpoint_spiffe_id).trust_domain if self.endpoint_spiffe_id else None

    def public(self) -> dict[str, Any]:
        return {
            "trust_domain": self.trust_domain,
            "bundle_endpoint_url": self.bundle_endpoint_url,
            "bundle_endpoint_profile": self.bundle_endpoint_profile,
            "endpoint_spiffe_id": self.endpoint_spiffe_id or None,
        }


def wanted_relationship(want: Wanted, item: Mapping[str, Any]) -> Relationship:
    """Check the fields of a relationship that must be there."""
    url, profile, spiffe_id = (
        item[name] for name in ("bundle_endpoint_url", "bundle_endpoint_profile", "endpoint_spiffe_id")
    )
    if not url:
        raise want.refused("bundle_endpoint_url", "it is missing. It says where the bundle is fetched from.")
    if not profile:
        # SPIFFE_Federation 5.2.3: the profile is configured, never guessed, and there is no falling back.
        raise want.refused("bundle_endpoint_profile", f"it is missing, and cannot be guessed: {' or '.join(PROFILES)}.")
    if profile == HTTPS_WEB and spiffe_id:
        raise want.refused(
            "endpoint_spiffe_id",
            "the profile is https_web, which authenticates the endpoint by its web certificate and looks at no SPIFFE "
            "ID. Leave it out, or set bundle_endpoint_profile to https_spiffe.",
        )
    if profile == HTTPS_SPIFFE:
        if not spiffe_id:
            raise want.refused(
                "endpoint_spiffe_id",
                "it is missing, and the profile is https_spiffe. It is the SPIFFE ID that the endpoint must show; that "
                f"of a SPIRE server is spiffe://{want.trust_domain}/spire/server.",
            )
        try:
            SpiffeId.parse(spiffe_id)
        except SpiffeIdError as error:
            raise want.refused("endpoint_spiffe_id", f"{error}.") from None
    return Relationship(want.trust_domain, _checked_url(want, url), profile, spiffe_id or "")


def _checked_url(want: Wanted, url: str) -> str:
    """Return the URL as the server keeps it. SPIFFE_Federation 5.1: https, a host, no user."""

    def refused(reason: str) -> InputError:
        return want.refused("bundle_endpoint_url", reason)

    if "@" in url.partition("//")[2].partition("/")[0]:
        # It may hold a password, so it is not repeated.
        raise refused("it has a user part before @, which a bundle endpoint must not have.")
    if len(url) > MAX_URL:
        raise refused(f"it is longer than {MAX_URL} characters.")
    if not _URL.match(url):
        raise refused(f"{url!r} holds a character that a URL cannot have. Encode it with percent signs.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise refused(f"{url!r} is no URL: {error}.") from None
    if parts.scheme != "https":
        raise refused(f"{url!r} does not start with https://. A bundle is fetched with TLS only.")
    if not host or not _HOST.match(host):
        raise refused(f"{url!r} names no host.")
    if port == 0:
        raise refused(f"{url!r} has the port 0; a port is 1 to 65535.")
    if parts.fragment or url.endswith("#"):
        raise refused(f"{url!r} has a fragment after #, which is never sent.")
    if re.search(r"%(?![0-9A-Fa-f]{2})", url):
        raise refused(f"{url!r} has a percent sign without two hexadecimal digits.")
    return "https" + url[len("https") :]

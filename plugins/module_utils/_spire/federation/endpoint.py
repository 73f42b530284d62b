# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a bundle endpoint serves now, believed only as its profile says. Changes nothing."""

from __future__ import annotations

import datetime
import http.client
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.document import (
    SPIFFE,
    BadBundle,
    read_document,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.model import HTTPS_WEB, Relationship
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import Expectation, judge, load_pem


@dataclass(frozen=True)
class Served:
    """The bundle that an endpoint serves, or why there is none."""

    bundle: Bundle | None = None
    error: str = ""


def fetch(relationship: Relationship, authorities: Bundle | None, timeout: float) -> Served:
    """Ask the endpoint of ``relationship``. ``authorities`` is the bundle of the endpoint's own trust domain.

    The profiles are never exchanged for each other (SPIFFE_Federation 5.2).
    """
    parts = urlsplit(relationship.bundle_endpoint_url)
    host, port = parts.hostname or "", parts.port or 443
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if relationship.bundle_endpoint_profile == HTTPS_WEB:
        status, body, error = _web(host, port, path, timeout)
    elif authorities is None:
        return Served(error=f"the server holds no bundle of {relationship.endpoint_trust_domain} to authenticate it")
    else:
        pems = [authority.pem for authority in authorities.x509_authorities]
        status, body, error = _spiffe(
            host, port, path, timeout, spiffe_id=relationship.endpoint_spiffe_id, authorities=pems
        )
    if error:
        return Served(error=error)
    if status != 200:
        return Served(error=f"it answered with HTTP {status}, not with a bundle")
    try:
        return Served(read_document(relationship.trust_domain, body, SPIFFE).bundle)
    except BadBundle as problem:
        return Served(error=f"what it serves is no bundle: {problem}")


def _web(host: str, port: int, path: str, timeout: float) -> tuple[int, str, str]:
    """Web PKI: a certificate for the host's name, by an authority that this host trusts."""
    connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read(probe.MAX_BODY).decode("utf-8", "replace"), ""
    except ssl.SSLCertVerificationError as error:
        return 0, "", f"its web certificate is not believed: {error.verify_message}"
    except ssl.SSLError as error:
        return 0, "", f"TLS failed: {(error.reason or str(error)).lower().replace('_', ' ')}"
    except TimeoutError:
        return 0, "", "no answer in time"
    except OSError as error:
        return 0, "", f"it cannot be reached: {error.strerror or error}"
    except http.client.HTTPException as error:
        return 0, "", f"it answered with something that is not HTTP ({type(error).__name__})"
    finally:
        connection.close()


def _spiffe(
    host: str, port: int, path: str, timeout: float, *, spiffe_id: str, authorities: Sequence[str]
) -> tuple[int, str, str]:
    """SPIFFE: an X509-SVID with exactly this SPIFFE ID, that leads to the bundle which the server holds."""
    seen = probe.probe(host, port, path=path, server_name=None if _is_address(host) else host, timeout=timeout)
    if not seen["chain"]:
        return 0, "", f"it cannot be reached: {seen['words']}"
    chain = [certificate for pem in seen["chain"] for certificate in load_pem(pem)]
    trusted = [certificate for pem in authorities for certificate in load_pem(pem)]
    judgement = judge(chain, Expectation(spiffe_id, trusted), datetime.datetime.now(datetime.timezone.utc))
    if not judgement.ok:
        return 0, "", f"its certificate is not believed: {'; '.join(judgement.problems)}"
    if seen["kind"] != probe.HTTP:
        return 0, "", seen["words"]
    return int(seen["status"]), str(seen["body"]), ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Trust bundles of other trust domains as values: what the user wants, and how a bundle is shown. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.document import (
    SPIFFE,
    BadBundle,
    read_document,
    spiffe_document,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.model import Bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import MAX_MESSAGE_BYTES
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import (
    SpiffeId,
    SpiffeIdError,
    trust_domain_of,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import is_authority, load_pem, spiffe_ids


@dataclass(frozen=True)
class Wanted:
    """A bundle that the user wants, or wants gone (then without a bundle)."""

    index: int
    trust_domain: str
    bundle: Bundle | None = None
    form: str = SPIFFE
    source: str = "bundle"
    option: str = "bundles"
    warnings: tuple[str, ...] = ()

    def where(self, name: str = "") -> str:
        place = f"{self.option}[{self.index}] ({self.trust_domain})"
        return f"{place}.{name}" if name else place

    def refused(self, name: str, reason: str) -> InputError:
        return InputError(f"{self.where(name)}: {reason}", index=self.index, field=name)


def wanted_names(items: Sequence[Mapping[str, Any]], option: str) -> list[Wanted]:
    """Check the trust domains of ``items``: each is one, and none is there twice."""
    seen: dict[str, int] = {}
    wanted = []
    for index, item in enumerate(items):
        try:
            name = trust_domain_of(item["trust_domain"])
        except SpiffeIdError as error:
            raise InputError(f"{option}[{index}].trust_domain: {error}", index=index, field="trust_domain") from None
        if name in seen:
            raise InputError(
                f"{option}[{index}].trust_domain: {name} is also {option}[{seen[name]}]. Name each once.",
                index=index,
                field="trust_domain",
            )
        seen[name] = index
        wanted.append(Wanted(index, name, option=option))
    return wanted


def wanted_bundle(want: Wanted, content: Any, source: str, form: str | None, now: datetime.datetime) -> Wanted:
    """Return ``one`` with the bundle that ``content`` is. ``source`` is the option that it came from."""
    if not isinstance(content, (str, Mapping)):
        raise want.refused(source, "it is neither text nor a JSON document.")
    try:
        document = read_document(want.trust_domain, content, form)
        whole = spiffe_document(document.bundle)
    except BadBundle as error:
        raise want.refused(source, f"{error}.") from None
    if not document.bundle.x509_authorities:
        raise want.refused(source, "it holds no X.509 authority. To trust the domain no longer, use state=absent.")
    if len(whole.encode()) > MAX_MESSAGE_BYTES:
        raise want.refused(source, f"it is larger than {MAX_MESSAGE_BYTES // 1024} KiB, more than a server takes.")
    warnings = [f"{want.where(source)}: {note}." for note in document.ignored]
    warnings += _judged(want, document.bundle, source, now)
    return Wanted(want.index, want.trust_domain, document.bundle, document.form, source, want.option, tuple(warnings))


def _judged(want: Wanted, bundle: Bundle, source: str, now: datetime.datetime) -> list[str]:
    """Refuse certificates that are no authority of this trust domain; warn of those that are not valid now."""
    warnings = []
    for number, authority in enumerate(bundle.x509_authorities):
        certificate = load_pem(authority.pem)[0]
        place = f"certificate {number + 1} ({authority.sha256[:16]}…)"
        if not is_authority(certificate):
            raise want.refused(source, f"{place} is no CA certificate, so that it cannot be an authority of a bundle.")
        # X509-SVID 3.2: the SPIFFE ID of an authority, when it has one, is that of its trust domain.
        foreign = [
            name for name in map(_trust_domain, spiffe_ids(certificate)) if name not in (None, want.trust_domain)
        ]
        if foreign:
            raise want.refused(
                source,
                f"{place} belongs to the trust domain {foreign[0]}. Bundles of different trust domains must not be "
                "mixed (SPIFFE_Federation 7.1): with it, that domain could speak for this one.",
            )
        if certificate.not_valid_after_utc <= now:
            warnings.append(f"{want.where(source)}: {place} expired at {time_text(certificate.not_valid_after_utc)}.")
        elif certificate.not_valid_before_utc > now:
            since = time_text(certificate.not_valid_before_utc)
            warnings.append(f"{want.where(source)}: {place} is valid only from {since} on.")
    return warnings


def _trust_domain(spiffe_id: str) -> str | None:
    try:
        return SpiffeId.parse(spiffe_id).trust_domain
    except SpiffeIdError:
        return None


def same_content(bundle: Bundle | None, other: Bundle | None) -> bool:
    """Whether two bundles hold the same authorities, in whatever order. Sequence and hint do not count.

    SPIRE drops the sequence number of what it fetches from a bundle endpoint, so that it cannot be compared.
    """
    if bundle is None or other is None:
        return bundle is other
    return _x509(bundle) == _x509(other) and _jwt(bundle) == _jwt(other)


def same_x509(bundle: Bundle, other: Bundle) -> bool:
    return _x509(bundle) == _x509(other)


def share_authority(bundle: Bundle, other: Bundle) -> bool:
    """Whether they have an X.509 authority in common."""
    return bool(_x509(bundle) & _x509(other))


def _x509(bundle: Bundle) -> set[str]:
    return {authority.sha256 for authority in bundle.x509_authorities}


def _jwt(bundle: Bundle) -> set[tuple[str, str]]:
    return {(authority.key_id, authority.sha256) for authority in bundle.jwt_authorities}


def public(bundle: Bundle) -> dict[str, Any]:
    """What a bundle holds, for results and the diff. In a fixed order, so that equal bundles look equal."""
    authorities = sorted(
        (
            _public_authority(authority.pem, authority.sha256, authority.tainted)
            for authority in bundle.x509_authorities
        ),
        key=_key,
    )
    ends = sorted(authority["not_after"] for authority in authorities)
    keys = [
        {
            "key_id": authority.key_id,
            "sha256": authority.sha256,
            "expires_at": authority.expires_at,
            "tainted": authority.tainted,
        }
        for authority in bundle.jwt_authorities
    ]
    return {
        "trust_domain": bundle.trust_domain,
        "sequence_number": bundle.sequence_number,
        "refresh_hint": bundle.refresh_hint,
        "x509_authorities": authorities,
        "jwt_authorities": sorted(keys, key=lambda key: str(key["key_id"])),
        "expiry": {"earliest": ends[0] if ends else None, "latest": ends[-1] if ends else None},
    }


def _public_authority(pem: str, sha256: str, tainted: bool) -> dict[str, Any]:
    certificate = load_pem(pem)[0]
    return {
        "sha256": sha256,
        "subject": certificate.subject.rfc4514_string(),
        "not_before": time_text(certificate.not_valid_before_utc),
        "not_after": time_text(certificate.not_valid_after_utc),
        "tainted": tainted,
    }


def _key(authority: Mapping[str, Any]) -> tuple[str, str]:
    return authority["not_before"], authority["sha256"]


def forms(bundle: Bundle) -> dict[str, Any]:
    """A bundle whole: what it holds, and its forms."""
    texts = {"pem": bundle.pem, "trusted_pem": bundle.trusted_pem, "spiffe": spiffe_document(bundle)}
    return {**public(bundle), **texts}


def valid_authorities(bundle: Bundle, now: datetime.datetime) -> int:
    """How many X.509 authorities are valid now."""
    certificates = [load_pem(authority.pem)[0] for authority in bundle.x509_authorities]
    return sum(authority.not_valid_before_utc <= now <= authority.not_valid_after_utc for authority in certificates)


def youngest(bundle: Bundle) -> datetime.datetime | None:
    """Since when the youngest X.509 authority is valid."""
    return max((load_pem(authority.pem)[0].not_valid_before_utc for authority in bundle.x509_authorities), default=None)


def time_text(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Whether a certificate should be believed: whose it is, who signed it, and for how long. Pure: no I/O, no Ansible."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError

try:
    import cryptography
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import Encoding
except ImportError as error:
    MISSING: str | None = str(error)
else:
    MISSING = None if hasattr(x509.Certificate, "not_valid_after_utc") else f"it is {cryptography.__version__}"

MAX_DEPTH = 8


@dataclass(frozen=True)
class Expectation:
    """What a certificate must fulfil."""

    spiffe_id: str
    authorities: Sequence[x509.Certificate]
    """The X.509 authorities of the trust bundle, as the server shows it now."""
    min_remaining: float = 0.0
    """Seconds of life that must be left."""
    foreign: Sequence[x509.Certificate] = ()
    """Roots that must not have signed it: istiod's."""
    foreign_name: str = "istiod"


@dataclass(frozen=True)
class Judgement:
    """What is wrong with a certificate (nothing, when it is to be believed), and what it says."""

    problems: tuple[str, ...]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.problems


def require_cryptography() -> None:
    """Raise when the library that reads certificates is not there, or too old."""
    if MISSING:
        raise TrustmeshError(
            f"The Python package cryptography 42 or later is needed where this runs: {MISSING}."
            " Install it for the Python named by ansible_python_interpreter."
        )


def load_pem(text: str) -> list[x509.Certificate]:
    """Read all certificates of a PEM text. Raises ValueError when there is none or one cannot be read."""
    return x509.load_pem_x509_certificates(text.encode())


def spiffe_ids(certificate: x509.Certificate) -> list[str]:
    """The URI SANs of a certificate. An X509-SVID has exactly one."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def sha256(certificate: x509.Certificate) -> str:
    """Digest over the DER form, as Envoy writes it into Hash= of x-forwarded-client-cert."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def judge(chain: Sequence[x509.Certificate], expected: Expectation, now: datetime.datetime) -> Judgement:
    """Judge a presented chain, leaf first, at the time ``now`` (with a time zone)."""
    if not chain:
        return Judgement(("no certificate was presented",))
    leaf, between = chain[0], chain[1:]
    problems: list[str] = []
    ids = spiffe_ids(leaf)
    if len(ids) != 1:
        problems.append(f"it carries {len(ids)} URI SANs, an X509-SVID carries exactly one")
    elif ids[0] != expected.spiffe_id:
        problems.append(f"it is {ids[0]}, expected {expected.spiffe_id}")
    if is_authority(leaf):
        problems.append("it is a CA certificate, a workload must present a leaf")
    remaining = (leaf.not_valid_after_utc - now).total_seconds()
    if now < leaf.not_valid_before_utc:
        problems.append(f"it is valid only from {_time(leaf.not_valid_before_utc)} on")
    if remaining <= 0:
        problems.append(f"it expired {-remaining:.0f} s ago")
    elif remaining < expected.min_remaining:
        problems.append(f"it lives only {remaining:.0f} s more, {expected.min_remaining:.0f} s are asked for")
    if not _leads_to(leaf, between, expected.authorities, now):
        problems.append(
            f"its chain does not lead to the trust bundle that the server shows now"
            f" ({len(expected.authorities)} authorities, its issuer is {_name(leaf.issuer)})"
        )
    ours = {sha256(authority) for authority in expected.authorities}
    others = [root for root in expected.foreign if sha256(root) not in ours]
    if _leads_to(leaf, between, others, now):
        problems.append(f"it was signed by {expected.foreign_name}")
    return Judgement(
        tuple(problems),
        {
            "spiffe_id": ids[0] if len(ids) == 1 else None,
            "serial": format(leaf.serial_number, "x"),
            "subject": _name(leaf.subject),
            "issuer": _name(leaf.issuer),
            "not_before": _time(leaf.not_valid_before_utc),
            "not_after": _time(leaf.not_valid_after_utc),
            "remaining_s": int(remaining),
            "sha256": sha256(leaf),
        },
    )


def _leads_to(
    certificate: x509.Certificate,
    between: Sequence[x509.Certificate],
    roots: Iterable[x509.Certificate],
    now: datetime.datetime,
    depth: int = 0,
) -> bool:
    """Whether a path of valid signatures leads from ``certificate`` over ``between`` to one of ``roots``.

    The time of the certificate in question is judged by the caller; each authority above it is judged here.
    """
    roots = list(roots)
    if any(_signed(certificate, root, now, depth) for root in roots):
        return True
    if depth >= MAX_DEPTH:
        return False
    return any(
        _signed(certificate, link, now, depth) and _leads_to(link, between, roots, now, depth + 1) for link in between
    )


def _signed(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime.datetime, below: int) -> bool:
    """Whether ``issuer`` may sign and did sign. ``below`` counts the intermediates between it and the leaf."""
    if not is_authority(issuer, below) or not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def is_authority(certificate: x509.Certificate, below: int = 0) -> bool:
    """Whether it may sign certificates, with ``below`` intermediates between it and the leaf."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    if not basic.ca or (basic.path_length is not None and basic.path_length < below):
        return False
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False


def _name(name: x509.Name) -> str:
    return name.rfc4514_string() or "(empty)"


def _time(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")

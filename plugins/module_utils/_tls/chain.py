# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Whether a certificate should be believed: whose it is, who signed it, and for how long. Pure: no I/O, no Ansible."""

from __future__ import annotations

import datetime
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError

try:
    import cryptography
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import verification
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    MISSING: str | None = str(error)
    UNREADABLE: tuple[type[Exception], ...] = (ValueError,)
    UNSIGNED: tuple[type[Exception], ...] = (ValueError,)
else:
    # How the library says that a certificate is none, or one of its parts.
    UNREADABLE = (
        ValueError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    )
    # How it says that one certificate was not signed by another.
    UNSIGNED = (*UNREADABLE, TypeError, InvalidSignature)
    MISSING = None if hasattr(verification, "ExtensionPolicy") else f"it is {cryptography.__version__}"

MAX_CERTIFICATES = 8
"""As many as are looked at. SPIRE presents a leaf and one certificate for each server above it."""


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
    dns_names: Sequence[str] = ()
    """Names that it must carry, beside its SPIFFE ID."""
    issuers: Sequence[x509.Certificate] | None = None
    """The CAs of which one must have signed it itself. None: whoever it is, above whom there is an authority."""
    not_issuers: Sequence[x509.Certificate] = ()
    """CAs that must not have signed it themselves, though they may be above the one who has: istiod's."""


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
            f"The Python package cryptography 45 or later is needed where this runs: {MISSING}."
            " Install it for the Python named by ansible_python_interpreter."
        )


def load_pem(text: str) -> list[x509.Certificate]:
    """Read all certificates of a PEM text. Raises ValueError when there is none or one cannot be read."""
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except UNREADABLE as error:
        raise ValueError(str(error)) from error


def spiffe_ids(certificate: x509.Certificate) -> list[str]:
    """The URI SANs of a certificate. An X509-SVID has exactly one."""
    try:
        names = _extension(certificate, x509.SubjectAlternativeName)
    except UNREADABLE:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []


def dns_names(certificate: x509.Certificate) -> list[str]:
    """The DNS names of a certificate, as it carries them beside its SPIFFE ID."""
    try:
        names = _extension(certificate, x509.SubjectAlternativeName)
    except UNREADABLE:
        return []
    return names.get_values_for_type(x509.DNSName) if names is not None else []


def sha256(certificate: x509.Certificate) -> str:
    """Digest over the DER form, as Envoy writes it into Hash= of x-forwarded-client-cert."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def judge(chain: Sequence[x509.Certificate], expected: Expectation, now: datetime.datetime) -> Judgement:
    """Judge a presented chain, leaf first, at the time ``now`` (with a time zone).

    By sections 2 to 5 of https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md, the path by RFC 5280.
    """
    if not chain:
        return Judgement(("no certificate was presented",))
    try:
        return _judge(chain, expected, now)
    except UNREADABLE as error:
        # A certificate is read bit by bit, and so are its faults found.
        return Judgement((f"it cannot be read: {str(error)[:200]}",))


def _judge(chain: Sequence[x509.Certificate], expected: Expectation, now: datetime.datetime) -> Judgement:
    leaf, between = chain[0], chain[1:]
    problems: list[str] = []
    ids = spiffe_ids(leaf)
    if len(ids) != 1:
        problems.append(f"it carries {len(ids)} URI SANs, an X509-SVID carries exactly one")
    elif ids[0] != expected.spiffe_id:
        problems.append(f"it is {ids[0]}, expected {expected.spiffe_id}")
    problems += [f"it does not carry the name {name}" for name in expected.dns_names if name not in dns_names(leaf)]
    problems += _no_leaf(leaf)
    remaining = (leaf.not_valid_after_utc - now).total_seconds()
    if now < leaf.not_valid_before_utc:
        problems.append(f"it is valid only from {_time(leaf.not_valid_before_utc)} on")
    if remaining <= 0:
        problems.append(f"it expired {-remaining:.0f} s ago")
    elif remaining < expected.min_remaining:
        problems.append(f"it lives only {remaining:.0f} s more, {expected.min_remaining:.0f} s are asked for")
    # The leaf's own time is judged above: what is asked here is who signed it, and whether they could at the time.
    at = min(max(now, leaf.not_valid_before_utc), leaf.not_valid_after_utc)
    if len(chain) > MAX_CERTIFICATES:
        problems.append(f"it came with {len(between)} more, at most {MAX_CERTIFICATES - 1} are looked at")
    elif why := _no_path(leaf, between, expected.authorities, at, ids[0] if ids else ""):
        problems.append(
            f"its chain does not lead to the trust bundle that the server shows now"
            f" ({len(expected.authorities)} authorities, its issuer is {_name(leaf.issuer)}): {why}"
        )
    ours = {sha256(authority) for authority in expected.authorities}
    others = [root for root in expected.foreign if sha256(root) not in ours]
    foreign = len(chain) <= MAX_CERTIFICATES and not _no_path(leaf, between, others, at, "")
    if foreign or any(_signed_by(leaf, one) for one in expected.not_issuers):
        problems.append(f"it was signed by {expected.foreign_name}")
    if expected.issuers is not None and not any(_signed_by(leaf, one) for one in expected.issuers):
        problems.append(f"it was not signed by {expected.foreign_name} itself, its issuer is {_name(leaf.issuer)}")
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


@dataclass(frozen=True)
class Presented:
    """A chain as a whole: what is wrong with its order (nothing, when it is right), and who signed what."""

    problem: str
    issuers: tuple[str, ...] = ()
    """The name of who signed each certificate, the leaf's first. The last one is the root."""
    root: x509.Certificate | None = None
    """The authority of the trust bundle that it ends in. A peer may present it, or leave it out."""


def presented(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> Presented:
    """Whether each certificate was signed by the one that follows it, and the last one is, or is signed by, a root."""
    if len(chain) > MAX_CERTIFICATES:
        return Presented(f"it has {len(chain)} certificates, more than {MAX_CERTIFICATES}")
    try:
        return _presented(chain, authorities)
    except UNREADABLE as error:
        return Presented(f"it cannot be read: {str(error)[:200]}")


def _presented(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> Presented:
    issuers: list[str] = []
    for number, (one, following) in enumerate(itertools.pairwise(chain), 1):
        if not _signed_by(one, following):
            return Presented(f"its certificate {number} ({_name(one.subject)}) was not signed by the one that follows")
        issuers.append(_name(one.issuer))
    last = chain[-1]
    roots = [root for root in authorities if sha256(root) == sha256(last)]
    if not roots:
        roots = [root for root in authorities if _signed_by(last, root)]
        issuers.append(_name(last.issuer))
    if not roots:
        return Presented(f"it ends in {_name(last.subject)}, signed by {_name(last.issuer)}: not in the trust bundle")
    return Presented("", tuple(issuers), roots[0])


def _signed_by(one: x509.Certificate, other: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(other)
    except UNSIGNED:
        return False
    return True


def has_name(certificate_name: str, wanted: str) -> bool:
    """Whether a name as ``issuers`` has it is the wanted one: the whole of it, or its common name or organization."""
    if certificate_name == wanted:
        return True
    try:
        parts = x509.Name.from_rfc4514_string(certificate_name)
    except ValueError:
        return False
    return any(part.value == wanted for part in parts if part.oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME))


def _no_leaf(leaf: x509.Certificate) -> list[str]:
    """What keeps a certificate from being a workload's (X509-SVID, 4.1, 4.3 and 4.4)."""
    try:
        basic = _extension(leaf, x509.BasicConstraints)
        usage = _extension(leaf, x509.KeyUsage)
        purposes = _extension(leaf, x509.ExtendedKeyUsage)
    except UNREADABLE as error:
        return [f"it has extensions that cannot be read: {error}"]
    problems = []
    if basic and basic.ca:
        problems.append("it is a CA certificate, a workload must present a leaf")
    if usage is None:
        problems.append("it does not say what its key is for (KeyUsage)")
    else:
        if not usage.digital_signature:
            problems.append("its key is not for signatures (digitalSignature)")
        if usage.key_cert_sign or usage.crl_sign:
            problems.append("its key is for signing certificates or revocation lists, a workload's must not be")
    wanted = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    if purposes is not None and not wanted <= set(purposes):
        problems.append("its extended key usage is not that of a server and a client (serverAuth, clientAuth)")
    return problems


def _no_path(
    leaf: x509.Certificate,
    between: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime.datetime,
    spiffe_id: str,
) -> str:
    """Why no path of valid signatures leads from ``leaf`` over ``between`` to one of ``roots``; empty when one does.

    The library bounds its search, whatever a peer presents, and refuses critical extensions that it does not know. With
    ``spiffe_id`` a signing certificate that has a SPIFFE ID must have that of the same trust domain.
    """
    if not roots:
        return "there is none"
    policy = verification.ExtensionPolicy.permit_all()
    agnostic = verification.Criticality.AGNOSTIC
    signing = (
        policy.require_present(x509.BasicConstraints, agnostic, None)
        .may_be_present(x509.KeyUsage, agnostic, _may_sign)
        .may_be_present(x509.SubjectAlternativeName, agnostic, _of_the_trust_domain(spiffe_id))
    )
    builder = (
        verification.PolicyBuilder().store(verification.Store(list(roots))).time(at).max_chain_depth(MAX_CERTIFICATES)
    )
    verifier = builder.extension_policies(ca_policy=signing, ee_policy=policy).build_client_verifier()
    try:
        verifier.verify(leaf, list(between))
    except (verification.VerificationError, TypeError) as error:
        return _first_line(error)
    except UNREADABLE as error:
        return _first_line(error)
    return ""


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def _may_sign(_policy: object, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if not _allows_signing(usage):
        raise ValueError("an authority's key must be for signing certificates (keyCertSign)")


def _allows_signing(usage: x509.KeyUsage | None) -> bool:
    """A key whose use is not said may be used for all."""
    return usage is None or usage.key_cert_sign


def _of_the_trust_domain(
    spiffe_id: str,
) -> Callable[[object, x509.Certificate, x509.SubjectAlternativeName | None], None]:
    """X509-SVID, 4.1 and 5.2: a signing certificate is of the trust domain itself, and so without a path."""
    trust_domain = "/".join(spiffe_id.split("/")[:3])

    def look(_policy: object, _certificate: x509.Certificate, names: x509.SubjectAlternativeName | None) -> None:
        uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None and trust_domain else []
        if any(uri.rstrip("/") != trust_domain for uri in uris):
            raise ValueError(f"an authority with the SPIFFE ID {uris[0][:80]} must not sign for {trust_domain}")

    return look


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    """An extension, or None. Raises ValueError when the extensions cannot be read."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def subject(certificate: x509.Certificate) -> str:
    """The name of a certificate."""
    try:
        return _name(certificate.subject)
    except UNREADABLE:
        return "(unreadable)"


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign certificates."""
    try:
        basic = _extension(certificate, x509.BasicConstraints)
        return basic is not None and basic.ca and _allows_signing(_extension(certificate, x509.KeyUsage))
    except UNREADABLE:
        return False


def _name(name: x509.Name) -> str:
    return name.rfc4514_string() or "(empty)"


def _time(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")

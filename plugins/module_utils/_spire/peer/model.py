# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a peer, a server of a trust domain that federates with ours, holds of ours, and what that means. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import WaitTimeout


@dataclass(frozen=True)
class Seen:
    """A peer's own trust domain, and what it holds of ours."""

    trust_domain: str
    authorities: frozenset[str] | None
    """The ids of the X.509 authorities in its bundle of our trust domain. None when it holds no such bundle."""
    related: bool = False
    """Whether it has a relationship with ours that was made through the API. Those of its own file are not told."""


def refusal(seen: Seen, own: str) -> str:
    """Why a peer can never get a new authority of the trust domain ``own``, or nothing."""
    if seen.trust_domain == own:
        return (
            f"it is a server of {own} itself, and not one of a trust domain that federates with it. Look at the "
            "connection: what a peer leaves out has its default, and not the value that the task has."
        )
    if seen.authorities is None:
        remedy = (
            "It has a relationship with it: have it fetch the bundle with spire_federation and refresh."
            if seen.related
            else "Make the relationship with spire_federation, or set the bundle with spire_bundle."
        )
        return (
            f"the server of {seen.trust_domain} holds no bundle of {own}, so that nobody of {own} is believed there. "
            f"{remedy} Or leave the peer out."
        )
    return ""


_STANDS = {"activate": "prepared and not activated", "taint": "not tainted", "revoke": "tainted and not revoked"}
_WHY = {
    "activate": "It would refuse what is signed from then on",
    "taint": "It would refuse everybody who renews",
    "revoke": "It would refuse everybody",
}


def not_held(
    late: Mapping[str, str], verb: str, authority_id: str, *, needed: str, own: str, seconds: int
) -> WaitTimeout:
    """The error for a step that must not be taken, since peers do not hold the authority that is ``needed`` for it.

    ``late`` has what is known of each such peer, by name.
    """
    name, said = next(iter(late.items()))
    more = f" (and {len(late) - 1} more, see peers_missing)" if len(late) > 1 else ""
    when = f" after {seconds} s" if seconds else ""
    return WaitTimeout(
        f"The authority {authority_id} is {_STANDS[verb]}: the peer {name}{more} does not hold {needed} in its bundle "
        f"of {own}{when}. {_WHY[verb]}, and with https_spiffe it could not even fetch the bundle any more. {said} Look "
        "at it there with spire_federation_info and probe. Have it fetch the bundle with spire_federation and refresh, "
        "or set the bundle with spire_bundle. Then run again, which goes on from here.",
        peers_missing=sorted(late),
    )

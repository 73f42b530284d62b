# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sidecar holds, and a certificate that nobody should believe."""

from __future__ import annotations

from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.foreign import foreign_identity


def test_the_foreign_identity_is_right_but_for_its_signer() -> None:
    identity = foreign_identity("spiffe://td/a")
    leaf, authority = chain.load_pem(identity.chain_pem)
    assert chain.spiffe_ids(leaf) == ["spiffe://td/a"]
    leaf.verify_directly_issued_by(authority)
    assert "PRIVATE" not in repr(identity)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sidecar holds, and a certificate that nobody should believe."""

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.certificates import active_certificate
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.foreign import foreign_identity


def dump(name: str, data: dict[str, str]) -> str:
    secret = {"name": name, "tls_certificate": {"certificate_chain": data, "private_key": {"inline_bytes": "W3J="}}}
    configs = [{"name": "ROOTCA", "secret": {"validation_context": {}}}, {"name": name, "secret": secret}]
    return json.dumps({"configs": configs})


def test_the_certificate_of_a_sidecar() -> None:
    text = dump("default", {"inline_bytes": base64.b64encode(b"PEM").decode()})
    assert active_certificate(text, "default") == "PEM"
    assert active_certificate(dump("default", {"inline_string": "PEM"}), "default") == "PEM"
    assert active_certificate(text, "other") is None


@pytest.mark.parametrize("text", ["", "{}", '{"configs": [{"name": "default"}]}', "[]"])
def test_a_dump_that_is_none(text: str) -> None:
    with pytest.raises(TrustmeshError, match="not as Envoy writes it"):
        active_certificate(text, "default")


def test_the_foreign_identity_is_right_but_for_its_signer() -> None:
    identity = foreign_identity("spiffe://td/a")
    leaf, authority = chain.load_pem(identity.chain_pem)
    assert chain.spiffe_ids(leaf) == ["spiffe://td/a"]
    leaf.verify_directly_issued_by(authority)
    assert "PRIVATE" not in repr(identity)

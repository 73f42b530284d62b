# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Envoy's dump of its secrets tells."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.proxies import (
    active_secrets,
    bundles_of,
    chain_of,
)


def dump(name: str, data: dict[str, str], rootca: dict[str, Any] | None = None) -> str:
    secret = {"name": name, "tls_certificate": {"certificate_chain": data, "private_key": {"inline_bytes": "W3J="}}}
    configs = [{"name": "ROOTCA", "secret": {"validation_context": rootca or {}}}, {"name": name, "secret": secret}]
    return json.dumps({"configs": configs})


def certificate(text: str, name: str) -> str | None:
    return chain_of(active_secrets(text).get(name))


def test_the_certificate_of_a_sidecar() -> None:
    text = dump("default", {"inline_bytes": base64.b64encode(b"PEM").decode()})
    assert certificate(text, "default") == "PEM"
    assert certificate(dump("default", {"inline_string": "PEM"}), "default") == "PEM"
    assert certificate(text, "other") is None
    assert certificate(f"2026-11-28T09:00:00Z info log\n{text}", "default") == "PEM"


@pytest.mark.parametrize("text", ["", "{}", '{"configs": [{"name": "default"}]}', "[]"])
def test_a_dump_that_is_none(text: str) -> None:
    with pytest.raises(TrustmeshError, match="not as Envoy writes it"):
        certificate(text, "default")


def test_bundles_are_told_apart_by_trust_domain() -> None:
    domains = [
        {"name": name, "trust_bundle": {"inline_bytes": base64.b64encode(name.encode()).decode()}}
        for name in ("foo.example", "bar.example")
    ]
    validator = {"name": "envoy.tls.cert_validator.spiffe", "typed_config": {"trust_domains": domains}}
    held = active_secrets(dump("default", {}, {"custom_validator_config": validator}))
    assert bundles_of(held["ROOTCA"]) == {"foo.example": "foo.example", "bar.example": "bar.example"}


def test_one_bundle_for_all_is_no_bundle_for_each() -> None:
    held = active_secrets(dump("default", {}, {"trusted_ca": {"inline_bytes": "UEVN"}}))
    assert bundles_of(held["ROOTCA"]) is None
    assert bundles_of(held.get("none")) == {}


def test_a_validator_that_is_none() -> None:
    held = active_secrets(dump("default", {}, {"custom_validator_config": {"typed_config": {"trust_domains": [{}]}}}))
    with pytest.raises(TrustmeshError, match="not as Envoy writes it"):
        bundles_of(held["ROOTCA"])

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers of a server, with what the hosts of an inventory have told."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.peers import (
    connections,
    health,
    peers,
)

TOLD: dict[str, Any] = {
    "bar": {
        "spire_server_bundle_endpoint_url": "https://192.0.2.2:8443",
        "spire_server_bundle_document": '{"keys": []}',
        "spire_server_connection": {"kubeconfig": "/bar", "context": "", "pod": "statefulset/spire-server"},
    },
    "new": {},
}
BAR = {"trust_domain": "bar.example", "host": "bar"}


def test_a_host_of_the_inventory_tells_the_rest() -> None:
    found = peers([BAR], TOLD)
    assert found["relationships"] == [
        {
            "trust_domain": "bar.example",
            "bundle_endpoint_url": "https://192.0.2.2:8443",
            "bundle_endpoint_profile": "https_spiffe",
            "endpoint_spiffe_id": "spiffe://bar.example/spire/server",
            "bundle": '{"keys": []}',
        }
    ]
    assert found["bundles"] == [{"trust_domain": "bar.example", "bundle": '{"keys": []}'}]
    assert found["named"] == [{"trust_domain": "bar.example"}]
    assert found["absent"] == found["faults"] == found["unknown"] == []


def test_what_is_said_counts_before_what_a_host_tells() -> None:
    said = {
        **BAR,
        "bundle_endpoint_url": "https://proxy.example",
        "bundle": "PEM",
        "endpoint_spiffe_id": "spiffe://x/y",
    }
    (relationship,) = peers([said], TOLD)["relationships"]
    assert relationship["bundle_endpoint_url"] == "https://proxy.example"
    assert relationship["endpoint_spiffe_id"] == "spiffe://x/y"
    assert peers([said], TOLD)["bundles"] == [{"trust_domain": "bar.example", "bundle": "PEM"}]


def test_a_web_endpoint_needs_no_bundle_and_has_no_spiffe_id() -> None:
    web = {"trust_domain": "web.example", "bundle_endpoint_url": "https://web", "bundle_endpoint_profile": "https_web"}
    found = peers([web], {})
    assert found["relationships"] == [web]
    assert found["bundles"] == found["unknown"] == []


def test_a_host_tells_of_which_kind_its_endpoint_is() -> None:
    told = {"bar": {**TOLD["bar"], "spire_server_bundle_endpoint_profile": "https_web"}}
    found = peers([BAR], told)
    assert found["relationships"] == [
        {
            "trust_domain": "bar.example",
            "bundle_endpoint_url": "https://192.0.2.2:8443",
            "bundle_endpoint_profile": "https_web",
        }
    ]
    assert found["bundles"] == []
    (proxied,) = peers([{**BAR, "bundle_endpoint_url": "https://proxy.example"}], told)["relationships"]
    assert proxied["bundle_endpoint_profile"] == "https_spiffe"


def test_one_that_goes_needs_nothing_but_its_name() -> None:
    found = peers([{"trust_domain": "bar.example", "host": "gone", "state": "absent"}], TOLD)
    assert found["absent"] == found["named"] == [{"trust_domain": "bar.example"}]
    assert found["relationships"] == found["unknown"] == []


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        (
            {"trust_domain": "new.example", "host": "new"},
            "bundle_endpoint_url and bundle is not known. new has not told",
        ),
        ({"trust_domain": "x.example", "bundle": "PEM"}, "bundle_endpoint_url is not known. Give it, or the host"),
        ({"trust_domain": "x.example", "bundle_endpoint_url": "https://x"}, "bundle is not known. Give it"),
    ],
)
def test_what_nobody_has_told(peer: dict[str, Any], words: str) -> None:
    (text,) = peers([peer], TOLD)["unknown"]
    assert words in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{"host": "bar"}], "spire_federation_peers[0]: trust_domain: "),
        ([{"trust_domain": "Bar"}], "spire_federation_peers[0]: trust_domain: "),
        ([BAR, BAR], "spire_federation_peers[1]: the trust domain bar.example is there twice"),
        ([{**BAR, "url": "x"}], "unknown field 'url'. Known: trust_domain, host"),
        ([{**BAR, "state": "gone"}], "state is 'gone', expected present or absent"),
        ([{**BAR, "bundle_endpoint_profile": "web"}], "expected https_spiffe or https_web"),
        (
            [{**BAR, "bundle_endpoint_profile": "https_web", "endpoint_spiffe_id": "spiffe://bar.example/x"}],
            "a web endpoint (https_web) has none",
        ),
    ],
)
def test_a_peer_that_cannot_be(given: list[dict[str, Any]], words: str) -> None:
    (text,) = peers(given, TOLD)["faults"]
    assert words in text


def test_how_peers_are_reached_that_hosts_have() -> None:
    given = [BAR, {"trust_domain": "new.example", "host": "new"}, {"trust_domain": "else.example"}]
    assert connections(given, TOLD) == [{"name": "bar", "kubeconfig": "/bar", "pod": "statefulset/spire-server"}]
    assert connections([{**BAR, "state": "absent"}], TOLD) == []


def test_what_is_wrong_is_one_line() -> None:
    wanted = [{"trust_domain": name} for name in ("a", "b", "c", "d")]
    found = [
        {"trust_domain": "a", "health": "unreachable", "error": "it is down"},
        {"trust_domain": "b", "health": "no_bundle", "error": None},
        {"trust_domain": "c", "health": "healthy", "error": None},
        {"trust_domain": "another", "health": "expired", "error": "long ago"},
    ]
    assert health(found, wanted) == [
        "a: unreachable: it is down",
        "b: no_bundle: no more is known",
        "d: no relationship: the server has made none yet",
    ]
    assert health(found, [{"trust_domain": "c"}]) == []


def test_relationships_as_resources_of_the_controller_manager() -> None:
    web = {"trust_domain": "a_b.example", "bundle_endpoint_url": "https://web", "bundle_endpoint_profile": "https_web"}
    gone = {"trust_domain": "gone.example", "state": "absent"}
    found = peers([BAR, web, gone], TOLD)
    assert [(item["metadata"]["name"], item["spec"]) for item in found["resources"]] == [
        (
            "bar.example",
            {
                "trustDomain": "bar.example",
                "bundleEndpointURL": "https://192.0.2.2:8443",
                "bundleEndpointProfile": {
                    "type": "https_spiffe",
                    "endpointSPIFFEID": "spiffe://bar.example/spire/server",
                },
            },
        ),
        (
            "a-b.example",
            {
                "trustDomain": "a_b.example",
                "bundleEndpointURL": "https://web",
                "bundleEndpointProfile": {"type": "https_web"},
            },
        ),
    ]
    assert [(item["kind"], item["metadata"]) for item in found["resources_absent"]] == [
        ("ClusterFederatedTrustDomain", {"name": "gone.example"})
    ]

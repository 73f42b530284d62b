# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains as a whole: what a TLS server presents, and what a proxy holds."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.certificates import (
    certificate_chain,
    peer_certificate,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.engine import Attempt
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.reading import read_checks, read_mesh
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import Cluster, World
from certificates import HOUR, NOW, Identity, issue
from tls_servers import Serve, answer

ID = "spiffe://example.org/a"
ROOT = issue("spiffe://example.org", ca=True, name="root")
INTERMEDIATE = issue("spiffe://example.org", by=ROOT, ca=True, name="SPIRE")
LEAF = issue(ID, hosts=["a.example.org"], by=INTERMEDIATE)
DIRECT = issue(ID, by=ROOT)
OTHER_ROOT = issue("spiffe://example.org", ca=True, name="root")
NEXT_ROOT = issue("spiffe://example.org", by=ROOT, ca=True, name="next root")


def presented(*identities: Identity, roots: Sequence[Identity] = (ROOT,)) -> chain.Presented:
    return chain.presented([one.certificate for one in identities], [root.certificate for root in roots])


@pytest.mark.parametrize(
    ("identities", "issuers"),
    [
        ((LEAF, INTERMEDIATE, ROOT), ("CN=SPIRE", "CN=root")),
        ((LEAF, INTERMEDIATE), ("CN=SPIRE", "CN=root")),
        ((DIRECT,), ("CN=root",)),
        ((DIRECT, ROOT), ("CN=root",)),
    ],
)
def test_a_chain_that_leads_to_the_root_whether_it_is_presented_or_not(
    identities: tuple[Identity, ...], issuers: tuple[str, ...]
) -> None:
    found = presented(*identities)
    assert (found.problem, found.issuers, found.root) == ("", issuers, ROOT.certificate)


@pytest.mark.parametrize(
    ("identities", "roots", "words"),
    [
        ((LEAF, ROOT, INTERMEDIATE), (ROOT,), "certificate 1 (CN=test) was not signed by the one that follows"),
        ((LEAF, INTERMEDIATE, OTHER_ROOT), (ROOT,), "certificate 2 (CN=SPIRE) was not signed by the one that follows"),
        ((LEAF, INTERMEDIATE, ROOT), (OTHER_ROOT,), "it ends in CN=root, signed by CN=root: not in the trust bundle"),
        ((LEAF,), (ROOT,), "it ends in CN=test, signed by CN=SPIRE: not in the trust bundle"),
        ((LEAF, INTERMEDIATE, ROOT, LEAF), (ROOT,), "certificate 3 (CN=root) was not signed by the one that follows"),
        ((LEAF,) * 9, (ROOT,), "it has 9 certificates, more than 8"),
        ((LEAF, INTERMEDIATE, ROOT), (), "not in the trust bundle"),
    ],
)
def test_a_chain_that_is_none(identities: tuple[Identity, ...], roots: tuple[Identity, ...], words: str) -> None:
    found = presented(*identities, roots=roots)
    assert words in found.problem
    assert found.root is None


def test_a_root_that_another_root_has_signed_is_the_end_where_it_is_in_the_bundle() -> None:
    leaf = issue(ID, by=NEXT_ROOT)
    assert presented(leaf, NEXT_ROOT, roots=(ROOT, NEXT_ROOT)).root == NEXT_ROOT.certificate
    assert presented(leaf, NEXT_ROOT, ROOT, roots=(ROOT, NEXT_ROOT)).root == ROOT.certificate


@pytest.mark.parametrize(
    ("name", "wanted", "has"),
    [
        ("CN=SPIRE,O=example.org", "SPIRE", True),
        ("CN=SPIRE,O=example.org", "example.org", True),
        ("CN=SPIRE,O=example.org", "CN=SPIRE,O=example.org", True),
        ("CN=SPIRE,O=example.org", "SPIR", False),
        ("2.5.4.5=SPIRE", "SPIRE", False),
        ("(empty)", "SPIRE", False),
    ],
)
def test_an_issuer_is_named_whole_or_by_a_part(name: str, wanted: str, has: bool) -> None:
    assert chain.has_name(name, wanted) is has


class Server:
    def bundle_pem(self) -> str:
        return ROOT.pem


class Proxy:
    """A pod whose Envoy holds a chain."""

    def __init__(self, pem: str) -> None:
        self.pem = pem
        self.asked: list[str] = []

    def run(self, argv: Sequence[str], _stdin: str | None = None, _timeout: float | None = None) -> Completed:
        self.asked = list(argv)
        held = {"certificate_chain": {"inline_bytes": base64.b64encode(self.pem.encode()).decode()}}
        dump = {"configs": [{"name": "default", "secret": {"tls_certificate": held}}]}
        return Completed(tuple(argv), 0, json.dumps(dump), "")


def tried(port: int = 1, proxy: Proxy | None = None, type: str = "certificate_chain", **fields: Any) -> Attempt:
    place = {"name": "a", "spiffe_id": ID, "address": f"127.0.0.1:{port}", "cluster": "one", "pod": "deploy/a"}
    mesh = read_mesh([place], {"one": "example.org"}, ["one"])
    (check,) = read_checks([{"name": "x", "type": type, "to": "a", **fields}], mesh)
    clusters = {"one": Cluster("kubectl", None, None, proxy)} if proxy else {}
    world = World(mesh=mesh, servers={"one": Server()}, clusters=clusters)  # type: ignore[dict-item]
    make = {"certificate_chain": certificate_chain, "peer_certificate": peer_certificate}[type]
    return make(world, check, {}, 1)


def test_what_a_server_presents_as_a_whole(serve: Serve) -> None:
    port = serve(LEAF, answer(b""), chain=INTERMEDIATE.pem + ROOT.pem)
    attempt = tried(port, length=3, issuers=["SPIRE", "root"])
    assert attempt.ok, attempt.observed
    assert (
        attempt.observed == "3 certificates: leaf, signed by CN=SPIRE, signed by CN=root, which is in the trust bundle"
    )
    assert attempt.details["issuers"] == ["CN=SPIRE", "CN=root"]
    assert attempt.details["root_sha256"] == chain.sha256(ROOT.certificate)
    assert tried(port).ok, "neither is asked for"
    for wrong in ({"length": 2}, {"issuers": ["root", "SPIRE"]}, {"issuers": ["SPIRE"]}):
        found = tried(port, **wrong)
        assert not found.ok
        assert "bundle_file_path" in found.hint
        assert found.observed.startswith("3 certificates: ")


def test_a_server_that_leaves_the_root_out_or_shows_another_one(serve: Serve) -> None:
    short = serve(LEAF, answer(b""), chain=INTERMEDIATE.pem)
    assert tried(short).ok
    assert tried(short, length=3).observed.startswith("2 certificates: ")
    muddled = serve(LEAF, answer(b""), chain=ROOT.pem + INTERMEDIATE.pem)
    assert not tried(muddled).ok, "a path leads to the root, and the order is wrong"
    assert "was not signed by the one that follows" in tried(muddled).observed
    forged = serve(issue(ID, by=OTHER_ROOT), answer(b""), chain=OTHER_ROOT.pem)
    assert "trust bundle" in tried(forged).observed
    assert not tried(forged).ok


def test_what_a_proxy_holds_as_a_whole() -> None:
    proxy = Proxy(LEAF.pem + INTERMEDIATE.pem + ROOT.pem)
    attempt = tried(proxy=proxy, secret="default", length=3)
    assert attempt.ok, attempt.observed
    assert (
        proxy.asked[-6:-1] == ["--container", "istio-proxy", "--", "pilot-agent", "request"]
        or "istio-proxy" in proxy.asked
    )
    assert "holds no certificate named 'other'" in tried(proxy=proxy, secret="other").observed
    old = issue(ID, by=INTERMEDIATE, begins=NOW - 2 * HOUR, ends=NOW - HOUR)
    assert "it expired" in tried(proxy=Proxy(old.pem + INTERMEDIATE.pem), secret="default").observed


def test_the_names_that_a_certificate_must_carry(serve: Serve) -> None:
    port = serve(LEAF, answer(b""), chain=INTERMEDIATE.pem)
    attempt = tried(port, type="peer_certificate", dns_names=["a.example.org"])
    assert attempt.ok
    assert ", named a.example.org, by SPIRE" in attempt.observed
    for other in ("b.example.org", "A.example.org", "example.org"):
        attempt = tried(port, type="peer_certificate", dns_names=["a.example.org", other])
        assert (attempt.ok, attempt.observed) == (False, f"it does not carry the name {other}")


def test_a_look_goes_to_another_port_where_one_is_said(serve: Serve) -> None:
    port = serve(LEAF, answer(b""), chain=INTERMEDIATE.pem)
    assert tried(1, type="peer_certificate", address=f"127.0.0.1:{port}").ok
    assert not tried(1, type="peer_certificate").ok

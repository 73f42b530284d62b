# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CA of an istiod, as its Secrets have it, above a SPIRE server."""

from __future__ import annotations

import base64
import re

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.codec import (
    pair_of_istio,
    read_pair,
    root_ids,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.model import Known
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.plan import (
    Folder,
    foreseen,
    plan_folder,
)
from certificates import NOW, Identity, issue

NAMES = ("certificate", "key", "root")
ROOT = issue(ca=True, name="root")
OWN = issue(ca=True, name="own", by=ROOT)
LIMITED = issue(ca=True, name="limited", by=ROOT, path_length=0)


def secret(**texts: str) -> dict[str, object]:
    """A Secret with these texts, whose names are written with an underscore for a dot and a dash for none."""
    return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}}


def of_istio(ca: Identity, *chain: Identity, root: Identity | None = None) -> dict[str, object]:
    texts = {"ca-cert.pem": ca.pem, "ca-key.pem": ca.key_pem}
    if chain:
        texts["cert-chain.pem"] = "".join(one.pem for one in chain)
    if root:
        texts["root-cert.pem"] = root.pem
    return secret(**texts)


def taken(live: dict[str, object]) -> Known:
    pair = pair_of_istio(live)
    assert pair is not None
    return read_pair(pair, NOW, NAMES)


def test_one_that_istiod_has_made_is_the_root_itself() -> None:
    known = taken(of_istio(ROOT))
    assert known.authority.self_signed
    assert known.pair.certificate == known.pair.bundle == ROOT.pem


def test_one_that_was_given_to_it_leads_to_its_root() -> None:
    known = taken(of_istio(OWN, OWN, ROOT, root=ROOT))
    assert not known.authority.self_signed
    assert known.pair.certificate == OWN.pem, "the root is in the bundle alone"
    assert known.pair.bundle == ROOT.pem
    between = issue(ca=True, name="between", by=ROOT)
    below = issue(ca=True, name="below", by=between)
    assert taken(of_istio(below, below, between, ROOT, root=ROOT)).pair.certificate == below.pem + between.pem


def test_the_form_of_cert_manager_is_read_too() -> None:
    known = taken(secret(**{"tls.crt": OWN.pem, "tls.key": OWN.key_pem, "ca.crt": ROOT.pem}))
    assert known.pair.certificate == OWN.pem
    assert known.pair.bundle == ROOT.pem


@pytest.mark.parametrize(
    "live", [{}, {"data": None}, secret(**{"root-cert.pem": ROOT.pem}), of_istio(ROOT) | secret(x="y")]
)
def test_without_a_key_there_is_no_ca(live: dict[str, object]) -> None:
    assert pair_of_istio(live) is None


def test_what_cannot_be_read_is_none() -> None:
    assert pair_of_istio({"data": {"ca-cert.pem": "%", "ca-key.pem": "%"}}) is None
    assert pair_of_istio(secret(**{"ca-cert.pem": "no certificate", "ca-key.pem": ROOT.key_pem})) is None


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (of_istio(LIMITED, root=ROOT), "it allows 0 CAs below itself (pathlen:0)"),
        (of_istio(issue(ca=True, by=issue(ca=True, path_length=1)), root=ROOT), "none of its roots"),
        (of_istio(issue(name="leaf", by=ROOT), root=ROOT), "it is no CA certificate"),
        (of_istio(Identity(OWN.certificate, ROOT.key), root=ROOT), "it is not the key of certificate"),
    ],
)
def test_one_that_cannot_stand_above_a_server_is_refused(live: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        taken(live)


def test_a_limit_further_above_counts_what_is_between() -> None:
    root = issue(ca=True, name="root", path_length=1)
    between = issue(ca=True, name="between", by=root)
    with pytest.raises(InputError, match=r"the CA above it, CN=root, allows 1 CAs"):
        taken(of_istio(between, root=root))
    root = issue(ca=True, name="root", path_length=2)
    assert taken(of_istio(issue(ca=True, name="between", by=root), root=root))


def test_it_is_taken_where_there_is_no_other_one() -> None:
    istio, other = taken(of_istio(ROOT)), taken(of_istio(OWN, root=ROOT))
    plan = plan_folder("present", Folder(), None, istio=istio)
    assert plan.folder == ["adopt"]
    assert foreseen(plan, Folder(), None, istio) == Folder(istio)
    assert "PRIVATE KEY" not in repr(plan)
    assert plan_folder("present", Folder(other), None, istio=istio).folder == []
    assert plan_folder("present", Folder(), other, istio=istio).folder == ["restore"]


def test_roots_are_compared_whatever_else_is_in_the_text() -> None:
    assert root_ids(f"# a comment\n{ROOT.pem}\n{OWN.pem}") == root_ids(OWN.pem) | root_ids(ROOT.pem)
    assert root_ids("") == set()

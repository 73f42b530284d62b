# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_authority where another trust domain federates: two real servers, of which one is rotated."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.codec import x509_by_id
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import (
    list_federated_bundles,
    set_federated_bundle,
    show_bundle,
)
from certificates import issue

from .authorities import Root, active, failure, id_of, options, run, slots, trusted, upstream_of, verbs
from .conftest import Server, calls, running_server, start_module, through, wait_until
from .federation import OTHER, Partner, federate, running_partner

STEPS = ["prepare", "activate", "taint", "revoke"]


@pytest.fixture
def partner() -> Iterator[Partner]:
    """The one that is rotated. Nobody asks for its bundle by itself in the time of a test: its hint is an hour."""
    with running_partner() as one:
        yield one


@pytest.fixture
def peer() -> Iterator[Server]:
    with running_server() as one:
        yield one


def peers(peer: Server, **more: Any) -> dict[str, Any]:
    return {"peers": [{"name": "shop", **peer.connection}], "peer_timeout": 60, **more}


def held(peer: Server) -> set[str]:
    """The ids of the authorities that the peer holds of the partner."""
    return {one for bundle in list_federated_bundles(peer.client) for one in x509_by_id(bundle)}


def give(peer: Server, document: str) -> None:
    """Set the bundle at the peer, as an operator does who got it by another way."""
    result, _bundle = set_federated_bundle(peer.client, OTHER, document)
    assert result.ok


def test_a_peer_fetches_the_new_authority_and_is_waited_for(partner: Partner, peer: Server) -> None:
    federate(peer, partner)
    old = active(partner.server)
    assert held(peer) == {old}
    wanted = {"state": "rotated", "authority_id": old}
    check = run(partner.server, check=True, **wanted, **peers(peer))
    assert (check["peers"], held(peer)) == ({}, {old})
    real = run(partner.server, **wanted, **peers(peer))
    for name in ("changed", "diff", "actions", "reason"):
        assert check[name] == real[name]
    assert verbs(real) == STEPS
    assert real["peers"]["shop"] < 20
    assert active(partner.server) in held(peer)
    assert trusted(partner.server) == 1
    # Nothing is left to do, and so nobody is asked.
    peer.stop()
    again = run(partner.server, **wanted, **peers(peer))
    assert (again["changed"], again["peers"]) == (False, {})


def test_a_peer_in_a_pod_of_another_cluster(partner: Partner, peer: Server, tmp_path: Path) -> None:
    federate(peer, partner)
    pod = {"kubeconfig": "/nonexistent/shop.kubeconfig", "context": "shop", "namespace": "trust", "pod": "spire-0"}
    one = {"name": "shop", **through(peer, tmp_path), **pod, "container": "server"}
    old = active(partner.server)
    real = run(partner.server, state="rotated", authority_id=old, peers=[one])
    assert (verbs(real), list(real["peers"])) == (STEPS, ["shop"])
    assert active(partner.server) in held(peer)
    # Each call, and nothing of the server that is rotated, went there.
    to_it = "--kubeconfig /nonexistent/shop.kubeconfig --context shop --namespace trust exec "
    assert all(call.startswith(to_it) for call in calls(tmp_path)), calls(tmp_path)
    assert {call.partition("-socketPath ")[2].split()[0] for call in calls(tmp_path)} == {peer.socket_path}


def test_nothing_is_signed_before_the_peer_believes_it(partner: Partner, peer: Server) -> None:
    # Without a relationship nothing brings the new authority but somebody's hand.
    give(peer, partner.bundle["spiffe"])
    old = active(partner.server)
    wanted = options(partner.server, state="rotated", authority_id=old, **peers(peer))
    with start_module("spire_authority", wanted) as module:
        wait_until("a new authority is prepared", lambda: "prepared" in slots(partner.server))
        # One that is stopped while it waits, and another one that goes on.
        module.kill()
    with start_module("spire_authority", wanted) as module:
        time.sleep(5)
        assert module.poll() is None
        assert active(partner.server) == old
        give(peer, partner.bundle["spiffe"])
        answer = json.loads(module.communicate()[0])
    assert verbs(answer) == STEPS[1:]
    assert answer["peers"]["shop"] >= 3
    assert active(partner.server) in held(peer)
    # It was rotated since, and the peer still has what it was given.
    assert old in held(peer)
    assert trusted(partner.server) == 1


def test_a_peer_that_goes_down_stops_the_rotation_before_it_is_cut_off(partner: Partner, peer: Server) -> None:
    give(peer, partner.bundle["spiffe"])
    old = active(partner.server)
    wanted = {"state": "rotated", "authority_id": old}
    with start_module("spire_authority", options(partner.server, **wanted, **peers(peer, peer_timeout=6))) as module:
        wait_until("a new authority is prepared", lambda: "prepared" in slots(partner.server))
        peer.stop()
        failed = json.loads(module.communicate()[0])
    prepared = slots(partner.server)["prepared"]["authority_id"]
    assert f"The authority {prepared} is prepared and not activated: the peer shop does not hold" in failed["msg"]
    assert "after 6 s" in failed["msg"]
    assert "spire_federation_info and probe" in failed["msg"]
    assert (failed["changed"], verbs(failed), failed["peers_missing"]) == (True, ["prepare"], ["shop"])
    assert active(partner.server) == old

    refused = failure(partner.server, **wanted, **peers(peer))
    assert refused["msg"].startswith("peers[0] (shop): ")
    assert not refused.get("changed")
    peer.start()
    late = failure(partner.server, **wanted, **peers(peer, peer_timeout=0))
    assert "Told to fetch it, it says: there is no federation relationship with trust domain" in late["msg"]
    assert (late["changed"], late["actions"], active(partner.server)) == (False, [], old)
    federate(peer, partner)
    assert verbs(run(partner.server, **wanted, **peers(peer))) == STEPS[1:]
    assert active(partner.server) in held(peer)


def test_a_peer_that_knows_nobody_here_is_refused_first(partner: Partner, peer: Server) -> None:
    wanted = {"state": "rotated", "authority_id": active(partner.server)}
    for check in (True, False):
        for state in (wanted, {"state": "prepared"}):
            message = failure(partner.server, check=check, **state, **peers(peer))["msg"]
            assert f"peers[0] (shop): the server of example.org holds no bundle of {OTHER}" in message
            assert "Make the relationship with spire_federation" in message
    message = failure(partner.server, **wanted, **peers(partner.server))["msg"]
    assert f"it is a server of {OTHER} itself" in message
    assert set(slots(partner.server)) == {"active"}


@pytest.mark.thorough
def test_single_steps_look_at_the_peers_before_each(partner: Partner, peer: Server) -> None:
    server, old = partner.server, active(partner.server)
    before = partner.bundle["spiffe"]
    give(peer, before)
    new = run(server, state="prepared", **peers(peer))["authorities"]["prepared"]["authority_id"]
    # Nothing is prepared any more by these, and still they end when it is known, and not before.
    failed = failure(server, state="prepared", wait=True, **peers(peer, peer_timeout=1))
    assert (failed["changed"], failed["peers_missing"]) == (False, ["shop"])
    assert "prepared and not activated" in failure(server, state="activated", authority_id=new, **peers(peer))["msg"]
    both = partner.bundle["spiffe"]
    give(peer, both)
    assert "shop" in run(server, state="prepared", wait=True, **peers(peer))["peers"]
    assert run(server, state="activated", authority_id=new, **peers(peer))["changed"]
    for state, stands in (("tainted", "not tainted"), ("revoked", "tainted and not revoked")):
        # Somebody has set the peer back to what it knew.
        give(peer, before)
        message = failure(server, state=state, authority_id=old, **peers(peer))["msg"]
        assert f"The authority {old} is {stands}: the peer shop does not hold {new}" in message
        give(peer, both)
        assert run(server, state=state, authority_id=old, **peers(peer))["changed"]
    assert held(peer) == {old, new}


def test_a_rotation_looks_at_the_peers_before_it_cuts_anybody_off(partner: Partner, peer: Server) -> None:
    server, old, before = partner.server, active(partner.server), partner.bundle["spiffe"]
    new = run(server, state="prepared")["authorities"]["prepared"]["authority_id"]
    run(server, state="activated", authority_id=new)
    give(peer, before)
    failed = failure(server, state="rotated", authority_id=old, **peers(peer, peer_timeout=0))
    assert f"The authority {old} is not tainted: the peer shop" in failed["msg"]
    assert not any(one.tainted for one in show_bundle(server.client).x509_authorities)
    # It still believes the old one, so it can fetch the bundle as long as that is there.
    federate(peer, partner)
    assert verbs(run(server, state="rotated", authority_id=old, **peers(peer))) == STEPS[2:]


def test_only_partners_that_are_not_waited_for_are_warned_of(partner: Partner, peer: Server) -> None:
    federate(peer, partner)
    for name in ("example.org", "third.example"):
        item = {"trustDomain": name, "bundleEndpointURL": f"https://{name}", "bundleEndpointProfile": "https_web"}
        partner.server.cli("federation", "create", "-data", "-", stdin=json.dumps({"federationRelationships": [item]}))
    wanted = {"state": "rotated", "authority_id": active(partner.server)}
    (alone,) = run(partner.server, check=True, **wanted)["warnings"]
    assert "federates with example.org, third.example, and" in str(alone)
    (warning,) = run(partner.server, check=True, **wanted, **peers(peer))["warnings"]
    assert "federates with third.example, and" in str(warning)
    partner.server.cli("federation", "delete", "-id", "spiffe://third.example")
    assert "warnings" not in run(partner.server, check=True, **wanted, **peers(peer))


def test_a_new_root_above_the_server_reaches_the_peer_before_it_signs(tmp_path: Path, peer: Server) -> None:
    root = Root(tmp_path, OTHER)
    first = root.put("first")
    with running_partner(plugins=root.plugin) as partner:
        server = partner.server
        federate(peer, partner)
        assert (upstream_of(server), held(peer)) == (first, {first})
        second = root.put("second")
        run(server, state="prepared", upstream_authority_id=second, wait=True, **peers(peer))
        assert held(peer) == {first, second}
        new = slots(server)["prepared"]["authority_id"]
        run(server, state="activated", authority_id=new, **peers(peer))
        step = {"type": "upstream", "authority_id": first, **peers(peer)}
        assert run(server, state="tainted", **step)["changed"]
        assert run(server, state="revoked", **step)["changed"]
        third = root.put("third")
        real = run(server, type="upstream", state="rotated", authority_id=second, **peers(peer))
        assert verbs(real) == STEPS
        assert third in held(peer)


def test_an_authority_below_the_root_is_in_no_bundle(tmp_path: Path, peer: Server) -> None:
    above = issue(f"spiffe://{OTHER}", ca=True, name="root")
    below = issue(f"spiffe://{OTHER}", ca=True, name="intermediate", by=above)
    (tmp_path / "tls.crt").write_text(below.pem)
    (tmp_path / "tls.key").write_text(below.key_pem)
    (tmp_path / "ca.crt").write_text(above.pem)
    paths = {"cert": "tls.crt", "key": "tls.key", "bundle": "ca.crt"}
    data = " ".join(f'{name}_file_path = "{tmp_path}/{file}"' for name, file in paths.items())
    with running_partner(plugins=f'UpstreamAuthority "disk" {{ plugin_data {{ {data} }} }}') as partner:
        federate(peer, partner)
        assert held(peer) == {id_of(above)}
        message = failure(partner.server, state="prepared", **peers(peer))["msg"]
        assert f"the authority {id_of(below)} is not in the server's own bundle" in message
        assert set(slots(partner.server)) == {"active"}

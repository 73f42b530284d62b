# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_bundle and spire_bundle_info against real servers of two trust domains."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import create_entries, list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from certificates import HOUR, NOW, issue

from .conftest import TRUST_DOMAIN, Server, run_module, run_playbook, running_server
from .federation import OTHER


@pytest.fixture(scope="module")
def partner() -> Iterator[Server]:
    with running_server(trust_domain=OTHER) as one:
        yield one


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


def run(server: Server, bundles: list[dict[str, Any]], check: bool = False, **options: Any) -> dict[str, Any]:
    result = run_module("spire_bundle", {**server.connection, "bundles": bundles, **options}, check=check)
    assert not result.get("failed"), result
    return result


def refused(server: Server, bundles: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    result = run_module("spire_bundle", {**server.connection, "bundles": bundles, **options})
    assert result.get("failed"), result
    return result


def info(server: Server, **options: Any) -> dict[str, Any]:
    result = run_module("spire_bundle_info", {**server.connection, **options})
    assert not result.get("failed"), result
    return result


def predicted(result: dict[str, Any]) -> tuple[Any, ...]:
    return result["changed"], result["diff"], result["actions"], result["bundles"]


def held(server: Server) -> dict[str, dict[str, Any]]:
    return {one["trust_domain"]: one for one in info(server)["federated_bundles"]}


def federating(server: Server, name: str, *trust_domains: str) -> Entry:
    """An entry that federates with these trust domains."""
    entry = Entry(
        f"spiffe://{TRUST_DOMAIN}/{name}",
        f"spiffe://{TRUST_DOMAIN}/node",
        (f"unix:user:{name}",),
        entry_id=name,
        federates_with=trust_domains,
    )
    (results,) = create_entries(server.client, [entry])
    assert results[0].ok, results
    return entry


@pytest.mark.parametrize("form", ["pem", "spiffe"])
def test_life_of_a_bundle(server: Server, partner: Server, form: str) -> None:
    own = info(partner, federated=False)
    assert "federated_bundles" not in own
    wanted = [{"trust_domain": OTHER, "bundle": own["bundle"][form]}]

    check = run(server, wanted, check=True)
    assert check["changed"]
    assert held(server) == {}
    real = run(server, wanted)
    assert predicted(check) == predicted(real)
    assert real["actions"] == [{"verb": "set_bundle", "id": OTHER}]
    stored = held(server)[OTHER]
    assert [one["sha256"] for one in stored["x509_authorities"]] == [
        one["sha256"] for one in own["bundle"]["x509_authorities"]
    ]
    assert real["bundles"] == [{name: stored[name] for name in real["bundles"][0]}]
    assert bool(stored["jwt_authorities"]) == (form == "spiffe")
    assert stored["pem"] == own["bundle"]["pem"]

    again = run(server, wanted)
    assert (again["changed"], again["actions"]) == (False, [])

    gone = [{"trust_domain": f"spiffe://{OTHER}"}]
    check = run(server, gone, check=True, state="absent")
    assert OTHER in held(server)
    real = run(server, gone, state="absent")
    assert predicted(check) == predicted(real)
    assert held(server) == {}
    assert not run(server, gone, state="absent")["changed"]


def test_a_bundle_is_compared_by_what_it_holds(server: Server, partner: Server) -> None:
    own = info(partner)["bundle"]
    run(server, [{"trust_domain": OTHER, "bundle": own["spiffe"]}])
    document = json.loads(own["spiffe"])
    shuffled = {"keys": list(reversed(document["keys"])), "spiffe_sequence": document["spiffe_sequence"] + 5}
    same = [
        json.dumps(shuffled),
        shuffled,
        "a text before\n" + own["pem"].replace("\n", "\r\n"),
        own["pem"] + own["pem"],
    ]
    for bundle in same:
        assert not run(server, [{"trust_domain": OTHER, "bundle": bundle}])["changed"]
    # PEM says nothing of JWT keys: they are still there after the X.509 authorities changed.
    authority = issue(f"spiffe://{OTHER}", ca=True)
    changed = run(server, [{"trust_domain": OTHER, "bundle": own["pem"] + authority.pem}])
    assert changed["changed"]
    stored = held(server)[OTHER]
    assert len(stored["x509_authorities"]) == 2
    assert [key["sha256"] for key in stored["jwt_authorities"]] == [key["sha256"] for key in own["jwt_authorities"]]
    assert stored["sequence_number"] == own["sequence_number"]
    before, after = (changed["diff"][side]["bundles"][OTHER] for side in ("before", "after"))
    assert (len(before["x509_authorities"]), len(after["x509_authorities"])) == (1, 2)
    assert after["expiry"]["earliest"] <= before["expiry"]["earliest"]


def test_sequence_numbers_do_not_go_back_by_accident(server: Server, partner: Server) -> None:
    document = json.loads(info(partner)["bundle"]["spiffe"])
    run(server, [{"trust_domain": OTHER, "bundle": {**document, "spiffe_sequence": 7}}])
    certificates = [key for key in document["keys"] if key["use"] == "x509-svid"]
    older = [{"trust_domain": OTHER, "bundle": {"keys": certificates, "spiffe_sequence": 6}}]
    result = refused(server, older)
    assert "the sequence number 6, and the server holds 7" in result["msg"]
    assert "allow_older" in result["msg"]
    assert held(server)[OTHER]["sequence_number"] == 7
    assert run(server, older, allow_older=True)["changed"]
    assert held(server)[OTHER]["sequence_number"] == 6


def test_files_and_several_bundles_at_once(server: Server, partner: Server, tmp_path: Path) -> None:
    own = info(partner)["bundle"]
    (tmp_path / "partner.json").write_text(own["spiffe"])
    expired = issue("spiffe://supplier.example", ca=True, begins=NOW - 2 * HOUR, ends=NOW - HOUR)
    future = issue(ca=True, begins=NOW + HOUR, ends=NOW + 2 * HOUR)
    (tmp_path / "supplier.pem").write_text(expired.pem + future.pem)
    result = run(
        server,
        [
            {"trust_domain": OTHER, "src": str(tmp_path / "partner.json")},
            {"trust_domain": "supplier.example", "src": str(tmp_path / "supplier.pem"), "format": "pem"},
        ],
    )
    assert sorted(held(server)) == [OTHER, "supplier.example"]
    assert len(result["warnings"]) == 2
    assert "bundles[1] (supplier.example).src: certificate 1" in str(result["warnings"][0])
    assert "expired at" in str(result["warnings"][0])
    assert "is valid only from" in str(result["warnings"][1])


def test_deleting_a_bundle_that_entries_federate_with(server: Server, partner: Server) -> None:
    own = info(partner)["bundle"]["spiffe"]
    third = issue("spiffe://third.example", ca=True).pem
    run(server, [{"trust_domain": OTHER, "bundle": own}, {"trust_domain": "third.example", "bundle": third}])
    federating(server, "both", OTHER, "third.example")
    federating(server, "one", OTHER)
    gone = [{"trust_domain": OTHER}]

    result = refused(server, gone, state="absent")
    assert f"bundles[0] ({OTHER}).trust_domain: 2 registration entries federate with it" in result["msg"]
    assert f"spiffe://{TRUST_DOMAIN}/both (entry both)" in result["msg"]
    assert OTHER in held(server)

    result = refused(server, gone, state="absent", delete_mode="delete")
    assert "acknowledge_entry_deletion" in result["msg"]

    check = run(server, gone, check=True, state="absent", delete_mode="dissociate")
    real = run(server, gone, state="absent", delete_mode="dissociate")
    assert predicted(check) == predicted(real)
    assert real["diff"]["before"]["entries"]["both"]["federates_with"] == [OTHER, "third.example"]
    after = {entry.entry_id: list(entry.federates_with) for entry in list_entries(server.client)}
    assert after == {"both": ["third.example"], "one": []}
    assert {name: one["federates_with"] for name, one in real["diff"]["after"]["entries"].items()} == after

    options = {"state": "absent", "delete_mode": "delete", "acknowledge_entry_deletion": True}
    gone = [{"trust_domain": "third.example"}]
    check = run(server, gone, check=True, **options)
    real = run(server, gone, **options)
    assert predicted(check) == predicted(real)
    assert list(real["diff"]["before"]["entries"]) == ["both"]
    assert real["diff"]["after"]["entries"] == {}
    assert [entry.entry_id for entry in list_entries(server.client)] == ["one"]


@pytest.mark.parametrize("options", [{}, {"state": "absent"}])
def test_the_own_trust_domain_is_never_touched(server: Server, options: dict[str, Any]) -> None:
    before = info(server)["bundle"]
    bundles = [
        {"trust_domain": OTHER, "bundle": issue(ca=True).pem},
        {"trust_domain": TRUST_DOMAIN, "bundle": before["pem"]},
    ]
    result = refused(server, bundles, **options)
    assert (
        f"bundles[1] ({TRUST_DOMAIN}).trust_domain: {TRUST_DOMAIN} is the trust domain of this server" in result["msg"]
    )
    assert (info(server)["bundle"], held(server)) == (before, {})


def test_deleting_warns_of_the_relationship_that_stays(server: Server) -> None:
    bundle = issue(f"spiffe://{OTHER}", ca=True).pem
    run(server, [{"trust_domain": OTHER, "bundle": bundle}])
    url = "https://127.0.0.1:1/"
    words = ["-trustDomain", OTHER, "-bundleEndpointURL", url, "-bundleEndpointProfile", "https_web"]
    server.cli("federation", "create", *words)
    words = ["-trustDomain", "third.example", "-bundleEndpointURL", url, "-bundleEndpointProfile", "https_spiffe"]
    server.cli("federation", "create", *words, "-endpointSpiffeID", f"spiffe://{OTHER}/spire/server")
    warnings = run(server, [{"trust_domain": OTHER}], state="absent")["warnings"]
    assert "the federation relationship with it stays" in str(warnings[0])
    assert "third.example is authenticated with this bundle" in str(warnings[1])


CA = issue("spiffe://partner.example", ca=True)
LEAF = issue("spiffe://partner.example/x")
NO_CALL: list[tuple[list[dict[str, Any]], str]] = [
    ([{"trust_domain": "Partner", "bundle": CA.pem}], "bundles[0].trust_domain: the trust domain 'Partner'"),
    ([{"trust_domain": "", "bundle": CA.pem}], "bundles[0].trust_domain: the trust domain is empty"),
    ([{"trust_domain": "spiffe://a/b", "bundle": CA.pem}], "has a path"),
    ([{"trust_domain": "a:8443", "bundle": CA.pem}], "has a port"),
    ([{"trust_domain": OTHER, "bundle": CA.pem}, {"trust_domain": f"spiffe://{OTHER}"}], "is also bundles[0]"),
    ([{"trust_domain": OTHER}], f"bundles[0] ({OTHER}).bundle: neither bundle nor src"),
    ([{"trust_domain": OTHER, "bundle": CA.pem, "src": "/x"}], "both given"),
    ([{"trust_domain": OTHER, "src": "/nonexistent"}], "/nonexistent cannot be read: No such file"),
    ([{"trust_domain": OTHER, "src": "/tmp"}], "cannot be read: Is a directory"),
    ([{"trust_domain": OTHER, "src": sys.executable}], "is no text"),
    ([{"trust_domain": OTHER, "bundle": ""}], "holds no PEM block"),
    ([{"trust_domain": OTHER, "bundle": "none"}], "holds no PEM block"),
    ([{"trust_domain": OTHER, "bundle": 7}], "neither text nor a JSON document"),
    ([{"trust_domain": OTHER, "bundle": CA.pem[:200]}], "cannot be read"),
    ([{"trust_domain": OTHER, "bundle": CA.pem.replace("CERTIFICATE", "CERTIFICATE REQUEST")}], "CERTIFICATE REQUEST"),
    ([{"trust_domain": OTHER, "bundle": CA.pem + CA.pem[:100]}], "begins 2 CERTIFICATE blocks, and 1 can be read"),
    ([{"trust_domain": OTHER, "bundle": LEAF.pem}], "certificate 1"),
    ([{"trust_domain": OTHER, "bundle": CA.pem + LEAF.pem}], "is no CA certificate"),
    ([{"trust_domain": "q.example", "bundle": CA.pem}], f"belongs to the trust domain {OTHER}"),
    ([{"trust_domain": OTHER, "bundle": CA.pem, "format": "spiffe"}], "it is not JSON (line 1"),
    ([{"trust_domain": OTHER, "bundle": {"keys": []}, "format": "pem"}], "the content is a JSON document"),
    ([{"trust_domain": OTHER, "bundle": "{"}], "it is not JSON"),
    ([{"trust_domain": OTHER, "bundle": {}}], "no list «keys»"),
    ([{"trust_domain": OTHER, "bundle": {"keys": {}}}], "no list «keys»"),
    ([{"trust_domain": OTHER, "bundle": {"keys": ["x"]}}], "keys[0] is not a JSON Web Key"),
    ([{"trust_domain": OTHER, "bundle": {"keys": []}}], "holds no X.509 authority"),
    ([{"trust_domain": OTHER, "bundle": {"keys": [{"use": "x509-svid", "x5c": []}]}}], "exactly one certificate"),
    ([{"trust_domain": OTHER, "bundle": {"keys": [{"use": "x509-svid", "x5c": ["AAAA"]}]}}], "x5c is no certificate"),
    ([{"trust_domain": OTHER, "bundle": {"keys": [{"use": "jwt-svid", "kty": "EC"}]}}], "has a key id"),
    ([{"trust_domain": OTHER, "bundle": {"keys": [{"use": "jwt-svid", "kid": "a", "kty": "OKP"}]}}], "no public key"),
    ([{"trust_domain": OTHER, "bundle": {"keys": [], "spiffe_sequence": -1}}], "spiffe_sequence is no number"),
    ([{"trust_domain": OTHER, "bundle": {"keys": [], "spiffe_refresh_hint": "5"}}], "spiffe_refresh_hint is no number"),
    ([{"trust_domain": OTHER, "bundel": CA.pem}], "bundles[0]: "),
]


@pytest.mark.parametrize(("bundles", "words"), NO_CALL)
def test_bad_input_is_refused_before_the_server_is_asked(bundles: list[dict[str, Any]], words: str) -> None:
    result = run_module("spire_bundle", {"binary": "/nonexistent/spire-server", "bundles": bundles})
    assert result["failed"]
    assert words in result["msg"]


PRIVATE = issue("spiffe://partner.example", ca=True)
JWK = {"kty": "EC", "use": "jwt-svid", "kid": "k", "crv": "P-256", "x": "AA", "y": "AA", "d": "c2VjcmV0LWtleQ"}


@pytest.mark.parametrize(
    ("bundle", "secret"),
    [
        (PRIVATE.pem + PRIVATE.key_pem, PRIVATE.key_pem.splitlines()[1]),
        ({"keys": [JWK]}, JWK["d"]),
        (json.dumps({"keys": [JWK]}), JWK["d"]),
        (json.dumps({"keys": [JWK]})[:-3], JWK["d"]),
    ],
    # Tests that run side by side are told apart by their names, which a key that is made anew each time would change.
    ids=["pem", "data", "json", "cut"],
)
def test_a_private_key_is_refused_and_never_shown(bundle: Any, secret: str, tmp_path: Path) -> None:
    bundles = [{"trust_domain": OTHER, "bundle": bundle}]
    result = run_module("spire_bundle", {"binary": "/nonexistent/spire-server", "bundles": bundles})
    assert "it holds a private key" in result["msg"]
    assert secret not in json.dumps(result)
    file = tmp_path / "bundle"
    file.write_text(bundle if isinstance(bundle, str) else json.dumps(bundle))
    bundles = [{"trust_domain": OTHER, "src": str(file)}]
    result = run_module("spire_bundle", {"binary": "/nonexistent/spire-server", "bundles": bundles})
    assert "it holds a private key" in result["msg"]
    assert secret not in json.dumps(result)


def test_no_output_of_ansible_holds_a_private_key_and_json_survives_templating(
    server: Server, partner: Server, tmp_path: Path
) -> None:
    (tmp_path / "key.pem").write_text(PRIVATE.pem + PRIVATE.key_pem)
    there = {"socket_path": server.socket_path}
    tasks = [
        {"trustmesh.spiffe.spire_bundle_info": {"socket_path": partner.socket_path}, "register": "partner"},
        {
            "trustmesh.spiffe.spire_bundle": {
                **there,
                "bundles": [{"trust_domain": OTHER, "bundle": "{{ partner.bundle.spiffe }}"}],
            }
        },
        {
            "trustmesh.spiffe.spire_bundle": {
                **there,
                "bundles": [{"trust_domain": OTHER, "bundle": f"{{{{ lookup('file', '{tmp_path}/key.pem') }}}}"}],
            },
            "register": "refused",
            "failed_when": "'holds a private key' not in refused.msg",
        },
    ]
    defaults = {"group/trustmesh.spiffe.spire": {"binary": server.connection["binary"]}}
    output = run_playbook(tasks, tmp_path, "-vvvv", "--diff", module_defaults=defaults)
    assert OTHER in held(server)
    assert PRIVATE.key_pem.splitlines()[1] not in output


def test_a_server_that_is_gone_is_a_failure(server: Server) -> None:
    server.stop()
    result = refused(server, [{"trust_domain": OTHER, "bundle": CA.pem}])
    assert "Reading the trust bundle failed" in result["msg"]


def test_nothing_to_do_asks_nobody() -> None:
    result = run_module("spire_bundle", {"binary": "/nonexistent/spire-server", "bundles": []})
    assert not result.get("failed")
    assert not result["changed"]

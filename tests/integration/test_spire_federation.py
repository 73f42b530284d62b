# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_federation and spire_federation_info: real servers that federate, and a real web site with a bundle."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import delete_federated_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import create_entries, delete_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.model import Entry
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.client import list_relationships
from certificates import issue

from .conftest import TRUST_DOMAIN, Server, binary, run_module, running_server, wait_until
from .federation import ENDPOINT_ID, OTHER, Partner, Site, running_partner, running_site


@pytest.fixture
def partner() -> Iterator[Partner]:
    with running_partner() as one:
        yield one


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


def call(server: Server, relationships: list[dict[str, Any]], check: bool = False, **options: Any) -> dict[str, Any]:
    return run_module("spire_federation", {**server.connection, "relationships": relationships, **options}, check=check)


def run(server: Server, relationships: list[dict[str, Any]], check: bool = False, **options: Any) -> dict[str, Any]:
    result = call(server, relationships, check=check, **options)
    assert not result.get("failed"), result
    return result


def refused(server: Server, relationships: list[dict[str, Any]], **options: Any) -> str:
    result = call(server, relationships, **options)
    assert result.get("failed"), result
    return str(result["msg"])


def health(server: Server, **options: Any) -> list[dict[str, Any]]:
    result = run_module("spire_federation_info", {**server.connection, **options})
    assert not result.get("failed"), result
    assert not result["changed"]
    return list(result["relationships"])


def predicted(result: dict[str, Any]) -> tuple[Any, ...]:
    return result["changed"], result["diff"], result["actions"], result["relationships"], result.get("warnings")


def fingerprints(bundle: dict[str, Any] | None) -> set[str]:
    return {one["sha256"] for one in (bundle or {"x509_authorities": []})["x509_authorities"]}


def held(server: Server) -> dict[str, Any]:
    result = run_module("spire_bundle_info", server.connection)
    return {one["trust_domain"]: one for one in result["federated_bundles"]}


def test_life_of_a_relationship(server: Server, partner: Partner) -> None:
    wanted = [partner.item(bundle=partner.bundle["spiffe"])]
    check = run(server, wanted, check=True, refresh=True)
    assert check["changed"]
    assert (list_relationships(server.client), held(server)) == ([], {})
    real = run(server, wanted, refresh=True)
    assert predicted(check) == predicted(real)
    assert [step["verb"] for step in real["actions"]] == ["set_bundle", "create", "refresh"]
    assert real["diff"]["after"]["bundles"][OTHER]["refresh_hint"] == 3600
    assert [one.public() for one in list_relationships(server.client)] == real["relationships"]
    # The bundle is there when the task ends, so an entry may federate at once.
    entry = Entry(f"spiffe://{TRUST_DOMAIN}/w", f"spiffe://{TRUST_DOMAIN}/n", ("unix:uid:0",), federates_with=(OTHER,))
    (results,) = create_entries(server.client, [entry])
    assert results[0].ok

    for refresh in (False, True):
        again = run(server, wanted, refresh=refresh)
        assert not again["changed"]
        assert again["diff"] == {side: {"relationships": {}, "bundles": {}} for side in ("before", "after")}

    gone = [{"trust_domain": OTHER}]
    message = refused(server, gone, state="absent", delete_bundles=True)
    assert "1 registration entries federate with it" in message
    assert list_relationships(server.client)
    list(delete_entries(server.client, [results[0].entry_id]))
    check = run(server, gone, check=True, state="absent", delete_bundles=True)
    real = run(server, gone, state="absent", delete_bundles=True)
    assert predicted(check) == predicted(real)
    assert [step["verb"] for step in real["actions"]] == ["delete", "delete_bundle"]
    assert (list_relationships(server.client), held(server)) == ([], {})
    assert not run(server, gone, state="absent", delete_bundles=True)["changed"]


def test_removing_a_relationship_keeps_the_bundle(server: Server, partner: Partner) -> None:
    run(server, [partner.item(bundle=partner.bundle["pem"])])
    result = run(server, [{"trust_domain": OTHER}], state="absent")
    assert [step["verb"] for step in result["actions"]] == ["delete"]
    assert OTHER in held(server)


def test_rotation_is_seen_and_fetched(server: Server, partner: Partner) -> None:
    wanted = [partner.item(bundle=partner.bundle["pem"])]
    run(server, wanted, refresh=True)
    (one,) = health(server)
    assert (one["health"], one["error"], one["served_bundle"]) == ("not_probed", None, None)
    (one,) = health(server, probe=True)
    assert (one["health"], one["error"]) == ("healthy", None)
    assert fingerprints(one["served_bundle"]) == fingerprints(one["bundle"]) == fingerprints(partner.bundle)
    assert 0 <= one["age"] < 600

    partner.rotate()
    (one,) = wait_until("the endpoint serves the new bundle", lambda: differing(server))
    assert "spire_federation with refresh" in one["error"]
    assert len(fingerprints(one["served_bundle"]) - fingerprints(one["bundle"])) == 1

    assert not run(server, wanted)["changed"]
    check = run(server, wanted, check=True, refresh=True)
    real = run(server, wanted, refresh=True)
    assert predicted(check) == predicted(real)
    assert real["changed"]
    assert real["diff"]["after"]["relationships"] == {}
    assert fingerprints(real["diff"]["after"]["bundles"][OTHER]) == fingerprints(partner.bundle)
    assert health(server, probe=True)[0]["health"] == "healthy"
    assert not run(server, wanted, refresh=True)["changed"]


def test_a_bundle_read_just_now_heals_a_server_that_missed_a_rotation(server: Server, partner: Partner) -> None:
    run(server, [partner.item(bundle=partner.bundle["spiffe"])], refresh=True)
    partner.rotate()
    wait_until("the endpoint serves the new bundle", lambda: differing(server))
    wanted = [partner.item(bundle=partner.bundle["spiffe"])]
    message = refused(server, wanted, healthy_timeout=1)
    assert "After healthy_timeout (1 s) not every relationship is healthy" in message
    assert f"{OTHER}: bundles_differ: The endpoint serves other authorities" in message

    check = run(server, wanted, check=True, update_bundles=True, healthy_timeout=30)
    real = run(server, wanted, update_bundles=True, healthy_timeout=30)
    assert predicted(check) == predicted(real)
    assert [step["verb"] for step in real["actions"]] == ["set_bundle"]
    assert fingerprints(held(server)[OTHER]) == fingerprints(partner.bundle)
    assert not run(server, wanted, update_bundles=True, healthy_timeout=30)["changed"]


def test_a_bundle_and_the_relationship_that_needs_it_come_together(server: Server, partner: Partner) -> None:
    wanted = [partner.item(bundle=partner.bundle["spiffe"])]
    options = {"update_bundles": True, "healthy_timeout": 30}
    check = run(server, wanted, check=True, **options)
    real = run(server, wanted, **options)
    assert predicted(check) == predicted(real)
    assert [step["verb"] for step in real["actions"]] == ["set_bundle", "create"]
    assert health(server, probe=True)[0]["health"] == "healthy"


def differing(server: Server) -> list[dict[str, Any]]:
    return [one for one in health(server, probe=True) if one["health"] == "bundles_differ"]


def test_https_spiffe_without_a_bundle_is_refused(server: Server, partner: Partner) -> None:
    message = refused(server, [partner.item()])
    assert f"relationships[0] ({OTHER}).bundle: the profile is https_spiffe, and the server holds no bundle" in message
    assert list_relationships(server.client) == []
    # The bundle may also be there already, or be that of another trust domain whose server hosts the endpoint.
    hosted = {**partner.item(), "trust_domain": "hosted.example"}
    assert "Set that bundle with spire_bundle" in refused(server, [hosted])
    run(server, [hosted, partner.item(bundle=partner.bundle["spiffe"])])
    assert len(list_relationships(server.client)) == 2
    gone = [{"trust_domain": OTHER}]
    message = refused(server, gone, state="absent", delete_bundles=True)
    assert "hosted.example is authenticated with this bundle" in message
    run(server, [*gone, {"trust_domain": "hosted.example"}], state="absent", delete_bundles=True)
    assert (list_relationships(server.client), held(server)) == ([], {})


def test_a_relationship_is_changed_and_its_bundle_left_alone(server: Server, partner: Partner) -> None:
    first = partner.bundle["spiffe"]
    run(server, [partner.item(bundle=first)], refresh=True)
    changed = [partner.item(bundle=first, bundle_endpoint_url=f"{partner.url}/bundle")]
    check = run(server, changed, check=True)
    real = run(server, changed)
    assert predicted(check) == predicted(real)
    assert real["actions"] == [{"verb": "update", "id": OTHER}]
    assert real["diff"]["before"]["relationships"][OTHER]["bundle_endpoint_url"] == partner.url
    # A first bundle that has nothing to do with the one that is held is not taken, and that is said.
    stranger = issue(f"spiffe://{OTHER}", ca=True).pem
    result = run(server, [{**changed[0], "bundle": stranger}])
    assert not result["changed"]
    assert "no authority in common" in str(result["warnings"])
    web = [partner.item(bundle_endpoint_profile="https_web", endpoint_spiffe_id=None)]
    assert run(server, web)["relationships"][0]["endpoint_spiffe_id"] is None
    assert not run(server, web)["changed"]


def test_refresh_waits_for_an_endpoint_that_is_not_there_yet(server: Server, partner: Partner) -> None:
    bundle = partner.bundle["spiffe"]
    partner.server.stop()
    item = partner.item(bundle=bundle)
    result = call(server, [item], refresh=True, refresh_timeout=2)
    assert result["failed"]
    assert (
        f"could not fetch the bundle from {partner.url} within refresh_timeout: nobody listens there" in result["msg"]
    )
    assert result["changed"]
    assert [step["verb"] for step in result["actions"]] == ["set_bundle", "create"]
    check = run(server, [item], check=True, refresh=True)
    assert "what a refresh would bring is not known" in str(check["warnings"])
    (one,) = health(server, probe=True)
    assert one["health"] == "unreachable"
    assert partner.url in one["error"]
    starter = threading.Thread(target=partner.server.start)
    starter.start()
    try:
        result = run(server, [item], refresh=True, refresh_timeout=30)
    finally:
        starter.join()
    assert health(server, probe=True)[0]["health"] == "healthy"


def test_an_endpoint_that_takes_the_connection_and_says_nothing(server: Server, partner: Partner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        item = partner.item(bundle=partner.bundle["spiffe"], bundle_endpoint_url=url)
        began = time.monotonic()
        message = refused(server, [item], refresh=True, refresh_timeout=3, timeout=2)
        assert "it takes the connection and does not answer" in message
        assert time.monotonic() - began < 15
        (one,) = health(server, probe=True, probe_timeout=1)
        assert one["health"] == "unreachable"


@pytest.mark.parametrize(
    ("changes", "told", "probed"),
    [
        (
            {"bundle_endpoint_profile": "https_web", "endpoint_spiffe_id": None},
            "its profile is https_spiffe and not https_web",
            "its web certificate is not believed",
        ),
        ({"endpoint_spiffe_id": f"spiffe://{OTHER}/other"}, "another SPIFFE ID", f"it is {ENDPOINT_ID}, expected"),
        ({"bundle": issue(f"spiffe://{OTHER}", ca=True).pem}, "is out of date", "does not lead to the trust bundle"),
    ],
)
def test_an_endpoint_that_is_not_believed(
    server: Server, partner: Partner, changes: dict[str, Any], told: str, probed: str
) -> None:
    item = partner.item(**{"bundle": partner.bundle["pem"], **changes})
    message = refused(server, [item], refresh=True)
    assert told in message
    (one,) = health(server, probe=True)
    assert one["health"] == "unreachable"
    assert probed in one["error"]


def test_no_bundle_is_told(server: Server, partner: Partner) -> None:
    run(server, [partner.item(bundle=partner.bundle["pem"])])
    delete_federated_bundle(server.client, OTHER, "restrict")
    for probe in (False, True):
        (one,) = health(server, probe=probe)
        assert (one["health"], one["bundle"], one["age"]) == ("no_bundle", None, None)
    assert "holds no bundle of partner.example to authenticate it" in one["error"]
    assert health(server, trust_domains=["another.example"]) == []
    assert len(health(server, trust_domains=[f"spiffe://{OTHER}"])) == 1


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with running_site(tmp_path, monkeypatch) as one:
        yield one


def test_https_web(site: Site, partner: Partner) -> None:
    item = {
        "trust_domain": OTHER,
        "bundle_endpoint_url": f"{site.url}/bundle.json?v=1",
        "bundle_endpoint_profile": "https_web",
    }
    with running_server() as server:
        # No first bundle is needed. The site has none yet.
        assert "HTTP 404" in str(run(server, [item], check=True, refresh=True)["warnings"])
        assert "Is the path of the URL right?" in refused(server, [item], refresh=True)
        assert health(server, probe=True)[0]["health"] == "no_bundle"
        site.answers["/bundle.json?v=1"] = (200, "<html>")
        assert "what it serves is no SPIFFE bundle" in refused(server, [item], refresh=True)

        site.answers["/bundle.json?v=1"] = (200, partner.bundle["spiffe"])
        check = run(server, [item], check=True, refresh=True)
        real = run(server, [item], refresh=True)
        assert predicted(check) == predicted(real)
        assert real["diff"]["before"]["bundles"] == {}
        assert fingerprints(held(server)[OTHER]) == fingerprints(partner.bundle)
        assert health(server, probe=True)[0]["health"] == "healthy"
        assert not run(server, [item], refresh=True)["changed"]

        # An ordinary web site is no https_spiffe endpoint, and is never taken for one.
        spiffe = {**item, "bundle_endpoint_profile": "https_spiffe", "endpoint_spiffe_id": ENDPOINT_ID}
        message = refused(server, [spiffe], refresh=True)
        assert "its profile is https_web" in message
        (one,) = health(server, probe=True)
        assert one["health"] == "unreachable"
        assert "0 URI SANs" in one["error"]


def test_a_bundle_does_not_come_back_from_a_fetch_under_way(site: Site, partner: Partner) -> None:
    item = {"trust_domain": OTHER, "bundle_endpoint_url": f"{site.url}/b", "bundle_endpoint_profile": "https_web"}
    site.answers["/b"] = (200, partner.bundle["spiffe"])
    with running_server() as server:
        site.open.clear()
        run(server, [{**item, "bundle": partner.bundle["pem"]}])
        assert site.asked.wait(30)
        run(server, [{"trust_domain": OTHER}], state="absent", delete_bundles=True)
        site.open.set()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert held(server) == {}
            time.sleep(0.3)


def test_a_bundle_that_comes_just_before_the_relationship_goes(
    server: Server, partner: Partner, tmp_path: Path
) -> None:
    run(server, [GOOD])
    (tmp_path / "bundle.json").write_text(partner.bundle["spiffe"])
    real, program = binary("spire-server"), tmp_path / "spire-server"
    comes = f"bundle set -socketPath {server.socket_path} -id spiffe://{OTHER} -format spiffe"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *"federation delete"*) {real} {comes} -path {tmp_path}/bundle.json >&2;; esac\n'
        f'exec {real} "$@"\n'
    )
    program.chmod(0o755)
    gone = run(server, [{"trust_domain": OTHER}], state="absent", delete_bundles=True, binary=str(program))
    assert [step["verb"] for step in gone["actions"]] == ["delete", "delete_bundle"]
    assert (list_relationships(server.client), held(server)) == ([], {})


def test_a_web_site_that_the_server_does_not_trust(server: Server, site: Site) -> None:
    assert list_relationships(server.client) == []
    item = {"trust_domain": OTHER, "bundle_endpoint_url": site.url, "bundle_endpoint_profile": "https_web"}
    assert "must trust the endpoint's web authority" in refused(server, [item], refresh=True)


GOOD = {
    "trust_domain": OTHER,
    "bundle_endpoint_url": "https://192.0.2.1:8443/x",
    "bundle_endpoint_profile": "https_web",
}
SPIFFE = {**GOOD, "bundle_endpoint_profile": "https_spiffe", "endpoint_spiffe_id": ENDPOINT_ID}


def url(text: str) -> dict[str, Any]:
    return {**GOOD, "bundle_endpoint_url": text}


@pytest.mark.parametrize(
    ("items", "options", "words"),
    [
        ([{"trust_domain": OTHER}], {}, f"relationships[0] ({OTHER}).bundle_endpoint_url: it is missing"),
        ([{"trust_domain": OTHER, "bundle_endpoint_url": "https://a.example"}], {}, "missing, and cannot be guessed"),
        ([{**GOOD, "bundle_endpoint_profile": "https"}], {}, "relationships[0]: value of bundle_endpoint_profile"),
        ([{**GOOD, "endpoint_spiffe_id": ENDPOINT_ID}], {}, "looks at no SPIFFE ID"),
        ([{**SPIFFE, "endpoint_spiffe_id": None}], {}, "spiffe://partner.example/spire/server"),
        (
            [{**SPIFFE, "endpoint_spiffe_id": "partner"}],
            {},
            "endpoint_spiffe_id: 'partner' does not start with spiffe://",
        ),
        ([url("http://192.0.2.1/")], {}, "does not start with https://"),
        ([url("192.0.2.1:8443")], {}, "does not start with https://"),
        ([url("https://")], {}, "names no host"),
        ([url("https://:8443/")], {}, "names no host"),
        ([url("https:///x")], {}, "names no host"),
        ([url("https://a.example:0/")], {}, "has the port 0"),
        ([url("https://a.example:70000/")], {}, "is no URL"),
        ([url("https://a.example:x/")], {}, "is no URL"),
        ([url("https://[::1/")], {}, "is no URL"),
        ([url("https://a.example/ x")], {}, "a character that a URL cannot have"),
        ([url("https://é.example/")], {}, "a character that a URL cannot have"),
        ([url("https://a.example/%zz")], {}, "percent sign"),
        ([url("https://a.example/x#y")], {}, "has a fragment"),
        ([url("https://-a.example/")], {}, "names no host"),
        ([url("https://a.example/" + "x" * 2048)], {}, "longer than 2048"),
        ([GOOD, GOOD], {}, "is also relationships[0]"),
        ([{**GOOD, "trust_domain": "A"}], {}, "relationships[0].trust_domain: the trust domain 'A'"),
        ([{**GOOD, "bundle": "x"}], {}, "holds no PEM block"),
        ([{**GOOD, "profile": "x"}], {}, "relationships[0]: "),
        ([GOOD], {"refresh_timeout": 0}, "refresh_timeout: 0"),
        ([GOOD], {"delete_bundles": True}, "It belongs to state=absent"),
        ([GOOD], {"state": "absent", "refresh": True}, "What is removed cannot be refreshed"),
        ([GOOD], {"state": "absent", "update_bundles": True}, "update_bundles: it is set with state=absent"),
        ([GOOD], {"state": "absent", "healthy_timeout": 1}, "healthy_timeout: it is set with state=absent"),
        ([GOOD], {"healthy_timeout": -1}, "healthy_timeout: -1 is no number of seconds"),
    ],
)
def test_bad_input_is_refused_before_the_server_is_asked(
    items: list[dict[str, Any]], options: dict[str, Any], words: str
) -> None:
    args = {"binary": "/nonexistent/spire-server", "relationships": items, **options}
    result = run_module("spire_federation", args)
    assert result["failed"]
    assert words in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trust_domains": ["A"]}, "trust_domains[0]: the trust domain 'A'"),
        ({"probe_timeout": 0}, "probe_timeout: 0"),
    ],
)
def test_bad_input_of_the_reader(options: dict[str, Any], words: str) -> None:
    result = run_module("spire_federation_info", {"binary": "/nonexistent/spire-server", **options})
    assert result["failed"]
    assert words in result["msg"]


def test_a_password_in_a_url_or_a_private_key_is_never_shown() -> None:
    key = issue(ca=True).key_pem
    for changes, words, secret in (
        ({"bundle": key}, "it holds a private key", key.splitlines()[1]),
        ({"bundle_endpoint_url": "https://user:s3cret@a.example/"}, "has a user part", "s3cret"),
    ):
        args = {"binary": "/nonexistent/spire-server", "relationships": [{**GOOD, **changes}]}
        result = run_module("spire_federation", args)
        assert words in result["msg"]
        assert secret not in json.dumps(result)


def test_the_own_trust_domain_is_refused(server: Server) -> None:
    message = refused(server, [{**GOOD, "trust_domain": TRUST_DOMAIN}])
    assert f"{TRUST_DOMAIN} is the trust domain of this server itself" in message


def test_nothing_to_do_asks_nobody() -> None:
    result = run_module("spire_federation", {"binary": "/nonexistent/spire-server", "relationships": []})
    assert not result.get("failed")
    assert not result["changed"]

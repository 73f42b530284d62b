# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every type of check against real SPIRE and real Envoy: it passes when it should, and fails when it should."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from .conftest import BLUE, GREEN, GREEN_NAME, TRUST_DOMAIN, WEST, WEST_DOMAIN, Site, West

MODULE = Path(__file__).parents[3] / "plugins" / "modules" / "trust_check.py"
Run = Callable[..., dict[str, Any]]

QUOTE = {"name": "quote", "type": "request", "from": "sleep", "to": "blue", "json_key": "quote"}
LET_IN = {"name": "let in", "type": "accepted_handshake", "to": "green", "client_spiffe_id": BLUE, "json_key": "quote"}


PEER_NAMED = {"to": "green", "server_name": GREEN_NAME}


def refused(client: str, **more: Any) -> dict[str, Any]:
    return {
        "name": f"client {client}",
        "type": "refused_handshake",
        "client": client,
        "to": "green",
        "control": "let in",
        **more,
    }


def server_of(site: Site) -> dict[str, Any]:
    connection = {"binary": site.server_binary, "socket_path": site.server_socket}
    return {"name": "blue", "trust_domain": TRUST_DOMAIN, **connection}


def endpoints_of(site: Site, green: str | None = None) -> list[dict[str, Any]]:
    address = green or site.strict
    return [
        {"name": "sleep", "cluster": "blue", "pod": "deploy/sleep", "container": "sleep"},
        {"name": "blue", "cluster": "blue", "url": site.blue_url, "pod": "deploy/gateway", "spiffe_id": BLUE},
        {"name": "green", "cluster": "green", "address": address, "url": f"http://{address}", "spiffe_id": GREEN},
        {"name": "server", "cluster": "blue", "address": site.server_address},
    ]


@pytest.fixture
def run(site: Site) -> Run:
    """Run the module as Ansible does: its arguments as JSON on standard input."""

    def run_module(checks: list[dict[str, Any]], green: str | None = None, **more: Any) -> dict[str, Any]:
        arguments = {
            "scenario": "site",
            "clusters": [{"name": "blue", "kubectl": site.kubectl}],
            "servers": [server_of(site)],
            "spire_agent_binary": site.agent_binary,
            "endpoints": endpoints_of(site, green),
            "checks": checks,
            "timeout": 20,
            "interval": 0.2,
            "settle": 0,
            "fail_on_failed": False,
            **more,
        }
        done = subprocess.run(
            [sys.executable, str(MODULE)],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.stdout, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run_module


def by_name(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert "report" in answer, answer
    return {check["name"]: check for check in answer["report"]["checks"]}


def test_everything_holds_on_a_healthy_site(run: Run) -> None:
    checks = [
        QUOTE,
        LET_IN,
        {"name": "green's certificate", "type": "peer_certificate", "to": "green"},
        {
            "name": "blue's certificate",
            "type": "forwarded_certificate",
            "from": "blue",
            "to": "green",
            "request": "quote",
        },
        {
            "name": "blue's sidecar",
            "type": "sidecar_certificate",
            "to": "blue",
            "secret": BLUE,
            "request": "quote",
        },
        refused("none"),
        refused("other_identity"),
        refused("foreign_ca"),
        refused("istiod"),
        refused("expired"),
        {**PEER_NAMED, "name": "green's name", "type": "peer_certificate", "dns_names": [GREEN_NAME]},
        {**PEER_NAMED, "name": "green's chain", "type": "certificate_chain", "length": 1},
        {"name": "blue's chain", "type": "certificate_chain", "to": "blue", "secret": BLUE, "length": 1},
        refused("none", name="from a pod without identity", **{"from": "sleep"}),
        {"name": "token again", "type": "token_reuse", "to": "server"},
    ]
    run(checks)  # the first run also waits for Envoy's first secrets
    started = time.monotonic()
    answer = run(checks)
    took = time.monotonic() - started
    checks_by_name = by_name(answer)
    assert {name: check["observed"] for name, check in checks_by_name.items() if check["status"] != "pass"} == {}
    assert answer["report"]["summary"] == {"passed": len(checks), "failed": 0, "refuted": 0, "not_judged": 0}
    assert answer["changed"] is False
    assert took < 10, "a rerun on a healthy site is a matter of seconds"
    assert checks_by_name["client none"]["refused_by"] == GREEN
    assert checks_by_name["from a pod without identity"]["refused_by"] == GREEN
    assert checks_by_name["blue's certificate"]["spiffe_id"] == BLUE
    assert checks_by_name["blue's sidecar"]["seen_on_the_wire"] is True
    assert checks_by_name["quote"]["value"].endswith(".")


def by_files(site: Site, spiffe_id: str) -> dict[str, Any]:
    """What a request says that shows the certificate of a pod's own files."""
    folder = site.folder / spiffe_id.rpartition("/")[2]
    folder.mkdir(exist_ok=True)
    site.spire("x509", "mint", "-spiffeID", spiffe_id, "-write", str(folder))
    files = {"certificate": "svid.pem", "key": "key.pem", "authorities": "bundle.pem"}
    paths = {name: str(folder / file) for name, file in files.items()}
    return {
        "from": "sleep",
        "to": "green",
        "url": f"https://{GREEN_NAME}:8443",
        "address": site.strict,
        "certificate": paths,
    }


def test_requests_by_a_pods_own_files(run: Run, site: Site) -> None:
    stranger = by_files(site, f"spiffe://{TRUST_DOMAIN}/stranger")
    out = {"type": "refused_request", "control": "by files"}
    checks = [
        {**by_files(site, BLUE), "name": "by files", "type": "request", "json_key": "quote"},
        {**by_files(site, BLUE), **out, "name": "name", "url": "https://other.invalid", "refusal": ["name_mismatch"]},
        {**stranger, **out, "name": "policy", "address": site.rbac_only, "refusal": ["http_403"]},
        # Envoy may reset what comes behind its alert: either way nothing was answered.
        {**stranger, **out, "name": "alert", "refusal": ["tls_alert", "reset"]},
    ]
    answer = run(checks, settle=5)
    seen = by_name(answer)
    assert {name: check["observed"] for name, check in seen.items() if check["verdict"] != "proven"} == {}
    assert seen["by files"]["observed"].endswith(f", from {GREEN}")
    assert {check["server_spiffe_id"] for check in seen.values()} == {GREEN}
    assert "PRIVATE KEY" not in json.dumps(answer)
    open_door = run([{**by_files(site, BLUE), **out, "name": "open", "control": "by files"}, checks[0]])
    assert (by_name(open_door)["open"]["verdict"], by_name(open_door)["open"]["breach"]) == ("refuted", True)


def test_two_servers_that_show_other_authorities(run: Run, site: Site, west: West) -> None:
    server = {**west_of(west)[0], "trust_domain": TRUST_DOMAIN}
    again = {**server_of(site), "name": "again"}
    same = {"name": "same", "type": "same_authorities"}
    checks = [{**same, "servers": ["blue", "again"]}, {**same, "name": "other", "servers": ["blue", "west"]}]
    seen = by_name(run(checks, servers=[server_of(site), again, server], timeout=1))
    assert (seen["same"]["verdict"], seen["other"]["verdict"]) == ("proven", "refuted")


def test_the_join_token_appears_nowhere(run: Run, site: Site) -> None:
    token = (site.folder / "token").read_text()
    answer = run([{"name": "token again", "type": "token_reuse", "to": "server"}])
    assert by_name(answer)["token again"]["observed"].startswith("refused: join token does not exist")
    assert token not in json.dumps(answer)
    assert "PRIVATE KEY" not in json.dumps(answer)


def test_a_door_that_asks_nobody_is_a_failure(run: Run, site: Site) -> None:
    answer = by_name(run([LET_IN, refused("none"), refused("other_identity"), refused("foreign_ca")], green=site.open))
    assert answer["let in"]["status"] == "pass"
    for client in ("none", "other_identity", "foreign_ca"):
        assert answer[f"client {client}"]["status"] == "fail"
        assert answer[f"client {client}"]["observed"].startswith("let in: HTTP 200")
        assert (answer[f"client {client}"]["verdict"], answer[f"client {client}"]["breach"]) == ("refuted", True)


def test_nothing_listening_is_no_refusal(run: Run, site: Site) -> None:
    answer = by_name(run([LET_IN, refused("none")], green=site.nobody, timeout=1))
    assert answer["let in"]["status"] == "fail"
    assert "nothing listens" in answer["let in"]["observed"]
    assert answer["client none"]["status"] == "fail"
    assert answer["client none"]["observed"].startswith("not judged")
    assert (answer["let in"]["verdict"], answer["client none"]["verdict"]) == ("refuted", "not_judged")
    assert not answer["client none"]["breach"]


def test_refusal_by_policy_is_told_from_refusal_by_handshake(run: Run, site: Site) -> None:
    answer = by_name(
        run(
            [
                LET_IN,
                refused("other_identity"),
                refused("other_identity", name="by policy", refusal=["http_403"]),
                refused("foreign_ca"),
                refused("none"),
            ],
            green=site.rbac_only,
        )
    )
    assert answer["client other_identity"]["status"] == "fail"
    assert "HTTP 403" in answer["client other_identity"]["observed"]
    assert not answer["client other_identity"]["breach"], "it was read, but nobody was let in"
    assert answer["by policy"]["status"] == "pass"
    assert answer["client foreign_ca"]["status"] == "pass"
    assert answer["client none"]["status"] == "pass"


def test_plain_http_into_a_tls_port(run: Run) -> None:
    plain = {"name": "plain", "type": "refused_request", "from": "sleep", "to": "green", "control": "let in"}
    answer = by_name(run([LET_IN, plain]))
    assert answer["plain"]["status"] == "pass", answer["plain"]


def around(port: int, **more: Any) -> dict[str, Any]:
    way = {"name": "around", "type": "closed_port", "from": "sleep", "to": "sleep", "port": port}
    return {**way, "control": "itself", "guard_port": None, **more}


@pytest.fixture
def waiting() -> Iterator[int]:
    """A program that takes connections and says nothing, as one does that waits for another protocol."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_way_around_is_found(run: Run, site: Site, waiting: int) -> None:
    itself = {**QUOTE, "name": "itself", "to": "sleep"}
    places = [{**place, "url": site.blue_url} if place["name"] == "sleep" else place for place in endpoints_of(site)]
    strict = int(site.strict.rpartition(":")[2])
    for port, verdict, words in (
        (int(site.nobody.rpartition(":")[2]), "proven", "closed: connection refused"),
        (site.quote_port, "refuted", "answered: HTTP 200"),
        # It is there, whatever it speaks: only packets that are dropped are no answer.
        (waiting, "refuted", "no answer in time"),
        (strict, "refuted", "closed without a reply"),
    ):
        seen = by_name(run([itself, around(port, guard_port=strict)], endpoints=places, timeout=1))["around"]
        assert (seen["verdict"], seen["observed"][: len(words)]) == (verdict, words)
        assert seen["breach"] is words.startswith("answered")
    sidecar = around(strict, refusal=["reset", "nothing_listens"])
    assert by_name(run([itself, sidecar], endpoints=places))["around"]["verdict"] == "proven"


def test_an_open_plain_door_is_a_failure(run: Run) -> None:
    plain = {"name": "plain", "type": "refused_request", "from": "sleep", "to": "blue", "control": "quote"}
    answer = by_name(run([QUOTE, plain]))
    assert answer["plain"]["status"] == "fail"
    assert answer["plain"]["observed"].startswith("let in: HTTP 200")


def test_wrong_expectations_are_seen(run: Run) -> None:
    other = f"spiffe://{TRUST_DOMAIN}/another"
    answer = by_name(
        run(
            [
                QUOTE,
                {"name": "other id", "type": "peer_certificate", "to": "green", "spiffe_id": other},
                {"name": "long life", "type": "peer_certificate", "to": "green", "min_remaining": 999999},
                {
                    "name": "other client",
                    "type": "forwarded_certificate",
                    "from": "blue",
                    "to": "green",
                    "request": "quote",
                    "spiffe_id": other,
                },
                {"name": "no such secret", "type": "sidecar_certificate", "to": "blue", "secret": "nothing"},
                {**LET_IN, "name": "wrong server", "spiffe_id": other},
                {**LET_IN, "name": "stranger let in", "client_spiffe_id": other},
                {**QUOTE, "name": "other key", "json_key": "nothing"},
            ],
            timeout=1,
        )
    )
    assert answer.pop("quote")["status"] == "pass"
    assert {check["status"] for check in answer.values()} == {"fail"}
    assert f"expected {other}" in answer["other id"]["observed"]
    assert "lives only" in answer["long life"]["observed"]
    assert f"expected {other}" in answer["other client"]["observed"]
    assert "wrong server" in answer["wrong server"]["observed"]
    assert "TLS alert" in answer["stranger let in"]["observed"]
    assert all(check["hint"] for name, check in answer.items() if name not in ("wrong server",))


def test_the_task_fails_with_the_report_and_the_reason(run: Run) -> None:
    answer = run([{**QUOTE, "status": 418}], timeout=1, fail_on_failed=True)
    assert answer["failed"] is True
    assert answer["msg"].splitlines()[0].startswith("site: 1 refuted, 0 proven in ")
    assert "expected HTTP 418" in answer["msg"]
    assert answer["report"]["summary"] == {"passed": 0, "failed": 1, "refuted": 1, "not_judged": 0}


def test_check_mode_contacts_nobody(run: Run, site: Site) -> None:
    answer = run([LET_IN], green=site.nobody, _ansible_check_mode=True)
    assert answer["report"] == {}
    assert answer["table"] == ["site: 1 check is well-formed. In check mode nothing is tried."]
    assert answer["changed"] is False


def test_a_server_that_is_away_fails_the_checks_that_need_it(run: Run) -> None:
    away = {"name": "blue", "trust_domain": TRUST_DOMAIN, "binary": "true", "socket_path": "/nonexistent/api.sock"}
    answer = by_name(run([QUOTE, {"name": "c", "type": "peer_certificate", "to": "green"}], servers=[away], timeout=1))
    assert answer["quote"]["status"] == "pass"
    assert answer["c"]["status"] == "fail"
    assert "trust bundle" in answer["c"]["observed"]


def test_reports_are_written_also_when_the_task_fails(run: Run, tmp_path: Path) -> None:
    for _twice in range(2):
        answer = run([{**QUOTE, "status": 418}], timeout=1, fail_on_failed=True, report_dir=str(tmp_path / "a" / "b"))
        assert answer["failed"] is True
    written = json.loads(Path(answer["report_files"]["json"]).read_text())
    assert written == answer["report"]
    assert "HTTP 418" in Path(answer["report_files"]["html"]).read_text()
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["site.html", "site.json", "site.xml"]
    suite = ElementTree.parse(answer["report_files"]["junit"]).getroot()  # noqa: S314 - our own report
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("1", "1")


def test_the_table_fits_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, width in (("90", 82), ("400", 132), ("nonsense", 132)):
        monkeypatch.setenv("COLUMNS", columns)
        table = run([{**QUOTE, "name": "a quote " * 20}])["table"]
        assert all(len(line) <= width for line in table)
        assert table[-2].startswith("site: 1 check passed")
        assert table[-1].startswith("quote: «")


def west_of(west: West) -> tuple[dict[str, Any], dict[str, Any]]:
    """The server of the other trust domain, and the workload that it certified."""
    endpoint = {"name": "west", "cluster": "west", "address": west.address, "spiffe_id": WEST}
    return {"name": "west", "trust_domain": WEST_DOMAIN, **west.server.connection}, endpoint


def test_two_trust_domains_are_judged_and_minted_each_by_its_own_server(run: Run, site: Site, west: West) -> None:
    server, endpoint = west_of(west)
    into_west = {"type": "refused_handshake", "to": "west", "control": "east is let in by west"}
    checks = [
        LET_IN,
        refused("other_identity", name="west into green", client_spiffe_id=f"spiffe://{WEST_DOMAIN}/client"),
        {"name": "green's certificate", "type": "peer_certificate", "to": "green"},
        {"name": "west's certificate", "type": "peer_certificate", "to": "west"},
        {**LET_IN, "name": "east is let in by west", "to": "west", "json_key": None},
        {**into_west, "name": "none", "client": "none"},
        {**into_west, "name": "another CA", "client": "foreign_ca"},
        {**into_west, "name": "west itself", "client": "other_identity", "client_spiffe_id": WEST},
    ]
    both = {"servers": [server_of(site), server], "endpoints": [*endpoints_of(site), endpoint]}
    answer = run(checks, **both)
    seen = by_name(answer)
    assert {name: check["observed"] for name, check in seen.items() if check["verdict"] != "proven"} == {}
    assert answer["report"]["trust_domains"] == [TRUST_DOMAIN, WEST_DOMAIN]
    assert seen["west's certificate"]["spiffe_id"] == WEST
    assert seen["west into green"]["client_spiffe_id"].startswith(f"spiffe://{WEST_DOMAIN}/")
    assert seen["another CA"]["client_spiffe_id"] == BLUE

    # With the servers exchanged each trust domain has the bundle of the other, and nothing may be believed.
    exchanged = [{**server, "trust_domain": TRUST_DOMAIN}, {**server_of(site), "trust_domain": WEST_DOMAIN}]
    wrong = by_name(run(checks[2:4], servers=exchanged, endpoints=both["endpoints"], timeout=1))
    assert [check["verdict"] for check in wrong.values()] == ["refuted", "refuted"]
    assert all("trust bundle" in check["observed"] for check in wrong.values())


def test_an_identity_of_the_own_trust_domain_that_a_careless_server_lets_in(run: Run, site: Site, west: West) -> None:
    server, endpoint = west_of(west)
    into_west = {**LET_IN, "name": "east is let in by west", "to": "west", "json_key": None}
    other = refused("other_identity", to="west", control="east is let in by west")
    answer = run([into_west, other], servers=[server_of(site), server], endpoints=[endpoint])
    seen = by_name(answer)["client other_identity"]
    assert (seen["verdict"], seen["breach"]) == ("refuted", True)
    assert seen["client_spiffe_id"] == f"spiffe://{TRUST_DOMAIN}/trustmesh/verify/other-identity"
    assert answer["failures"][0].startswith(f"{seen['client_spiffe_id']}, which is not listed, was let in by west: ")


def test_a_pod_calls_a_service_of_another_cluster(run: Run, site: Site) -> None:
    clusters = [{"name": name, "kubectl": site.kubectl, "context": name} for name in ("blue", "red")]
    caller = {"name": "abroad", "cluster": "red", "pod": "deploy/abroad"}
    quote = {**QUOTE, "from": "abroad"}
    answer = run([quote], clusters=clusters, endpoints=[*endpoints_of(site), caller])
    assert by_name(answer)["quote"]["verdict"] == "proven"
    asked = [line for line in (site.folder / "kubectl.log").read_text().splitlines() if " exec " in line]
    assert asked[-1].startswith("--context red --namespace default exec deploy/abroad")


def test_a_root_that_cannot_be_read_is_told(run: Run) -> None:
    peer = {"name": "c", "type": "peer_certificate", "to": "green"}
    roots = [{"cluster": "blue"}]
    answer = by_name(run([peer], istio_roots=roots, timeout=1))["c"]
    assert answer["verdict"] == "refuted"
    assert "istiod's root from its ConfigMap in the cluster blue failed" in answer["observed"]

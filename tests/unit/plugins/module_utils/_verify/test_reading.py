# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in endpoints and checks are named before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import LOOKS, TYPES, Check, Mesh
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.options import CHECK
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.reading import read_checks, read_mesh

SERVERS = {"one": "td", "two": "td", "far": "far.td"}
PLACES: list[dict[str, Any]] = [
    {"name": "sleep", "pod": "deploy/sleep", "cluster": "blue", "spiffe_id": "spiffe://td/sleep"},
    {"name": "blue", "url": "http://gateway/", "address": "gateway.default:80", "spiffe_id": "spiffe://td/blue"},
    {"name": "green", "address": "[::1]:8443", "spiffe_id": "spiffe://td/green"},
    {"name": "west", "address": "10.0.0.2:1", "spiffe_id": "spiffe://far.td/west", "server": "far"},
    {"name": "bare", "address": "10.0.0.1:1"},
    {"name": "second", "address": "10.0.0.3:1", "server": "two"},
    {"name": "safe", "url": "https://safe:8443/", "spiffe_id": "spiffe://td/safe"},
    {"name": "istiod", "pod": "deploy/istiod", "cluster": "blue", "server": "one", "address": "istiod:15012"},
    {"name": "nobodys", "pod": "deploy/x", "cluster": "blue"},
]
QUOTE = {"name": "quote", "type": "request", "from": "sleep", "to": "blue"}
IN = {"name": "in", "type": "accepted_handshake", "to": "green", "client_spiffe_id": "spiffe://td/blue"}
OUT = {"name": "out", "type": "refused_handshake", "client": "none", "to": "green", "control": "in"}
OTHER = {**OUT, "client": "other_identity"}
PEER = {"name": "p", "type": "peer_certificate", "to": "green"}
ITSELF = {**QUOTE, "name": "itself", "to": "sleep", "url": "http://sleep/"}
FILES = {"folder": "/run/files/svid"}
BY_FILES = {"name": "f", "type": "request", "from": "sleep", "to": "safe", "certificate": FILES}
CHAIN = {"name": "c", "type": "certificate_chain", "to": "green"}
SAME = {"name": "s", "type": "same_authorities", "servers": ["one", "two"]}
PUBLISHED = {"name": "p", "type": "published_authorities", "to": "sleep", "namespaces": ["a"]}
HOOKS = {"name": "h", "type": "webhook_authorities", "to": "sleep", "service": "istiod"}
ISSUES = {"name": "i", "type": "no_certificate_service", "from": "sleep", "to": "istiod"}
AROUND = {"name": "w", "type": "closed_port", "from": "sleep", "to": "sleep", "port": 80, "control": "itself"}


def mesh(servers: dict[str, str] | None = None) -> Mesh:
    return read_mesh(PLACES, SERVERS if servers is None else servers, ["blue"])


def read(*checks: Any) -> list[Check]:
    return read_checks(checks, mesh())


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"a b": "x"}, "headers: 'a b' cannot be sent"),
        ({"": "x"}, "headers: '' cannot be sent"),
        ({"Content-Length": "3"}, "none of host, content-length, transfer-encoding"),
        ({"x": "a\r\nb: c"}, "headers: x is 'a\\r\\nb: c', expected one line of ASCII text"),
        ({"x": ""}, "headers: x is '', expected one line"),
        ({"x": 1}, "headers: x is '1', expected one line"),
        ({"X-Y": "1", "x-y": "2"}, "headers: a name is given twice"),
    ],
)
def test_a_header_that_would_be_more_than_one_is_refused(headers: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        read({**QUOTE, "headers": headers})
    assert text in caught.value.message


def test_headers_are_sent_as_they_are_given() -> None:
    headers = {"x-client-spiffe-id": "spiffe://td/blue", "connection": "x-client-spiffe-id"}
    (check,) = read({**QUOTE, "headers": headers})
    assert check["headers"] == headers


def test_defaults_come_from_where_they_are_known() -> None:
    foreign = {**OUT, "name": "foreign", "client": "foreign_ca"}
    _in, out, other_check, foreign_check = read(IN, OUT, {**OTHER, "name": "other"}, foreign)
    assert out.kind == "negative"
    assert out["from"] == "here"
    assert out["spiffe_id"] == "spiffe://td/green"
    assert out["refusal"] == ("tls_alert",)
    assert out.needs == ("in",)
    assert other_check["client_spiffe_id"] == "spiffe://td/trustmesh/verify/other-identity"
    assert foreign_check["client_spiffe_id"] == "spiffe://td/blue"


def test_another_identity_is_of_the_trust_domain_of_the_permitted_one() -> None:
    permitted = {**IN, "to": "west", "client_spiffe_id": "spiffe://far.td/x"}
    _in, other = read(permitted, {**OTHER, "to": "west"})
    assert other["client_spiffe_id"].startswith("spiffe://far.td/")
    (across, _foreign) = read({**IN, "to": "west"}, {**OUT, "to": "west", "client": "foreign_ca"})
    assert across["spiffe_id"] == "spiffe://far.td/west", "the other end may be of another trust domain"


def test_an_id_is_judged_by_a_server_of_its_own_trust_domain() -> None:
    of = mesh()
    assert of.judge_of("spiffe://td/a") == "one", "the first one"
    assert of.judge_of("spiffe://td/a", of.endpoints["second"]) == "two", "or that of the endpoint"
    assert of.judge_of("spiffe://far.td/a", of.endpoints["second"]) == "far", "when it is of that trust domain"


def test_the_server_of_an_endpoint() -> None:
    named = {name: endpoint.server for name, endpoint in mesh().endpoints.items()}
    assert named == {
        "here": None,
        "sleep": "one",
        "blue": "one",
        "green": "one",
        "west": "far",
        "bare": None,
        "second": "two",
        "safe": "one",
        "istiod": "one",
        "nobodys": None,
    }
    alone = read_mesh([{"name": "spire", "address": "a:1"}], {"one": "td"}, [])
    assert alone.endpoints["spire"].server == "one", "there is no other"


def test_what_is_worth_nothing_may_be_shown_from_a_pod() -> None:
    forged = {**OUT, "to": "blue", "control": "quote", "from": "sleep", "client_spiffe_id": "spiffe://td/x"}
    for client in ("foreign_ca", "istiod"):
        assert read(QUOTE, {**forged, "client": client})[1]["client"] == client
    with pytest.raises(InputError, match="control must be an accepted_handshake"):
        read(QUOTE, {**forged, "client": "expired"})


def test_a_request_by_files_learns_who_the_server_is() -> None:
    by_files, through = read(BY_FILES, {**BY_FILES, "name": "t", "spiffe_id": "spiffe://td/blue"})
    assert by_files["certificate"] == {
        "certificate": "/run/files/svid/svid.pem",
        "key": "/run/files/svid/svid.key",
        "authorities": "/run/files/svid/bundle.pem",
    }
    assert (by_files["spiffe_id"], through["spiffe_id"]) == ("spiffe://td/safe", "spiffe://td/blue")
    paths = {"certificate": "/c", "key": "/k", "authorities": "/a"}
    assert read({**BY_FILES, "certificate": paths})[0]["certificate"] == paths
    out = {**BY_FILES, "name": "out", "type": "refused_request", "control": "f"}
    assert read(BY_FILES, out)[1]["spiffe_id"] == "spiffe://td/safe"
    unknown = {**out, "to": "bare", "url": "https://bare", "control": "p"}
    plain = {**QUOTE, "name": "p", "to": "bare", "url": "http://bare"}
    assert read(plain, unknown)[1]["spiffe_id"] is None, "whoever refuses, for nobody said who it must be"


def test_a_chain_is_presented_or_held() -> None:
    presented, held = read(CHAIN, {**CHAIN, "name": "held", "to": "sleep", "secret": "default"})
    assert (presented["from"], presented["container"]) == ("here", None)
    assert (held["from"], held["container"]) == (None, "istio-proxy")


def test_servers_are_compared_wherever_the_picture_shows_it() -> None:
    bare, drawn = read(SAME, {**SAME, "name": "d", "from": "green", "to": "second"})
    assert (bare["from"], bare["to"]) == (None, None)
    assert (drawn["from"], drawn["to"]) == ("green", "second")
    assert all(check.kind == "positive" for check in read(PUBLISHED, HOOKS))
    assert read(ISSUES)[0].needs == ()


def test_an_address_is_split() -> None:
    assert mesh().endpoints["green"].host_port == ("::1", 8443)


def test_a_caller_may_be_in_another_cluster_than_the_called() -> None:
    places = [
        {"name": "a", "cluster": "east", "pod": "deploy/a"},
        {"name": "b", "cluster": "west", "pod": "deploy/b", "url": "http://b.shop/"},
    ]
    of = read_mesh(places, {}, ["east", "west"])
    (check,) = read_checks([{"name": "x", "type": "request", "from": "a", "to": "b"}], of)
    assert (check["from"], check["to"]) == ("a", "b")


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ([], "checks: there is none"),
        ([{**QUOTE, "name": " "}], r"checks\[0\]: name is ' ', expected a text"),
        ([{**QUOTE, "kind": "negative"}], r"checks\[0\] \('quote'\): kind is 'negative', but request is a positive"),
        ([{**QUOTE, "client": "none"}], r"checks\[0\] \('quote'\): client is no field of a check of type request"),
        ([IN, {**OUT, "status": 200}], r"checks\[1\] \('out'\): status is no field of a check of type refused_hand"),
        ([{"name": "a", "type": "request"}], r"checks\[0\] \('a'\): to is missing. A check of type request needs it"),
        ([{**QUOTE, "to": "gren"}], "to names the endpoint 'gren', known are: here, sleep"),
        ([{**QUOTE, "to": "green"}], "this endpoint has no url"),
        ([{**QUOTE, "from": "green"}], "has no pod to make a request from"),
        ([{**QUOTE, "status": 42}], "status is 42, expected a whole number from 100 to 599"),
        ([{**PEER, "min_remaining": -1}], "min_remaining is -1, expected a whole number from 0"),
        ([{**QUOTE, "path": "x y"}], "path is 'x y', expected a path"),
        ([{**QUOTE, "path": "/a\nb"}], "expected a text on one line"),
        ([{**QUOTE, "contains": ""}], "contains is '', expected a text"),
        ([QUOTE, QUOTE], r"checks\[1\]: the name 'quote' is taken by checks\[0\]"),
        ([OUT], r"checks\[0\] \('out'\): control names the check 'in', which does not exist"),
        ([IN, {**OUT, "refusal": []}], "one or more of tls_alert, reset, http_403"),
        ([IN, {**OUT, "to": "bare"}], "control must be about the same endpoint"),
        ([IN, OUT, {**OUT, "name": "b", "control": "out"}], "control must name a positive check"),
        ([PEER, {**OUT, "control": "p", "refusal": ["http_403"]}], "control must be a check that gets an answer"),
        ([PEER, {**OUT, "control": "p", "client": "other_identity"}], "control must be an accepted_handshake"),
        ([{**QUOTE, "json_value": "v2"}], "json_value is given without json_key"),
        ([{**PEER, "alpn": ["a b"]}], "alpn is .*, expected protocols"),
        ([IN, {**OUT, "client_spiffe_id": "spiffe://td/x"}], "no meaning with client: none"),
        ([IN, {**OTHER, "client_spiffe_id": "spiffe://td/blue"}], "which is permitted"),
        (
            [IN, {**OTHER, "client_spiffe_id": "spiffe://third.td/x"}],
            r"checks\[1\] \('out'\): client_spiffe_id is spiffe://third.td/x, but no server of the trust domain"
            r" third.td is given. Add one to servers: .* with a server: td, far.td",
        ),
        ([{**PEER, "spiffe_id": "spiffe://third.td/x"}], "no server of the trust domain third.td is given"),
        ([IN, {**OUT, "client": "foreign_ca", "client_spiffe_id": "spiffe://td/x"}], "must carry the permitted ID"),
        ([{**IN, "client_spiffe_id": "blue"}], "expected a SPIFFE ID"),
        ([{**IN, "from": "sleep"}], "from is 'sleep', but this can only be tried from 'here'"),
        ([IN, {**OTHER, "from": "sleep"}], "never leaves this host"),
        ([QUOTE, {**OTHER, "to": "blue", "control": "quote"}], "control must be an accepted_handshake"),
        (
            [IN, {**OUT, "client": "expired", "client_spiffe_id": "spiffe://td/x"}],
            "with client: expired the certificate",
        ),
        (
            [QUOTE, {**OUT, "client": "istiod", "to": "blue", "control": "quote"}],
            "control must be an accepted_handshake",
        ),
        ([IN, {**OUT, "refusal": ["nothing_listens"]}], "Where nothing listens nobody refuses"),
        ([ITSELF, {**AROUND, "port": 0}], "port is 0, expected a port from 1 to 65535"),
        ([ITSELF, {**AROUND, "from": "here"}], "from is 'here', which is not in the cluster of 'sleep'"),
        ([ITSELF, {**AROUND, "to": "green"}], "this endpoint has no pod"),
        ([{**PEER, "to": "bare"}], "the endpoint 'bare' has none"),
        ([{**PEER, "dns_names": []}], "dns_names is .*, expected DNS names"),
        ([{**PEER, "dns_names": ["a_b"]}], "dns_names is .*, expected DNS names"),
        ([{**PEER, "address": "b"}], "address is 'b', expected host:port"),
        ([{**BY_FILES, "certificate": {}}], "certificate: give folder, .* or all of certificate, key, authorities"),
        ([{**BY_FILES, "certificate": {"key": "/k"}}], "certificate: give folder"),
        ([{**BY_FILES, "certificate": {**FILES, "key": "/k"}}], "folder is given, and so is key. Give one of them"),
        ([{**BY_FILES, "certificate": {"folder": "svid"}}], "certificate: folder is 'svid', expected an absolute path"),
        ([{**BY_FILES, "certificate": {"folder": "/a b"}}], "certificate: folder is '/a b', expected an absolute path"),
        ([{**BY_FILES, "certificate": {"folder": ""}}], "certificate: folder is '', expected an absolute path"),
        (
            [{**BY_FILES, "certificate": {"socket": "/run/a.sock"}}],
            "certificate: give both socket and agent",
        ),
        (
            [{**BY_FILES, "certificate": {"socket": "/run/a.sock", "agent": "/a b"}}],
            "certificate: agent is '/a b'. .* absolute paths",
        ),
        (
            [{**BY_FILES, "certificate": {"socket": "/run/a.sock", "agent": "/a", "key": "/k"}}],
            "certificate: key is '/k'. With socket and agent, .* there is nothing else",
        ),
        ([{**BY_FILES, "url": "http://safe/"}], "certificate is given, and the url http://safe/ is not https://"),
        ([{**BY_FILES, "to": "blue"}], "certificate is given, and the url http://gateway/ is not https://"),
        ([{**BY_FILES, "to": "bare", "url": "https://bare"}], "spiffe_id is missing, and the endpoint 'bare' has none"),
        ([{**BY_FILES, "address": "safe"}], "address is 'safe', expected host:port"),
        ([{**QUOTE, "spiffe_id": "spiffe://td/x"}], "spiffe_id is given without certificate"),
        ([{**BY_FILES, "spiffe_id": "spiffe://third.td/x"}], "no server of the trust domain third.td is given"),
        (
            [
                QUOTE,
                {**QUOTE, "name": "x", "type": "refused_request", "control": "quote", "refusal": ["name_mismatch"]},
            ],
            "refusal is name_mismatch, and no name is verified without certificate",
        ),
        ([{**CHAIN, "length": 0}], "length is 0, expected a whole number from 1 to 8"),
        ([{**CHAIN, "issuers": []}], "issuers is .*, expected names of certificates"),
        ([{**CHAIN, "issuers": ["a\nb"]}], "issuers is .*, expected names of certificates"),
        ([{**CHAIN, "container": "x"}], "container is given without secret"),
        ([{**CHAIN, "secret": "default"}], "to is 'green', but this endpoint has no pod"),
        ([{**CHAIN, "to": "sleep"}], "to is 'sleep', but this endpoint has no address"),
        ([{**CHAIN, "to": "sleep", "secret": "x", "server_name": "x"}], "server_name has no meaning with secret"),
        ([{**SAME, "servers": ["one"]}], "servers is one. Name two or more, each once"),
        ([{**SAME, "servers": ["one", "one"]}], "servers is one, one. Name two or more, each once"),
        ([{**SAME, "servers": []}], "servers is .*, expected names of servers"),
        ([{**SAME, "servers": ["one", "none"]}], "servers names 'none', known servers: one, two, far"),
        ([{**SAME, "servers": ["one", "far"]}], "servers are of td and far.td"),
        ([{**SAME, "from": "nowhere"}], "from names the endpoint 'nowhere'"),
        ([{**PUBLISHED, "to": "green"}], "to is 'green', but this endpoint has no pod"),
        ([{**PUBLISHED, "to": "nobodys"}], "nothing says which of servers the endpoint 'nobodys' is certified by"),
        ([{**PUBLISHED, "namespaces": ["--all"]}], "namespaces is .*, expected names of Kubernetes"),
        ([{**PUBLISHED, "config_map": "-x"}], "config_map is '-x', expected a name of Kubernetes"),
        ([{**HOOKS, "to": "nobodys"}], "nothing says which of servers the endpoint 'nobodys' is certified by"),
        ([{**HOOKS, "service": "-x"}], "service is '-x', expected a name of Kubernetes"),
        ([{**ISSUES, "from": None}], "from is missing"),
        ([{**ISSUES, "to": "sleep"}], "to is 'sleep', but this endpoint has no address"),
        ([{**ISSUES, "to": "green"}], "to is 'green', but this endpoint has no pod"),
        ([{"name": "t", "type": "token_reuse", "to": "bare"}], "nothing says which of servers the endpoint 'bare' is"),
        (
            [IN, {"name": "f", "type": "forwarded_certificate", "from": "blue", "to": "green", "request": "in"}],
            "request must name a check of type request",
        ),
    ],
)
def test_a_mistake_in_a_check(checks: list[Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(*checks)


def place(**fields: str) -> dict[str, str]:
    return {"name": "a", **fields}


@pytest.mark.parametrize(
    ("endpoints", "words"),
    [
        ([{"name": "here"}], r"endpoints\[0\] \('here'\): this name stands for the host"),
        ([place(), place()], r"endpoints\[1\]: the name 'a' is taken by endpoints\[0\]"),
        ([place(address="b")], r"endpoints\[0\] \('a'\): address is 'b', expected host:port"),
        ([place(address="b:99999")], "expected host:port"),
        ([place(address="a_b:80")], "expected host:port"),
        ([place(address="0x7f.1:80")], "expected host:port"),
        ([place(url="ftp://b")], "expected a URL"),
        ([place(url="http://user:secret@b/")], "expected a URL"),
        ([place(spiffe_id="spiffe://TD/x")], "expected a SPIFFE ID"),
        (
            [place(spiffe_id="spiffe://third.td/x")],
            r"endpoints\[0\] \('a'\): .* no server of the trust",
        ),
        ([place(server="none")], "server is 'none', known servers: one, two, far"),
        ([place(pod="x")], r"it has a pod, but no cluster. .* known clusters: blue"),
        ([place(pod="x", cluster="red")], "cluster is 'red', which is none of clusters"),
        ([place(pod="--all", cluster="blue")], "pod is '--all', expected a name of Kubernetes"),
        ([place(container="x")], "container is given without pod"),
        ([place(title="a\nb")], "title is .*, expected a text on one line"),
    ],
)
def test_a_mistake_in_an_endpoint(endpoints: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_mesh(endpoints, SERVERS, ["blue"])


def test_without_servers_nothing_is_judged_and_an_id_is_a_label() -> None:
    places = [place(spiffe_id="spiffe://any.td/x", url="http://a/")]
    of = read_mesh(places, {}, [])
    assert read_checks([{"name": "x", "type": "request", "to": "a"}], of)[0]["to"] == "a"
    with pytest.raises(InputError, match="Trust domains with a server: there is none"):
        read_checks(
            [{"name": "x", "type": "peer_certificate", "to": "a"}], read_mesh([{**places[0], "address": "a:1"}], {}, [])
        )


def test_every_field_of_a_type_has_a_type_of_its_own_in_the_argument_spec() -> None:
    fields = {key for of in TYPES.values() for key in of.fields}
    assert fields | {"name", "type", "kind", "hint"} == set(CHECK)
    assert set(LOOKS) < set(TYPES)

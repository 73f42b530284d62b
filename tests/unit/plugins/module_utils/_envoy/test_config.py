# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoy's configuration, by its structure; that Envoy accepts it is tested in tests/integration."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._envoy import config
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

Data = dict[str, Any]
ID = "spiffe://example.org/ns/quotes/sa/quote"
ALLOWED = ["spiffe://example.org/a", "spiffe://example.org/b"]


def instance(listener: Data | None = None, upstream: Data | None = None, **fields: Any) -> Data:
    """An Envoy with one listener and one upstream, changed by what is given."""
    return {
        "name": "quote-envoy",
        "namespace": "quotes",
        "spiffe_id": ID,
        "listeners": [
            {
                "name": "inbound",
                "port": 8443,
                "allowed_spiffe_ids": ALLOWED,
                "routes": [{"upstream": "app"}],
                **(listener or {}),
            }
        ],
        "upstreams": [{"name": "app", "address": "127.0.0.1", "port": 8080, **(upstream or {})}],
        **fields,
    }


def made(**given: Any) -> Data:
    return config.configuration(instance(**given), "/run/sockets/agent.sock", config.Limits())["static_resources"]


def chain(resources: Data) -> Data:
    (found,) = resources["listeners"][0]["filter_chains"]
    return found


def manager(resources: Data) -> Data:
    (found,) = chain(resources)["filters"]
    return found["typed_config"]


def cluster(resources: Data, name: str = "app") -> Data:
    return next(item for item in resources["clusters"] if item["name"] == name)


# Who is let in


def test_a_listener_asks_for_a_certificate_and_lets_in_exactly_the_listed() -> None:
    tls = chain(made())["transport_socket"]["typed_config"]
    assert tls["require_client_certificate"] is True
    common = tls["common_tls_context"]
    assert [item["name"] for item in common["tls_certificate_sds_secret_configs"]] == [ID]
    validation = common["combined_validation_context"]
    assert validation["default_validation_context"]["match_typed_subject_alt_names"] == [
        {"san_type": "URI", "matcher": {"exact": item}} for item in ALLOWED
    ]
    assert validation["validation_context_sds_secret_config"]["name"] == "spiffe://example.org"


def test_who_is_listed_is_compared_once_more_after_the_handshake() -> None:
    rbac, router = manager(made())["http_filters"]
    rules = rbac["typed_config"]["rules"]
    assert rules["action"] == "ALLOW"
    assert rules["policies"]["listed"]["permissions"] == [{"any": True}]
    assert rules["policies"]["listed"]["principals"] == [
        {"authenticated": {"principal_name": {"exact": item}}} for item in ALLOWED
    ]
    assert router["name"] == "envoy.filters.http.router"


def test_methods_and_paths_are_both_asked_for() -> None:
    rbac, _router = manager(made(listener={"methods": ["GET", "HEAD"], "paths": ["/today"]}))["http_filters"]
    (permission,) = rbac["typed_config"]["rules"]["policies"]["listed"]["permissions"]
    methods, paths = permission["and_rules"]["rules"]
    assert [rule["header"]["string_match"]["exact"] for rule in methods["or_rules"]["rules"]] == ["GET", "HEAD"]
    assert {rule["header"]["name"] for rule in methods["or_rules"]["rules"]} == {":method"}
    assert paths["or_rules"]["rules"] == [{"url_path": {"path": {"exact": "/today"}}}]


@pytest.mark.parametrize("field", ["methods", "paths"])
def test_one_of_them_alone(field: str) -> None:
    rbac, _router = manager(made(listener={field: ["/x"]}))["http_filters"]
    (permission,) = rbac["typed_config"]["rules"]["policies"]["listed"]["permissions"]
    assert len(permission["and_rules"]["rules"]) == 1


def test_clients_of_several_domains_are_judged_by_all_bundles() -> None:
    listed = ["spiffe://example.org/a", "spiffe://other.org/b"]
    common = chain(made(listener={"allowed_spiffe_ids": listed}))["transport_socket"]["typed_config"]
    validation = common["common_tls_context"]["combined_validation_context"]
    assert validation["validation_context_sds_secret_config"]["name"] == "ALL"
    matchers = validation["default_validation_context"]["match_typed_subject_alt_names"]
    assert [item["matcher"]["exact"] for item in matchers] == listed


def test_agents_that_hand_out_all_bundles_by_another_name_are_asked_by_that_one() -> None:
    given = instance(listener={"allowed_spiffe_ids": ["spiffe://example.org/a", "spiffe://other.org/b"]})
    whole = config.configuration(given, "/run/sockets/agent.sock", config.Limits(), "ROOTCA")["static_resources"]
    common = chain(whole)["transport_socket"]["typed_config"]["common_tls_context"]
    asked = common["combined_validation_context"]["validation_context_sds_secret_config"]
    assert asked["name"] == "ROOTCA"


def test_clients_of_one_other_domain_are_judged_by_its_bundle() -> None:
    common = chain(made(listener={"allowed_spiffe_ids": ["spiffe://other.org/b"]}))["transport_socket"]["typed_config"]
    validation = common["common_tls_context"]["combined_validation_context"]
    assert validation["validation_context_sds_secret_config"]["name"] == "spiffe://other.org"


def test_what_a_client_says_of_itself_goes_and_what_its_certificate_says_comes() -> None:
    http = manager(made())
    assert http["forward_client_cert_details"] == "SANITIZE_SET"
    assert http["set_current_client_cert_details"] == {"uri": True, "cert": True, "chain": True}
    (shown,) = http["route_config"]["request_headers_to_add"]
    assert shown == {
        "header": {"key": "x-client-spiffe-id", "value": "%DOWNSTREAM_PEER_URI_SAN%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def test_a_proxy_that_is_believed_may_forward_and_is_added() -> None:
    http = manager(made(listener={"forwarded_client_cert": "append"}))
    assert http["forward_client_cert_details"] == "APPEND_FORWARD"
    assert not {"request_headers_to_add", "request_headers_to_remove"} & http["route_config"].keys()


@pytest.mark.parametrize(
    ("mesh", "details"), [(True, "ALWAYS_FORWARD_ONLY"), (False, "SANITIZE")], ids=["its sidecar", "the pod itself"]
)
def test_where_nobody_shows_a_certificate_no_client_is_named(mesh: bool, details: str) -> None:
    http = manager(made(listener={"allowed_spiffe_ids": [], "address": "127.0.0.1"}, mesh=mesh))
    assert http["forward_client_cert_details"] == details
    assert http["route_config"]["request_headers_to_remove"] == ["x-client-spiffe-id"]
    assert [item["name"] for item in http["http_filters"]] == ["envoy.filters.http.router"]


def test_a_proxy_asks_only_for_those_who_are_listed() -> None:
    clients = ["spiffe://example.org/client/a", "spiffe://example.org/client/b"]
    http = manager(made(listener={"forwarded_client_cert": "append", "on_behalf_of": clients}))
    (rbac, _router) = http["http_filters"]
    principals = rbac["typed_config"]["rules"]["policies"]["listed"]["principals"]
    named = [{"header": {"name": "x-client-spiffe-id", "string_match": {"exact": client}}} for client in clients]
    assert principals == [
        {"and_ids": {"ids": [{"authenticated": {"principal_name": {"exact": proxy}}}, {"or_ids": {"ids": named}}]}}
        for proxy in ALLOWED
    ]


def test_in_a_mesh_nobody_but_its_own_sidecar_reaches_it() -> None:
    resources = made(mesh=True, listener={"allowed_spiffe_ids": []})
    inbound, health = resources["listeners"]
    assert inbound["address"]["socket_address"]["address"] == "127.0.0.1"
    (only,) = health["filter_chains"][0]["filters"]
    (host,) = only["typed_config"]["route_config"]["virtual_hosts"]
    assert [route["match"] for route in host["routes"]] == [{"path": "/ready"}]
    assert "cluster" not in json.dumps(host), "it goes on to nobody"
    everywhere = {"allowed_spiffe_ids": [], "address": "0.0.0.0"}  # noqa: S104
    (fault,) = config.faults(instance(mesh=True, listener=everywhere))
    assert "takes requests past its sidecar" in fault


def test_behind_a_sidecar_there_is_no_tls_of_its_own() -> None:
    assert "transport_socket" not in chain(made(listener={"allowed_spiffe_ids": []}, mesh=True))


# Where it listens, and how


def test_it_listens_everywhere_or_where_it_is_said() -> None:
    assert made()["listeners"][0]["address"] == {"socket_address": {"address": "0.0.0.0", "port_value": 8443}}  # noqa: S104
    own = made(listener={"address": "127.0.0.1", "allowed_spiffe_ids": []})["listeners"][0]
    assert own["address"]["socket_address"]["address"] == "127.0.0.1"


def test_on_a_machine_the_administration_is_for_the_envoy_alone() -> None:
    admin = config.configuration(instance(user="envoy-quote"), "/s", config.Limits(), admin="/opt/a.sock")["admin"]
    assert admin["address"] == {"pipe": {"path": "/opt/a.sock", "mode": 0o600}}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"user": "a;b"},
            "user is 'a;b'. Give 1 to 32 lower case letters, digits, dashes and underscores, beginning with a letter.",
        ),
        (
            {"user": ""},
            "user is ''. Give 1 to 32 lower case letters, digits, dashes and underscores, beginning with a letter.",
        ),
        (
            {"user": "a", "beside": {"kind": "Deployment", "name": "b"}, "service": {"ports": []}},
            "user is for an Envoy on a machine, which has no beside and no service.",
        ),
    ],
)
def test_an_envoy_of_a_machine_is_in_no_pod(fields: Data, text: str) -> None:
    assert config.faults(instance(**fields)) == [f"envoy_instances: quote-envoy: {text}"]


def test_the_administration_is_for_the_pod_alone() -> None:
    admin = config.configuration(instance(), "/s", config.Limits())["admin"]
    assert admin["address"] == {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}


def test_connections_end_in_time() -> None:
    limits = config.Limits(max_age=7)
    resources = config.configuration(instance(), "/s", limits)["static_resources"]
    assert manager(resources)["common_http_protocol_options"]["max_connection_duration"] == "7s"
    assert manager(resources)["http1_safe_max_connection_duration"] is True
    (options,) = cluster(resources)["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"] == {"max_connection_duration": "7s"}
    plain = config.configuration(instance(listener={"protocol": "tcp"}), "/s", limits)["static_resources"]
    assert chain(plain)["filters"][-1]["typed_config"]["max_downstream_connection_duration"] == "7s"


def test_both_ends_speak_the_newest_tls_alone() -> None:
    resources = made(upstream={"spiffe_ids": [ID]})
    sockets = [chain(resources)["transport_socket"], cluster(resources)["transport_socket"]]
    for socket in sockets:
        assert set(socket["typed_config"]["common_tls_context"]["tls_params"].values()) == {"TLSv1_3"}


def test_nobody_can_take_all_of_it_before_or_after_the_handshake() -> None:
    whole = config.configuration(instance(), "/s", config.Limits(connections=5, heap=99))
    assert chain(whole["static_resources"])["transport_socket_connect_timeout"] == "5s"
    assert whole["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"] == 32768
    assert manager(whole["static_resources"])["request_headers_timeout"] == "5s"
    limits = [monitor["typed_config"] for monitor in whole["overload_manager"]["resource_monitors"]]
    assert [limit.get("max_active_downstream_connections") for limit in limits] == [5, None]
    assert [limit.get("max_heap_size_bytes") for limit in limits] == [None, 99]
    assert whole["admin"]["ignore_global_conn_limit"] is True, "one can still look when it is full"


def test_a_policy_reads_what_the_program_behind_reads() -> None:
    http = manager(made())
    assert (http["codec_type"], http["normalize_path"], http["merge_slashes"]) == ("AUTO", True, True)
    assert http["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    assert http["common_http_protocol_options"]["headers_with_underscores_action"] == "REJECT_REQUEST"
    assert (http["use_remote_address"], http["xff_num_trusted_hops"]) == (True, 0)


def test_client_and_server_agree_by_tls_on_http2_or_1() -> None:
    resources = made()
    assert manager(resources)["codec_type"] == "AUTO"
    tls = chain(resources)["transport_socket"]["typed_config"]["common_tls_context"]
    assert tls["alpn_protocols"] == ["h2", "http/1.1"]
    assert manager(made(listener={"allowed_spiffe_ids": [], "address": "127.0.0.1"}))["codec_type"] == "HTTP1"


def test_http2() -> None:
    resources = made(listener={"protocol": "http2"}, upstream={"protocol": "http2"})
    assert manager(resources)["codec_type"] == "HTTP2"
    (options,) = cluster(resources)["typed_extension_protocol_options"].values()
    assert options["explicit_http_config"] == {"http2_protocol_options": {}}


def test_plain_tcp() -> None:
    resources = made(listener={"protocol": "tcp"}, upstream={"protocol": "tcp"})
    rbac, proxy = chain(resources)["filters"]
    assert rbac["name"] == "envoy.filters.network.rbac"
    principals = rbac["typed_config"]["rules"]["policies"]["listed"]["principals"]
    assert [item["authenticated"]["principal_name"]["exact"] for item in principals] == ALLOWED
    assert proxy["typed_config"]["cluster"] == "app"
    assert chain(resources)["transport_socket"]["typed_config"]["require_client_certificate"] is True
    assert "typed_extension_protocol_options" not in cluster(resources)


def test_routes_are_told_apart_by_name_and_by_path() -> None:
    routes = [
        {"domains": ["a", "b:80"], "upstream": "app", "prefix": "/x", "rewrite": "/y", "timeout": 3},
        {"domains": ["a", "b:80"], "upstream": "app"},
        {"upstream": "app"},
    ]
    first, rest = manager(made(listener={"routes": routes}))["route_config"]["virtual_hosts"]
    assert first["domains"] == ["a", "a:*", "b:80"]
    assert first["routes"] == [
        {"match": {"prefix": "/x"}, "route": {"cluster": "app", "timeout": "3s", "prefix_rewrite": "/y"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "15s"}},
    ]
    assert rest["domains"] == ["*"]
    assert first["name"] != rest["name"]


# Where it goes


def test_an_upstream_shows_its_identity_and_expects_exactly_one() -> None:
    upstream = {
        "address": "192.0.2.1",
        "port": 30443,
        "spiffe_ids": ["spiffe://other.org/q"],
        "server_name": "q.example",
    }
    tls = cluster(made(upstream=upstream))["transport_socket"]["typed_config"]
    assert tls["sni"] == "q.example"
    common = tls["common_tls_context"]
    assert [item["name"] for item in common["tls_certificate_sds_secret_configs"]] == [ID]
    validation = common["combined_validation_context"]
    assert validation["default_validation_context"]["match_typed_subject_alt_names"] == [
        {"san_type": "URI", "matcher": {"exact": "spiffe://other.org/q"}}
    ]
    assert validation["validation_context_sds_secret_config"]["name"] == "spiffe://other.org"


def test_an_upstream_without_an_identity_is_plain() -> None:
    assert "transport_socket" not in cluster(made())


def test_certificates_come_from_the_agents_socket_and_are_waited_for() -> None:
    agent = cluster(made(), "spire_agent")
    (place,) = agent["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert place["endpoint"]["address"] == {"pipe": {"path": "/run/sockets/agent.sock"}}
    common = chain(made())["transport_socket"]["typed_config"]["common_tls_context"]
    (secret,) = common["tls_certificate_sds_secret_configs"]
    assert secret["sds_config"]["initial_fetch_timeout"] == "0s"
    (asked,) = secret["sds_config"]["api_config_source"]["grpc_services"]
    again = asked["envoy_grpc"]["retry_policy"]["retry_back_off"]
    assert again["max_interval"] == "2s", (
        "an agent that is back, or has heard of its entry, is not left waiting for 30 s"
    )


def test_every_cluster_that_is_named_is_there() -> None:
    two = instance()["upstreams"] + [{"name": "other", "address": "other", "port": 80}]
    resources = made(upstreams=two, listener={"routes": [{"upstream": "app"}, {"upstream": "other", "prefix": "/o"}]})
    assert [item["name"] for item in resources["clusters"]] == ["app", "other", "spire_agent"]


# What cannot be


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"listeners": []}, "envoy_instances: quote-envoy: listeners is empty. Say where it takes requests in."),
        (
            {"listener": {"allowed_spiffe_ids": []}},
            "envoy_instances: quote-envoy: listener inbound: allowed_spiffe_ids is empty, so it would let"
            " anybody in. List"
            " the clients, listen on 127.0.0.1, or put it into a mesh.",
        ),
        (
            {"listener": {"allowed_spiffe_ids": [], "address": "10.0.0.1"}},
            "envoy_instances: quote-envoy: listener inbound: allowed_spiffe_ids is empty, so it would let"
            " anybody in. List"
            " the clients, listen on 127.0.0.1, or put it into a mesh.",
        ),
        (
            {"listener": {"protocol": "udp"}},
            "envoy_instances: quote-envoy: listener inbound: protocol is 'udp'. Known: http, http2, tcp.",
        ),
        (
            {"listener": {"routes": []}},
            "envoy_instances: quote-envoy: listener inbound: routes is empty. Say to which upstream requests go.",
        ),
        (
            {"listener": {"routes": [{"upstream": "nope"}]}},
            "envoy_instances: quote-envoy: listener inbound: a route leads to the upstream 'nope'. Known: app.",
        ),
        (
            {"listener": {"protocol": "tcp", "routes": [{"upstream": "app"}, {"upstream": "app"}]}},
            "envoy_instances: quote-envoy: listener inbound: plain TCP has one route, for there is nothing by"
            " which to tell"
            " several apart.",
        ),
        (
            {"listener": {"forwarded_client_cert": "keep"}},
            "envoy_instances: quote-envoy: listener inbound: forwarded_client_cert is 'keep'. Known: set, append.",
        ),
        (
            {"listener": {"on_behalf_of": ["spiffe://example.org/client/a"]}},
            "envoy_instances: quote-envoy: listener inbound: on_behalf_of is what proxies in front say. Say"
            " forwarded_client_cert: append, and admit only proxies that set it.",
        ),
        (
            {"listener": {"forwarded_client_cert": "append", "on_behalf_of": ["client/a"]}},
            "envoy_instances: quote-envoy: listener inbound: on_behalf_of: 'client/a' does not start"
            " with spiffe:// (SPIFFE-ID 2).",
        ),
        (
            {"listener": {"protocol": "tcp", "methods": ["GET"]}},
            "envoy_instances: quote-envoy: listener inbound: methods, paths and on_behalf_of are HTTP's. Take them"
            " out, or say protocol: http.",
        ),
        (
            {"upstream": {"address": "?"}},
            "envoy_instances: quote-envoy: upstream app: its address is not known. When the host that it is"
            " on failed above, fix that and run again; else give address and port.",
        ),
        (
            {"upstream": {"address": '6.6.6.6", port_value: 80}}}'}},
            "envoy_instances: quote-envoy: upstream app: address: '6.6.6.6\", port_value: 80}}}' is not an IP address"
            " or a DNS name of letters, digits, dots and dashes (RFC 1123).",
        ),
        (
            {"upstream": {"port": 65536}},
            "envoy_instances: quote-envoy: upstream app: port: '65536' is not a port from 1 to 65535.",
        ),
        (
            {"upstream": {"server_name": "a b"}},
            "envoy_instances: quote-envoy: upstream app: server_name: 'a b' is not a name of"
            " letters, digits, dots, dashes and underscores.",
        ),
        (
            {"listener": {"address": "everywhere"}},
            "envoy_instances: quote-envoy: listener inbound: its address is 'everywhere'. Envoy listens on an IP"
            " address, such as 127.0.0.1.",
        ),
        (
            {"listener": {"port": 0}},
            "envoy_instances: quote-envoy: listener inbound: its port is '0'. Give one from 1 to 65535.",
        ),
        (
            {"upstream": {"protocol": "udp"}},
            "envoy_instances: quote-envoy: upstream app: protocol is 'udp'. Known: http, http2, tcp.",
        ),
    ],
)
def test_what_cannot_work_is_refused(given: Data, text: str) -> None:
    assert config.faults(instance(**given)) == [text]
    with pytest.raises(InputError) as refused:
        config.configuration(instance(**given), "/s", config.Limits())
    assert refused.value.message == text


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"spiffe_id": "example.org/x"}, "quote-envoy: spiffe_id: "),
        ({"spiffe_id": None}, "quote-envoy: spiffe_id: "),
        ({"listener": {"allowed_spiffe_ids": ["spiffe://example.org/*"]}}, "listener inbound: allowed_spiffe_ids: "),
        ({"upstream": {"spiffe_ids": ["https://x"]}}, "upstream app: spiffe_ids: "),
    ],
)
def test_an_identity_is_a_whole_spiffe_id(given: Data, place: str) -> None:
    (text,) = config.faults(instance(**given))
    assert place in text


def test_two_listeners_at_one_port() -> None:
    both = [{**instance()["listeners"][0], "name": name} for name in ("a", "b")]
    assert config.faults(instance(listeners=both)) == [
        "envoy_instances: quote-envoy: listener b: port 8443 is that of a too. Give another."
    ]


def test_before_anything_is_up_addresses_may_be_unknown() -> None:
    assert config.faults(instance(upstream={"address": "?"}), addresses=False) == []


def test_all_faults_are_told() -> None:
    assert len(config.faults(instance(listener={"protocol": "x", "routes": []}, spiffe_id="x"))) == 3


@pytest.mark.parametrize(
    ("address", "own"),
    [("127.0.0.1", True), ("::1", True), ("127.9.9.9", True), ("0.0.0.0", False), ("localhost", False)],  # noqa: S104
)
def test_what_is_loopback(address: str, own: bool) -> None:
    assert config.is_loopback(address) is own


# Beside a workload that exists


def test_what_is_attached_is_only_what_is_ours() -> None:
    parts = {"annotations": {"a": "1"}, "containers": [{"name": "envoy"}], "volumes": [{"name": "v"}]}
    one = {**instance(), "beside": {"kind": "StatefulSet", "name": "quote", "existing": True}}
    (made_,) = config.attachments([one], {"quote-envoy": parts})
    assert made_ == {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "quote", "namespace": "quotes"},
        "spec": {
            "template": {
                "metadata": {"annotations": {"a": "1"}},
                "spec": {"containers": [{"name": "envoy"}], "volumes": [{"name": "v"}]},
            }
        },
    }
    assert "spec" not in config.attachments([one], {})[0], "then the API server takes out what was ours"

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Envoy's configuration from an instance: listeners that admit listed SPIFFE IDs, upstreams that show theirs. Pure.

Names of fields are those of Envoy's API v3. Certificates and bundles come from SPIRE's agent by SDS: the Envoy's own
under the name of its SPIFFE ID, a bundle under that of its trust domain, and ``ALL`` for those of several domains
(spire, doc/spire_agent.md, SDS).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import is_port, place_faults
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeId, SpiffeIdError

Data = dict[str, Any]

_TYPE = "type.googleapis.com/envoy.extensions"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MANAGER = "envoy.filters.network.http_connection_manager"
_ROUTER = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"}}
HEALTH_PORT = 9902
_HEAP = "envoy.resource_monitors.fixed_heap"
_HANDSHAKE, _HEADERS = "5s", "5s"
"""How long a client may take for its handshake, and for the head of a request."""
_BUFFER = 32 * 1024
"""Bytes that are kept of a connection."""
ALL_BUNDLES = "ALL"
"""By which name an agent hands out the bundles of all trust domains, unless it is told another (``sds``)."""
PROTOCOLS = ("http", "http2", "tcp")
FORWARDED_CERTS = ("set", "append")
"""What becomes of x-forwarded-client-cert: it names the client alone, or the client after those whom it names."""
_USER = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_OF_PODS = ("mesh", "beside", "service", "containers", "volumes")
CLIENT_ID = "x-client-spiffe-id"
"""The header in which an Envoy tells those behind it the SPIFFE ID of its client, and in which nobody else can."""


def faults(instance: Mapping[str, Any], addresses: bool = True) -> list[str]:
    """Return what cannot work in an instance, a text for each fault.

    ``addresses`` says whether those of upstreams must be known by now: other hosts tell them while a playbook runs.
    """
    where = f"envoy_instances: {instance.get('name')}"
    found = []
    upstreams = {item.get("name"): item for item in instance.get("upstreams") or []}
    if not instance.get("listeners"):
        found.append(f"{where}: listeners is empty. Say where it takes requests in.")
    found += _id_faults(where, "spiffe_id", [instance.get("spiffe_id") or ""])
    found += _machine_faults(where, instance) if "user" in instance else []
    ports: dict[Any, str] = {}
    for listener in instance.get("listeners") or []:
        place = f"{where}: listener {listener.get('name')}"
        found += _listener_faults(place, listener, bool(instance.get("mesh")), upstreams)
        if listener.get("port") in ports:
            found.append(f"{place}: port {listener['port']} is that of {ports[listener['port']]} too. Give another.")
        ports[listener.get("port")] = str(listener.get("name"))
    for name, upstream in upstreams.items():
        place = f"{where}: upstream {name}"
        if addresses and upstream.get("address", "?") in ("", "?"):
            found.append(
                f"{place}: its address is not known. When the host that it is on failed above, fix that and run again;"
                " else give address and port."
            )
        elif upstream.get("address", "?") not in ("", "?"):
            found += [
                f"{place}: {text}"
                for text in place_faults({key: upstream.get(key) for key in ("address", "port", "server_name")})
            ]
        if upstream.get("protocol", "http") not in PROTOCOLS:
            found.append(f"{place}: protocol is {upstream['protocol']!r}. Known: {', '.join(PROTOCOLS)}.")
        found += _id_faults(place, "spiffe_ids", upstream.get("spiffe_ids") or [])
    return found


def _machine_faults(where: str, instance: Mapping[str, Any]) -> list[str]:
    """What an Envoy on a machine cannot have. The name of its user stands in a path, in a unit and in a script."""
    found = []
    if not _USER.fullmatch(str(instance["user"])):
        found.append(
            f"{where}: user is {str(instance['user'])[:80]!r}. Give 1 to 32 lower case letters, digits, dashes and"
            " underscores, beginning with a letter."
        )
    if of_pods := [key for key in _OF_PODS if instance.get(key)]:
        found.append(f"{where}: user is for an Envoy on a machine, which has no {' and no '.join(of_pods)}.")
    return found


def _listener_faults(place: str, listener: Mapping[str, Any], in_mesh: bool, upstreams: Mapping[Any, Any]) -> list[str]:
    found = []
    allowed = listener.get("allowed_spiffe_ids") or []
    address = address_of(listener, in_mesh)
    if not allowed and not is_loopback(address):
        found.append(
            f"{place}: it listens on {address} and takes requests past its sidecar. Leave address out."
            if in_mesh
            else f"{place}: allowed_spiffe_ids is empty, so it would let anybody in. List the clients, listen on"
            " 127.0.0.1, or put it into a mesh."
        )
    if not _is_ip(address):
        found.append(f"{place}: its address is {address[:80]!r}. Envoy listens on an IP address, such as 127.0.0.1.")
    if not is_port(listener.get("port")):
        found.append(f"{place}: its port is {str(listener.get('port'))[:80]!r}. Give one from 1 to 65535.")
    protocol = listener.get("protocol", "http")
    if protocol not in PROTOCOLS:
        found.append(f"{place}: protocol is {protocol!r}. Known: {', '.join(PROTOCOLS)}.")
    if not listener.get("routes"):
        found.append(f"{place}: routes is empty. Say to which upstream requests go.")
    for route in listener.get("routes") or []:
        if route.get("upstream") not in upstreams:
            known = ", ".join(str(name) for name in upstreams) or "none"
            found.append(f"{place}: a route leads to the upstream {route.get('upstream')!r}. Known: {known}.")
    forwarded = listener.get("forwarded_client_cert", "set")
    if forwarded not in FORWARDED_CERTS:
        found.append(f"{place}: forwarded_client_cert is {forwarded!r}. Known: {', '.join(FORWARDED_CERTS)}.")
    if listener.get("on_behalf_of") and forwarded != "append":
        found.append(
            f"{place}: on_behalf_of is what proxies in front say. Say forwarded_client_cert: append, and admit only"
            " proxies that set it."
        )
    if protocol == "tcp":
        if len(listener.get("routes") or []) > 1:
            found.append(f"{place}: plain TCP has one route, for there is nothing by which to tell several apart.")
        if any(listener.get(key) for key in ("methods", "paths", "on_behalf_of")):
            found.append(f"{place}: methods, paths and on_behalf_of are HTTP's. Take them out, or say protocol: http.")
    found += _id_faults(place, "on_behalf_of", listener.get("on_behalf_of") or [])
    return found + _id_faults(place, "allowed_spiffe_ids", allowed)


def _id_faults(place: str, field: str, ids: Iterable[str]) -> list[str]:
    found = []
    for text in ids:
        try:
            SpiffeId.parse(str(text))
        except SpiffeIdError as error:
            found.append(f"{place}: {field}: {error.message}.")
    return found


def address_of(listener: Mapping[str, Any], in_mesh: bool) -> str:
    """Where a listener listens: in a mesh only its own sidecar reaches it, also when there is none by mistake."""
    return str(listener.get("address") or ("127.0.0.1" if in_mesh else "0.0.0.0"))  # noqa: S104


def is_loopback(address: str) -> bool:
    """Whether only the pod itself reaches this address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Limits:
    """What one Envoy takes on. The defaults are those of the role envoy."""

    max_age: int = 60
    """Seconds after which a connection takes no new request: TLS looks at certificates when a connection begins."""
    connections: int = 1000
    """How many clients at a time."""
    heap: int = 192 * 1024 * 1024
    """Bytes of memory. Near it idle memory is given back, and then requests are refused."""


def configuration(
    instance: Mapping[str, Any], socket: str, limits: Limits, all_bundles: str = ALL_BUNDLES, admin: str = ""
) -> Data:
    """Return Envoy's bootstrap configuration; ``socket`` is the Workload API socket in its pod.

    ``all_bundles`` is the name by which its agent hands out the bundles of all trust domains. ``admin`` is a socket for
    the admin interface, where loopback is not the Envoy's own.

    Limits and normalisation are those of https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge.
    """
    wrong = faults(instance)
    if wrong:
        raise InputError("\n".join(wrong))
    upstreams = {item["name"]: item for item in instance["upstreams"]}
    return {
        "node": {"id": instance["name"], "cluster": instance["namespace"]},
        "admin": {
            "address": {"pipe": {"path": admin, "mode": 0o600}} if admin else _socket_address("127.0.0.1", 9901),
            "ignore_global_conn_limit": True,
        },
        "static_resources": {
            "listeners": [
                *(_listener(instance, listener, limits.max_age, all_bundles) for listener in instance["listeners"]),
                *([_health()] if instance.get("mesh") else []),
            ],
            "clusters": [
                *(_upstream(instance, item, limits.max_age, all_bundles) for item in upstreams.values()),
                _agent(socket),
            ],
        },
        "overload_manager": _overload(limits),
    }


def _overload(limits: Limits) -> Data:
    """What is done when many come at once, whoever they are: connections are counted before their handshake."""
    monitors = {
        "envoy.resource_monitors.global_downstream_max_connections": {
            "@type": f"{_TYPE}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": limits.connections,
        },
        _HEAP: {
            "@type": f"{_TYPE}.resource_monitors.fixed_heap.v3.FixedHeapConfig",
            "max_heap_size_bytes": limits.heap,
        },
    }
    actions = {"shrink_heap": 0.9, "stop_accepting_requests": 0.95}
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [{"name": name, "typed_config": config} for name, config in monitors.items()],
        "actions": [
            {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": _HEAP, "threshold": {"value": value}}]}
            for name, value in actions.items()
        ],
    }


def _socket_address(address: str, port: int) -> Data:
    return {"socket_address": {"address": address, "port_value": int(port)}}


def _listener(instance: Mapping[str, Any], listener: Mapping[str, Any], max_age: int, all_bundles: str) -> Data:
    allowed = list(listener.get("allowed_spiffe_ids") or [])
    protocol, in_mesh = listener.get("protocol", "http"), bool(instance.get("mesh"))
    if protocol == "tcp":
        chain: Data = {"filters": _tcp_filters(listener, allowed, max_age)}
    else:
        chain = {"filters": _http_filters(listener, allowed, max_age, in_mesh)}
    if allowed:
        common = _common_tls(instance, allowed, all_bundles)
        if protocol == "http":
            common["alpn_protocols"] = ["h2", "http/1.1"]
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{_TYPE}.transport_sockets.tls.v3.DownstreamTlsContext",
                "require_client_certificate": True,
                "common_tls_context": common,
            },
        }
        chain["transport_socket_connect_timeout"] = _HANDSHAKE
    return {
        "name": listener["name"],
        "per_connection_buffer_limit_bytes": _BUFFER,
        "address": _socket_address(address_of(listener, in_mesh), listener["port"]),
        "filter_chains": [chain],
    }


def _health() -> Data:
    """Where the kubelet sees that it runs, when it takes requests from its sidecar alone. There is no more to get."""
    answer = {"match": {"path": "/ready"}, "direct_response": {"status": 200}}
    manager: Data = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "health",
        "codec_type": "HTTP1",
        "request_headers_timeout": _HEADERS,
        "route_config": {"virtual_hosts": [{"name": "health", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [_ROUTER],
    }
    return {
        "name": "health",
        "per_connection_buffer_limit_bytes": _BUFFER,
        "address": _socket_address("0.0.0.0", HEALTH_PORT),  # noqa: S104
        "filter_chains": [{"filters": [{"name": _MANAGER, "typed_config": manager}]}],
    }


def _codec(listener: Mapping[str, Any], allowed: Sequence[str]) -> str:
    if listener.get("protocol") == "http2":
        return "HTTP2"
    # By TLS client and server agree on one of them.
    return "AUTO" if allowed else "HTTP1"


def _http_filters(listener: Mapping[str, Any], allowed: Sequence[str], max_age: int, in_mesh: bool) -> list[Data]:
    routes: Data = {"virtual_hosts": _virtual_hosts(listener["routes"])}
    manager: Data = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": listener["name"],
        # A connection goes on with the certificates that it began with. It ends in time, between two requests.
        "common_http_protocol_options": {
            "max_connection_duration": f"{max_age}s",
            # Some servers read x_y as x-y, and so as a header that a proxy has set.
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http1_safe_max_connection_duration": True,
        "codec_type": _codec(listener, allowed),
        # What one client can have under way on a connection, and how much of it is kept.
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 64 * 1024,
            "initial_connection_window_size": 1024 * 1024,
        },
        "request_headers_timeout": _HEADERS,
        # What a policy reads of a path is what the program behind reads.
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        # Nobody in front is believed when it says for whom it asks.
        "use_remote_address": True,
        "xff_num_trusted_hops": 0,
        "route_config": routes,
        "http_filters": [],
    }
    if allowed and listener.get("forwarded_client_cert") == "append":
        # The peer is a proxy that is verified, listed and believed: what it forwards is kept, and it is added itself.
        manager["forward_client_cert_details"] = "APPEND_FORWARD"
    elif allowed:
        # Nobody is in front. What the client says of itself goes, what its certificate says comes.
        manager["forward_client_cert_details"] = "SANITIZE_SET"
        shown = {"header": {"key": CLIENT_ID, "value": "%DOWNSTREAM_PEER_URI_SAN%"}}
        routes["request_headers_to_add"] = [{**shown, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    else:
        # In a mesh the sidecar in front has verified the client and says so in this header. Else it is the pod itself
        # that asks, and what it says of others is nobody's word.
        manager["forward_client_cert_details"] = "ALWAYS_FORWARD_ONLY" if in_mesh else "SANITIZE"
        routes["request_headers_to_remove"] = [CLIENT_ID]
    if allowed:
        # Not the subject: it is free text in a list that others take apart.
        manager["set_current_client_cert_details"] = {"uri": True, "cert": True, "chain": True}
        manager["http_filters"].append(
            {
                "name": "envoy.filters.http.rbac",
                "typed_config": {
                    "@type": f"{_TYPE}.filters.http.rbac.v3.RBAC",
                    "rules": _rules(allowed, _permissions(listener), listener.get("on_behalf_of") or []),
                },
            }
        )
    manager["http_filters"].append(_ROUTER)
    return [{"name": _MANAGER, "typed_config": manager}]


def _tcp_filters(listener: Mapping[str, Any], allowed: Sequence[str], max_age: int) -> list[Data]:
    filters: list[Data] = []
    if allowed:
        filters.append(
            {
                "name": "envoy.filters.network.rbac",
                "typed_config": {
                    "@type": f"{_TYPE}.filters.network.rbac.v3.RBAC",
                    "stat_prefix": listener["name"],
                    "rules": _rules(allowed, [{"any": True}]),
                },
            }
        )
    filters.append(
        {
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": {
                "@type": f"{_TYPE}.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": listener["name"],
                "cluster": listener["routes"][0]["upstream"],
                # Plain TCP has no pause between requests: the longest that a connection outlives its certificates.
                "max_downstream_connection_duration": f"{max_age}s",
            },
        }
    )
    return filters


def _rules(allowed: Sequence[str], permissions: list[Data], on_behalf_of: Sequence[str] = ()) -> Data:
    """Once more who is listed, by what the certificate says after the handshake, and for whom it may ask."""
    principals: list[Data] = [{"authenticated": {"principal_name": {"exact": spiffe_id}}} for spiffe_id in allowed]
    if on_behalf_of:
        clients = [{"header": {"name": CLIENT_ID, "string_match": {"exact": one}}} for one in on_behalf_of]
        principals = [{"and_ids": {"ids": [proxy, {"or_ids": {"ids": clients}}]}} for proxy in principals]
    return {"action": "ALLOW", "policies": {"listed": {"permissions": permissions, "principals": principals}}}


def _permissions(listener: Mapping[str, Any]) -> list[Data]:
    rules: list[Data] = []
    if listener.get("methods"):
        headers = [{"header": {"name": ":method", "string_match": {"exact": item}}} for item in listener["methods"]]
        rules.append({"or_rules": {"rules": headers}})
    if listener.get("paths"):
        paths = [{"url_path": {"path": {"exact": path}}} for path in listener["paths"]]
        rules.append({"or_rules": {"rules": paths}})
    return [{"and_rules": {"rules": rules}}] if rules else [{"any": True}]


def _virtual_hosts(routes: Sequence[Mapping[str, Any]]) -> list[Data]:
    """A virtual host for each set of names; in it the routes in the order in which they are given."""
    hosts: dict[tuple[str, ...], list[Data]] = {}
    for route in routes:
        names = tuple(name for domain in route.get("domains") or ["*"] for name in _with_port(domain))
        action = {"cluster": route["upstream"], "timeout": f"{route.get('timeout', 15)}s"}
        if route.get("rewrite"):
            action["prefix_rewrite"] = route["rewrite"]
        hosts.setdefault(names, []).append({"match": {"prefix": route.get("prefix") or "/"}, "route": action})
    return [
        {"name": f"host-{number}", "domains": list(names), "routes": items}
        for number, (names, items) in enumerate(hosts.items(), start=1)
    ]


def _with_port(domain: str) -> list[str]:
    return [domain] if domain == "*" or ":" in domain else [domain, f"{domain}:*"]


def _upstream(instance: Mapping[str, Any], upstream: Mapping[str, Any], max_age: int, all_bundles: str) -> Data:
    cluster: Data = {
        "name": upstream["name"],
        "type": "STRICT_DNS",
        "connect_timeout": "2s",
        "load_assignment": _assignment(upstream["name"], _socket_address(upstream["address"], upstream["port"])),
    }
    protocol = upstream.get("protocol", "http")
    if protocol != "tcp":
        spoken = "http2_protocol_options" if protocol == "http2" else "http_protocol_options"
        cluster["typed_extension_protocol_options"] = _http_options(spoken, {"max_connection_duration": f"{max_age}s"})
    if upstream.get("spiffe_ids"):
        tls: Data = {
            "@type": f"{_TYPE}.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": _common_tls(instance, list(upstream["spiffe_ids"]), all_bundles),
        }
        if upstream.get("server_name"):
            tls["sni"] = upstream["server_name"]
        cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": tls}
    return cluster


def _http_options(spoken: str, common: Data | None = None) -> Data:
    options: Data = {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {spoken: {}},
    }
    if common:
        options["common_http_protocol_options"] = common
    return {_HTTP_OPTIONS: options}


def _assignment(name: str, address: Data) -> Data:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _common_tls(instance: Mapping[str, Any], peers: Sequence[str], all_bundles: str) -> Data:
    """Our own certificate, and exactly the listed peers by the bundle of their trust domain."""
    domains = {SpiffeId.parse(peer).trust_domain for peer in peers}
    bundle = f"spiffe://{domains.pop()}" if len(domains) == 1 else all_bundles
    return {
        "tls_certificate_sds_secret_configs": [_sds(instance["spiffe_id"])],
        "combined_validation_context": {
            "default_validation_context": {
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": peer}} for peer in peers]
            },
            "validation_context_sds_secret_config": _sds(bundle),
        },
        # Both ends are ours. Envoy's own highest for clients is 1.2, which shows certificates to whoever listens.
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
    }


_AGAIN: Data = {"retry_back_off": {"base_interval": "0.2s", "max_interval": "2s"}}
"""When an agent is asked again that was not there, or had no identity: it is near. Envoy's own limit is 30 s."""


def _sds(name: str) -> Data:
    source = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "spire_agent", "retry_policy": _AGAIN}}],
    }
    # Without a limit on the wait: a listener opens when its certificate is there, and not before.
    return {
        "name": name,
        "sds_config": {"resource_api_version": "V3", "initial_fetch_timeout": "0s", "api_config_source": source},
    }


def _agent(socket: str) -> Data:
    return {
        "name": "spire_agent",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": _http_options("http2_protocol_options"),
        "load_assignment": _assignment("spire_agent", {"pipe": {"path": socket}}),
    }


def attachments(instances: Iterable[Mapping[str, Any]], parts: Mapping[str, Any]) -> list[Data]:
    """Return, for server-side apply, what is ours in workloads that exist: an Envoy beside their own containers.

    Without ``parts`` of an instance nothing is ours any more, and the API server takes out what was.
    """
    found = []
    for instance in instances:
        beside = instance["beside"]
        made: Data = {
            "apiVersion": "apps/v1",
            "kind": beside["kind"],
            "metadata": {"name": beside["name"], "namespace": instance["namespace"]},
        }
        if instance["name"] in parts:
            mine = parts[instance["name"]]
            made["spec"] = {
                "template": {
                    "metadata": {"annotations": mine["annotations"]},
                    "spec": {"containers": mine["containers"], "volumes": mine["volumes"]},
                }
            }
        found.append(made)
    return found

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that no option of a role may hold, through the role as it is run: each is refused by its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playbook import play
from rendering import CALLERS, FRONT, GATEWAY, GIVEN, QUOTE, Case, variables

LINE, LEFT = "a\nb", "{{ forgotten }}"
BAD: dict[str, dict[str, Any]] = {
    "envoy": {
        "envoy_instances[1].name": LINE,
        "envoy_instances[1].namespace": LEFT,
        "envoy_instances[1].service_account": LINE,
        "envoy_instances[1].labels.app": LINE,
        "envoy_instances[1].listeners[0].name": LINE,
        "envoy_instances[1].listeners[0].methods[1]": LINE,
        "envoy_instances[1].listeners[0].routes[0].domains[0]": LEFT,
        "envoy_instances[1].upstreams[0].server_name": LINE,
        "envoy_instances[1].service.ports[0].name": LINE,
        "envoy_instances[1].beside.name": LINE,
        "envoy_image": LINE,
        "envoy_binary": LINE,
        "envoy_socket_host_dir": LEFT,
        "envoy_socket_file": LINE,
        "envoy_resources.limits.memory": LINE,
        "envoy_machine_dir": LINE,
        "envoy_unit_settings.MemoryMax": LINE,
        "envoy_access.context": LINE,
        "envoy_pod_template.spec.nodeName": "a\0b",
    },
    "istio": {
        "istio_namespace": LINE,
        "istio_pilot_image": "a/" + LINE,
        "istio_proxy_image": "a/" + LEFT,
        "istio_csi_driver": LINE,
        "istio_mesh_id": LINE,
        "istio_network": LEFT,
        "istio_enforced_namespaces[1]": LINE,
        "istio_authorization_policies[1].name": LINE,
        "istio_authorization_policies[1].namespace": LEFT,
        "istio_authorization_policies[1].selector.app": LINE,
        "istio_authorization_policies[1].paths[0]": "/a\tb",
        "istio_gateways[0].name": LINE,
        "istio_gateways[0].namespace": LEFT,
        "istio_gateways[0].ports[0].name": LINE,
        "istio_access.kubeconfig": LINE,
    },
    "demo_app": {
        "demo_app_workloads[1].name": LINE,
        "demo_app_workloads[1].namespace": LEFT,
        "demo_app_workloads[1].service_account": LINE,
        "demo_app_workloads[1].labels.app": LEFT,
        "demo_app_workloads[1].service.name": LINE,
        "demo_app_images.quote": LINE,
    },
    "spire_server": {
        "spire_server_namespace": LINE,
        "spire_server_image": LINE,
        "spire_server_cluster": LEFT,
        "spire_server_bundle_endpoint_secret": LINE,
        "spire_server_bundle_endpoint_name": LEFT,
        "spire_server_agent_namespace": LINE,
        "spire_server_agent_service_account": LINE,
        "spire_server_storage_class": LINE,
        "spire_server_storage_size": LEFT,
        "spire_server_storage_host_path": LINE,
        "spire_server_ca_ttl": LINE,
        "spire_server_overlay.server.jwt_issuer": LEFT,
        "spire_server_overlay.plugins.UpstreamAuthority.disk.plugin_data.key_file_path": LINE,
        "spire_server_sidecars[0].name": LINE,
        "spire_server_sidecars[0].image": LEFT,
        "spire_server_volumes[0].name": LINE,
        "spire_server_volumes[0].mount_path": LINE,
        "spire_server_rules[0].resources[0]": LINE,
        "spire_server_database_connection": "a\0b",
    },
    "spire_agent": {
        "spire_agent_namespace": LINE,
        "spire_agent_service_account": LEFT,
        "spire_agent_image": LINE,
        "spire_agent_cluster": LINE,
        "spire_agent_nodes[1]": LINE,
        "spire_agent_server_address": "192.0.2.1\n",
        "spire_agent_overlay.agent.sds.default_svid_name": LEFT,
        "spire_agent_node_id_prefix": LINE,
        "spire_agent_data_host_path": LINE,
        "spire_agent_socket_host_dir": LINE,
        "spire_agent_trust_bundle": "a\0b",
    },
    "machine": {
        "machine_name": LINE,
        "machine_spiffe_id": LEFT,
        "machine_address": LINE,
        "machine_agent_binary": LINE,
        "machine_agent_group": LEFT,
        "machine_agent_overlay.agent.log_file": LINE,
        "machine_dir": LINE,
        "machine_socket_path": LEFT,
        "machine_server_address": LINE,
        "machine_server_connection.socket_path": LINE,
        "machine_attestor": LEFT,
        "machine_attestor_data.hostname": LINE,
        "machine_ssh_authorities[1]": LINE,
        "machine_node_selectors[0]": LEFT,
        "machine_server_attestor_data.cert_authorities_path": LINE,
        "machine_server_ca_path": LINE,
        "machine_workload_attestors.docker.plugin_data.docker_socket_path": LEFT,
        "machine_rebootstrap_delay": LINE,
        "machine_service_name": LINE,
        "machine_unit_settings.MemoryMax": LINE,
        "machine_control_dir": LEFT,
        "machine_trust_bundle": "a\0b",
    },
    "upstream_ca": {
        "upstream_ca_dir": LINE,
        "upstream_ca_certificate": LEFT,
        "upstream_ca_secret_name": LINE,
        "upstream_ca_access.context": LINE,
    },
    "spire_controller_manager": {
        "spire_controller_manager_cluster": LINE,
        "spire_controller_manager_image": LEFT,
        "spire_controller_manager_server_namespace": LINE,
        "spire_controller_manager_ignored_namespaces[1]": LINE,
        "spire_controller_manager_cluster_spiffe_ids[0].name": LEFT,
        "spire_controller_manager_cluster_spiffe_ids[0].spec.hint": LINE,
        "spire_controller_manager_cluster_static_entries[0].spec.selectors[0]": LEFT,
    },
    "cert_manager": {
        "cert_manager_issuers[0].spec.ca.secretName": LEFT,
        "cert_manager_certificates[1].spec.commonName": LINE,
        "cert_manager_namespaces[1]": LINE,
        "cert_manager_namespace": LEFT,
        "cert_manager_image": LINE,
        "cert_manager_resources.limits.memory": LEFT,
        "cert_manager_access.context": LINE,
    },
    "load_balancer": {
        "load_balancer_addresses[1]": LINE,
        "load_balancer_interfaces[0]": LEFT,
        "load_balancer_namespace": LINE,
        "load_balancer_controller_image": LEFT,
        "load_balancer_speaker_image": LINE,
        "load_balancer_resources.limits.memory": LINE,
        "load_balancer_access.context": LINE,
    },
}
"""By role the place of a bad value, and the value."""

GOOD: dict[str, dict[str, Any]] = {
    "envoy": {
        "envoy_instances": [
            FRONT,
            {**GATEWAY, "listeners": [{**GATEWAY["listeners"][0], "methods": ["GET"]}]},
        ],
        "envoy_service_annotations": {"note": "several\nlines"},
    },
    "istio": {
        "istio_enforced_namespaces": ["ready"],
        "istio_authorization_policies": [CALLERS, CALLERS],
        "istio_gateways": [
            {
                "ports": [{"port": 443}],
                "env": [{"name": "A", "value": "{{ .x }}\n"}],
                "service_annotations": {"a": "b\nc"},
            }
        ],
        "istio_overlay": {"spec": {"values": {"templates": {"a": "{{ .Annotations }}\n"}}}},
    },
    "demo_app": {"demo_app_workloads": [QUOTE, QUOTE], "demo_app_pod_template": {"metadata": {"a": "b\nc"}}},
    "spire_server": {
        "spire_server_sidecars": [{"args": ["-c", "a\nb"], "files": {"a": "b: {{ .c }}\n"}}],
        "spire_server_overlay": {
            "plugins": {"NodeAttestor": {"x509pop": {"plugin_data": {"agent_path_template": "/{{ .PluginName }}"}}}}
        },
    },
    "spire_agent": {"spire_agent_nodes": ["node-1"]},
    "machine": {
        "machine_ssh_authorities": ["ssh-ed25519 A"],
        "machine_server_attestor_data": {"agent_path_template": "/{{ .PluginName }}"},
    },
    "upstream_ca": {"upstream_ca_key": "/nonexistent/ca.key"},
    "spire_controller_manager": {
        "spire_controller_manager_id_prefix": "fine",
        "spire_controller_manager_ignored_namespaces": ["kube-system"],
        "spire_controller_manager_cluster_static_entries": [
            {"name": "one", "spec": {"spiffeID": "spiffe://example.org/a", "parentID": "spiffe://example.org/b"}}
        ],
        "spire_controller_manager_cluster_spiffe_ids": [
            {"spec": {"spiffeIDTemplate": "spiffe://{{ .TrustDomain }}/a"}}
        ],
    },
    "cert_manager": {
        "cert_manager_certificates": [{"namespace": "one"}, {"namespace": "two"}],
        "cert_manager_namespaces": ["one", "two"],
    },
    "load_balancer": {"load_balancer_addresses": ["192.0.2.8-192.0.2.9", "192.0.2.16/28"]},
}
"""What stands around the bad values, free text with lines and templates of others among it."""


def _put(into: dict[str, Any], place: str, value: Any) -> None:
    at: Any = into
    words = place.replace("[", ".[").split(".")
    for word, after in zip(words, [*words[1:], ""], strict=True):
        key: Any = int(word[1:-1]) if word.startswith("[") else word
        empty: Any = value if not after else ([] if after.startswith("[") else {})
        if isinstance(key, int):
            while len(at) <= key:
                at.append({} if isinstance(empty, dict) else "ok")
            at[key] = at[key] if after and at[key] else empty
        elif not after or key not in at:
            at[key] = empty
        at = at[key]


def _unsafe(value: Any) -> Any:
    """Data in which nothing is a template for Ansible."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, dict):
        return {key: _unsafe(item) for key, item in value.items()}
    return [_unsafe(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the message of each role's preflight."""
    folder = tmp_path_factory.mktemp("refused")
    hosts = {}
    for role, bad in BAD.items():
        given = json.loads(json.dumps(GOOD[role]))
        for place, value in bad.items():
            _put(given, place, value)
        always = {**GIVEN, **variables("one", Case("packages", (role,)))}
        hosts[role] = {**always, **_unsafe(given), "ansible_connection": "local"}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    tasks = [
        {
            "block": [
                {
                    "ansible.builtin.include_role": {
                        "name": "trustmesh.spiffe.{{ inventory_hostname }}",
                        "tasks_from": "preflight",
                        "rolespec_validate": False,
                    }
                }
            ],
            "rescue": [
                {
                    "ansible.builtin.copy": {
                        "content": "{{ ansible_failed_result.msg }}",
                        "dest": f"{folder}/{{{{ inventory_hostname }}}}",
                        "mode": "0600",
                    }
                }
            ],
        }
    ]
    done = play([{"hosts": "all", "tasks": tasks}], folder, "-i", "hosts.json")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return folder


@pytest.mark.parametrize(("role", "place"), [(role, place) for role, bad in BAD.items() for place in bad])
def test_a_bad_value_is_refused_by_its_place(refused: Path, role: str, place: str) -> None:
    told = (refused / role).read_text().splitlines()
    assert [line for line in told if line.startswith(f"{place}: it holds ")], "\n".join(told)


@pytest.mark.parametrize("role", list(BAD))
def test_what_may_be_free_text_is_let_through(refused: Path, role: str) -> None:
    told = [line for line in (refused / role).read_text().splitlines() if ": it holds " in line]
    assert len(told) == len(BAD[role]), "\n".join(told)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import meshes
import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.hosts import read_hosts
from ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.model import Host


def hosts(variables: dict[str, Any] | None = None, instance: str = "", groups: Any = None) -> dict[str, Host]:
    groups = groups or meshes.TWO
    names = {name for members in groups.values() for name in members}
    return read_hosts({name: (variables or {}).get(name, {}) for name in names}, groups, "example.org", instance)


def test_hosts_of_other_groups_are_somebody_elses() -> None:
    assert list(hosts(groups={**meshes.TWO, "databases": ["db"], "mesh": ["one", "db"]})) == ["one", "two"]


def test_duties_are_the_groups_that_mean_something() -> None:
    found = hosts(groups={**meshes.TWO, "europe": ["one"]})
    assert found["one"].duties == {"clusters", "spire_server", "spire_agent", "mesh"}
    assert found["two"].duties == {"clusters", "spire_agent"}


def test_agents_join_their_own_server_else_the_first_of_their_trust_domain() -> None:
    groups = {"clusters": ["a", "b", "c", "d"], "spire_server": ["a", "b", "c"], "spire_agent": ["a", "b", "c", "d"]}
    found = hosts({name: {"trustmesh_trust_domain": "x.org"} for name in ("b", "c", "d")}, groups=groups)
    assert {name: host.server for name, host in found.items()} == {"a": "a", "b": "b", "c": "c", "d": "b"}
    assert {name: host.attestor for name, host in found.items()} == {
        "a": "k8s_psat",
        "b": "k8s_psat",
        "c": "k8s_psat",
        "d": "join_token",
    }


def test_server_and_attestor_can_be_said() -> None:
    found = hosts({"two": {"spire_agent_server_host": "one", "spire_agent_attestor": "k8s_psat"}})
    assert (found["two"].server, found["two"].attestor) == ("one", "k8s_psat")


def test_a_cluster_without_agents_joins_nobody() -> None:
    assert hosts(groups={"clusters": ["one", "two"], "spire_server": ["one"]})["two"].server is None


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"ansible_host": "192.0.2.7"}, "192.0.2.7"),
        ({"ansible_host": "192.0.2.7", "machine_address": "vm.example"}, "vm.example"),
        ({"machine_agent": {"address": "192.0.2.8", "alias_entry": {}}}, "192.0.2.8"),
        # Others do not reach it there, or nobody knows whether they can ask for this name.
        ({"ansible_host": "127.0.0.1"}, ""),
        ({"ansible_host": "vm.example"}, ""),
        # An Envoy listens on IPv4.
        ({"ansible_host": "2001:db8::7"}, ""),
        ({}, ""),
        ({"machine_provider": "container", "ansible_host": "vm"}, None),
    ],
)
def test_where_others_reach_a_machine(variables: dict[str, Any], address: str | None) -> None:
    groups = {"clusters": ["one"], "machines": ["vm"]}
    assert hosts({"vm": variables}, groups=groups)["vm"].address == address


def test_a_machine_may_be_called_by_its_address() -> None:
    assert hosts(groups={"machines": ["192.0.2.9"]})["192.0.2.9"].address == "192.0.2.9"


@pytest.mark.parametrize(
    ("variables", "instance", "name"),
    [
        ({}, "", "one"),
        ({}, "ci", "ci-one"),
        ({"kubernetes_cluster_name": "said"}, "ci", "said"),
        ({"kubernetes_cluster_name": "said", "kubernetes_cluster": {"name": "told"}}, "ci", "told"),
    ],
)
def test_the_name_of_a_cluster(variables: dict[str, Any], instance: str, name: str) -> None:
    assert hosts({"one": variables}, instance)["one"].cluster == name


def test_nodes_are_unknown_until_the_cluster_has_told() -> None:
    found = hosts({"one": {"kubernetes_cluster": {"name": "one", **meshes.node(1), "kubectl": "k", "context": ""}}})
    assert found["one"].nodes == ("node-1",)
    assert found["one"].address == "192.0.2.1"
    assert found["one"].access == {"kubectl": "k"}
    assert found["two"].nodes is None


def test_only_what_reaches_a_server_is_taken_of_its_connection() -> None:
    connection = {"pod": "statefulset/spire-server", "namespace": "ns", "kubeconfig": "/x", "socket_path": ""}
    (host, _other) = hosts({"one": {"spire_server_connection": connection}}).values()
    assert host.server_options == {"namespace": "ns", "pod": "statefulset/spire-server"}


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, "LoadBalancer"),
        ({"kubernetes_cluster_provider": "existing"}, "LoadBalancer"),
        ({"kubernetes_cluster_provider": "existing", "kubernetes_cluster_exposes_by": "NodePort"}, "NodePort"),
        ({"kubernetes_cluster_exposes_by": "NodePort"}, "NodePort"),
    ],
)
def test_how_a_cluster_lets_others_in(variables: dict[str, Any], kind: str) -> None:
    assert hosts({"one": variables})["one"].exposed_as == kind


def test_namespaces_can_be_said() -> None:
    found = hosts({"one": {"spire_server_namespace": "spire", "istio_namespace": "istio"}})
    assert (found["one"].server_service, found["one"].istio_namespace) == ("spire/spire-server", "istio")
    assert (found["two"].server_service, found["two"].istio_namespace) == ("spire-server/spire-server", "istio-system")

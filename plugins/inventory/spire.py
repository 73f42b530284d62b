# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: spire
short_description: Agents of SPIRE servers as hosts and groups
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Makes a host of each agent (each attested node) that SPIRE servers know, also of those that are expired or banned,
    with what its attestation proved as variables and groups.
  - The servers are asked side by side. One that does not answer is an error; a part of an estate is not taken for the
    whole.
  - The file of the inventory ends in C(spire.yml) or C(spire.yaml).
extends_documentation_fragment:
  - constructed
  - inventory_cache
options:
  plugin:
    description:
      - The name of this plugin.
    type: str
    required: true
    choices:
      - trustmesh.spiffe.spire
  servers:
    description:
      - The SPIRE servers. Beside C(name) each has the options by which the modules reach a server, such as
        M(trustmesh.spiffe.spire_agent_info), where they are described in full.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the server, each name once. It names a group.
        type: str
        required: true
      binary:
        description: The spire-server program, run on this host or in the pod.
        type: str
      socket_path:
        description: The server's socket, as the place where C(binary) runs sees it.
        type: str
        default: /tmp/spire-server/private/api.sock
      pod:
        description: The pod of the server, such as C(statefulset/spire-server). Without it, a server of this host.
        type: str
      pod_selector:
        description: The pod of the server, by labels. Not together with C(pod).
        type: str
      namespace:
        description: The namespace of the pod.
        type: str
        default: spire-server
      container:
        description: The container of the pod.
        type: str
      timeout:
        description: Seconds that one call may take.
        type: int
        default: 30
      wait_timeout:
        description: Seconds for which a server that cannot be reached is tried again.
        type: int
        default: 0
      kubectl:
        description: The kubectl program.
        type: path
        default: kubectl
      kubeconfig:
        description: The kubeconfig file of the cluster, or E(K8S_AUTH_KUBECONFIG).
        type: path
      context:
        description: The context inside the kubeconfig file, or E(K8S_AUTH_CONTEXT).
        type: str
      host:
        description: The URL of the cluster's API server, instead of a kubeconfig, or E(K8S_AUTH_HOST).
        type: str
      api_key:
        description: The bearer token for C(host). Better give it as E(K8S_AUTH_API_KEY).
        type: str
      ca_cert:
        description: The file with the CA of C(host), in PEM, or E(K8S_AUTH_SSL_CA_CERT).
        type: path
      validate_certs:
        description: Whether the certificate of C(host) is verified. It always is.
        type: bool
        default: true
  hostnames:
    description:
      - By what hosts are called, the first that an agent has. V(alias) is the path of the first SPIFFE ID that a
        registration entry gives to it, V(id) the path of its own, anything else the beginning of a selector, whose
        rest is the name.
      - Nodes of two servers that are called the same get the name of the server as well. Of agents of one server that
        are called the same, the one that lives longest keeps the name, and the others get a digest of their ids.
    type: list
    elements: str
    default:
      - k8s_psat:agent_node_name
      - x509pop:subject:cn
      - alias
      - id
  states:
    description:
      - Which agents are hosts.
    type: list
    elements: str
    choices:
      - living
      - expired
      - banned
    default:
      - living
      - expired
      - banned
  selector_groups:
    description:
      - Patterns, as of file names, of the selectors by which hosts are in groups. An empty list means none.
    type: list
    elements: str
    default:
      - "*"
notes:
  - Groups are C(attested), which has all; C(attested_at_SERVER), C(attested_in_TRUST_DOMAIN), C(attested_by_TYPE),
    C(attested_living), C(attested_expired), C(attested_banned), and C(attested_with_SELECTOR), with a line in place of
    each sign that is neither a letter nor a digit. Selectors that differ in such signs alone share a group.
  - The variable C(attested) of each host has C(id), C(server), C(trust_domain), C(attestation_type), C(aliases),
    C(selectors), C(expires_at), C(expired), C(banned), C(can_reattest), C(serial_number) and C(version), as
    M(trustmesh.spiffe.spire_agent_info) tells them. In the id of an agent that joined by token a digest stands in place
    of the token.
  - A host is a name and no address. C(compose) gives one, from whatever knows it.
  - The cache holds what the servers told. Whether an agent is expired is worked out anew each time.
requirements:
  - SPIRE 1.14.6 or later (tested with 1.15.3)
  - kubectl, for servers in pods
seealso:
  - module: trustmesh.spiffe.spire_agent_info
"""

EXAMPLES = r"""
# estate.spire.yml: ansible-inventory -i estate.spire.yml --graph
plugin: trustmesh.spiffe.spire
servers:
  - name: blue
    kubeconfig: build/clusters/blue.kubeconfig
    pod: statefulset/spire-server
  - name: edge
    socket_path: /run/spire-server/private/api.sock
# Only some of the selectors make groups.
selector_groups: ["k8s_psat:cluster:*", "x509pop:ca:*"]
# Agents whose certificates end within a day.
groups:
  attested_ending: attested.expires_at < (now(utc=true).timestamp() + 86400)
keyed_groups:
  - key: attested.version
    prefix: attested_version
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_timeout: 600
cache_connection: build/inventory_cache
"""

import time
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import remove_temporaries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.inventory.model import Rules, hosts
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.inventory.read import (
    check_servers,
    read_servers,
)


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Agents as hosts."""

    NAME = "trustmesh.spiffe.spire"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(("spire.yml", "spire.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        rules = Rules(self.get_option("hostnames"), self.get_option("states"), self.get_option("selector_groups"))
        try:
            rules.check()
            found = hosts(self._servers(path, cache), rules, time.time())
        except TrustmeshError as error:
            raise AnsibleParserError(f"{path}: {error.message}") from error
        for host in found:
            # What a node proved of itself may look like a template, and is none.
            self._add(host.name, host.groups, wrap_var(host.variables))

    def _servers(self, path: str, cache: bool) -> list[dict[str, Any]]:
        """What the servers tell, or told not long ago."""
        servers = check_servers(self.get_option("servers"))
        key = self.get_cache_key(path)
        kept = self.get_option("cache")
        if kept and cache:
            try:
                told: list[dict[str, Any]] = self._cache[key]
            except KeyError:
                pass
            else:
                return told
        try:
            told = read_servers(servers)
        finally:
            remove_temporaries()
        if kept:
            self._cache[key] = told
        return told

    def _add(self, name: str, groups: tuple[str, ...], variables: dict[str, Any]) -> None:
        self.inventory.add_host(name)
        for group in groups:
            self.inventory.add_group(group)
            self.inventory.add_child(group, name)
        for variable, value in variables.items():
            self.inventory.set_variable(name, variable, value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)

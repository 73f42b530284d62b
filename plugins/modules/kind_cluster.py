#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kind_cluster
short_description: Create, recognise and delete Kubernetes clusters of kind
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Creates a cluster with kind and waits until its nodes are Ready and their kubelets serve a certificate of the
    cluster's CA, so that whoever talks to a kubelet can verify it.
  - A cluster of that name is recognised. One with another image or configuration, one that another checkout made or
    that was made for another O(scenario), and one that was not made by this collection are named in an error and left
    alone.
  - A kubelet's certificate is approved only for a node of this cluster, and for the name and addresses that the
    container engine gave it.
  - A creation that was interrupted is done again. Stopped nodes are started.
  - It is made for the roles of this collection. It is no public interface, and may change in any release.
options:
  name:
    description: The cluster's name, up to 49 of a-z, 0-9, C(-) and C(.).
    type: str
    required: true
  state:
    description: Whether the cluster should be there.
    type: str
    choices: [present, absent]
    default: present
  image:
    description: The node image. Required when O(state=present).
    type: str
  config:
    description: Fields of kind's configuration (kind.x-k8s.io/v1alpha4) beside the name and the nodes.
    type: dict
    default: {}
  workers:
    description: How many worker nodes there are beside the control plane, 0 to 20.
    type: int
    default: 0
  kubeconfig:
    description: Where the admin's kubeconfig is written, readable by its owner alone.
    type: path
    required: true
  owner:
    description: The folder of the checkout that owns the cluster.
    type: path
    required: true
  adopt:
    description: Take over, or delete, a cluster that another checkout made, or that was made for another O(scenario).
    type: bool
    default: false
  scenario:
    description:
      - What the cluster is for. It is kept in the cluster, and one that was made for another scenario is neither used
        nor deleted, since two trust domains would meet in it.
      - A cluster that was made without it is taken for this scenario from then on, if it is the owner's.
      - Without it the cluster's scenario is not looked at.
    type: str
    default: ""
  engine:
    description: The container engine.
    type: str
    choices: [docker, podman]
    required: true
  network:
    description:
      - The engine's network that the nodes share. It is removed with the last cluster on it.
      - A new one has a subnet of IPv4 that the engine chooses. Containers get their addresses from its lower half where
        the engine lets that be said, so that load balancers can have the upper one. A warning tells of a network that
        was made without such a range.
    type: str
    default: trustmesh
  env:
    description: Environment variables for kind and the engine.
    type: dict
    default: {}
  kind:
    description: The kind executable.
    type: path
    default: kind
  kubectl:
    description: The kubectl executable.
    type: path
    default: kubectl
  timeout:
    description: Seconds that creating may take, and seconds that becoming Ready may take.
    type: int
    default: 300
  wait:
    description:
      - Wait until a new cluster is Ready.
      - When it is V(false) the module ends as soon as a new cluster takes objects and its kubelets' certificates are
        approved. The cluster becomes Ready a few seconds later.
    type: bool
    default: true
extends_documentation_fragment: trustmesh.spiffe.attributes
attributes:
  check_mode:
    support: full
    details:
      - A stopped cluster tells nothing about itself, so for one that is stopped check mode only tells that it would be
        started.
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: trustmesh.spiffe.kubernetes_cluster_info
  - module: trustmesh.spiffe.control_node_info
"""

EXAMPLES = r"""
- name: A cluster with one worker
  trustmesh.spiffe.kind_cluster:
    name: blue
    image: docker.io/kindest/node:v1.34.3
    workers: 1
    engine: podman
    kubeconfig: "{{ playbook_dir }}/build/clusters/blue.kubeconfig"
    owner: "{{ playbook_dir }}"

- name: Delete it
  trustmesh.spiffe.kind_cluster:
    name: blue
    state: absent
    engine: podman
    kubeconfig: "{{ playbook_dir }}/build/clusters/blue.kubeconfig"
    owner: "{{ playbook_dir }}"
"""

RETURN = r"""
cluster:
  description:
    - The cluster, with C(name), C(exists), C(kubeconfig), C(context) and C(nodes), each with C(name), C(role),
      C(running), C(image), C(address), C(address6) and C(api_port).
    - C(balancer_addresses) is its share of the addresses of the network, C(first-last), which no container and no
      other cluster has. It stays the same for as long as the cluster is there, and is empty where the network is too
      small, or shared by more than 16 clusters.
  type: dict
  returned: success
actions:
  description: What was done, or would be in check mode, in order.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.run import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

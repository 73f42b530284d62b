#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_cluster_info
short_description: Tell whether a Kubernetes cluster can be reached, its nodes and its namespaces
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Checks a kubeconfig and a context and asks the API server for its nodes and namespaces.
  - A wrong context fails at once and names those that there are. A server that does not answer fails within
    O(timeout) and is named with the address that was tried.
options:
  timeout:
    description: Seconds to wait for the API server.
    type: int
    default: 5
extends_documentation_fragment:
  - trustmesh.spiffe.kubectl
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_kubernetes
  - trustmesh.spiffe.attributes.info_module
seealso:
  - module: trustmesh.spiffe.kubernetes_workload_wait
  - module: trustmesh.spiffe.kind_cluster
  - module: kubernetes.core.k8s_cluster_info
"""

EXAMPLES = r"""
- name: See the nodes of a cluster
  trustmesh.spiffe.kubernetes_cluster_info:
    kubeconfig: ~/.kube/config
    context: production
  register: result
"""

RETURN = r"""
cluster:
  description: The cluster.
  type: dict
  returned: success
  contains:
    exists:
      description: Always V(true), since a cluster that does not answer is an error.
      type: bool
    kubeconfig:
      description: The kubeconfig that was given, empty for kubectl's own default and with O(host).
      type: str
    context:
      description: The context that was taken, which is the current one when none was given. Empty with O(host).
      type: str
    server:
      description: The URL of the API server.
      type: str
    nodes:
      description: The nodes, the control plane first.
      type: list
      elements: dict
      contains:
        name:
          description: Its name.
          type: str
        role:
          description: Its role as its labels tell it, such as V(control-plane), or V(worker).
          type: str
        address:
          description: Its external address if it has one, else its internal one.
          type: str
    namespaces:
      description: The namespaces. It is nothing when the user may not list them.
      type: list
      elements: dict
      contains:
        name:
          description: Its name.
          type: str
        labels:
          description: Its labels.
          type: dict
  sample:
    exists: true
    kubeconfig: /home/me/.kube/config
    context: production
    server: https://192.0.2.1:6443
    nodes:
      - {name: one, role: control-plane, address: 192.0.2.1}
    namespaces:
      - {name: shop, labels: {kubernetes.io/metadata.name: shop, istio-injection: enabled}}
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.cluster.info import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_workload_wait
short_description: Wait until Kubernetes workloads are ready, and say why they are not
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Waits until Deployments, DaemonSets and StatefulSets run their newest version and all their pods are available, and
    until Services of the type C(LoadBalancer) have an address. There is nothing to wait for with another Service.
  - Of cert-manager it waits until a Certificate, an Issuer or a ClusterIssuer says that its newest version is ready.
  - Of the Gateway API it waits until a Gateway is programmed, which takes an address and a pod behind it, and until an
    HTTPRoute is accepted by its gateways and all that it leads to can be used.
  - When O(timeout) passes, it fails with what was waited for and what was last seen, in the pods' own words. It
    tells of a node that is missing, an image that cannot be pulled, a volume that cannot be mounted, the last words of
    a container that crashed.
  - What a pod or a workload does not say itself is taken from its newest warning event.
  - Pods of a workload with the update strategy C(OnDelete) may be of any version, because only a person replaces them.
  - A cluster that answered once may fall silent while it is waited for. One that never answered fails at once.
options:
  workloads:
    description:
      - What to wait for. With an empty list there is nothing to wait for.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: The kind of the workload.
        type: str
        choices: [Deployment, DaemonSet, StatefulSet, Service, Certificate, Issuer, ClusterIssuer, Gateway, HTTPRoute]
        required: true
      namespace:
        description: Its namespace. All but a ClusterIssuer need one.
        type: str
      name:
        description:
          - Its name.
          - When it is not given, all of the kind in the namespace are meant. There has to be one at least.
        type: str
  timeout:
    description: How many seconds to wait at most.
    type: int
    default: 180
extends_documentation_fragment:
  - trustmesh.spiffe.kubectl
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: full
    details:
      - Looks once and neither waits nor fails for what is not ready, because it may be what an earlier task would only
        have created. RV(ready) tells what was seen.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    support: full
    details:
      - This module changes nothing.
seealso:
  - module: trustmesh.spiffe.kubernetes_cluster_info
  - module: kubernetes.core.k8s_info
"""

EXAMPLES = r"""
- name: Wait for the SPIRE server
  trustmesh.spiffe.kubernetes_workload_wait:
    kubeconfig: ~/.kube/blue
    workloads:
      - kind: StatefulSet
        namespace: spire-server
        name: spire-server
    timeout: 120

- name: Wait for the agents and for everything in a namespace
  trustmesh.spiffe.kubernetes_workload_wait:
    workloads:
      - {kind: DaemonSet, namespace: spire-agent, name: spire-agent}
      - {kind: Deployment, namespace: shop}

- name: Wait for the address of a load balancer
  trustmesh.spiffe.kubernetes_workload_wait:
    workloads:
      - {kind: Service, namespace: spire-server, name: spire-server}
  register: result

- name: Show it
  ansible.builtin.debug:
    var: result.workloads[0].address
"""

RETURN = r"""
ready:
  description: Whether all workloads are ready. Outside of check mode it is always V(true), because else the task fails.
  returned: success
  type: bool
workloads:
  description: The workloads that were found, and those that were not.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The kind.
      type: str
    namespace:
      description: The namespace.
      type: str
    name:
      description: The name, or V(*) when none was given and none was found.
      type: str
    problem:
      description: What is missing, empty when the workload is ready.
      type: str
    address:
      description: The address that a load balancer gave a Service, empty for all else.
      type: str
  sample:
    - {kind: StatefulSet, namespace: spire-server, name: spire-server, problem: "", address: ""}
last_seen:
  description: What was seen last, a line for each workload, pod, container or event that explains it.
  returned: when the limit passed
  type: list
  elements: str
  sample:
    - "Deployment shop/cart: 1 of 1 replicas updated, 0 available"
    - "pod cart-5d4c, container cart: ImagePullBackOff: Back-off pulling image \"registry.example/cart:9\""
waited:
  description: How many seconds were waited.
  returned: when the limit passed
  type: int
  sample: 180
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.workload.run import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_cluster_info
short_description: Tell whether a Kubernetes cluster can be reached, and its nodes
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Checks a kubeconfig and a context and asks the API server for its nodes.
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
  - trustmesh.spiffe.attributes.info_module
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
  description:
    - The cluster, with C(exists), C(kubeconfig), C(context), C(server) and C(nodes), each with C(name), C(role) and
      C(address).
  type: dict
  returned: success
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.cluster_info import cluster_info
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module


def main() -> None:
    run_module(kubectl_spec().merge(ArgumentSpec(options={"timeout": {"type": "int", "default": 5}})), cluster_info)


if __name__ == "__main__":
    main()

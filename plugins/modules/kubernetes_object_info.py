#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_object_info
short_description: Read many Kubernetes objects at once
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Reads objects by one call of kubectl, those of O(definition) or all of O(kinds). What is named and not there is
    passed over.
  - The answer is a text. Ansible walks through each member of a structure, and takes a text for what it is.
  - For the roles of this collection; M(kubernetes.core.k8s_info) suits others better.
options:
  definition:
    description: The objects that are looked for, as YAML or JSON. Their kinds, names and namespaces count.
    type: str
  kinds:
    description: Kinds, as plurals with their group, such as V(deployments.apps).
    type: list
    elements: str
  optional_kinds:
    description:
      - Kinds like those of O(kinds), of CustomResourceDefinitions that the cluster may not have.
      - Which of them it knows is asked beside reading O(kinds).
    type: list
    elements: str
    default: []
  namespace:
    description: The namespace to look into. Without it O(kinds) of all namespaces are read.
    type: str
  selector:
    description: The labels that O(kinds) must have.
    type: str
  names:
    description: Whether only names are told.
    type: bool
    default: false
  owners:
    description: Whether a name is followed by those of its owners, with which Kubernetes lets it go. Needs O(names).
    type: bool
    default: false
  timeout:
    description: Seconds that kubectl may take.
    type: int
    default: 60
extends_documentation_fragment:
  - trustmesh.spiffe.kubectl
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_kubernetes
  - trustmesh.spiffe.attributes.info_module
seealso:
  - module: kubernetes.core.k8s_info
"""

EXAMPLES = r"""
- name: See what is in a namespace
  trustmesh.spiffe.kubernetes_object_info:
    kinds: [deployments.apps, services]
    namespace: shop
    names: true
  register: result
"""

RETURN = r"""
stdout:
  description: What kubectl prints, a list as JSON, or with O(names) a line for each. Empty when nothing is there.
  type: str
  returned: success
  sample: deployment.apps/web
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.object.info import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

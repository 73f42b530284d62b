#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: k8s
short_description: Apply Kubernetes objects with kubernetes.core.k8s, in less time
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Takes the options of M(kubernetes.core.k8s), does the same and returns the same. It is the module that is installed,
    in whichever version, and all that is said of it holds.
  - It exists because of the time. Ansible packs M(kubernetes.core.k8s) for each task and starts a Python, which imports
    the Kubernetes client anew. On the control node a fork of Ansible's own process has all of that already, and a task
    takes about a tenth of the time.
  - Wherever a fork could do anything else, M(kubernetes.core.k8s) is run as ever. So it is for other hosts than the
    control node, C(become), C(environment), another Python than Ansible's, one without the Kubernetes client, the turbo
    mode of kubernetes.core, after lookups of kubernetes.core, and ansible-core before 2.19.
  - What C(module_defaults) says of C(kubernetes.core.k8s) and of C(group/kubernetes.core.k8s) holds here too.
  - It is made for the roles of this collection. It is no public interface, and may change in any release.
options: {}
extends_documentation_fragment: trustmesh.spiffe.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - Those of M(kubernetes.core.k8s)
seealso:
  - module: kubernetes.core.k8s
  - module: trustmesh.spiffe.k8s_info
"""

EXAMPLES = r"""
- name: Apply a namespace
  trustmesh.spiffe.k8s:
    kubeconfig: ~/.kube/config
    apply: true
    definition:
      apiVersion: v1
      kind: Namespace
      metadata:
        name: shop
"""

RETURN = r"""
result:
  description: What M(kubernetes.core.k8s) returns.
  type: dict
  returned: success
"""

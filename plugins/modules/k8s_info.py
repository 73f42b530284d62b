#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_info
short_description: Read Kubernetes objects with kubernetes.core.k8s_info, in less time
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Takes the options of M(kubernetes.core.k8s_info), does the same and returns the same. It is the module that is
    installed, in whichever version, and all that is said of it holds.
  - Why it exists, when it is another module that runs, and what C(module_defaults) hold, says M(trustmesh.spiffe.k8s).
  - It is made for the roles of this collection. It is no public interface, and may change in any release.
options: {}
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.info_module
requirements:
  - Those of M(kubernetes.core.k8s_info)
seealso:
  - module: kubernetes.core.k8s_info
  - module: trustmesh.spiffe.k8s
"""

EXAMPLES = r"""
- name: Read the Services that this collection made
  trustmesh.spiffe.k8s_info:
    kubeconfig: ~/.kube/config
    kind: Service
    label_selectors: [app.kubernetes.io/managed-by=trustmesh.spiffe]
"""

RETURN = r"""
resources:
  description: The objects, as M(kubernetes.core.k8s_info) returns them.
  type: list
  elements: dict
  returned: success
api_found:
  description: Whether the API server knows the kind.
  type: bool
  returned: success
"""

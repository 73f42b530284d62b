# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twin of the argument block ``kubectl_spec`` in module_utils/_argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach a cluster."""

    DOCUMENTATION = r"""
options:
  kubectl:
    description:
      - The kubectl program. A name is looked up on PATH.
    type: path
    default: kubectl
  kubeconfig:
    description:
      - The kubeconfig file of the cluster.
      - When it is not given here nor in the environment variable E(K8S_AUTH_KUBECONFIG), kubectl takes its own default.
    type: path
  context:
    description:
      - The context inside the kubeconfig file.
      - When it is not given here nor in the environment variable E(K8S_AUTH_CONTEXT), kubectl takes the current one.
    type: str
"""

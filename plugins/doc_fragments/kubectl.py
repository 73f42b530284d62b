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
      - The kubeconfig file of the cluster, on the target host.
      - When neither it nor O(host) is given here or in the environment variable E(K8S_AUTH_KUBECONFIG), kubectl takes
        its own default.
    type: path
  context:
    description:
      - The context inside the kubeconfig file.
      - When it is not given here nor in the environment variable E(K8S_AUTH_CONTEXT), kubectl takes the current one.
    type: str
  host:
    description:
      - The URL of the cluster's API server, instead of a kubeconfig. It begins with C(https://) and goes with
        O(api_key).
      - It may also be given in the environment variable E(K8S_AUTH_HOST). What a task names holds over what the
        environment names, and a kubeconfig and a host are never mixed.
    type: str
  api_key:
    description:
      - The bearer token for O(host). kubectl gets it by a private file that is removed when the task ends, never as an
        argument.
      - It may also be given in the environment variable E(K8S_AUTH_API_KEY).
    type: str
  ca_cert:
    description:
      - The file with the CA of O(host), in PEM. Without it the target host's own CAs are asked.
      - It may also be given in the environment variable E(K8S_AUTH_SSL_CA_CERT).
    type: path
  validate_certs:
    description:
      - Whether the certificate of O(host) is verified. It always is. The option is there so that a task or an
        environment variable E(K8S_AUTH_VERIFY_SSL) which asks for the contrary is refused and not passed over.
    type: bool
    default: true
"""

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twin of the argument block ``places_spec`` in module_utils/_verify/places.py."""

from __future__ import annotations


class ModuleDocFragment:
    """The clusters and SPIRE servers of an estate."""

    DOCUMENTATION = r"""
options:
  clusters:
    description:
      - The Kubernetes clusters, and how to get to each.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name by which others speak of it, each name once.
        type: str
        required: true
      kubectl:
        description: The kubectl program. A name is looked up on PATH.
        type: path
        default: kubectl
      kubeconfig:
        description:
          - The kubeconfig file of the cluster.
          - When it is not given here nor in the environment variable E(K8S_AUTH_KUBECONFIG), kubectl takes its own
            default.
        type: path
      context:
        description:
          - The context inside the kubeconfig file.
          - When it is not given here nor in the environment variable E(K8S_AUTH_CONTEXT), kubectl takes the current
            one.
        type: str
      host:
        description:
          - The URL of the cluster's API server, instead of a kubeconfig. It goes with C(api_key).
          - It may also be given in the environment variable E(K8S_AUTH_HOST).
        type: str
      api_key:
        description:
          - The bearer token for C(host). It may also be given in the environment variable E(K8S_AUTH_API_KEY).
        type: str
      ca_cert:
        description:
          - The file with the CA of C(host), in PEM. It may also be given in the environment variable
            E(K8S_AUTH_SSL_CA_CERT).
        type: path
      validate_certs:
        description:
          - Whether the certificate of C(host) is verified. It always is; to ask for the contrary here or in the
            environment variable E(K8S_AUTH_VERIFY_SSL) is refused.
        type: bool
        default: true
  servers:
    description:
      - The SPIRE servers.
      - Several servers may have the same trust domain. They share a root then.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name by which others speak of it, each name once.
        type: str
        required: true
      trust_domain:
        description: The trust domain of the server, for example V(example.org).
        type: str
        required: true
      cluster:
        description:
          - The name of the cluster that its pod is in, one of O(clusters). Its way to the cluster is taken, so
            C(kubectl), C(kubeconfig), C(context) and C(host) are not given here, too.
        type: str
      binary:
        description:
          - The spire-server program. It is run where the server's socket is, here or in the pod.
          - The default is C(spire-server), looked up on PATH, or C(/opt/spire/bin/spire-server) for a server in a pod.
        type: str
      socket_path:
        description:
          - The absolute path of the server's API socket, as the place where C(binary) runs sees it.
        type: str
        default: /tmp/spire-server/private/api.sock
      pod:
        description:
          - The pod that the server runs in, by name or as kind and name such as V(statefulset/spire-server).
          - When neither it nor C(pod_selector) is given, the server is taken to run on this host.
        type: str
      pod_selector:
        description:
          - The pod that the server runs in, by labels. It cannot be given together with C(pod).
        type: str
      namespace:
        description: The namespace of the pod.
        type: str
        default: spire-server
      container:
        description: The container of the pod. Without it Kubernetes takes the pod's default container.
        type: str
      timeout:
        description: Seconds that one call of the server may take.
        type: int
        default: 30
      wait_timeout:
        description:
          - Seconds for which a server that cannot be reached is tried again.
        type: int
        default: 0
      kubectl:
        description: The kubectl program, for a server in a pod whose C(cluster) is not named.
        type: path
        default: kubectl
      kubeconfig:
        description:
          - The kubeconfig file, for a server in a pod whose C(cluster) is not named.
          - When it is not given here nor in the environment variable E(K8S_AUTH_KUBECONFIG), kubectl takes its own
            default.
        type: path
      context:
        description:
          - The context inside the kubeconfig file, for a server in a pod whose C(cluster) is not named.
          - When it is not given here nor in the environment variable E(K8S_AUTH_CONTEXT), kubectl takes the current
            one.
        type: str
      host:
        description:
          - The URL of the cluster's API server, instead of a kubeconfig, for a server in a pod whose C(cluster) is not
            named. It goes with C(api_key).
          - It may also be given in the environment variable E(K8S_AUTH_HOST).
        type: str
      api_key:
        description:
          - The bearer token for C(host). It may also be given in the environment variable E(K8S_AUTH_API_KEY).
        type: str
      ca_cert:
        description:
          - The file with the CA of C(host), in PEM. It may also be given in the environment variable
            E(K8S_AUTH_SSL_CA_CERT).
        type: path
      validate_certs:
        description:
          - Whether the certificate of C(host) is verified. It always is; to ask for the contrary here or in the
            environment variable E(K8S_AUTH_VERIFY_SSL) is refused.
        type: bool
        default: true
"""

#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: istio_remote_secret
short_description: Let an Istio control plane read from another cluster, with a token that ends
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Writes the Secret from which istiod takes how to reach the API server of another cluster of its mesh, in the form of
    C(istioctl create-remote-secret). In a mesh with several control planes each cluster needs one for each other one.
  - The token in it is one of limited life, from the TokenRequest API of the other cluster. istioctl's has no end. Each
    run of this module replaces a token that is near its end, so run it often enough; istiod goes over to the new one
    without an interruption.
  - A Secret is left alone while its server, its CA and its account are the wanted ones, its token is far enough from
    its end, the ServiceAccount is the one that the token was made for, the other API server still takes it, and istiod
    has read by it what is there (O(trust_domain)). Else it is written anew, with a new token, and RV(actions) says why.
  - The token is in no argument, no result, no diff and no message. It goes from the one kubectl to the other by
    standard input and output.
notes:
  - Whoever can read this Secret may do in the other cluster what its ServiceAccount may, until the token ends. Istio's
    own may C(get) and C(list) all Secrets there, with the keys of a SPIRE server's CA among them. Let nobody else read
    Secrets in O(namespace).
  - A token cannot be taken back before its end, also not by O(state=absent). Who deletes the ServiceAccount and makes
    it anew makes all of its tokens void; then run this again in all clusters that read from that one.
  - The user of O(remote) needs to C(get) the ServiceAccount, to C(create) its subresource C(token), and to C(get) the
    ConfigMap C(kube-root-ca.crt) unless O(server_ca) is given. One who may also C(create) TokenReviews has the other
    API server asked whether it takes the token. Else only what the token says of itself is looked at.
  - The end of a token is compared with the clock where the module runs.
  - A Secret that istioctl made for the same cluster is taken over. One of this name that serves something else is
    refused.
options:
  cluster:
    description:
      - The name of the other cluster, as its own istiod has it in C(values.global.multiCluster.clusterName). It is 1 to
        63 lower case letters, digits and dashes.
      - The Secret is called C(istio-remote-secret-) and this name.
    type: str
    required: true
  namespace:
    description:
      - The namespace of the istiod that reads the Secret. It has to be there.
    type: str
    default: istio-system
  remote:
    description:
      - The other cluster, as the host where the module runs reaches it, and the ServiceAccount in it. Needed with
        O(state=present).
      - Give a kubeconfig, a context, or both. Environment variables such as E(K8S_AUTH_KUBECONFIG) are not for it.
    type: dict
    suboptions:
      kubectl:
        description:
          - The kubectl program for that cluster. Without it O(kubectl) is taken.
        type: path
      kubeconfig:
        description:
          - The kubeconfig file of that cluster. Without it kubectl takes its own default.
        type: path
      context:
        description:
          - The context inside the kubeconfig file. Without it kubectl takes the current one.
        type: str
      namespace:
        description:
          - The namespace of the ServiceAccount.
        type: str
        default: istio-system
      service_account:
        description:
          - The ServiceAccount whose token is requested. Istio makes the one of the default name, which may read what
            istiod needs. It has to be there.
        type: str
        default: istio-reader-service-account
  server:
    description:
      - The URL of the other API server as the pods of this cluster reach it. It begins with C(https://). Needed with
        O(state=present).
    type: str
  server_ca:
    description:
      - The CA of O(server), in PEM, one certificate or more. Without it, the CA by which pods of the other cluster
        believe their API server, which that cluster has in the ConfigMap C(kube-root-ca.crt). Give it where O(server)
        leads to something with a certificate of its own.
    type: str
  token_lifetime:
    description:
      - The seconds of life that a token is asked for with, from V(600) to V(4294967296). The API server may give fewer.
        RV(remote_secret.lifetime) tells how many it gave, and a warning says that they are fewer.
    type: int
    default: 2592000
  renew_before:
    description:
      - A token that has so many seconds left, or fewer, is replaced. From V(0) to less than O(token_lifetime); half of
        that when it is not given.
      - Where the API server gave a shorter life, it is half of that life at most.
    type: int
  trust_domain:
    description:
      - The trust domain of the workloads in the other cluster. With it, each istiod in O(namespace) is asked what it
        has read there. When it takes workloads for those of another trust domain, it is given a new token, by which it
        reads all anew.
      - Give it where the two clusters are of two trust domains. istiod of 1.31 computes an identity when it first sees
        a pod, and does not wait for the settings that tell the trust domain. What it sees before them stays wrong for
        as long as the pod lives, and callers refuse it (HTTP 503).
      - The user of this cluster needs to C(create) the subresource C(exec) of istiod's pods then.
    type: str
  wait:
    description:
      - Whether to wait until each istiod has read the other cluster, with O(trust_domain). Without waiting it is looked
        once, and RV(remote_secret.read) tells what was seen. In check mode nothing is waited for.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds an istiod may take for it.
    type: int
    default: 120
  scenario:
    description:
      - The label C(trustmesh.io/scenario) of the Secret.
    type: str
    default: ""
  state:
    description:
      - V(present) makes or renews the Secret. V(absent) deletes it, unless somebody else made it; the other cluster is
        not asked then.
    type: str
    choices: [present, absent]
    default: present
  timeout:
    description:
      - How many seconds one call of kubectl may take.
    type: int
    default: 30
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_istio
  - trustmesh.spiffe.kubectl
attributes:
  check_mode:
    support: full
    details:
      - The end of a token that is not requested yet is not known. C((new\)) stands for it.
  diff_mode:
    support: full
    details:
      - Shows server, CA (by SHA-256), account and end of the token, and nothing else of it.
  idempotent:
    support: full
    details:
      - Until the token is near its end.
seealso:
  - module: trustmesh.spiffe.istio_install
  - name: Istio's own guide to meshes of several clusters
    description: What such a mesh needs beside these Secrets.
    link: https://istio.io/latest/docs/setup/install/multicluster/
"""

EXAMPLES = r"""
- name: Let the istiod of blue read from green
  trustmesh.spiffe.istio_remote_secret:
    kubeconfig: build/clusters/blue.kubeconfig
    cluster: green
    server: https://192.0.2.20:6443
    remote:
      kubeconfig: build/clusters/green.kubeconfig

- name: The same with contexts of one kubeconfig, and a token of a week that is replaced on its last two days
  trustmesh.spiffe.istio_remote_secret:
    context: blue
    cluster: green
    server: https://api.green.example:6443
    server_ca: "{{ lookup('file', 'green-balancer.pem') }}"
    token_lifetime: 604800
    renew_before: 172800
    remote:
      context: green
  register: result

- name: Show until when it is good
  ansible.builtin.debug:
    var: result.remote_secret.expires

- name: Let it read no more
  trustmesh.spiffe.istio_remote_secret:
    kubeconfig: build/clusters/blue.kubeconfig
    cluster: green
    state: absent
"""

RETURN = r"""
remote_secret:
  description: The Secret, without its token. Empty with O(state=absent).
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: with O(state=present)
      sample: istio-remote-secret-green
    namespace:
      description: Its namespace.
      type: str
      returned: with O(state=present)
    cluster:
      description: The other cluster.
      type: str
      returned: with O(state=present)
    server:
      description: The URL of the other API server.
      type: str
      returned: with O(state=present)
    ca_sha256:
      description: The SHA-256 of each certificate of its CA.
      type: list
      elements: str
      returned: with O(state=present)
    account:
      description: Namespace and name of the ServiceAccount.
      type: str
      returned: with O(state=present)
      sample: istio-system/istio-reader-service-account
    account_uid:
      description: The uid of the ServiceAccount.
      type: str
      returned: with O(state=present)
    expires:
      description: When the token ends, in UTC, or C((new\)) when check mode would request one.
      type: str
      returned: with O(state=present)
      sample: "2026-12-28T06:00:00Z"
    lifetime:
      description: The seconds of life that the token was given, or would be asked for with in check mode.
      type: int
      returned: with O(state=present)
      sample: 2592000
    renewed_from:
      description: From when on a run replaces the token, in UTC, or C((new\)) when check mode would request one.
      type: str
      returned: with O(state=present)
      sample: "2026-12-13T06:00:00Z"
    read:
      description:
        - Whether each istiod is known to have read the other cluster, with every workload of the right trust domain.
          V(false) without O(trust_domain), and where no istiod is ready.
      type: bool
      returned: with O(state=present)
actions:
  description: What was done, or would be done in check mode. Empty when the Secret was left alone.
  returned: success
  type: list
  elements: dict
  contains:
    verb:
      description: One of V(created), V(updated), V(deleted).
      type: str
    object:
      description: Kind, namespace and name.
      type: str
    reasons:
      description: Why, one text for each difference that was found. Empty with V(deleted).
      type: list
      elements: str
  sample:
    - verb: updated
      object: Secret istio-system/istio-remote-secret-green
      reasons: ["its token ends at 2026-12-28T06:00:00Z"]
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.run import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

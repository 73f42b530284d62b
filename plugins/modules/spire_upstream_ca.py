#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_upstream_ca
short_description: Keep the CA under which SPIRE servers stand, and bring it to a server in Kubernetes
version_added: "0.1.0"
description:
  - Makes a CA where the module runs, or takes files of yours, and puts certificate, key and roots into a Secret from
    which a SPIRE server reads them with its plugin C(UpstreamAuthority "disk"). Servers that get the same CA have one
    root, and believe each other's workloads.
  - The key is in a folder of mode 0700, in a file of mode 0600, and in the Secret. It is in no argument, no result, no
    diff and no message.
  - Several tasks may make the CA of one O(path) at the same moment, such as those of several hosts. One of them makes
    it, the others take that one.
  - A CA is replaced by O(state=rotating), which makes a new one beside the old one, and by
    M(trustmesh.spiffe.spire_authority), which leads each server over. The playbook
    C(trustmesh.spiffe.rotate_upstream_ca) does all of it.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_spire
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.kubectl
requirements:
  - Python package cryptography 45 or later, where the module runs
attributes:
  check_mode:
    support: full
    details:
      - The id of a CA that is not made yet is not known. C((new\)) stands for it.
  diff_mode:
    support: full
    details:
      - Shows fingerprint, subject and end of the CA, in the folder and in the Secret, and nothing else of them.
  idempotent:
    support: full
options:
  state:
    description:
      - V(present) makes the CA when there is none, and brings it into the Secret. A folder that is empty gets the CA
        that the Secret still has.
      - V(rotating) puts the CA aside and makes a new one, unless that was done before, and tells where the server
        stands between the two. Nothing is made when the server cannot be reached.
      - V(finished) deletes the CA that was put aside.
      - V(absent) deletes the Secret. The CA is kept, unless O(purge) is true.
    type: str
    choices:
      - present
      - rotating
      - finished
      - absent
    default: present
  path:
    description:
      - The folder of the CA, absolute, on the host where the module runs. It is made with mode 0700. The CA is in
        C(current) below it, the one before in C(previous) while it is replaced.
      - A folder or a file that is a link, that belongs to somebody else or that others may read is refused.
    type: path
    required: true
  trust_domain:
    description:
      - The trust domain of the servers. A CA that is made here has its SPIFFE ID.
    type: str
    required: true
  key_type:
    description:
      - The key of a CA that is made here.
    type: str
    choices:
      - ec-p256
      - ec-p384
    default: ec-p384
  valid_days:
    description:
      - The life of a CA that is made here, from V(1) to V(3650). No certificate of a server outlives it.
    type: int
    default: 365
  renew_before_days:
    description:
      - A CA that ends within so many days is warned of.
    type: int
    default: 30
  certificate:
    description:
      - A file with a CA certificate of yours, in PEM, on the host where the module runs. Certificates that lead to its
        root may follow it. Nothing is made in O(path) then.
    type: path
  private_key:
    description:
      - The file with its key, in PEM, EC or RSA, not encrypted. It must be yours and have mode 0600.
    type: path
  bundle:
    description:
      - The file with the roots, where O(certificate) is not a root itself.
    type: path
  pair:
    description:
      - Which of two CAs goes into the Secret, V(previous) only while one is replaced. It leads back a server that has
        lost the old authority before it was tainted.
    type: str
    choices:
      - current
      - previous
    default: current
  secret_name:
    description:
      - The Secret in O(namespace), with the keys C(tls.crt), C(tls.key) and C(ca.crt). A namespace that is not there is
        made. A Secret of this name that was made in another way is refused.
      - When it changes, pods of the server that O(pod) or O(pod_selector) names get an annotation, so that their
        kubelet looks at once and not after a minute. That a pod is not there yet is no fault.
      - Without it nothing is done in a cluster, such as for a server that reads the files of O(path) itself.
    type: str
  istio_namespace:
    description:
      - The namespace of an istiod with a CA of its own. Where there is no CA yet, in O(path) and in the Secret of the
        server, that one is taken, from the Secret C(cacerts) or C(istio-ca-secret) there. Workloads that istiod has
        certified and those of the server then have one root, and believe each other.
      - One whose certificate does not allow a CA below itself (C(pathlen:0)) is refused.
    type: str
  scenario:
    description:
      - The label C(trustmesh.io/scenario) of the Secret.
    type: str
    default: ""
  purge:
    description:
      - With O(state=absent), delete the CA in O(path) too. Files of yours are never deleted.
    type: bool
    default: false
notes:
  - O(binary), O(socket_path), O(container) and O(wait_timeout) are for O(state=rotating), where the server is asked.
seealso:
  - module: trustmesh.spiffe.spire_authority
"""

EXAMPLES = r"""
- name: A CA for the servers of a trust domain, in the cluster of one of them
  trustmesh.spiffe.spire_upstream_ca:
    path: /var/lib/trustmesh/upstream_ca
    trust_domain: example.org
    secret_name: spire-upstream-ca
    kubeconfig: build/clusters/blue.kubeconfig
    pod: statefulset/spire-server

- name: The CA of an istiod, so that its workloads and those of the server believe each other
  trustmesh.spiffe.spire_upstream_ca:
    path: /var/lib/trustmesh/upstream_ca
    trust_domain: cluster.local
    istio_namespace: istio-system
    secret_name: spire-upstream-ca

- name: Begin to replace it, and see where the server stands
  trustmesh.spiffe.spire_upstream_ca:
    state: rotating
    path: /var/lib/trustmesh/upstream_ca
    trust_domain: example.org
    kubeconfig: build/clusters/blue.kubeconfig
    pod: statefulset/spire-server
  register: rotation

- name: Bring the new one to the server
  trustmesh.spiffe.spire_upstream_ca:
    path: /var/lib/trustmesh/upstream_ca
    trust_domain: example.org
    secret_name: spire-upstream-ca
    kubeconfig: build/clusters/blue.kubeconfig
    pod: statefulset/spire-server
"""

RETURN = r"""
upstream_ca:
  description: The CA. It has no secret. Empty with O(state=absent).
  type: dict
  returned: success
  contains:
    authority_id:
      description: Its subject key id, by which SPIRE knows it, or C((new\)) when check mode would make it.
      type: str
      returned: unless O(state=absent)
      sample: 6e4ff0e9b5d1c7e1a3d2c8b7f0a9d8c7b6a59483
    sha256:
      description: The digest of its certificate.
      type: str
      returned: when it is there
    subject:
      description: The name in its certificate.
      type: str
      returned: when it is there
      sample: CN=Upstream CA 6e4ff0e9,O=example.org
    not_after:
      description: When it ends.
      type: str
      returned: when it is there
      sample: "2027-11-28T06:00:00Z"
    days_left:
      description: In how many days that is.
      type: int
      returned: when it is there
    self_signed:
      description: Whether it is a root.
      type: bool
      returned: when it is there
    made_here:
      description: Whether it is in O(path), and not in files of yours.
      type: bool
      returned: unless O(state=absent)
    rotating:
      description: Whether it is being put in the place of another one that was made here.
      type: bool
      returned: unless O(state=absent)
    previous_authority_id:
      description: The id of that other one, or empty.
      type: str
      returned: unless O(state=absent)
    secret_name:
      description: The Secret, or empty.
      type: str
      returned: unless O(state=absent)
    stage:
      description:
        - Where the server stands. V(before) signs by another upstream CA, V(activated) signs by this one and V(tainted)
          has tainted the other one, V(done) knows no other one any more.
        - V(lost) signs by this one, and the other one has gone out of its slot before it was tainted, so that nobody
          can taint it. Bring O(pair=previous), prepare and activate, then this one again.
        - V(self_signed) stands under no upstream CA.
      type: str
      returned: with O(state=rotating)
    retiring_authority_id:
      description: The upstream CA that has to go at this server, or empty.
      type: str
      returned: with O(state=rotating)
reason:
  description: Why something was done to the CA, or would be in check mode, or why not.
  type: str
  returned: success
  sample: the CA is there
actions:
  description: What was done, or would be done in check mode, in order.
  type: list
  elements: dict
  returned: success
  sample: [{"verb": "make", "id": ""}, {"verb": "apply", "id": "spire-upstream-ca"}]
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.run import (
    run,
    spec,
)


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

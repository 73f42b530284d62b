#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: istio_info
short_description: Read the revisions of Istio, who is injected, and the proxies
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Tells which revisions of Istio a cluster has, with their versions, trust domains and tags; by which revision each
    namespace is injected, or that what its label names is not there; which proxies have what their istiod wants them to
    have; and, where it is asked for, who signed the certificate of each.
  - What is asked of the cluster and of istiod is asked side by side. Whoever installed Istio, it is told.
notes:
  - Which proxies are in sync is asked of istiod with C(istioctl proxy-status), through a port-forward. It needs the
    right to create a token for the ServiceAccount C(default) of O(namespace). A revision that does not answer is a
    warning.
  - istiod knows the proxies of machines too. They are of the kind V(machine) here, and their certificates cannot be
    asked for.
  - Namespaces in ambient mode count as not injected.
options:
  namespace:
    description:
      - The namespace of the control planes.
    type: str
    default: istio-system
  proxies:
    description:
      - Whether to ask each revision for its proxies, which takes a call of istioctl for each.
    type: bool
    default: true
  certificates:
    description:
      - Whether to ask each proxy in a pod for its certificate, which takes a call of istioctl for each.
    type: bool
    default: false
  proxy_namespaces:
    description:
      - Tell only of proxies in these namespaces, and ask only these for certificates. Without it, of all.
    type: list
    elements: str
  parallel:
    description:
      - How many calls are made at the same time, at most.
    type: int
    default: 8
  istioctl:
    description:
      - The istioctl program. A name is looked up on PATH.
    type: path
    default: istioctl
  timeout:
    description:
      - How many seconds one call of istioctl or kubectl may take.
    type: int
    default: 60
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_istio
  - trustmesh.spiffe.attributes.info_module
  - trustmesh.spiffe.kubectl
requirements:
  - Python package cryptography 45 or later, for O(certificates)
seealso:
  - module: trustmesh.spiffe.istio_install
  - module: trustmesh.spiffe.istio_revision_tag
"""

EXAMPLES = r"""
- name: Read what there is of Istio
  trustmesh.spiffe.istio_info:
    kubeconfig: build/clusters/blue.kubeconfig
  register: mesh

- name: Refuse to go on while a namespace asks for a revision that is not there
  ansible.builtin.assert:
    that: mesh.namespaces | selectattr('status', 'equalto', 'dangling') | length == 0

- name: Read who signed the certificates in one namespace
  trustmesh.spiffe.istio_info:
    certificates: true
    proxy_namespaces: [shop]
  register: shop

- name: See that it was SPIRE
  ansible.builtin.assert:
    that: item.certificate.root is search('O=SPIFFE')
  loop: "{{ shop.proxies }}"
  loop_control:
    label: "{{ item.namespace }}/{{ item.name }}"
"""

RETURN = r"""
istioctl_version:
  description: The version of istioctl.
  returned: success
  type: str
  sample: 1.31.0
revisions:
  description: Every revision, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    version:
      description: The version of its istiod. Empty when it does not tell, or runs elsewhere.
      type: str
    trust_domain:
      description: The trust domain of its mesh.
      type: str
    ready:
      description: Whether its istiod is available.
      type: bool
    problem:
      description: Why it is not. Empty when it is.
      type: str
    tags:
      description: The tags that point to it.
      type: list
      elements: str
    namespaces:
      description: The namespaces that it injects.
      type: list
      elements: str
    proxies:
      description: How many pods have a proxy that it injected.
      type: int
    proxy_namespaces:
      description: The namespaces of these pods. They may ask for another revision by now, and be restarted then.
      type: list
      elements: str
  sample:
    - name: 1-31-0
      version: 1.31.0
      trust_domain: example.org
      ready: true
      problem: ""
      tags: [prod]
      namespaces: [shop]
      proxies: 4
      proxy_namespaces: [shop]
namespaces:
  description: Every namespace, and who injects what starts there.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    label:
      description: The label that decides. Empty when there is none.
      type: str
      sample: istio.io/rev=prod
    status:
      description:
        - V(injected); V(none) without a label; V(disabled) by a label that says so; V(dangling) when the revision or
          tag that it asks for is not there, so that what starts gets no proxy.
      type: str
    tag:
      description: The tag that the label names, if it is one.
      type: str
    revision:
      description: The revision that injects. Empty when none does.
      type: str
machines:
  description: The WorkloadEntries, which stand for machines outside Kubernetes.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    namespace:
      description: Its namespace.
      type: str
    address:
      description: Its address.
      type: str
    service_account:
      description: The account of its identity.
      type: str
    connected:
      description: Whether istiod noted that its proxy is connected. It does so for those that register themselves.
      type: bool
proxies:
  description: Every proxy, by namespace and name. Empty with O(proxies=false) and O(certificates=false).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of its pod, or what a machine calls itself.
      type: str
    namespace:
      description: Its namespace.
      type: str
    kind:
      description: One of V(pod), V(machine).
      type: str
    revision:
      description: The revision that injected it. Empty for a machine.
      type: str
    version:
      description: The version that it tells istiod.
      type: str
    cluster:
      description: The cluster that it tells istiod.
      type: str
    istiod:
      description: The pod of istiod that it is connected to. Empty when it is to none.
      type: str
    connected:
      description: Whether an istiod knows it. V(false) with O(proxies=false), when nobody was asked.
      type: bool
    synced:
      description: Whether it is connected, and nothing of its configuration is out of date or was refused by it.
      type: bool
    states:
      description: The state of each kind of its configuration, as istiod knows it.
      type: dict
      sample: {CDS: SYNCED, EDS: SYNCED, LDS: SYNCED, RDS: NOT_SENT}
    certificate:
      description: Its certificate.
      type: dict
      returned: with O(certificates=true)
      contains:
        spiffe_id:
          description: The identity in it.
          type: str
        issuer:
          description: The name of who signed it.
          type: str
        issuers:
          description:
            - The names of who signed each certificate of its chain, up to the root. Empty when there is no way.
          type: list
          elements: str
        root:
          description: The name of the authority, of those that the proxy itself trusts, in which the chain ends.
          type: str
        expires_at:
          description: When it ends, in UTC.
          type: str
        problem:
          description: Why it could not be read, or leads to none of these authorities. Empty when all is well.
          type: str
summary:
  description: The proxies at a glance.
  returned: success
  type: dict
  contains:
    total:
      description: How many there are.
      type: int
    synced:
      description: How many are in sync.
      type: int
    out_of_sync:
      description: Namespace and name of those that are not.
      type: list
      elements: str
    versions:
      description: How many there are of each version.
      type: dict
  sample: {total: 4, synced: 3, out_of_sync: [shop/cart-7d4], versions: {1.31.0: 4}}
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.mesh.info import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

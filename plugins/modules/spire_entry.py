#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_entry
short_description: Manage registration entries of a SPIRE server
version_added: "0.1.0"
description:
  - Creates, updates and deletes registration entries, many in one task.
  - An entry is known by its SPIFFE ID, its parent and the set of its selectors. All other fields can change in place.
  - The server is read once, the changes are worked out from that, and check mode and diff show exactly these changes.
  - Only fields that are named are changed. The others keep the value that the server holds.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.spire.registrar
  - trustmesh.spiffe.kubectl
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  entries:
    description:
      - The entries. All must be of the server's own trust domain, and each key may appear once.
    type: list
    elements: dict
    required: true
    suboptions:
      spiffe_id:
        description:
          - The SPIFFE ID that the workload gets.
        type: str
        required: true
      parent_id:
        description:
          - The SPIFFE ID of the agent, or of the node alias, that may hand out this identity.
        type: str
        required: true
      selectors:
        description:
          - What a workload must show to get this identity, as C(type:value). All must hold. Their order means nothing.
        type: list
        elements: str
        required: true
      x509_svid_ttl:
        description:
          - Seconds that an X509-SVID is valid. V(0) means the server's default.
        type: int
      jwt_svid_ttl:
        description:
          - Seconds that a JWT-SVID is valid. V(0) means the server's default.
        type: int
      federates_with:
        description:
          - Foreign trust domains whose bundles the workload gets, as C(other.org) or C(spiffe://other.org).
          - The server must hold their bundles already.
        type: list
        elements: str
      dns_names:
        description:
          - DNS names for the X509-SVID. The first one also becomes its common name; the order of the others means
            nothing.
        type: list
        elements: str
      admin:
        description:
          - Whether the workload may use the server's whole API. Needs O(acknowledge_privileged).
        type: bool
      downstream:
        description:
          - Whether the workload is a SPIRE server that gets a signing certificate. Needs O(acknowledge_privileged).
        type: bool
      store_svid:
        description:
          - Whether the agent stores the SVID with an SVIDStore plugin. All selectors must then be of one type.
        type: bool
      hint:
        description:
          - A word by which a workload with several identities tells them apart. Empty means none.
        type: str
      expires_at:
        description:
          - When the server drops the entry, in seconds since 1970. V(0) means never.
        type: int
      entry_id:
        description:
          - The id of the entry. It cannot be changed later.
          - When it is not given, a new entry gets C(trustmesh.) and a hash of its SPIFFE ID, parent and selectors, so
            that check mode already names it.
          - An entry that carries this id but has another SPIFFE ID, parent or selectors is changed in place.
        type: str
  state:
    description:
      - V(present) creates and updates, V(absent) deletes every entry of the same SPIFFE ID, parent and selectors.
    type: str
    choices:
      - present
      - absent
    default: present
  acknowledge_privileged:
    description:
      - Says that O(entries[].admin) and O(entries[].downstream) are meant. Without it such entries are refused.
    type: bool
    default: false
notes:
  - The input is checked as a whole before the server is asked. The server then judges each entry for itself. When it
    refuses one, the others of the same batch are made, the task fails, and RV(failed_entries) and RV(actions) say what
    was done and what was not.
  - An entry reaches the agents within about ten seconds.
seealso:
  - module: trustmesh.spiffe.spire_join_token
"""

EXAMPLES = r"""
- name: Register two workloads of a Kubernetes cluster
  trustmesh.spiffe.spire_entry:
    pod: statefulset/spire-server
    kubeconfig: build/blue/kubeconfig
    entries:
      - spiffe_id: spiffe://example.org/ns/shop/sa/cart
        parent_id: spiffe://example.org/node/blue
        selectors:
          - k8s:ns:shop
          - k8s:sa:cart
      - spiffe_id: spiffe://example.org/ns/shop/sa/quote
        parent_id: spiffe://example.org/node/blue
        selectors: ["k8s:ns:shop", "k8s:sa:quote"]
        x509_svid_ttl: 3600
        dns_names: [quote.shop.svc]

- name: Show what would change on a server of this host
  trustmesh.spiffe.spire_entry:
    entries: "{{ shop_entries }}"
  check_mode: true
  diff: true

- name: Delete an entry
  trustmesh.spiffe.spire_entry:
    state: absent
    entries:
      - spiffe_id: spiffe://example.org/ns/shop/sa/cart
        parent_id: spiffe://example.org/node/blue
        selectors: ["k8s:ns:shop", "k8s:sa:cart"]
"""

RETURN = r"""
entries:
  description:
    - The wanted entries in the order given, as they are on the server after the task, or would be in check mode. Empty
      when O(state=absent).
  type: list
  elements: dict
  returned: success
  contains:
    entry_id:
      description: The id of the entry.
      type: str
      returned: always
      sample: trustmesh.4f0c1d4bfcb1fbd0b44c7ff0a5b3e2d1
    spiffe_id:
      description: The SPIFFE ID of the workload.
      type: str
      returned: always
      sample: spiffe://example.org/ns/shop/sa/cart
    parent_id:
      description: The SPIFFE ID of the agent or of the node alias.
      type: str
      returned: always
      sample: spiffe://example.org/node/blue
    selectors:
      description: The selectors, sorted.
      type: list
      elements: str
      returned: always
      sample: ["k8s:ns:shop", "k8s:sa:cart"]
actions:
  description: What was done, or would be done in check mode, in order. When the task fails, only what was done.
  type: list
  elements: dict
  returned: always
  sample: [{"verb": "create", "id": "trustmesh.4f0c…", "spiffe_id": "spiffe://example.org/ns/shop/sa/cart"}]
failed_entries:
  description: The entries that the server refused, each with its place in O(entries), and the reason.
  type: list
  elements: dict
  returned: when the server refused an entry
  contains:
    index:
      description: Its place in O(entries), from 0.
      type: int
      returned: always
    verb:
      description: What was tried.
      type: str
      returned: always
      sample: create
    id:
      description: The id of the entry.
      type: str
      returned: always
    spiffe_id:
      description: The SPIFFE ID of the entry.
      type: str
      returned: always
    code:
      description: The gRPC status code.
      type: int
      returned: always
      sample: 13
    reason:
      description: Why the server refused it.
      type: str
      returned: always
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.run import entry_spec, run_entry


def main() -> None:
    run_module(entry_spec(), run_entry)


if __name__ == "__main__":
    main()

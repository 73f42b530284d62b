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
  - Entries carry who made them in their ids, so that several tasks, people and programs can register workloads at one
    server without harming each other.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_spire
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
      - The entries. All must be of the server's own trust domain, and no two may have the same SPIFFE ID, parent and
        selectors.
      - Ansible copies and checks them one by one. From about a thousand entries on, O(src) is much quicker.
      - One of O(entries) and O(src) is required.
    type: list
    elements: dict
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
          - Seconds that an X509-SVID is valid, up to V(2147483647). V(0) means the server's default.
        type: int
      jwt_svid_ttl:
        description:
          - Seconds that a JWT-SVID is valid, up to V(2147483647). V(0) means the server's default.
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
  src:
    description:
      - A file with the entries, on the host where the module runs. It holds a list of entries, or a mapping with the
        one key C(entries), with the same fields as O(entries).
      - A name that ends in C(.json) means JSON, any other YAML, which needs PyYAML on that host and is ten times
        slower.
      - Fields must have the types of O(entries) as they are written; a number in quotes is refused. So are unknown
        keys, and a key that stands twice.
    type: path
  state:
    description:
      - V(present) creates and updates.
      - V(absent) deletes every entry of the same SPIFFE ID, parent and selectors, and one that carries the id which
        the entry has or would get.
    type: str
    choices:
      - present
      - absent
    default: present
  owner:
    description:
      - A name for whoever keeps these entries, such as a team, a repository or a playbook. 1 to 63 lower case letters,
        digits and dashes.
      - Entries that are created get ids that begin with C(trustmesh.) and this name. No task changes or deletes
        entries of another owner; two owners that want one entry get an error that names both.
      - Without it, ids begin with C(trustmesh.) alone, and O(purge) is not possible. An id never changes, so an entry
        that was made without an owner counts as made by others when an owner is named later.
    type: str
  purge:
    description:
      - V(owned) deletes the entries whose ids carry O(owner) and that are not in the list. Nothing else is ever
        deleted, and so no entry that was adopted.
    type: str
    choices:
      - none
      - owned
    default: none
  allow_empty:
    description:
      - Allows O(purge=owned) with an empty list, which deletes all entries of O(owner).
    type: bool
    default: false
  adopt:
    description:
      - Whether an entry of the list that somebody else has made, by hand or with another program, is taken over. It is
        then changed, or deleted, in place like any other, and keeps its id. O(purge) never deletes it.
      - With V(false) the task fails and names it, before anything is changed.
      - Entries of another owner are never taken over.
    type: bool
    default: true
  on_refusal:
    description:
      - What becomes of the other entries when the server refuses one. The task fails in both cases, and
        RV(failed_entries) and RV(actions) say what was done and what was not.
      - V(stop) changes nothing when the refusal can be foreseen, as of an entry that federates with a trust domain
        whose bundle is missing. When it cannot, the requests after it are not made; entries of the same request may
        be.
      - V(continue) makes all other changes.
    type: str
    choices:
      - stop
      - continue
    default: stop
  return_entries:
    description:
      - Which entries RV(entries) holds. V(all) those of the list, V(changed) those of them that changed.
      - V(auto) means V(all) for up to 1000 entries, else V(none). Ansible copies, prints and stores what is returned,
        which takes longer than the task itself when it is much.
    type: str
    choices:
      - auto
      - all
      - changed
      - none
    default: auto
  acknowledge_privileged:
    description:
      - Says that O(entries[].admin) and O(entries[].downstream) are meant. Without it such entries are refused.
    type: bool
    default: false
notes:
  - The input is checked as a whole before the server is asked.
  - When somebody else changes the same entries meanwhile, the server is read again, and what is then still to be done
    is done. Of two tasks that want different things the later one wins.
  - When the connection breaks during a change, the server is read again if it answers, so that RV(actions) is exact.
    If it does not answer, the message says how many changes may have been made. In every case, running the task again
    completes it.
  - spire-server reads 500 entries at once, and an answer may have 4 MiB. Entries so large that the list could not be
    read any more are refused.
  - An entry reaches the agents within about ten seconds.
seealso:
  - module: trustmesh.spiffe.spire_entry_info
  - module: trustmesh.spiffe.spire_join_token
"""

EXAMPLES = r"""
# kubectl and the kubeconfig are those of the host that the task runs on: localhost here, or another by delegate_to.
- name: Register the workloads of a shop
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/trustmesh.spiffe.spire:
      pod: statefulset/spire-server
      kubeconfig: build/clusters/blue.kubeconfig
  tasks:
    # Entries hang below a node. An agent's own ID changes when its node is made anew, so a node alias stands for it: an
    # entry below the server whose selectors are those of the agents, as here, or the spiffe_id of spire_join_token.
    - name: Let one ID stand for every node of the cluster blue
      trustmesh.spiffe.spire_entry:
        entries:
          - spiffe_id: spiffe://example.org/node/blue
            parent_id: spiffe://example.org/spire/server
            selectors: ["k8s_psat:cluster:blue"]

    - name: Register two workloads of the cluster
      trustmesh.spiffe.spire_entry:
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

    - name: Show what would change
      trustmesh.spiffe.spire_entry:
        entries: "{{ shop_entries }}"
      check_mode: true
      diff: true

    - name: Keep exactly the entries of a file, and delete those that left it
      trustmesh.spiffe.spire_entry:
        src: /etc/trustmesh/shop.json
        owner: shop
        purge: owned

    - name: Delete all entries of an owner
      trustmesh.spiffe.spire_entry:
        entries: []
        owner: shop
        purge: owned
        allow_empty: true

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
  returned: success, as O(return_entries) says
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
    x509_svid_ttl:
      description: Seconds that an X509-SVID is valid. V(0) means the server's default.
      type: int
      returned: always
    jwt_svid_ttl:
      description: Seconds that a JWT-SVID is valid. V(0) means the server's default.
      type: int
      returned: always
    federates_with:
      description: The foreign trust domains.
      type: list
      elements: str
      returned: always
    dns_names:
      description: The DNS names.
      type: list
      elements: str
      returned: always
    admin:
      description: Whether the workload may use the server's whole API.
      type: bool
      returned: always
    downstream:
      description: Whether the workload is a SPIRE server that gets a signing certificate.
      type: bool
      returned: always
    store_svid:
      description: Whether the agent stores the SVID.
      type: bool
      returned: always
    hint:
      description: The hint. Empty means none.
      type: str
      returned: always
    expires_at:
      description: When the server drops the entry, in seconds since 1970. V(0) means never.
      type: int
      returned: always
counts:
  description:
    - How many entries were, or would be, created, updated and deleted, and how many of the list stayed as they are.
  type: dict
  returned: success
  contains:
    created:
      description: Entries created.
      type: int
      returned: always
    updated:
      description: Entries changed in place.
      type: int
      returned: always
    deleted:
      description: Entries deleted.
      type: int
      returned: always
    unchanged:
      description: Entries of the list that were as they should be.
      type: int
      returned: always
    adopted:
      description: Entries of the list that others made, changed or not. O(purge) never deletes them.
      type: int
      returned: always
duplicates:
  description:
    - Where the server holds several entries of the same SPIFFE ID, parent and selectors, which only an update by hand
      can bring about. When such an entry is in the list, the first id is the one that is managed, and a warning names
      the others.
  type: list
  elements: dict
  returned: success
  contains:
    spiffe_id:
      description: The SPIFFE ID.
      type: str
      returned: always
    parent_id:
      description: The parent.
      type: str
      returned: always
    selectors:
      description: The selectors.
      type: list
      elements: str
      returned: always
    ids:
      description: The ids of the entries.
      type: list
      elements: str
      returned: always
actions:
  description: What was done, or would be done in check mode, in order. When a change failed, only what was done.
  type: list
  elements: dict
  returned: success, and when a change failed
  sample: [{"verb": "create", "id": "trustmesh.4f0c…", "spiffe_id": "spiffe://example.org/ns/shop/sa/cart"}]
failed_entries:
  description: The entries that the server refused, or would refuse in check mode, each with its place and the reason.
  type: list
  elements: dict
  returned: when the server refused an entry
  contains:
    index:
      description: Its place in O(entries) or O(src), from 0. Null for an entry that was to be purged.
      type: int
      returned: always
    field:
      description: The field that the server refused, when that can be known, else null.
      type: str
      returned: always
      sample: federates_with
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
conflicts:
  description: The entries that others hold, each with its place in the list and the id that stands in the way.
  type: list
  elements: dict
  returned: when an entry belongs to another owner, or may not be adopted
  sample: [{"index": 3, "entry_id": "trustmesh.billing.4f0c1d4bfcb1fbd0b44c7ff0a5b3e2d1"}]
unknown:
  description: How many changes may or may not have been made.
  type: int
  returned: when the connection broke during a change and the server does not answer
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.run import run, spec


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

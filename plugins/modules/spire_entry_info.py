#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_entry_info
short_description: Read registration entries of a SPIRE server
version_added: "0.1.0"
description:
  - Returns the registration entries that pass all the filters that are given, or every entry.
  - All filters but O(owner) are applied by the server.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_spire
  - trustmesh.spiffe.attributes.info_module
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.spire.entry_filters
  - trustmesh.spiffe.kubectl
options:
  entry_id:
    description:
      - The id of one entry. It goes with no other filter. An id that does not exist gives an empty list.
    type: str
  owner:
    description:
      - Only entries whose ids carry this owner, see O(trustmesh.spiffe.spire_entry#module:owner).
    type: str
notes:
  - The alias of a join token that was not used yet holds the token. In RV(entries[].parent_id) and
    RV(entries[].selectors) a digest stands in its place.
seealso:
  - module: trustmesh.spiffe.spire_entry
  - module: trustmesh.spiffe.spire_entry_export
"""

EXAMPLES = r"""
- name: Read all entries of a server in a pod
  trustmesh.spiffe.spire_entry_info:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
  register: result

- name: Read the entries of a namespace
  trustmesh.spiffe.spire_entry_info:
    selectors: ["k8s:ns:shop"]

- name: Read what an owner holds under one node
  trustmesh.spiffe.spire_entry_info:
    owner: shop
    parent_id: spiffe://example.org/node/blue

- name: Read the entries that federate with one of two trust domains
  trustmesh.spiffe.spire_entry_info:
    federates_with: [other.org, third.org]
    federates_with_match: any
"""

RETURN = r"""
entries:
  description: The entries, in the order of their SPIFFE IDs.
  type: list
  elements: dict
  returned: success
  contains:
    entry_id:
      description: The id of the entry.
      type: str
      returned: always
      sample: trustmesh.shop.4f0c1d4bfcb1fbd0b44c7ff0a5b3e2d1
    owner:
      description: The owner that the id carries, null if none.
      type: str
      returned: always
      sample: shop
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
    created_at:
      description: When the entry was created, in seconds since 1970.
      type: int
      returned: always
    revision_number:
      description: How often the entry was updated.
      type: int
      returned: always
    additional_attributes:
      description: What newer servers keep beside the rest, under the server's own names.
      type: dict
      returned: always
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.info import run, spec


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

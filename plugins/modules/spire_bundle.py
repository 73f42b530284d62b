#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_bundle
short_description: Manage the trust bundles of other trust domains in a SPIRE server
version_added: "0.1.0"
description:
  - Sets and deletes the bundles of other trust domains, which a server hands to the workloads that federate with them.
    Its own bundle is never touched.
  - A bundle is compared by what it holds. When the server holds the same authorities, nothing changes, however the
    text is written.
  - Where a bundle endpoint exists, M(trustmesh.spiffe.spire_federation) keeps a bundle fresh. Without one, run this
    module again whenever the other side rotates its authorities.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_spire
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.kubectl
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows fingerprints, validity and sequence numbers.
  idempotent:
    support: full
options:
  bundles:
    description:
      - The bundles. An empty list is nothing to do.
    type: list
    elements: dict
    required: true
    suboptions:
      trust_domain:
        description:
          - The trust domain whose bundle it is.
          - A certificate that names another trust domain in its SPIFFE ID is refused.
        type: str
        required: true
      bundle:
        description:
          - The bundle itself, as PEM (one or more CA certificates) or in SPIFFE's JSON form.
          - JSON may be text or a dictionary.
          - A private key in it is refused, and is neither logged nor returned.
        type: raw
      src:
        description:
          - A file on the target host that holds the bundle, instead of O(bundles[].bundle).
        type: path
      format:
        description:
          - The form of the bundle. It is told from the content when it is not given.
          - V(pem) says nothing about JWT authorities, sequence number and refresh hint; what the server holds of these
            stays.
        type: str
        choices: [pem, spiffe]
  state:
    description:
      - V(present) sets the bundles; each needs O(bundles[].bundle) or O(bundles[].src).
      - V(absent) deletes the bundles of these trust domains; their content is not looked at.
    type: str
    choices: [present, absent]
    default: present
  allow_older:
    description:
      - Sets a bundle even when its sequence number is lower than that of the bundle that the server holds. This is
        otherwise refused, since an old bundle may trust a key that was withdrawn.
    type: bool
    default: false
  delete_mode:
    description:
      - What to do with O(state=absent) when registration entries federate with a trust domain.
      - V(restrict) deletes nothing and names the entries.
      - V(dissociate) takes the trust domain out of the entries.
      - V(delete) deletes the entries too, which takes the identity from their workloads.
    type: str
    choices: [restrict, dissociate, delete]
    default: restrict
  acknowledge_entry_deletion:
    description:
      - Says that O(delete_mode=delete) is meant. Without it that is refused.
    type: bool
    default: false
requirements:
  - Python package cryptography 45 or later, where the module runs
seealso:
  - module: trustmesh.spiffe.spire_bundle_info
  - module: trustmesh.spiffe.spire_federation
"""

EXAMPLES = r"""
- name: Read the bundle of the partner's server
  trustmesh.spiffe.spire_bundle_info:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/partner.kubeconfig
    federated: false
  register: partner

- name: Trust the partner
  trustmesh.spiffe.spire_bundle:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
    bundles:
      - trust_domain: partner.example
        bundle: "{{ partner.bundle.spiffe }}"

- name: Trust domains whose bundles came as files
  trustmesh.spiffe.spire_bundle:
    bundles:
      - trust_domain: partner.example
        src: /etc/spire/federated/partner.example.json
        format: spiffe
      - trust_domain: supplier.example
        src: /etc/spire/federated/supplier.example.pem
        format: pem

- name: Trust a domain no longer, and keep the entries that named it
  trustmesh.spiffe.spire_bundle:
    bundles:
      - trust_domain: supplier.example
    state: absent
    delete_mode: dissociate
"""

RETURN = r"""
bundles:
  description:
    - The bundles as the server holds them afterwards, or would in check mode. Empty with O(state=absent).
    - Each is in the form of RV(trustmesh.spiffe.spire_bundle_info#module:bundle), without its
      C(pem), C(trusted_pem) and C(spiffe).
  type: list
  elements: dict
  returned: success
actions:
  description: What was done, or would be done in check mode, in order. When a change failed, only what was done.
  type: list
  elements: dict
  returned: success, and when a change failed
  sample: [{"verb": "set_bundle", "id": "partner.example"}]
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.run import run, spec


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_federation
short_description: Manage the federation relationships of a SPIRE server
version_added: "0.1.0"
description:
  - A federation relationship says from where a server fetches the bundle of another trust domain, and how it
    authenticates that bundle endpoint. The server then keeps the bundle fresh by itself.
  - The order is such that no registration entry is ever refused for a bundle that is not there. First bundles are set,
    then relationships; at removal relationships go first.
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
    details:
      - With O(refresh=true) check mode asks the bundle endpoints itself, from the target host, to tell what a refresh
        would bring. Where it does not reach or believe one it says so in a warning.
  diff_mode:
    support: full
    details:
      - Shows relationships, and fingerprints, validity and sequence numbers of bundles.
  idempotent:
    support: full
    details:
      - A refresh is a change when it brings other authorities.
options:
  relationships:
    description:
      - The relationships. An empty list is nothing to do.
      - Those in the server's own configuration file are neither shown nor changed. They win over these.
    type: list
    elements: dict
    required: true
    suboptions:
      trust_domain:
        description:
          - The other trust domain.
        type: str
        required: true
      bundle_endpoint_url:
        description:
          - The URL of its bundle endpoint. It starts with C(https://) and has neither a user nor a fragment.
          - Needed with O(state=present).
        type: str
      bundle_endpoint_profile:
        description:
          - How the endpoint is authenticated. It cannot be guessed, and one is never tried in place of the other.
          - V(https_web) by a web certificate for the host of the URL, issued by an authority that the host of the
            server trusts.
          - V(https_spiffe) by the SPIFFE ID O(relationships[].endpoint_spiffe_id) and the bundle that the server holds
            of its trust domain. Where the server holds none, O(relationships[].bundle) or O(relationships[].src) is
            needed.
          - Needed with O(state=present).
        type: str
        choices: [https_web, https_spiffe]
      endpoint_spiffe_id:
        description:
          - The SPIFFE ID that the endpoint must show. That of a SPIRE server is C(spiffe://trust-domain/spire/server).
          - Needed with V(https_spiffe), refused with V(https_web).
        type: str
      bundle:
        description:
          - The first bundle of the trust domain. It is set when the server holds none, and later left alone, since the
            server fetches newer ones by itself. With O(update_bundles=true) it is the present one.
          - It is PEM (one or more CA certificates) or in SPIFFE's JSON form. JSON may be text or a dictionary.
          - A private key in it is refused, and is neither logged nor returned.
        type: raw
      src:
        description:
          - A file on the target host that holds the bundle, instead of O(relationships[].bundle).
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
      - Whether the relationships are to be there. For V(absent) only the trust domains are looked at.
    type: str
    choices: [present, absent]
    default: present
  refresh:
    description:
      - Has the server fetch the bundles now, and goes on when they are there.
      - An endpoint that does not answer yet is asked again until O(refresh_timeout). One that is not believed, or does
        not serve a bundle, fails the task at once.
    type: bool
    default: false
  refresh_timeout:
    description:
      - Seconds for all refreshes of the task together, from V(1). One request takes at most O(timeout).
    type: int
    default: 30
  update_bundles:
    description:
      - Sets the bundles that are given also where the server holds another of the trust domain, so that a server heals
        that was cut off while the other side rotated, and believes its endpoint no longer. Give bundles that were just
        read over a channel that you trust.
      - One with a lower sequence number than the server's is refused. See M(trustmesh.spiffe.spire_bundle).
    type: bool
    default: false
  healthy_timeout:
    description:
      - Seconds to wait until each endpoint serves the authorities that the server holds, asked from the target host as
        by M(trustmesh.spiffe.spire_federation_info) with C(probe). The task fails when one does not, and says why.
      - With V(0) nobody is asked, and in check mode neither.
    type: int
    default: 0
  delete_bundles:
    description:
      - Whether O(state=absent) also deletes the bundles of these trust domains, after the relationships.
      - Nothing is removed when registration entries still federate with one of them, or another relationship needs it.
    type: bool
    default: false
requirements:
  - Python package cryptography 45 or later, where the module runs
seealso:
  - module: trustmesh.spiffe.spire_bundle
  - module: trustmesh.spiffe.spire_federation_info
"""

EXAMPLES = r"""
- name: Read the bundle of the partner's server
  trustmesh.spiffe.spire_bundle_info:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/partner.kubeconfig
    federated: false
  register: partner

- name: Federate with the partner, and go on when its bundle is fresh
  trustmesh.spiffe.spire_federation:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
    relationships:
      - trust_domain: partner.example
        bundle_endpoint_url: https://192.0.2.10:8443
        bundle_endpoint_profile: https_spiffe
        endpoint_spiffe_id: spiffe://partner.example/spire/server
        bundle: "{{ partner.bundle.spiffe }}"
    refresh: true

- name: The same, with a bundle that was read just now, until both sides hold the same authorities
  trustmesh.spiffe.spire_federation:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
    relationships:
      - trust_domain: partner.example
        bundle_endpoint_url: https://192.0.2.10:8443
        bundle_endpoint_profile: https_spiffe
        endpoint_spiffe_id: spiffe://partner.example/spire/server
        bundle: "{{ partner.bundle.spiffe }}"
    update_bundles: true
    healthy_timeout: 60

- name: Federate with a trust domain that publishes its bundle on a web site
  trustmesh.spiffe.spire_federation:
    relationships:
      - trust_domain: supplier.example
        bundle_endpoint_url: https://supplier.example/bundle.json
        bundle_endpoint_profile: https_web

- name: Federate with it no longer
  trustmesh.spiffe.spire_federation:
    relationships:
      - trust_domain: supplier.example
    state: absent
    delete_bundles: true
"""

RETURN = r"""
relationships:
  description: The relationships as they are afterwards, or would be in check mode. Empty with O(state=absent).
  type: list
  elements: dict
  returned: success
  contains:
    trust_domain:
      description: The other trust domain.
      type: str
      returned: always
    bundle_endpoint_url:
      description: Where its bundle is fetched from.
      type: str
      returned: always
    bundle_endpoint_profile:
      description: V(https_web) or V(https_spiffe).
      type: str
      returned: always
    endpoint_spiffe_id:
      description: The SPIFFE ID that the endpoint must show, or none with V(https_web).
      type: str
      returned: always
actions:
  description:
    - What was done, or would be done in check mode, in order. When a change failed, only what was done.
    - A refresh is listed whether it brings something new or not.
  type: list
  elements: dict
  returned: success, and when a change failed
  sample:
    - {"verb": "set_bundle", "id": "partner.example"}
    - {"verb": "create", "id": "partner.example"}
    - {"verb": "refresh", "id": "partner.example"}
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.run import (
    run,
    spec,
)


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_bundle_info
short_description: Read the trust bundles of a SPIRE server
version_added: "0.1.0"
description:
  - Returns the authorities that the server trusts and publishes now, for whoever must pin them, and the bundles of
    other trust domains that it holds.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_spire
  - trustmesh.spiffe.attributes.info_module
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.kubectl
options:
  federated:
    description:
      - Whether to read the bundles of other trust domains too.
    type: bool
    default: true
requirements:
  - Python package cryptography 45 or later, where the module runs
seealso:
  - module: trustmesh.spiffe.spire_bundle
  - module: trustmesh.spiffe.spire_federation_info
"""

EXAMPLES = r"""
- name: Read the trust bundle
  trustmesh.spiffe.spire_bundle_info:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
  register: result

- name: Pin it
  ansible.builtin.copy:
    content: "{{ result.bundle.pem }}"
    dest: /etc/spire/agent/bundle.crt
    mode: "0644"

- name: Read only the bundle of the server's own trust domain
  trustmesh.spiffe.spire_bundle_info:
    federated: false
  register: own
"""

RETURN = r"""
bundle:
  description: The bundle of the server's own trust domain. It holds no secret.
  type: dict
  returned: success
  contains:
    trust_domain:
      description: The trust domain.
      type: str
      returned: always
    pem:
      description: All X.509 authorities as PEM, one after the other.
      type: str
      returned: always
    trusted_pem:
      description:
        - The X.509 authorities that are not tainted, as PEM. Whoever begins to trust this trust domain begins with
          these. A tainted one is in the bundle only until everybody has renewed.
      type: str
      returned: always
    spiffe:
      description: The whole bundle in SPIFFE's JSON form, as text. JWT authorities, sequence and hint are part of it.
      type: str
      returned: always
    sequence_number:
      description:
        - The number of this version of the bundle. V(0) when the server knows none.
        - SPIRE keeps none of a bundle that it fetched from a bundle endpoint.
      type: int
      returned: always
    refresh_hint:
      description: After how many seconds to look for a newer bundle. V(0) when there is no hint.
      type: int
      returned: always
    x509_authorities:
      description: The X.509 authorities, the oldest first.
      type: list
      elements: dict
      returned: always
      contains:
        sha256:
          description: The fingerprint, the SHA-256 digest of the certificate in DER form.
          type: str
          returned: always
        subject:
          description: The subject, as RFC 4514 writes it.
          type: str
          returned: always
        not_before:
          description: From when on it is valid.
          type: str
          returned: always
          sample: "2026-11-21T12:30:29Z"
        not_after:
          description: Until when it is valid.
          type: str
          returned: always
          sample: "2026-11-22T12:30:39Z"
        tainted:
          description: Whether the server calls it tainted. It tells so of its own authorities only.
          type: bool
          returned: always
    jwt_authorities:
      description: The JWT authorities, by key id.
      type: list
      elements: dict
      returned: always
      contains:
        key_id:
          description: The key id.
          type: str
          returned: always
        sha256:
          description: The SHA-256 digest of the public key in DER form.
          type: str
          returned: always
        expires_at:
          description: When it expires, in seconds since 1970. V(0) when the server does not know.
          type: int
          returned: always
        tainted:
          description: Whether the server calls it tainted.
          type: bool
          returned: always
    expiry:
      description: When the first and the last of the X.509 authorities expire.
      type: dict
      returned: always
      contains:
        earliest:
          description: When the first one expires.
          type: str
          returned: always
          sample: "2026-11-22T12:30:39Z"
        latest:
          description: When the last one expires. From then on nothing of the trust domain can be believed.
          type: str
          returned: always
          sample: "2026-11-22T12:30:39Z"
federated_bundles:
  description: The bundles of other trust domains, by trust domain. Each is in the form of RV(bundle).
  type: list
  elements: dict
  returned: when O(federated=true)
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.info import (
    run,
    spec,
)


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

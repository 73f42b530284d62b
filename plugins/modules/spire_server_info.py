#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_server_info
short_description: Read the version, health, authorities and counts of a SPIRE server
version_added: "0.1.0"
description:
  - Tells what a SPIRE server is and what it holds, in a few short calls that are made side by side.
  - A server that cannot be reached is a failure. With O(wait_timeout) the module waits for one that is starting.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_spire
  - trustmesh.spiffe.attributes.info_module
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.kubectl
requirements:
  - Python package cryptography 45 or later, where the module runs
seealso:
  - module: trustmesh.spiffe.spire_authority
  - module: trustmesh.spiffe.spire_bundle_info
"""

EXAMPLES = r"""
- name: Read what the server is
  trustmesh.spiffe.spire_server_info:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
    wait_timeout: 60
  register: blue

- name: Refuse to go on with a server that lets a join token be used twice
  ansible.builtin.assert:
    that: blue.server.version is version('1.14.6', '>=')
    fail_msg: "SPIRE {{ blue.server.version }} has a race in its join tokens. Update it to 1.14.6 or later."
"""

RETURN = r"""
server:
  description: The server. It holds no secret.
  type: dict
  returned: success
  contains:
    version:
      description: The version of the program O(binary), which in a pod is the server's own.
      type: str
      returned: always
      sample: 1.15.3
    trust_domain:
      description: The trust domain.
      type: str
      returned: always
      sample: example.org
    healthy:
      description: Whether the server says that it is healthy.
      type: bool
      returned: always
    health:
      description: The server's words about its health.
      type: str
      returned: always
      sample: Server is healthy.
    agents:
      description: How many agents it knows, the expired and banned ones too.
      type: int
      returned: always
    entries:
      description: How many registration entries it holds.
      type: int
      returned: always
    federated_bundles:
      description: How many bundles of other trust domains it holds.
      type: int
      returned: always
    federation_relationships:
      description: How many federation relationships it holds. Those in its configuration file are not among them.
      type: int
      returned: always
    bundle_sequence_number:
      description: The number of this version of its own bundle.
      type: int
      returned: always
    bundle_refresh_hint:
      description: After how many seconds others should read its bundle again. V(0) when it gives no hint.
      type: int
      returned: always
    ca_expires_at:
      description: When the CA that signs X509-SVIDs now expires, in seconds since 1970. The server renews it in time.
      type: int
      returned: always
      sample: 1795350722
    upstream_authority:
      description: Whether an upstream authority signs the server's CA.
      type: bool
      returned: always
    authorities:
      description:
        - The authorities that the server signs with, under C(x509) and C(jwt), each with C(active) and as the case may
          be C(prepared) and C(old). C(jwt) is empty when the server signs no JWT-SVIDs.
      type: dict
      returned: always
      contains:
        x509:
          description: The X.509 authorities.
          type: dict
          returned: always
          contains:
            active:
              description: The one that signs now. C(prepared) and C(old) have the same fields.
              type: dict
              returned: always
              contains:
                authority_id:
                  description: Its id, which for X.509 is its subject key id.
                  type: str
                  returned: always
                  sample: b27e0aac27aa045aaa48f150d92e080ba58eda5a
                expires_at:
                  description: When it expires, in seconds since 1970.
                  type: int
                  returned: always
                upstream_authority_id:
                  description: The subject key id of the upstream authority that signed it, or empty.
                  type: str
                  returned: always
                status:
                  description: V(active), V(prepared), V(old), V(tainted) or V(revoked).
                  type: str
                  returned: always
        jwt:
          description: The JWT authorities, in the same form.
          type: dict
          returned: always
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.server.info import run, spec


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_federation_info
short_description: Read the federation relationships of a SPIRE server and their health
version_added: "0.1.0"
description:
  - Returns each relationship with the bundle that the server holds, and, when asked, compares that with what the bundle
    endpoint serves now.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_spire
  - trustmesh.spiffe.attributes.info_module
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.kubectl
options:
  trust_domains:
    description:
      - Only the relationships with these trust domains. All when it is not given.
    type: list
    elements: str
  probe:
    description:
      - Whether to ask the bundle endpoints, from the target host, and compare.
      - An endpoint is believed only as its profile says. V(https_web) takes the authorities that Python trusts on the
        target host; the environment variable E(SSL_CERT_FILE) names others. V(https_spiffe) takes the SPIFFE ID and the
        bundle that the server holds.
    type: bool
    default: false
  probe_timeout:
    description:
      - Seconds that one endpoint may take, from V(1).
    type: int
    default: 5
requirements:
  - Python package cryptography 45 or later, where the module runs
notes:
  - Relationships in the server's own configuration file are not shown by the server.
seealso:
  - module: trustmesh.spiffe.spire_federation
"""

EXAMPLES = r"""
- name: Read all relationships, and see whether their bundles are those that are served now
  trustmesh.spiffe.spire_federation_info:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
    probe: true
  register: federation

- name: All must be healthy
  ansible.builtin.assert:
    that: federation.relationships | rejectattr('health', 'eq', 'healthy') | length == 0
    fail_msg: "{{ federation.relationships | map(attribute='error') | select }}"
"""

RETURN = r"""
relationships:
  description: The relationships, by trust domain.
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
    health:
      description:
        - V(healthy) when the endpoint serves the authorities that the server holds.
        - V(bundles_differ) when it serves others. The server takes them over at its next refresh.
        - V(unreachable) when the endpoint gave no bundle, or is not believed. RV(relationships[].error) says why.
        - V(no_bundle) when the server holds no bundle of the trust domain.
        - V(expired) when the server holds one without any X.509 authority that is valid now.
        - V(not_probed) when it holds a valid bundle, and O(probe) is not set.
      type: str
      returned: always
      sample: healthy
    error:
      description: What is wrong, and what to do. None when nothing is.
      type: str
      returned: always
    age:
      description:
        - Seconds since the youngest X.509 authority that the server holds became valid, or none without a bundle. The
          server does not tell when it last asked the endpoint; its bundle is from some time after that moment.
      type: int
      returned: always
    served_bundle:
      description: The bundle that the endpoint serves now, in the form of RV(relationships[].bundle), or none.
      type: dict
      returned: always
    bundle:
      description:
        - The bundle that the server holds, or none.
        - It is in the form of RV(trustmesh.spiffe.spire_bundle_info#module:bundle), without its
          C(pem), C(trusted_pem) and C(spiffe).
      type: dict
      returned: always
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.info import (
    run,
    spec,
)


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: spire_bundle_info
short_description: Read the trust bundle of a SPIRE server
version_added: "0.1.0"
description:
  - Returns the X.509 authorities that the server trusts and publishes now, for whoever must pin them.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.info_module
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.kubectl
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
"""

RETURN = r"""
bundle:
  description: The bundle. It holds no secret.
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
    sequence_number:
      description: The number of this version of the bundle.
      type: int
      returned: always
    refresh_hint:
      description: After how many seconds to look again. V(0) when the server gives no hint.
      type: int
      returned: always
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.info import run_bundle_info


def main() -> None:
    run_module(spire_spec(), run_bundle_info)


if __name__ == "__main__":
    main()

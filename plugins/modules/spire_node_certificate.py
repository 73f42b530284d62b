#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_node_certificate
short_description: Keep the certificate by which a node attests to a SPIRE server
version_added: "0.1.0"
description:
  - Makes a key and a certificate for a node, with which its SPIRE agent attests by C(x509pop), in a folder where the
    module runs.
  - It is signed by a CA that is made here, or minted by the SPIRE server itself.
  - Keys are in folders of mode 0700, in files of mode 0600. They are in no argument, no result, no diff and no message.
  - The certificate is made anew when half of its life is over, when it is for another node, or when the CA is another
    one.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_spire
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.kubectl
requirements:
  - Python package cryptography 45 or later, where the module runs
attributes:
  check_mode:
    support: full
    details:
      - What is not made yet is not known. C((new\)) stands for it.
  diff_mode:
    support: full
    details:
      - Shows names, serial number and end of the certificate, and nothing else of it.
  idempotent:
    support: full
options:
  path:
    description:
      - The folder of the node, absolute. It is made with mode 0700. Certificate and key are C(current/tls.crt) and
        C(current/tls.key) below it.
    type: path
    required: true
  mode:
    description:
      - Who signs, as SPIRE's plugin C(x509pop) calls it. V(external_pki) is the CA in O(ca_path), V(spiffe) the SPIRE
        server, which needs no CA for it and signs for no longer than its own CA lives.
    type: str
    choices:
      - external_pki
      - spiffe
    default: external_pki
  trust_domain:
    description:
      - The trust domain that the node is to be in.
    type: str
    required: true
  name:
    description:
      - The node. With O(mode=external_pki) it is the common name, by which SPIRE selects it as
        C(x509pop:subject:cn:NAME).
    type: str
    required: true
  ca_path:
    description:
      - The folder of the CA, absolute, for O(mode=external_pki). It is made with mode 0700, and the CA in it when there
        is none. Its certificate is C(current/ca.crt) below it, which the server needs.
    type: path
  spiffe_id:
    description:
      - The SPIFFE ID in the certificate, for O(mode=spiffe). The server wants its path below C(/spire-exchange/), if it
        was not told otherwise.
    type: str
  valid_days:
    description:
      - The life of the certificate, from V(1) to V(3650). It does not outlive the CA that has signed it.
    type: int
    default: 365
  ca_valid_days:
    description:
      - The life of a CA that is made here, from V(1) to V(3650).
    type: int
    default: 1825
notes:
  - The connection to the server is for O(mode=spiffe) alone.
seealso:
  - module: trustmesh.spiffe.spire_join_token
"""

EXAMPLES = r"""
- name: A certificate for a machine, by a CA that is made here
  trustmesh.spiffe.spire_node_certificate:
    path: /var/lib/trustmesh/machines/vm1
    ca_path: /var/lib/trustmesh/machines-ca
    trust_domain: example.org
    name: vm1

- name: A certificate for a machine, minted by the server
  trustmesh.spiffe.spire_node_certificate:
    path: /var/lib/trustmesh/machines/vm2
    mode: spiffe
    trust_domain: example.org
    name: vm2
    spiffe_id: spiffe://example.org/spire-exchange/vm2
"""

RETURN = r"""
node_certificate:
  description: The certificate. It has no secret.
  type: dict
  returned: success
  contains:
    common_name:
      description: The common name in it.
      type: str
      returned: when it is there
    spiffe_ids:
      description: The SPIFFE IDs in it.
      type: list
      elements: str
      returned: when it is there
    serial_number:
      description: Its serial number, hexadecimal, or C((new\)) when check mode would make it.
      type: str
      returned: always
    expires_at:
      description: When it ends, in seconds since 1970.
      type: int
      returned: when it is there
    seconds_left:
      description: In how many seconds that is.
      type: int
      returned: when it is there
ca:
  description: The CA in O(ca_path), without its key. Empty when there is none yet, and with O(mode=spiffe).
  type: dict
  returned: success
  contains:
    certificate:
      description: Its certificate as PEM.
      type: str
      returned: when it is there
    fingerprint:
      description: The SHA-1 of it, as in the selector C(x509pop:ca:fingerprint).
      type: str
      returned: when it is there
    not_after:
      description: When it ends.
      type: str
      returned: when it is there
reason:
  description: Why a certificate was made, or would be in check mode, or why not.
  type: str
  returned: success
  sample: the certificate is there
actions:
  description: What was done, or would be done in check mode, in order.
  type: list
  elements: dict
  returned: success
  sample: [{"verb": "make_ca", "id": ""}, {"verb": "issue", "id": ""}]
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.node_certificate.run import (
    run,
    spec,
)


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

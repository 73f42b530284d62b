#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_svid
short_description: Keep an X.509 or JWT SVID in files
version_added: "0.1.0"
description:
  - Has a SPIRE server mint an SVID, without any workload or registration entry, or fetches one from the Workload API of
    an agent, and keeps it in a folder.
  - Keys and JWT-SVIDs are in files of mode 0600, and nowhere else. They are in no argument, no result, no diff and no
    message.
  - The SVID is made anew when little of its life is left, when it is for another SPIFFE ID, other DNS names or another
    audience, when the authority that signed it is not trusted any more, and when its files are missing, do not fit
    together, or could be read by others.
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
      - Nothing is minted. What is not made yet is not known; C((new\)) stands for it.
  diff_mode:
    support: full
    details:
      - Shows what an SVID says of itself, and nothing that is secret.
  idempotent:
    support: full
options:
  type:
    description:
      - V(x509) is an X509-SVID with its key and the trust bundle, V(jwt) a JWT-SVID.
    type: str
    choices:
      - x509
      - jwt
    default: x509
  source:
    description:
      - V(server) has the server mint it, by O(binary) and O(socket_path). Whoever may do that may be anybody in the
        trust domain, so it is for what no agent can attest.
      - V(workload_api) fetches it from an agent, by O(agent_binary) and O(agent_socket_path), on the target host or in
        O(pod). The agent attests that program, so its user, or its pod, needs a registration entry. The agent renews
        the SVID by itself, and the task takes the newer one.
    type: str
    choices:
      - server
      - workload_api
    default: server
  spiffe_id:
    description:
      - The SPIFFE ID. Required with O(source=server).
      - With O(source=workload_api) it chooses one of several; without it the first is taken, which is the default one.
    type: str
  path:
    description:
      - The folder of the SVID, absolute, for it alone. It is made with mode 0700.
      - An X509-SVID is C(current/svid.pem) (the chain, leaf first), C(current/svid.key) (PKCS 8) and
        C(current/bundle.pem) in it, a JWT-SVID C(current/svid.jwt). C(current) is a link, replaced at one moment.
      - Required with O(source=server). With O(source=workload_api) and without it nothing is written, and the task only
        tells what the caller gets.
    type: path
  owner:
    description:
      - The user, by name or number, to whom the files belong. Others than the user who runs the module need root, and
        the folders are then of mode 0711, so that the user gets to the files.
    type: str
  ttl:
    description:
      - Seconds that a minted SVID is valid. V(0) means the server's default. No SVID outlives the authority that
        signs it.
    type: int
    default: 0
  dns_names:
    description:
      - DNS names for a minted X509-SVID. The first one also becomes its common name.
    type: list
    elements: str
    default: []
  audience:
    description:
      - Who is to believe a JWT-SVID. Required with O(type=jwt).
    type: list
    elements: str
  renew_before:
    description:
      - Seconds of life that must be left. The SVID is made anew when it has less.
      - Without it, when half of its life is over.
    type: int
  agent_binary:
    description:
      - The spire-agent program for O(source=workload_api). The default is C(spire-agent), looked up on PATH, or
        C(/opt/spire/bin/spire-agent) in a pod.
    type: str
  agent_socket_path:
    description:
      - The absolute path of the agent's socket, as the place where O(agent_binary) runs sees it.
    type: str
    default: /tmp/spire-agent/public/api.sock
notes:
  - With O(source=workload_api), O(wait_timeout) also waits for an identity that the agent does not have yet.
  - In a container of SPIRE's published image only the agent itself has the program, so that C(pod) with an agent's pod
    tells who that pod is, and nothing about others.
  - What holds the files open reads the old ones until it opens them again.
seealso:
  - module: trustmesh.spiffe.spire_entry
  - module: trustmesh.spiffe.spire_node_certificate
"""

EXAMPLES = r"""
- name: Keep an identity for a database that no agent can attest
  trustmesh.spiffe.spire_svid:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
    spiffe_id: spiffe://example.org/db/orders
    dns_names: [orders.db.example.org]
    path: /var/lib/trustmesh/orders
    ttl: 86400

- name: Keep a token for a pipeline
  trustmesh.spiffe.spire_svid:
    type: jwt
    spiffe_id: spiffe://example.org/pipeline/release
    audience: [https://vault.example.org]
    path: /var/lib/trustmesh/release
    ttl: 3600
    renew_before: 1800

- name: Tell who this user is to the agent of this host
  trustmesh.spiffe.spire_svid:
    source: workload_api
    agent_socket_path: /run/spire/agent.sock
    wait_timeout: 30
  register: me
"""

RETURN = r"""
svid:
  description:
    - What the SVID says of itself. Empty in check mode when it would be made anew.
  type: dict
  returned: success
  contains:
    type:
      description: C(x509) or C(jwt).
      type: str
      returned: success
    spiffe_id:
      description: The SPIFFE ID.
      type: str
      returned: success
      sample: spiffe://example.org/db/orders
    serial_number:
      description: The serial number of an X509-SVID, hexadecimal.
      type: str
      returned: success
    not_before:
      description: Since when it is valid, in seconds since 1970.
      type: int
      returned: success
    expires_at:
      description: Until when it is valid, in seconds since 1970.
      type: int
      returned: success
    seconds_left:
      description: How long that is.
      type: int
      returned: success
    dns_names:
      description: The DNS names of an X509-SVID.
      type: list
      elements: str
      returned: success
    chain:
      description: The certificates of an X509-SVID, the leaf first.
      type: list
      elements: dict
      returned: success
      contains:
        subject:
          description: Its name.
          type: str
          returned: always
        issuer:
          description: The name of who signed it.
          type: str
          returned: always
        serial_number:
          description: Its serial number, hexadecimal.
          type: str
          returned: always
        expires_at:
          description: Until when it is valid, in seconds since 1970.
          type: int
          returned: always
    audience:
      description: The audience of a JWT-SVID, sorted.
      type: list
      elements: str
      returned: success
    key_id:
      description: The JWT authority that signed a JWT-SVID.
      type: str
      returned: success
path:
  description: The folder, null without one.
  type: str
  returned: success
reason:
  description: Why it was made anew, or why not.
  type: str
  returned: success
  sample: half of its life is over
actions:
  description: What was done, or would be done in check mode. The verb is C(renew) or C(write_bundle).
  type: list
  elements: dict
  returned: success
  sample: [{"verb": "renew", "id": "spiffe://example.org/db/orders"}]
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.svid.run import run, spec


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

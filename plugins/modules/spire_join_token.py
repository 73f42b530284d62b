#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_join_token
short_description: Mint a SPIRE join token for a node that has not joined yet
version_added: "0.1.0"
description:
  - A join token lets one agent join a SPIRE server, once. Minting always makes a new one, so this module asks first
    who lives under the alias O(spiffe_id), and mints only when no living agent does.
  - A living agent is one that is attested, not banned and not expired. An expired agent under the alias is evicted
    before minting, since it can never come back by itself.
  - Several nodes need an alias each.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.kubectl
attributes:
  check_mode:
    support: full
    details:
      - Mints nothing, evicts nothing and writes nothing, but tells whether it would.
  diff_mode:
    support: full
    details:
      - The token is never part of the diff.
  idempotent:
    support: partial
    details:
      - Once the agent has joined nothing changes. As long as it has not, each run mints a new token.
      - With O(force=true) each run mints.
options:
  spiffe_id:
    description:
      - The alias that the node's agent gets beside its own SPIFFE ID. Entries of the node's workloads name it as their
        parent.
    type: str
    required: true
  ttl:
    description:
      - Seconds in which the token must be used.
    type: int
    default: 600
  dest:
    description:
      - A file for the token, for the agent's C(join_token_file). It is written with mode 0600 and replaced as a whole.
        Its folder must exist.
      - An existing file is not touched as long as no token is minted.
    type: path
  force:
    description:
      - Says that the identity of the agent was lost, for instance because its data folder is gone. The agents of the
        alias are evicted, living ones too, and a token is minted.
      - Also needed when the agent was banned, since a token lets its node in again. The banned agent stays banned.
    type: bool
    default: false
notes:
  - Without O(dest) the token is returned as RV(token). Put C(no_log=true) on the task then. The module cannot hide the
    value by itself without taking it from the tasks that follow.
  - With O(dest) no output of the module holds the token.
  - The token becomes part of the agent's SPIFFE ID. Wherever this module shows such an id, a digest stands in place of
    the token.
seealso:
  - module: trustmesh.spiffe.spire_entry
"""

EXAMPLES = r"""
- name: Mint a token for the green node, unless it has joined already
  trustmesh.spiffe.spire_join_token:
    pod: statefulset/spire-server
    kubeconfig: build/blue/kubeconfig
    spiffe_id: spiffe://example.org/node/green
  register: green_token
  no_log: true

- name: Write a token for an agent of this host
  trustmesh.spiffe.spire_join_token:
    spiffe_id: spiffe://example.org/node/vm1
    ttl: 120
    dest: /etc/spire/agent/join_token
"""

RETURN = r"""
token:
  description: The token. A secret until it is used.
  type: str
  returned: when a token was minted and O(dest) is not given
expires_at:
  description: When the token expires, in seconds since 1970.
  type: int
  returned: when a token was minted
  sample: 1795253021
reason:
  description: Why a token was minted, or would be in check mode, or why not.
  type: str
  returned: success
  sample: no attested agent holds the alias
agent:
  description: The agent that was found under the alias before anything was done.
  type: dict
  returned: success
  contains:
    state:
      description: One of V(alive), V(expired), V(banned), V(absent).
      type: str
      returned: always
      sample: alive
    id:
      description: Its SPIFFE ID, with a digest in place of the token.
      type: str
      returned: unless absent
      sample: spiffe://example.org/spire/agent/join_token/sha256:ba7816bf8f01cfea
    attestation_type:
      description: How it was attested.
      type: str
      returned: unless absent
      sample: join_token
    expires_at:
      description: When its SVID expires, in seconds since 1970.
      type: int
      returned: unless absent
dest:
  description: The file for the token.
  type: str
  returned: when O(dest) is given
actions:
  description: What was done, or would be done in check mode, in order.
  type: list
  elements: dict
  returned: success
  sample: [{"verb": "mint", "id": "", "spiffe_id": "spiffe://example.org/node/green"}]
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.run import (
    join_token_spec,
    run_join_token,
)


def main() -> None:
    run_module(join_token_spec(), run_join_token)


if __name__ == "__main__":
    main()

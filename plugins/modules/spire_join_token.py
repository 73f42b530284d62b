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
  - Many nodes are looked after in one task with O(tokens). The server is read once for all of them.
  - A living agent is one that is attested, not banned and not expired. An expired agent under the alias is evicted
    before minting, since it can never come back by itself.
  - Several nodes need an alias each. An alias that a workload, a node alias or an agent of another attestation has
    already is refused.
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
      - Mints nothing, evicts nothing and writes nothing, but tells whether it would.
  diff_mode:
    support: full
    details:
      - The token is never part of the diff.
  idempotent:
    support: partial
    details:
      - Once the agent has joined nothing changes. Until then nothing changes either, as long as the token in O(dest)
        has half of its O(ttl) left.
      - Without O(dest) each run mints until the agent has joined.
      - With O(force=true) each run mints.
options:
  spiffe_id:
    description:
      - The alias that the node's agent gets beside its own SPIFFE ID. Entries of the node's workloads name it as their
        parent.
      - Either this or O(tokens) must be given.
    type: str
  ttl:
    description:
      - Seconds in which the token must be used, from V(1) to V(2147483647).
    type: int
    default: 600
  dest:
    description:
      - A file for the token, for the agent's C(join_token_file). It is written with mode 0600 and replaced as a whole.
        Its folder must exist.
      - An existing file is not touched as long as no token is minted.
      - The file's time of modification is set to the time when the token expires. By that and by the entry that the
        server keeps for each token, a later run knows that the token in it was minted for this alias, is not used, and
        is good.
    type: path
  tokens:
    description:
      - The nodes, where there are many. Each needs its own alias, and its own file if any.
    type: list
    elements: dict
    suboptions:
      spiffe_id:
        description:
          - As O(spiffe_id).
        type: str
        required: true
      dest:
        description:
          - As O(dest).
        type: path
      ttl:
        description:
          - As O(ttl), which is taken where this is not given.
        type: int
      force:
        description:
          - As O(force), which is taken where this is not given.
        type: bool
  force:
    description:
      - Says that the identity of the agent was lost, for instance because its data folder is gone. The agents of the
        alias are evicted, living ones too, and a token is minted.
      - Also needed when the agent was banned, since a token lets its node in again. The banned agent stays banned.
    type: bool
    default: false
notes:
  - Without O(dest) the token is returned as RV(token), or in RV(tokens). Put C(no_log=true) on the task then. The
    module cannot hide the value by itself without taking it from the tasks that follow.
  - With O(dest) no output of the module holds the token.
  - The token becomes part of the agent's SPIFFE ID. Wherever this module shows such an id, a digest stands in place of
    the token. M(trustmesh.spiffe.spire_agent) takes that id.
  - The server keeps an entry for each token, also for one that is never used. Those of this alias that are older than a
    day, and than twice O(ttl), are deleted when a token is minted.
  - Before SPIRE 1.14.6 two agents that join at the same moment can both use one token. Use a later server.
seealso:
  - module: trustmesh.spiffe.spire_entry
  - module: trustmesh.spiffe.spire_agent
"""

EXAMPLES = r"""
- name: Mint a token for the green node, unless it has joined already
  trustmesh.spiffe.spire_join_token:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
    spiffe_id: spiffe://example.org/node/green
  register: green_token
  no_log: true

- name: Write a token for an agent of this host
  trustmesh.spiffe.spire_join_token:
    spiffe_id: spiffe://example.org/node/vm1
    ttl: 120
    dest: /etc/spire/agent/join_token

- name: Write tokens for all nodes that have not joined
  trustmesh.spiffe.spire_join_token:
    tokens:
      - spiffe_id: spiffe://example.org/node/vm2
        dest: build/tokens/vm2
      - spiffe_id: spiffe://example.org/node/vm3
        dest: build/tokens/vm3
        ttl: 3600
"""

RETURN = r"""
token:
  description: The token. A secret until it is used.
  type: str
  returned: when a token was minted, and neither O(dest) nor O(tokens) is given
expires_at:
  description: When the token expires, in seconds since 1970.
  type: int
  returned: when a token was minted, and O(tokens) is not given
  sample: 1795253021
spiffe_id:
  description: The alias.
  type: str
  returned: when O(tokens) is not given
reason:
  description: Why a token was minted, or would be in check mode, or why not.
  type: str
  returned: when O(tokens) is not given
  sample: no attested agent holds the alias
agent:
  description: The agent that was found under the alias before anything was done.
  type: dict
  returned: when O(tokens) is not given
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
tokens:
  description: The same for each of O(tokens), in the order given.
  type: list
  elements: dict
  returned: when O(tokens) is given
  contains:
    token:
      description: As RV(token).
      type: str
      returned: when a token was minted and O(tokens[].dest) is not given
    expires_at:
      description: As RV(expires_at).
      type: int
      returned: when a token was minted
    spiffe_id:
      description: The alias.
      type: str
      returned: always
    reason:
      description: As RV(reason).
      type: str
      returned: always
    agent:
      description: As RV(agent).
      type: dict
      returned: always
    dest:
      description: The file for the token.
      type: str
      returned: when O(tokens[].dest) is given
actions:
  description: What was done, or would be done in check mode, in order. When a change failed, only what was done.
  type: list
  elements: dict
  returned: success, and when a change failed
  sample: [{"verb": "mint", "id": "", "spiffe_id": "spiffe://example.org/node/green"}]
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.run import (
    run,
    spec,
)


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

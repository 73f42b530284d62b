#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_agent
short_description: Evict, ban or purge agents of a SPIRE server
version_added: "0.1.0"
description:
  - Makes the server forget agents, or refuse them from now on, or forget those that expired long ago.
  - The agents are named by id, by alias or by their selectors.
  - The server is read once, the changes are worked out from that, and check mode and diff show exactly these changes.
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
  idempotent:
    support: full
    details:
      - An evicted agent that can attest again does so within seconds. The next run then evicts it anew. Use
        O(state=banned) to keep it out.
options:
  state:
    description:
      - V(evicted) makes the server forget the agents. Their SVIDs are refused at once. An agent that joined by token
        needs a new token to come back, another one attests again by itself.
      - V(banned) makes the server refuse the agents, also when they attest again, until they are evicted.
      - V(purged) makes the server forget agents whose SVIDs expired more than O(expired_for) seconds ago. Agents that
        can attest again and agents that joined by token are purged. Banned agents are kept, and so are agents whose
        attestation is trusted on first use, since forgetting those would let a stranger in under the same name.
    type: str
    choices:
      - evicted
      - banned
      - purged
    required: true
  spiffe_ids:
    description:
      - The SPIFFE IDs of agents. The id of an agent that joined by token can be given as
        M(trustmesh.spiffe.spire_agent_info) and M(trustmesh.spiffe.spire_join_token) show it, with a digest in place of
        the token.
    type: list
    elements: str
  aliases:
    description:
      - Aliases of agents, such as C(spiffe://example.org/node/green). A node alias means every agent that holds it.
    type: list
    elements: str
  selectors:
    description:
      - Selectors, as C(type:value). Agents that have all of them are meant.
    type: list
    elements: str
  attestation_type:
    description:
      - Of the agents that are meant only those that were attested in this way, such as V(join_token).
    type: str
  expired_for:
    description:
      - Seconds since an agent's SVID has expired, from V(0), for O(state=purged). The default is 30 days.
    type: int
    default: 2592000
  lift_ban:
    description:
      - Says that O(state=evicted) may forget agents that are banned, which lifts the ban. Without it they are refused.
    type: bool
    default: false
notes:
  - O(spiffe_ids), O(aliases) and O(selectors) add up. V(evicted) and V(banned) need one of them, and an empty list is
    refused, so that a template that found nothing does not mean every agent.
  - An agent that the server does not know is evicted already. It cannot be banned, so that is a failure.
seealso:
  - module: trustmesh.spiffe.spire_agent_info
  - module: trustmesh.spiffe.spire_join_token
"""

EXAMPLES = r"""
- name: Forget the agent of a node that is gone
  trustmesh.spiffe.spire_agent:
    state: evicted
    aliases: ["spiffe://example.org/node/green"]

- name: Keep a stolen node out
  trustmesh.spiffe.spire_agent:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
    state: banned
    spiffe_ids: ["spiffe://example.org/spire/agent/k8s_psat/blue/7d1f0c5e-7f0e-4f8b-9d4b-2c9a8f0f6b11"]

- name: Forget agents that expired more than a day ago
  trustmesh.spiffe.spire_agent:
    state: purged
    expired_for: 86400
"""

RETURN = r"""
agents:
  description:
    - The agents that were meant, as they were before the task. With O(state=purged) only those that are purged.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: Its SPIFFE ID. The id of an agent that joined by token has a digest in place of the token.
      type: str
      returned: always
      sample: spiffe://example.org/spire/agent/join_token/sha256:ba7816bf8f01cfea
    attestation_type:
      description: How it was attested.
      type: str
      returned: always
      sample: join_token
    aliases:
      description: The other SPIFFE IDs that registration entries give to it, sorted.
      type: list
      elements: str
      returned: always
      sample: ["spiffe://example.org/node/green"]
    banned:
      description: Whether the server refused it.
      type: bool
      returned: always
    can_reattest:
      description: Whether it can attest again by itself.
      type: bool
      returned: always
    expires_at:
      description: When its SVID expires, in seconds since 1970.
      type: int
      returned: always
      sample: 1795253021
    serial_number:
      description: The serial number of its SVID. Empty when it was banned.
      type: str
      returned: always
    selectors:
      description: What its attestation proved, sorted.
      type: list
      elements: str
      returned: always
    version:
      description: The version of the agent. Empty when it did not tell.
      type: str
      returned: always
actions:
  description: What was done, or would be done in check mode, in order. When a change failed, only what was done.
  type: list
  elements: dict
  returned: success, and when a change failed
  sample: [{"verb": "evict", "id": "spiffe://example.org/spire/agent/join_token/sha256:ba7816bf8f01cfea"}]
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.run import run, spec


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_agent_info
short_description: Read the agents that a SPIRE server knows
version_added: "0.1.0"
description:
  - Returns the agents that have attested, the expired and the banned ones too, with the aliases that they hold.
  - An agent is returned when it passes all filters. Without filters all are.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_spire
  - trustmesh.spiffe.attributes.info_module
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.kubectl
options:
  spiffe_ids:
    description:
      - Agents of these SPIFFE IDs. An id as RV(agents[].id) shows it is as good as the real one.
    type: list
    elements: str
  aliases:
    description:
      - Agents that hold one of these SPIFFE IDs as an alias.
    type: list
    elements: str
  read_aliases:
    description:
      - Whether to read the registration entries too, which say who holds which alias. On a server with many of them
        that is most of the work.
      - With V(false) RV(agents[].aliases) is empty, and O(aliases) is refused.
    type: bool
    default: true
  attestation_type:
    description:
      - Agents that this node attestor attested, such as V(join_token), V(k8s_psat) or V(x509pop).
    type: str
  banned:
    description:
      - V(true) means agents that are banned, V(false) agents that are not.
    type: bool
  can_reattest:
    description:
      - V(true) means agents that can attest again after they are evicted, V(false) agents that cannot, such as those
        that joined by token.
    type: bool
  expires_before:
    description:
      - Agents whose SVID expires before this time, in seconds since 1970.
    type: int
  selectors:
    description:
      - Selectors to compare the agent's selectors with, as C(type:value).
    type: list
    elements: str
  selectors_match:
    description:
      - How the agent's selectors relate to O(selectors).
      - V(exact) means the same set, V(superset) an agent that has all of them and perhaps more, V(subset) one that has
        no others, V(any) one that has at least one of them.
    type: str
    choices:
      - exact
      - any
      - superset
      - subset
    default: superset
notes:
  - The id of an agent that joined by token holds the token. It is used up, yet it is never shown, since nobody can tell
    it from one that is not. A digest stands in its place, and that id is accepted by O(spiffe_ids) and by
    M(trustmesh.spiffe.spire_agent).
seealso:
  - module: trustmesh.spiffe.spire_agent
"""

EXAMPLES = r"""
- name: Read all agents
  trustmesh.spiffe.spire_agent_info:
  register: known

- name: Read the agent that holds an alias
  trustmesh.spiffe.spire_agent_info:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
    aliases: ["spiffe://example.org/node/green"]

- name: Read who is lost because it can neither renew nor attest again
  trustmesh.spiffe.spire_agent_info:
    can_reattest: false
    banned: false
    expires_before: "{{ now(utc=true).timestamp() | int }}"
"""

RETURN = r"""
agents:
  description: The agents, sorted by id.
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
      description: Whether the server refuses it.
      type: bool
      returned: always
    can_reattest:
      description: Whether it can attest again by itself after it was evicted or has expired.
      type: bool
      returned: always
    expires_at:
      description: When its SVID expires, in seconds since 1970.
      type: int
      returned: always
      sample: 1795253021
    serial_number:
      description: The serial number of its SVID. Empty when it is banned.
      type: str
      returned: always
      sample: "191334952801213185269983767084864802616"
    selectors:
      description: What its attestation proved, sorted.
      type: list
      elements: str
      returned: always
      sample: ["k8s_psat:cluster:blue"]
    version:
      description: The version of the agent. Empty when it did not tell.
      type: str
      returned: always
      sample: 1.15.3
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.info import run, spec


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

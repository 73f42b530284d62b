#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_authority
short_description: Rotate the X.509 or JWT authority of a SPIRE server by force
version_added: "0.1.0"
description:
  - A SPIRE server renews its authorities by itself, in time. This module does it now, such as after a key may have
    leaked, and makes sure that nothing which the old authority signed is trusted any more.
  - One rotation has four steps. V(prepare) makes a new key and puts it into the bundle, V(activate) signs with it from
    now on, V(taint) makes agents and workloads replace what the old one signed, V(revoke) takes the old one out of the
    bundle.
  - O(state=rotated) takes all of them in order and waits in between. The server itself tells how far a rotation is, so
    that one that was interrupted goes on where it stands when the task is run again.
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
      - The id of an authority that is not made yet is not known. It is empty in RV(actions), and C((new\)) stands for
        it in the diff, in check mode and in the run alike.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - A rotation names what must go, by O(authority_id) or O(older_than), and does nothing once that is gone.
options:
  type:
    description:
      - V(x509) is the CA that signs X509-SVIDs, V(jwt) the key that signs JWT-SVIDs.
      - V(upstream) is the upstream authority that signs the server's CA. The new key is made there, before this module
        is run; the module then makes the server take a CA of the new key, and taints and revokes the old upstream one.
    type: str
    choices:
      - x509
      - jwt
      - upstream
    default: x509
  state:
    description:
      - V(rotated) takes all steps until the authority that O(authority_id) or O(older_than) names is revoked.
      - V(prepared), V(activated), V(tainted) and V(revoked) take one step and do not wait, unless O(wait) is true, so
        that a playbook can put its own checks in between. V(prepared) does nothing when an authority is prepared
        already. The others name theirs by O(authority_id), and do nothing when it is there or further.
    type: str
    choices:
      - rotated
      - prepared
      - activated
      - tainted
      - revoked
    required: true
  authority_id:
    description:
      - The authority that the step is for. With O(state=rotated) the one that must go.
      - M(trustmesh.spiffe.spire_server_info) shows the ids. For O(type=upstream) it is the subject key id of the
        upstream authority, shown as C(upstream_authority_id).
      - An id that is neither in use nor in the bundle counts as gone.
    type: str
  older_than:
    description:
      - Seconds, from V(0). With O(state=rotated) the active authority must go when it was made longer ago, and so must
        an old one whose rotation was interrupted after V(taint).
      - Only for O(type=x509), since the server does not tell when others were made.
    type: int
  upstream_authority_id:
    description:
      - With O(type=x509) and O(state=prepared), the upstream authority that must sign what is prepared, by its subject
        key id. Nothing else counts as prepared.
      - It is prepared anew until it is so, for O(upstream_timeout), since the files of a new upstream CA may come to
        the server a moment later. A server that already signs by this upstream authority is left alone, because one
        more would take the old authority out of its slot, and then nobody could taint it.
    type: str
  upstream_timeout:
    description:
      - Seconds for which O(upstream_authority_id) is waited for.
    type: int
    default: 180
  wait:
    description:
      - With O(state=prepared), wait for O(peers), and then O(propagation), before the task ends, as long as what is
        prepared is not active.
      - With O(state=tainted), wait until each living agent uses a new SVID, for O(renewal_timeout), and then
        O(propagation), as long as the authority is not revoked.
      - So one task can take one step at several servers, and the next task begins when all of them are ready for it.
    type: bool
    default: false
  renewal_file:
    description:
      - With O(state=tainted) and O(wait=true), a file where the module runs. It remembers the serial numbers of the
        agents' SVIDs from before, so that a run after one that was interrupted knows who has renewed.
      - Its folder must exist. It may be removed when the authority is revoked.
    type: path
  propagation:
    description:
      - Seconds that O(state=rotated) waits after V(prepare), so that all agents and workloads know the new authority,
        and again before V(revoke), so that all workloads have replaced their SVIDs. With O(wait) single steps wait too.
      - The server cannot tell this. Agents ask it every 5 seconds by default and pass news on at once. Raise the value
        when agents have a longer C(sync_interval), when other trust domains federate with this one that are not among
        O(peers) (above the refresh hint of the bundle, 300 by default), and for JWT-SVIDs to their lifetime when those
        in flight must stay good.
    type: int
    default: 30
  renewal_timeout:
    description:
      - Seconds that O(state=rotated), or O(state=tainted) with O(wait), waits at most, after V(taint), until each
        living agent uses a new SVID. Not for O(type=jwt).
      - When an agent does not, such as one that is down, the task fails before V(revoke) and RV(agents_not_renewed)
        names it, since the server would refuse it from then on.
      - When the authority was tainted before the task, the module cannot know who renewed meanwhile. Each agent must
        then renew once more, which takes half of the life of its SVID.
    type: int
    default: 600
  peers:
    description:
      - SPIRE servers of other trust domains that federate with this one, one of each. The module goes on when each
        holds the new authority in its bundle of this trust domain, by its id, and no earlier.
      - With O(state=rotated) they are waited for before V(activate), for O(peer_timeout), and then O(propagation), in
        which their agents get it from them. Before V(taint) and V(revoke) they are looked at again, since one that was
        set back meanwhile would be cut off for good when it fetches the bundle by C(https_spiffe).
      - With O(state=prepared) they are waited for when O(wait) is true. The other states look at them once, before
        their step.
      - A peer that does not hold it is told to fetch the bundle at once (C(spire-server federation refresh)), and again
        until it has it, so that nobody waits for the refresh hint. Nothing else is changed there. A peer that has the
        bundle without a relationship gets it when somebody sets it, such as with M(trustmesh.spiffe.spire_bundle).
      - A peer that does not get it in time makes the task fail before the step, and RV(peers_missing) names it. The
        task goes on from there when it is run again.
      - After V(revoke) a peer believes what the old authority signed until it fetches the bundle the next time, by the
        refresh hint. M(trustmesh.spiffe.spire_federation) with refresh, run for the peer, makes it do so at once.
      - A peer that cannot be reached at the start, that has no bundle of this trust domain, or that is of this trust
        domain itself, is refused before anything is done, in check mode too. Peers are not asked when there is nothing
        to do.
      - The task needs the API socket of each, which rules the peer's trust domain. Partners who do not give you that
        are left to O(propagation).
      - Not for O(type=jwt), and not where an intermediate signs the server's CA, which is in no bundle.
      - A peer's connection has the options of the task's own by the same names. What is left out has its default, and
        not the value that the task has; only O(timeout) and O(wait_timeout) hold for peers too.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - What messages and RV(peers) call it.
        type: str
        required: true
      binary:
        description:
          - As O(binary), for the peer.
        type: str
      socket_path:
        description:
          - As O(socket_path), for the peer.
        type: str
        default: /tmp/spire-server/private/api.sock
      pod:
        description:
          - As O(pod), for the peer. Mutually exclusive with O(peers[].pod_selector).
        type: str
      pod_selector:
        description:
          - As O(pod_selector), for the peer. Mutually exclusive with O(peers[].pod).
        type: str
      namespace:
        description:
          - As O(namespace), for the peer.
        type: str
        default: spire-server
      container:
        description:
          - As O(container), for the peer.
        type: str
      kubectl:
        description:
          - As O(kubectl), for the peer.
        type: path
        default: kubectl
      kubeconfig:
        description:
          - As O(kubeconfig), for the peer. Give it, since without it and O(peers[].context) the environment names the
            cluster.
        type: path
      context:
        description:
          - As O(context), for the peer.
        type: str
  peer_timeout:
    description:
      - Seconds for which O(peers) are waited for before each step, from V(0), with which they are looked at once.
    type: int
    default: 600
notes:
  - The module changes the server that it talks to. Servers that share a trust domain and a database each have their own
    authorities.
  - Of an upstream authority that is replaced, take the certificate out of all files of the server before V(taint). A
    root that stays in its C(bundle_file_path) comes back with the next CA.
  - An X.509 authority that an upstream authority has signed is not in the bundle and can be neither tainted nor
    revoked. Only V(prepared) and V(activated) go with it.
seealso:
  - module: trustmesh.spiffe.spire_server_info
  - module: trustmesh.spiffe.spire_upstream_ca
  - module: trustmesh.spiffe.spire_federation
  - module: trustmesh.spiffe.spire_federation_info
"""

EXAMPLES = r"""
- name: Read which authority signs now
  trustmesh.spiffe.spire_server_info:
  register: before

- name: Make it go
  trustmesh.spiffe.spire_authority:
    state: rotated
    authority_id: "{{ before.server.authorities.x509.active.authority_id }}"

- name: Rotate the CA when it is older than a week
  trustmesh.spiffe.spire_authority:
    state: rotated
    older_than: 604800
    propagation: 300

- name: Rotate it when the server of a partner knows the next one, and no earlier
  trustmesh.spiffe.spire_authority:
    state: rotated
    authority_id: "{{ before.server.authorities.x509.active.authority_id }}"
    peers:
      - name: partner
        kubeconfig: build/clusters/partner.kubeconfig
        pod: statefulset/spire-server

- name: Rotate the JWT authority that may have leaked
  trustmesh.spiffe.spire_authority:
    type: jwt
    state: rotated
    authority_id: "{{ before.server.authorities.jwt.active.authority_id }}"

- name: Only prepare a new CA, to look at it before it is used
  trustmesh.spiffe.spire_authority:
    state: prepared
  register: next_ca

- name: Use it
  trustmesh.spiffe.spire_authority:
    state: activated
    authority_id: "{{ next_ca.authorities.prepared.authority_id }}"

- name: Prepare a CA that a new upstream authority has signed, and wait until everybody knows it
  trustmesh.spiffe.spire_authority:
    state: prepared
    upstream_authority_id: 6e4ff0e9b5d1c7e1a3d2c8b7f0a9d8c7b6a59483
    wait: true
    propagation: 100
"""

RETURN = r"""
authorities:
  description: The authorities of the server after the task. In check mode and when the task fails, as they were read.
  type: dict
  returned: success
  contains:
    active:
      description: The one that signs.
      type: dict
      returned: always
      contains:
        authority_id:
          description: Its id. For X.509 its subject key id.
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
    prepared:
      description: The one that is in the bundle but signs nothing yet. Same fields.
      type: dict
      returned: when there is one
    old:
      description: The one that signed last. Same fields. It stays here after it was revoked.
      type: dict
      returned: when there is one
reason:
  description: Why something was done, or would be in check mode, or why not.
  type: str
  returned: success
  sample: the authority b27e0aac27aa045aaa48f150d92e080ba58eda5a is active
actions:
  description: What was done, or would be done in check mode, in order. When a change failed, only what was done.
  type: list
  elements: dict
  returned: success, and when a change failed
  sample: [{"verb": "prepare", "id": ""}]
peers:
  description: The seconds that each of O(peers) was waited for at most, by name. Empty when none was looked at.
  type: dict
  returned: success
  sample: {"partner": 2}
peers_missing:
  description: The names of the O(peers) that did not hold the new authority.
  type: list
  elements: str
  returned: when peer_timeout passed
agents_not_renewed:
  description: The agents that still used an SVID of the tainted authority, or may have.
  type: list
  elements: str
  returned: when renewal_timeout passed
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.run import (
    run,
    spec,
)


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

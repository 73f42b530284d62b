#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells what SPIRE servers and meshes are like."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trust_status
short_description: Tell in one table what SPIRE servers and meshes are like
version_added: "0.1.0"
author:
  - The trustmesh.spiffe authors (@trustmesh)
description:
  - Reads SPIRE servers (health, version, authorities, agents, registration entries, federation) and Istio (revisions,
    proxies in sync, who signed the certificate of each), all side by side.
  - Tells it as lines for a terminal, as data, and as a page. Each line says whether it is as it should be, worth a
    look, or not as it should be.
  - Nothing is proven by it. Who is let in and who is refused is tried by M(trustmesh.spiffe.trust_check).
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.info_module
  - trustmesh.spiffe.places
requirements:
  - Python package cryptography 45 or later, where the module runs
  - kubectl, for servers in pods and for O(meshes)
  - istioctl, for O(meshes)
options:
  scenario:
    description:
      - Name of what is looked at. It names the files of the report, so it holds letters, digits, dots, dashes and
        underscores only.
    type: str
    required: true
  meshes:
    description:
      - The clusters in which Istio is looked at.
    type: list
    elements: dict
    default: []
    suboptions:
      cluster:
        description: The name of the cluster, one of O(clusters).
        type: str
        required: true
      namespace:
        description: The namespace of its control planes.
        type: str
        default: istio-system
  certificates:
    description:
      - Whether to ask each proxy in a pod who signed its certificate, which takes a call of istioctl for each.
    type: bool
    default: true
  probe:
    description:
      - Whether to ask the bundle endpoints of federation relationships from here, and to compare what they serve with
        what the server holds.
    type: bool
    default: false
  istioctl:
    description:
      - The istioctl program. A name is looked up on PATH.
    type: path
    default: istioctl
  timeout:
    description:
      - Seconds that one call of istioctl or of kubectl for O(meshes) may take.
    type: int
    default: 60
  report_dir:
    description:
      - The folder for C(<scenario>-status.json) and C(<scenario>-status.html). It is made if it does not exist. Without
        it nothing is written.
    type: path
  fail_on_problems:
    description:
      - Whether to fail when something is not as it should be. What was read is returned either way.
    type: bool
    default: false
notes:
  - A server or a mesh that does not answer is a line of its own, and the others are told.
  - In the id of an agent that joined by token a digest stands in place of the token.
seealso:
  - module: trustmesh.spiffe.trust_check
  - module: trustmesh.spiffe.spire_server_info
  - module: trustmesh.spiffe.istio_info
"""

EXAMPLES = r"""
- name: Look at two clusters and their mesh
  trustmesh.spiffe.trust_status:
    scenario: mine
    clusters:
      - {name: blue, kubeconfig: build/clusters/blue.kubeconfig}
      - {name: green, kubeconfig: build/clusters/green.kubeconfig}
    servers:
      - {name: blue, cluster: blue, trust_domain: example.org, pod: statefulset/spire-server}
    meshes:
      - {cluster: blue}
      - {cluster: green}
    report_dir: build/reports
  register: result

- name: Show it
  ansible.builtin.debug:
    msg: "{{ result.table | join('\n') }}"
"""

RETURN = r"""
status:
  description: All that was read, as it is written to a file.
  returned: always
  type: dict
  contains:
    schema_version:
      description: The version of this form. It grows when a key changes its meaning.
      returned: always
      type: int
      sample: 1
    scenario:
      description: The option O(scenario).
      returned: always
      type: str
    finished:
      description: When it was read, in UTC.
      returned: always
      type: str
      sample: "2026-11-21T10:00:02Z"
    servers:
      description:
        - Each server with its C(name) and C(problem), which is empty when it was reached, and what
          M(trustmesh.spiffe.spire_server_info) tells; C(agents) as M(trustmesh.spiffe.spire_agent_info) has them,
          C(federation) as RV(trustmesh.spiffe.spire_federation_info#module:relationships), and C(entries) with how many
          there are, of which C(owners), which are C(admin) or C(downstream), how many federate, and the next C(ending).
      returned: always
      type: list
      elements: dict
    meshes:
      description:
        - Each mesh with its C(cluster), C(namespace) and C(problem), and what M(trustmesh.spiffe.istio_info) returns.
      returned: always
      type: list
      elements: dict
    lines:
      description: The lines of the table, all of them.
      returned: always
      type: list
      elements: dict
      contains:
        kind:
          description: One of C(server), C(agent), C(entries), C(federation), C(istio), C(proxies) and C(signed).
          returned: always
          type: str
        name:
          description: What it is about.
          returned: always
          type: str
        state:
          description: One of C(ok), C(look) and C(bad).
          returned: always
          type: str
        text:
          description: What was seen.
          returned: always
          type: str
        of:
          description: The server or the cluster.
          returned: always
          type: str
    summary:
      description: How many lines are in each state.
      returned: always
      type: dict
      sample: {ok: 12, look: 1, bad: 0}
table:
  description: The same as lines for a terminal. Of very many lines of a kind only some.
  returned: always
  type: list
  elements: str
problems:
  description: A text for each line that is not as it should be.
  returned: always
  type: list
  elements: str
report_files:
  description: The files that were written, by kind.
  returned: always
  type: dict
  sample: {json: build/reports/mine-status.json, html: build/reports/mine-status.html}
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._status.run import run, spec


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

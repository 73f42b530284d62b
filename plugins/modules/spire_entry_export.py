#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spire_entry_export
short_description: Write what a SPIRE server holds as a file for spire_entry
version_added: "0.1.0"
description:
  - Writes the registration entries of a server to a file that M(trustmesh.spiffe.spire_entry) takes as its C(src). At
    the same server that task then reports no change, so that entries which were made by hand or by other programs can
    be kept in a file from now on.
  - A file that says the same already is left as it is, with its comments.
  - What cannot be in such a file is returned with the reason, and is told in a warning.
author:
  - The trustmesh.spiffe authors (@trustmesh)
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_spire
  - trustmesh.spiffe.spire
  - trustmesh.spiffe.spire.entry_filters
  - trustmesh.spiffe.kubectl
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  dest:
    description:
      - The file, on the host where the module runs. A name that ends in C(.json) means JSON, any other YAML, which
        needs PyYAML on that host.
      - A new file gets the mode 0600, one that is there keeps its own. What is there and is no list of entries is not
        overwritten.
    type: path
    required: true
  owner:
    description:
      - Whose entries, see O(trustmesh.spiffe.spire_entry#module:owner). The file is then for tasks with the same owner.
      - Without it, the entries that carry no owner, which others made or tasks without an owner. Any task may take the
        file then, with an owner or without; see O(trustmesh.spiffe.spire_entry#module:adopt).
    type: str
  fields:
    description:
      - V(set) writes the fields of an entry that differ from what a new entry has. M(trustmesh.spiffe.spire_entry)
        keeps what the server has of the others, whatever that is.
      - V(all) writes every field, so that each is led back when somebody changes it at the server.
    type: str
    choices:
      - set
      - all
    default: set
  entry_ids:
    description:
      - Whether to write the ids of the entries, so that another server gives them the same ones.
      - A task with an owner refuses ids that are not of that owner, so leave it out for entries that are to be adopted.
    type: bool
    default: false
notes:
  - "Never in the file: the aliases that join tokens bring with them, which the server makes, and entries below an agent
    that joined by token, whose ID holds the token; entries of another owner; entries whose time is over; of several
    entries with the same SPIFFE ID, parent and selectors all but the one that M(trustmesh.spiffe.spire_entry) would
    manage; and what that module refuses."
  - Of an entry, the times, the revision and attributes of newer servers (RV(remarks)) are not in the file.
  - Agents, bundles, federation relationships and authorities are no entries. Entries that federate with a trust domain
    need its bundle at another server first.
  - A C(spire-controller-manager) makes its entries again, whatever a file says. Leave them to it, by a filter.
seealso:
  - module: trustmesh.spiffe.spire_entry
  - module: trustmesh.spiffe.spire_entry_info
"""

EXAMPLES = r"""
- name: Write what others have registered so far
  trustmesh.spiffe.spire_entry_export:
    dest: /etc/trustmesh/estate.yml
    fields: all

- name: Keep it from now on
  trustmesh.spiffe.spire_entry:
    src: /etc/trustmesh/estate.yml
    owner: estate

- name: Write the entries of an owner of a server in a pod
  trustmesh.spiffe.spire_entry_export:
    pod: statefulset/spire-server
    kubeconfig: build/clusters/blue.kubeconfig
    dest: /etc/trustmesh/shop.json
    owner: shop
"""

RETURN = r"""
dest:
  description: The file.
  type: str
  returned: success
  sample: /etc/trustmesh/estate.yml
counts:
  description: How many entries are in the file, and how many are not.
  type: dict
  returned: success
  contains:
    exported:
      description: Entries in the file.
      type: int
      returned: always
    left_out:
      description: Entries that passed the filters and are not in the file.
      type: int
      returned: always
left_out:
  description: The entries that passed the filters and are not in the file.
  type: list
  elements: dict
  returned: success
  contains:
    entry_id:
      description: The id of the entry.
      type: str
      returned: always
    spiffe_id:
      description: The SPIFFE ID of the entry.
      type: str
      returned: always
    reason:
      description:
        - In a word, C(token_alias), C(token_parent), C(other_owner), C(duplicate), C(expired) or C(refused).
      type: str
      returned: always
      sample: token_alias
    text:
      description: The reason in a sentence.
      type: str
      returned: always
remarks:
  description: What to know of entries that are in the file.
  type: list
  elements: dict
  returned: success
  contains:
    entry_id:
      description: The id of the entry.
      type: str
      returned: always
    spiffe_id:
      description: The SPIFFE ID of the entry.
      type: str
      returned: always
    kind:
      description:
        - In a word, C(privileged) (it needs O(trustmesh.spiffe.spire_entry#module:acknowledge_privileged)),
          C(one_agent) (its parent is an agent and no alias) or C(other_attributes) (it has what no option can set).
      type: str
      returned: always
      sample: privileged
    text:
      description: The same in a sentence.
      type: str
      returned: always
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: dict
  returned: success
  sample: [{"verb": "write", "id": "/etc/trustmesh/estate.yml"}]
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.export.run import run, spec


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

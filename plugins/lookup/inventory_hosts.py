# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: inventory_hosts
short_description: Read hosts and their groups from an inventory file
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Returns the hosts of inventory files with the groups that they are in, so that a playbook can add them.
options:
  _terms:
    description: Paths of inventory files.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Show the hosts of a scenario
  ansible.builtin.debug:
    msg: "{{ query('trustmesh.spiffe.inventory_hosts', 'inventories/blue_green/hosts.ini') }}"
"""

RETURN = r"""
_raw:
  description: One dictionary per host with its C(name) and its C(groups), without C(all).
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """Read inventory files with Ansible's own parser."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        hosts = []
        for term in terms:
            if not Path(term).is_file():
                raise AnsibleLookupError(f"{term} is not an inventory file.")
            inventory = InventoryManager(loader=DataLoader(), sources=[str(term)])
            hosts += [
                {"name": host.name, "groups": [group.name for group in host.get_groups() if group.name != "all"]}
                for host in inventory.get_hosts()
            ]
        return hosts

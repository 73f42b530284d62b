# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: inventory_hosts
short_description: Read hosts, their groups and their variable files from an inventory folder
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Returns the hosts of inventories with the groups that they are in and the files that hold their variables, so that a
    playbook can take them in as Ansible itself would with C(-i).
options:
  _terms:
    description: Folders with a file C(hosts.ini), and C(group_vars) and C(host_vars) beside it.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Show the hosts of a scenario
  ansible.builtin.debug:
    msg: "{{ query('trustmesh.spiffe.inventory_hosts', 'inventories/blue_green') }}"
"""

RETURN = r"""
_raw:
  description:
    - One dictionary per host with its C(name), its C(groups), without C(all), and the C(files) with its
      variables. Those
      that win come last.
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.inventory.helpers import sort_groups
from ansible.inventory.host import Host
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """Read inventories with Ansible's own parser, and find variable files in its own order."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        found = []
        for term in terms:
            folder = Path(str(term)).resolve()
            if not (folder / "hosts.ini").is_file():
                raise AnsibleLookupError(f"{folder} is no inventory: there is no hosts.ini in it.")
            loader = DataLoader()
            inventory = InventoryManager(loader=loader, sources=[str(folder / "hosts.ini")])
            _refuse_variables(folder, inventory)
            found += [
                {
                    "name": host.name,
                    "groups": [group.name for group in sort_groups(host.get_groups()) if group.name != "all"],
                    "files": _files(loader, folder, host),
                }
                for host in inventory.get_hosts()
            ]
        return found


def _refuse_variables(folder: Path, inventory: InventoryManager) -> None:
    """Variables are in files of their own: without C(-i) those in hosts.ini would be lost, and nobody would see it."""
    places = [("host_vars", host.name, _given(host.vars)) for host in inventory.get_hosts()]
    places += [("group_vars", group.name, group.get_vars()) for group in inventory.groups.values()]
    for kind, name, given in places:
        if given:
            raise AnsibleLookupError(
                f"{folder}/hosts.ini: {', '.join(sorted(given))} of {name} is a variable."
                f" Put it into {kind}/{name}.yml."
            )


def _given(variables: dict[str, Any]) -> dict[str, Any]:
    """Without those that Ansible itself has put there."""
    return {key: value for key, value in variables.items() if key not in ("inventory_file", "inventory_dir")}


def _files(loader: DataLoader, folder: Path, host: Host) -> list[str]:
    """The files with the variables of a host: those of its groups, parents first, then its own."""
    places = [("group_vars", group.name) for group in sort_groups(host.get_groups())]
    return [
        file if isinstance(file, str) else file.decode()
        for kind, name in [*places, ("host_vars", host.name)]
        for file in loader.find_vars_files(str(folder / kind), name)
    ]

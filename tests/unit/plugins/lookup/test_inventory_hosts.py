# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup inventory_hosts: what it finds is what Ansible itself finds with -i."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleLookupError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager
from ansible_collections.trustmesh.spiffe.plugins.lookup.inventory_hosts import LookupModule

INVENTORY = """
[clusters]
blue
green

[spire_server]
blue

[mesh:children]
spire_server
"""
FILES = (
    "group_vars/all.yml",
    "group_vars/clusters/one.yml",
    "group_vars/clusters/two.yml",
    "group_vars/spire_server.yml",
    "group_vars/mesh.yml",
    "host_vars/blue.yml",
)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "hosts.ini").write_text(INVENTORY)
    for number, name in enumerate(FILES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"---\nnumber: {number}\n")
    return tmp_path


def look(*folders: Path) -> list[dict[str, Any]]:
    lookup = LookupModule(loader=DataLoader())
    lookup._load_name = "trustmesh.spiffe.inventory_hosts"  # as whoever loads a plugin does
    return lookup.run([str(folder) for folder in folders], {})


def test_hosts_come_with_all_their_groups(inventory: Path) -> None:
    blue, green = look(inventory)
    assert (blue["name"], sorted(blue["groups"])) == ("blue", ["clusters", "mesh", "spire_server"])
    assert (green["name"], green["groups"]) == ("green", ["clusters"])


def test_files_come_in_the_order_in_which_ansible_reads_them(inventory: Path) -> None:
    # all first, a group before its children, and the host's own last: the last one wins.
    blue, green = look(inventory)
    names = [Path(file).relative_to(inventory).as_posix() for file in blue["files"]]
    assert names[0] == "group_vars/all.yml" and names[-1] == "host_vars/blue.yml"
    assert sorted(names) == sorted(FILES)
    assert names.index("group_vars/mesh.yml") < names.index("group_vars/spire_server.yml")
    assert [Path(file).name for file in green["files"]] == ["all.yml", "one.yml", "two.yml"]


def test_the_last_file_wins_as_it_does_in_ansible(inventory: Path) -> None:
    manager = InventoryManager(loader=DataLoader(), sources=[str(inventory / "hosts.ini")])
    variables = VariableManager(loader=DataLoader(), inventory=manager)
    for host in look(inventory):
        theirs = variables.get_vars(host=manager.get_host(host["name"]), include_hostvars=False)
        ours = {key: value for file in host["files"] for key, value in yaml.safe_load(Path(file).read_text()).items()}
        assert ours["number"] == theirs["number"]


def test_several_inventories_are_read_one_after_the_other(
    inventory: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "hosts.ini").write_text("[clusters]\nred\n")
    assert [host["name"] for host in look(inventory, other)] == ["blue", "green", "red"]
    assert look(other)[0]["files"] == []


def test_a_folder_that_is_no_inventory_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnsibleLookupError, match="is no inventory: there is no hosts"):
        look(tmp_path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            "[clusters]\nblue kubernetes_cluster_provider=existing\n",
            "kubernetes_cluster_provider of blue .* host_vars/blue",
        ),
        (
            "[clusters]\nblue\n[clusters:vars]\nx=1\n",
            "x of clusters is a variable. Put it into group_vars/clusters.yml",
        ),
    ],
)
def test_a_variable_that_would_be_lost_is_refused(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "hosts.ini").write_text(text)
    with pytest.raises(AnsibleLookupError, match=place):
        look(tmp_path)

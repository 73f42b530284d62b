# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup inventory_hosts, as a playbook uses it."""

from __future__ import annotations

import json
from pathlib import Path

from playbook import play

INVENTORY = """
[clusters]
blue
green

[spire_server]
blue

[mesh:children]
spire_server
"""


def test_hosts_come_with_all_their_groups_and_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text(INVENTORY)
    (tmp_path / "more.ini").write_text("[clusters]\nred\n")
    results = {}
    tasks: list[dict[str, object]] = []
    for name, terms in {"one": "'hosts.ini'", "two": "'more.ini', 'hosts.ini'", "none": "'none.ini'"}.items():
        results[name] = tmp_path / f"{name}.json"
        found = f"{{{{ query('trustmesh.spiffe.inventory_hosts', {terms}) | to_json }}}}"
        keep = {"content": found, "dest": str(results[name]), "mode": "0600"}
        tasks.append({"ansible.builtin.copy": keep, "ignore_errors": True})
    done = play([{"hosts": "localhost", "tasks": tasks}], tmp_path)
    blue = {"name": "blue", "groups": ["clusters", "spire_server", "mesh"]}
    green, red = ({"name": name, "groups": ["clusters"]} for name in ("green", "red"))
    assert json.loads(results["one"].read_text()) == [blue, green], done.stdout + done.stderr
    assert json.loads(results["two"].read_text()) == [red, blue, green]
    assert not results["none"].exists()
    assert "none.ini is not an inventory file" in done.stdout + done.stderr

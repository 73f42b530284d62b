# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup inventory_hosts, as a playbook uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
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
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    play = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [play, "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", "play.yml"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    blue = {"name": "blue", "groups": ["clusters", "spire_server", "mesh"]}
    green, red = ({"name": name, "groups": ["clusters"]} for name in ("green", "red"))
    assert json.loads(results["one"].read_text()) == [blue, green], done.stdout + done.stderr
    assert json.loads(results["two"].read_text()) == [red, blue, green]
    assert not results["none"].exists()
    assert "none.ini is not an inventory file" in done.stdout + done.stderr

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module in a fork and one that Ansible packs, against one real server: each goes on where the other one ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.plugin_utils._forked import KNOWN

from .conftest import Server, run_playbook
from .entries import clear, entry

PACKED = {"environment": {"PYTHONUNBUFFERED": "1"}}


def test_either_way_finds_what_the_other_one_made(server: Server, tmp_path: Path) -> None:
    clear(server)
    defaults = {"group/trustmesh.spiffe.spire": server.connection}
    made = {"trustmesh.spiffe.spire_entry": {"entries": [entry("cart")]}}
    unmade = {"trustmesh.spiffe.spire_entry": {"entries": [entry("cart")], "state": "absent"}}
    told: dict[str, Any] = {"trustmesh.spiffe.spire_entry_info": {}}
    tasks = [made, {**made, **PACKED}, told, {**told, **PACKED}, {**unmade, **PACKED}, unmade, {**made, **PACKED}, made]
    results = [f"result_{number}" for number in range(len(tasks))]
    keep = {"content": f"{{{{ [{', '.join(results)}] | to_json }}}}", "dest": f"{tmp_path}/results", "mode": "0600"}
    output = run_playbook(
        [{**task, "register": result} for task, result in zip(tasks, results, strict=True)]
        + [{"ansible.builtin.copy": keep}],
        tmp_path,
        "-vvv",
        module_defaults=defaults,
    )
    assert output.count(" in a fork") == (len(tasks) / 2 if KNOWN else 0)
    found = json.loads((tmp_path / "results").read_text())
    assert [one["changed"] for one in found] == [True, False, False, False, True, False, True, False]
    assert found[0]["entries"] == found[1]["entries"]
    assert found[2] == found[3]
    assert found[2]["entries"]

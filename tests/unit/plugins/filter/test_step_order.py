# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a phase are taken in their order by every host, also by one that shares only the last with others."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from playbook import ROOT, play

STEPS = [
    {"duty": duty, "role": role, "tasks": "x"}
    for duty, role in (("own", "first"), ("shared", "second"), ("shared", "third"))
]


def test_each_host_takes_its_steps_in_order(tmp_path: Path) -> None:
    (phase,) = yaml.safe_load((ROOT / "playbooks" / ".parts" / "phase.yml").read_text())
    loop = phase["tasks"][0]["loop"]
    assert phase["strategy"] == "free"
    # «early» shares the last steps with «late» and comes to them first. Ansible takes equal includes for one.
    (tmp_path / "hosts.ini").write_text("[shared]\nlate\nearly[1:6]\n[own]\nlate\n")
    (tmp_path / "step.yml").write_text(
        '- ansible.builtin.debug: {msg: "{{ inventory_hostname }} took {{ step.role }}"}\n'
    )
    task = {"ansible.builtin.include_tasks": "step.yml", "loop": loop, "loop_control": {"loop_var": "step"}}
    both = {
        "hosts": "all",
        "connection": "local",
        "strategy": "free",
        "vars": {"trustmesh_steps": STEPS, "trustmesh_phase_hosts": "{{ ansible_play_hosts_all }}"},
        "tasks": [task],
    }
    done = play([both] * 10, tmp_path, "-i", "hosts.ini")
    assert done.returncode == 0, done.stdout + done.stderr
    taken = re.findall(r"(early\d|late) took (\w+)", done.stdout)
    assert [role for host, role in taken if host == "late"] == ["first", "second", "third"] * 10
    assert [role for host, role in taken if host == "early1"] == ["second", "third"] * 10

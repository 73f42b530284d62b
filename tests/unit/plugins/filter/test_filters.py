# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as Ansible calls them: what they give, and how they say what is wrong."""

from __future__ import annotations

import hashlib
import subprocess
import time
from pathlib import Path
from typing import Any

import meshes
import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.trustmesh.spiffe.plugins.filter import configuration, mesh, objects
from playbook import ROOT

Data = dict[str, Any]
FILTERS: Data = {
    **configuration.FilterModule().filters(),
    **mesh.FilterModule().filters(),
    **objects.FilterModule().filters(),
}
INTENT, HOSTVARS, GROUPS = meshes.inventory(ROOT / "inventories" / "blue_green")
BROKEN = {**INTENT, "workloads": {"a": {"host": "nowhere"}, "b": {}}, "without": []}


# The mesh


def test_variables_and_proof_follow_from_an_inventory() -> None:
    variables = FILTERS["mesh_variables"](INTENT, HOSTVARS, GROUPS, "blue")
    assert [item["name"] for item in variables["envoy_instances"]] == ["gateway"]
    assert len(FILTERS["mesh_proof"](INTENT, HOSTVARS, GROUPS)["checks"]) > 20


def test_an_instance_has_clusters_of_its_own() -> None:
    variables = FILTERS["mesh_variables"]({**INTENT, "instance": "ci"}, HOSTVARS, GROUPS, "green")
    assert variables["kubernetes_cluster_name"] == "ci-green"


def test_the_summary_is_for_people() -> None:
    told = FILTERS["mesh_summary"](INTENT, HOSTVARS, GROUPS)
    assert list(told) == ["blue", "green", "proof", "not tried"]
    assert "sleep may call gateway (request)" in told["proof"]


def test_faults_are_a_text_each() -> None:
    assert FILTERS["mesh_faults"](INTENT, HOSTVARS, GROUPS) == []
    found = FILTERS["mesh_faults"](BROKEN, HOSTVARS, GROUPS)
    assert [text.split(":")[1] for text in found[:2]] == [" a", " b"]


@pytest.mark.parametrize("name", ["mesh_variables", "mesh_proof", "mesh_summary"])
def test_a_broken_inventory_is_told_in_its_own_words(name: str) -> None:
    arguments = [BROKEN, HOSTVARS, GROUPS, *(["blue"] if name == "mesh_variables" else [])]
    with pytest.raises(AnsibleFilterError, match="trustmesh_workloads: a: host is 'nowhere'"):
        FILTERS[name](*arguments)


def test_a_task_works_out_once_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = FILTERS["mesh_variables"]
    told = {**INTENT, "digest": "one"}
    # In Ansible's main process, where facts come in, it is worked out each time.
    assert ask(told, HOSTVARS, GROUPS, "blue") is not ask(told, HOSTVARS, GROUPS, "blue")
    monkeypatch.setattr(mesh.multiprocessing, "parent_process", lambda: "Ansible")
    monkeypatch.setattr(mesh, "_READ", {})
    monkeypatch.setattr(mesh, "_VARIABLES", {})
    first = ask(told, HOSTVARS, GROUPS, "blue")
    assert ask(told, HOSTVARS, GROUPS, "blue") is first
    assert ask(told, HOSTVARS, GROUPS, "green") != first
    other = ask({**told, "digest": "two", "instance": "ci"}, HOSTVARS, GROUPS, "blue")
    assert other["kubernetes_cluster_name"] == "ci-blue"
    for intent in (INTENT, {**INTENT, "instance": "ci"}):
        name = ask(intent, HOSTVARS, GROUPS, "blue")["kubernetes_cluster_name"]
        assert name == ("ci-blue" if intent.get("instance") else "blue")


def test_a_host_takes_the_steps_of_its_duties_and_of_its_provider() -> None:
    steps = [
        {"duty": "clusters", "role": "a", "tasks": "install"},
        {"duty": "mesh", "role": "b", "tasks": "install"},
        {"duty": "clusters", "role": "c", "tasks": "remove", "provider": "existing"},
        {"duty": "clusters", "role": "d", "tasks": "remove", "provider": "kind"},
    ]
    taken = FILTERS["steps_for"]
    assert [step["role"] for step in taken(steps, ["clusters", "others"], "kind", "blue")] == ["a", "d"]
    assert [step["role"] for step in taken(steps, ["clusters", "mesh"], "existing", "blue")] == ["a", "b", "c"]


def test_a_step_for_what_is_not_there_is_left_out() -> None:
    whats = ([], ["one"], False, True, "")
    steps = [{"duty": "clusters", "role": str(what), "tasks": "install", "for": what} for what in whats]
    taken = FILTERS["steps_for"]([*steps, {"duty": "clusters", "role": "all"}], ["clusters"], "kind", "blue")
    assert [step["role"] for step in taken] == ["['one']", "True", "all"]


def test_people_are_told_who_is_there_and_with_which_duties() -> None:
    groups = {"clusters": ["blue", "green"], "machines": ["rack"], "mesh": ["blue"], "spire_agent": ["blue", "rack"]}
    assert FILTERS["duties_told"](groups) == "blue (spire_agent, mesh), green (no duty), rack (spire_agent)"


def test_of_a_part_only_the_steps_of_its_roles_are_taken() -> None:
    steps = [
        {"duty": "clusters", "role": "a", "tasks": "install"},
        {"duty": "clusters", "role": "b", "tasks": "install"},
        {"duty": "clusters", "role": "a", "tasks": "prune", "whole": True},
    ]
    taken = FILTERS["steps_for"]
    assert [step["tasks"] for step in taken(steps, ["clusters"], "kind", "blue", roles=["a"])] == ["install"]
    assert len(taken(steps, ["clusters"], "kind", "blue", roles=[])) == 3


def test_a_role_is_validated_when_it_is_checked_and_something_is_said_of_it() -> None:
    steps = [
        {"duty": "clusters", "role": role, "tasks": tasks}
        for role in ("a", "a_b")
        for tasks in ("preflight", "install")
    ]
    taken = FILTERS["steps_for"](steps, ["clusters"], "kind", "blue", given=["a_b_c", "b_a"])
    assert [step["validate"] for step in taken] == [True, False, True, False]
    assert not FILTERS["steps_for"](steps[2:3], ["clusters"], "kind", "blue", given=["a_c", "a_bc"])[0]["validate"]


# Configurations


def test_configurations_say_what_is_wrong_with_them() -> None:
    with pytest.raises(AnsibleFilterError, match="mine: unknown section 'x'"):
        FILTERS["spire_configuration"]({}, {"x": {}}, "mine")
    with pytest.raises(AnsibleFilterError, match="envoy_instances: e: listeners is empty"):
        FILTERS["envoy_configuration"]({"name": "e", "spiffe_id": "spiffe://x/e"}, "/socket")


def test_faults_of_several_envoys_are_together() -> None:
    instances = [{"name": name, "spiffe_id": "spiffe://x/e"} for name in ("a", "b")]
    assert [text.split(":")[1] for text in FILTERS["envoy_faults"](instances)] == [" a", " b"]


def test_what_a_look_tells_of_files_that_are_as_they_are_to_be(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("run")
    files = {
        "folder": {"path": "/opt/a/conf", "mode": "0750", "group": "a"},
        "text": {"path": "/opt/a/conf/a.conf", "mode": "0640", "owner": "a", "content": "run"},
        "program": {"path": "/opt/a/a", "mode": "0755", "src": str(tmp_path / "program")},
        # Check mode has made no key.
        "key": {"path": "/opt/a/key", "mode": "0600", "src": str(tmp_path / "none")},
    }
    digest = hashlib.sha256(b"run").hexdigest()
    assert FILTERS["seen_lines"](files) == {
        "folder": "seen /opt/a/conf root:a 750 folder",
        "text": f"seen /opt/a/conf/a.conf a:root 640 {digest}",
        "program": f"seen /opt/a/a root:root 755 {digest}",
        "key": "seen /opt/a/key root:root 600 absent",
    }


def test_a_program_is_due_when_it_was_started_with_something_else_or_anything_is_otherwise() -> None:
    files = {
        "program": {"path": "/opt/a/a", "mode": "0755", "content": "one"},
        "conf": {"path": "/opt/a/conf", "mode": "0700"},
    }
    due = FILTERS["machine_due"]
    lines = [*FILTERS["seen_lines"](files).values()]
    first = due(files, lines, ["running"], ["program"])
    assert (first["program"], first["started"], first["as_wanted"]) == (lines[0], False, False)
    seen = [*lines, "running", f"started {first['state']}"]
    assert due(files, seen, ["running"], ["program"]) == {**first, "started": True, "as_wanted": True}
    for missing in (*lines, "running"):
        found = due(files, [line for line in seen if line != missing], ["running"], ["program"])
        assert (found["started"], found["as_wanted"]) == (True, False)
    assert not due(files, seen, ["running"], ["program"], note="group")["started"]
    assert not due(files, seen, ["running"], ["program"], name="a")["started"]
    assert due(files, [f"started a {first['state']}"], [], ["program"], name="a")["started"]
    other = {**files, "program": {**files["program"], "content": "two"}}
    assert not due(other, seen, ["running"], ["program"])["started"]


TELL = yaml.safe_load((ROOT / "roles/trustmesh/vars/main.yml").read_text())["__trustmesh_tell"]


def test_the_shell_of_a_look_tells_the_same(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir(0o750)
    (tmp_path / "conf" / "a.conf").write_text("run")
    (tmp_path / "conf" / "a.conf").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "conf")
    paths = [str(tmp_path / name) for name in ("conf", "conf/a.conf", "link", "none")]
    argv = ["sh", "-euc", f'{TELL}\ntell "$@"', "sh", *paths]
    said = subprocess.run(argv, capture_output=True, text=True, check=True)
    whose = {"owner": tmp_path.owner(), "group": tmp_path.group()}
    wanted = {
        "conf": {"path": paths[0], "mode": "0750", **whose},
        "a.conf": {"path": paths[1], "mode": "0640", "content": "run", **whose},
        "link": {"path": paths[2], "link": paths[0]},
    }
    assert said.stdout.splitlines() == [*FILTERS["seen_lines"](wanted).values()]


def test_a_program_is_read_again_only_when_something_has_happened_to_it_since_it_was_started(tmp_path: Path) -> None:
    program, noted = tmp_path / "program", tmp_path / "started"

    def told() -> list[str]:
        argv = ["sh", "-uc", f'{TELL}\ntell_programs "$@"', "sh", str(noted), str(program)]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    def as_it_is() -> list[str]:
        mode, digest = program.stat().st_mode & 0o777, hashlib.sha256(program.read_bytes()).hexdigest()
        return [f"seen {program} {program.owner()}:{program.group()} {mode:o} {digest}"]

    assert told() == []
    program.write_text("one")
    program.chmod(0o755)
    assert told() == as_it_is()
    # A note of an earlier version of this collection names no program, and one of another program nothing of this one.
    for text in ("state", f"state\nseen {program}2 root:root 755 other\n"):
        noted.write_text(text)
        assert told() == as_it_is()
    noted.write_text(f"state\nseen {program} a:a 755 noted\n")
    assert told() == [f"seen {program} a:a 755 noted"]
    for change in (lambda: program.write_text("two"), lambda: program.chmod(0o700), program.touch):
        noted.touch()
        assert told() == [f"seen {program} a:a 755 noted"]
        time.sleep(0.02)  # the clock of file systems is coarser than that of programs
        change()
        assert told() == as_it_is()
    program.unlink()
    program.symlink_to(noted)
    assert told() == [f"seen {program} link {noted}"]


def test_problems_are_the_texts_of_what_does_not_hold() -> None:
    assert FILTERS["problems"]([[True, "fine"], [False, "one"], [0, "two"], ["yes", "fine"]]) == ["one", "two"]


# Objects


def test_what_is_wrong_with_objects_is_told() -> None:
    with pytest.raises(AnsibleFilterError, match="one: an object without apiVersion"):
        FILTERS["object_batch"]([{"owner": "one", "objects": [{"kind": "Pod"}]}])


@pytest.mark.parametrize(("name", "value"), [("object_batch", [1]), ("object_answers", 1), ("foreign_namespaces", [1])])
def test_what_is_no_input_at_all_is_told_too(name: str, value: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=f"{name.removeprefix('object_')}: this is no input for it"):
        FILTERS[name](value)


# What goes into files and objects


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("localhost/trustmesh/envoy:1.40.0", "Never"),
        ("localhost:5000/envoy:1.40.0", "IfNotPresent"),
        ("docker.io/localhost/envoy@sha256:00", "IfNotPresent"),
        ("", "IfNotPresent"),
    ],
)
def test_a_node_asks_no_registry_for_what_was_made_here(image: str, policy: str) -> None:
    assert FILTERS["pull_policy"](image) == policy


def test_values_and_places_are_judged_by_their_names() -> None:
    assert FILTERS["unclean"](["a", "d"], [["b", "c\n"], "e\n"], ["d"]) == [
        "a[1]: it holds a line break or another character that no name has."
    ]
    assert FILTERS["place_faults"]({"a_port": "1", "an_address": "b c"})[0].startswith("an_address: 'b c' is not")

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubernetes.core's modules and those that run them in a fork, on a real API server: nothing differs but the time."""

from __future__ import annotations

import base64
import copy
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook import play

from .kubernetes_api import Api, running_api

THEIRS, OURS = "kubernetes.core", "trustmesh.spiffe"
IN_A_FORK = re.compile(r"RUN (\S+) in a fork")
# What differs in an object that is made twice. A diff tells of managed fields when their second is another one.
OF_ONE_OBJECT = {"uid", "creationTimestamp", "resourceVersion", "managedFields", "duration"}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with running_api(users=["nobody"]) as one:
        yield one


def alike(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: alike(item) for key, item in value.items() if key not in OF_ONE_OBJECT}
    return [alike(item) for item in value] if isinstance(value, list) else value


def run(
    collection: str, tasks: list[dict[str, Any]], folder: Path, *words: str, keywords: Any = None, **env: str
) -> tuple[list[dict[str, Any]], str]:
    """Run ``tasks``, whose modules are named without their collection, and return their results and what was shown."""
    written = []
    for number, task in enumerate(tasks):
        one = {f"{collection}.{key}" if key.startswith("k8s") else key: item for key, item in task.items()}
        written.append({"name": f"Task {number}", **one, "register": f"result_{number}", "ignore_errors": True})
    results = ", ".join(f"result_{number}" for number in range(len(tasks)))
    keep = {"content": f"{{{{ [{results}] | to_json }}}}", "dest": f"{folder}/results.json", "mode": "0600"}
    end = {"ansible.builtin.copy": keep, "check_mode": False, "diff": False, "no_log": True}
    one = {"hosts": "localhost", "tasks": [*written, end], **(keywords or {})}
    done = play([one], folder, "-vvv", *words, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "results.json").read_text()), done.stdout + done.stderr


def both(
    api: Api, tasks: list[dict[str, Any]], folder: Path, *words: str, keywords: Any = None, forks: int | None = None
) -> list[dict[str, Any]]:
    """Run ``tasks`` by their modules and by ours, from the same state on, and return what both returned."""
    answers = []
    for collection in (THEIRS, OURS):
        api.kubectl("delete", "configmaps", "--namespace", "default", "--selector", "test=this")
        results, shown = run(collection, copy.deepcopy(tasks), folder, *words, keywords=keywords)
        wanted = len(tasks) if forks is None else forks
        assert len(IN_A_FORK.findall(shown)) == (wanted if collection == OURS else 0), shown
        answers.append(results)
    for theirs, ours in zip(*answers, strict=True):
        assert alike(theirs) == alike(ours)
    return answers[1]


def settings(name: str = "one", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "labels": {"test": "this", "name": name}},
        "data": data,
    }


@pytest.mark.thorough
def test_objects_are_made_changed_left_alone_patched_read_and_removed(api: Api, tmp_path: Path) -> None:
    def to(**options: Any) -> dict[str, Any]:
        return {"k8s": {"kubeconfig": api.kubeconfig, **options}}

    applied = to(apply=True, definition=[settings(a="1"), settings("two", a="1")])
    changed = to(apply=True, definition=[settings(a="2"), settings("two", a="1")])
    by_server = to(
        apply=True,
        server_side_apply={"field_manager": "test", "force_conflicts": True},
        definition=settings("three", a="1"),
    )
    read = {"k8s_info": {"kubeconfig": api.kubeconfig, "kind": "ConfigMap", "label_selectors": ["test=this"]}}
    tasks = [
        {**applied, "check_mode": True},
        applied,
        applied,
        {**changed, "check_mode": True, "diff": True},
        {**changed, "diff": True},
        by_server,
        by_server,
        to(state="patched", definition=settings(b="3")),
        to(state="patched", definition=settings(b="3")),
        read,
        to(state="absent", definition=[settings(), settings("two")], wait=True),
        to(state="absent", definition=[settings(), settings("two")]),
        read,
    ]
    found = both(api, tasks, tmp_path)
    assert [result["failed"] for result in found] == [False] * len(tasks)
    states = [True, True, False, True, True, True, False, True, False, False, True, False, False]
    assert [result["changed"] for result in found] == states
    for result in found[3:5]:
        assert result["result"]["results"][0]["diff"]["after"]["data"] == {"a": "2"}
    assert [item["metadata"]["name"] for item in found[9]["resources"]] == ["one", "three", "two"]
    assert [item["metadata"]["name"] for item in found[12]["resources"]] == ["three"]


def listed() -> list[dict[str, Any]]:
    """Objects that hold lists, to which an API server adds what is not said."""
    named: dict[str, Any] = {"name": "lists", "namespace": "default"}
    rights = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
    return [
        {
            **{"apiVersion": "v1", "kind": "Service", "metadata": named},
            "spec": {"selector": {"app": "lists"}, "ports": [{"name": "web", "port": 80}]},
        },
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": named, "rules": [rights]},
    ]


def writes(api: Api) -> int:
    """How many patches of such objects the API server was sent."""
    asked = [line for line in api.kubectl("get", "--raw", "/metrics").splitlines() if 'verb="PATCH"' in line]
    mine = [line for line in asked if re.match(r'apiserver_request_total{.*resource="(roles|services)"', line)]
    return sum(int(float(line.rpartition(" ")[2])) for line in mine)


def test_what_is_as_it_is_to_be_is_not_written(api: Api, tmp_path: Path) -> None:
    applied = {"k8s": {"kubeconfig": api.kubeconfig, "apply": True, "definition": listed()}}
    assert run(OURS, [applied], tmp_path)[0][0]["changed"]
    before = writes(api)
    ours = run(OURS, [applied, {**applied, "check_mode": True}], tmp_path)[0]
    assert [result["changed"] for result in ours] == [False, False]
    assert writes(api) == before
    theirs = run(THEIRS, [applied], tmp_path)[0]
    assert alike(theirs[0]) == alike(ours[0])
    assert writes(api) > before, "which is why"

    api.kubectl("patch", "role", "lists", "--namespace", "default", "--type", "merge", "--patch", '{"rules": []}')
    before = writes(api)
    results = run(OURS, [{**applied, "check_mode": True}, applied, applied], tmp_path)[0]
    assert [result["changed"] for result in results] == [True, True, False]
    assert writes(api) == before + 2, "one that was tried, and one that counts"


def test_what_goes_wrong_is_told_with_the_same_words(api: Api, tmp_path: Path) -> None:
    def to(module: str, **options: Any) -> dict[str, Any]:
        return {module: {"kubeconfig": api.kubeconfig, **options}}

    wrong = {
        "a valid label must be": to("k8s", definition=settings("Not A Name")),
        "forbidden": to("k8s", kubeconfig=f"{api.folder}/nobody.kubeconfig", definition=settings()),
        "Failed to find exact match for example.org/v1.Nothing": to(
            "k8s", definition={"apiVersion": "example.org/v1", "kind": "Nothing", "metadata": {"name": "a"}}
        ),
        "Unsupported parameters for (kubernetes.core.k8s)": to("k8s", bogus=1),
        "missing required arguments: kind": to("k8s_info"),
        "parameters are mutually exclusive": to("k8s", src=api.kubeconfig, definition=settings()),
    }
    for words, result in zip(wrong, both(api, list(wrong.values()), tmp_path), strict=True):
        assert result["failed"]
        assert words in result["msg"]
    none = both(api, [to("k8s", kubeconfig="/not/here", definition=settings())], tmp_path, forks=0)
    assert "/not/here" in none[0]["msg"]


@pytest.mark.thorough
def test_templates_lookups_loops_and_secrets_are_what_they_are(api: Api, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "one.yml").write_text(yaml.safe_dump(settings("{{ item }}", a="{{ 1 + 1 }}")))
    access = {"kubeconfig": api.kubeconfig}
    tasks = [
        {"k8s": {**access, "template": "one.yml"}, "loop": ["one", "two"]},
        {"k8s": {**access, "definition": settings("three", a="hunter2")}, "no_log": True},
        {"k8s": {**access, "definition": settings("four", a="1")}, "retries": 2, "delay": 0, "until": "true"},
    ]
    found = both(api, tasks, tmp_path, forks=4)
    assert [item["result"]["data"]["a"] for item in found[0]["results"]] == ["2", "2"]
    results, shown = run(OURS, tasks, tmp_path)
    assert "hunter2" not in shown
    assert [result["failed"] for result in results[1:]] == [False, False]


@pytest.mark.thorough
@pytest.mark.parametrize("whose", ["group/kubernetes.core.k8s", "kubernetes.core.k8s", "kubernetes.core.k8s_info"])
def test_defaults_of_users_hold(api: Api, tmp_path: Path, whose: str) -> None:
    tasks = [
        {"k8s": {"definition": settings(a="1")}},
        # Nobody's default makes a task that says omit go to another cluster.
        {"k8s": {"definition": settings(a="1"), "kubeconfig": "{{ omit }}"}},
        {"k8s_info": {"kind": "ConfigMap", "namespace": "default", "kubeconfig": api.kubeconfig}},
        {"k8s_info": {"kind": "ConfigMap", "namespace": "default", "context": "test"}},
    ]
    keywords = {"module_defaults": {whose: {"kubeconfig": api.kubeconfig}}}
    found = both(api, tasks, tmp_path, keywords=keywords)
    assert not found[2]["failed"]
    assert found[1]["failed"]
    assert found[0]["failed"] is (whose == "kubernetes.core.k8s_info")
    assert found[3]["failed"] is (whose == "kubernetes.core.k8s")


def test_no_file_stays_behind(api: Api, tmp_path: Path) -> None:
    # The client writes certificates and keys of a kubeconfig to files, and removes them when its process ends.
    config = json.loads(Path(api.kubeconfig).read_text())
    ca = Path(config["clusters"][0]["cluster"].pop("certificate-authority")).read_bytes()
    config["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(ca).decode()
    (tmp_path / "config").write_text(json.dumps(config))
    with tempfile.TemporaryDirectory(prefix="tm-k8s-") as temporary:
        results, shown = run(
            OURS,
            [{"k8s_info": {"kubeconfig": f"{tmp_path}/config", "kind": "Namespace"}}],
            tmp_path,
            TMPDIR=temporary,
        )
        assert IN_A_FORK.findall(shown)
        assert results[0]["resources"]
        # What it knows of the API server stays, in either way.
        assert [path.name for path in Path(temporary).iterdir() if not path.name.startswith("k8srcp-")] == []


@pytest.mark.thorough
def test_their_module_runs_by_itself_where_a_fork_would_differ(api: Api, tmp_path: Path) -> None:
    read = {"k8s_info": {"kubeconfig": api.kubeconfig, "kind": "Namespace"}}
    look = (
        "{{ lookup('kubernetes.core.k8s', kind='Namespace', resource_name='default', kubeconfig=path).metadata.name }}"
    )
    tasks = [
        {**read, "environment": {"A": "b"}},
        {"k8s_info": {**read["k8s_info"], "name": look}, "vars": {"path": api.kubeconfig}},
    ]
    found = both(api, tasks, tmp_path, forks=0)
    assert [len(result["resources"]) for result in found] == [len(found[0]["resources"]), 1]
    results, shown = run(OURS, [read], tmp_path, ENABLE_TURBO_MODE="true")
    assert not IN_A_FORK.findall(shown)
    assert results[0]["resources"]


def test_without_the_client_the_user_is_told_what_kubernetes_core_says(api: Api, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden" / "kubernetes"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('it is hidden')\n")
    read = {"k8s_info": {"kubeconfig": api.kubeconfig, "kind": "Namespace"}}
    said = []
    for collection in (THEIRS, OURS):
        results, shown = run(collection, [read], tmp_path, PYTHONPATH=str(hidden.parent))
        assert not IN_A_FORK.findall(shown)
        said.append(results[0]["msg"])
    assert said[0] == said[1]
    assert "Failed to import the required Python library (kubernetes)" in said[0]

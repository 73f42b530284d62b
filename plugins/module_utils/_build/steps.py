# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Build steps as data, and the pure part of building them: validation, order, keys.

A step's key is a hash of everything that decides its result: its commands, its input files, the salt (for example
the compiler's version) and the keys of the steps it needs. The same key means the same result, so a result that is
there is never built again, and one changed file rebuilds what depends on it and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

_COMPILER = re.compile(r"GO\w*|CGO_\w+|CC|CXX|FC|AR|PKG_CONFIG\w*")
"""Variables that say to a compiler which programs it runs, with which options."""

_TOKEN = re.compile(r"@([a-z]+)(?::([A-Za-z0-9_.-]+))?@")


@dataclass(frozen=True)
class Step:
    """One thing to build.

    ``commands`` are argument lists run in order in ``cwd``. ``inputs`` are files or folders below the folder of
    files. ``exists`` is a command that succeeds when the result is there; it is for results that live elsewhere than
    in the cache, such as images in the container engine's store. Tokens in all of these: ``@out@`` the folder to fill,
    ``@files@`` the folder of files, ``@cache@`` the cache, ``@key@`` this step's key, ``@out:NAME@`` and
    ``@key:NAME@`` the same of a needed step, ``@program:NAME@`` the path of a program. Where a program lies does not
    decide the result, so its path is not part of the key; its version belongs into the salt.

    ``plain`` says that its commands need no root: they are run as the user who called sudo. Who ran them does not decide
    the result either.
    """

    name: str
    label: str
    commands: tuple[tuple[str, ...], ...]
    cwd: str = "@out@"
    env: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    exists: tuple[str, ...] = ()
    plain: bool = False

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Step:
        """Return the step that ``raw`` describes; raise InputError naming the step and the field that is wrong."""
        name = raw.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise InputError(f"build step {name!r}: 'name' must be letters, digits, '_', '.' and '-'.")
        unknown = sorted(set(raw) - {"name", "label", "commands", "cwd", "env", "inputs", "needs", "exists", "plain"})
        if unknown:
            raise InputError(f"build step {name}: unknown field {unknown[0]!r}.")
        commands = raw.get("commands")
        if (
            not isinstance(commands, Sequence)
            or isinstance(commands, str)
            or not commands
            or any(isinstance(command, str) or not command for command in commands)
        ):
            raise InputError(f"build step {name}: 'commands' must be a list of argument lists.")
        return cls(
            name=name,
            label=str(raw.get("label", name)),
            commands=tuple(tuple(str(word) for word in command) for command in commands),
            cwd=str(raw.get("cwd", "@out@")),
            env={str(key): str(value) for key, value in dict(raw.get("env", {})).items()},
            inputs=tuple(str(path) for path in raw.get("inputs", ())),
            needs=tuple(str(need) for need in raw.get("needs", ())),
            exists=tuple(str(word) for word in raw.get("exists", ())),
            plain=bool(raw.get("plain", False)),
        )


def parse_steps(raw: Iterable[Mapping[str, Any]]) -> dict[str, Step]:
    """Return the steps by name; raise InputError for twins, unknown needs and cycles."""
    steps: dict[str, Step] = {}
    for item in raw:
        step = Step.from_dict(item)
        if step.name in steps:
            raise InputError(f"build step {step.name} is listed twice.")
        steps[step.name] = step
    for step in steps.values():
        for need in step.needs:
            if need not in steps:
                raise InputError(f"build step {step.name} needs {need}, which is not a step.")
    try:
        TopologicalSorter({step.name: step.needs for step in steps.values()}).prepare()
    except CycleError as exc:
        raise InputError(f"build steps need each other in a circle: {' -> '.join(exc.args[1])}.") from exc
    return steps


def keys_of(
    steps: Mapping[str, Step], digest_of_input: Callable[[str], str], salt: Sequence[str] = ()
) -> dict[str, str]:
    """Return each step's key. ``digest_of_input`` gives the hash of an input's content."""
    keys: dict[str, str] = {}
    for name in TopologicalSorter({step.name: step.needs for step in steps.values()}).static_order():
        step = steps[name]
        recipe = {
            "name": step.name,
            "commands": step.commands,
            "cwd": step.cwd,
            "env": dict(sorted(step.env.items())),
            "inputs": [(path, digest_of_input(path)) for path in step.inputs],
            "needs": [(need, keys[need]) for need in step.needs],
            "salt": list(salt),
        }
        keys[name] = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    return keys


def needed_for(steps: Mapping[str, Step], goals: Sequence[str], is_there: Callable[[str], bool]) -> list[str]:
    """Return what must be built for ``goals``, needs first.

    A goal that is there hides what it needs: with the node image at hand nobody asks for the compilers' output.
    """
    for goal in goals:
        if goal not in steps:
            raise InputError(f"build goal {goal} is not a step; the steps are {', '.join(sorted(steps))}.")
    wanted: dict[str, tuple[str, ...]] = {}
    todo = list(goals)
    while todo:
        name = todo.pop()
        if name in wanted or is_there(name):
            continue
        wanted[name] = steps[name].needs
        todo.extend(steps[name].needs)
    return [name for name in TopologicalSorter(wanted).static_order() if name in wanted]


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace the tokens of :class:`Step` in ``text``; ``values`` maps ``out``, ``key:NAME`` and so on."""

    def value(match: re.Match[str]) -> str:
        token = match.group(1) if match.group(2) is None else f"{match.group(1)}:{match.group(2)}"
        if token not in values:
            raise InputError(f"build step: unknown token @{token}@ in {text!r}; only needed steps can be named.")
        return values[token]

    return _TOKEN.sub(value, text)


def environment_of(inherited: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return what a build's commands inherit: all but what would choose a compiler's programs, and ``own``."""
    return {name: value for name, value in inherited.items() if not _COMPILER.fullmatch(name)} | dict(own)


def caller_of(uid: int, environment: Mapping[str, str]) -> tuple[int, int] | None:
    """Return the user and the group of who called sudo to be root, or None when nobody did, or root itself."""
    user, group = environment.get("SUDO_UID", ""), environment.get("SUDO_GID", "")
    if uid != 0 or not (user.isdecimal() and group.isdecimal()) or int(user) == 0:
        return None
    return int(user), int(group)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Runs a module of kubernetes.core in a fork, where that means the same: see _forked.py.

Importing the Kubernetes client is most of what such a task takes. Here all forks have it from the first task on.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.executor import module_common
from ansible.plugins.action import ActionBase
from ansible_collections.trustmesh.spiffe.plugins.plugin_utils._forked import Forked

COLLECTION = "ansible_collections.kubernetes.core.plugins"
MERGE_PATCH = "application/merge-patch+json"
# Plugins of it that use the client in Ansible's own process, which would leave its connections to a fork.
USERS = tuple(f"{COLLECTION}.{kind}." for kind in ("inventory", "lookup"))


def module_of(name: str) -> ModuleType | None:
    """Return kubernetes.core's module with its client, or nothing where that cannot be: a new Python then says why."""
    try:
        # Its modules import it, or what they need of it, when they are at work.
        for needed in ("kubernetes.client.rest", "kubernetes.config", "kubernetes.dynamic"):
            importlib.import_module(needed)
        return importlib.import_module(f"{COLLECTION}.modules.{name}")
    except Exception:
        return None


class _Missing(ActionBase):
    """In the place of an action of kubernetes.core where that is not installed."""

    def run(self, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        raise AnsibleActionFail(
            "The collection kubernetes.core is not installed. Do so: ansible-galaxy collection install kubernetes.core"
        )


def action_of(name: str) -> type[ActionBase]:
    """Return kubernetes.core's action, or one that says that it is missing."""
    try:
        action: type[ActionBase] = importlib.import_module(f"{COLLECTION}.action.{name}").ActionModule
    except ImportError:
        return _Missing
    return action


def ask_once(client: Any, serializer: Any) -> None:
    """Let a class of clients ask for an object once, until something is written, and not write what is there.

    The module reads an object that is as it is to be three times (module_utils/k8s/runner.py and apply.py of
    kubernetes.core 6), and writes it whenever it holds a list, equal or not; an API server takes some milliseconds for
    each. It is for the child of one task, and not for one that waits: that looks again to see something else.

    ``serializer`` is what the client makes of an answer where nothing else is asked for.
    """
    ask = client.request
    known: dict[tuple[str, str, str], Any] = {}

    def request(self: Any, method: str, path: str, body: Any = None, **options: Any) -> Any:
        raw, wanted = not options.pop("serialize", True), options.pop("serializer", serializer)
        answer = None
        if method.upper() == "GET":
            question = (path, repr(body), repr(sorted(options.items())))
            if question not in known:
                known[question] = ask(self, method, path, body=body, serialize=False, **options)
            answer = known[question]
        elif method.upper() == "PATCH" and options.get("content_type") == MERGE_PATCH:
            held = known.get((path, "None", "[]"))
            answer = held if held is not None and _is_there(body, json.loads(held.data)) else None
        if answer is None:
            known.clear()
            answer = ask(self, method, path, body=body, serialize=False, **options)
        if raw:
            return answer
        try:
            return wanted(self, json.loads(answer.data))
        except ValueError:
            return answer.data.decode()

    client.request = request


def _is_there(patch: Any, held: Any) -> bool:
    """Whether a merge patch leaves an object as it is. Compared as JSON, for which 1 and true are not the same."""
    return json.dumps(_patched(held, patch), sort_keys=True) == json.dumps(held, sort_keys=True)


def _patched(held: Any, patch: Any) -> Any:
    """Return what a JSON Merge Patch makes of an object. Source: RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(held) if isinstance(held, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _patched(result.get(name), value)
    return result


class OfKubernetesCore(Forked):
    """Makes kubernetes.core's own action, which comes after this class, run the module ``name`` in a fork."""

    name: str
    _task: Any

    # Theirs says that it does, and Ansible then makes a folder for each task and removes it. A module that is packed
    # gets one in any case.
    TRANSFERS_FILES = False

    _finalized: frozenset[str] = frozenset()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Before 2.19 what is given as omit is still among the arguments here, and later it is among the finalized.
        self._written = frozenset(self._task.args) | self._finalized

    @classmethod
    @contextlib.contextmanager
    def get_finalize_task_args_context(cls) -> Iterator[Any]:
        cls._finalized = frozenset()
        with super().get_finalize_task_args_context() as context:
            yield context

    @classmethod
    def finalize_task_arg(cls, name: str, *args: Any) -> Any:
        cls._finalized |= {name}
        return super().finalize_task_arg(name, *args)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        # A copy: what is shown of the task has the name that it was written with. By this one, their action knows what
        # it is for, and errors are in the words that users know.
        task = self._task.copy(exclude_parent=True)
        task._parent = self._task._parent
        task.action = f"kubernetes.core.{self.name}"
        task.args = self._with_defaults(task)
        self._task = task
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def _work(self, module: ModuleType, arguments: bytes) -> None:
        if "wait" not in self._task.args:
            client = importlib.import_module("kubernetes.dynamic.client")
            ask_once(client.DynamicClient, client.ResourceInstance)
        # By the parser of Ansible's own files, where it is there: the other one is written in Python.
        yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        super()._work(module, arguments)

    def _with_defaults(self, task: Any) -> dict[str, Any]:
        """Return the task's arguments over what a user gives kubernetes.core's module, or its group, as defaults.

        As ever, what a task gives as omit is not even given by default.
        """
        args: dict[str, Any]
        if hasattr(module_common, "_apply_action_arg_defaults"):
            args = module_common._apply_action_arg_defaults(task.action, task, task.args, self._templar)
        else:  # ansible-core before 2.19
            groups = task._parent._play._action_groups
            args = module_common.get_action_args_with_defaults(
                task.action, task.args, task.module_defaults, self._templar, action_groups=groups
            )
        return {name: value for name, value in args.items() if name in task.args or name not in self._written}

    def _is_the_same(self, task_vars: dict[str, Any]) -> bool:
        # Its turbo mode has a server of its own, for which its modules decide when they are imported.
        turbo = os.environ.get("ENABLE_TURBO_MODE")
        used = any(name.startswith(USERS) for name in sys.modules)
        return not turbo and not used and super()._is_the_same(task_vars)

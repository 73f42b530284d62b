# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the control node and not as a module, because only an action can show progress while it works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.engine import Builder
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.steps import parse_steps
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError

display = Display()


class ActionModule(ActionBase):
    """The action behind trustmesh.spiffe.artifact_build."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "steps": {"type": "list", "elements": "dict", "required": True},
                "goals": {"type": "list", "elements": "str", "required": True},
                "files": {"type": "path", "required": True},
                "cache": {"type": "path", "required": True},
                "env": {"type": "dict", "default": {}},
                "salt": {"type": "list", "elements": "str", "default": []},
                "programs": {"type": "dict", "default": {}},
                "jobs": {"type": "int", "default": 2},
                "links": {"type": "dict", "default": {}},
                "times_file": {"type": "path"},
            }
        )
        try:
            builder = Builder(
                steps=parse_steps(args["steps"]),
                files=Path(args["files"]),
                cache=Path(args["cache"]),
                tell=lambda line: display.display(f"  {line}"),
                jobs=max(1, args["jobs"]),
                env={str(key): str(value) for key, value in args["env"].items()},
                salt=args["salt"],
                programs={str(key): str(value) for key, value in args["programs"].items()},
            )
            missing = builder.missing(args["goals"])
            if missing and not self._task.check_mode:
                labels = ", ".join(builder.steps[name].label for name in missing)
                display.display(f"  to build: {labels}")
                builder.build(missing)
                _record_times(args["times_file"], builder.seconds)
            relinked = builder.link(args["links"], only_tell=self._task.check_mode)
        except TrustmeshError as error:
            raise AnsibleActionFail(error.message, result=error.details) from error
        result.update(
            changed=bool(missing or relinked),
            built=missing,
            linked=relinked,
            artifacts={name: {"key": builder.keys[name], "path": str(builder.path(name))} for name in builder.steps},
        )
        return result


def _record_times(path: str | None, seconds: dict[str, float]) -> None:
    """Add the seconds of each step to the file, so that a cold set-up can be read step by step afterwards."""
    if not path:
        return
    file = Path(path)
    known = json.loads(file.read_text()) if file.exists() else {}
    known.update({name: round(value, 1) for name, value in seconds.items()})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")

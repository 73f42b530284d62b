# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the control node and not as a module: a shell of the machine does the work, in one connection."""

from __future__ import annotations

import shlex
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._machine.run import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed


class ActionModule(ActionBase):
    """The action behind trustmesh.spiffe.machine_files."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, params = self.validate_argument_spec(argument_spec=spec().options)
        try:
            outcome = run(params, self._task.check_mode, self._task.diff, self._shell_of_machine)
        except TrustmeshError as error:
            raise AnsibleActionFail(error.message, result=error.details) from error
        result |= {**outcome.result, "changed": outcome.changed}
        return result if outcome.diff is None else {**result, "diff": outcome.diff}

    def _shell_of_machine(self, command: list[str], asked: bytes) -> Completed:
        # As input and not as words of the command: those are seen by everybody on the machine, and may be keys.
        answer = self._low_level_execute_command(shlex.join(command), in_data=asked)
        return Completed(tuple(command), answer["rc"], answer["stdout"], answer["stderr"])

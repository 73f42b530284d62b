# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the control node and not as a module, because only an action can show progress while it works."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.run import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import TrustmeshError

display = Display()


class ActionModule(ActionBase):
    """The action behind trustmesh.spiffe.artifact_build."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, params = self.validate_argument_spec(argument_spec=spec().options)
        try:
            outcome = run(params, self._task.check_mode, lambda line: display.display(f"  {line}"))
        except TrustmeshError as error:
            raise AnsibleActionFail(error.message, result=error.details) from error
        return {**result, **outcome.result, "changed": outcome.changed}

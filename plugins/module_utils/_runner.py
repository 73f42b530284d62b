# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The one place where a use case meets AnsibleModule: parameters go in, an outcome or an error comes out."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import remove_temporaries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._input import unclean


@dataclass
class Outcome:
    """What a use case reports: whether it changed (or would change) something, the diff, and its return keys."""

    changed: bool = False
    diff: dict[str, Any] | list[dict[str, Any]] | None = None
    warnings: list[str] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)


UseCase = Callable[[Mapping[str, Any], bool], Outcome]
"""Takes the validated parameters and whether this is check mode."""


def run_module(spec: ArgumentSpec, use_case: UseCase) -> None:
    """Run ``use_case`` as an Ansible module. Never returns."""
    module = spec.create_module()
    # What a task reads it needs until its end: to look for garbage in thousands of values only costs time.
    gc.disable()
    try:
        _run(module, use_case, spec.free)
    finally:
        remove_temporaries()
        gc.enable()  # the process may be kept for the next task


def _run(module: AnsibleModule, use_case: UseCase, free: Collection[str] = ()) -> None:
    try:
        wrong = unclean(module.params, free)
        if wrong:
            raise InputError(" ".join(wrong))
        outcome = use_case(module.params, module.check_mode)
    except TrustmeshError as error:
        module.fail_json(msg=error.message, exception=traceback.format_exc(), **error.details)
    for warning in outcome.warnings:
        module.warn(warning)
    result = dict(outcome.result, changed=outcome.changed)
    if module._diff and outcome.diff is not None:
        result["diff"] = outcome.diff
    module.exit_json(**result)

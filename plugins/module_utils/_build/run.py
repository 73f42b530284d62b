# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of artifact_build: read the steps, see what is missing, build and link it, telling how far it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.engine import Builder
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.steps import parse_steps
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import replace
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome


def spec() -> ArgumentSpec:
    """Return the options of artifact_build."""
    return ArgumentSpec(
        options={
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


def run(params: Mapping[str, Any], check_mode: bool, tell: Callable[[str], None]) -> Outcome:
    """Build what the goals lack. ``tell`` shows a line to the user while it goes on."""
    builder = Builder(
        steps=parse_steps(params["steps"]),
        files=Path(params["files"]),
        cache=Path(params["cache"]),
        tell=tell,
        jobs=max(1, params["jobs"]),
        env={str(key): str(value) for key, value in params["env"].items()},
        salt=params["salt"],
        programs={str(key): str(value) for key, value in params["programs"].items()},
    )
    missing = builder.missing(params["goals"])
    if missing and not check_mode:
        tell(f"to build: {', '.join(builder.steps[name].label for name in missing)}")
        builder.build(missing)
        _record_times(params["times_file"], builder.seconds)
    linked = builder.link(params["links"], only_tell=check_mode)
    return Outcome(
        changed=bool(missing or linked),
        result={
            "built": missing,
            "linked": linked,
            "artifacts": {
                name: {"key": builder.keys[name], "path": str(builder.path(name))} for name in builder.steps
            },
        },
    )


def _record_times(path: str | None, seconds: dict[str, float]) -> None:
    """Add the seconds of each step to the file, so that a cold set-up can be read step by step afterwards."""
    if not path:
        return
    file = Path(path)
    known = json.loads(file.read_text()) if file.exists() else {}
    known.update({name: round(value, 1) for name, value in seconds.items()})
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, json.dumps(known, indent=2, sort_keys=True) + "\n", 0o644)

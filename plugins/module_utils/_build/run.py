# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of artifact_build: read the steps, see what is missing, build and link it, telling how far it is."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.engine import Builder, Caller
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.steps import caller_of, parse_steps
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.client import module_sources, refuse_loose_folders, walk
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.plan import Folder, can_reach
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
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
    _refuse_loose(builder, params["links"])
    with _only_owner_writes(), _cache_can_be_written(params["cache"]):
        missing = builder.missing(params["goals"])
        if missing and not check_mode:
            tell(f"to build: {', '.join(builder.steps[name].label for name in missing)}")
            # Where modules come from may hold a password. It goes from Go to Go, and into no result.
            builder.env = {**module_sources(builder.programs), **builder.env}
            builder.caller = _caller(builder, params["programs"].values(), tell)
            builder.build(missing)
            _record_times(params["times_file"], builder.seconds)
        linked = builder.link(params["links"], only_tell=check_mode)
        if not check_mode:
            builder.remember()
            _refuse_loose(builder, params["links"])  # what was not there before, somebody else may have made meanwhile
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


def _refuse_loose(builder: Builder, links: Mapping[str, str]) -> None:
    """Refuse results and folders of links that others could change."""
    refuse_loose_folders(
        [
            *(Folder(str(place), "trustmesh_cache_dir") for place in _places(builder)),
            *(Folder(str(Path(link).parent), "trustmesh_build_dir") for link in links),
        ]
    )


def _places(builder: Builder) -> Iterator[Path]:
    """Yield what is run, and what the compiler takes for its own work of another day."""
    yield builder.cache
    yield builder.cache / "go"
    yield from map(builder.path, builder.steps)


def _caller(builder: Builder, programs: Iterable[str], tell: Callable[[str], None]) -> Caller | None:
    """Return as whom to compile, or None for root, with a line that says why."""
    caller = caller_of(os.geteuid(), os.environ)
    if caller is None:
        return None
    uid, gid = caller
    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError:
        tell(f"compiling as root: uid {uid}, who called sudo, has no entry in passwd")
        return None
    for place in (str(builder.cache), str(builder.files), *programs):
        closed = can_reach(walk(place)[0], uid)
        if closed:
            tell(f"compiling as root: {closed} is closed to uid {uid}, who called sudo")
            return None
    kept = builder.cache / "go"  # what the compiler keeps from one build to the next
    kept.parent.mkdir(parents=True, exist_ok=True)
    try:
        kept.mkdir()
        handle = os.open(kept, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        os.fchown(handle, uid, gid)
        os.close(handle)
    except FileExistsError:
        owner = kept.lstat().st_uid
        if owner != uid:
            tell(f"compiling as root: {kept} is of uid {owner}. Remove it, and uid {uid}, who called sudo, compiles instead")
            return None
    return Caller(uid, gid, home)


@contextlib.contextmanager
def _only_owner_writes() -> Iterator[None]:
    """What is built is read and run by all, and written by its owner only, whatever umask the caller has."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _cache_can_be_written(cache: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise InputError(
            f"{error.filename or cache} cannot be written by uid {os.geteuid()}: {error.strerror}. What root has built "
            f"belongs to root. Run this as root, or set trustmesh_cache_dir and trustmesh_build_dir to folders of your own."
        ) from error


def _record_times(path: str | None, seconds: dict[str, float]) -> None:
    """Add the seconds of each step to the file, so that a cold set-up can be read step by step afterwards."""
    if not path:
        return
    file = Path(path)
    known = json.loads(file.read_text()) if file.exists() else {}
    known.update({name: round(value, 1) for name, value in seconds.items()})
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, json.dumps(known, indent=2, sort_keys=True) + "\n", 0o644)

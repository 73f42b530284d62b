# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Looks at folders on the way to what is run, and asks Go where modules come from. ``plan`` says what is trusted."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.plan import (
    Component,
    Folder,
    Trusted,
    fault_of,
    refuse,
    trusted_uids,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess

# What says where modules come from. What else can be set of Go names programs to run, and stays behind.
_GO_SETTINGS = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOTOOLCHAIN")
_GO_TIMEOUT_S = 15.0

_MOST_LINKS = 40
"""As many symbolic links as the kernel follows in one path. Source: path_resolution(7)."""


def refuse_loose_folders(folders: Iterable[Folder]) -> None:
    """Raise InputError for folders that others than root and who runs this can change. Yet to be made is fine."""
    uids = trusted_uids(os.geteuid(), os.environ)
    gids = _private_groups(uids)
    faults = []
    for folder in folders:
        components, whole = walk(folder.path)
        names = {uid: name for uid in {*uids, *(one.uid for one in components)} if (name := _name(uid))}
        faults.append(fault_of(replace(folder, whole=whole), components, Trusted(uids, gids, names)))
    refuse(faults)


def walk(path: str) -> tuple[list[Component], bool]:
    """Return the folders and links through which the kernel comes to ``path``, and whether it is there to its end."""
    todo = _parts(Path.cwd() / path)
    here, links = Path("/"), 0
    found = [_component(here)]
    while todo:
        part = todo.pop(0)
        if part == "..":
            here = here.parent
            continue
        try:
            component = _component(here / part)
        except (FileNotFoundError, NotADirectoryError):
            return found, False
        except OSError as error:
            raise InputError(f"{path}: {here / part} cannot be looked at: {error.strerror}.") from error
        found.append(component)
        if not stat.S_ISLNK(component.mode):
            here /= part
            continue
        links += 1
        if links > _MOST_LINKS:
            raise InputError(f"{path}: symbolic links lead in a circle at {component.path}.")
        target = (here / part).readlink()
        todo = _parts(target) + todo
        here = Path("/") if target.is_absolute() else here
    # The way may have gone back by «..»: what counts by its own mode is where it ended.
    return [*found, _component(here)], True


def _parts(path: Path) -> list[str]:
    return [part for part in path.parts if part != "/"]


def _component(path: Path) -> Component:
    about = path.lstat()
    return Component(str(path), about.st_uid, about.st_gid, about.st_mode)


def _name(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return ""


def _private_groups(uids: Iterable[int]) -> frozenset[int]:
    """Return the groups in which nobody but these users is: root's, and those that are called as their only user."""
    found = {0}
    for uid in uids:
        with contextlib.suppress(KeyError):
            user = pwd.getpwuid(uid)
            group = grp.getgrgid(user.pw_gid)
            if group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}:
                found.add(user.pw_gid)
    return frozenset(found)


def folders_of(listed: Sequence[dict[str, str | None]]) -> list[Folder]:
    """Return the folders that an option lists."""
    return [Folder(str(each["path"]), str(each.get("set_by") or "")) for each in listed]


def module_sources(programs: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the Go compiler among ``programs`` that say where modules come from; none without one."""
    try:
        process = LocalProcess(env={"GOFLAGS": ""})
        answer = process.run([programs.get("go") or "go", "env", *_GO_SETTINGS], timeout=_GO_TIMEOUT_S)
    except ProcessError:
        return {}
    return {name: value for name, value in zip(_GO_SETTINGS, answer.stdout.splitlines(), strict=False) if value}

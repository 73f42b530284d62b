# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What of this host is trusted to be run: folders that nobody else can change, and where programs are looked for.

The rule for folders is that of ssh: on the way to what is run, each folder and each symbolic link belongs to root, to
who runs this, or to who called sudo, and nobody else can write to it.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/snap/bin")
"""Where root's programs are, whatever PATH the caller had."""

GO_PLACES = ("/usr/local/go/bin", "/usr/lib/go/bin")
"""Where Go is put that is not on PATH."""

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True)
class Component:
    """A part of a path as it is on disk: a folder, or a symbolic link that the path goes through."""

    path: str
    uid: int
    gid: int
    mode: int
    """With the kind of file, as ``lstat`` gives it."""


@dataclass(frozen=True)
class Trusted:
    """Who may own and write: users, and groups in which nobody else is."""

    uids: frozenset[int]
    gids: frozenset[int] = frozenset()
    names: Mapping[int, str] | None = None
    """Of owners, for messages."""

    def name(self, uid: int, *more: str) -> str:
        """Return how a message calls a user, with ``more`` to be said in the same brackets."""
        name = (self.names or {}).get(uid)
        words = ", ".join([f"uid {uid}", *more])
        return f"{name} ({words})" if name else words


@dataclass(frozen=True)
class Folder:
    """A folder out of which something is run. ``set_by`` is the variable that chooses it, where there is one."""

    path: str
    set_by: str = ""
    whole: bool = True
    """Whether it is there itself, so that its own mode counts, or only what leads to it so far."""


def trusted_uids(uid: int, environment: Mapping[str, str]) -> frozenset[int]:
    """Return who may own what is run: root, who runs this, and who called sudo to be root."""
    caller = environment.get("SUDO_UID", "") if uid == 0 else ""
    return frozenset({0, uid} | ({int(caller)} if caller.isdecimal() else set()))


def fault_of(folder: Folder, components: Sequence[Component], trusted: Trusted) -> tuple[str, str] | None:
    """Return the first component that somebody else could change, and what to say of it, or None."""
    for number, component in enumerate(components, start=1):
        why = _why(component, trusted, last=folder.whole and number == len(components))
        if why:
            return component.path, _message(folder, component, why, trusted)
    return None


def _why(component: Component, trusted: Trusted, last: bool) -> str:
    if component.uid not in trusted.uids:
        return "owner"
    if stat.S_ISLNK(component.mode):
        return ""  # a link has no mode of its own
    others = bool(component.mode & stat.S_IWOTH)
    group = bool(component.mode & stat.S_IWGRP) and component.gid not in trusted.gids
    # In a folder such as /tmp nobody can rename what is another's. What is to be run must not lie in it all the same.
    if (others or group) and (last or not component.mode & stat.S_ISVTX):
        return "everybody" if others else "group"
    return ""


def _message(folder: Folder, component: Component, why: str, trusted: Trusted) -> str:
    mode = f"mode {stat.S_IMODE(component.mode):04o}"
    kind = "symbolic link" if stat.S_ISLNK(component.mode) else "folder"
    where = "" if component.path == folder.path else f", on the way to {folder.path},"
    another = f"choose another folder with {folder.set_by}" if folder.set_by else "use a folder of your own"
    if why == "owner":
        allowed = " or ".join(trusted.name(uid) for uid in sorted(trusted.uids))
        option = " -h" if kind == "symbolic link" else ""
        return (
            f"The {kind} {component.path}{where} belongs to {trusted.name(component.uid, mode)}, who could replace "
            f"what is run from there. It must belong to {allowed}: {another}, or look at what is in it and then run "
            f"chown{option} root {component.path}."
        )
    who = "everybody" if why == "everybody" else f"all of the group with gid {component.gid}"
    told = (
        f"The {kind} {component.path}{where} can be written to by {who} (owner {trusted.name(component.uid)}, {mode}), "
    )
    told += "and so could what is run from there. "
    if component.mode & stat.S_ISVTX:  # it is meant to be so
        return f"{told}{another[0].upper()}{another[1:]}, such as one that you make in it."
    return f"{told}Look at what is in it and then run chmod go-w {component.path}, or {another}."


def can_reach(components: Sequence[Component], uid: int) -> str:
    """Return the first folder that ``uid`` may not pass, or nothing when it may pass all. Groups are left out."""
    for component in components:
        allowed = stat.S_IXUSR if component.uid == uid else stat.S_IXOTH
        if not stat.S_ISLNK(component.mode) and not component.mode & allowed:
            return component.path
    return ""


def refuse(faults: Sequence[tuple[str, str] | None]) -> None:
    """Raise InputError that says every fault, each component once."""
    messages: dict[str, str] = {}
    for place, message in filter(None, faults):
        messages.setdefault(place, message)
    if messages:
        raise InputError("\n".join(messages.values()))


def search_path(uid: int, inherited: str, first: Sequence[str] = ()) -> str:
    """Return the PATH in which programs are looked for.

    Root does not follow a PATH that came from a plain user's shell through sudo. Others keep theirs, with the folders
    behind it in which Debian has what engines call.
    """
    folders = [*first, *(SYSTEM_PATH if uid == 0 else (*inherited.split(":"), *_SBIN))]
    # An empty word in a PATH is the current folder.
    return ":".join(dict.fromkeys(folder for folder in folders if folder.startswith("/")))

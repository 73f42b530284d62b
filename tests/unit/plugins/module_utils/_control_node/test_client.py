# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a folder, read from the disk as the kernel goes it."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node import client
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.client import refuse_loose_folders, walk
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.plan import Folder
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError


def paths(path: str) -> list[str]:
    return [component.path for component in walk(path)[0]]


def test_links_are_followed_and_are_part_of_the_way(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "link" / "deep")
    found = paths(f"{tmp_path}/link/back/../deep")
    assert found[0] == "/"
    for name in ("link", "real", "real/back", "real/deep"):
        assert str(tmp_path / name) in found
    assert found[-1] == str(tmp_path / "real" / "deep")


def test_what_is_not_there_yet_ends_the_way(tmp_path: Path) -> None:
    components, whole = walk(f"{tmp_path}/a/b")
    assert (components[-1].path, whole) == (str(tmp_path), False)
    (tmp_path / "to-nowhere").symlink_to("a")
    assert walk(f"{tmp_path}/to-nowhere")[1] is False


def test_links_in_a_circle_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="symbolic links lead in a circle"):
        walk(str(tmp_path / "a"))


def test_the_folders_of_this_very_test_are_trusted(tmp_path: Path) -> None:
    refuse_loose_folders([Folder(str(tmp_path)), Folder(str(tmp_path / "yet" / "to" / "be"))])


def test_a_loose_folder_behind_a_link_is_refused(tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    (loose / "bin").mkdir(parents=True)
    loose.chmod(0o777)
    (tmp_path / "link").symlink_to("loose/bin")
    with pytest.raises(
        InputError, match=f"The folder {loose}, on the way to {tmp_path}/link, can be written to by everybody"
    ):
        refuse_loose_folders([Folder(str(tmp_path / "link"))])
    loose.chmod(0o755)
    refuse_loose_folders([Folder(str(tmp_path / "link"))])


def test_the_user_who_called_sudo_is_trusted_by_root_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    about = tmp_path.stat()
    for other in (about.st_uid + 1000, about.st_uid):
        monkeypatch.setenv("SUDO_UID", str(other))
        own = [component for component in walk(str(tmp_path))[0] if component.uid not in (0, other)]
        if own:
            with pytest.raises(InputError, match="belongs to"):
                refuse_loose_folders([Folder(str(tmp_path))])
        else:
            refuse_loose_folders([Folder(str(tmp_path))])


@pytest.mark.parametrize(
    ("group", "members", "own"),
    [("me", [], True), ("me", ["me"], True), ("me", ["me", "mallory"], False), ("users", [], False)],
)
def test_a_group_is_ones_own_by_its_name_and_its_members(
    monkeypatch: pytest.MonkeyPatch, group: str, members: list[str], own: bool
) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="me", pw_gid=uid))
    monkeypatch.setattr(grp, "getgrgid", lambda _gid: SimpleNamespace(gr_name=group, gr_mem=members))
    assert client._private_groups([1000]) == ({0, 1000} if own else {0})


def test_go_says_where_modules_come_from_and_no_program_of_somebody_else(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\nshift; for name; do case $name in GOPROXY) echo https://x;; *) echo;; esac; done\n")
    go.chmod(0o755)
    assert client.module_sources({"go": str(go)}) == {"GOPROXY": "https://x"}
    assert client.module_sources({"go": str(tmp_path / "nowhere")}) == {}

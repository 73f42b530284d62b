# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which folders are trusted to run something from, and where programs are looked for: the decisions."""

from __future__ import annotations

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.plan import (
    SYSTEM_PATH,
    Component,
    Folder,
    Trusted,
    can_reach,
    fault_of,
    refuse,
    search_path,
    trusted_uids,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

ME, OTHER, MY_GROUP, STAFF = 1000, 1001, 1000, 50
TRUSTED = Trusted(frozenset({0, ME}), frozenset({0, MY_GROUP}), {0: "root", ME: "me", OTHER: "mallory"})
FOLDER, LINK = 0o040000, 0o120000


def folder(path: str, uid: int = 0, gid: int = 0, mode: int = 0o755) -> Component:
    return Component(path, uid, gid, FOLDER | mode)


def fault(*components: Component, whole: bool = True, set_by: str = "trustmesh_build_dir") -> str:
    found = fault_of(Folder(components[-1].path, set_by, whole), components, TRUSTED)
    return found[1] if found else ""


@pytest.mark.parametrize(
    "components",
    [
        [folder("/"), folder("/root", mode=0o700), folder("/root/.cache")],
        [folder("/"), folder("/home"), folder("/home/me", ME, MY_GROUP, 0o750)],
        [folder("/"), folder("/home"), folder("/home/me", ME, MY_GROUP, 0o775)],  # umask 002, a group of one's own
        [folder("/"), folder("/runner", ME, 0, 0o775)],  # containers of platforms that choose the user
        [folder("/"), folder("/tmp", mode=0o1777), folder("/tmp/mine", ME, MY_GROUP, 0o700)],
        [folder("/"), Component("/work", 0, 0, LINK | 0o777), folder("/data")],
    ],
)
def test_ordinary_folders_are_trusted(components: list[Component]) -> None:
    assert fault(*components) == ""


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_folder_that_everybody_can_write_to_is_refused(mode: int) -> None:
    message = fault(folder("/"), folder("/w", ME, MY_GROUP, mode))
    assert message.startswith(
        f"The folder /w can be written to by everybody (owner me (uid 1000), mode {mode:04o}), and so could what is run"
    )
    assert message.endswith("run chmod go-w /w, or choose another folder with trustmesh_build_dir.")


def test_a_folder_on_the_way_counts_as_well() -> None:
    message = fault(folder("/"), folder("/w", ME, MY_GROUP, 0o777), folder("/w/build", ME))
    assert message.startswith("The folder /w, on the way to /w/build, can be written to by everybody")


def test_a_folder_that_a_group_of_several_can_write_to_is_refused() -> None:
    message = fault(folder("/"), folder("/srv", 0, STAFF, 0o775))
    assert "by all of the group with gid 50" in message


@pytest.mark.parametrize("kind", [FOLDER | 0o700, LINK | 0o777])
def test_what_belongs_to_another_is_refused_wherever_it_leads(kind: int) -> None:
    message = fault(folder("/tmp", mode=0o1777), Component("/tmp/build", OTHER, OTHER, kind), folder("/root"))
    assert "/tmp/build, on the way to /root, belongs to mallory (uid 1001, mode 0" in message
    assert "It must belong to root (uid 0) or me (uid 1000)" in message
    assert "choose another folder with trustmesh_build_dir" in message
    assert f"chown{' -h' if kind & LINK == LINK else ''} root /tmp/build" in message


def test_what_is_yet_to_be_made_below_tmp_is_fine_and_tmp_itself_is_not() -> None:
    assert fault(folder("/"), folder("/tmp", mode=0o1777), whole=False) == ""
    message = fault(folder("/"), folder("/tmp", mode=0o1777))
    assert "by everybody" in message
    assert message.endswith("Choose another folder with trustmesh_build_dir, such as one that you make in it.")
    assert "chmod" not in message, "it is meant to be so"


def test_where_no_variable_chooses_the_folder_the_message_names_none() -> None:
    assert fault(folder("/w", mode=0o777), set_by="").endswith("or use a folder of your own.")


def test_a_component_that_is_on_the_way_to_several_is_told_once() -> None:
    loose = ("/w", "The folder /w is loose.")
    with pytest.raises(InputError) as caught:
        refuse([loose, None, loose, ("/x", "The folder /x is loose.")])
    assert caught.value.message == "The folder /w is loose.\nThe folder /x is loose."
    refuse([None])


@pytest.mark.parametrize(
    ("uid", "environment", "trusted"),
    [
        (0, {}, {0}),
        (0, {"SUDO_UID": "1000"}, {0, 1000}),
        (0, {"SUDO_UID": "-1"}, {0}),
        (1000, {}, {0, 1000}),
        (1000, {"SUDO_UID": "1001"}, {0, 1000}),  # anybody can set a variable
    ],
)
def test_root_and_who_runs_it_are_trusted(uid: int, environment: dict[str, str], trusted: set[int]) -> None:
    assert trusted_uids(uid, environment) == trusted


def test_root_does_not_follow_the_path_of_the_caller() -> None:
    assert search_path(0, "/home/me/.local/bin:/usr/bin") == ":".join(SYSTEM_PATH)
    assert search_path(0, "/home/me/bin", ["/opt/go/bin"]) == ":".join(["/opt/go/bin", *SYSTEM_PATH])


def test_others_keep_their_path_without_the_current_folder() -> None:
    assert search_path(ME, "/home/me/bin::.:/usr/bin") == "/home/me/bin:/usr/bin:/usr/local/sbin:/usr/sbin:/sbin"


def test_who_can_pass_a_folder() -> None:
    home = folder("/home/me", ME, MY_GROUP, 0o700)
    assert can_reach([folder("/"), home], ME) == ""
    assert can_reach([folder("/"), home], OTHER) == "/home/me"
    assert can_reach([folder("/root", 0, 0, 0o700)], ME) == "/root"

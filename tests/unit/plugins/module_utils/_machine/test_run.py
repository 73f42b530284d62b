# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""machine_files, with a shell of this machine. That of others is in tests/integration/roles/test_machine.py."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._machine.run import run
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome

ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}
NOTHING = {"mode": None, "content": None, "src": None, "link": None, "validate": None, "secret": False}


def shell(command: list[str], asked: bytes) -> Completed:
    done = subprocess.run(command, input=asked, capture_output=True, check=False)
    return Completed(tuple(command), done.returncode, done.stdout.decode(), done.stderr.decode())


def files(*items: dict[str, Any], check: bool = False, diff: bool = False) -> Outcome:
    return run({"files": [{**NOTHING, **ME, **item} for item in items]}, check, diff, shell)


def mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o777:o}"


def test_all_is_made_at_once_and_only_what_differs_changes(tmp_path: Path) -> None:
    folder, file, link, key = (tmp_path / name for name in ("conf", "conf/agent.conf", "socket", "conf/tls.key"))
    (tmp_path / "made.key").write_bytes(b"\0\xff secret")
    wanted = [
        {"path": str(folder), "mode": "0750"},
        {"path": str(file), "mode": "0640", "content": "a = 'b' \"c\" $d\n\nend without a line break"},
        {"path": str(link), "link": "/run/spire"},
        {"path": str(key), "mode": "600", "src": str(tmp_path / "made.key"), "secret": True},
    ]
    paths = [str(path) for path in (folder, file, link, key)]
    foreseen = files(*wanted, check=True)
    assert (foreseen.result["paths"], folder.exists(), link.is_symlink()) == (paths, False, False)
    assert files(*wanted).result["paths"] == paths
    assert (mode(folder), mode(file), mode(key)) == ("750", "640", "600")
    assert file.read_text() == wanted[1]["content"]
    assert key.read_bytes() == b"\0\xff secret"
    assert link.readlink() == Path("/run/spire")
    assert not files(*wanted).changed
    assert sorted(folder.iterdir()) == [file, key]

    file.chmod(0o644)
    key.write_text("other")
    link.unlink()
    foreseen, real = files(*wanted, check=True, diff=True), files(*wanted, diff=True)
    assert foreseen.result["paths"] == real.result["paths"] == [str(file), str(link), str(key)]
    assert foreseen.diff == real.diff
    assert not files(*wanted).changed


def test_a_diff_shows_what_is_open_and_nothing_of_what_is_secret(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("one\n")
    (tmp_path / "key").write_text("old key\n")
    (tmp_path / "new").write_text("new key\n")
    diff = files(
        {"path": str(tmp_path / "open"), "mode": "0600", "content": "two\n"},
        {"path": str(tmp_path / "key"), "mode": "0600", "src": str(tmp_path / "new"), "secret": True},
        diff=True,
    ).diff
    assert isinstance(diff, list)
    assert [(one["before"], one["after"]) for one in diff] == [("one\n", "two\n"), ("", "(secret)\n")]


def test_a_program_comes_as_it_is_and_a_diff_says_how_large_it_is(tmp_path: Path) -> None:
    source, program, key = tmp_path / "source", tmp_path / "program", tmp_path / "key"
    source.write_bytes(bytes(range(256)) * 4096)
    wanted = [
        {"path": str(program), "mode": "0755", "src": str(source)},
        {"path": str(key), "mode": "0600", "content": "after it\n"},
    ]
    assert files(*wanted, check=True).result["paths"] == files(*wanted).result["paths"] == [str(program), str(key)]
    assert (program.read_bytes(), key.read_text()) == (source.read_bytes(), "after it\n")
    assert not files(*wanted).changed
    # One that is there is passed over, and what comes after it is not taken for a part of it.
    key.unlink()
    assert files(*wanted).result["paths"] == [str(key)]

    source.write_text("x" * 65537)
    outcome = files(*wanted, diff=True)
    assert isinstance(outcome.diff, list)
    assert (outcome.diff[0]["before"], outcome.diff[0]["after"]) == ("", "(no text, 65537 bytes)\n")
    assert program.read_text() == source.read_text()


def test_what_is_cut_off_replaces_nothing(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("old")

    def cut_off(command: list[str], asked: bytes) -> Completed:
        return shell(command, asked[:-1])

    item = {**NOTHING, **ME, "path": str(program), "mode": "0755", "content": "new"}
    with pytest.raises(TrustmeshError, match="did not come as a whole"):
        run({"files": [item]}, False, False, cut_off)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["old"]


def test_what_is_refused_replaces_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("old")
    items = [
        {"path": str(first), "mode": "0600", "content": "new"},
        {"path": str(second), "mode": "0600", "content": "bad", "validate": "echo no such word >&2; grep -q good %s"},
    ]
    with pytest.raises(TrustmeshError, match=r"second is refused by what checks it.*no such word"):
        files(*items)
    assert [path.name for path in tmp_path.iterdir()] == ["first"]
    assert first.read_text() == "old"
    items[1]["content"] = "good"
    assert files(*items).result["paths"] == [str(first), str(second)]


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("theirs")
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    files({"path": str(tmp_path / "file"), "mode": "0600", "content": "ours"})
    assert (tmp_path / "elsewhere").read_text() == "theirs"
    assert not (tmp_path / "file").is_symlink()
    (tmp_path / "folder").symlink_to(tmp_path)
    for item, words in (
        ({"path": str(tmp_path / "folder"), "mode": "0700"}, "folder is a link"),
        ({"path": str(tmp_path), "mode": "0700", "content": ""}, "is a folder"),
    ):
        with pytest.raises(TrustmeshError, match=words):
            files(item)


def test_what_is_still_to_be_made_changes_in_check_mode_and_is_missed_else(tmp_path: Path) -> None:
    item = {"path": str(tmp_path / "key"), "mode": "0600", "src": str(tmp_path / "to come"), "secret": True}
    assert files(item, check=True).changed
    with pytest.raises(InputError, match=r"files\[0\]\.src: .*to come is no file on the control node"):
        files(item)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"path": "conf", "mode": "0700"}, "files[0].path: 'conf' is not an absolute path"),
        ({"path": "/a b", "mode": "0700"}, "files[0].path: '/a b' is not"),
        ({"path": "/a/../etc", "mode": "0700"}, "leads elsewhere"),
        ({"path": "/a"}, "files[0].mode: '' is not three octal digits"),
        ({"path": "/a", "mode": "rwx"}, "files[0].mode: 'rwx' is not"),
        ({"path": "/a", "mode": "0700", "owner": "a;b"}, "files[0].owner: 'a;b' is not the name of an account"),
        ({"path": "/a", "mode": "0700", "content": "", "link": "/b"}, "content and link are given"),
        ({"path": "/a", "mode": "0700", "validate": "true %s"}, "validate is a command for a file"),
        ({"path": "/a", "mode": "0700", "content": "", "validate": "true"}, "with %s in the place of its path"),
        ({"path": "/a", "link": "b"}, "files[0].link: 'b' is not an absolute path"),
    ],
)
def test_bad_items_are_refused(item: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        files(item)
    assert words in error.value.message

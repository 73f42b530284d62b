# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are replaced as a whole, and those that hold a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import SecretFile, replace


def test_a_file_is_replaced_as_a_whole_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old and longer")
    path.chmod(0o644)
    file = SecretFile.open(str(path))
    assert path.read_text() == "old and longer"
    file.commit("new")
    file.close()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["token"]


def test_without_commit_nothing_is_left(tmp_path: Path) -> None:
    SecretFile.open(str(tmp_path / "token")).close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        SecretFile.open(str(tmp_path / "none" / "token"))


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_text_takes_the_place_of_another_with_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "report"
    path.write_text("old and longer")
    replace(path, "nöw", mode)
    assert path.read_text(encoding="utf-8") == "nöw"
    assert path.stat().st_mode & 0o777 == mode
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_cannot_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        replace(tmp_path / "folder", "x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]

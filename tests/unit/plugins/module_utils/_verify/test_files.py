# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports are replaced as a whole, or the reason is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import files


def test_a_report_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    folder = tmp_path / "build" / "reports"
    files.prepare(folder)
    for text in ("first", "«second»"):
        files.replace(folder / "site.json", text)
    assert (folder / "site.json").read_text(encoding="utf-8") == "«second»"
    assert (folder / "site.json").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in folder.iterdir()] == ["site.json"]


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("")
    with pytest.raises(InputError, match=r"report_dir: .*/reports cannot be made a folder: .*Name another one"):
        files.prepare(tmp_path / "reports")


def test_a_folder_in_the_way_of_a_report_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "site.json").mkdir()
    with pytest.raises(TrustmeshError, match=r"The report .*site\.json could not be written"):
        files.replace(tmp_path / "site.json", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["site.json"]

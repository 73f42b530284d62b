# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a result answers for a file only as long as nobody has touched it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build import manifest


@pytest.fixture
def program(tmp_path: Path) -> Path:
    made = tmp_path / "envoy"
    made.write_bytes(b"program")
    manifest.write(tmp_path)
    return made


def test_a_file_that_was_built_is_known(program: Path, tmp_path: Path) -> None:
    known = hashlib.sha256(b"program").hexdigest()
    assert manifest.digest(program) == known
    link = tmp_path / "bin"
    link.symlink_to(program)
    assert manifest.digest(link) == known, "the folder of tools has links"


def test_one_that_was_replaced_is_not_though_it_looks_the_same(program: Path) -> None:
    about = program.stat()
    program.write_bytes(b"PROGRAM")
    os.utime(program, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert manifest.digest(program) is None


@pytest.mark.parametrize("kept", ["", "{}", '{"format": 1, "entries": {"envoy": 7}}', '{"format": 2, "entries": {}}'])
def test_what_cannot_be_read_says_nothing(program: Path, kept: str) -> None:
    (program.parent / manifest.NAME).write_text(kept)
    assert manifest.digest(program) is None
    (program.parent / manifest.NAME).unlink()
    assert manifest.digest(program) is None

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Writes the reports. A reader sees the old file or the new one, never a part of one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.trustmesh.spiffe.plugins.module_utils import _files
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def name_of(option: str, name: str) -> str:
    """Return the name by which reports are called, or refuse one that cannot be in a file's."""
    if not _FILE_NAME.fullmatch(name):
        raise InputError(
            f'{option}: "{name}" cannot name a file. Use letters, digits, dots, dashes and underscores,'
            " and a letter or digit first."
        )
    return name


def width(most: int) -> int:
    """The width of a table: that of the user's terminal if it is known, less what Ansible puts in front."""
    columns = os.environ.get("COLUMNS", "")
    return min(max(int(columns) - 8, 72), most) if columns.isdecimal() else most


def write(folder: Path, names: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """Write the texts of a report, each under its name, and return the paths."""
    paths = {kind: folder / names[kind] for kind in texts}
    for kind, text in texts.items():
        replace(paths[kind], text)
    return {kind: str(path) for kind, path in paths.items()}


def prepare(folder: Path) -> None:
    """Make the folder, or say why reports cannot be written into it before any time is spent on checks."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"report_dir: {folder} cannot be made a folder: {error.strerror}. Name another one."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"report_dir: {folder} is not writable for this user. Name another one.")


def replace(path: Path, text: str) -> None:
    """Put ``text`` in place of what ``path`` held. A report holds no secret, so everybody may read it."""
    try:
        _files.replace(path, text, 0o644)
    except OSError as error:
        raise TrustmeshError(f"The report {path} could not be written: {error.strerror}.") from error

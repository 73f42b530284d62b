# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What a result consisted of when it was built, kept with it and compared before it is used.

It finds what was cut short, replaced or has rotted. It is no signature: who can write to the result can write this too.

A file whose size, inode and times (of its content, and of its inode, which no program sets) are those of the last
look is taken as the same, and not read again: hashing everything would cost seconds in every run.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import replace

NAME = ".manifest.json"
_FORMAT = 1


@dataclass(frozen=True)
class Looked:
    """What came of a look: ``fault`` when it is not what was built, and the manifest to be kept when that is new."""

    fault: str = ""
    renewed: dict[str, Any] | None = None


def write(folder: Path) -> None:
    """Keep what is in ``folder`` now as what it is to be."""
    entries = {name: _entry(path, path.lstat()) for name, path in _contents(folder).items()}
    _keep(folder, {"format": _FORMAT, "entries": entries})


def look(folder: Path) -> Looked:
    """Compare ``folder`` with its manifest."""
    try:
        kept = json.loads((folder / NAME).read_text(encoding="utf-8"))
        entries: dict[str, Any] = kept["entries"]
        if kept["format"] != _FORMAT:
            return Looked("its manifest has another format")
    except FileNotFoundError:
        return Looked("it has no manifest")
    except (OSError, ValueError, KeyError, TypeError):
        return Looked("its manifest cannot be read")
    contents = _contents(folder)
    for name in sorted(entries.keys() ^ contents.keys()):
        return Looked(f"{name} is missing" if name in entries else f"{name} was not there when it was built")
    renewed = False
    for name, path in contents.items():
        wanted, about = entries[name], path.lstat()
        if wanted.get("seen") == _seen(about):
            continue
        found = _entry(path, about)
        if found["what"] != wanted.get("what"):
            return Looked(f"{name} is not what was built")
        entries[name] = found
        renewed = True
    return Looked(renewed=kept if renewed else None)


def digest(path: Path) -> str | None:
    """Return the SHA-256 of a file as it is kept, when it is one of a result and was not touched since it was looked at."""
    real = path.resolve()
    try:
        kept = json.loads((real.parent / NAME).read_text(encoding="utf-8"))
        entry = kept["entries"][real.name]
        same = kept["format"] == _FORMAT and entry["seen"] == _seen(real.lstat())
        return str(entry["what"]).partition("sha256:")[2] or None if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_renewed(folder: Path, looked: Looked) -> None:
    """Keep what was seen, so that the next look need not read the same files again."""
    if looked.renewed:
        _keep(folder, looked.renewed)


def _keep(folder: Path, manifest: dict[str, Any]) -> None:
    replace(folder / NAME, json.dumps(manifest, sort_keys=True) + "\n", 0o644)


def _contents(folder: Path) -> dict[str, Path]:
    """Return everything below ``folder`` that is no folder, by its name there."""
    found = {}
    for base, folders, files in os.walk(folder):
        for name in [*files, *(one for one in folders if Path(base, one).is_symlink())]:
            path = Path(base, name)
            found[str(path.relative_to(folder))] = path
    found.pop(NAME, None)
    return found


def _seen(about: os.stat_result) -> list[int]:
    return [about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns]


def _entry(path: Path, about: os.stat_result) -> dict[str, Any]:
    executable = "x" if about.st_mode & stat.S_IXUSR else "-"
    if stat.S_ISLNK(about.st_mode):
        what = f"link {os.readlink(path)}"
    elif stat.S_ISREG(about.st_mode):
        with path.open("rb") as file:
            what = f"{executable} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    else:
        what = "neither file nor link"
    return {"what": what, "seen": _seen(about)}

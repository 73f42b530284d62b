# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files are pages of the site, and where their links lead. Nothing but the standard library: the tests use it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from pathlib import Path

REPOSITORY = "https://github.com/trustmesh/spiffe"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.rst", "docs/*.md", "roles/*/README.md", "ee/README.md")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?\[(?:[^][]|\[[^][]*\])*\]\(|^\[[^]]+\]: )<?([^)\s>]+)>?", re.MULTILINE)


def linked(text: str, page: str, known: Collection[str], root: Path) -> str:
    """The text of a page with its links as they are on the site, where ``known`` are the pages, by their paths."""
    parts = FENCE.split(text)
    # Every second part is a block of code, in which nothing is a link.
    parts[::2] = [LINK.sub(lambda link: link[1] + _address(link, page, known, root), part) for part in parts[::2]]
    return "".join(parts)


def _address(link: re.Match[str], page: str, known: Collection[str], root: Path) -> str:
    address, sign, heading = link[2].partition("#")
    if in_repository := re.fullmatch(rf"{re.escape(REPOSITORY)}/(?:blob|tree)/main/(.+)", address):
        path = in_repository[1]
    elif not address or re.match(r"[a-z]+:", address):
        return link[2]
    else:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), address))
    if path in known:
        return posixpath.relpath(path, posixpath.dirname(page) or ".") + sign + heading
    if link[1].startswith("!"):
        return link[2]
    return f"{REPOSITORY}/{'tree' if (root / path).is_dir() else 'blob'}/main/{path}{sign}{heading}"

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the documentation as static pages: build/docs/html. `make docs` runs it, in an environment of its own.

Nothing is written twice. The pages are those of docs/, README.md and the roles' own; modules, roles and filters come
from their documentation, and the defaults of a role from its file. A warning is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pages

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "docs"
CONFIGURATION = ROOT / "docs" / "docsite" / "sphinx"
SOURCE, HTML = BUILD / "source", BUILD / "html"
COLLECTION = SOURCE / "collections" / "trustmesh" / "spiffe"
INSTALL = "Version 0.1.0 is not published. :doc:`/docs/start` tells how to install it."
ANTSIBULL = Path(sys.executable).with_name("antsibull-docs")


def run(*words: str | Path, **env: str) -> None:
    """Run a program, and end with it when it fails."""
    done = subprocess.run([str(word) for word in words], cwd=ROOT, env={**os.environ, **env}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def gather() -> None:
    """Put all pages into one folder, at the places that they have in the repository."""
    for folder in (SOURCE, HTML):
        shutil.rmtree(folder, ignore_errors=True)
    SOURCE.mkdir(parents=True, mode=0o700)  # antsibull-docs writes into a folder of its user alone
    for path in [path for pattern in pages.PAGES for path in ROOT.glob(pattern)]:
        there = SOURCE / path.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(path.read_text())
    shutil.copytree(ROOT / "docs" / "pictures", SOURCE / "docs" / "pictures")
    shutil.copy(CONFIGURATION / "index.md", SOURCE)


def fit() -> None:
    """Fit generated pages to the site: the theme has a table of contents, and nothing is published yet."""
    for path in COLLECTION.glob("*.rst"):
        text = re.sub(r"^\.\. contents::\n(?: +:.*\n)*", "", path.read_text(), flags=re.MULTILINE)
        path.write_text(re.sub(r"^    To install it use: .*$", f"    {INSTALL}", text, flags=re.MULTILINE))


def shorten(text: str) -> str:
    """Begin the page of a role with main, and tell its options once, where others have the same or fewer."""
    head, *parts = re.split(r"(?m)^(?=\.\. _ansible_collections\.\S+__entrypoint-)", text)
    parts[-1], sign, foot = parts[-1].partition(".. Extra links\n")
    first, *others = sorted(parts, key=lambda part: "__entrypoint-main:" not in part)
    (name,) = re.findall(r"__entrypoint-(\w+):", first)
    for number, part in enumerate(others):
        if options(part) <= options(first):
            cut = re.sub(r"(?ms)^\.\. Options\n.*?(?=^\.\. Attributes$)", "", part)
            others[number] = re.sub(r"#role:\w+:", f"#role:{name}:", cut)
    return "".join([head, first, *others, sign, foot])


def options(part: str) -> set[str]:
    """The options of an entry point, by the labels of its part of a page."""
    return set(re.findall(r"_role__parameter-\w+?__(\S+):$", part, re.MULTILINE))


def tell_defaults() -> None:
    """Let the page of a role also show its defaults as they stand, since some are expressions, and an example."""
    for path in COLLECTION.glob("*_role.rst"):
        role = path.name.removesuffix("_role.rst")
        text = (ROOT / "roles" / role / "defaults" / "main.yml").read_text()
        code = "".join(f"  {line}\n" if line else "\n" for line in text.removeprefix("---\n").splitlines())
        guide = f"`An example, and what it is for </roles/{role}/README>`"
        section = f"\n\nDefaults\n--------\n\n:doc:{guide}.\n\n.. code-block:: yaml+jinja\n\n{code}"
        path.write_text(shorten(path.read_text()).rstrip() + section)
        page = SOURCE / "roles" / role / "README.md"
        options = f"../../collections/trustmesh/spiffe/{path.name}"
        page.write_text(page.read_text().rstrip() + f"\n\n[All options and defaults]({options})\n")


def main() -> None:
    gather()
    # What it says of the text of pages Sphinx says too, and sooner.
    run(ANTSIBULL, "lint-collection-docs", "--plugin-docs", "--skip-rstcheck", "--check-extra-docs-refs", ROOT)
    run(ANTSIBULL, "collection", "--use-current", "--fail-on-error", "--dest-dir", SOURCE, "trustmesh.spiffe")
    fit()
    tell_defaults()
    words = ["-m", "sphinx", "-b", "html", "-j", "2", "--nitpicky", "--fail-on-warning", "--keep-going", "--quiet"]
    run(sys.executable, *words, "-d", BUILD / "cache", "-c", CONFIGURATION, SOURCE, HTML)
    print(f"The pages are in {HTML.relative_to(ROOT)}. The first one is index.html.")


if __name__ == "__main__":
    main()

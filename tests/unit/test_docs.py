# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages that people read: their links, and what the site makes of them."""

from __future__ import annotations

import importlib.util
import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "docsite"


def _pages() -> Any:
    spec = importlib.util.spec_from_file_location("docsite_pages", SITE / "pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = _pages()
ALL = sorted({path.relative_to(ROOT).as_posix() for each in pages.PAGES for path in ROOT.glob(each)})
MARKDOWN = [name for name in ALL if name.endswith(".md")]
SHOWN_ELSEWHERE = "README.md"
"""Galaxy and others show it without the rest of the repository."""


@cache
def prose(name: str) -> str:
    """A page without its blocks of code."""
    return "".join(pages.FENCE.split((ROOT / name).read_text())[::2])


@cache
def headings(name: str) -> set[str]:
    """The places of a page that links may name, as code hosts call them."""
    found: dict[str, int] = {}
    for line in re.findall(r"^#+ (.*)$", prose(name), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {f"{slug}-{number}" if number else slug for slug, last in found.items() for number in range(last + 1)}


def links(name: str) -> list[str]:
    """The addresses that a page links to, by labels that it defines, too."""
    return [found[2] for found in pages.LINK.finditer(prose(name))]


def fault(name: str, address: str) -> str:
    """What is wrong with a link of a page, if anything is."""
    target, _sign, heading = address.partition("#")
    here = re.fullmatch(rf"{re.escape(pages.REPOSITORY)}/(?:(blob|tree)/main/)(.+)", target)
    if here:
        path = here[2]
        if (here[1] == "tree") != (ROOT / path).is_dir() and (ROOT / path).exists():
            return "a folder is below tree/, a file below blob/"
    elif re.match(r"[a-z]+:", target):
        return ""
    else:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) if target else name
    if not (ROOT / path).exists():
        return f"{path} does not exist"
    if heading and path.endswith(".md") and heading not in headings(path):
        return f"{path} has no heading {heading}"
    return ""


@pytest.mark.parametrize("name", MARKDOWN)
def test_links_lead_somewhere(name: str) -> None:
    faults = [f"{address}: {why}" for address in links(name) if (why := fault(name, address))]
    assert not faults, f"{name}\n  " + "\n  ".join(faults)


def test_the_readme_reads_wherever_it_is_shown() -> None:
    relative = [link for link in links(SHOWN_ELSEWHERE) if not re.match(r"https://|#", link)]
    assert not relative, f"{SHOWN_ELSEWHERE}: give the whole address, {relative}"
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", prose(SHOWN_ELSEWHERE))
    raw = "https://raw.githubusercontent.com/trustmesh/spiffe/main/"
    assert pictures
    for picture in pictures:
        assert (ROOT / picture.removeprefix(raw)).is_file(), picture
    labels = set(re.findall(r"^\[([^]]+)\]: ", prose(SHOWN_ELSEWHERE).lower(), re.MULTILINE))
    used = {one.lower() for one in re.findall(r"\[[^][]+\]\[([^]]+)\]", prose(SHOWN_ELSEWHERE))}
    assert used <= labels, f"{SHOWN_ELSEWHERE}: labels without an address, {sorted(used - labels)}"


def test_a_link_that_leads_nowhere_is_found() -> None:
    assert fault("docs/awx.md", "no_such.md")
    assert fault("docs/awx.md", "#no-such-heading")
    assert fault("README.md", f"{pages.REPOSITORY}/blob/main/examples/own")
    assert not fault("docs/awx.md", "../ee/README.md")
    assert not fault("docs/your_own.md", "#1-say-who-is-there-and-who-may-call-whom")


def test_every_page_is_in_the_contents_of_the_site() -> None:
    listed = (SITE / "sphinx" / "index.md").read_text()
    named = set(re.findall(r"(?:^|<)([\w/]+)>?$", listed, re.MULTILINE))
    assert "roles/*/README" in listed
    missing = [name for name in ALL if Path(name).with_suffix("").as_posix() not in named and "roles/" not in name]
    assert not missing, f"docs/docsite/sphinx/index.md: name {missing}"


# What the site makes of a page

KNOWN = ("README.md", "docs/awx.md", "roles/istio/README.md")


@pytest.mark.parametrize(
    ("page", "text", "shown"),
    [
        ("README.md", "[a](docs/awx.md#x)", "[a](docs/awx.md#x)"),
        ("README.md", f"[a]: {pages.REPOSITORY}/blob/main/docs/awx.md#x", "[a]: docs/awx.md#x"),
        ("docs/awx.md", "[a](../roles/istio/README.md)", "[a](../roles/istio/README.md)"),
        ("docs/awx.md", "[a](../examples/own)", f"[a]({pages.REPOSITORY}/tree/main/examples/own)"),
        ("docs/awx.md", "[a](../galaxy.yml)", f"[a]({pages.REPOSITORY}/blob/main/galaxy.yml)"),
        ("docs/awx.md", "[a](#there) [b](https://example.org/c)", "[a](#there) [b](https://example.org/c)"),
        ("docs/awx.md", "![a](pictures/a.svg)", "![a](pictures/a.svg)"),
        ("docs/awx.md", "```text\n[a](../galaxy.yml)\n```\n", "```text\n[a](../galaxy.yml)\n```\n"),
    ],
)
def test_links_lead_to_pages_of_the_site_and_to_the_repository_elsewhere(page: str, text: str, shown: str) -> None:
    assert pages.linked(text, page, KNOWN, ROOT) == shown


# What roles say of themselves

ROLES = sorted(path.parents[1].name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))


@pytest.mark.parametrize("role", ROLES)
def test_each_entry_point_of_a_role_says_what_it_does(role: str) -> None:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    without = [name for name, spec in specs.items() if not spec.get("short_description") or not spec.get("description")]
    assert not without, f"roles/{role}/meta/argument_specs.yml: short_description and description of {without}"


@pytest.mark.parametrize("role", ROLES)
def test_each_option_of_a_role_tells_its_default(role: str) -> None:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    options = {name: option for spec in specs.values() for name, option in (spec.get("options") or {}).items()}
    told = {name: str(option["description"]) for name, option in options.items() if not option.get("required")}
    silent = {name for name, text in told.items() if "default" not in options[name] and "default" not in text.lower()}
    assert not silent, f"roles/{role}/meta/argument_specs.yml: say what the default of {sorted(silent)} is made of"

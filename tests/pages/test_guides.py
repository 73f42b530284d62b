# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guides that do a part alone, as they are written, on clusters that exist. Two more are in test_your_own.py.

The tests follow one another: entries need a server, which the page about SPIRE brings and takes out again.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, Estate, Guide, blocks, changed

ALONE = {"own", "proof", "wire_istio"}
"""Followed in test_your_own.py, and in test_wire_istio.py."""


def guide(estate: Estate, name: str) -> Guide:
    return Guide(estate, ROOT / "docs" / f"{name}.md", {"trustmesh_artifacts": "packages"})


@pytest.fixture(scope="module")
def spire(estate: Estate) -> Guide:
    found = guide(estate, "spire")
    found.write_files()
    return found


@pytest.fixture(scope="module")
def entries(estate: Estate) -> Guide:
    found = guide(estate, "entries")
    found.write_files()
    return found


def test_no_example_is_left_out() -> None:
    assert {path.parent.name for path in ROOT.glob("examples/*/hosts.ini")} == {"spire", "entries", "istio", *ALONE}


@pytest.mark.thorough
def test_spire_on_clusters_that_exist(spire: Guide) -> None:
    assert "spiffe://corp.example/ns/billing/sa/billing" in spire.follow("spiffe.show")
    assert changed(spire.follow("spiffe.spire", "--check")) > 0
    assert changed(spire.follow("spiffe.spire")) > 0
    assert changed(spire.follow("spiffe.spire")) == 0
    assert "Found 2 attested agents" in spire.follow("agent list")


@pytest.mark.thorough
def test_entries_at_a_server_that_exists(entries: Guide) -> None:
    shown = entries.follow("look.yml")
    assert "spiffe://corp.example/ns/shop/sa/shop" in shown
    assert "1.15" in shown

    # This server has an entry that stands for the nodes of eu already, made by the page before.
    given = entries.estate.folder / "entries" / "group_vars" / "all.yml"
    given.write_text(given.read_text().replace("corp.example/node/eu", "corp.example/nodes-of-shop/eu"))
    assert "sa/web" in entries.follow("spiffe.entries", "--check", "--diff")
    assert changed(entries.follow("spiffe.entries")) == 1
    assert changed(entries.follow("spiffe.entries")) == 0
    assert "spiffe://corp.example/ns/shop/sa/web" in entries.follow("look.yml")

    assert changed(entries.follow("none.yml")) == 1
    shown = entries.follow("look.yml")
    assert "spiffe://corp.example/ns/shop/sa/web" not in shown
    assert "spiffe://corp.example/ns/shop/sa/shop" in shown, "that of another owner"


@pytest.mark.thorough
def test_spire_is_taken_out_again(spire: Guide) -> None:
    spire.follow("spiffe.teardown")
    for cluster in ("eu", "us"):
        left = spire.estate.names(cluster, "namespaces")
        assert not left & {"namespace/spire-server", "namespace/spire-system"}


@pytest.mark.thorough
def test_istio_with_spire(estate: Estate) -> None:
    istio = guide(estate, "istio")
    istio.write_files()
    estate.deploy("eu", "cart", "cart", "tools", "sleep", "infinity")
    assert changed(istio.follow("spiffe.istio", "--check")) > 0
    assert changed(istio.follow("spiffe.istio")) > 0
    policies = "authorizationpolicies,peerauthentications"
    assert "authorizationpolicy.security.istio.io/callers-of-cart" in estate.names("eu", policies, "-n", "cart")
    assert changed(istio.follow("spiffe.istio")) == 0

    # There are no agents here, so what is let in does not start.
    istio.follow("label namespace")
    istio.follow("rollout restart")
    assert "default" in istio.follow("proxies.yml")

    estate.kubectl("eu", "delete", "namespace", "cart")
    foretold = changed(istio.follow("spiffe.teardown", "--check"))
    assert changed(istio.follow("spiffe.teardown")) == foretold
    assert "namespace/istio-system" not in estate.names("eu", "namespaces")


@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("examples/*/hosts.ini")))
def test_the_page_shows_the_files_of_its_example(name: str) -> None:
    page = ROOT / "docs" / f"{'your_own' if name == 'own' else name}.md"
    shown = {block.partition("\n")[0]: block for block in [*blocks(page, "ini"), *blocks(page, "yaml")]}
    for path in [path for path in (ROOT / "examples" / name).rglob("*") if path.is_file()]:
        text = path.read_text().removeprefix("---\n")
        assert text == shown.get(text.partition("\n")[0]), f"{page.name} shows another {path.relative_to(ROOT)}"


def test_the_collection_is_installed_as_the_page_says(tmp_path: Path) -> None:
    page = ROOT / "docs" / "start.md"
    env = {key: value for key, value in os.environ.items() if key not in ("ANSIBLE_CONFIG", "PYTHONPATH")}
    env |= {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    said = []
    for block in [block for block in blocks(page, "shell") if block.startswith("# run\n")]:
        if "make build" in block:  # it is said to be done in the clone, and is another target there
            words = [str(Path(sys.executable).with_name("ansible-galaxy")), "collection", "build", str(ROOT)]
            words += ["--output-path", str(tmp_path / "spiffe" / "build")]
        else:
            words = ["bash", "-euc", block]
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        said.append(done.stdout)
    assert (tmp_path / ".ansible/collections/ansible_collections/trustmesh/spiffe/MANIFEST.json").is_file()
    assert "spiffe://example.org/ns/quotes/sa/quote" in said[2]
    assert "group_names" not in said[3]
    assert "purge" in said[3]


def commands(page: Path) -> list[str]:
    """What a guide says to type."""
    return [line for block in blocks(page, "shell") for line in block.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("name", ["entries", "spire", "istio", "proof", "wire_istio"])
def test_each_command_of_a_guide_is_one_that_a_test_follows(name: str) -> None:
    page = ROOT / "docs" / f"{name}.md"
    places = [block for block in blocks(page, "shell") if not block.startswith("# run\n")]
    assert not places, f"{page.name}: begin the block with «# run», and follow it in a test."
    tests = ("test_guides.py", "test_your_own.py", "test_wire_istio.py")
    followed = "\n".join((Path(__file__).parent / each).read_text() for each in tests)
    words = re.findall(r'follow\((?:PROOF, )?"([^"]+)"', followed)
    missing = [line for line in commands(page) if not any(each in " ".join(shlex.split(line)) for each in words)]
    assert not missing, f"{page.name}: no test follows {missing}"

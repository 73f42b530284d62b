# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an execution environment names is what is tested."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOLS = {
    "kubectl": "kubernetes",
    "istioctl": "istio",
    "envoy": "envoy",
    "spire-server": "spire",
    "spire-agent": "spire",
}
OF_SIDECARS = {"pilot-agent": "istio"}
BUILD = (ROOT / "ee" / "build.sh").read_text()


def versions() -> dict[str, str]:
    table: dict[str, str] = yaml.safe_load((ROOT / "roles/trustmesh/vars/main.yml").read_text())["__trustmesh_versions"]
    return table


def locked(name: str) -> dict[str, str]:
    """Return the versions in a requirements file."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE))


def definition() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "ee/execution-environment.yml").read_text())
    return read


def test_the_tools_are_those_of_the_table_of_versions() -> None:
    copied = definition()["additional_build_steps"]["append_final"]
    found = [re.fullmatch(r"COPY --from=\S+:(\S+) \S+/([\w-]+) /usr/local/bin/([\w-]+)", line) for line in copied]
    told = {match[3]: match[1] for match in found if match and match[2] == match[3]}
    assert {name: re.sub(r"^(distroless-)?v", "", version) for name, version in told.items()} == {
        name: versions()[tool].removeprefix("v") for name, tool in {**TOOLS, **OF_SIDECARS}.items()
    }


def test_what_sidecars_are_made_of_is_where_the_role_toolchain_looks() -> None:
    (line,) = (line for line in definition()["additional_build_steps"]["append_final"] if "bootstrap" in line)
    assert line.endswith(" /usr/local/share/istio/envoy_bootstrap.json")
    assert f":{versions()['istio']} " in line
    assert "COPY istio/ /usr/local/share/istio/\n" in (ROOT / "ee/Containerfile.packages").read_text()
    assert "/share/istio/envoy_bootstrap.json" in (ROOT / "roles/toolchain/tasks/install.yml").read_text()


def test_both_ways_bring_the_same() -> None:
    assert re.search(r"for tool in ([\w -]+);", BUILD)[1].split() == list(TOOLS)  # type: ignore[index]
    pinned = locked("ee/requirements.txt")
    needs = definition()["dependencies"]
    asked = [needs["ansible_core"]["package_pip"], needs["ansible_runner"]["package_pip"], *needs["python"]]
    assert {name: pinned[name] for name in (line.split("==")[0] for line in asked)} == dict(
        line.split("==") for line in asked
    )
    assert (ROOT / "ee" / needs["galaxy"]).is_file()


def test_packages_are_those_that_are_tested_and_no_others_but_the_runner() -> None:
    tested, brought = locked("requirements.txt"), locked("ee/requirements.txt")
    assert {name: brought.get(name) for name in tested} == tested
    assert brought.keys() - tested.keys() >= {"ansible-runner"}


def test_debian_and_its_python_are_those_of_the_images() -> None:
    assert f" {versions()['debian']} " in BUILD
    assert f"--python-version={versions()['debian_python']} " in BUILD

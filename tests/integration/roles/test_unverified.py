# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that was compared with nothing is run as root, unless somebody says so."""

from __future__ import annotations

from pathlib import Path

from playbook import play


def test_official_programs_and_images_are_refused_without_digests(tmp_path: Path) -> None:
    plays = [{"hosts": "localhost", "connection": "local", "roles": ["trustmesh.spiffe.toolchain"]}]
    done = play(plays, tmp_path, "--extra-vars", f"trustmesh_artifacts=official trustmesh_build_dir={tmp_path}/build")
    assert done.returncode != 0
    assert "it is not pinned what these must be" in done.stdout + done.stderr
    for name in ("kubectl", "docker.io/kindest/node", "trustmesh_allow_unverified"):
        assert name in done.stdout + done.stderr
    assert not (tmp_path / "build").exists(), "nothing was fetched"

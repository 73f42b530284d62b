# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the section of the release that is written anew, out of all fragments. `make changelog` runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
# Antsibull-changelog reads the documentation of the collection as it is installed: there is the link of `make link`.
INSTALLED = ROOT / ".ansible" / "collections" / "ansible_collections" / "trustmesh" / "spiffe"
CHANGES = ROOT / "changelogs" / "changelog.yaml"

changes = yaml.safe_load(CHANGES.read_text())
(release,) = changes["releases"].values()  # no other one is published
release["fragments"] = sorted(path.name for path in (ROOT / "changelogs" / "fragments").glob("*.yml"))
CHANGES.write_text(yaml.safe_dump(changes))
words = ["generate", "--reload-plugins", "--refresh-plugins", "--refresh-fragments"]
subprocess.run([sys.executable, "-m", "antsibull_changelog", *words], cwd=INSTALLED, check=True)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of these tests: this host, with everything below one folder."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    # A short path: a socket's path may have 107 bytes at most.
    made = Path(tempfile.mkdtemp(prefix="tm-m-", dir="/tmp"))
    yield made
    service = made / "opt/agent/spire-agent-service"
    if service.exists():
        subprocess.run([str(service), "stop"], check=False)
    shutil.rmtree(made)

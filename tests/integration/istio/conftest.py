# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Kubernetes API server, and the real istioctl and kubectl."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..kubernetes_api import Api, running_api

NEEDED = ("etcd", "kube-apiserver", "kubectl", "istioctl")


def program(name: str) -> str:
    """Return the path of a program. A missing one is a failure: nothing here is skipped."""
    folder = os.environ.get("TRUSTMESH_BIN_DIR")
    if not folder:
        pytest.fail(f"TRUSTMESH_BIN_DIR is not set: it names the folder that holds {', '.join(NEEDED)}.")
    path = Path(folder) / name
    if not os.access(path, os.X_OK):
        pytest.fail(f"{path} is missing or not executable: TRUSTMESH_BIN_DIR must hold {', '.join(NEEDED)}.")
    return str(path)


@pytest.fixture(scope="session")
def api() -> Iterator[Api]:
    for name in NEEDED:
        program(name)
    with running_api() as one:
        yield one

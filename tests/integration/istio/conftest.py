# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Kubernetes API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..kubernetes_api import Api, running_api


@pytest.fixture(scope="session")
def api() -> Iterator[Api]:
    with running_api() as one:
        yield one

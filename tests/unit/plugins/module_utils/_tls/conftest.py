# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS servers for the tests, real ones."""

from __future__ import annotations

from certificates import HOUR, NOW, Identity, issue
from tls_servers import Serve, answer, serve

__all__ = ["HOUR", "NOW", "Identity", "Serve", "answer", "issue", "serve"]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With the settings of the role's server a workload gets an X.509-SVID, and nobody a JWT-SVID."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from rendering import CASES, render

from ..conftest import binary, running_agent, running_server, wait_until

TAKEN = ("disable_jwt_svids", "prune_attested_nodes_expired_for")


def test_workloads_get_x509_svids_and_no_jwt_svids(tmp_path: Path) -> None:
    conf = render(tmp_path, {"packages": CASES["packages"]}).value("packages", "spire_server", "conf")["server"]
    extra = "\n".join(f'{name} = "{conf[name]}"' for name in TAKEN).replace('"True"', "true")
    with running_server(extra=extra) as server:
        node = "spiffe://example.org/node"
        token = server.cli("token", "generate", "-spiffeID", node)["value"]
        workload = ["-spiffeID", "spiffe://example.org/a", "-parentID", node, "-selector", f"unix:uid:{os.getuid()}"]
        server.cli("entry", "create", *workload)
        with running_agent(server, token):

            def fetch(*words: str) -> subprocess.CompletedProcess[str]:
                socket = f"{server.folder}/agent/agent.sock"
                argv = [binary("spire-agent"), "api", "fetch", *words, "-socketPath", socket]
                return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)

            wait_until("the workload gets its identity", lambda: "example.org/a" in fetch("x509").stdout)
            refused = fetch("jwt", "-audience", "x")
            assert refused.returncode != 0
            assert "JWT functionality is disabled" in refused.stdout + refused.stderr

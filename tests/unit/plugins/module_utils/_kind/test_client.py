# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine says of a cluster, where a real engine would have to be broken for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.client import KindClient
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed

NODE = {
    "Name": "/blue-control-plane",
    "Config": {"Labels": {"io.x-k8s.kind.role": "control-plane"}, "Image": "localhost/trustmesh/node:1"},
    "NetworkSettings": {"Networks": {"kind": {"IPAddress": "192.0.2.1"}}, "Ports": {}},
    "State": {"Running": True},
}


class Engine:
    """An engine with one node, in which ``cat`` ends as told."""

    def __init__(self, rc: int, stdout: str = "", stderr: str = "") -> None:
        self.answer = Completed((), rc, stdout, stderr)

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        del stdin, timeout
        if argv[1] == "exec":
            return self.answer
        return Completed(tuple(argv), 0, "0123456789ab" if argv[1] == "ps" else json.dumps([NODE]), "")


def client(engine: Engine, folder: Path) -> KindClient:
    return KindClient("podman", "kind", "kubectl", "kind", engine, folder)  # type: ignore[arg-type]


def test_the_mark_in_the_first_node_says_whose_it_is(tmp_path: Path) -> None:
    found = client(Engine(0, '{"owner": "/here"}'), tmp_path).read("blue")
    assert found.mark == {"owner": "/here"}


def test_a_cluster_without_a_mark_was_made_by_somebody_else(tmp_path: Path) -> None:
    found = client(Engine(1, stderr="cat: /kind/trustmesh.json: No such file or directory"), tmp_path).read("blue")
    assert found.mark is None


def test_a_node_that_only_seems_to_run_is_not_taken_for_somebody_elses(tmp_path: Path) -> None:
    dead = Engine(255, stderr="Error: OCI runtime error: runc: exec failed: cannot exec in a stopped container")
    with pytest.raises(ProcessError, match="podman restart blue-control-plane") as caught:
        client(dead, tmp_path).read("blue")
    assert "cannot exec in a stopped container" in caught.value.message

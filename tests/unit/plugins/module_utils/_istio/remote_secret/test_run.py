# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input to istio_remote_secret, through the module as Ansible runs it: it is refused, and nothing is called."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from certificates import issue
from module_args import patch_module_args

MODULE = "ansible_collections.trustmesh.spiffe.plugins.modules.istio_remote_secret"
CA = issue(ca=True)


def fail(capsys: pytest.CaptureFixture[str], tmp_path: Path, change: dict[str, Any]) -> dict[str, Any]:
    """Run the module with a kubectl that leaves a trace; return with what it failed."""
    kubectl, trace = tmp_path / "kubectl", tmp_path / "trace"
    kubectl.write_text(f"#!/bin/sh\ntouch {trace}\nexit 1\n")
    kubectl.chmod(0o755)
    for name in ("blue", "green"):
        (tmp_path / name).write_text("{}")
    good = {
        "kubectl": str(kubectl),
        "kubeconfig": str(tmp_path / "blue"),
        "cluster": "green",
        "server": "https://192.0.2.1:6443",
        "remote": {"kubeconfig": str(tmp_path / "green")},
    }
    args = {name: value for name, value in {**good, **change}.items() if value is not None}
    with patch_module_args(args), pytest.raises(SystemExit):
        importlib.import_module(MODULE).main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert result.get("failed"), result
    assert not trace.exists()
    return result


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cluster": None}, "missing required arguments: cluster"),
        ({"cluster": "Green"}, "cluster: 'Green' is no name of Kubernetes"),
        ({"cluster": ""}, "cluster: '' is no name"),
        ({"cluster": "a/../b"}, "cluster: 'a/../b' is no name"),
        ({"cluster": "a" * 64}, "1 to 63"),
        ({"cluster": "{{ name }}"}, "cluster: it holds «{{»"),
        ({"namespace": "a.b"}, "namespace: 'a.b' is no name"),
        ({"server": None}, "server"),
        ({"server": "http://192.0.2.1"}, "server: it does not begin with https://"),
        ({"server": "https://me:pass@192.0.2.1"}, "server: it has a user in it"),
        ({"server": "https://a\nb"}, "server: it holds a line break"),
        ({"remote": None}, "remote"),
        ({"remote": {}}, "remote: it names no cluster. Give its kubeconfig"),
        ({"remote": {"kubeconfig": ""}}, "remote: it names no cluster"),
        ({"remote": {"kubeconfig": "/nonexistent"}}, "remote.kubeconfig: /nonexistent is not a file"),
        ({"kubeconfig": "/nonexistent"}, "kubeconfig: /nonexistent is not a file"),
        ({"remote": {"context": "x", "namespace": "A"}}, "remote.namespace: 'A' is no name"),
        ({"remote": {"context": "x", "service_account": "a/b"}}, "remote.service_account: 'a/b' is no name"),
        ({"remote": {"context": "x", "service_account": "a..b"}}, "remote.service_account"),
        ({"remote": {"context": "x", "token": "t"}}, "Unsupported parameters"),
        ({"token_lifetime": 599}, "token_lifetime: 599 is not from 600 to 4294967296"),
        ({"token_lifetime": 2**32 + 1}, "token_lifetime: 4294967297"),
        ({"renew_before": -1}, "renew_before: -1 is not from 0"),
        ({"token_lifetime": 600, "renew_before": 600}, "renew_before: 600 is not from 0 to less than token_lifetime"),
        ({"timeout": 0}, "timeout: 0 is not a positive number"),
        ({"wait_timeout": 0}, "wait_timeout: 0 is not a positive number"),
        ({"trust_domain": "Green.Example"}, "trust_domain: "),
        ({"trust_domain": "spiffe://green.example"}, "trust_domain: "),
        ({"state": "latest"}, "state"),
    ],
)
def test_bad_input_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    assert words in fail(capsys, tmp_path, change)["msg"]


def test_the_same_cluster_twice_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    same = {"remote": {"kubeconfig": str(tmp_path / "blue")}}
    assert "it leads to the same cluster" in fail(capsys, tmp_path, same)["msg"]


def test_a_private_key_or_password_that_was_given_by_mistake_is_not_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "PRIVATE" not in json.dumps(fail(capsys, tmp_path, {"server_ca": CA.key_pem, "timeout": 0}))
    assert "hidden" not in json.dumps(fail(capsys, tmp_path, {"server": "https://me:hidden@192.0.2.1"}))

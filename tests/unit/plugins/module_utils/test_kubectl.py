# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cluster the shared options lead to, and that no token gets into an argument."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import remove_temporaries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import VARIABLES, access_of

HOST = {"host": "https://192.0.2.1:6443", "api_key": "s3cret"}


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield
    remove_temporaries()


def test_a_kubeconfig_and_a_context_become_arguments() -> None:
    access = access_of({"kubectl": "/bin/kubectl", "kubeconfig": "/k", "context": "blue"})
    assert access.argv == ["/bin/kubectl", "--kubeconfig", "/k", "--context", "blue"]
    assert access_of({"kubectl": "kubectl"}).argv == ["kubectl"]


def test_a_host_and_its_token_become_a_private_file_that_is_removed(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("x")
    access = access_of({**HOST, "ca_cert": str(ca)})
    assert access.argv[:2] == ["kubectl", "--kubeconfig"]
    assert "s3cret" not in " ".join(access.argv)
    path = Path(access.argv[2])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = json.loads(path.read_text())
    assert config["clusters"][0]["cluster"] == {"server": HOST["host"], "certificate-authority": str(ca)}
    assert config["users"][0]["user"] == {"token": "s3cret"}
    remove_temporaries()
    assert not path.exists()
    assert list(tmp_path.iterdir()) == [ca]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"host": HOST["host"]}, "api_key: it is missing"),
        ({**HOST, "api_key": " s3cret"}, "api_key: it is missing, or has blanks"),
        ({"api_key": "s3cret"}, "api_key: it is given without host"),
        ({"ca_cert": "/ca"}, "ca_cert: it is given without host"),
        ({**HOST, "host": "http://192.0.2.1"}, "is no URL of an API server"),
        ({**HOST, "host": "192.0.2.1:6443"}, "is no URL of an API server"),
        ({**HOST, "ca_cert": "/nowhere"}, "ca_cert: /nowhere is not a file"),
        ({**HOST, "kubeconfig": "/k"}, "kubeconfig, host, api_key: they lead to two clusters"),
        ({**HOST, "context": "blue"}, "they lead to two clusters"),
        ({**HOST, "validate_certs": bool(0)}, "Give the cluster's CA as ca_cert (K8S_AUTH_SSL_CA_CERT)"),
        ({"kubeconfig": "/k", "validate_certs": bool(0)}, "the API server is always verified"),
    ],
)
def test_what_leads_to_no_cluster_or_to_two_is_refused(params: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        access_of(params)
    assert words in caught.value.message
    assert "s3cret" not in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_what_a_task_says_holds_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # AnsibleModule puts the variable's value in place of an option that is not given.
    monkeypatch.setenv("K8S_AUTH_HOST", HOST["host"])
    monkeypatch.setenv("K8S_AUTH_API_KEY", HOST["api_key"])
    assert access_of({**HOST, "kubeconfig": "/k"}).argv == ["kubectl", "--kubeconfig", "/k"]
    assert access_of(HOST).host == HOST["host"]
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", "/k")
    other = {**HOST, "host": "https://198.51.100.1", "kubeconfig": "/k"}
    assert access_of(other).host == "https://198.51.100.1"
    with pytest.raises(InputError, match="unset K8S_AUTH_KUBECONFIG or K8S_AUTH_HOST"):
        access_of({**HOST, "kubeconfig": "/k"})


def test_not_to_verify_the_host_of_the_environment_says_nothing_of_a_kubeconfig(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("K8S_AUTH_VERIFY_SSL", "false")
    assert access_of({"kubeconfig": "/k", "validate_certs": bool(0)}).kubeconfig == "/k"
    with pytest.raises(InputError, match="by the option or by K8S_AUTH_VERIFY_SSL"):
        access_of({**HOST, "validate_certs": bool(0)})


def test_a_token_of_the_environment_without_a_host_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_API_KEY", "s3cret")
    assert access_of({"api_key": "s3cret"}).argv == ["kubectl"]


def test_an_empty_option_leaves_the_cluster_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", "/k")
    monkeypatch.setenv("K8S_AUTH_CONTEXT", "blue")
    words = ["kubectl", "--kubeconfig", "/k", "--context", "blue"]
    assert access_of({"kubeconfig": "", "context": "", "host": ""}).argv == words


def test_every_option_but_the_program_has_the_variable_of_kubernetes_core() -> None:
    options = kubectl_spec().options
    assert {name: option["fallback"][1] for name, option in options.items() if name != "kubectl"} == {
        name: [variable] for name, variable in VARIABLES.items()
    }
    assert options["api_key"]["no_log"]

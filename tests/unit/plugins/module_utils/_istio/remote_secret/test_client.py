# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes to kubectl, and what comes out of it when it fails. Real: tests/integration/istio."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.client import Giver, Keeper
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.model import Account, Token
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed

ACCOUNT = Account("istio-system", "reader", "1")
TOKEN = Token("very.secret.token", ACCOUNT, 0, 1000)
SECRET = {"metadata": {"name": "s"}, "data": {"green": "a-kubeconfig-in-base64-with-the-token-in-it-somewhere"}}


@dataclass
class Fake:
    """A kubectl that ends as it is told to, and remembers how it was called."""

    rc: int = 0
    stdout: str = ""
    stderr: str = ""
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float | None = None) -> Completed:
        assert timeout == 35
        self.calls.append((*argv, stdin or ""))
        return Completed(tuple(argv), self.rc, self.stdout, self.stderr)


def keeper(fake: Fake) -> Keeper:
    return Keeper(Kubectl(timeout=30, process=fake), "this cluster", "istio-system")


def giver(fake: Fake) -> Giver:
    return Giver(Kubectl(timeout=30, process=fake), "the other cluster")


def test_the_token_goes_by_standard_input() -> None:
    fake = Fake()
    keeper(fake).apply({**SECRET, "data": {"green": TOKEN.text}}, TOKEN)
    giver(fake).believes(TOKEN)
    for *arguments, stdin in fake.calls:
        assert TOKEN.text in stdin
        assert TOKEN.text not in " ".join(arguments)
        assert "--request-timeout=30s" in arguments


@pytest.mark.parametrize("shown", [TOKEN.text, SECRET["data"]["green"]])
def test_an_error_that_repeats_what_it_was_given_is_not_shown(shown: str) -> None:
    with pytest.raises(
        ProcessError, match=r"Applying the Secret istio-system/s failed.*\(it repeats what is secret\)"
    ) as error:
        keeper(Fake(1, stdout=shown, stderr=f"Error from server: bad object {shown} " + "x" * 600)).apply(SECRET, TOKEN)
    assert shown not in str(error.value)


def test_what_is_printed_beside_an_error_is_not_shown() -> None:
    with pytest.raises(ProcessError, match="kubectl said nothing") as error:
        giver(Fake(1, stdout=TOKEN.text)).token(ACCOUNT, 600)
    assert TOKEN.text not in str(error.value)


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ('Error from server (Forbidden): it is "forbidden"', "Give a user of the other cluster who may do that"),
        ("error: You must be logged in to the server (Unauthorized)", "Give a user of the other cluster"),
        (
            "Unable to connect to the server: x509",
            "the other cluster cannot be reached: Unable.*x509.*Check kubeconfig",
        ),
        ("Error from server (InternalError): etcd", r": Error from server \(InternalError\): etcd$"),
    ],
)
def test_a_failure_says_what_to_do(stderr: str, words: str) -> None:
    with pytest.raises(ProcessError, match=f"Reading the ServiceAccount istio-system/reader failed.*{words}"):
        giver(Fake(1, stderr=stderr)).account("istio-system", "reader")


@pytest.mark.parametrize("stdout", ["", "[]", "x", "{}", '{"metadata": {}}', '{"metadata": {"uid": 7}}'])
def test_an_answer_that_is_no_account(stdout: str) -> None:
    with pytest.raises(ProcessError, match="Reading the ServiceAccount istio-system/reader failed"):
        giver(Fake(stdout=stdout)).account("istio-system", "reader")


@pytest.mark.parametrize("data", ["{}", "null", "7", '{"ca.crt": ""}', '{"ca.crt": null}'])
def test_a_cluster_that_does_not_tell_its_ca(data: str) -> None:
    with pytest.raises(TrustmeshError, match="Give the CA as server_ca"):
        giver(Fake(stdout=f'{{"metadata": {{}}, "data": {data}}}')).authority("istio-system")


def test_who_may_not_ask_believes() -> None:
    assert giver(Fake(1, stderr="Error from server (Forbidden)")).believes(TOKEN)
    assert not giver(Fake(stdout='{"status": {"user": {}}}')).believes(TOKEN)


def test_who_may_not_look_at_namespaces_may_still_write() -> None:
    keeper(Fake(1, stderr="Error from server (Forbidden)")).require_namespace()
    with pytest.raises(TrustmeshError, match="no namespace istio-system in this cluster"):
        keeper(Fake(1, stderr="Error from server (NotFound)")).require_namespace()


def pod(name: str, ready: str, **metadata: str) -> dict[str, Any]:
    conditions = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": ready}]
    return {"metadata": {"name": name, **metadata}, "status": {"conditions": conditions}}


def test_only_istiods_that_answer_are_asked() -> None:
    pods = [pod("b", "True"), pod("a", "True"), pod("c", "False"), pod("d", "True", deletionTimestamp="now")]
    answer = {"metadata": {}, "items": [*pods, {"metadata": {"name": "e"}}]}
    assert keeper(Fake(stdout=json.dumps(answer))).istiods() == ["a", "b"]
    assert keeper(Fake(stdout='{"metadata": {}, "items": []}')).istiods() == []


def test_who_may_not_ask_istiod_is_told_so() -> None:
    with pytest.raises(ProcessError, match=r"Asking the istiod istio-system/a what it .* failed.*who may do that"):
        keeper(Fake(1, stderr="Error from server (Forbidden): pods/exec")).has_read("a", "green")

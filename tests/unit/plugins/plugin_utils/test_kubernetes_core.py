# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions over those of kubernetes.core, where that is not installed. The rest is in tests/integration/test_k8s.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.kubernetes.core.plugins.action.k8s import ActionModule
from ansible_collections.trustmesh.spiffe.plugins.plugin_utils import _kubernetes_core


def test_it_is_their_action() -> None:
    assert _kubernetes_core.action_of("k8s") is ActionModule


def test_without_it_a_task_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kubernetes_core, "COLLECTION", "ansible_collections.kubernetes.gone.plugins")
    missing = _kubernetes_core.action_of("k8s")
    with pytest.raises(AnsibleActionFail, match="ansible-galaxy collection install kubernetes"):
        missing.run(missing.__new__(missing))
    assert _kubernetes_core.module_of("k8s") is None


class Answer:
    def __init__(self, data: bytes) -> None:
        self.data = data


class Server:
    """A client that notes what it is asked, and answers with the number of the question."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any, dict[str, Any]]] = []

    def client(self) -> Any:
        server = self

        class Client:
            def request(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
                assert options.pop("serialize") is False
                server.asked.append((method, path, body, options))
                if path == "/gone":
                    raise KeyError(path)
                return Answer(b"no JSON" if path == "/text" else json.dumps(server.says()).encode())

        _kubernetes_core.ask_once(Client, lambda _client, held: held)
        return Client()

    def says(self) -> Any:
        return len(self.asked)


def test_what_was_read_is_asked_for_again_only_after_a_write() -> None:
    server = Server()
    client = server.client()
    assert client.request("get", "/one") == client.request("GET", "/one") == 1
    assert client.request("get", "/one", serialize=False).data == b"1"
    assert client.request("get", "/one", serializer=lambda _client, held: [held]) == [1]
    assert client.request("get", "/one", label_selector="a=b") == 2
    assert client.request("get", "/other") == 3
    assert client.request("get", "/text") == "no JSON"
    for _time in range(2):
        with pytest.raises(KeyError):
            client.request("get", "/gone")
    assert client.request("patch", "/one", body="{}") == 7
    assert client.request("get", "/one") == 8
    assert server.asked[6:] == [("patch", "/one", "{}", {}), ("get", "/one", None, {})]


HELD = {"metadata": {"name": "a", "labels": {"b": "c"}}, "spec": {"ports": [{"port": 1}], "replicas": 1}}


class Holder(Server):
    def says(self) -> Any:
        return HELD


def patched(patch: Any, content_type: str = _kubernetes_core.MERGE_PATCH, read: str = "/one") -> bool:
    """Whether a patch of something that was read is sent."""
    server = Holder()
    client = server.client()
    client.request("get", read)
    assert client.request("patch", "/one", body=patch, content_type=content_type) == HELD
    assert [method for method, *_rest in server.asked] in (["get"], ["get", "patch"])
    return len(server.asked) > 1


@pytest.mark.parametrize(
    "patch",
    [{}, {"spec": {"ports": [{"port": 1}]}}, {"metadata": {"labels": {"b": "c"}}}, {"spec": {"gone": None}}, HELD],
)
def test_what_is_there_is_not_written_again(patch: Any) -> None:
    assert not patched(patch)


@pytest.mark.parametrize(
    "patch",
    [
        *({"spec": {"ports": [{"port": 2}]}}, {"spec": {"ports": []}}, {"spec": {"replicas": None}}),
        # Which a server refuses, and Python calls the same.
        {"spec": {"replicas": True}},
        *({"metadata": {"labels": {"d": "e"}}}, {"metadata": {"labels": "b"}}, {"status": {}}, {"kind": "Other"}),
    ],
)
def test_what_is_not_there_is_written(patch: Any) -> None:
    assert patched(patch)


def test_a_patch_of_another_sort_or_of_what_was_not_read_is_sent() -> None:
    assert patched({}, content_type="application/apply-patch+yaml")
    assert patched({}, read="/other")

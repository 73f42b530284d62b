# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the words of curl and kubectl are read, and what counts as a refusal."""

from __future__ import annotations

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import hints
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import Check
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.replies import Reply, of_curl, refusal

URL = "http://x/quote"


def read(rc: int, stdout: str = "", stderr: str = "") -> Reply:
    return of_curl(Completed(("curl", "--url", URL), rc, stdout, stderr), URL)


def test_a_reply_keeps_its_body() -> None:
    reply = read(0, '{"quote": "a\nb"}\n\n1 200')
    assert (reply.kind, reply.status, reply.body) == (probe.HTTP, 200, '{"quote": "a\nb"}\n')


@pytest.mark.parametrize(
    ("told", "behind"),
    [
        ("1 403 12", True),
        ("1 403 ", False),
        # A curl that does not know the word writes it as it is.
        ("1 403 %header{x-envoy-upstream-service-time}", False),
    ],
)
def test_an_envoy_says_that_an_answer_is_from_behind_it(told: str, behind: bool) -> None:
    reply = read(0, f"RBAC: access denied\n{told}")
    assert (reply.status, reply.body, reply.from_behind) == (403, "RBAC: access denied", behind)


@pytest.mark.parametrize(
    ("from_behind", "wanted", "ok"),
    [
        (True, ("http_403_behind",), True),
        (True, ("http_403",), True),
        (False, ("http_403",), True),
        # The proxy itself has refused it: that is another proof.
        (False, ("http_403_behind",), False),
    ],
)
def test_who_refuses_counts_where_it_is_asked(from_behind: bool, wanted: tuple[str, ...], ok: bool) -> None:
    reply = Reply(probe.HTTP, "HTTP 403", 403, "RBAC: access denied", from_behind=from_behind)
    attempt = refusal(negative(refusal=wanted, certificate=None), reply, {})
    assert attempt.ok is ok
    assert attempt.breach is False
    if wanted == ("http_403_behind",):
        assert attempt.expected == "refused: let in by TLS, and HTTP 403 from behind"
        assert attempt.observed == ("refused: HTTP 403 from behind" if ok else "HTTP 403: RBAC: access denied")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(52, probe.RESET), (56, probe.RESET), (7, probe.NOTHING_LISTENS), (6, probe.UNREACHABLE), (28, probe.TIMEOUT)],
)
def test_what_curl_says_here_and_in_a_pod(code: int, kind: str) -> None:
    assert read(code, "\n0 000", f"curl: ({code}) words").kind == kind
    in_pod = f"curl: ({code}) words\ncommand terminated with exit code {code}\n"
    assert read(code, "\n0 000", in_pod).kind == kind


@pytest.mark.parametrize(("connects", "connected"), [(0, False), (1, True)])
def test_silence_before_a_connection_is_told_from_silence_after_it(connects: int, connected: bool) -> None:
    assert read(28, f"\n{connects} 000", "curl: (28) words").connected is connected


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, 'Error from server (NotFound): deployments.apps "sleep" not found'),
        (56, "error: unable to upgrade connection: something of kubectl's own"),
        (127, 'exec: "curl": executable file not found in $PATH'),
    ],
)
def test_trouble_of_kubectl_is_no_answer_of_the_server(code: int, words: str) -> None:
    with pytest.raises(ProcessError) as raised:
        read(code, "", words)
    assert raised.value.message.startswith(f"The request to {URL} could not be made: {words}")


def test_a_pod_without_curl_is_told_so() -> None:
    with pytest.raises(ProcessError, match="Requests from a pod are made with its curl: name a container that has it"):
        read(
            126, "", 'exec: "curl": executable file not found in $PATH: unknown\ncommand terminated with exit code 126'
        )
    assert "python3" in hints.of_program("sh: python3: not found")
    assert hints.of_program('pods "curl-1" not found') == "", "what is missing is the pod"


def negative(kind: str = "refused_request", **fields: object) -> Check:
    return Check("n", kind, "negative", {"refusal": ("reset",), **fields})


@pytest.mark.parametrize("status", [200, 204, 302])
def test_who_is_answered_was_let_in(status: int) -> None:
    attempt = refusal(negative(), Reply(probe.HTTP, f"HTTP {status}", status, "hello"), {})
    assert (attempt.ok, attempt.breach, attempt.observed) == (False, True, f"let in: HTTP {status}: hello")


@pytest.mark.parametrize("reply", [Reply(probe.HTTP, "HTTP 403", 403), Reply(probe.TIMEOUT, "no answer in time")])
def test_another_ending_is_neither_a_refusal_nor_a_breach(reply: Reply) -> None:
    attempt = refusal(negative(), reply, {})
    assert (attempt.ok, attempt.breach) == (False, False)


@pytest.mark.parametrize("kind", list(hints.BY_ENDING))
def test_a_hint_does_not_say_again_what_was_seen(kind: str) -> None:
    seen = probe._why(ConnectionRefusedError()) if kind == probe.NOTHING_LISTENS else {"words": "no answer in time"}
    assert not hints.BY_ENDING[kind].lower().startswith(seen["words"].rpartition(": ")[2])

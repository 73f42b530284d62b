# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the words of curl, kubectl and a sidecar are read."""

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain, probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.attempts import _active_certificate, _curl_reply
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.foreign import foreign_identity


def done(rc: int, stdout: str = "", stderr: str = "") -> Completed:
    return Completed(("curl", "--url", "http://x/"), rc, stdout, stderr)


def test_a_reply_keeps_its_body() -> None:
    reply = _curl_reply(done(0, '{"quote": "a\nb"}\n\n200'))
    assert (reply.kind, reply.status, reply.body) == (probe.HTTP, 200, '{"quote": "a\nb"}\n')


@pytest.mark.parametrize(
    ("code", "kind"),
    [(52, probe.RESET), (56, probe.RESET), (7, probe.NOTHING_LISTENS), (6, probe.UNREACHABLE), (28, probe.TIMEOUT)],
)
def test_what_curl_says_here_and_in_a_pod(code: int, kind: str) -> None:
    assert _curl_reply(done(code, "\n000", f"curl: ({code}) words")).kind == kind
    in_pod = f"curl: ({code}) words\ncommand terminated with exit code {code}\n"
    assert _curl_reply(done(code, "\n000", in_pod)).kind == kind


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, 'Error from server (NotFound): deployments.apps "sleep" not found'),
        (56, "error: unable to upgrade connection: something of kubectl's own"),
        (127, 'exec: "curl": executable file not found in $PATH'),
    ],
)
def test_trouble_of_kubectl_is_no_answer_of_the_server(code: int, words: str) -> None:
    with pytest.raises(ProcessError, match=r"could not be made: .*" + words[:12].replace("(", r"\(")):
        _curl_reply(done(code, "", words))


def dump(name: str, data: dict[str, str]) -> str:
    secret = {"name": name, "tls_certificate": {"certificate_chain": data, "private_key": {"inline_bytes": "W3J="}}}
    configs = [{"name": "ROOTCA", "secret": {"validation_context": {}}}, {"name": name, "secret": secret}]
    return json.dumps({"configs": configs})


def test_the_certificate_of_a_sidecar() -> None:
    text = dump("default", {"inline_bytes": base64.b64encode(b"PEM").decode()})
    assert _active_certificate(text, "default") == "PEM"
    assert _active_certificate(dump("default", {"inline_string": "PEM"}), "default") == "PEM"
    assert _active_certificate(text, "other") is None


@pytest.mark.parametrize("text", ["", "{}", '{"configs": [{"name": "default"}]}', "[]"])
def test_a_dump_that_is_none(text: str) -> None:
    with pytest.raises(TrustmeshError, match="not as Envoy writes it"):
        _active_certificate(text, "default")


def test_the_foreign_identity_is_right_but_for_its_signer() -> None:
    identity = foreign_identity("spiffe://td/a")
    leaf, authority = chain.load_pem(identity.chain_pem)
    assert chain.spiffe_ids(leaf) == ["spiffe://td/a"]
    leaf.verify_directly_issued_by(authority)
    assert "PRIVATE" not in repr(identity)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``trust_check``: what is documented, what the role takes, and what is refused before anybody is asked.

A row is what is wrong, and parts of the message: where it is wrong (option, item, field) and what to do. The programs
that lead to a server or a pod are replaced by one that leaves a trace when it is run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.trustmesh.spiffe.plugins.doc_fragments import places
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.model import TYPES
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.run import spec
from ansible_collections.trustmesh.spiffe.plugins.modules import trust_check, trust_status
from module_args import patch_module_args

ROOT = Path(__file__).resolve().parents[4]
ROLE = ROOT / "roles" / "verify"


def said(block: dict[str, Any]) -> dict[str, Any]:
    """What a block of documentation or of an argument spec says about its options, in one form."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "required": bool(option.get("required")),
            "default": option.get("default"),
            "choices": list(option["choices"]) if option.get("choices") else None,
            "options": said(option.get("suboptions") or option.get("options") or {}),
        }
        for name, option in block.items()
    }


def documented(module: Any = trust_check) -> dict[str, Any]:
    """The options of a module, with those that it has in common with the other one."""
    shared: dict[str, Any] = yaml.safe_load(places.ModuleDocFragment.DOCUMENTATION)["options"]
    return {**yaml.safe_load(module.DOCUMENTATION)["options"], **shared}


def test_the_documentation_is_the_argument_spec_with_all_suboptions() -> None:
    assert said(documented()) == said(spec().options)
    for option in ("clusters", "servers"):
        for name, sub in spec().options[option]["options"].items():
            for variable in sub.get("fallback", (None, []))[1]:
                text = str(documented()[option]["suboptions"][name]["description"])
                assert f"E({variable})" in text, f"{option}: {name} does not name {variable}."


def test_a_server_has_the_shared_connection() -> None:
    server = spec().options["servers"]["options"]
    shared = spire_spec().options
    assert server == {**shared, **{name: server[name] for name in ("name", "trust_domain", "cluster")}}
    assert server["namespace"]["default"] == "spire-server"


@pytest.mark.parametrize("of", TYPES)
def test_the_documentation_names_what_each_type_of_check_needs_and_takes(of: str) -> None:
    (text,) = (text for text in documented()["checks"]["description"] if text.startswith(f"C({of}) "))
    assert f"({TYPES[of].kind})" in text
    needs = text[text.index("It needs ") :].partition(", and takes ")[0]
    assert all(f"C({name})" in needs for name in TYPES[of].required)
    fixed = {name for name, need in TYPES[of].needs.items() if need == "here"}
    assert all(f"C({name})" in text for name in TYPES[of].fields if name not in fixed)


@pytest.mark.parametrize("name", ["status", "path", "min_remaining", "header_key", "container", "secret"])
def test_the_documentation_says_the_defaults_of_fields(name: str) -> None:
    (default,) = {of.optional[name] for of in TYPES.values() if of.optional.get(name) is not None}
    assert f"The default is V({default})" in " ".join(str(documented()["checks"]["suboptions"][name]).split())


def test_the_role_takes_what_the_module_takes() -> None:
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    role, module = said(specs["main"]["options"]), said(documented())
    del module["fail_on_failed"]
    del role["verify_untried"]  # nothing is asked of it: the role says it below the table
    del role["verify_config_map_namespace"]  # the role keeps what the module has written
    assert role.keys() == {f"verify_{name}" for name in module}
    for name, option in module.items():
        own = role[f"verify_{name}"]
        assert own["options"] == option["options"], name
        assert (own["type"], own["elements"]) in ((option["type"], option["elements"]), ("str", None)), name
    assert set(specs["remove"]["options"]) == {"verify_scenario", "verify_report_dir"}
    assert specs["remove"]["short_description"] != specs["main"]["short_description"]


def test_the_role_takes_what_the_module_of_the_status_takes() -> None:
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    role = said({**specs["main"]["options"], **specs["status"]["options"]})
    module = said(documented(trust_status))
    # A mesh that does not answer within a minute is told as one that does not answer.
    del module["timeout"]
    for name, option in module.items():
        own = role[f"verify_{name}"]
        assert own["options"] == option["options"], name
        assert (own["type"], own["elements"]) in ((option["type"], option["elements"]), ("str", None)), name


def test_the_example_is_a_play_that_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    (play,) = yaml.safe_load(trust_check.EXAMPLES)
    (task,) = play["tasks"]
    result = run(task["trustmesh.spiffe.trust_check"], capsys)
    assert result["table"] == ["blue_green: 5 checks are well-formed. In check mode nothing is tried."]


def run(args: dict[str, Any], capsys: pytest.CaptureFixture[str], check: bool = True) -> dict[str, Any]:
    """Run the module in this process, and return what it prints."""
    with patch_module_args({**args, "_ansible_check_mode": check}), pytest.raises(SystemExit):
        trust_check.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


BLUE = {"name": "blue", "kubeconfig": "/blue"}
SERVER = {"name": "one", "trust_domain": "example.org", "cluster": "blue", "pod": "statefulset/spire-server"}
GREEN = {"name": "green", "address": "192.0.2.1:443", "spiffe_id": "spiffe://example.org/green"}
SLEEP = {"name": "sleep", "cluster": "blue", "pod": "deploy/sleep"}
PEER = {"name": "its certificate", "type": "peer_certificate", "to": "green", "from": "sleep"}
GOOD: dict[str, Any] = {
    "scenario": "site",
    "clusters": [BLUE],
    "servers": [SERVER],
    "istio_roots": [{"cluster": "blue"}],
    "endpoints": [SLEEP, GREEN],
    "checks": [PEER],
    "timeout": 1,
}


def server(**fields: Any) -> dict[str, Any]:
    """Two servers, of which the second has the fields; None leaves one out."""
    second = {**SERVER, "name": "two", **fields}
    return {"servers": [SERVER, {name: value for name, value in second.items() if value is not None}]}


BAD: tuple[tuple[dict[str, Any], tuple[str, ...]], ...] = (
    ({"scenario": "../x"}, ('scenario: "../x" cannot name a file',)),
    ({"trust_domain": "example.org"}, ("trust_domain", "Supported parameters")),
    ({"clusters": [BLUE, BLUE]}, ("clusters[1]", "the name 'blue' is taken by clusters[0]")),
    ({"clusters": [{"kubeconfig": "/x"}]}, ("clusters[0]", "missing required arguments: name")),
    ({"clusters": [{"name": "x", "token": "y"}]}, ("clusters[0]", "token", "Supported parameters")),
    ({"clusters": [{"name": "x", "context": ""}]}, ("clusters[0] ('x')", "context is ''", "leave it out")),
    (
        {"clusters": [{"name": "x", "host": "http://x", "api_key": "secret-token"}]},
        ("clusters[0] ('x')", "host", "https://"),
    ),
    (
        {"clusters": [{"name": "x", "host": "https://x", "api_key": "secret-token", "validate_certs": False}]},
        ("clusters[0] ('x')", "validate_certs", "always verified"),
    ),
    (server(host="https://red", api_key="secret-token"), ("servers[1] ('two')", "host is given, and so is cluster")),
    (server(name="one"), ("servers[1]", "the name 'one' is taken by servers[0]")),
    (server(trust_domain=None), ("servers[1]", "trust_domain")),
    (server(trust_domain="Example.org"), ("servers[1] ('two')", "trust_domain", "lower case")),
    (server(trust_domain=""), ("servers[1] ('two')", "trust_domain", "empty")),
    (server(cluster="red"), ("servers[1] ('two')", "cluster is 'red'", "Known clusters: blue")),
    (server(pod=None), ("servers[1] ('two')", "cluster is given without pod or pod_selector")),
    (server(pod_selector="a=b"), ("servers[1] ('two')", "pod and pod_selector are mutually exclusive")),
    (server(kubeconfig="/red"), ("servers[1] ('two')", "kubeconfig is given, and so is cluster", "Leave out")),
    (server(context="red"), ("servers[1] ('two')", "context is given, and so is cluster")),
    (server(pod="Spire_Server"), ("servers[1] ('two')", "pod:", "is no pod", "statefulset/spire-server")),
    (server(pod=""), ("servers[1] ('two')", "pod:", "it is empty")),
    (server(namespace="A"), ("servers[1] ('two')", "namespace:", "no name of Kubernetes")),
    (server(socket_path="api.sock"), ("servers[1] ('two')", "socket_path:", "not an absolute path")),
    (server(timeout=0), ("servers[1] ('two')", "timeout: 0", "positive number")),
    (server(sokcet_path="/x"), ("servers[1]", "sokcet_path", "Supported parameters")),
    ({"istio_roots": [{"cluster": "red"}]}, ("istio_roots[0]", "cluster is 'red'", "Known clusters: blue")),
    ({"istio_roots": [{"namespace": "x"}]}, ("istio_roots[0]", "cluster")),
    ({"istio_roots": [{"cluster": "blue", "config_map": "-x"}]}, ("istio_roots[0]", "config_map is '-x'")),
    ({"endpoints": {"green": GREEN}}, ("endpoints",)),
    ({"endpoints": [GREEN, "x"]}, ("endpoints[1]",)),
    ({"endpoints": [{"address": "a:1"}]}, ("endpoints[0]", "name")),
    ({"endpoints": [SLEEP, {**GREEN, "adress": "b:1"}]}, ("endpoints[1]", "adress", "Supported parameters")),
    ({"endpoints": [{**SLEEP, "cluster": None}, GREEN]}, ("endpoints[0] ('sleep')", "no cluster", "blue")),
    ({"endpoints": [SLEEP, {**GREEN, "address": "b"}]}, ("endpoints[1] ('green')", "address is 'b'", "host:port")),
    (
        {"endpoints": [SLEEP, {**GREEN, "spiffe_id": "spiffe://other.org/x"}]},
        ("endpoints[1] ('green')", "no server of the trust domain other.org", "Add one to servers"),
    ),
    ({"checks": []}, ("checks: there is none",)),
    ({"checks": [PEER, "x"]}, ("checks[1]",)),
    ({"checks": [PEER, {"type": "request"}]}, ("checks[1]", "missing required arguments: name")),
    ({"checks": [PEER, {"name": "x"}]}, ("checks[1]", "missing required arguments: type")),
    ({"checks": [{"name": "x", "type": "nonsense"}]}, ("checks[0]", "type", "nonsense", "peer_certificate")),
    ({"checks": [{**PEER, "too": "green"}]}, ("checks[0]", "too", "Supported parameters")),
    ({"checks": [{**PEER, "control": "x"}]}, ("checks[0] ('its certificate')", "control is no field", "min_remaining")),
    ({"checks": [{**PEER, "min_remaining": "long"}]}, ("checks[0]", "min_remaining", "int")),
    ({"checks": [{**PEER, "to": "grene"}]}, ("checks[0] ('its certificate')", "to names the endpoint 'grene'")),
    ({"checks": [{**PEER, "client": "stranger"}]}, ("checks[0]", "client", "none, other_identity, foreign_ca")),
    ({"checks": [{**PEER, "refusal": ["timeout"]}]}, ("checks[0]", "refusal", "tls_alert, reset, http_403")),
    (
        {"checks": [{**PEER, "spiffe_id": "spiffe://other.org/x"}]},
        (
            "checks[0] ('its certificate')",
            "spiffe_id is spiffe://other.org/x",
            "no server of the trust domain other.org",
        ),
    ),
    ({"versions": {"SPIRE": ["1"]}}, ("versions: SPIRE is ['1']", "a text such as")),
    ({"versions": {"SPIRE": ""}}, ("versions: SPIRE is ''",)),
    ({"timeout": 0}, ("timeout is 0, expected 1 to 3600 seconds",)),
    ({"interval": 0}, ("interval is 0", "expected 0.05")),
    ({"settle": -1}, ("settle is -1",)),
)


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that leaves a trace beside itself when it is run."""
    path = tmp_path_factory.mktemp("trap") / "kubectl"
    path.write_text('#!/bin/sh\ntouch "$0.was-run"\nexit 1\n')
    path.chmod(0o755)
    return path


def trapped(args: dict[str, Any], trap: Path) -> dict[str, Any]:
    """The arguments, with the trap in place of the kubectl of each cluster."""
    both = {**GOOD, **args}
    clusters = [{**one, "kubectl": str(trap)} for one in both["clusters"]]
    return {**both, "clusters": clusters}


@pytest.mark.parametrize(("args", "words"), BAD)
def test_bad_input_is_refused_and_nobody_is_asked(
    args: dict[str, Any], words: tuple[str, ...], trap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = trap.with_name("kubectl.was-run")
    trace.unlink(missing_ok=True)
    result = run(trapped(args, trap), capsys, check=False)
    assert result.get("failed"), result
    for word in words:
        assert word in result["msg"]
    assert not trace.exists(), f"A cluster was asked before this was refused: {result['msg']}"


def test_good_input_gets_to_the_clusters(trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = trap.with_name("kubectl.was-run")
    trace.unlink(missing_ok=True)
    result = run(trapped({}, trap), capsys, check=False)
    assert trace.exists(), "So the rows above would prove nothing."
    assert result["report"]["summary"] == {"passed": 0, "failed": 1, "refuted": 1, "not_judged": 0}


def test_a_cluster_is_named_by_the_environment_as_in_other_modules(
    trap: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", "/from/environment")
    monkeypatch.setenv("K8S_AUTH_CONTEXT", "there")
    trap.write_text('#!/bin/sh\necho "$@" >> "$0.was-run"\nexit 1\n')
    trace = trap.with_name("kubectl.was-run")
    trace.unlink(missing_ok=True)
    result = run(trapped({"clusters": [{"name": "blue"}]}, trap), capsys, check=False)
    assert "report" in result, result
    assert result["report"]["clusters"] == [{"name": "blue", "context": "there"}]
    assert "--kubeconfig /from/environment --context there" in trace.read_text()
    assert run(trapped({}, trap), capsys)["table"], "what a cluster of its own names is not what the environment names"


def test_the_variables_that_awx_sets_do_not_come_between_a_server_and_its_cluster(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"HOST": "https://192.0.2.1:6443", "API_KEY": "secret-token", "VERIFY_SSL": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(f"K8S_AUTH_{name}", value)
    for clusters in ([BLUE], [{"name": "blue"}]):
        result = run({**GOOD, "clusters": clusters}, capsys)
        assert result.get("table"), result
        assert "secret-token" not in json.dumps(result)

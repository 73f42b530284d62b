# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles render is accepted by the programs that it is for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import networks
import pytest
import yaml
from certificates import issue
from playbook import play
from rendering import CASES, Case, Rendered, render

from ..conftest import binary
from ..kubernetes_api import Api, running_api


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return render(tmp_path_factory.mktemp("rendered"), CASES)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with running_api() as one:
        yield one


def of(role: str) -> list[str]:
    return [name for name, case in CASES.items() if role in case.roles]


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("case", of("spire_server"))
def test_spire_server_accepts_its_configuration(
    rendered: Rendered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    variables = CASES[case].variables
    monkeypatch.setenv("DATABASE_CONNECTION", variables.get("spire_server_database_connection", ""))
    # The Secret of a bundle endpoint, whose files SPIRE reads when it checks its configuration.
    web = issue(hosts=["bundle.example"])
    (tmp_path / "tls.crt").write_text(web.pem)
    (tmp_path / "tls.key").write_text(web.key_pem)
    conf = tmp_path / "server.json"
    text = rendered.text(case, "spire_server", "conf")
    for name, content in variables.get("spire_server_node_attestor_files", {}).items():
        (tmp_path / name).write_text(content)
    for folder in ("bundle-endpoint", "node-attestors"):
        text = text.replace(f"/run/spire/{folder}", str(tmp_path))
    conf.write_text(text)
    assert "valid" in run(binary("spire-server"), "validate", "-config", str(conf), "-expandEnv")


@pytest.mark.parametrize("case", of("spire_agent"))
def test_spire_agent_accepts_its_configuration(
    rendered: Rendered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setenv("MY_NODE_NAME", "node")
    conf = tmp_path / "agent.json"
    # In the pod the token lies in the agent's own folder, and the agent reads it when it checks its configuration.
    (tmp_path / "join-token").write_text("token")
    text = rendered.text(case, "spire_agent", "conf")
    conf.write_text(text.replace("/var/lib/spire/agent/join-token", f"{tmp_path}/join-token"))
    assert "valid" in run(binary("spire-agent"), "validate", "-config", str(conf), "-expandEnv")


@pytest.mark.parametrize("case", of("envoy"))
def test_envoy_accepts_its_configuration(rendered: Rendered, case: str) -> None:
    for config in rendered.value(case, "envoy", "configs"):
        run(binary("envoy"), "--mode", "validate", "--log-level", "error", "--config-yaml", json.dumps(config))


@pytest.mark.parametrize("case", of("istio"))
def test_istioctl_closes_the_plain_port_of_istiod_whatever_a_user_adds(
    rendered: Rendered, tmp_path: Path, case: str
) -> None:
    overlay = tmp_path / "overlay.json"
    overlay.write_text(rendered.text(case, "istio", "overlay"))
    made = yaml.safe_load_all(run(binary("istioctl"), "manifest", "generate", "-f", str(overlay)))
    template = next(
        item["spec"]["template"]
        for item in made
        # One of a revision is called after it.
        if item and item["kind"] == "Deployment" and item["metadata"]["name"].startswith("istiod")
    )
    # Of a flag that is there twice the last one counts.
    places = [word for word in template["spec"]["containers"][0]["args"] if word.startswith("--grpcAddr")]
    assert places[-1] == "--grpcAddr="
    assert (template["metadata"]["annotations"].get("mine") == "yes") == (
        "mine" in str(CASES[case].variables.get("istio_overlay"))
    )


def test_what_a_program_that_is_not_here_would_check_is_left_alone(tmp_path: Path) -> None:
    accept = {
        "what": "nobody",
        "program": str(tmp_path / "absent"),
        # More than a pipe holds: nobody may go before it is read.
        "text": "x" * 300_000,
        "command": "false",
    }
    tasks = [
        {
            "ansible.builtin.include_role": {
                "name": "trustmesh.spiffe.trustmesh",
                "tasks_from": "accept",
                "rolespec_validate": False,
            },
            "vars": {"trustmesh_problems": [], "trustmesh_accept": accept, "trustmesh_cache_dir": str(tmp_path)},
        }
    ]
    done = play([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.glob("accepted/*")), "it would not be asked when it is here"


def taken(api: Api, rendered: Rendered, cases: Mapping[str, Case]) -> int:
    """Have the API server take all NetworkPolicies of some cases, and return how many of these have any."""
    there, seen = set(api.kubectl("get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}").split()), 0
    for name, case in cases.items():
        items = []
        if {"spire_server", "envoy", "istio", "demo_app"} & set(case.roles):
            items = [item for item in rendered.applied(name) if item["kind"] == "NetworkPolicy"]
        if not items:
            continue
        seen += 1
        spaces = {item["metadata"]["namespace"] for item in items} - there
        there |= spaces
        made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}} for space in sorted(spaces)]
        text = yaml.safe_dump_all([*made, *items])
        api.kubectl("apply", "--validate=strict", "-f", "-", stdin=text)
        again = api.kubectl("apply", "-f", "-", stdin=text).splitlines()
        assert [line for line in again if not line.endswith(" unchanged")] == [], name
        found = json.loads(api.kubectl("get", "networkpolicies", "--all-namespaces", "-o", "json"))["items"]
        kept = {(one["metadata"]["namespace"], one["metadata"]["name"]): one["spec"] for one in found}
        for item in items:
            of_it = kept[item["metadata"]["namespace"], item["metadata"]["name"]]
            assert of_it == item["spec"], "what the server fills in would be a difference"
    return seen


def test_the_api_server_takes_all_network_policies_and_keeps_them_as_they_are(rendered: Rendered, api: Api) -> None:
    assert taken(api, rendered, CASES) > 5


@pytest.mark.thorough
def test_and_those_of_each_place_in_a_network(api: Api, tmp_path: Path) -> None:
    cases = {**CASES, **networks.cases()}
    assert taken(api, render(tmp_path, cases), cases) > len(networks.HOSTS)

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook awx, against a controller: the one that CONTROLLER_HOST names, or one that stands in for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import awx_job
import pytest
from controller import Controller, serve

ROOT = Path(__file__).resolve().parents[3]
SECRETS = {"awx_kubeconfig": "apiVersion: v1\nsecret: t0p-secret\n", "awx_cluster_token": "t0p-secret"}
GIVEN = {
    **SECRETS,
    "awx_cluster_host": "https://192.0.2.1:6443",
    "awx_cluster_ca": "PEM",
    "awx_images": {"quote": "r/q:1"},
}


@dataclass
class Reached:
    """A controller, and how it is reached. ``stand_in`` is none where it is a real one."""

    env: dict[str, str]
    stand_in: Controller | None


@pytest.fixture(scope="module")
def reached() -> Iterator[Reached]:
    if os.environ.get("CONTROLLER_HOST"):
        yield Reached({}, None)
        return
    controller = Controller(playbooks=[f"playbooks/{path.name}" for path in (ROOT / "playbooks").glob("*.yml")])
    server, env = serve(controller)
    yield Reached(env, controller)
    server.shutdown()


def apply(reached: Reached, folder: Path, *words: str, **given: object) -> tuple[str, list[str]]:
    """Run the playbook. Returns what it prints, and what it changed."""
    variables = folder / "given.json"
    variables.write_text(json.dumps(given))
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "playbooks/awx.yml", "-e", f"@{variables}", *words]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "1000"}
    done = subprocess.run(argv, cwd=ROOT, env={**env, **reached.env}, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "t0p-secret" not in told
    return told, re.findall(r"^changed: \[localhost\] => \(item=(.*)\)$", done.stdout, re.MULTILINE)


@pytest.mark.thorough
def test_check_mode_tells_what_is_to_come_and_changes_nothing(reached: Reached, tmp_path: Path) -> None:
    told, changed = apply(reached, tmp_path, "--check", **GIVEN)
    assert "trustmesh: proof" in told, "what hangs on what is to come is told"
    assert changed or not reached.stand_in
    assert not reached.stand_in or reached.stand_in.changes == [], "and nobody is asked to change anything"


@pytest.fixture(scope="module")
def made(reached: Reached, tmp_path_factory: pytest.TempPathFactory) -> Reached:
    """A controller in which a run has made all."""
    apply(reached, tmp_path_factory.mktemp("made"), **GIVEN)
    return reached


def test_a_run_makes_all(made: Reached) -> None:
    if made.stand_in:
        look_at(made.stand_in)


@pytest.mark.thorough
def test_a_second_run_changes_nothing_and_check_mode_says_so(made: Reached, tmp_path: Path) -> None:
    for words in ("-v", "--check"):
        told, changed = apply(made, tmp_path, words, **GIVEN)
        assert "changed=0" in told, changed


def look_at(controller: Controller) -> None:
    """See that what was made is what was meant."""
    assert controller.named("organizations").keys() == {"trustmesh"}
    assert controller.associated("organizations", "trustmesh", "galaxy_credentials") == [], "no Galaxy server is asked"
    templates = controller.named("job_templates")
    assert sorted(templates) == sorted(awx_job.templates())
    for name, template in templates.items():
        assert controller.associated("job_templates", name, "credentials") == ["trustmesh kubeconfig"]
        assert controller.surveys[template["id"]]["spec"], name
        # It is AWX's to work out in the job.
        variables = json.loads(template["extra_vars"])
        assert variables["kubernetes_cluster_context"].startswith("{{ ")
        assert variables["images_refs_override"] == {"quote": "r/q:1"}
    kinds = controller.named("credential_types")
    assert kinds["trustmesh kubeconfig"]["injectors"]["file"] == {"template.kubeconfig": "{{ kubeconfig }}"}
    held = {one["name"]: controller.inputs[one["id"]] for one in controller.named("credentials").values()}
    assert held["trustmesh kubeconfig"] == {"kubeconfig": GIVEN["awx_kubeconfig"]}
    assert held["trustmesh cluster token"]["verify_ssl"] is True
    flows = controller.named("workflow_job_templates")
    assert sorted(flows) == sorted(awx_job.workflows())
    nodes = controller.objects["workflow_job_template_nodes"].values()
    approvals = controller.objects["workflow_approval_templates"]
    for flow in flows.values():
        mine = {one["identifier"]: one for one in nodes if one["workflow_job_template"] == flow["id"]}
        after = {
            name: [
                controller.objects["workflow_job_template_nodes"][one]["identifier"]
                for what in ("success_nodes", "always_nodes")
                for one in controller.associations.get(("workflow_job_template_nodes", node["id"], what), [])
            ]
            for name, node in mine.items()
        }
        assert after == {"set-up": ["prove"], "prove": ["approve"], "approve": ["tear-down"], "tear-down": []}
        assert mine["approve"]["unified_job_template"] in approvals
    (schedule,) = controller.named("schedules").values()
    assert schedule["enabled"] is False


def test_a_controller_that_is_not_verified_is_refused(reached: Reached) -> None:
    variables = json.dumps({"awx_connection": {"validate_certs": bool(0)}})
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "playbooks/awx.yml", "-e", variables]
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, **reached.env}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "SSL_CERT_FILE" in done.stdout

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders what the roles would apply, with Ansible's own templating and without a cluster.

Each case is a host of one play, with the variables of that case. A shadow of each role lends its defaults, variables,
templates and files; of its tasks only those that set facts or read variables are taken, and one that keeps what is
rendered. So everything is rendered in a single call of ansible-playbook.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from playbook import ROOT, play

SHARED = ("defaults", "vars", "templates", "files")

FILTER = """
import json
from pathlib import Path

def keep(value, path):
    Path(path).write_text(value if isinstance(value, str) else json.dumps(value))
    return ""

class FilterModule:
    def filters(self):
        return {"keep": keep}
"""

# What each role is rendered as: a name, and the expression that gives it.
RENDERED: dict[str, dict[str, str]] = {
    "trustmesh": {},
    "toolchain": {"bin": "toolchain_bin", "downloads": "__toolchain_downloads | default({})"},
    "images": {
        "refs": "images_refs",
        "kind_config": "images_kind_config",
        "stock_envoy": "images_stock_envoy",
        "socket_delivery": "trustmesh_socket_delivery",
    },
    "cluster": {"config": "__cluster_config", "image": "cluster_image"},
    "spire_controller_manager": {
        "objects": "lookup('ansible.builtin.template', 'crds.yml.j2', 'permissions.yml.j2', wantlist=true) | join('')",
        "config": "lookup('ansible.builtin.template', 'config.yml.j2')",
        "resources": "__spire_controller_manager_resources",
        "privileged": "__spire_controller_manager_privileged",
        "incomplete": "__spire_controller_manager_incomplete",
    },
    "spire_server": {
        "objects": "lookup('ansible.builtin.template', 'objects.yml.j2')",
        "conf": "lookup('ansible.builtin.template', 'server.conf.j2')",
        "definitions": "definitions",
    },
    "spire_agent": {
        "objects": "lookup('ansible.builtin.template', 'objects.yml.j2')",
        "conf": "lookup('ansible.builtin.template', 'agent.conf.j2')",
    },
    "envoy": {"objects": "lookup('ansible.builtin.template', 'objects.yml.j2')", "config": "__envoy_config"},
    "istio": {"overlay": "__istio_rendered_overlay", "objects": "__istio_mesh_objects"},
    "demo_app": {"objects": "lookup('ansible.builtin.template', 'objects.yml.j2')"},
}

TOKEN = "3f5b1a90-0000-4000-8000-feedc0ffee00"
"""A join token that was minted in this run."""

CLUSTER = {
    "toolchain_engine_name": "podman",
    "toolchain_env": {},
    "cluster_kubeconfig": "/nonexistent/kubeconfig",
    "cluster_context": "kind-test",
    "cluster_address": "192.0.2.7",
    "cluster_nodes": [{"name": "test-control-plane", "role": "control-plane", "address": "192.0.2.7"}],
    "spire_server_endpoint": {"address": "192.0.2.1", "port": 30081},
    "spire_server_connection": {},
    "spire_server_bundle": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    "__spire_agent_tokens": {"tokens": [{"token": TOKEN, "agent": {}}]},
    "__toolchain_node": {"control_node": {"go": {"version": "1.26.1", "path": "/usr/local/go/bin/go"}}},
    "__images_built": {"artifacts": {"node": {"key": "0123456789abcdef"}}},
}
"""What earlier roles and registered results would have told."""


@dataclass(frozen=True)
class Case:
    """A host: its mode, the roles that it is rendered for, its variables, and whether the SPIRE server is its own."""

    mode: str
    roles: tuple[str, ...]
    variables: Mapping[str, Any] | None = None
    server: bool = False


@dataclass(frozen=True)
class Rendered:
    """What was rendered, by case, role and name."""

    folder: Path

    def text(self, case: str, role: str, name: str) -> str:
        return (self.folder / f"{case}.{role}.{name}").read_text()

    def value(self, case: str, role: str, name: str) -> Any:
        return json.loads(self.text(case, role, name))

    def objects(self, case: str, role: str) -> list[dict[str, Any]]:
        return [item for item in yaml.safe_load_all(self.text(case, role, "objects")) if item]

    def one(self, case: str, role: str, kind: str, name: str | None = None) -> dict[str, Any]:
        """Return the only object of that kind (and name)."""
        found = [
            item
            for item in self.objects(case, role)
            if item["kind"] == kind and name in (None, item["metadata"]["name"])
        ]
        assert len(found) == 1, f"{len(found)} objects of kind {kind} in {case}"
        return found[0]


def render(folder: Path, cases: Mapping[str, Case]) -> Rendered:
    """Render all ``cases`` below ``folder``."""
    out = folder / "out"
    out.mkdir()
    (folder / "filter_plugins").mkdir()
    (folder / "filter_plugins" / "keep.py").write_text(FILTER)
    for role, expressions in RENDERED.items():
        _shadow(folder / "roles" / role, role, expressions, out)
    hosts = {
        name: {
            **CLUSTER,
            "toolchain_mode": case.mode,
            "cluster_name": "test",
            "render": case.roles,
            **(case.variables or {}),
        }
        for name, case in cases.items()
    }
    modes = sorted({case.mode for case in cases.values()})
    inventory = {
        "all": {
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            "children": {
                **{
                    f"mode_{mode}": {"hosts": {n: hosts[n] for n, c in cases.items() if c.mode == mode}}
                    for mode in modes
                },
                "spire_server": {"hosts": {name: {} for name, case in cases.items() if case.server}},
            },
        }
    }
    (folder / "hosts.json").write_text(json.dumps(inventory))
    # One play for each mode: what a role tells once holds for all hosts of its play.
    plays = [{"hosts": f"mode_{mode}", "roles": list(RENDERED)} for mode in modes]
    done = play(plays, folder, "-i", "hosts.json", ANSIBLE_FORKS="2")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return Rendered(out)


def _shadow(folder: Path, role: str, expressions: Mapping[str, str], out: Path) -> None:
    source = ROOT / "roles" / role
    (folder / "tasks").mkdir(parents=True)
    for part in SHARED:
        if (source / part).is_dir():
            (folder / part).symlink_to(source / part)
    install = source / "tasks" / "install.yml"
    tasks = yaml.safe_load(install.read_text()) if install.is_file() else []
    taken = [
        task
        for task in tasks
        if "ansible.builtin.include_vars" in task
        or (role in ("toolchain", "images") and "ansible.builtin.set_fact" in task)
    ]
    extra: dict[str, Any] = {}
    for task in tasks:
        if role == "cluster":
            extra.update(task.get("vars", {}))
        if "definition" in task.get("kubernetes.core.k8s", {}):
            extra["definitions"] = {
                "no_log": bool(task.get("no_log")),
                "objects": task["kubernetes.core.k8s"]["definition"],
            }
    keep = {
        name: f"{{{{ {expression} | keep('{out}/' ~ inventory_hostname ~ '.{role}.{name}') }}}}"
        for name, expression in expressions.items()
    }
    taken.append({"name": "Keep", "ansible.builtin.debug": {"msg": keep}, "vars": extra, "when": f"'{role}' in render"})
    (folder / "tasks" / "main.yml").write_text(yaml.safe_dump(taken, width=1000))


FRONT = {"envoy_name": "envoy", "envoy_namespace": "quotes", "envoy_upstream_address": "quote.quotes.svc.cluster.local"}
"""An Envoy that lets listed identities in."""
GATEWAY = {
    "envoy_name": "gateway",
    "envoy_namespace": "demo",
    "envoy_in_mesh": True,
    "envoy_service_type": "ClusterIP",
    "envoy_upstream_address": "192.0.2.9",
    "envoy_upstream_spiffe_ids": ["spiffe://example.org/green/envoy"],
}
"""An Envoy of the mesh, whose requests leave under SPIFFE mTLS."""
PASSWORD = "correct-horse-battery"

SPIFFE_IDS = [
    {
        "name": "demo",
        "spec": {"spiffeIDTemplate": "{% raw %}spiffe://{{ .TrustDomain }}/pod/{{ .PodMeta.Name }}{% endraw %}"},
    },
    {"name": "boss", "spec": {"spiffeIDTemplate": "spiffe://example.org/boss", "admin": True}},
    {"name": "gone", "state": "absent"},
    {"name": "lost", "spec": {"hint": "no template"}},
]
SIDECAR = {
    "name": "spire-controller-manager",
    "image": "localhost/trustmesh/spire-controller-manager:0.6.4",
    "args": ["-config", "/etc/spire-controller-manager/config.yml"],
    "files": {"config.yml": "entryIDPrefix: one"},
    "health_port": 8083,
}

CASES = {
    "official": Case(
        "official",
        tuple(RENDERED),
        {
            **FRONT,
            "envoy_allowed_spiffe_ids": ["spiffe://example.org/a", "spiffe://example.org/b"],
            "demo_app_parts": ["quote", "clients", "outsider"],
        },
        server=True,
    ),
    "registrar": Case(
        "packages",
        ("spire_controller_manager", "spire_server"),
        {"spire_controller_manager_cluster_spiffe_ids": SPIFFE_IDS, "spire_server_sidecars": [SIDECAR]},
    ),
    "official_remote": Case("official", ("spire_agent", "envoy", "istio"), {**GATEWAY, "istio_native_sidecars": False}),
    "packages": Case(
        "packages",
        tuple(RENDERED),
        {**FRONT, "envoy_allowed_spiffe_ids": ["spiffe://example.org/a"], "demo_app_parts": ["quote"]},
    ),
    "packages_local": Case("packages", ("spire_agent", "envoy"), {**GATEWAY, "spire_agent_attestor": "k8s_psat"}),
    "postgres": Case(
        "packages",
        ("spire_server",),
        {
            "spire_server_database_type": "postgres",
            "spire_server_database_connection": f"dbname=spire user=spire password={PASSWORD} host=db.example.org",
            "spire_server_storage_class": "fast",
            "spire_server_storage_size": "5Gi",
        },
    ),
    "mysql": Case(
        "packages",
        ("spire_server",),
        {
            "spire_server_database_type": "mysql",
            "spire_server_database_connection": f"spire:{PASSWORD}@tcp(db.example.org:3306)/spire?parseTime=true",
        },
    ),
    "host_path": Case("packages", ("spire_server",), {"spire_server_storage": "host_path"}),
    "classic": Case("packages", ("istio",), {"istio_native_sidecars": False}),
}
"""What the tests look at."""

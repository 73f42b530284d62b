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
    "kubernetes_cluster": {"config": "__kubernetes_cluster_config", "image": "kubernetes_cluster_image"},
    "spire_controller_manager": {
        "objects": "__spire_controller_manager_text",
        "config": "lookup('ansible.builtin.template', 'config.yml.j2')",
        "resources": "__spire_controller_manager_wanted",
        "absent": "__spire_controller_manager_absent",
        "problems": "__spire_controller_manager_problems",
    },
    "spire_server": {
        "objects": "lookup('ansible.builtin.template', 'objects.yml.j2')",
        "conf": "__spire_server_configuration",
        "problems": "__spire_server_problems",
    },
    "spire_agent": {
        "objects": "lookup('ansible.builtin.template', 'objects.yml.j2')",
        "conf": "__spire_agent_configuration",
    },
    "envoy": {
        "names": "lookup('ansible.builtin.template', 'names.yml.j2')",
        "objects": "lookup('ansible.builtin.template', 'objects.yml.j2')",
        "config": "__envoy_configurations | first",
    },
    "istio": {
        "overlay": "__istio_rendered_overlay",
        "objects": "__istio_mesh_text",
        "problems": "__istio_problems",
    },
    "demo_app": {"objects": "lookup('ansible.builtin.template', 'objects.yml.j2')"},
}

TOKEN = "3f5b1a90-0000-4000-8000-feedc0ffee00"
"""A join token that was minted in this run."""

CLUSTER = {
    "toolchain_engine_name": "podman",
    "toolchain_env": {},
    "kubernetes_cluster": {
        "name": "test",
        "kubeconfig": "/nonexistent/kubeconfig",
        "context": "kind-test",
        "address": "192.0.2.7",
        "nodes": [{"name": "test-control-plane", "role": "control-plane", "address": "192.0.2.7"}],
    },
    "spire_server_endpoint": {"address": "192.0.2.1", "port": 30081},
    "spire_server_connection": {},
    "spire_server_bundle": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    "spire_agent_attestor": "join_token",
    "__spire_agent_tokens": {"tokens": [{"token": TOKEN, "agent": {}}]},
    "__toolchain_node": {"control_node": {"go": {"version": "1.26.1", "path": "/usr/local/go/bin/go"}}},
    "__images_built": {"artifacts": {"node": {"key": "0123456789abcdef"}}},
    "__images_programs": {"artifacts": {"programs": {"path": "/nonexistent/programs"}}},
    "__demo_app_chosen": "{{ demo_app_workloads }}",
    "toolchain_for_kind": True,
}
"""What earlier roles and registered results would have told."""


@dataclass(frozen=True)
class Case:
    """A host: its mode, the roles that it is rendered for, and its variables."""

    mode: str
    roles: tuple[str, ...]
    variables: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Rendered:
    """What was rendered, by case, role and name."""

    folder: Path

    def text(self, case: str, role: str, name: str) -> str:
        return (self.folder / f"{case}.{role}.{name}").read_text()

    def value(self, case: str, role: str, name: str) -> Any:
        return json.loads(self.text(case, role, name))

    def objects(self, case: str, role: str) -> list[dict[str, Any]]:
        texts = [self.text(case, role, name) for name in ("names", "objects") if name in RENDERED[role]]
        return [item for text in texts for item in yaml.safe_load_all(text) if item]

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
            "spire_agent_server_host": name,
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
    keep = {
        name: f"{{{{ {expression} | keep('{out}/' ~ inventory_hostname ~ '.{role}.{name}') }}}}"
        for name, expression in expressions.items()
    }
    taken.append({"name": "Keep", "ansible.builtin.debug": {"msg": keep}, "when": f"'{role}' in render"})
    (folder / "tasks" / "main.yml").write_text(yaml.safe_dump(taken, width=1000))


LISTED = ["spiffe://example.org/a", "spiffe://example.org/b"]
FRONT = {
    "name": "envoy",
    "namespace": "quotes",
    "spiffe_id": "spiffe://example.org/ns/quotes/sa/envoy",
    "mesh": False,
    "labels": {},
    "listeners": [
        {"name": "inbound", "port": 8443, "allowed_spiffe_ids": LISTED, "routes": [{"upstream": "upstream"}]},
    ],
    "upstreams": [{"name": "upstream", "address": "quote.quotes.svc.cluster.local", "port": 80}],
    "service": {"type": "NodePort", "ports": [{"name": "https", "port": 8443, "target_port": 8443}]},
}
"""An Envoy that lets listed identities in."""
GATEWAY = {
    "name": "gateway",
    "namespace": "demo",
    "spiffe_id": "spiffe://example.org/ns/demo/sa/gateway",
    "mesh": True,
    "labels": {},
    "listeners": [{"name": "inbound", "port": 8080, "routes": [{"upstream": "upstream"}]}],
    "upstreams": [
        {
            "name": "upstream",
            "address": "192.0.2.9",
            "port": 8443,
            "spiffe_ids": ["spiffe://example.org/green/envoy"],
        }
    ],
    "service": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80, "target_port": 8080}]},
}
"""An Envoy of the mesh, whose requests leave under SPIFFE mTLS."""
APPS = [
    {"name": "sleep", "app": "client", "namespace": "demo", "mesh": True, "labels": {}},
    {
        "name": "quote",
        "app": "quote",
        "namespace": "quotes",
        "mesh": False,
        "labels": {},
        "port": 8080,
        "service": {"name": "quote", "port": 80},
    },
    {"name": "outsider", "app": "client", "namespace": "outside", "mesh": False, "labels": {}},
]
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
        {"envoy_instances": [FRONT], "demo_app_workloads": APPS, "spire_agent_attestor": "k8s_psat"},
    ),
    "registrar": Case(
        "packages",
        ("spire_controller_manager", "spire_server"),
        {"spire_controller_manager_cluster_spiffe_ids": SPIFFE_IDS, "spire_server_sidecars": [SIDECAR]},
    ),
    "official_remote": Case(
        "official", ("spire_agent", "envoy", "istio"), {"envoy_instances": [GATEWAY], "istio_native_sidecars": False}
    ),
    "packages": Case("packages", tuple(RENDERED), {"envoy_instances": [FRONT], "demo_app_workloads": APPS[1:2]}),
    "packages_local": Case(
        "packages", ("spire_agent", "envoy"), {"envoy_instances": [GATEWAY], "spire_agent_attestor": "k8s_psat"}
    ),
    "overlay": Case(
        "packages",
        ("spire_server", "spire_agent", "istio"),
        {
            "spire_server_overlay": {
                "server": {
                    "federation": {
                        "bundle_endpoint": {"address": "192.0.2.5", "port": 8443, "profile": [{"https_spiffe": [{}]}]}
                    }
                },
                "plugins": {
                    "Notifier": {"k8sbundle": None},
                    "UpstreamAuthority": {
                        "disk": {"plugin_data": {"cert_file_path": "/ca/crt", "key_file_path": "/ca/key"}}
                    },
                },
            },
            "spire_server_volumes": [{"name": "ca", "mount_path": "/ca", "source": {"secret": {"secretName": "ca"}}}],
            "spire_agent_overlay": {"agent": {"log_level": "DEBUG"}},
            "istio_enforce": "namespaces",
            "istio_enforced_namespaces": ["shop"],
            "istio_gateways": [
                {
                    "name": "ingress",
                    "namespace": "istio-ingress",
                    "ports": [{"name": "https", "port": 443, "target_port": 8443}],
                }
            ],
        },
    ),
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

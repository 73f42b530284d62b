# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders what the roles would apply, with Ansible's own templating and without a cluster.

Each case is a host of one play, with the variables of that case. A shadow of each role lends its defaults, variables,
templates and files; of its tasks to install, name and configure only those that set facts or read variables are taken,
and one that keeps what is rendered. So everything is rendered in a single call of ansible-playbook.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from certificates import issue
from playbook import ROOT, play

NODES_CA = issue().pem

SHARED = ("defaults", "vars", "templates", "files")
TAKEN = {"ansible.builtin.include_vars", "ansible.builtin.set_fact"}

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

# Each role in the order of a run, and what is kept of it: a name, and the expression that gives it.
RENDERED: dict[str, dict[str, str]] = {
    "trustmesh": {"delivery": "trustmesh_socket_delivery"},
    "toolchain": {
        "bin": "toolchain_bin",
        "downloads": "__toolchain_downloads | default({})",
        "build": "toolchain_build",
    },
    "images": {
        **{"refs": "images_refs", "stock_envoy": "images_stock_envoy", "delivery": "trustmesh_socket_delivery"},
        "steps": "(__images_library_steps + (__images_steps | default(__images_program_steps)))",
    },
    "kubernetes_cluster": {"config": "__kubernetes_cluster_config", "image": "kubernetes_cluster_image"},
    "spire_controller_manager": {
        "sidecar": "spire_controller_manager_sidecar",
        "problems": "__spire_controller_manager_problems",
    },
    "spire_server": {"conf": "__spire_server_configuration", "problems": "__spire_server_problems"},
    "spire_agent": {"conf": "__spire_agent_configuration", "late_problems": "__spire_agent_late_problems"},
    "envoy": {"configs": "__envoy_configurations"},
    "istio": {"overlay": "__istio_rendered_overlay", "problems": "__istio_problems"},
    "demo_app": {"problems": "__demo_app_problems"},
    "load_balancer": {"comes": "load_balancer_install", "problems": "__load_balancer_problems"},
    "cert_manager": {
        "comes": "cert_manager_install",
        "problems": "__cert_manager_problems",
        "unknown": "__cert_manager_unknown | default('', true)",
    },
    "kubernetes_objects": {
        "pending": "kubernetes_objects_pending | default([])",
        "batch": "(kubernetes_objects_pending | default([]) + kubernetes_objects_secrets | default([]))"
        " | trustmesh.spiffe.object_batch('tests', [])",
    },
}

TOKEN = "3f5b1a90-0000-4000-8000-feedc0ffee00"
"""A join token that was minted in this run."""

CLUSTER: dict[str, Any] = {
    "name": "test",
    "kubectl": "kubectl",
    "kubeconfig": "/nonexistent/kubeconfig",
    "context": "kind-test",
    "nodes": [{"name": "test-control-plane", "role": "control-plane", "address": "192.0.2.7"}],
    "address": "192.0.2.7",
    "balancer_addresses": "192.0.2.136-192.0.2.143",
    "made_here": True,
}

GIVEN = {
    "toolchain_engine_name": "podman",
    "toolchain_env": {},
    "toolchain_for_kind": True,
    "kubernetes_cluster_workers": 1,
    "kubernetes_cluster": CLUSTER,
    "spire_server_endpoint": {"address": "192.0.2.1", "port": 30081},
    "spire_server_bundle": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    "__spire_agent_tokens": {"tokens": [{"token": TOKEN, "agent": {}}]},
    "__toolchain_node": {
        "control_node": {"path": "/usr/bin:/bin", "go": {"version": "1.26.1", "path": "/usr/local/go/bin/go"}}
    },
    "__images_built": {"artifacts": {"node": {"key": "0123456789abcdef"}}},
    "__images_programs": {"artifacts": {"programs": {"path": "/nonexistent"}}},
}
"""What earlier roles and registered results would have told."""


@dataclass(frozen=True)
class Case:
    """A host: its mode, the roles that it is rendered for, its variables, and how its agents join."""

    mode: str
    roles: tuple[str, ...]
    variables: Mapping[str, Any] = field(default_factory=dict)
    attestor: str = "join_token"


@dataclass(frozen=True)
class Rendered:
    """What was rendered, by case, role and name."""

    folder: Path

    def text(self, case: str, role: str, name: str) -> str:
        return (self.folder / f"{case}.{role}.{name}").read_text()

    def value(self, case: str, role: str, name: str) -> Any:
        return json.loads(self.text(case, role, name))

    def pending(self, case: str, role: str) -> list[dict[str, Any]]:
        """Return what the role wants to be applied, as it says it."""
        return [item for item in self.value(case, "kubernetes_objects", "pending") if item["owner"] == role]

    def objects(self, case: str, role: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for item in self.pending(case, role):
            found += [*yaml.safe_load_all(item.get("text", "")), *item.get("objects", [])]
        return [item for item in found if item]

    def applied(self, case: str, part: str = "objects") -> list[dict[str, Any]]:
        """Return what is sent to the cluster for all roles: its ``secrets``, its ``objects`` or what is ``absent``."""
        return [item for item in yaml.safe_load_all(self.value(case, "kubernetes_objects", "batch")[part]) if item]

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
    modes = sorted({case.mode for case in cases.values()})
    inventory = {
        "all": {
            "vars": {
                **GIVEN,
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
                "trustmesh_build_dir": str(folder / "build"),
                "trustmesh_cache_dir": str(folder / "cache"),
            },
            "children": {
                f"mode_{mode}": {"hosts": {n: variables(n, c) for n, c in cases.items() if c.mode == mode}}
                for mode in modes
            },
        }
    }
    (folder / "hosts.json").write_text(json.dumps(inventory))
    # One play for each mode: what a role tells once holds for all hosts of its play.
    plays = [{"hosts": f"mode_{mode}", "roles": list(RENDERED)} for mode in modes]
    done = play(plays, folder, "-i", "hosts.json", ANSIBLE_FORKS="2")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return Rendered(out)


def variables(name: str, case: Case) -> dict[str, Any]:
    # What would follow from the workloads of an inventory.
    derived = {
        "kubernetes_cluster_name": "test",
        "spire_server_service_type": "NodePort",
        "spire_agent_server_host": name,
        "spire_agent_attestor": case.attestor,
        "spire_controller_manager_cluster_spiffe_ids": [],
        "spire_server_published_bundles": [],
        "spire_server_machines": [],
        "spire_server_node_attestors": {},
        "spire_server_node_attestor_files": {},
        "spire_server_upstream_ca_secret": "",
        "upstream_ca_istio_namespace": "",
        "spire_server_bundle_endpoint": False,
        "spire_server_bundle_service_type": "LoadBalancer",
        "spire_agent_sds": {},
        "spire_agent_workload_attestors": [],
        "spire_federation_peers": [],
        "istio_network": "",
        "istio_trusted_domains": [],
        "istio_remote_clusters": [],
        "istio_authorization_policies": [],
        "istio_gateways": [],
        "istio_objects": [],
        "envoy_instances": [],
        "demo_app_workloads": [],
    }
    always = ("trustmesh", "toolchain", "images", "kubernetes_objects")
    return {
        "toolchain_mode": case.mode,
        "trustmesh_derived": derived,
        "rendered_roles": [*always, *case.roles],
        # Any program: none is run.
        "istio_istioctl": sys.executable,
        **case.variables,
    }


def _shadow(folder: Path, role: str, expressions: Mapping[str, str], out: Path) -> None:
    source = ROOT / "roles" / role
    (folder / "tasks").mkdir(parents=True)
    for part in SHARED:
        if (source / part).is_dir():
            (folder / part).symlink_to(source / part)
    taken: list[dict[str, Any]] = []
    for name in ("install.yml", "names.yml", "configure.yml"):
        path = source / "tasks" / name
        # That of the cluster tells what GIVEN has.
        tasks = yaml.safe_load(path.read_text()) if path.is_file() and role != "kubernetes_cluster" else []
        taken += [task for task in tasks if TAKEN & set(task)]
    keep = {
        name: f"{{{{ {expression} | keep('{out}/' ~ inventory_hostname ~ '.{role}.{name}') }}}}"
        for name, expression in expressions.items()
    }
    taken.append({"name": "Keep", "ansible.builtin.debug": {"msg": keep}})
    block = [{"name": "Take", "when": f"'{role}' in rendered_roles", "block": taken}]
    (folder / "tasks" / "main.yml").write_text(yaml.safe_dump(block, width=1000))


MINE = {"path": "spec.template.metadata.annotations.mine", "value": "yes"}
"""A patch of istiod that a user wants."""
LISTED = ["spiffe://example.org/a", "spiffe://example.org/b"]
QUOTE = {"name": "quote", "namespace": "quotes", "app": "quote", "mesh": False, "port": 8080}
REVIEWS = {"namespace": "books", "app": "reviews", "mesh": False, "port": 9080}
FRONT = {
    "name": "envoy",
    "namespace": "quotes",
    "labels": {"app.kubernetes.io/name": "envoy"},
    "spiffe_id": "spiffe://example.org/ns/quotes/sa/envoy",
    "listeners": [
        {"name": "inbound", "port": 8443, "allowed_spiffe_ids": LISTED, "routes": [{"upstream": "upstream"}]}
    ],
    "upstreams": [{"name": "upstream", "address": "quote.quotes.svc.cluster.local", "port": 8080}],
    "service": {"ports": [{"name": "https", "port": 8443, "target_port": 8443}]},
}
"""An Envoy that lets listed identities in."""
BESIDE = {
    **FRONT,
    "name": "quote-envoy",
    "labels": {"app.kubernetes.io/name": "quote"},
    "beside": {"kind": "Deployment", "name": "quote", "existing": False},
    "upstreams": [{"name": "upstream", "address": "127.0.0.1", "port": 8080}],
}
"""The same in the pod of an application."""
GATEWAY = {
    "name": "gateway",
    "namespace": "egress",
    "labels": {"app.kubernetes.io/name": "gateway"},
    "mesh": True,
    "spiffe_id": "spiffe://example.org/ns/egress/sa/gateway",
    "listeners": [{"name": "inbound", "port": 8080, "routes": [{"upstream": "upstream"}]}],
    "upstreams": [
        {
            "name": "upstream",
            "address": "192.0.2.9",
            "port": 30443,
            "spiffe_ids": ["spiffe://example.org/green/envoy"],
        }
    ],
    "service": {"ports": [{"name": "http", "port": 80, "target_port": 8080}]},
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
CALLERS = {
    "name": "callers-of-quote",
    "namespace": "quotes",
    "selector": {"app.kubernetes.io/name": "quote"},
    "principals": ["example.org/ns/demo/sa/client"],
    "methods": ["GET"],
}
ALL = ("kubernetes_cluster", "spire_server", "spire_agent", "envoy", "istio", "demo_app")

ISSUING = {
    "cert_manager_issuers": [
        {"name": "self-signed", "namespace": "cert-manager", "spec": {"selfSigned": {}}},
        {"name": "mesh-root", "spec": {"ca": {"secretName": "mesh-root"}}},
    ],
    "cert_manager_certificates": [
        {
            "name": name,
            "namespace": namespace,
            "spec": {"isCA": True, "commonName": name, "secretName": name, "issuerRef": {"name": by, "kind": kind}},
        }
        for name, namespace, by, kind in (
            ("mesh-root", "cert-manager", "self-signed", "Issuer"),
            ("cacerts", "istio-system", "mesh-root", "ClusterIssuer"),
        )
    ],
}

CASES = {
    "official": Case(
        "official",
        ALL,
        {
            "envoy_instances": [FRONT],
            "demo_app_workloads": [
                {**QUOTE, "envoy": "envoy", "service": {"name": "quote", "port": 8080}},
                {"name": "client", "namespace": "demo", "app": "client", "mesh": True},
            ],
            "istio_authorization_policies": [CALLERS, {**CALLERS, "name": "old", "state": "absent"}],
        },
        attestor="k8s_psat",
    ),
    "books": Case(
        "packages",
        ("demo_app",),
        {
            "demo_app_workloads": [
                {
                    **{"name": "asker", "namespace": "asking", "app": "client", "mesh": False, "files": True},
                    "host_aliases": [{"ip": "192.0.2.9", "hostnames": ["shop.example"]}],
                },
                {
                    **REVIEWS,
                    "name": "reviews-v1",
                    "service": {"name": "reviews", "port": 9080, "selector": {"app": "reviews"}},
                },
                {**REVIEWS, "name": "hello", "app": "helloworld", "labels": {"version": "v7"}, "port": 5000},
                {**REVIEWS, "name": "reviews-v4", "labels": {"version": "v4"}},
                {**REVIEWS, "name": "page", "app": "productpage", "upstreams": {"ratings": "http://127.0.0.1:1"}},
                {**REVIEWS, "name": "other", "upstreams": {"details": "http://a", "ratings": "http://b"}},
            ],
        },
    ),
    "federated": Case(
        "packages",
        ("spire_server", "spire_agent", "istio"),
        {
            "spire_server_bundle_endpoint": True,
            "spire_agent_sds": {"default_bundle_name": "null", "default_all_bundles_name": "ROOTCA"},
            "istio_mesh_id": "both",
            "istio_network": "one",
            "istio_trusted_domains": ["bar.example"],
            "istio_remote_clusters": [{"cluster": "bar", "server": "https://192.0.2.2:6443"}],
        },
        attestor="k8s_psat",
    ),
    "registrar": Case(
        "packages",
        ("spire_controller_manager", "spire_server"),
        {"spire_controller_manager_cluster_spiffe_ids": SPIFFE_IDS},
    ),
    "registrar_federates": Case(
        "packages",
        ("spire_controller_manager", "spire_server"),
        {"spire_controller_manager_federates": True},
    ),
    "official_remote": Case(
        "official",
        ("spire_agent", "envoy", "istio"),
        {"envoy_instances": [GATEWAY], "istio_native_sidecars": False},
    ),
    "packages": Case(
        "packages",
        ALL,
        {
            "envoy_instances": [FRONT, BESIDE],
            "demo_app_workloads": [{**QUOTE, "envoy": "quote-envoy"}],
        },
        attestor="k8s_psat",
    ),
    "packages_remote": Case("packages", ("spire_agent", "envoy"), {"envoy_instances": [GATEWAY]}),
    "by_certificate": Case(
        "packages",
        ("spire_server", "spire_agent"),
        {
            "spire_agent_attestor_data": {
                "certificate_path": "/etc/node/tls.crt",
                "private_key_path": "/etc/node/tls.key",
            },
            "spire_agent_attestor_files": ["/etc/node"],
            "spire_agent_workload_attestors": ["unix"],
            "spire_server_node_attestors": {
                "aws_iid": {"plugin_data": {"assume_role": "spire"}},
                "http_challenge": {"plugin_data": {"required_port": 8080}},
                "x509pop": {"plugin_data": {"ca_bundle_paths": ["/run/spire/node-attestors/nodes-ca.crt"]}},
            },
            "spire_server_node_attestor_files": {"nodes-ca.crt": NODES_CA},
        },
        attestor="x509pop",
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
    "overlaid": Case(
        "packages",
        ("spire_server", "spire_agent"),
        {
            "spire_agent_overlay": {"agent": {"sds": {"default_svid_name": "mine"}, "log_level": "DEBUG"}},
            "spire_agent_pod_template": {
                "spec": {"hostAliases": [{"ip": "192.0.2.5", "hostnames": ["spire.example"]}]}
            },
            "spire_server_volumes": [
                {"name": "upstream", "mount_path": "/run/upstream", "source": {"secret": {"secretName": "upstream-ca"}}}
            ],
            "spire_server_rules": [
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["bundle"], "verbs": ["get", "patch"]}
            ],
            "spire_server_overlay": {
                "server": {
                    "jwt_issuer": "https://issuer.example.org",
                    "audit_log_enabled": None,
                    "disable_jwt_svids": False,
                    "federation": {
                        "bundle_endpoint": {"address": "0.0.0.0", "port": 8443, "profile": [{"https_spiffe": [{}]}]}  # noqa: S104
                    },
                },
                "plugins": {"KeyManager": {"disk": None, "memory": {"plugin_data": {}}}},
            },
            "spire_server_pod_template": {"spec": {"priorityClassName": "system-cluster-critical"}},
        },
        attestor="k8s_psat",
    ),
    "namespaces": Case(
        "packages",
        ("istio",),
        {
            "istio_native_sidecars": False,
            "istio_overlay": {
                "spec": {
                    "revision": "next",
                    "components": {
                        "pilot": {
                            "k8s": {"overlays": [{"kind": "Deployment", "name": "istiod-next", "patches": [MINE]}]}
                        }
                    },
                }
            },
            "istio_enforce": "namespaces",
            "istio_enforced_namespaces": ["ready", "too"],
            "istio_objects": [
                {
                    "apiVersion": "networking.istio.io/v1",
                    "kind": "VirtualService",
                    "metadata": {"name": "in", "namespace": "edge"},
                    "spec": {"hosts": ["shop.example"]},
                }
            ],
            "istio_mesh_id": "both",
            "istio_network": "one",
            "istio_gateways": [
                {"name": "in", "namespace": "edge", "ports": [{"name": "https", "port": 443, "target_port": 8443}]}
            ],
        },
    ),
    "nodes": Case(
        "packages",
        ("spire_server",),
        {"kubernetes_cluster": {**CLUSTER, "nodes": [*CLUSTER["nodes"], {"name": "two", "address": "192.0.2.8"}]}},
    ),
    "balanced": Case("packages", ("spire_server", "load_balancer"), {"spire_server_service_type": "LoadBalancer"}),
    "balanced_official": Case(
        "official",
        ("load_balancer",),
        {
            "kubernetes_objects_definitions": [
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "mine"}, "spec": {"type": "LoadBalancer"}}
            ]
        },
    ),
    "unbalanced": Case("packages", ("spire_server", "load_balancer"), {"spire_server_service_type": "NodePort"}),
    "balanced_elsewhere": Case(
        "packages",
        ("spire_server", "load_balancer"),
        {"spire_server_service_type": "LoadBalancer", "kubernetes_cluster": {**CLUSTER, "made_here": False}},
    ),
    "balanced_by_hand": Case(
        "packages",
        ("load_balancer",),
        {
            "kubernetes_cluster": {**CLUSTER, "made_here": False, "balancer_addresses": ""},
            "load_balancer_install": True,
            "load_balancer_addresses": ["198.51.100.16/28", "198.51.100.1-198.51.100.3"],
        },
    ),
    "issuing": Case("packages", ("cert_manager",), ISSUING),
    "issuing_official": Case("official", ("cert_manager",), ISSUING),
    "issuing_elsewhere": Case(
        "packages", ("cert_manager",), {**ISSUING, "kubernetes_cluster": {**CLUSTER, "made_here": False}}
    ),
    "issuing_by_hand": Case(
        "packages",
        ("cert_manager",),
        {
            "kubernetes_cluster": {**CLUSTER, "made_here": False},
            "cert_manager_install": True,
            "cert_manager_issuers": [
                {"name": "mail", "spec": {"acme": {}}},
                {"name": "both", "spec": {"ca": {}, "vault": {}}},
            ],
            "cert_manager_namespaces": ["shop", "Fish"],
        },
    ),
    "issuing_nothing": Case("packages", ("cert_manager",), {}),
    "issuing_for_istio": Case("packages", ("cert_manager",), {"cert_manager_istio_ca_days": 30}),
    "issuing_for_ever": Case("packages", ("cert_manager",), {"cert_manager_istio_ca_days": 900}),
    "under_a_ca": Case("packages", ("spire_server",), {"spire_server_upstream_ca_secret": "spire-upstream-ca"}),
    "web_endpoint": Case(
        "packages",
        ("spire_server",),
        {"spire_server_bundle_endpoint": True, "spire_server_bundle_endpoint_secret": "bundle-web"},
    ),
    "inside": Case("packages", ("spire_server",), {"spire_server_service_type": "ClusterIP"}),
    "unaudited": Case("packages", ("kubernetes_cluster",), {"kubernetes_cluster_audit": False}),
    "certified": Case(
        "packages",
        ("spire_server", "istio"),
        {
            "istio_control_plane_identity": "spire",
            "spire_server_published_bundles": [
                {"namespace": "edge", "configmap_name": "istio-ca-root-cert", "configmap_key": "root-cert.pem"},
                {"namespace": "shop", "configmap_name": "istio-ca-root-cert", "configmap_key": "root-cert.pem"},
            ],
        },
    ),
    "careless": Case("packages", ("istio",), {"istio_enforce": "namespaces"}),
    "without_istioctl": Case("packages", ("istio",), {"istio_istioctl": "/nonexistent/istioctl"}),
    "istioctl_not_on_path": Case("packages", ("istio",), {"istio_istioctl": "no-istioctl"}),
    "istioctl_on_path": Case("packages", ("istio",), {"istio_istioctl": "sh"}),
    "gateway_api": Case(
        "packages",
        ("istio",),
        {
            "istio_overlay": {"spec": {"revision": "next"}},
            "istio_gateway_api_install": False,
            "istio_gateways": [
                {
                    "name": "in",
                    "namespace": "edge",
                    "service_account": "door",
                    "labels": {"app.kubernetes.io/name": "in", "tier": "edge"},
                    "ports": [{"name": "https", "port": 443, "target_port": 443}, {"name": "http-plain", "port": 80}],
                    "service_type": "LoadBalancer",
                    "service_annotations": {"balancer": "mine"},
                    "replicas": 2,
                    "env": [{"name": "A", "value": "b"}],
                    "gateway_api": True,
                },
                {"name": "out", "namespace": "edge", "ports": [{"name": "http", "port": 80}], "gateway_api": True},
            ],
        },
    ),
    "gateway_api_misfits": Case(
        "packages",
        ("istio",),
        {
            "istio_gateway_api_install": True,
            "istio_gateway_api_types": "/nonexistent/types.yaml",
            "istio_gateways": [
                {
                    "name": "g" * 58,
                    "namespace": "edge",
                    "ports": [{"name": "tls", "port": 443, "target_port": 8443}],
                    "gateway_api": True,
                }
            ],
        },
    ),
    "endless": Case("packages", ("istio",), {"istio_connection_max_age": 0, "istio_tcp_connection_max_age": 0}),
}
"""What the tests look at."""

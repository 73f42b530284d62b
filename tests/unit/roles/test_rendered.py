# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles would apply in the modes and variants that cannot all be run here."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.steps import keys_of, parse_steps
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kind.plan import Wanted
from playbook import play
from rendering import CASES, FRONT, GIVEN, LISTED, MINE, PASSWORD, ROOT, TOKEN, Case, Rendered, render, variables

MODES = ("official", "packages")
LOOPBACK = {"socket_address": {"address": "127.0.0.1"}}
WITH_OBJECTS = [
    (case, role)
    for case, settings in CASES.items()
    for role in settings.roles
    if role in ("spire_server", "spire_agent", "envoy", "demo_app", "load_balancer", "cert_manager")
]


def used(table: str) -> set[str]:
    """Return the keys of a table that roles, playbooks and inventories rely on."""
    found: set[str] = set()
    for folder in ("roles", "playbooks", "inventories"):
        for path in (ROOT / folder).rglob("*.yml"):
            found |= set(re.findall(rf"{table}\.(\w+)(?! \| default)\b", path.read_text()))
    return found


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    return workload["spec"]["template"]["spec"]


def conf(rendered: Rendered, case: str, role: str) -> dict[str, Any]:
    """Return the configuration of SPIRE as it is in the ConfigMap, which must be what SPIRE was asked about."""
    program = role.removeprefix("spire_")
    data = rendered.one(case, role, "ConfigMap", f"spire-{program}")["data"][f"{program}.json"]
    assert json.loads(data) == json.loads(rendered.text(case, role, "conf"))
    return json.loads(data)


def plugin(configuration: dict[str, Any], kind: str) -> tuple[str, dict[str, Any]]:
    """Return the only plugin of a kind, and its data."""
    ((name, settings),) = configuration["plugins"][kind].items()
    (data,) = settings["plugin_data"]
    return name, data


def envoy(rendered: Rendered, case: str, name: str) -> dict[str, Any]:
    """Return the configuration of an Envoy as it is in its ConfigMap."""
    return json.loads(rendered.one(case, "envoy", "ConfigMap", name)["data"]["envoy.json"])


def admits(tls: dict[str, Any]) -> list[str]:
    """Return the SPIFFE IDs of the only peers that are accepted."""
    validation = tls["common_tls_context"]["combined_validation_context"]
    matchers = validation["default_validation_context"]["match_typed_subject_alt_names"]
    assert all(item["san_type"] == "URI" and set(item["matcher"]) == {"exact"} for item in matchers)
    return [item["matcher"]["exact"] for item in matchers]


def volume(workload: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (item for item in pod(workload)["volumes"] if item["name"] == name)
    return found


def containers(workload: dict[str, Any]) -> dict[str, dict[str, Any]]:
    spec = pod(workload)
    return {item["name"]: item for item in [*spec.get("initContainers", []), *spec["containers"]]}


# Images and tools


@pytest.mark.parametrize("mode", MODES)
def test_every_image_has_an_exact_tag_or_a_digest(rendered: Rendered, mode: str) -> None:
    refs = rendered.value(mode, "images", "refs")
    assert used("images_refs") <= set(refs)
    for name, ref in refs.items():
        assert re.fullmatch(r"[a-z0-9.-]+(/[a-z0-9._-]+)+(:v?[\w.-]*\d[\w.-]*|:bookworm|@sha256:[0-9a-f]{64})", ref), (
            name
        )


def test_official_images_are_published_ones(rendered: Rendered) -> None:
    refs = rendered.value("official", "images", "refs")
    for name in ("quote", "bookinfo", "svid_files"):
        ours = f"localhost/trustmesh/{name.replace('_', '-')}:"
        assert refs.pop(name).startswith(ours), "a program of our own"
    assert {ref.partition("/")[0] for ref in refs.values()} == {"docker.io", "ghcr.io", "registry.k8s.io", "quay.io"}


def test_packages_need_no_registry(rendered: Rendered) -> None:
    refs = rendered.value("packages", "images", "refs").values()
    assert {ref.partition("/")[0] for ref in refs} == {"localhost"}


def test_the_socket_comes_by_csi_where_there_is_a_driver(rendered: Rendered) -> None:
    assert rendered.text("official", "images", "delivery") == "csi"
    assert rendered.text("packages", "images", "delivery") == "host_path"


@pytest.mark.parametrize("mode", MODES)
def test_every_tool_that_is_used_is_provided(rendered: Rendered, mode: str) -> None:
    tools = rendered.value(mode, "toolchain", "bin")
    assert used("toolchain_bin") <= set(tools)
    assert all(path.startswith("/") and path.endswith(f"/bin/{name.replace('_', '-')}") for name, path in tools.items())


def test_official_tools_come_from_exact_releases(rendered: Rendered) -> None:
    downloads = rendered.value("official", "toolchain", "downloads")
    assert set(downloads) == set(rendered.value("official", "toolchain", "bin"))
    for name, item in downloads.items():
        assert re.fullmatch(r"https://[a-z0-9./_-]+/v?\d+\.\d+\.\d+/[\w./-]+", item["url"]), name
        assert "checksum" in item or item["checksum_known"] is False, name
        assert item["url"].endswith(".tar.gz") == ("member" in item), name
        assert item.get("member", name.replace("_", "-")).rpartition("/")[2] == name.replace("_", "-")


# Builds


def test_what_needs_no_root_is_built_without_and_modules_are_compared_first(rendered: Rendered) -> None:
    build = rendered.value("packages", "toolchain", "build")
    assert {step["name"]: step.get("plain", False) for step in build["steps"]} == dict.fromkeys(
        (
            *("kubernetes", "istio", "spire", "spire-controller-manager", "metallb", "cert-manager"),
            *("gateway-api", "coredns", "etcd", "kind", "envoy"),
        ),
        True,
    )
    for step in build["steps"]:
        if step["name"] != "envoy":
            assert step["commands"][0] == ["@program:go@", "mod", "verify"], step["name"]
            assert "toolexec" not in step["env"]["GOFLAGS"]
    assert build["env"]["GOENV"] == "off", "no settings of a user's Go"
    images = rendered.value("packages", "images", "steps")
    assert {step["name"] for step in images if step.get("plain")} == {"svid-files-libraries"}


def test_another_date_renews_what_holds_debian_packages_and_nothing_else(rendered: Rendered) -> None:
    date = rendered.value("packages", "images", "steps")[1]["env"]["DEBIAN_PACKAGES_OF"]
    tools = rendered.value("packages", "toolchain", "build")["steps"]
    images = rendered.text("packages", "images", "steps")
    before, same, after = (
        keys_of(parse_steps([*tools, *json.loads(text)]), lambda path: path)
        for text in (images, images, images.replace(date, "2030-01-01"))
    )
    assert before == same, "nothing is renewed by itself"
    renewed = {name for name in before if before[name] != after[name]}
    assert renewed == {
        "rootfs-libc",
        "rootfs-net",
        "rootfs-tools",
        "rootfs-node",
        "images",
        "node-seed",
        "node",
        "machine",
    }


@pytest.mark.parametrize(
    ("file", "renewed"),
    [
        ("main.py", {"images", "node-seed", "node"}),
        ("requirements.txt", {"svid-files-libraries", "images", "node-seed", "node"}),
    ],
)
def test_what_holds_a_program_follows_from_its_files(rendered: Rendered, file: str, renewed: set[str]) -> None:
    changed = f"images/files/programs/svid_files/{file}"
    tools = rendered.value("packages", "toolchain", "build")["steps"]
    steps = parse_steps([*tools, *rendered.value("packages", "images", "steps")])
    before = keys_of(steps, lambda path: path)
    after = keys_of(steps, lambda path: f"{path} changed" if f"{changed}/".startswith(f"{path}/") else path)
    assert {name for name in before if before[name] != after[name]} == renewed


@pytest.mark.parametrize(("mode", "python"), [("packages", "3.11"), ("official", "3.13")])
def test_libraries_are_wheels_with_digests_for_the_python_of_the_image(
    rendered: Rendered, mode: str, python: str
) -> None:
    steps = {step["name"]: step for step in rendered.value(mode, "images", "steps")}
    (pip,) = (words for words in steps["svid-files-libraries"]["commands"] if "pip" in words)
    assert {"--require-hashes", "--only-binary=:all:", "--no-deps", f"--python-version={python}"} <= set(pip)
    (holder,) = (step for step in steps.values() if "svid-files-libraries" in step.get("needs", []))
    assert "@out:svid-files-libraries@/lib" in json.dumps(holder["commands"])


# Clusters


@pytest.mark.parametrize("mode", MODES)
def test_kubelets_ask_for_certificates_that_can_be_verified(rendered: Rendered, mode: str) -> None:
    patches = [
        yaml.safe_load(text) for text in rendered.value(mode, "kubernetes_cluster", "config")["kubeadmConfigPatches"]
    ]
    assert {"kind": "KubeletConfiguration", "serverTLSBootstrap": True, "seccompDefault": True} in patches


@pytest.mark.parametrize("mode", MODES)
def test_the_only_control_plane_begins_at_once(rendered: Rendered, mode: str) -> None:
    patches = [
        yaml.safe_load(text) for text in rendered.value(mode, "kubernetes_cluster", "config")["kubeadmConfigPatches"]
    ]
    for part in ("controllerManager", "scheduler"):
        (arguments,) = (patch[part]["extraArgs"] for patch in patches if part in patch)
        # kubeadm.k8s.io/v1beta3: a map of texts.
        assert arguments["leader-elect"] == "false"
        assert all(isinstance(value, str) for value in arguments.values())


def audit(rendered: Rendered, case: str) -> list[dict[str, Any]]:
    """Return what the API server is told of an audit log."""
    patches = map(yaml.safe_load, rendered.value(case, "kubernetes_cluster", "config")["kubeadmConfigPatches"])
    return [patch["apiServer"] for patch in patches if patch["kind"] == "ClusterConfiguration" and "apiServer" in patch]


def test_the_api_server_writes_down_who_does_what(rendered: Rendered) -> None:
    (server,) = audit(rendered, "packages")
    arguments, volumes = server["extraArgs"], {item["name"]: item for item in server["extraVolumes"]}
    policy = arguments["audit-policy-file"]
    assert (ROOT / "roles/images/files/node" / policy.lstrip("/")).is_file(), "the node image brings it"
    assert volumes["audit-policy"]["mountPath"] == policy
    assert arguments["audit-log-path"].startswith(volumes["audit-log"]["mountPath"] + "/")
    # kubeadm.k8s.io/v1beta3: a map of texts.
    assert all(isinstance(value, str) for value in arguments.values())
    assert int(arguments["audit-log-maxsize"]) * (int(arguments["audit-log-maxbackup"]) + 1) <= 100, "megabytes"
    assert audit(rendered, "official") == [], "a published node image has no policy"
    assert audit(rendered, "unaudited") == []


def test_the_audit_log_says_who_went_where_and_never_what_was_in_it() -> None:
    policy = yaml.safe_load((ROOT / "roles/images/files/node/kind/audit-policy.yml").read_text())
    assert (policy["apiVersion"], policy["kind"]) == ("audit.k8s.io/v1", "Policy")
    assert {rule["level"] for rule in policy["rules"]} == {"Metadata", "None"}, "bodies hold tokens and keys"
    first = policy["rules"][0]
    assert set(first) == {"level", "resources"}, "whoever asks, with whatever verb: an exec by WebSocket is a get"
    ways = {"pods/exec", "pods/attach", "pods/ephemeralcontainers", "secrets", "serviceaccounts/token"}
    assert ways <= set(first["resources"][0]["resources"])
    assert policy["rules"][-1] == {"level": "Metadata"}


@pytest.mark.parametrize("mode", MODES)
def test_the_configuration_of_kind_is_complete(rendered: Rendered, mode: str) -> None:
    config = rendered.value(mode, "kubernetes_cluster", "config")
    wanted = Wanted("test", rendered.text(mode, "kubernetes_cluster", "image"), config, 1, "/")
    # Source: kind.x-k8s.io/v1alpha4, type Cluster.
    fields = {"kind", "apiVersion", "name", "nodes", "networking", "featureGates", "kubeadmConfigPatches"}
    assert set(wanted.document()) <= fields
    assert wanted.document()["nodes"] == [{"role": "control-plane"}, {"role": "worker"}]


def test_the_published_node_image_is_used_as_it_is(rendered: Rendered) -> None:
    assert rendered.text("official", "kubernetes_cluster", "image").startswith("docker.io/kindest/node:v1.")
    assert set(rendered.value("official", "kubernetes_cluster", "config")) == {"kubeadmConfigPatches"}


def test_our_node_image_brings_its_own_network_and_images(rendered: Rendered) -> None:
    assert rendered.text("packages", "kubernetes_cluster", "image") == "localhost/trustmesh/node:0123456789abcdef"
    config = rendered.value("packages", "kubernetes_cluster", "config")
    assert config["networking"]["disableDefaultCNI"] is True
    patches = [item for item in map(yaml.safe_load, config["kubeadmConfigPatches"]) if "imageRepository" in item]
    assert [(item["kind"], item["imageRepository"]) for item in patches] == [
        ("ClusterConfiguration", "localhost/trustmesh")
    ]


# All objects


@pytest.mark.parametrize(("case", "role"), WITH_OBJECTS)
def test_objects_are_whole_and_each_is_there_once(rendered: Rendered, case: str, role: str) -> None:
    found = rendered.objects(case, role)
    names = [
        (item["apiVersion"], item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in found
    ]
    once = [name for name in names if name[1] != "Namespace"]
    assert len(set(once)) == len(once)
    # Several may want a namespace. What is sent has it once.
    sent = [item["metadata"]["name"] for item in rendered.applied(case) if item["kind"] == "Namespace"]
    assert len(set(sent)) == len(sent)
    assert {name for _version, kind, _namespace, name in names if kind == "Namespace"} <= set(sent)
    whole = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CSIDriver", "ClusterIssuer"}
    whole |= {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "CustomResourceDefinition"}
    assert all((namespace is None) == (kind in whole) for _version, kind, namespace, _name in names)


@pytest.mark.parametrize(("case", "role"), WITH_OBJECTS)
def test_pods_mount_volumes_that_exist_and_pull_nothing_that_is_there(rendered: Rendered, case: str, role: str) -> None:
    for workload in rendered.objects(case, role):
        if workload["kind"] not in ("Deployment", "DaemonSet", "StatefulSet"):
            continue
        volumes = {item["name"] for item in pod(workload).get("volumes", [])}
        volumes |= {item["metadata"]["name"] for item in workload["spec"].get("volumeClaimTemplates", [])}
        mounted = set()
        for container in containers(workload).values():
            made_here = container["image"].startswith("localhost/")
            assert container["imagePullPolicy"] == ("Never" if made_here else "IfNotPresent"), container["name"]
            assert container["image"] in rendered.value(CASES[case].mode, "images", "refs").values()
            mounted |= {item["name"] for item in container.get("volumeMounts", [])}
        assert mounted == volumes


# SPIRE agents


def test_an_agent_with_csi_brings_the_driver(rendered: Rendered) -> None:
    agent = rendered.one("official", "spire_agent", "DaemonSet")
    refs = rendered.value("official", "images", "refs")
    assert {name: item["image"] for name, item in containers(agent).items()} == {
        "spire-agent": refs["spire_agent"],
        "spiffe-csi-driver": refs["spiffe_csi_driver"],
        "node-driver-registrar": refs["csi_node_driver_registrar"],
    }
    driver = containers(agent)["spiffe-csi-driver"]
    sockets = next(item for item in containers(agent)["spire-agent"]["volumeMounts"] if item["name"] == "sockets")
    assert f"-workload-api-socket-dir={sockets['mountPath']}" in driver["args"]
    assert volume(agent, "csi")["hostPath"]["path"] == "/var/lib/kubelet/plugins/csi.spiffe.io"
    described = rendered.one("official", "spire_agent", "CSIDriver")
    assert described["metadata"]["name"] == "csi.spiffe.io"
    assert described["spec"]["volumeLifecycleModes"] == ["Ephemeral"]


def test_an_agent_without_csi_brings_no_driver(rendered: Rendered) -> None:
    assert "CSIDriver" not in {item["kind"] for item in rendered.objects("packages", "spire_agent")}
    assert "csi" not in json.dumps(rendered.pending("packages", "spire_agent"))


@pytest.mark.parametrize("case", ["official_remote", "packages_remote"])
def test_a_remote_agent_joins_by_a_file_and_its_token_is_in_no_object(rendered: Rendered, case: str) -> None:
    agent = conf(rendered, case, "spire_agent")["agent"]
    assert agent["join_token_file"] == "/var/lib/spire/agent/join-token"
    assert (agent["server_address"], agent["server_port"]) == ("192.0.2.1", "30081")
    assert "rebootstrap_mode" not in agent, "a token works once: it could not attest again"
    assert "join_token" not in agent
    assert TOKEN not in rendered.text(case, "kubernetes_objects", "pending")
    workload = rendered.one(case, "spire_agent", "DaemonSet")
    secret = volume(workload, "join-tokens")["secret"]
    assert secret["defaultMode"] == 0o400
    assert volume(workload, "data")["hostPath"]["path"] == "/var/lib/spire-agent", "it must outlive its pod"
    assert secret["optional"], "the agent must outlive the Secret that brought its token"
    bundle = rendered.one(case, "spire_agent", "ConfigMap", "spire-bundle")
    assert bundle["data"]["bundle.crt"].startswith("-----BEGIN CERTIFICATE-----\n")


def test_an_agent_attests_by_what_its_node_has(rendered: Rendered) -> None:
    configuration = conf(rendered, "by_certificate", "spire_agent")
    paths = {"certificate_path": "/etc/node/tls.crt", "private_key_path": "/etc/node/tls.key"}
    assert plugin(configuration, "NodeAttestor") == ("x509pop", paths)
    assert "join_token_file" not in configuration["agent"]
    assert "insecure_bootstrap" not in configuration["agent"]
    assert set(configuration["plugins"]["WorkloadAttestor"]) == {"k8s", "unix"}
    workload = rendered.one("by_certificate", "spire_agent", "DaemonSet")
    assert volume(workload, "attestor-1")["hostPath"] == {"path": "/etc/node"}
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "attestor-1")
    assert mount == {"name": "attestor-1", "mountPath": "/etc/node", "readOnly": True}
    assert volume(workload, "data") == {"name": "data", "emptyDir": {}}, "it attests again"
    assert configuration["agent"]["rebootstrap_mode"] == "auto"
    assert configuration["plugins"]["KeyManager"].keys() == {"memory"}
    assert "initContainers" not in workload["spec"]["template"]["spec"], "no token is to be taken"
    assert configuration["agent"]["server_address"] == "spire-server.spire-server.svc", "it is beside its server"
    server = conf(rendered, "by_certificate", "spire_server")["plugins"]["NodeAttestor"]
    assert server.keys() == {"k8s_psat", "join_token", "aws_iid", "http_challenge", "x509pop"}


def test_an_agent_that_attests_once_keeps_what_it_got(tmp_path: Path) -> None:
    found = render(tmp_path, {"cloud": Case("packages", ("spire_agent",), attestor="aws_iid")})
    assert volume(found.one("cloud", "spire_agent", "DaemonSet"), "data")["hostPath"]["path"] == "/var/lib/spire-agent"
    configuration = conf(found, "cloud", "spire_agent")
    assert configuration["plugins"]["KeyManager"].keys() == {"disk"}
    assert "rebootstrap_mode" not in configuration["agent"]


def test_the_server_has_the_files_by_which_it_judges_nodes(rendered: Rendered) -> None:
    kept = rendered.one("by_certificate", "spire_server", "ConfigMap", "spire-node-attestors")
    assert kept["data"]["nodes-ca.crt"].startswith("-----BEGIN CERTIFICATE-----\n")
    workload = rendered.one("by_certificate", "spire_server", "StatefulSet")
    assert volume(workload, "node-attestors")["configMap"] == {"name": "spire-node-attestors"}
    mounts = workload["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "node-attestors", "mountPath": "/run/spire/node-attestors", "readOnly": True} in mounts
    assert "node-attestors" not in json.dumps(rendered.pending("packages", "spire_server"))


def test_no_private_key_comes_into_a_config_map(rendered: Rendered, tmp_path: Path) -> None:
    assert rendered.value("by_certificate", "spire_server", "problems") == []
    key = {"nodes-ca.key": "-----BEGIN PRIVATE KEY-----\nMIG", "../ca.crt": "public"}
    evil = render(tmp_path, {"evil": Case("packages", ("spire_server",), {"spire_server_node_attestor_files": key})})
    names, private = evil.value("evil", "spire_server", "problems")
    assert names.startswith("spire_server_node_attestor_files: nodes-ca.key, ../ca.crt: expected plain names")
    assert private.startswith("spire_server_node_attestor_files: there is a private key in one of them")
    assert "MIG" not in names + private


def test_entries_come_as_soon_as_is_said(rendered: Rendered, tmp_path: Path) -> None:
    def told(found: Rendered, case: str) -> list[dict[str, str]]:
        server, agent = (conf(found, case, role) for role in ("spire_server", "spire_agent"))
        return [server["server"]["experimental"], agent["agent"]["experimental"]]

    assert told(rendered, "packages") == [{"cache_reload_interval": "5s"}, {"sync_interval": "5s"}], "SPIRE's own"
    roles = ("spire_server", "spire_agent")
    quick = render(tmp_path, {"quick": Case("packages", roles, {"trustmesh_sync_interval": "1s"}, attestor="k8s_psat")})
    assert told(quick, "quick") == [{"cache_reload_interval": "1s"}, {"sync_interval": "1s"}]


def test_agents_go_to_an_address_and_to_nothing_else(rendered: Rendered, tmp_path: Path) -> None:
    assert rendered.value("packages_remote", "spire_agent", "late_problems") == []
    evil = {"spire_agent_server_address": '192.0.2.1", insecure: "yes', "spire_agent_server_port": 70000}
    misled = render(tmp_path, {"misled": Case("packages", ("spire_agent",), evil)})
    address, port = misled.value("misled", "spire_agent", "late_problems")
    assert address.startswith("spire_agent_server_address: ")
    assert port == "spire_agent_server_port: '70000' is not a port from 1 to 65535."


@pytest.mark.parametrize("case", ["official", "packages"])
def test_an_agent_beside_its_server_needs_no_token(rendered: Rendered, case: str) -> None:
    agent = conf(rendered, case, "spire_agent")["agent"]
    assert agent["server_address"] == "spire-server.spire-server.svc"
    assert "join_token" not in json.dumps(conf(rendered, case, "spire_agent"))
    assert agent["rebootstrap_mode"] == "auto", "it attests again when the server has lost its CA"
    assert agent["rebootstrap_delay"] == "5m", "who stands between for a moment must not interrupt it"
    data = volume(rendered.one(case, "spire_agent", "DaemonSet"), "data")
    assert data == {"name": "data", "emptyDir": {}}, "a kept bundle would be believed before that of the cluster"
    assert "join-tokens" not in json.dumps(rendered.pending(case, "spire_agent"))


@pytest.mark.parametrize("case", ["official", "official_remote", "packages", "packages_remote"])
def test_agents_pin_the_bundle_and_verify_the_kubelet(rendered: Rendered, case: str) -> None:
    configuration = conf(rendered, case, "spire_agent")
    assert configuration["agent"]["trust_bundle_path"] == "/run/spire/bundle/bundle.crt"
    assert "insecure_bootstrap" not in configuration["agent"]
    assert plugin(configuration, "WorkloadAttestor") == ("k8s", {"node_name_env": "MY_NODE_NAME"})
    assert "skip_kubelet_verification" not in json.dumps(configuration)
    kept = "disk" if "join_token" in configuration["plugins"]["NodeAttestor"] else "memory"
    assert plugin(configuration, "KeyManager")[0] == kept, "only one that cannot attest again keeps its key"


def test_a_lost_node_costs_the_identities_of_that_node(rendered: Rendered) -> None:
    role = rendered.one("packages_remote", "spire_agent", "ClusterRole")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes/pods"], "verbs": ["get"]}]
    agent = pod(rendered.one("packages_remote", "spire_agent", "DaemonSet"))
    for container in [*agent["containers"], *agent["initContainers"]]:
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_no_container_takes_all_memory(rendered: Rendered) -> None:
    for case, role in WITH_OBJECTS:
        for workload in rendered.objects(case, role):
            if workload["kind"] in ("Deployment", "DaemonSet", "StatefulSet"):
                for container in [*pod(workload)["containers"], *pod(workload).get("initContainers", [])]:
                    if container["name"] not in ("spiffe-csi-driver", "node-driver-registrar"):
                        assert "memory" in container["resources"]["limits"], container["name"]


# SPIRE server


@pytest.mark.parametrize("case", ["official", "packages"])
def test_a_server_keeps_its_data_in_a_volume_of_its_own(rendered: Rendered, case: str) -> None:
    server = rendered.one(case, "spire_server", "StatefulSet")
    (claim,) = server["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    assert "storageClassName" not in claim["spec"]
    assert "initContainers" not in pod(server)
    configuration = conf(rendered, case, "spire_server")
    assert plugin(configuration, "DataStore")[1]["database_type"] == "sqlite3"
    assert plugin(configuration, "KeyManager") == ("disk", {"keys_path": "/var/lib/spire/keys.json"})
    assert configuration["server"]["audit_log_enabled"] is True
    assert configuration["server"]["disable_jwt_svids"] is True, "nobody asks for them"
    assert configuration["server"]["prune_attested_nodes_expired_for"] == "720h"
    assert "prune_tofu_nodes" not in configuration["server"], "a token works once: such an agent could not come back"
    assert "env" not in containers(server)["spire-server"]


def test_a_server_under_a_ca_reads_it_from_a_secret_and_is_not_started_anew_for_it(rendered: Rendered) -> None:
    name, data = plugin(conf(rendered, "under_a_ca", "spire_server"), "UpstreamAuthority")
    folder = "/run/spire/upstream-ca"
    paths = {"cert_file_path": "tls.crt", "key_file_path": "tls.key", "bundle_file_path": "ca.crt"}
    assert (name, data) == ("disk", {option: f"{folder}/{file}" for option, file in paths.items()})
    server = rendered.one("under_a_ca", "spire_server", "StatefulSet")
    # Its group is the pod's fsGroup, and nobody else in the pod reads the key.
    assert volume(server, "upstream-ca")["secret"] == {"secretName": "spire-upstream-ca", "defaultMode": 0o440}
    mounts = {item["mountPath"]: item for item in containers(server)["spire-server"]["volumeMounts"]}
    assert mounts[folder] == {"name": "upstream-ca", "mountPath": folder, "readOnly": True}
    assert "UpstreamAuthority" not in conf(rendered, "packages", "spire_server")["plugins"]
    told = json.dumps(rendered.pending("under_a_ca", "spire_server"))
    assert "PRIVATE KEY" not in told


def test_a_bundle_endpoint_has_a_web_certificate_from_a_secret(rendered: Rendered) -> None:
    endpoint = conf(rendered, "web_endpoint", "spire_server")["server"]["federation"]["bundle_endpoint"]
    ((files,),) = (web["serving_cert_file"] for profile in endpoint["profile"] for web in profile["https_web"])
    folder = "/run/spire/bundle-endpoint"
    assert (files["cert_file_path"], files["key_file_path"]) == (f"{folder}/tls.crt", f"{folder}/tls.key")
    server = rendered.one("web_endpoint", "spire_server", "StatefulSet")
    assert volume(server, "bundle-endpoint")["secret"] == {"secretName": "bundle-web", "defaultMode": 0o440}
    mounts = {item["mountPath"]: item for item in containers(server)["spire-server"]["volumeMounts"]}
    assert mounts[folder] == {"name": "bundle-endpoint", "mountPath": folder, "readOnly": True}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"spire_server_bundle_endpoint_name": "bundle.example"}, "there is no certificate with that name"),
        ({"spire_server_bundle_endpoint_secret": "web"}, "this server shows its bundle to nobody"),
    ],
)
def test_a_web_certificate_for_nothing_is_refused(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    role = {"name": "trustmesh.spiffe.spire_server", "tasks_from": "preflight", "rolespec_validate": False}
    always = {**GIVEN, **variables("one", Case("packages", ("spire_server",))), "spire_server_validate": False, **given}
    done = play([{"hosts": "localhost", "vars": always, "tasks": [{"ansible.builtin.include_role": role}]}], tmp_path)
    assert words in " ".join(done.stdout.split())


def test_two_upstream_authorities_are_refused(tmp_path: Path) -> None:
    vault = {"plugins": {"UpstreamAuthority": {"vault": {"plugin_data": {}}}}}
    given = {"spire_server_upstream_ca_secret": "ca", "spire_server_overlay": vault, "spire_server_validate": False}
    role = {"name": "trustmesh.spiffe.spire_server", "tasks_from": "preflight", "rolespec_validate": False}
    always = {**GIVEN, **variables("one", Case("packages", ("spire_server",))), **given}
    done = play([{"hosts": "localhost", "vars": always, "tasks": [{"ansible.builtin.include_role": role}]}], tmp_path)
    assert "spire_server_overlay names an UpstreamAuthority" in done.stdout


def test_a_program_beside_the_server_has_its_socket_and_no_other_power(rendered: Rendered) -> None:
    server = rendered.one("registrar", "spire_server", "StatefulSet")
    assert pod(server)["shareProcessNamespace"] is True, "the server refuses callers whose process it cannot see"
    assert "shareProcessNamespace" not in pod(rendered.one("packages", "spire_server", "StatefulSet"))
    beside, itself = containers(server)["spire-controller-manager"], containers(server)["spire-server"]
    other_user = {"runAsUser": 1001}
    assert beside["securityContext"] == {**itself["securityContext"], **other_user}, "else it reads the server's keys"
    mounts = {item["mountPath"]: item for item in beside["volumeMounts"]}
    assert {path: item["name"] for path, item in mounts.items()} == {
        "/tmp": "tmp-spire-controller-manager",
        "/tmp/spire-server/private": "private",
        "/etc/spire-controller-manager": "spire-controller-manager",
    }
    assert mounts["/tmp/spire-server/private"]["readOnly"] is True, "else it could put its own socket there"
    assert volume(server, "spire-controller-manager")["configMap"] == {"name": "spire-controller-manager"}
    files = rendered.one("registrar", "spire_server", "ConfigMap", "spire-controller-manager")
    assert files["data"] == rendered.value("registrar", "spire_controller_manager", "sidecar")["files"]


def test_the_controller_manager_minds_only_its_own_entries(rendered: Rendered) -> None:
    config = yaml.safe_load(rendered.value("registrar", "spire_controller_manager", "sidecar")["files"]["config.yml"])
    assert config["entryIDPrefix"] == "cluster-test"
    assert "entryIDPrefixCleanup" not in config
    ignored = re.compile("|".join(config["ignoreNamespaces"]))
    assert ignored.search("kube-system")
    assert not ignored.search("my-kube-system"), "a name is meant, not a part of one"
    assert config["gcInterval"] == 10 * 10**9


def test_the_controller_manager_may_change_nothing_but_what_it_reports(rendered: Rendered) -> None:
    role = rendered.one("registrar", "spire_controller_manager", "ClusterRole")
    reads = {"get", "list", "watch"}
    writes = {resource for rule in role["rules"] for resource in rule["resources"] if not set(rule["verbs"]) <= reads}
    assert writes == {"clusterspiffeids/status", "clusterstaticentries/status"}


def test_a_controller_manager_minds_federation_where_that_is_asked_for(rendered: Rendered) -> None:
    files = {
        case: rendered.value(case, "spire_controller_manager", "sidecar")["files"]["config.yml"]
        for case in ("registrar", "registrar_federates")
    }
    minds = {case: yaml.safe_load(text)["reconcile"]["clusterFederatedTrustDomains"] for case, text in files.items()}
    assert minds == {"registrar": False, "registrar_federates": True}
    role = rendered.one("registrar_federates", "spire_controller_manager", "ClusterRole")
    reads, writes = (rule["resources"] for rule in role["rules"] if rule["apiGroups"] == ["spire.spiffe.io"])
    assert "clusterfederatedtrustdomains" in reads
    assert "clusterfederatedtrustdomains/status" in writes


def test_resources_of_the_controller_manager_are_checked_before_they_are_applied(rendered: Rendered) -> None:
    wanted, absent = (
        [(item["kind"], item["metadata"]["name"]) for item in found if item["kind"] == "ClusterSPIFFEID"]
        for found in (rendered.applied("registrar"), rendered.applied("registrar", "absent"))
    )
    assert wanted == [("ClusterSPIFFEID", "demo"), ("ClusterSPIFFEID", "boss"), ("ClusterSPIFFEID", "lost")]
    assert absent == [("ClusterSPIFFEID", "gone")]
    demo = rendered.one("registrar", "spire_controller_manager", "ClusterSPIFFEID", "demo")
    assert demo["spec"]["spiffeIDTemplate"] == "spiffe://{{ .TrustDomain }}/pod/{{ .PodMeta.Name }}"
    problems = rendered.value("registrar", "spire_controller_manager", "problems")
    for name in ("boss", "lost"):
        assert any(f"ClusterSPIFFEID {name}" in problem for problem in problems), problems
    assert not any("demo" in problem for problem in problems)


@pytest.mark.parametrize("case", ["postgres", "mysql"])
def test_the_connection_of_a_database_is_in_a_secret_alone(rendered: Rendered, case: str) -> None:
    others = [item for item in rendered.objects(case, "spire_server") if item["kind"] != "Secret"]
    assert PASSWORD not in json.dumps([others, rendered.applied(case)])
    data = plugin(conf(rendered, case, "spire_server"), "DataStore")[1]
    assert data == {"database_type": case, "connection_string": "${DATABASE_CONNECTION}"}
    (secret,) = (item for item in rendered.applied(case, "secrets") if item["kind"] == "Secret")
    assert PASSWORD in base64.b64decode(secret["data"]["connection"]).decode()
    assert "stringData" not in secret, "server-side apply keeps what it is sent, and the API server only data"
    (env,) = containers(rendered.one(case, "spire_server", "StatefulSet"))["spire-server"]["env"]
    assert env["valueFrom"]["secretKeyRef"] == {"name": secret["metadata"]["name"], "key": "connection"}


def test_the_connection_of_a_database_is_shown_nowhere(tmp_path: Path) -> None:
    tasks = [
        {
            "ansible.builtin.include_role": {"name": f"trustmesh.spiffe.{role}", "tasks_from": "install"},
            "vars": {"rolespec_validate": False},
        }
        for role in ("spire_server", "envoy")
    ]
    case = {**GIVEN, **variables("postgres", CASES["postgres"]), "envoy_instances": [FRONT]}
    done = play([{"hosts": "localhost", "vars": case, "tasks": tasks}], tmp_path, "-vv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kubernetes_objects_pending" in done.stdout, "what is not secret is shown"
    assert PASSWORD not in done.stdout + done.stderr


def test_what_holds_secrets_is_applied_without_a_word() -> None:
    tasks = yaml.safe_load((ROOT / "roles/kubernetes_objects/tasks/send.yml").read_text())
    holding = [task for task in tasks if re.search(r"\.secrets |_secrets", json.dumps(task)) and "no_log" in task]
    assert [task["no_log"] for task in holding] == [
        "{{ kubernetes_objects_secrets | default([]) | length > 0 }}",
        True,
    ]


def test_a_secret_is_not_copied_into_an_annotation() -> None:
    tasks = yaml.safe_load((ROOT / "roles/kubernetes_objects/tasks/send.yml").read_text())
    (task,) = (task["trustmesh.spiffe.k8s"] for task in tasks if task["name"] == "Send | Secrets")
    assert task["server_side_apply"] == {"field_manager": "trustmesh.spiffe", "force_conflicts": True}
    specs = yaml.safe_load((ROOT / "roles/spire_server/meta/argument_specs.yml").read_text())["argument_specs"]
    assert specs["main"]["options"]["spire_server_database_connection"]["no_log"] is True


def test_an_overlay_reaches_the_configuration_of_the_server(rendered: Rendered) -> None:
    configuration = conf(rendered, "overlaid", "spire_server")
    assert configuration["server"]["jwt_issuer"] == "https://issuer.example.org"
    assert "audit_log_enabled" not in configuration["server"], "null takes a setting out"
    assert configuration["server"]["disable_jwt_svids"] is False, "who wants JWT-SVIDs gets them"
    assert plugin(configuration, "KeyManager") == ("memory", {})
    assert configuration["server"]["trust_domain"] == "example.org", "what it does not name stays"


def test_a_pod_template_is_merged_into_the_workload(rendered: Rendered) -> None:
    (server,) = (item for item in rendered.applied("overlaid") if item["kind"] == "StatefulSet")
    assert pod(server)["priorityClassName"] == "system-cluster-critical"
    assert pod(server)["securityContext"]["runAsNonRoot"] is True, "what it does not name stays"
    (plain,) = (item for item in rendered.applied("host_path") if item["kind"] == "StatefulSet")
    assert "priorityClassName" not in pod(plain)


def test_volumes_and_rules_that_an_overlay_needs(rendered: Rendered) -> None:
    server = rendered.one("overlaid", "spire_server", "StatefulSet")
    assert volume(server, "upstream")["secret"] == {"secretName": "upstream-ca"}
    mounts = {item["name"]: item for item in containers(server)["spire-server"]["volumeMounts"]}
    assert (mounts["upstream"]["mountPath"], mounts["upstream"]["readOnly"]) == ("/run/upstream", True)
    rules = rendered.one("overlaid", "spire_server", "ClusterRole", "spire-server")["rules"]
    assert {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["bundle"],
        "verbs": ["get", "patch"],
    } in rules
    plain = rendered.one("packages", "spire_server", "ClusterRole", "spire-server")["rules"]
    assert not any(verb in ("patch", "update", "delete", "*") for rule in plain for verb in rule["verbs"])


def test_a_bundle_endpoint_is_reached_at_the_port_of_its_configuration(rendered: Rendered) -> None:
    service = rendered.one("overlaid", "spire_server", "Service", "spire-server-bundle")
    assert service["spec"]["ports"] == [{"name": "bundle", "port": 8443, "targetPort": "bundle"}]
    (grpc,) = rendered.one("overlaid", "spire_server", "Service", "spire-server")["spec"]["ports"]
    assert grpc["name"] == "grpc", "who asks for the bundle need not reach the API"
    server = containers(rendered.one("overlaid", "spire_server", "StatefulSet"))["spire-server"]
    assert {"name": "bundle", "containerPort": 8443} in server["ports"]
    (only,) = rendered.one("host_path", "spire_server", "Service")["spec"]["ports"]
    assert only["name"] == "grpc"


def test_a_server_that_federates_shows_its_bundle_by_its_spiffe_id(rendered: Rendered) -> None:
    endpoint = conf(rendered, "federated", "spire_server")["server"]["federation"]["bundle_endpoint"]
    assert endpoint == {
        "address": "0.0.0.0",  # noqa: S104 - of its pod
        "port": "8443",
        "refresh_hint": "5m",
        "profile": [{"https_spiffe": {}}],
    }
    service = rendered.one("federated", "spire_server", "Service", "spire-server-bundle")
    assert service["spec"]["type"] == "LoadBalancer"
    assert not conf(rendered, "packages", "spire_server")["server"].get("federation")


def test_agents_hand_out_a_bundle_for_each_trust_domain_where_there_are_several(rendered: Rendered) -> None:
    sds = conf(rendered, "federated", "spire_agent")["agent"]["sds"]
    assert sds == {"default_bundle_name": "null", "default_all_bundles_name": "ROOTCA"}
    assert "sds" not in conf(rendered, "packages", "spire_agent")["agent"]


def test_another_trust_domain_is_let_in_and_never_taken_for_the_own_one(rendered: Rendered) -> None:
    mesh = rendered.value("federated", "istio", "overlay")["spec"]["meshConfig"]
    assert mesh["caCertificates"] == [{"trustDomains": ["bar.example"]}]
    assert "trustDomainAliases" not in mesh, "istiod would take each principal for that of the same path elsewhere"
    assert "caCertificates" not in rendered.value("packages", "istio", "overlay")["spec"]["meshConfig"]


def test_the_account_by_which_other_clusters_read_may_do_little(rendered: Rendered) -> None:
    role = rendered.one("federated", "istio", "ClusterRole", "istio-remote-reader")
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    (secrets,) = (rule for rule in role["rules"] if "secrets" in rule["resources"])
    assert secrets["verbs"] == ["list", "watch"]
    assert not any(rule["resources"] == ["*"] for rule in role["rules"])
    (own,) = rendered.one("federated", "istio", "Role", "istio-remote-reader")["rules"]
    assert (own["resources"], own["resourceNames"]) == (["configmaps"], ["istio"])
    assert not [item for item in rendered.objects("packages", "istio") if item["kind"] == "ClusterRole"]


def test_a_network_has_its_name_at_the_namespace_of_the_control_plane(rendered: Rendered) -> None:
    space = rendered.one("federated", "istio", "Namespace", "istio-system")
    assert space["metadata"]["labels"]["topology.istio.io/network"] == "one"
    values = rendered.value("federated", "istio", "overlay")["spec"]["values"]["global"]
    assert (values["meshID"], values["network"]) == ("both", "one")


def test_an_overlay_reaches_the_configuration_and_the_pods_of_the_agents(rendered: Rendered) -> None:
    configuration = conf(rendered, "overlaid", "spire_agent")
    assert configuration["agent"]["sds"] == {"default_svid_name": "mine"}
    assert configuration["agent"]["log_level"] == "DEBUG"
    assert configuration["agent"]["trust_bundle_path"], "what it does not name stays"
    (agent,) = (item for item in rendered.applied("overlaid") if item["kind"] == "DaemonSet")
    assert pod(agent)["hostAliases"] == [{"ip": "192.0.2.5", "hostnames": ["spire.example"]}]


@pytest.mark.parametrize(
    ("case", "policy"), [("packages", "Local"), ("nodes", "Cluster"), ("balanced", "Local"), ("inside", None)]
)
def test_the_server_sees_who_attests_where_its_address_leads_to_its_node(
    rendered: Rendered, case: str, policy: str | None
) -> None:
    service = next(item for item in rendered.applied(case) if item["kind"] == "Service")
    assert service["spec"].get("externalTrafficPolicy") == policy


def test_storage_class_and_size(rendered: Rendered) -> None:
    (claim,) = rendered.one("postgres", "spire_server", "StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"


def test_a_server_on_a_host_path(rendered: Rendered) -> None:
    server = rendered.one("host_path", "spire_server", "StatefulSet")
    assert "volumeClaimTemplates" not in server["spec"]
    assert volume(server, "data")["hostPath"] == {"path": "/var/lib/spire-server", "type": "DirectoryOrCreate"}
    assert containers(server)["own-the-folder"]["command"] == ["chown", "1000:1000", "/var/lib/spire"]
    space = rendered.one("host_path", "spire_server", "Namespace", "spire-server")
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"


@pytest.mark.parametrize("case", ["official", "packages", "postgres", "host_path"])
def test_the_socket_of_the_server_stays_in_its_pod(rendered: Rendered, case: str) -> None:
    server = rendered.one(case, "spire_server", "StatefulSet")
    mounts = {item["mountPath"]: item["name"] for item in containers(server)["spire-server"]["volumeMounts"]}
    assert volume(server, mounts["/tmp"])["emptyDir"] == {}
    assert "socket_path" not in conf(rendered, case, "spire_server")["server"]


@pytest.mark.parametrize("case", ["official", "packages", "postgres"])
def test_namespaces_enforce_as_much_pod_security_as_their_pods_bear(rendered: Rendered, case: str) -> None:
    label = "pod-security.kubernetes.io/enforce"
    for name, level in (("spire-server", "restricted"), ("spire-system", "privileged")):
        assert rendered.one(case, "spire_server", "Namespace", name)["metadata"]["labels"][label] == level
    assert all(
        item["metadata"]["labels"][label] in ("restricted", "privileged")
        for item in rendered.applied(case)
        if item["kind"] == "Namespace"
    )


# Envoy


@pytest.mark.parametrize("case", ["official", "official_remote"])
def test_envoy_gets_the_socket_by_csi(rendered: Rendered, case: str) -> None:
    workload = rendered.one(case, "envoy", "Deployment")
    assert volume(workload, "spire-agent")["csi"] == {"driver": "csi.spiffe.io", "readOnly": True}


def test_envoy_gets_the_socket_by_a_host_path_that_is_read_only(rendered: Rendered) -> None:
    workload = rendered.one("packages", "envoy", "Deployment")
    assert volume(workload, "spire-agent")["hostPath"] == {"path": "/run/spire/agent-sockets", "type": "Directory"}
    mounts = {item["name"]: item for item in containers(workload)["envoy"]["volumeMounts"]}
    assert mounts["spire-agent"]["readOnly"] is True


@pytest.mark.parametrize(("case", "name"), [("official", "envoy"), ("packages", "quote-envoy")])
def test_envoy_admits_exactly_the_listed_identities(rendered: Rendered, case: str, name: str) -> None:
    config = envoy(rendered, case, name)
    (chain,) = config["static_resources"]["listeners"][0]["filter_chains"]
    tls = chain["transport_socket"]["typed_config"]
    assert tls["require_client_certificate"] is True
    assert admits(tls) == LISTED
    validation = tls["common_tls_context"]["combined_validation_context"]
    assert validation["validation_context_sds_secret_config"]["name"] == "spiffe://example.org"
    (manager,) = chain["filters"]
    rbac, _router = manager["typed_config"]["http_filters"]
    rules = rbac["typed_config"]["rules"]
    assert rules["action"] == "ALLOW"
    (policy,) = rules["policies"].values()
    assert [item["authenticated"]["principal_name"] for item in policy["principals"]] == [
        {"exact": item} for item in LISTED
    ]
    assert config.get("admin", {}).get("address", LOOPBACK)["socket_address"]["address"] == "127.0.0.1"


def test_an_application_behind_its_envoy_is_reached_by_nobody_else(rendered: Rendered) -> None:
    workload = rendered.one("packages", "demo_app", "Deployment")
    assert containers(workload)["quote"]["args"] == ["--address=127.0.0.1", "--port=8080"]
    assert "ports" not in containers(workload)["quote"]
    assert containers(workload)["envoy"]["args"][:2] == ["--config-path", "/etc/envoy/envoy.json"]
    assert volume(workload, "envoy")["configMap"] == {"name": "quote-envoy"}


def test_envoy_of_the_mesh_leaves_under_its_own_identity(rendered: Rendered) -> None:
    config = envoy(rendered, "official_remote", "gateway")
    upstream = next(item for item in config["static_resources"]["clusters"] if item["name"] == "upstream")
    tls = upstream["transport_socket"]["typed_config"]
    assert [item["name"] for item in tls["common_tls_context"]["tls_certificate_sds_secret_configs"]] == [
        "spiffe://example.org/ns/egress/sa/gateway"
    ]
    assert admits(tls) == ["spiffe://example.org/green/envoy"]
    workload = rendered.one("official_remote", "envoy", "Deployment")
    assert workload["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "true"


@pytest.mark.parametrize(
    ("case", "name"), [("official", "envoy"), ("official_remote", "gateway"), ("packages", "envoy")]
)
def test_connections_to_and_from_envoy_end_in_time(rendered: Rendered, case: str, name: str) -> None:
    config = envoy(rendered, case, name)["static_resources"]
    (manager,) = config["listeners"][0]["filter_chains"][0]["filters"]
    assert manager["typed_config"]["common_http_protocol_options"]["max_connection_duration"] == "60s"
    upstream = next(item for item in config["clusters"] if item["name"] == "upstream")
    (options,) = upstream["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"] == {"max_connection_duration": "60s"}


def test_connections_of_the_mesh_to_its_envoy_end_in_time(rendered: Rendered) -> None:
    rule = rendered.one("official_remote", "envoy", "DestinationRule")
    service = rendered.one("official_remote", "envoy", "Service")
    assert all(rule["metadata"][key] == service["metadata"][key] for key in ("name", "namespace"))
    assert rule["spec"]["host"] == service["metadata"]["name"]
    assert rule["spec"]["trafficPolicy"]["connectionPool"]["tcp"] == {"maxConnectionDuration": "60s"}
    assert "DestinationRule" not in {item["kind"] for item in rendered.objects("official", "envoy")}


# Istio


def injection(rendered: Rendered, case: str, name: str = "spire") -> str:
    overlay = rendered.value(case, "istio", "overlay")
    return overlay["spec"]["values"]["sidecarInjectorWebhook"]["templates"][name]


@pytest.mark.parametrize(
    ("case", "native"), [("packages", "true"), ("namespaces", "false"), ("official_remote", "false")]
)
def test_the_kind_of_sidecar_is_said_to_istiod_and_to_the_template(rendered: Rendered, case: str, native: str) -> None:
    pilot = rendered.value(case, "istio", "overlay")["spec"]["values"]["pilot"]
    assert pilot["env"]["ENABLE_NATIVE_SIDECARS"] == native
    assert f'default "{native}") "false" }}}}' in injection(rendered, case)


@pytest.mark.parametrize("name", ["spire", "spire-gateway"])
def test_proxies_get_the_socket_as_this_mode_delivers_it(rendered: Rendered, name: str) -> None:
    assert 'csi: {"driver": "csi.spiffe.io", "readOnly": true}' in injection(rendered, "official", name)
    assert 'hostPath: {"path": "/run/spire/agent-sockets", "type": "Directory"}' in injection(
        rendered, "packages", name
    )


def test_only_a_stock_envoy_is_spared_istios_own_filters(rendered: Rendered) -> None:
    official, packages = (rendered.value(mode, "istio", "overlay")["spec"]["values"]["pilot"]["env"] for mode in MODES)
    assert "PILOT_ENABLE_ALPN_FILTER" not in official
    assert packages["PILOT_ENABLE_ALPN_FILTER"] == "false"


def test_overlays_of_a_user_come_behind_ours(rendered: Rendered) -> None:
    ours, theirs = rendered.value("namespaces", "istio", "overlay")["spec"]["components"]["pilot"]["k8s"]["overlays"]
    assert [patch["value"] for patch in ours["patches"]] == ["--grpcAddr="], "the plain port stays closed"
    assert theirs["patches"] == [MINE]
    (only,) = rendered.value("packages", "istio", "overlay")["spec"]["components"]["pilot"]["k8s"]["overlays"]
    assert only == {**ours, "name": "istiod"}
    assert ours["name"] == "istiod-next", "a revision has a Deployment of its own"


@pytest.mark.parametrize("mode", MODES)
def test_the_mesh_is_strict_and_denies_by_default(rendered: Rendered, mode: str) -> None:
    overlay = rendered.value(mode, "istio", "overlay")
    assert overlay["spec"]["meshConfig"]["trustDomain"] == "example.org"
    assert overlay["spec"]["meshConfig"]["meshMTLS"] == {"minProtocolVersion": "TLSV1_3"}
    headers = overlay["spec"]["meshConfig"]["defaultConfig"]["proxyHeaders"]
    assert headers == {"forwardedClientCert": "SANITIZE_SET"}, "else a client names itself"
    (patch,) = overlay["spec"]["components"]["pilot"]["k8s"]["overlays"][0]["patches"]
    assert patch["value"] == "--grpcAddr=", "else everybody reads the configuration of the mesh"
    socket = overlay["spec"]["meshConfig"]["defaultConfig"]["proxyMetadata"]["WORKLOAD_IDENTITY_SOCKET_FILE"]
    assert socket == "spire-agent.sock"
    found = [item for item in rendered.objects(mode, "istio") if item["metadata"]["namespace"] == "istio-system"]
    specs = {item["kind"]: item["spec"] for item in found if item["kind"] != "NetworkPolicy"}
    del specs["EnvoyFilter"]
    patches = rendered.one(mode, "istio", "EnvoyFilter", "connection-max-age")["spec"]["configPatches"]
    assert specs == {"PeerAuthentication": {"mtls": {"mode": "STRICT"}}, "AuthorizationPolicy": {}}
    assert [patch["match"]["context"] for patch in patches] == ["SIDECAR_INBOUND", "GATEWAY"]
    for patch in patches:
        options = patch["patch"]["value"]["typed_config"]["common_http_protocol_options"]
        assert options == {"max_connection_duration": "60s"}, "else a connection outlives the right to it"


def test_connections_without_a_limit_have_no_filter(rendered: Rendered) -> None:
    assert "EnvoyFilter" not in {item["kind"] for item in rendered.objects("endless", "istio")}
    absent = [item["metadata"]["name"] for item in rendered.applied("endless", "absent")]
    assert absent == ["connection-max-age", "tcp-connection-max-age"]


def test_connections_that_are_not_http_end_too(rendered: Rendered) -> None:
    patches = rendered.one("packages", "istio", "EnvoyFilter", "tcp-connection-max-age")["spec"]["configPatches"]
    ages = {
        patch["match"]["context"]: patch["patch"]["value"]["typed_config"]["max_downstream_connection_duration"]
        for patch in patches
    }
    assert ages == {"SIDECAR_INBOUND": "3600s", "GATEWAY": "3600s"}


def test_callers_are_admitted_by_their_principals_and_old_policies_go(rendered: Rendered) -> None:
    policy = rendered.one("official", "istio", "AuthorizationPolicy", "callers-of-quote")
    assert policy["spec"] == {
        "action": "ALLOW",
        "selector": {"matchLabels": {"app.kubernetes.io/name": "quote"}},
        "rules": [
            {
                "from": [{"source": {"principals": ["example.org/ns/demo/sa/client"]}}],
                "to": [{"operation": {"methods": ["GET"]}}],
            }
        ],
    }
    assert [item["metadata"]["name"] for item in rendered.applied("official", "absent")] == ["old"]


def test_only_the_namespaces_that_are_named_are_enforced(rendered: Rendered) -> None:
    found = {
        (item["kind"], item["metadata"]["namespace"]): item["spec"]
        for item in rendered.objects("namespaces", "istio")
        if item["apiVersion"] == "security.istio.io/v1"
    }
    assert found == {
        (kind, namespace): spec
        for namespace in ("ready", "too")
        for kind, spec in (("PeerAuthentication", {"mtls": {"mode": "STRICT"}}), ("AuthorizationPolicy", {}))
    }
    assert rendered.value("namespaces", "istio", "problems") == []
    (problem,) = rendered.value("careless", "istio", "problems")
    assert "istio_enforced_namespaces is empty" in problem


def test_a_machine_without_istioctl_is_told_before_anything_is_touched(rendered: Rendered) -> None:
    for case in ("without_istioctl", "istioctl_not_on_path"):
        (problem,) = rendered.value(case, "istio", "problems")
        assert "is not on this machine" in problem
    assert rendered.value("istioctl_on_path", "istio", "problems") == []


def test_objects_of_istio_come_as_they_are(rendered: Rendered) -> None:
    (found,) = (item for item in rendered.applied("namespaces") if item["kind"] == "VirtualService")
    assert found["spec"] == {"hosts": ["shop.example"]}
    assert found["metadata"]["labels"]["trustmesh.io/role"] == "istio"


def test_a_mesh_of_several_clusters_knows_which_one_it_is(rendered: Rendered) -> None:
    told = rendered.value("namespaces", "istio", "overlay")["spec"]["values"]["global"]
    assert (told["meshID"], told["network"], told["multiCluster"]) == ("both", "one", {"clusterName": "test"})
    assert "meshID" not in rendered.value("packages", "istio", "overlay")["spec"]["values"]["global"]


def test_several_envoys_of_one_host_are_apart(rendered: Rendered) -> None:
    names = {instance["name"] for instance in CASES["packages"].variables["envoy_instances"]}
    assert len(names) == 2
    found = {item["metadata"]["name"] for item in rendered.objects("packages", "envoy") if item["kind"] == "ConfigMap"}
    assert found == names


def test_a_gateway_is_certified_by_spire(rendered: Rendered) -> None:
    gateway = rendered.one("namespaces", "istio", "Deployment")
    assert (gateway["metadata"]["name"], gateway["metadata"]["namespace"]) == ("in", "edge")
    described = gateway["spec"]["template"]["metadata"]
    assert described["annotations"]["inject.istio.io/templates"] == "gateway,spire-gateway"
    assert described["labels"]["sidecar.istio.io/inject"] == "true"
    service = rendered.one("namespaces", "istio", "Service")
    assert service["spec"]["ports"] == [{"name": "https", "port": 443, "targetPort": 8443}]
    assert service["spec"]["selector"].items() <= described["labels"].items()


@pytest.mark.parametrize(
    ("mode", "volume"),
    [
        ("official", {"csi": {"driver": "csi.spiffe.io", "readOnly": True}}),
        ("packages", {"hostPath": {"path": "/run/spire/agent-sockets", "type": "Directory"}}),
    ],
)
def test_every_gateway_of_the_gateway_api_gets_the_socket(
    rendered: Rendered, mode: str, volume: dict[str, Any]
) -> None:
    classes = rendered.value(mode, "istio", "overlay")["spec"]["values"]["gatewayClasses"]
    pod = classes["istio"]["deployment"]["spec"]["template"]["spec"]
    (proxy,) = pod["containers"]
    assert proxy["name"] == "istio-proxy"
    (mount,) = proxy["volumeMounts"]
    assert mount == {
        "name": "workload-socket",
        "mountPath": "/var/run/secrets/workload-spiffe-uds",
        "readOnly": True,
    }
    (given,) = pod["volumes"]
    assert given == {"name": "workload-socket", "$retainKeys": ["name", *volume], **volume}, "in the place of istiod's"


def test_a_gateway_of_the_gateway_api_is_made_by_istiod(rendered: Rendered) -> None:
    assert rendered.value("gateway_api", "istio", "problems") == []
    assert not [item for item in rendered.objects("gateway_api", "istio") if item["kind"] == "Deployment"]
    gateway = rendered.one("gateway_api", "istio", "Gateway", "in")
    assert gateway["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert gateway["metadata"]["labels"] == {"istio.io/rev": "next"}
    assert gateway["metadata"]["annotations"] == {
        "networking.istio.io/service-type": "LoadBalancer",
        "gateway.istio.io/service-account": "door",
    }
    spec = gateway["spec"]
    assert spec["gatewayClassName"] == "istio"
    assert spec["infrastructure"]["labels"] == {"app.kubernetes.io/name": "in", "tier": "edge"}
    assert spec["listeners"] == [
        {
            "name": "https",
            "port": 443,
            "protocol": "HTTPS",
            "tls": {"mode": "Terminate", "options": {"gateway.istio.io/tls-terminate-mode": "ISTIO_MUTUAL"}},
        },
        {"name": "http-plain", "port": 80, "protocol": "HTTP"},
    ]
    named = spec["infrastructure"]["parametersRef"]
    assert (named["group"], named["kind"]) == ("", "ConfigMap")
    changes = yaml.safe_load(rendered.one("gateway_api", "istio", "ConfigMap", named["name"])["data"]["deployment"])
    assert changes["spec"]["replicas"] == 2
    assert changes["spec"]["template"]["spec"]["containers"] == [
        {"name": "istio-proxy", "env": [{"name": "A", "value": "b"}]}
    ]
    assert "parametersRef" not in rendered.one("gateway_api", "istio", "Gateway", "out")["spec"]["infrastructure"]
    assert rendered.one("gateway_api", "istio", "ServiceAccount", "door"), "SPIRE's entry names it"


def test_istiod_takes_over_the_service_of_a_gateway_of_the_gateway_api(rendered: Rendered) -> None:
    service = rendered.one("gateway_api", "istio", "Service", "in-istio")
    assert service["metadata"]["labels"]["gateway.istio.io/managed"] == "istio.io-gateway-controller"
    assert service["metadata"]["annotations"] == {"balancer": "mine"}
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["selector"] == {"gateway.networking.k8s.io/gateway-name": "in"}
    assert service["spec"]["ports"] == [
        {"name": "status-port", "port": 15021, "appProtocol": "tcp"},
        {"name": "https", "port": 443, "appProtocol": "https"},
        {"name": "http-plain", "port": 80, "appProtocol": "http"},
    ], "as istiod makes them, or each would change what the other has made"


def test_what_does_not_fit_a_gateway_of_the_gateway_api_is_refused(rendered: Rendered) -> None:
    found = rendered.value("gateway_api_misfits", "istio", "problems")
    assert len(found) == 4
    for problem, words in zip(
        found,
        ("«tls» cannot name a port", "Take target_port out", "may have 57 characters", "/nonexistent/types.yaml"),
        strict=True,
    ):
        assert words in problem


def test_istiod_gets_its_files_from_spire_before_it_begins(rendered: Rendered) -> None:
    spec = rendered.value("certified", "istio", "overlay")["spec"]
    assert spec["values"]["pilot"]["env"]["ENABLE_CA_SERVER"] == "false"
    patches = [patch for overlay in spec["components"]["pilot"]["k8s"]["overlays"] for patch in overlay["patches"]]
    arguments = [patch["value"] for patch in patches if ".args[" in patch["path"]]
    assert {argument.partition("=")[0] for argument in arguments} == {
        *("--grpcAddr", "--tlsCertFile", "--tlsKeyFile", "--caCertFile")
    }
    (writer,) = next(patch["value"] for patch in patches if patch["path"].endswith("initContainers"))
    assert (writer["name"], writer["restartPolicy"]) == ("svid", "Always")
    assert writer["startupProbe"]["exec"]["command"][-1] == "--check"
    folder = writer["command"][writer["command"].index("--folder") + 1]
    assert all(argument.partition("=")[2].startswith(folder) for argument in arguments[1:])
    mounts = [patch["value"] for patch in patches if "volumeMounts" in patch["path"]]
    assert mounts == [{"name": "files", "mountPath": "/run/files", "readOnly": True}]
    # The files are their owner's, and istiod runs as this user.
    assert writer["securityContext"]["runAsUser"] == 1337
    # It waits for the socket by itself, so that its pod need not wait for the folder.
    (socket,) = [patch["value"] for patch in patches if "volumes[51]" in patch["path"]]
    assert socket == {
        "name": "spire-socket",
        "hostPath": {"path": "/run/spire/agent-sockets", "type": "DirectoryOrCreate"},
    }


def test_istiod_with_a_ca_of_its_own_has_nobody_beside_it(rendered: Rendered) -> None:
    spec = rendered.value("packages", "istio", "overlay")["spec"]
    assert "ENABLE_CA_SERVER" not in spec["values"]["pilot"]["env"]
    patches = [patch for overlay in spec["components"]["pilot"]["k8s"]["overlays"] for patch in overlay["patches"]]
    assert [patch["value"] for patch in patches] == ["--grpcAddr="]


def test_the_server_may_write_the_bundles_that_it_publishes_and_no_others(rendered: Rendered) -> None:
    _name, data = plugin(conf(rendered, "certified", "spire_server"), "BundlePublisher")
    places = [(cluster["namespace"], cluster["configmap_name"]) for cluster in data["clusters"].values()]
    assert sorted(places) == [
        ("edge", "istio-ca-root-cert"),
        ("shop", "istio-ca-root-cert"),
        ("spire-system", "spire-bundle"),
    ]
    objects = rendered.objects("certified", "spire_server")
    made = [item["metadata"] for item in objects if item["kind"] == "ConfigMap" and "data" not in item]
    assert sorted((item["namespace"], item["name"]) for item in made) == sorted(places)
    rules = {item["metadata"]["namespace"]: item["rules"] for item in objects if item["kind"] == "Role"}
    assert rules["edge"] == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["istio-ca-root-cert"],
            "verbs": ["get", "patch"],
        }
    ]
    assert rules.keys() == {"edge", "shop", "spire-system"}


def test_a_client_has_its_certificate_in_files_before_it_begins(rendered: Rendered) -> None:
    asker = rendered.one("books", "demo_app", "Deployment", "asker")
    spec = asker["spec"]["template"]["spec"]
    assert spec["hostAliases"] == [{"ip": "192.0.2.9", "hostnames": ["shop.example"]}]
    (writer,) = spec["initContainers"]
    (client,) = spec["containers"]
    assert (writer["name"], writer["restartPolicy"]) == ("svid", "Always")
    assert client["volumeMounts"] == [{"name": "files", "mountPath": "/run/files", "readOnly": True}]
    sockets = {mount["name"]: mount.get("readOnly", False) for mount in writer["volumeMounts"]}
    assert sockets == {"files": False, "spire-socket": True}
    namespace = rendered.one("books", "demo_app", "Namespace", "asking")
    assert namespace["metadata"]["labels"]["trustmesh.io/pods"] == "guarded"


# The load balancer


@pytest.mark.parametrize(
    ("case", "comes"),
    [
        ("balanced", True),
        ("balanced_official", True),
        ("unbalanced", False),
        ("balanced_elsewhere", False),
        ("balanced_by_hand", True),
    ],
)
def test_a_balancer_comes_where_a_service_needs_it_and_a_cluster_of_others_has_its_own(
    rendered: Rendered, case: str, comes: bool
) -> None:
    assert bool(rendered.pending(case, "load_balancer")) is comes


@pytest.mark.parametrize(
    ("case", "addresses", "interfaces"),
    [
        ("balanced", ["192.0.2.136-192.0.2.143"], ["eth0"]),
        ("balanced_by_hand", ["198.51.100.16/28", "198.51.100.1-198.51.100.3"], []),
    ],
)
def test_a_balancer_gives_the_addresses_of_its_cluster(
    rendered: Rendered, case: str, addresses: list[str], interfaces: list[str]
) -> None:
    pool = rendered.one(case, "load_balancer", "IPAddressPool")
    assert pool["spec"] == {"addresses": addresses}
    advertised = rendered.one(case, "load_balancer", "L2Advertisement")["spec"]
    assert advertised == {"ipAddressPools": [pool["metadata"]["name"]], "interfaces": interfaces}


def test_ranges_and_networks_are_addresses(rendered: Rendered) -> None:
    assert rendered.value("balanced_by_hand", "load_balancer", "problems") == []


@pytest.mark.parametrize("case", ["balanced", "balanced_official"])
def test_a_balancer_has_no_power_that_it_does_not_need(rendered: Rendered, case: str) -> None:
    reads = {"get", "list", "watch"}
    writes = {
        (role["metadata"]["name"], resource)
        for kind in ("Role", "ClusterRole")
        for role in rendered.objects(case, "load_balancer")
        if role["kind"] == kind
        for rule in role["rules"]
        for resource in rule["resources"]
        if not set(rule["verbs"]) <= reads
    }
    assert writes == {
        ("controller", "ipaddresspools/status"),
        ("metallb-controller", "services/status"),
        ("metallb-controller", "events"),
        ("metallb-speaker", "events"),
        ("speaker", "servicel2statuses"),
        ("speaker", "servicel2statuses/status"),
    }
    secrets = [
        role["kind"]
        for role in rendered.objects(case, "load_balancer")
        for rule in role.get("rules", [])
        if {"secrets", "configmaps"} & set(rule["resources"])
    ]
    assert secrets == ["Role"], "those of its own namespace only"


def test_the_pods_of_a_balancer_are_closed_up(rendered: Rendered) -> None:
    controller = rendered.one("balanced", "load_balancer", "Deployment")
    speaker = rendered.one("balanced", "load_balancer", "DaemonSet")
    for workload, priority, added in (
        (controller, "system-cluster-critical", []),
        (speaker, "system-node-critical", ["NET_RAW"]),
    ):
        (container,) = containers(workload).values()
        security = container["securityContext"]
        assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
        assert security["capabilities"]["drop"] == ["ALL"]
        assert security["capabilities"].get("add", []) == added
        assert pod(workload)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod(workload)["priorityClassName"] == priority
    assert pod(controller)["securityContext"]["runAsNonRoot"] is True
    arguments = containers(speaker)["speaker"]["args"]
    assert "--host=127.0.0.1" in arguments, "on the node's network its figures are for the node alone"
    assert "--ignore-exclude-lb" in arguments, "the first node of several has the label, and pods"


def test_no_webhook_stands_between_a_user_and_the_types_of_the_balancer(rendered: Rendered) -> None:
    found = rendered.objects("balanced", "load_balancer")
    assert {item["kind"] for item in found} & {"ValidatingWebhookConfiguration", "Secret", "Service"} == set()
    assert (
        "--webhook-mode=disabled"
        in containers(rendered.one("balanced", "load_balancer", "Deployment"))["controller"]["args"]
    )
    types = {
        item["spec"]["names"]["kind"]: item["spec"] for item in found if item["kind"] == "CustomResourceDefinition"
    }
    assert len(types) == 8, "its programs do not start without one of them"
    for name, spec in types.items():
        assert [version["name"] for version in spec["versions"] if version["storage"]] == [
            "v1beta2" if name == "BGPPeer" else "v1beta1"
        ]
    assert {version["name"] for version in types["BGPPeer"]["versions"]} == {"v1beta1", "v1beta2"}


# cert-manager


@pytest.mark.parametrize(
    ("case", "comes"),
    [
        ("issuing", True),
        ("issuing_official", True),
        ("issuing_elsewhere", False),
        ("issuing_by_hand", True),
        ("issuing_nothing", False),
    ],
)
def test_cert_manager_comes_where_something_is_named_and_a_cluster_of_others_has_its_own(
    rendered: Rendered, case: str, comes: bool
) -> None:
    kinds = {item["kind"] for item in rendered.objects(case, "cert_manager")}
    assert ("Deployment" in kinds) is comes
    assert ("Certificate" in kinds) is (case not in ("issuing_by_hand", "issuing_nothing"))


def test_issuers_and_certificates_are_what_was_named(rendered: Rendered) -> None:
    found = {
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]): item["spec"]
        for item in rendered.objects("issuing", "cert_manager")
        if item["apiVersion"] == "cert-manager.io/v1"
    }
    assert set(found) == {
        ("Issuer", "cert-manager", "self-signed"),
        ("ClusterIssuer", None, "mesh-root"),
        ("Certificate", "cert-manager", "mesh-root"),
        ("Certificate", "istio-system", "cacerts"),
    }
    assert found["ClusterIssuer", None, "mesh-root"] == {"ca": {"secretName": "mesh-root"}}
    assert found["Certificate", "istio-system", "cacerts"]["issuerRef"] == {
        "name": "mesh-root",
        "kind": "ClusterIssuer",
    }


def test_the_ca_of_an_istiod_lives_as_long_as_it_is_said(rendered: Rendered) -> None:
    found = {
        item["metadata"]["name"]: item["spec"]
        for item in rendered.objects("issuing_for_istio", "cert_manager")
        if item["kind"] == "Certificate"
    }
    ca = found["cacerts"]
    assert (ca["duration"], ca["renewBefore"], ca["isCA"]) == ("720h", "180h", True)
    assert ca["dnsNames"] == ["istiod.istio-system.svc"]
    assert found["mesh-root"]["issuerRef"]["name"] == "self-signed"
    assert rendered.value("issuing_for_istio", "cert_manager", "problems") == []
    (problem,) = rendered.value("issuing_for_ever", "cert_manager", "problems")
    assert "cert_manager_istio_ca_days: 900 is out of range" in problem


def test_issuers_that_nobody_would_serve_are_refused(rendered: Rendered) -> None:
    assert rendered.text("issuing_by_hand", "cert_manager", "unknown").split() == ["mail", "both"]
    assert rendered.text("issuing", "cert_manager", "unknown").split() == []
    (problem,) = rendered.value("issuing_by_hand", "cert_manager", "problems")
    assert "«Fish» cannot name a namespace" in problem


@pytest.mark.parametrize("case", ["issuing", "issuing_official"])
def test_cert_manager_writes_secrets_where_certificates_are_and_nowhere_else(rendered: Rendered, case: str) -> None:
    reads = {"get", "list", "watch"}
    writes = {
        (role["metadata"].get("namespace"), resource)
        for role in rendered.objects(case, "cert_manager")
        for rule in role.get("rules", [])
        for resource in rule["resources"]
        if not set(rule["verbs"]) <= reads
    }
    kinds = ("certificates", "certificaterequests", "issuers", "clusterissuers")
    assert writes == {
        *((None, f"{kind}/status") for kind in kinds),
        (None, "events"),
        *(
            (namespace, resource)
            for namespace in ("cert-manager", "istio-system")
            for resource in ("secrets", "certificaterequests", "certificates/finalizers")
        ),
    }


def test_the_pod_of_cert_manager_is_closed_up(rendered: Rendered) -> None:
    found = {item["kind"]: item for item in rendered.objects("issuing", "cert_manager") if item["kind"] != "Namespace"}
    deployment = found["Deployment"]
    ((name, container),) = containers(deployment).items()
    security = container["securityContext"]
    assert (name, security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (
        "controller",
        False,
        True,
    )
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod(deployment)["securityContext"]["runAsNonRoot"] is True
    assert "ingress" not in found["NetworkPolicy"]["spec"], "nobody calls it"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    (home,) = (
        item
        for item in rendered.objects("issuing", "cert_manager")
        if item["kind"] == "Namespace" and item["metadata"]["name"] == "cert-manager"
    )
    assert home["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_both_images_of_cert_manager_take_the_same_arguments(rendered: Rendered) -> None:
    built, published = (
        containers(rendered.one(case, "cert_manager", "Deployment"))["controller"]
        for case in ("issuing", "issuing_official")
    )
    assert built["args"] == published["args"]
    assert built["image"] != published["image"]
    program = (ROOT / "roles/toolchain/files/go/cert_manager/main.go").read_text()
    flags = {argument.removeprefix("--").partition("=")[0] for argument in built["args"]}
    assert flags == set(re.findall(r'flag\.\w+\("([\w-]+)"', program))
    types = {
        item["metadata"]["name"]
        for item in rendered.objects("issuing", "cert_manager")
        if item["kind"].startswith("CustomR")
    }
    assert types == {
        f"{kind}.cert-manager.io" for kind in ("certificates", "certificaterequests", "issuers", "clusterissuers")
    }

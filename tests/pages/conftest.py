# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two clusters that exist, as a user has them, on which pages are done as they are written.

Only what a page cannot know is replaced in its text: where kubeconfigs are, and the addresses of somebody's services.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook import ROOT, play

CLUSTERS = ("eu", "us")
INSTANCE = "tm-test"
RUN = "# run\n"
"""What a block of a page begins with whose command is run as it stands."""


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def changed(output: str) -> int:
    """How many tasks changed something, on all hosts."""
    counts = re.findall(r" changed=(\d+) ", output)
    assert counts, output
    return sum(map(int, counts))


@dataclass
class Estate:
    """The clusters ``eu`` and ``us``, and a folder from which somebody works with them."""

    folder: Path
    images: dict[str, str] = field(default_factory=dict)

    @property
    def build(self) -> Path:
        return self.folder / "build"

    @property
    def path(self) -> str:
        """PATH with the tools of the clusters."""
        return ":".join([str(self.build / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])

    def kubeconfig(self, cluster: str) -> Path:
        return self.folder / "kube" / cluster

    def text(self, text: str) -> str:
        """What a page says, with the kubeconfigs that are here."""
        return text.replace("/home/me/.kube", str(self.folder / "kube"))

    def run(self, *words: str, given: str | None = None, kubeconfig: Path | None = None) -> str:
        """Run a command as a user does; what it prints. ``kubeconfig`` is the one of the environment."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("K8S_AUTH_", "KUBECONFIG"))}
        env |= {"PATH": self.path, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        if kubeconfig:
            env |= {"K8S_AUTH_KUBECONFIG": str(kubeconfig), "KUBECONFIG": str(kubeconfig)}
        done = subprocess.run(words, cwd=self.folder, env=env, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-8000:]}{done.stderr[-4000:]}"
        return done.stdout

    def ansible(self, *words: str, **variables: Any) -> str:
        """Run a playbook, with what belongs to this test beside the words."""
        extra = {"trustmesh_build_dir": str(self.build), **variables}
        return self.run("ansible-playbook", *words, "--extra-vars", json.dumps(extra))

    def play(self, plays: list[dict[str, Any]], cluster: str | None = None, **variables: Any) -> str:
        """Run plays without an inventory; ``cluster`` is the one of the environment."""
        extra = json.dumps({"trustmesh_build_dir": str(self.build), **variables})
        env = {"K8S_AUTH_KUBECONFIG": str(self.kubeconfig(cluster))} if cluster else {}
        done = play(plays, self.folder, "--extra-vars", extra, PATH=self.path, **env)
        assert done.returncode == 0, f"{plays}\n{done.stdout[-8000:]}{done.stderr[-4000:]}"
        return done.stdout

    def kubectl(self, cluster: str, *words: str, given: str | None = None) -> str:
        return self.run("kubectl", "--kubeconfig", str(self.kubeconfig(cluster)), *words, given=given)

    def names(self, cluster: str, *words: str) -> set[str]:
        """The names of what is there, as ``kind/name``."""
        return set(self.kubectl(cluster, "get", *words, "--ignore-not-found", "--output", "name").split())

    def containers(self, cluster: str, namespace: str, deployment: str) -> list[str]:
        found = json.loads(self.kubectl(cluster, "-n", namespace, "get", "deployment", deployment, "-o", "json"))
        return [each["name"] for each in found["spec"]["template"]["spec"]["containers"]]

    def deploy(self, cluster: str, name: str, namespace: str, image: str, *command: str) -> None:
        """A program of somebody's: a Deployment under a service account of its own."""
        pod = {
            "serviceAccountName": name,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {"name": name, "image": self.images[image], "imagePullPolicy": "IfNotPresent", "command": [*command]}
            ],
        }
        labels = {"app": name}
        objects: list[Mapping[str, Any]] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            },
        ]
        self.kubectl(cluster, "apply", "-f", "-", given=yaml.safe_dump_all(objects))
        self.kubectl(cluster, "-n", namespace, "rollout", "status", f"deployment/{name}", "--timeout=120s")

    def make_clusters(self) -> None:
        (self.folder / "clusters.ini").write_text("[clusters]\n" + "\n".join(CLUSTERS) + "\n")
        told = {"copy": {"content": "{{ images_refs | to_json }}", "dest": str(self.folder / "images.json")}}
        self._clusters(["toolchain", "images", "kubernetes_cluster"], [{**told, "run_once": True}])
        self.images = json.loads((self.folder / "images.json").read_text())
        (self.folder / "kube").mkdir(exist_ok=True)
        together: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
        for name in CLUSTERS:
            text = (self.build / "clusters" / f"{INSTANCE}-{name}.kubeconfig").read_text()
            self.kubeconfig(name).touch(0o600)
            self.kubeconfig(name).write_text(text)
            one = yaml.safe_load(text)
            together["clusters"] += one["clusters"]
            together["users"] += one["users"]
            together["contexts"] += [{"name": f"{name}.corp.example", "context": one["contexts"][0]["context"]}]
        self.kubeconfig("config").touch(0o600)
        self.kubeconfig("config").write_text(yaml.safe_dump(together))

    def remove_clusters(self) -> None:
        remove = {"include_role": {"name": "trustmesh.spiffe.kubernetes_cluster", "tasks_from": "remove"}}
        self._clusters(["toolchain"], [remove])

    def _clusters(self, roles: list[str], tasks: list[dict[str, Any]]) -> None:
        play = {
            "hosts": "clusters",
            "gather_facts": False,
            "connection": "local",
            "vars": {"ansible_python_interpreter": sys.executable},
            "roles": [f"trustmesh.spiffe.{role}" for role in roles],
            "tasks": tasks,
        }
        (self.folder / "clusters.yml").write_text(yaml.safe_dump([play]))
        words = ["--inventory", "clusters.ini", "clusters.yml"]
        # A run that was killed has left its clusters.
        self.ansible(*words, trustmesh_instance=INSTANCE, trustmesh_artifacts="packages", kubernetes_cluster_adopt=True)


@dataclass
class Guide:
    """A page that somebody follows, from the folder of an estate."""

    estate: Estate
    page: Path
    variables: dict[str, Any] = field(default_factory=dict)
    """What belongs to this test beside what the page says."""

    def write_files(self) -> None:
        """Write the files that the page shows: those whose first line is a comment with their path."""
        for block in [*blocks(self.page, "ini"), *blocks(self.page, "yaml")]:
            name = re.match(r"# (\S+\.(?:ini|yml))\n", block)
            if name:
                path = self.estate.folder / name[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.estate.text(block))

    def follow(self, words: str, *more: str) -> str:
        """Do what the page says to run: the last of its commands that has these words and the options ``more``."""
        found = [
            line.removeprefix(RUN)
            for line in blocks(self.page, "shell")
            if line.startswith(RUN) and words in line and all(word in line.split() for word in more)
        ]
        assert found, f"{self.page.name} has no command with {words} {more}"
        argv = shlex.split(self.estate.text(min(found, key=len)))
        if argv[0] == "ansible-playbook":
            variables = {"trustmesh_build_dir": str(self.estate.build), **self.variables}
            argv += ["--extra-vars", json.dumps(variables)]
        return self.estate.run(*argv, kubeconfig=self.estate.kubeconfig("config"))


@pytest.fixture(scope="session")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    found = Estate(tmp_path_factory.mktemp("pages"))
    found.make_clusters()
    yield found
    found.remove_clusters()


@pytest.fixture(scope="module", autouse=True)
def volumes(estate: Estate) -> None:
    """Give back what servers of earlier pages have left."""
    give_volumes_back(estate)


def give_volumes_back(estate: Estate) -> None:
    """Make volumes whose server is gone empty and available: there are four in a cluster, and nobody makes more."""
    back = json.dumps([{"op": "remove", "path": "/spec/claimRef"}])
    for cluster in CLUSTERS:
        for one in json.loads(estate.kubectl(cluster, "get", "persistentvolumes", "-o", "json"))["items"]:
            if one["status"]["phase"] == "Released":
                path = one["spec"]["local"]["path"]
                node = f"{INSTANCE}-{cluster}-control-plane"
                estate.run("podman", "exec", node, "find", path, "-mindepth", "1", "-delete")
                estate.kubectl(cluster, "patch", "pv", one["metadata"]["name"], "--type", "json", "-p", back)

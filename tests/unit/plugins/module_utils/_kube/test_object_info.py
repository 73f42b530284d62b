# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubectl is asked for, and what never becomes a word of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.object.info import arguments, run

NOTHING: dict[str, Any] = {
    **{"definition": None, "kinds": None, "namespace": None, "selector": None},
    **{"names": False, "owners": False},
}
GET = ["get", "--ignore-not-found", "--output"]


def test_objects_by_a_text_come_by_standard_input() -> None:
    assert arguments({**NOTHING, "definition": "kind: Pod"}) == [*GET, "json", "--filename", "-"]


def test_kinds_are_read_everywhere_or_in_one_namespace() -> None:
    kinds = {**NOTHING, "kinds": ["services", "servicel2statuses.metallb.io"]}
    told = "services,servicel2statuses.metallb.io"
    assert arguments({**kinds, "selector": "a.io/b=c"}) == [
        *GET,
        "json",
        "--all-namespaces",
        "--selector",
        "a.io/b=c",
        told,
    ]
    assert arguments({**kinds, "namespace": "shop", "names": True}) == [*GET, "name", "--namespace", "shop", told]


@pytest.mark.parametrize(
    "bad",
    [
        {"kinds": ["--token"]},
        {"kinds": ["a,b"]},
        {"kinds": ["a-"]},
        {"kinds": ["2a"]},
        {"namespace": "-x"},
        {"namespace": "a;b"},
        {"selector": "--all"},
    ],
)
def test_what_could_be_another_option_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        arguments({**NOTHING, "kinds": ["pods"], **bad})


def _cluster(tmp_path: Path, **answers: str) -> dict[str, Any]:
    """Return options for a kubectl that answers by the last of its words."""
    cases = "".join(f"*{words!r}) echo {answer!r} ;;\n" for words, answer in answers.items())
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}*) echo "unknown: $*" >&2; exit 1 ;;\nesac\n')
    kubectl.chmod(0o755)
    reached = {"kubectl": str(kubectl), "kubeconfig": None, "context": None}
    return {**NOTHING, **reached, "kinds": ["pods"], "optional_kinds": ["as.x.io", "bs.x.io"], "timeout": 10}


def test_kinds_that_the_cluster_may_not_know_are_read_where_it_does(tmp_path: Path) -> None:
    types = "customresourcedefinition.apiextensions.k8s.io/bs.x.io"
    pods, found = (f'{{"apiVersion": "v1", "kind": "List", "items": [{one}]}}' for one in (1, 2))
    asked = _cluster(tmp_path, **{"as.x.io bs.x.io": types, " pods": pods, " bs.x.io": found})
    told = json.loads(run(asked, False).result["stdout"])
    assert told == {"apiVersion": "v1", "kind": "List", "items": [1, 2]}
    asked = _cluster(tmp_path, **{"as.x.io bs.x.io": types, " pods": "", " bs.x.io": found})
    assert json.loads(run(asked, False).result["stdout"])["items"] == [2]
    asked = _cluster(tmp_path, **{"as.x.io bs.x.io": types, " pods": "pod/a", " bs.x.io": "b.x.io/c"})
    assert run({**asked, "names": True}, False).result["stdout"].split() == ["pod/a", "b.x.io/c"]
    asked = _cluster(tmp_path, **{"as.x.io bs.x.io": "", " pods": pods})
    assert run(asked, False).result["stdout"].strip() == pods


@pytest.mark.parametrize(
    "bad", [{"optional_kinds": ["--all"]}, {"definition": "kind: Pod", "kinds": None, "optional_kinds": ["as.x.io"]}]
)
def test_kinds_that_the_cluster_may_not_know_are_kinds_and_beside_others(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="optional_kinds"):
        run({**NOTHING, "kinds": ["pods"], "timeout": 1, **bad}, False)


def test_a_limit_is_positive() -> None:
    with pytest.raises(InputError, match="timeout"):
        run({**NOTHING, "kinds": ["pods"], "timeout": 0}, False)


def test_names_are_told_with_those_of_their_owners_and_nothing_else_of_them(tmp_path: Path) -> None:
    def of(api_version: str, kind: str, name: str, **metadata: Any) -> dict[str, Any]:
        return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}, "data": {"key": "c2V"}}

    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "x"}
    found = [of("v1", "Secret", "s"), of("v1", "Pod", "web-1-a", ownerReferences=[owner])]
    answer = json.dumps({"apiVersion": "v1", "kind": "List", "items": found})
    asked = {**_cluster(tmp_path, **{"json --all-namespaces pods": answer}), "optional_kinds": []}
    asked = {**asked, "names": True, "owners": True}
    assert run(asked, False).result["stdout"].splitlines() == ["secret/s", "pod/web-1-a replicaset.apps/web-1"]
    with pytest.raises(InputError, match="Set names"):
        run({**asked, "names": False}, False)

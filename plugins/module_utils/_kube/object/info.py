# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Many objects of a cluster at once, as kubectl prints them: read only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.client import Kubectl
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.codec import parse_list, render_list
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import access_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import side_by_side
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome

# A label of DNS (RFC 1035), as Kubernetes demands of plurals, and the group.
_KIND = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9.-]+)?")
_VALUE = re.compile(r"[A-Za-z0-9._/=,! ()-]+")
_DOING = "Reading objects"
# A CustomResourceDefinition has the name by which its kind is asked for.
_TYPES = ("get", "--ignore-not-found", "--output", "name", "customresourcedefinitions.apiextensions.k8s.io")


def spec() -> ArgumentSpec:
    """Return the options of kubernetes_object_info."""
    own = ArgumentSpec(
        options={
            "definition": {"type": "str"},
            "kinds": {"type": "list", "elements": "str"},
            "optional_kinds": {"type": "list", "elements": "str", "default": []},
            "namespace": {"type": "str"},
            "selector": {"type": "str"},
            "names": {"type": "bool", "default": False},
            "owners": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
        },
        mutually_exclusive=[("definition", "kinds"), ("definition", "namespace"), ("definition", "selector")],
        required_one_of=[("definition", "kinds")],
        free=["definition"],
    )
    return kubectl_spec().merge(own)


def run(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Read them. What is named and not there is passed over."""
    if params["timeout"] < 1:
        raise InputError(f"timeout: {params['timeout']} is not a positive number of seconds.")
    words, optional = arguments(params), params["optional_kinds"]
    _check_kinds("optional_kinds", optional)
    if optional and params["definition"] is not None:
        raise InputError("optional_kinds: they stand beside kinds, not definition. Leave one of the two out.")
    kubectl = Kubectl(access_of(params), timeout=params["timeout"])

    def read(words: list[str]) -> str:
        return kubectl.run(words, params["definition"], _DOING)

    if params["owners"] and not params["names"]:
        raise InputError("owners: they stand behind names. Set names, too.")
    if not optional:
        return Outcome(result={"stdout": _told(params, [read(words)])})
    found, types = side_by_side(lambda: read(words), lambda: read([*_TYPES, *optional]))
    known = [line.partition("/")[2] for line in types.split()]
    texts = [found, *([read(arguments({**params, "kinds": known}))] if known else [])]
    return Outcome(result={"stdout": _told(params, texts)})


def _told(params: Mapping[str, Any], texts: Sequence[str]) -> str:
    """Put together what kubectl printed."""
    if params["owners"]:
        return "".join(f"{line}\n" for line in map(_with_owners, chain(*(parse_list(text, _DOING) for text in texts))))
    if params["names"] or len(texts) == 1:
        return "".join(texts)
    return render_list(chain(*(parse_list(text, _DOING) for text in texts)))


def _with_owners(item: KubeObject) -> str:
    metadata = item["metadata"]
    own = _name(item["apiVersion"], item["kind"], metadata["name"])
    owners = metadata.get("ownerReferences") or []
    return " ".join([own, *(_name(one["apiVersion"], one["kind"], one["name"]) for one in owners)])


def _name(api_version: str, kind: str, name: str) -> str:
    """As kubectl tells it."""
    group = api_version.rpartition("/")[0]
    return f"{kind.lower()}{f'.{group}' if group else ''}/{name}"


def _check_kinds(option: str, kinds: Sequence[str]) -> None:
    for kind in kinds:
        if not _KIND.fullmatch(kind):
            raise InputError(f"{option}: {kind!r} is no kind. Give plurals with their group, such as deployments.apps.")


def arguments(params: Mapping[str, Any]) -> list[str]:
    """Return what kubectl is asked."""
    output = "name" if params["names"] and not params["owners"] else "json"
    words = ["get", "--ignore-not-found", "--output", output]
    if params["definition"] is not None:
        return [*words, "--filename", "-"]
    _check_kinds("kinds", params["kinds"])
    for name in ("namespace", "selector"):
        if params[name] is not None and (not _VALUE.fullmatch(params[name]) or params[name].startswith("-")):
            raise InputError(f"{name}: {params[name]!r} is none.")
    words += ["--namespace", params["namespace"]] if params["namespace"] else ["--all-namespaces"]
    words += ["--selector", params["selector"]] if params["selector"] else []
    return [*words, ",".join(params["kinds"])]

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specs: merging, and naming the item that was refused."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec

PROGRAM = """
from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
item = {"name": {"type": "str", "required": True}, "count": {"type": "int"}}
spec = ArgumentSpec({"items": {"type": "list", "elements": "dict", "options": item}, "other": {"type": "int"}})
module = spec.create_module()
module.fail_json(msg="too late") if module.params["other"] else module.exit_json()
"""


def run(args: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": args}),
        text=True,
        capture_output=True,
        check=False,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"name": "b", "nmae": 1}, "Unsupported parameters"),
        ({"count": 1}, "missing required arguments: name"),
        ({"name": "b", "count": "many"}, "count"),
        ("text", "items[1]"),
    ],
)
def test_the_refused_item_is_named(bad: Any, words: str) -> None:
    result = run({"items": [{"name": "a"}, bad, {"name": "c"}]})
    assert result["failed"]
    assert result["msg"].startswith("items[1]: ")
    assert words in result["msg"]


def test_other_failures_name_no_item() -> None:
    assert run({"items": [{"name": "a"}], "other": 1})["msg"] == "too late"
    assert not run({"items": [{"name": "a"}], "othr": 1})["msg"].startswith("items")


def test_merge_keeps_options_and_constraints_and_leaves_the_parts_alone() -> None:
    one = ArgumentSpec({"a": {"type": "str"}}, mutually_exclusive=[("a", "kubeconfig")])
    merged = one.merge(kubectl_spec())
    assert set(merged.options) == {"a", *kubectl_spec().options}
    assert merged.mutually_exclusive == [("a", "kubeconfig")]
    assert set(one.options) == {"a"}

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build steps as data: keys, order, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.steps import (
    expand,
    keys_of,
    needed_for,
    parse_steps,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

COMPILER = {"name": "compiler", "commands": [["make"]], "inputs": ["go.mod"]}
TOOL = {"name": "tool", "commands": [["@out:compiler@/cc"]], "needs": ["compiler"]}
OTHER = {"name": "other", "commands": [["true"]]}


def keys(*raw: Mapping[str, Any], digest: str = "1", salt: tuple[str, ...] = ()) -> dict[str, str]:
    return keys_of(parse_steps(raw), {"go.mod": digest}.__getitem__, salt)


def changed(after: Mapping[str, str]) -> set[str]:
    before = keys(COMPILER, TOOL, OTHER)
    return {name for name in before if before[name] != after[name]}


def test_the_same_steps_have_the_same_keys_in_any_order() -> None:
    assert keys(OTHER, TOOL, COMPILER) == keys(COMPILER, TOOL, OTHER)


def test_a_changed_input_file_changes_its_step_and_those_that_need_it() -> None:
    assert changed(keys(COMPILER, TOOL, OTHER, digest="2")) == {"compiler", "tool"}


@pytest.mark.parametrize(
    "field",
    [{"commands": [["make", "-j"]]}, {"env": {"CGO_ENABLED": "0"}}, {"cwd": "@files@"}],
    ids=lambda field: next(iter(field)),
)
def test_a_changed_recipe_changes_its_step_and_those_that_need_it(field: dict[str, Any]) -> None:
    assert changed(keys({**COMPILER, **field}, TOOL, OTHER)) == {"compiler", "tool"}


def test_a_step_that_no_longer_needs_another_gets_another_key() -> None:
    assert changed(keys(COMPILER, {**TOOL, "needs": []}, OTHER)) == {"tool"}


def test_the_salt_changes_all_keys() -> None:
    assert changed(keys(COMPILER, TOOL, OTHER, salt=("go1.26",))) == {"compiler", "tool", "other"}


def test_a_label_and_the_test_for_presence_do_not_change_keys() -> None:
    assert changed(keys({**COMPILER, "label": "the compiler", "exists": ["true"]}, TOOL, OTHER)) == set()


def test_needs_come_first() -> None:
    steps = parse_steps([TOOL, COMPILER, OTHER])
    assert needed_for(steps, ["tool"], lambda _name: False) == ["compiler", "tool"]


def test_what_is_there_is_left_out() -> None:
    steps = parse_steps([TOOL, COMPILER, OTHER])
    assert set(needed_for(steps, ["tool", "other"], {"compiler"}.__contains__)) == {"tool", "other"}


def test_a_goal_that_is_there_hides_its_needs() -> None:
    asked = []

    def is_there(name: str) -> bool:
        asked.append(name)
        return name == "tool"

    assert needed_for(parse_steps([TOOL, COMPILER]), ["tool"], is_there) == []
    assert asked == ["tool"]


def test_tokens_are_replaced_and_other_text_stays() -> None:
    values = {"out": "/o", "key:a.b": "k"}
    assert expand("@out@/x user@host:@key:a.b@ a@b", values) == "/o/x user@host:k a@b"


@pytest.mark.parametrize("token", ["@home@", "@out:stranger@"])
def test_an_unknown_token_is_refused(token: str) -> None:
    with pytest.raises(InputError, match=f"unknown token {token} .*only needed steps can be named"):
        expand(f"cp {token}/x", {"out": "/o", "out:need": "/n"})


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([{"name": "a b", "commands": [["x"]]}], r"'a b': 'name' must be"),
        ([{"commands": [["x"]]}], "None: 'name' must be"),
        ([{"name": "a", "commands": []}], "step a: 'commands' must be a list of argument lists"),
        ([{"name": "a", "commands": "make"}], "step a: 'commands' must be a list of argument lists"),
        ([{"name": "a", "commands": ["make all"]}], "step a: 'commands' must be a list of argument lists"),
        ([{"name": "a", "commands": [["x"]], "need": ["b"]}], "step a: unknown field 'need'"),
        ([OTHER, OTHER], "step other is listed twice"),
        ([TOOL], "step tool needs compiler, which is not a step"),
        ([{**COMPILER, "needs": ["tool"]}, TOOL], "need each other in a circle: .*tool"),
    ],
)
def test_bad_steps_are_refused_by_name(raw: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_steps(raw)


def test_a_goal_that_is_no_step_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="goal toool is not a step; the steps are compiler, tool"):
        needed_for(parse_steps([TOOL, COMPILER]), ["toool"], lambda _name: False)

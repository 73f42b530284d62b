# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubectl is asked for, and what never becomes a word of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.object.info import arguments, run

NOTHING: dict[str, Any] = {"definition": None, "kinds": None, "namespace": None, "selector": None, "names": False}
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


def test_a_limit_is_positive() -> None:
    with pytest.raises(InputError, match="timeout"):
        run({**NOTHING, "kinds": ["pods"], "timeout": 0}, False)

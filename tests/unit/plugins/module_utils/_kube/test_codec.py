# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubectl prints."""

from __future__ import annotations

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube import codec


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ('{"kind": "List", "items": []}', []),
        ('{"kind": "Pod", "metadata": {"name": "a"}}', ["a"]),
        ('{"kind": "List", "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}', ["a", "b"]),
    ],
)
def test_kubectl_prints_a_list_an_object_or_nothing(text: str, names: list[str]) -> None:
    assert [obj["metadata"]["name"] for obj in codec.parse_list(text, "Reading")] == names


@pytest.mark.parametrize("text", ["No resources found", "[1]"])
def test_what_kubectl_should_not_print_is_an_error(text: str) -> None:
    with pytest.raises(ProcessError, match="Reading: kubectl printed"):
        codec.parse_list(text, "Reading")

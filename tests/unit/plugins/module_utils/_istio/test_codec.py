# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istioctl prints."""

from __future__ import annotations

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio import codec


def test_a_manifest_is_read_document_by_document() -> None:
    text = "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata: {x: 'on'}\n\n---\n\n---\n"
    assert codec.parse_manifest(text) == [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "on"}}
    ]


@pytest.mark.parametrize("text", ["", "a: [", "kind: Pod\n", "just words"])
def test_what_is_no_manifest_is_an_error(text: str) -> None:
    with pytest.raises(ProcessError, match="istioctl manifest generate"):
        codec.parse_manifest(text)

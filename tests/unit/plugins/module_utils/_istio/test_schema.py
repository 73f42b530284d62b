# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys a program of Go knows, out of its own bytes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.schema import (
    MESH_CONFIG,
    mesh_schema,
    unknown_keys,
)


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def member(name: str, json_name: str, below: str = "") -> bytes:
    kind = field(5, 11) + field(6, f".{below}") if below else field(5, 9)
    return field(2, field(1, name) + kind + field(10, json_name))


MESH = field(1, "mesh/v1alpha1/config.proto") + field(2, "istio.mesh.v1alpha1")
MESH += field(3, "google/protobuf/duration.proto") + field(3, "mesh/v1alpha1/proxy.proto")
PROXY = field(1, "mesh/v1alpha1/proxy.proto") + field(2, "istio.mesh.v1alpha1")
ENTRY = field(3, field(1, "TagsEntry") + member("value", "value", "istio.mesh.v1alpha1.Tag") + field(7, field(7, 1)))
PROGRAM = (
    b"\x00junk\n\x1amesh/v1alpha1/config.proto and something else\xff"
    + MESH
    + field(
        4,
        field(1, "MeshConfig")
        + member("trust_domain", "trustDomain")
        + member("default_config", "defaultConfig", "istio.mesh.v1alpha1.ProxyConfig")
        + member("providers", "providers", "istio.mesh.v1alpha1.MeshConfig.Provider")
        + member("connect_timeout", "connectTimeout", "google.protobuf.Duration")
        + field(3, field(1, "Provider") + member("name", "name")),
    )
    + field(12, "proto3")
    + b"\x00\x00more"
    + PROXY
    + field(
        4,
        field(1, "ProxyConfig") + member("tags", "tags", "istio.mesh.v1alpha1.ProxyConfig.TagsEntry") + ENTRY,
    )
    + field(4, field(1, "Tag") + member("literal", "literal"))
    + field(12, "proto3")
)


@pytest.mark.parametrize(
    ("mesh", "found"),
    [
        ({"trustDomain": "a", "connectTimeout": "1s", "defaultConfig": {"tags": {"any": {"literal": "x"}}}}, []),
        ({"trust_domain": "a"}, []),
        ({"trustDomian": "a"}, [("meshConfig.trustDomian", "trustDomain")]),
        ({"qqq": "a"}, [("meshConfig.qqq", "")]),
        ({"providers": [{"name": "a"}, {"nam": "b"}]}, [("meshConfig.providers[1].nam", "name")]),
        ({"defaultConfig": {"tags": {"a": {"leteral": 1}}}}, [("meshConfig.defaultConfig.tags.a.leteral", "literal")]),
        ({"defaultConfig": None, "providers": "no list"}, []),
        (None, []),
    ],
)
def test_a_key_is_judged_by_what_the_program_knows(mesh: Any, found: list[tuple[str, str]]) -> None:
    assert list(unknown_keys(mesh_schema(PROGRAM), MESH_CONFIG, mesh, "meshConfig")) == found


@pytest.mark.parametrize("program", [b"", b"#!/bin/sh\nexec istioctl", PROGRAM[:60]])
def test_a_program_that_does_not_tell_judges_nothing(program: bytes) -> None:
    schema = mesh_schema(program)
    assert schema == {}
    assert list(unknown_keys(schema, MESH_CONFIG, {"qqq": 1}, "meshConfig")) == []

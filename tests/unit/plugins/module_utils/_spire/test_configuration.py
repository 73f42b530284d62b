# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.configuration import configuration

BASE: dict[str, Any] = {
    "server": {"trust_domain": "example.org", "log_level": "INFO", "ca_subject": [{"country": ["CH"]}]},
    "plugins": {
        "KeyManager": {"disk": {"plugin_data": {"keys_path": "/keys.json"}}},
        "NodeAttestor": {"k8s_psat": {"plugin_data": {"clusters": {"a": {}, "b": {}}}}},
    },
}


def made(overlay: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(configuration(BASE, overlay, "spire_server_overlay"))
    return found


def test_without_an_overlay_it_is_as_the_role_needs_it() -> None:
    found = made({})
    assert found["server"] == BASE["server"]
    # spire: the data of a plugin is a list of one, or a dictionary with two keys would be read as two plugins.
    assert found["plugins"]["NodeAttestor"] == {"k8s_psat": {"plugin_data": [{"clusters": {"a": {}, "b": {}}}]}}


def test_it_is_the_same_text_whatever_the_order() -> None:
    turned = {key: BASE[key] for key in reversed(BASE)}
    assert configuration(turned, {}, "x") == configuration(BASE, {}, "x")
    assert configuration(BASE, {}, "x").endswith("}\n")


def test_dictionaries_are_merged_and_all_else_is_replaced() -> None:
    found = made({"server": {"log_level": "DEBUG", "jwt_issuer": "x", "ca_subject": [{"country": ["DE"]}]}})
    assert found["server"] == {
        "trust_domain": "example.org",
        "log_level": "DEBUG",
        "jwt_issuer": "x",
        "ca_subject": [{"country": ["DE"]}],
    }


def test_null_takes_a_setting_or_a_plugin_out() -> None:
    found = made({"server": {"log_level": None}, "plugins": {"KeyManager": {"disk": None, "aws_kms": {}}}})
    assert "log_level" not in found["server"]
    assert found["plugins"]["KeyManager"] == {"aws_kms": {"plugin_data": [{}]}}


def test_a_kind_of_plugin_without_any_goes() -> None:
    assert "KeyManager" not in made({"plugins": {"KeyManager": {"disk": None}}})["plugins"]
    assert "KeyManager" not in made({"plugins": {"KeyManager": None}})["plugins"]


def test_a_plugin_is_merged_and_keeps_its_other_settings() -> None:
    overlay = {"plugins": {"KeyManager": {"disk": {"plugin_checksum": "abc", "plugin_data": {"more": True}}}}}
    assert made(overlay)["plugins"]["KeyManager"]["disk"] == {
        "plugin_checksum": "abc",
        "plugin_data": [{"keys_path": "/keys.json", "more": True}],
    }


def test_a_list_of_plugin_data_stays_one() -> None:
    overlay = {"plugins": {"Notifier": {"k8sbundle": {"plugin_data": [{"namespace": "x"}]}}}}
    assert made(overlay)["plugins"]["Notifier"]["k8sbundle"]["plugin_data"] == [{"namespace": "x"}]


def test_what_was_given_is_not_changed() -> None:
    before = json.dumps(BASE)
    made({"server": {"log_level": None}, "plugins": {"KeyManager": {"disk": None}}})
    assert json.dumps(BASE) == before


@pytest.mark.parametrize(
    ("overlay", "text"),
    [
        (
            ["server"],
            "spire_server_overlay: expected a dictionary with server, agent, plugins, telemetry, health_checks, got"
            " \"['server']\".",
        ),
        (
            {"sever": {}},
            "spire_server_overlay: unknown section 'sever'. SPIRE has server, agent, plugins, telemetry,"
            " health_checks.",
        ),
        (
            {"plugins": {"KeyManager": "disk"}},
            "spire_server_overlay: plugins.KeyManager: expected a dictionary of plugins by name, got 'disk'.",
        ),
        (
            {"plugins": {"KeyManager": {"disk": "/keys"}}},
            "spire_server_overlay: plugins.KeyManager.disk: expected a dictionary with plugin_data, got '/keys'.",
        ),
    ],
)
def test_an_overlay_that_is_none_is_refused_with_its_place(overlay: Any, text: str) -> None:
    with pytest.raises(InputError) as refused:
        made(overlay)
    assert refused.value.message == text

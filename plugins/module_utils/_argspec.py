# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Argument specs as objects: options and the constraints between them travel together.

Each block that several modules share is one function here and one doc fragment of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import VARIABLES
from ansible_collections.trustmesh.spiffe.plugins.module_utils._private import without_private_values


@dataclass
class ArgumentSpec:
    """Options of a module and the constraints between them."""

    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    mutually_exclusive: list[tuple[str, ...]] = field(default_factory=list)
    required_together: list[tuple[str, ...]] = field(default_factory=list)
    required_one_of: list[tuple[str, ...]] = field(default_factory=list)
    required_if: list[tuple[Any, ...]] = field(default_factory=list)
    required_by: dict[str, Any] = field(default_factory=dict)
    public: list[str] = field(default_factory=list)
    """Options for public values only: a key or password in one is taken out before anything is logged or returned."""
    free: list[str] = field(default_factory=list)
    """Options and fields for free text: it may have several lines, and templates of somebody else's."""

    def merge(self, *others: ArgumentSpec) -> ArgumentSpec:
        """Return a new spec holding everything of this one and of ``others``."""
        merged = ArgumentSpec()
        for spec in (self, *others):
            merged.options.update(spec.options)
            merged.mutually_exclusive += spec.mutually_exclusive
            merged.required_together += spec.required_together
            merged.required_one_of += spec.required_one_of
            merged.required_if += spec.required_if
            merged.required_by.update(spec.required_by)
            merged.public += spec.public
            merged.free += spec.free
        return merged

    def create_module(self, supports_check_mode: bool = True) -> AnsibleModule:
        """Return the AnsibleModule of this spec."""
        module = type("_Module", (_Module,), {"public": tuple(self.public)})(
            argument_spec=self.options,
            mutually_exclusive=self.mutually_exclusive,
            required_together=self.required_together,
            required_one_of=self.required_one_of,
            required_if=self.required_if,
            required_by=self.required_by,
            supports_check_mode=supports_check_mode,
        )
        module.input_checked = True
        return module


class _Module(AnsibleModule):
    """Names the item of a list that was refused; AnsibleModule by itself names only the list."""

    input_checked = False
    public: tuple[str, ...] = ()
    given: dict[str, Any]
    """The options as the user gave them, before AnsibleModule puts defaults and its own reading in their place."""

    def _load_params(self) -> None:
        super()._load_params()
        for name in self.public:
            if name in self.params:
                self.params[name] = without_private_values(self.params[name])
        self.given = dict(self.params)

    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn:
        item = None if self.input_checked else _refused_item(self.argument_spec, self.given)
        super().fail_json(msg=f"{item}: {msg}" if item else msg, **kwargs)
        raise SystemExit(1)  # never reached; it tells a type checker what fail_json does


def _refused_item(options: dict[str, dict[str, Any]], params: dict[str, Any]) -> str | None:
    """Return the place, such as ``entries[3]``, of the first item that its option's own spec refuses.

    For an option that is no list of mappings at all it is the option's name.
    """
    for name, option in options.items():
        items = params.get(name)
        if option.get("elements") != "dict" or "options" not in option or items is None:
            continue
        if not isinstance(items, list):
            shape = {"type": "list", "elements": "dict"}
            if ArgumentSpecValidator({name: shape}).validate({name: items}).error_messages:
                return name
            continue
        validator = ArgumentSpecValidator(option["options"])
        for index, item in enumerate(items):
            if not isinstance(item, dict) or validator.validate(item).error_messages:
                return f"{name}[{index}]"
    return None


def kubectl_spec() -> ArgumentSpec:
    """How to reach a cluster. Twin of the doc fragment ``kubectl``."""
    return ArgumentSpec(
        options={
            "kubectl": {"type": "path", "default": "kubectl"},
            "kubeconfig": {"type": "path", **_variable("kubeconfig")},
            "context": {"type": "str", **_variable("context")},
            "host": {"type": "str", **_variable("host")},
            "api_key": {"type": "str", "no_log": True, **_variable("api_key")},
            "ca_cert": {"type": "path", **_variable("ca_cert")},
            "validate_certs": {"type": "bool", "default": True, **_variable("validate_certs")},
        }
    )


def _variable(option: str) -> dict[str, Any]:
    return {"fallback": (env_fallback, [VARIABLES[option]])}

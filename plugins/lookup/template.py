# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: template
short_description: Ansible's own template lookup, without a copy of all variables
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Does what P(ansible.builtin.template#lookup) does. That makes a deep copy of all variables of a host for each file,
    facts of the whole run included, which takes longer than most files take; here the copy is a shallow one.
  - For the roles of this collection, whose templates change no variable.
options:
  _terms:
    description: Files below C(templates), or paths.
    type: list
    elements: str
    required: true
  convert_data:
    description: As Ansible's. Only ansible-core before 2.19 asks for it.
    type: bool
    default: true
  jinja2_native:
    description: As Ansible's. Only ansible-core before 2.19 asks for it.
    type: bool
    default: false
  variable_start_string:
    description: What begins an expression.
    type: str
    default: '{{'
  variable_end_string:
    description: What ends an expression.
    type: str
    default: '}}'
  comment_start_string:
    description: What begins a comment.
    type: str
    default: '{#'
  comment_end_string:
    description: What ends a comment.
    type: str
    default: '#}'
  trim_blocks:
    description: Whether the line feed after a block goes with it.
    type: bool
    default: true
  template_vars:
    description: More variables, for the template alone.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Apply the objects of a template
  ansible.builtin.debug:
    msg: "{{ lookup('trustmesh.spiffe.template', 'objects.yml.j2') | from_yaml_all }}"
"""

RETURN = r"""
_raw:
  description: What the files say, one text for each.
  type: list
  elements: raw
"""

from typing import Any

from ansible.plugins.lookup import template


class _Shared(dict[str, Any]):
    """Variables that are not copied in depth when somebody asks for that."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> dict[str, Any]:
        return dict(self)


class LookupModule(template.LookupModule):
    """Ansible's own, which is handed variables that need no copy."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        found: list[Any] = super().run(terms, _Shared(variables or {}), **kwargs)
        return found

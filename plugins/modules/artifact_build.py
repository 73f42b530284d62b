#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_build
short_description: Build software on the control node from pinned sources
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Builds what is asked for and everything it needs, side by side where the steps allow it, and shows what is being
    built while it works.
  - Every result is kept in a cache under a hash of everything that decides it. A result that is there is not built
    again, if its files are those that were built. Else it is thrown away, and a line says so.
  - Fails, before anything is built, when others than root and who runs this can write to the cache, the results or the
    folders of links.
  - A run that is stopped at any point loses nothing but the steps that were under way.
  - It is made for the roles of this collection. It is no public interface, and may change in any release.
options:
  steps:
    description:
      - The steps. Each has C(name), C(commands) (argument lists) and may have C(label), C(cwd), C(env),
        C(inputs) (files or folders below O(files)), C(needs) (names of steps), C(exists) (a command that succeeds
        when the result is there, for results that live outside the cache) and C(plain=true) (it needs no root, and is
        built as the user who called sudo where that user can reach the cache).
      - In C(commands), C(cwd), C(env) and C(exists) the tokens C(@out@), C(@files@), C(@cache@), C(@key@),
        C(@out:NAME@), C(@key:NAME@) and C(@program:NAME@) are replaced.
    type: list
    elements: dict
    required: true
  goals:
    description: Names of the steps whose results are wanted.
    type: list
    elements: str
    required: true
  files:
    description: The folder that C(inputs) are relative to.
    type: path
    required: true
  cache:
    description: The cache folder. Several checkouts may share it; runs at the same time wait for each other.
    type: path
    required: true
  env:
    description:
      - Environment variables for all commands. They inherit the others, but for those that say to Go and C compilers
        which programs they run.
    type: dict
    default: {}
  salt:
    description: Words that decide the results beside the steps themselves, such as a compiler's version.
    type: list
    elements: str
    default: []
  programs:
    description:
      - Programs that the steps call as C(@program:NAME@), the name to the path.
      - Another path alone does not build anything again; name the versions in O(salt).
    type: dict
    default: {}
  jobs:
    description: How many steps are built at the same time.
    type: int
    default: 2
  links:
    description: Symbolic links to make, the link's path to C(step/file).
    type: dict
    default: {}
  times_file:
    description: A JSON file in which the seconds of each step that was built are recorded.
    type: path
extends_documentation_fragment: trustmesh.spiffe.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - RV(built) and RV(linked) tell what was done. There is no before and after to compare.
  idempotent:
    support: full
seealso:
  - module: trustmesh.spiffe.control_node_info
  - module: trustmesh.spiffe.kind_cluster
"""

EXAMPLES = r"""
- name: Build a tool from its pinned Go module
  trustmesh.spiffe.artifact_build:
    files: "{{ role_path }}/files"
    cache: ~/.cache/trustmesh
    goals: [kind]
    steps:
      - name: kind
        label: kind
        inputs: [go/kind]
        cwd: "@files@/go/kind"
        commands:
          - [go, build, -o, "@out@/", tool]
"""

RETURN = r"""
built:
  description: Names of the steps that were built, or would be in check mode, needs first.
  type: list
  elements: str
  returned: success
linked:
  description: Paths of the links that were made or pointed elsewhere, or would be in check mode.
  type: list
  elements: str
  returned: success
artifacts:
  description: For every step its C(key) and the C(path) of its result.
  type: dict
  returned: success
"""

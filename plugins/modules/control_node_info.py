#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: control_node_info
short_description: Tell what this control node can do
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Reads processors, memory, free disk, the Go compiler and the container engines of the host that it runs on, and asks
    whether ports are free and whether an image registry answers.
  - Changes nothing.
  - It is made for the roles of this collection. It is no public interface, and may change in any release.
options:
  disk_path:
    description: A path whose file system's free space is told. It need not exist yet.
    type: path
    default: /
  ports:
    description: TCP ports that should be free on O(address).
    type: list
    elements: int
    default: []
  address:
    description: The address on which O(ports) are looked at.
    type: str
    default: 127.0.0.1
  folders:
    description:
      - Folders out of which something is run. The module fails, before it runs anything, when one of them or a folder
        or link on the way to it belongs to others than root, who runs this, or who called sudo, or when others can
        write to it. What is not there yet is fine, and so is a folder such as C(/tmp) on the way.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The folder.
        type: path
        required: true
      set_by:
        description: The variable that chooses it, for the message.
        type: str
  path:
    description:
      - Folders in which programs are looked for before the others. They are looked at as O(folders) are.
      - As root the others are those of the system, whatever C(PATH) says, else those of C(PATH).
    type: list
    elements: path
    default: []
  registry:
    description: The URL of an image registry to ask, or nothing when it need not be asked.
    type: str
  registry_timeout:
    description: Seconds to wait for the registry.
    type: float
    default: 3
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.info_module
seealso:
  - module: trustmesh.spiffe.artifact_build
  - module: trustmesh.spiffe.kind_cluster
"""

EXAMPLES = r"""
- name: See what the control node can do
  trustmesh.spiffe.control_node_info:
    disk_path: ~/.cache
    ports: [6443]
  register: result

- name: Show its container engines
  ansible.builtin.debug:
    var: result.control_node.engines
"""

RETURN = r"""
control_node:
  description:
    - What was found.
    - C(cpus), C(memory_total_mb), C(memory_available_mb), C(disk_free_mb), C(uid), C(inotify_instances),
      C(distribution), C(path) (where programs are looked for), C(go) (nothing, or its C(version) and
      C(path)), C(engines) (for C(docker) and C(podman) whether it is C(installed), C(answers), its C(version)
      and its C(error)), C(ports_in_use), C(registry) (C(reachable) and C(reason), when asked).
  type: dict
  returned: success
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._control_node.info import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: podman
short_description: Run tasks in a podman container, with pipelining
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - The connection P(containers.podman.podman#connection) with a standard input, so that a module gets into the
    container by the command that runs it. Without that a task with a module takes five commands of podman's, and
    each of them some tenths of a second.
  - The file system of the container is not mounted for each task either.
options:
  remote_addr:
    description: The name or the ID of the container.
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: ansible_podman_host
  remote_user:
    description: The user, or its number, whose tasks they are in the container. Without one it is the container's own.
    ini:
      - section: defaults
        key: remote_user
    env:
      - name: ANSIBLE_REMOTE_USER
    vars:
      - name: ansible_user
  podman_extra_args:
    description: More options for podman, before its command.
    default: ''
    ini:
      - section: defaults
        key: podman_extra_args
    env:
      - name: ANSIBLE_PODMAN_EXTRA_ARGS
    vars:
      - name: ansible_podman_extra_args
  podman_executable:
    description: The program podman, by its name or its path.
    default: podman
    env:
      - name: ANSIBLE_PODMAN_EXECUTABLE
    vars:
      - name: ansible_podman_executable
notes:
  - Pipelining is off in Ansible unless C(ansible_pipelining) or ansible.cfg says otherwise.
requirements:
  - The collection C(containers.podman), which the Python package C(ansible) brings.
"""

EXAMPLES = r"""
# In an inventory:
# laptop:
#   ansible_connection: trustmesh.spiffe.podman
#   ansible_host: the-container
#   ansible_pipelining: true
"""

from typing import Any

from ansible.errors import AnsibleConnectionFailure

try:
    from ansible_collections.containers.podman.plugins.connection.podman import Connection as Podman
except ImportError as error:
    # Who has no container to reach needs none of it.
    from ansible.plugins.connection import ConnectionBase as Podman

    MISSING: ImportError | None = error
else:
    MISSING = None


class Connection(Podman):
    """Commands get a standard input, which pipelining needs."""

    transport = "trustmesh.spiffe.podman"
    has_pipelining = True

    def _connect(self) -> Connection:
        if MISSING:
            raise AnsibleConnectionFailure(
                "The connection trustmesh.spiffe.podman needs the collection containers.podman: "
                "install it with ansible-galaxy, or the Python package ansible, which brings it."
            )
        # The parent's asks podman to mount the container, once for each task. Without that, files come by `podman cp`.
        self._connected = True
        return self

    def _podman(
        self, cmd: Any, cmd_args: Any = None, in_data: Any = None, use_container_id: bool = True
    ) -> tuple[int, bytes, bytes]:
        words = [cmd] if isinstance(cmd, str) else list(cmd)
        if words[:1] == ["exec"]:
            words.insert(1, "--interactive")
        code, out, err = super()._podman(words, cmd_args, in_data, use_container_id)
        return code, out, err

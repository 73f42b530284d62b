# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twin of the argument block ``spire_spec`` in module_utils/_spire/connection.py, without its kubectl part."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach a SPIRE server. Used together with the fragment ``kubectl``."""

    DOCUMENTATION = r"""
options:
  binary:
    description:
      - The spire-server program. It is run where the server's socket is, here or in O(pod), and talks to that socket.
      - The default is C(spire-server), looked up on PATH, or C(/opt/spire/bin/spire-server) when O(pod) is given.
    type: str
  socket_path:
    description:
      - The server's API socket, as the place where O(binary) runs sees it.
      - Whoever can open it rules the trust domain, so do not share it; run the task as the server's user instead.
    type: str
    default: /tmp/spire-server/private/api.sock
  pod:
    description:
      - The pod that the server runs in, by name or as kind and name such as C(statefulset/spire-server).
      - When it is given, O(binary) is run there through C(kubectl exec); else it is run on the target host.
    type: str
  namespace:
    description:
      - The namespace of O(pod).
    type: str
    default: spire-server
  container:
    description:
      - The container of O(pod) that the server runs in. Kubernetes takes the pod's default container when it is not
        given.
    type: str
  timeout:
    description:
      - Seconds that one call may take. A large change is made in several calls.
    type: int
    default: 30
  wait_timeout:
    description:
      - Seconds for which a server that cannot be reached is tried again, such as one whose pod is just starting. A
        request that was delivered is never sent twice.
    type: int
    default: 0
requirements:
  - SPIRE 1.15 or later
  - kubectl, when O(pod) is given
"""

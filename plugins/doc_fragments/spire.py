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
      - The default is C(spire-server), looked up on PATH, or C(/opt/spire/bin/spire-server) for a server in a pod.
    type: str
  socket_path:
    description:
      - The absolute path of the server's API socket, as the place where O(binary) runs sees it. It may have 107 bytes.
      - Whoever can open it rules the trust domain, so do not share it; run the task as the server's user instead.
    type: str
    default: /tmp/spire-server/private/api.sock
  pod:
    description:
      - The pod that the server runs in, by name or as kind and name such as C(statefulset/spire-server).
      - When it or O(pod_selector) is given, O(binary) is run there through C(kubectl exec); else it is run on the
        target host.
      - Mutually exclusive with O(pod_selector).
    type: str
  pod_selector:
    description:
      - The pod that the server runs in, by labels as C(kubectl get --selector) takes them, such as
        C(app.kubernetes.io/name=spire-server). The first ready pod in the order of their names is taken.
      - It costs one more call of kubectl in each task. It has nothing to do with the selectors of registration entries.
      - Mutually exclusive with O(pod).
    type: str
  namespace:
    description:
      - The namespace of the pod.
    type: str
    default: spire-server
  container:
    description:
      - The container of the pod that the server runs in. Kubernetes takes the pod's default container when it is not
        given.
    type: str
  timeout:
    description:
      - Seconds that one call may take, from V(1). A large change is made in several calls.
    type: int
    default: 30
  wait_timeout:
    description:
      - Seconds for which a server that cannot be reached is tried again, such as one whose pod is just starting. V(0)
        means that it is tried once. A request that may have been delivered is never sent twice.
    type: int
    default: 0
requirements:
  - SPIRE 1.14.6 or later (tested with 1.15.3). Before it, two agents could join with one token.
  - kubectl, when O(pod) or O(pod_selector) is given
"""

    # For modules that create or update entries.
    REGISTRAR = r"""
options:
  check_registrar:
    description:
      - Whether to look, before entries are created or updated on a server in a pod, for a C(spire-controller-manager)
        that serves the same server and would delete them. It deletes entries that it did not make, unless its
        configuration has an C(entryIDPrefix) that theirs do not begin with. If there is one, the task fails and changes
        nothing.
      - Looked at are the server's pod, and the Deployments and pods of its namespace that run a manager and no server.
        One whose files name the Service of another server as C(server_address) does not count. A manager in another
        namespace or another cluster is not seen, so give each one an C(entryIDPrefix).
      - It costs one call of kubectl, and only when something would change. The user of the kubeconfig needs get and
        list on the pods, Deployments, ConfigMaps and Services of the namespace. What cannot be read of the last three
        is not looked at, except that a manager whose configuration cannot be read is refused.
      - Beside a server of the target host none can be found.
    type: bool
    default: true
"""

    # Twin of entry_filters() in module_utils/_spire/entry/filters.py.
    ENTRY_FILTERS = r"""
options:
  spiffe_id:
    description:
      - The SPIFFE ID that the workloads get.
    type: str
  parent_id:
    description:
      - The SPIFFE ID of the agent or of the node alias.
    type: str
  selectors:
    description:
      - Selectors to compare the entry's selectors with, as C(type:value).
    type: list
    elements: str
  selectors_match:
    description:
      - How the entry's selectors relate to O(selectors).
      - V(exact) means the same set, V(superset) an entry that has all of them and perhaps more, V(subset) one that has
        no others, V(any) one that has at least one of them.
    type: str
    choices:
      - exact
      - any
      - superset
      - subset
    default: superset
  federates_with:
    description:
      - Foreign trust domains to compare the entry's ones with, as C(other.org) or C(spiffe://other.org).
    type: list
    elements: str
  federates_with_match:
    description:
      - How the entry's foreign trust domains relate to O(federates_with), as for O(selectors_match).
    type: str
    choices:
      - exact
      - any
      - superset
      - subset
    default: superset
  hint:
    description:
      - The hint.
    type: str
  downstream:
    description:
      - With V(true), only entries of downstream SPIRE servers. The server cannot filter for the others.
    type: bool
    default: false
"""

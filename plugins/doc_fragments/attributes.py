# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each module can do, and the action groups. A module adds its own ``support`` values."""

from __future__ import annotations


class ModuleDocFragment:
    """Descriptions of the attributes; every module states its own support for each."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and report what it would change, without changing anything.
  diff_mode:
    description: Returns what has changed, or would change in C(check_mode), when in diff mode.
  idempotent:
    description: When run twice in a row with the same input, the second run reports no change.
"""

    # For modules that read only.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    support: full
    details:
      - This module changes nothing.
"""

    ACTIONGROUP_SPIRE = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/trustmesh.spiffe.spire) in C(module_defaults) to give the connection to a server
        once for all modules of the group.
    support: full
    membership:
      - trustmesh.spiffe.spire
"""

    ACTIONGROUP_ISTIO = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/trustmesh.spiffe.istio) in C(module_defaults) to give the cluster and the programs
        once for all modules of the group.
    support: full
    membership:
      - trustmesh.spiffe.istio
"""

    ACTIONGROUP_KUBERNETES = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/trustmesh.spiffe.kubernetes) in C(module_defaults) to give the cluster
        once for all modules of the group.
    support: full
    membership:
      - trustmesh.spiffe.kubernetes
"""

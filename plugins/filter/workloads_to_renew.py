# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which applied workloads have pods whose service account was made anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube import applied as _applied


def workloads_to_renew(applied: Mapping[str, Any]) -> list[Any]:
    """See the function of the same name in module_utils."""
    try:
        return _applied.workloads_to_renew(applied)
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(
            f"workloads_to_renew wants the result of a kubernetes.core.k8s task: {error!r}"
        ) from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"workloads_to_renew": workloads_to_renew}

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes objects before and after they are applied. What each filter does stands in module_utils/_kube."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube import batch


def _filter(function: Callable[..., Any]) -> Callable[..., Any]:
    """Tell what is wrong with the input in the words of a filter."""

    @wraps(function)
    def guarded(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except InputError as error:
            raise AnsibleFilterError(error.message) from error
        except (AttributeError, KeyError, TypeError) as error:
            raise AnsibleFilterError(f"{function.__name__}: this is no input for it: {error!r}.") from error

    return guarded


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        functions: dict[str, Callable[..., Any]] = {
            "object_batch": batch.batch,
            "object_removal": batch.removal,
            "object_answers": batch.answers,
            "unwanted_objects": batch.unwanted,
            "known_kinds": batch.known_kinds,
            "service_endpoints": batch.endpoints,
            "balanced_services": batch.balanced_services,
            "unannounced_services": batch.unannounced_services,
            "foreign_namespaces": batch.foreign_namespaces,
            "unused_namespaces": batch.unused_namespaces,
        }
        return {name: _filter(function) for name, function in functions.items()}

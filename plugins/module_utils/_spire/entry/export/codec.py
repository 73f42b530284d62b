# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The text of a file of entries. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError


def is_json(path: str) -> bool:
    """Whether a file of this name is JSON, as spire_entry reads it."""
    return path.lower().endswith(".json")


def require_yaml(path: str) -> None:
    """Raise when this file would be YAML, and nothing here writes that."""
    try:
        import yaml  # noqa: F401, PLC0415 - not every target host has it, and JSON needs nothing
    except ImportError:
        raise InputError(
            f"dest: {path} is YAML, and the Python of this host has no PyYAML. Install it, or give a name that ends in "
            ".json."
        ) from None


def render(items: Sequence[Mapping[str, Any]], as_json: bool) -> str:
    """Return the text of the file: the same entries give the same text."""
    content = {"entries": [dict(item) for item in items]}
    if as_json:
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    import yaml  # noqa: PLC0415

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Dumper(base):
        """Writes a list that stands twice twice, and not as a reference."""

        def ignore_aliases(self, _data: Any) -> bool:
            return True

    text: str = yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}"

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that the role images puts into images of their own. For unit and integration tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from playbook import ROOT

PROGRAMS = ROOT / "roles" / "images" / "files" / "programs"


def program(name: str) -> Path:
    """Return the file of a program that is run."""
    return PROGRAMS / name / "main.py"


def load(name: str) -> ModuleType:
    """Return a program as a module. Nothing is left beside it: all that is in its folder goes into its image."""
    spec = importlib.util.spec_from_file_location(f"program_{name}", program(name))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module

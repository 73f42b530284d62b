# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run plays as a user does. For unit and integration tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def play(plays: list[dict[str, Any]], folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``plays`` in ``folder``, with more words of the command line and more variables of the environment.

    Without an inventory among the words there is one host, ``localhost``, which is this one.
    """
    playbook = folder / "play.yml"
    playbook.write_text(json.dumps([{"gather_facts": False, **one} for one in plays]))
    return subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), *words, str(playbook)],
        cwd=folder,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_NOCOLOR": "1",
            # Ansible breaks its messages at this width, where a test looks for words.
            "COLUMNS": "1000",
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Tries a join token that was used before, with a real spire-agent. Refusal in the server's own words is the proof."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import ProcessError

REFUSED = "join token does not exist or has already been used"
ACCEPTED = ("Node attestation was successful", "Starting agent APIs")

_CONFIG = """agent {{
    data_dir = "{folder}/data"
    socket_path = "{folder}/agent.sock"
    server_address = "{host}"
    server_port = {port}
    trust_domain = "{trust_domain}"
    trust_bundle_path = "{folder}/bundle.pem"
    join_token_file = "{folder}/token"
    log_level = "INFO"
}}
plugins {{
    NodeAttestor "join_token" {{ plugin_data {{}} }}
    KeyManager "memory" {{ plugin_data {{}} }}
    WorkloadAttestor "unix" {{ plugin_data {{}} }}
}}
"""


@dataclass(frozen=True)
class Rejoin:
    """How it ended: ``refused`` and ``joined`` are never both true; ``words`` are the agent's, without the token."""

    refused: bool
    joined: bool
    words: str


def rejoin(
    binary: str, *, host: str, port: int, trust_domain: str, bundle_pem: str, token: str, timeout: float = 15.0
) -> Rejoin:
    """Start an agent with ``token`` in a private folder, watch it until the server has answered, and stop it."""
    if shutil.which(binary) is None:
        raise ProcessError(f"{binary} was not found or is not executable. Set spire_agent_binary to its full path.")
    # The folder is 0700 and gone afterwards; the token is a file in it, never an argument.
    with tempfile.TemporaryDirectory(prefix="trustmesh-verify-") as name:
        folder = Path(name)
        (folder / "data").mkdir(mode=0o700)
        _write(folder / "bundle.pem", bundle_pem)
        _write(folder / "token", token)
        config = folder / "agent.conf"
        _write(config, _CONFIG.format(folder=folder, host=host, port=port, trust_domain=trust_domain))
        process = subprocess.Popen(
            [binary, "run", "-config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return _watch(process, token, time.monotonic() + timeout)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _watch(process: subprocess.Popen[bytes], token: str, deadline: float) -> Rejoin:
    if process.stdout is None:
        raise ValueError("the agent's output must be a pipe")
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                break
            piece = os.read(process.stdout.fileno(), 65536)
            said += piece
            text = said.decode(errors="replace").replace(token, "***")
            if REFUSED in text:
                return Rejoin(True, False, REFUSED)
            if any(words in text for words in ACCEPTED):
                return Rejoin(False, True, "the agent joined with it")
            if not piece:
                break
    lines = [line for line in said.decode(errors="replace").replace(token, "***").splitlines() if line.strip()]
    return Rejoin(False, False, lines[-1][-300:] if lines else "the agent said nothing")

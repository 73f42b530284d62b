# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program in the place of kubectl, for a cluster that is a folder and a SPIRE server that is a process of this host.

The folder holds the Secret as the API server would, and the files that the server reads as a kubelet would put them
there: all at once, and a while after the Secret has changed. ``stop`` in the folder names a call, as a part of its
words, after which (or before which, with a ``!``) the program says that the cluster is gone.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

LATE_S = 2.5
"""How long the files take to get into the pod."""


def main() -> None:
    words = sys.argv[1:]
    folder = Path(words[words.index("--kubeconfig") + 1]).parent
    said = " ".join(words)
    with (folder / "calls").open("a") as calls:
        calls.write(f"{said}\n")
    at = (folder / "stop").read_text().strip() if (folder / "stop").exists() else ""
    if at.startswith("!") and at[1:] in said:
        gone()
    code = answer(folder, words)
    if at and at in said:
        gone()
    sys.exit(code)


def gone() -> None:
    sys.exit("error: the cluster was switched off by the test")


def answer(folder: Path, words: list[str]) -> int:
    secret = folder / "secret.json"
    if "exec" in words:
        # Several may ask at the same time; a kubelet is one.
        with (folder / "kubelet").open("w") as kubelet:
            fcntl.flock(kubelet, fcntl.LOCK_EX)
            mount(folder)
        return execute(folder, words[words.index("--") + 1 :])
    if "annotate" in words or "statefulset/spire-server" in words:
        return 0
    kind = json.load(sys.stdin)["items"][0] if "-f" in words else {"kind": "none"}
    if kind["kind"] == "Secret" and "get" in words and secret.exists():
        sys.stdout.write(secret.read_text())
    elif kind["kind"] == "Namespace":
        print(json.dumps(kind))
    elif kind["kind"] == "Secret" and "apply" in words:
        secret.write_text(json.dumps(kind))
    return 0


def mount(folder: Path) -> None:
    """Put the files of the Secret where the server reads them, by one rename, when they are old enough."""
    secret = folder / "secret.json"
    if not secret.exists() or time.time() - secret.stat().st_mtime < LATE_S:
        return
    place = folder / f"files-{secret.stat().st_mtime_ns}"
    if place.exists():
        return
    place.mkdir()
    for name, text in json.loads(secret.read_text())["data"].items():
        (place / name).write_bytes(base64.b64decode(text))
    (folder / "next").symlink_to(place)
    (folder / "next").replace(folder / "files")


def execute(folder: Path, argv: list[str]) -> int:
    """Run what was to run in the pod, at the server of this host."""
    socket = (folder / "socket").read_text()
    argv = [os.environ["FAKE_SPIRE_SERVER"], *(socket if word.endswith("api.sock") else word for word in argv[1:])]
    return subprocess.run(argv, check=False).returncode


if __name__ == "__main__":
    main()

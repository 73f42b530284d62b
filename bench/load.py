# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests from a pod over kept connections, as many as are answered in a time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

# Runs in the pod: so many connections that each ask again as soon as they are answered.
CLIENT = """
import http.client, json, socket, ssl, sys, threading, time
asked = json.loads(sys.argv[1])
times, wrong, until = [], [], time.monotonic() + asked["seconds"]
context = None
if asked.get("files"):
    context = ssl.create_default_context(cafile=asked["files"] + "/bundle.pem")
    context.load_cert_chain(asked["files"] + "/svid.pem", asked["files"] + "/svid.key")
def connected():
    line = http.client.HTTPConnection(asked["host"], asked["port"], timeout=10)
    line.connect()
    if context:
        line.sock = context.wrap_socket(line.sock, server_hostname=asked["host"])
    return line
def ask():
    line = None
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            line = line or connected()
            line.request("GET", asked["path"])
            answer = line.getresponse()
            good = answer.status == 200 and asked.get("holds", "").encode() in answer.read()
            line = None if answer.will_close else line
        except (OSError, http.client.HTTPException):
            good, line = False, None
        (times if good else wrong).append(time.monotonic() - began)
threads = [threading.Thread(target=ask) for _ in range(asked["connections"])]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
times.sort()
at = lambda share: round(1000 * times[int(len(times) * share)], 1) if times else None
rate = round(len(times) / asked["seconds"], 1)
told = {"per_second": rate, "answered": len(times), "failed": len(wrong), "ms_p50": at(0.5), "ms_p99": at(0.99)}
print(json.dumps(told))
"""


def measured(kubectl: Sequence[str], env: Mapping[str, str], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Let a pod ask, and return what it counted. ``kubectl`` are the words up to the command in the pod."""
    argv = [*kubectl, "python3", "-", json.dumps(asked)]
    done = subprocess.run(argv, input=CLIENT, env=dict(env), check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"asking {asked['host']} failed: {done.stderr.strip()[-500:]}")
    counted: dict[str, Any] = json.loads(done.stdout)
    return counted

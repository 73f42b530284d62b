# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a scenario's playbook at many moments, then run it to its end: it has to converge, and then change nothing.

Takes some minutes and is not part of `make test`; `make drill` runs it, on clusters named tm-drill-*. Every other kill
is a SIGINT, as from Ctrl-C; the rest are SIGKILL, which no program can prepare for.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = "tm-drill"
BUILD = ROOT / "build" / INSTANCE
MOMENTS_S = (3, 8, 14, 20, 24, 27, 30, 34, 38, 42, 46, 50)
"""Seconds after the start. From nothing, blue_green makes clusters until about 24 s and proves from about 52 s on."""


def command(playbook: str, scenario: str) -> list[str]:
    """Return the command for a playbook on the drill's own clusters."""
    return [
        "ansible-playbook",
        str(ROOT / "playbooks" / f"{playbook}.yml"),
        *("-e", f"trustmesh_scenario={scenario}", "-e", f"trustmesh_instance={INSTANCE}"),
        *("-e", "kubernetes_cluster_adopt=true"),
    ]


def start(playbook: str, scenario: str, log: Path) -> subprocess.Popen[bytes]:
    """Start a playbook in a session of its own, so that a signal reaches all of it and nothing else."""
    log.parent.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    with log.open("wb") as output:
        return subprocess.Popen(
            command(playbook, scenario),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def finish(playbook: str, scenario: str, log: Path) -> dict[str, int]:
    """Run a playbook to its end and return how much it changed, by host."""
    if start(playbook, scenario, log).wait() != 0:
        raise SystemExit(f"{playbook} did not converge; its log is {log}:\n{log.read_text()[-3000:]}")
    recap = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", log.read_text(), re.MULTILINE)
    return {host: int(changed) for host, changed in recap}


def options() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    known = sorted(path.name for path in (ROOT / "inventories").iterdir() if path.is_dir())
    parser.add_argument("scenario", nargs="?", choices=known, default="blue_green")
    parser.add_argument("--moments", type=float, nargs="+", default=MOMENTS_S, help="seconds after the start")
    return parser.parse_args()


def main() -> int:
    asked = options()
    scenario = asked.scenario
    playbook = scenario if (ROOT / "playbooks" / f"{scenario}.yml").is_file() else "site"
    finish("teardown", scenario, BUILD / "teardown.log")
    for number, moment in enumerate(asked.moments):
        kind = signal.SIGINT if number % 2 else signal.SIGKILL
        run = start(playbook, scenario, BUILD / f"killed-{moment:g}.log")
        time.sleep(moment)
        if run.poll() is None:
            os.killpg(run.pid, kind)
        run.wait()
        print(f"killed by {kind.name} after {moment:g} s", flush=True)
    began = time.monotonic()
    changed = finish(playbook, scenario, BUILD / "converged.log")
    print(f"converged in {time.monotonic() - began:.0f} s, changed: {changed}")
    again = finish(playbook, scenario, BUILD / "again.log")
    print(f"again, changed: {again}")
    finish("teardown", scenario, BUILD / "teardown.log")
    left = finish("teardown", scenario, BUILD / "teardown.log")
    print(f"torn down twice, the second time changed: {left}")
    return int(any(again.values()) or any(left.values()))


if __name__ == "__main__":
    sys.exit(main())

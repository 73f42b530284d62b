# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registration entries at scale: tasks of spire_entry against what else would do the same.

All runs against a spire-server of its own, on SQLite, on this host. Each ratio comes of runs in turn, with the order
changed from pair to pair, and is the median of the pairs. The server's state is brought back between them as files.

A task is counted as Ansible counts it: from its start until its result is there, with the start of the module's
process, but without that of ansible-playbook. A task before it, which is not counted, has the module packed. A bare
command is counted from its start to its end. Prints medians, spreads and ratios, and writes the ratios to
build/bench/entries.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spire import OWNER, ROOT, EntrySet, Server, as_data, controller_manager, entry, module_by_itself, play, task

BUILD = ROOT / "build" / "bench"
MEMORY_LIMIT_MB = 300
LOOPED = 50

Contestant = Callable[[], float]


@dataclass
class Row:
    """A claim: the measured ratio and the goal. ``ratios`` are those of the single pairs."""

    name: str
    ratios: list[float]
    goal: float
    sides: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """What was measured, in seconds."""

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


@dataclass
class Bench:
    """What the measurements share."""

    server: Server
    folder: Path
    size: int
    pairs: int
    manager: str | None

    def set_of(self, size: int | None = None) -> EntrySet:
        return EntrySet(self.folder, size or self.size)

    def play(self, *tasks: dict[str, Any], changed: int) -> list[float]:
        """Run tasks in one play and return their seconds, after one that has the module packed."""
        return play(self.folder, [task(self.server, None), *tasks], changed)[1:]

    def create(self, size: int | None = None) -> float:
        """Create a set in an empty server by a task."""
        entries = self.set_of(size)
        self.server.restore("empty")
        (seconds,) = self.play(task(self.server, entries), changed=1)
        self.server.expect(entries.size)
        return seconds

    def rerun(self, size: int | None = None) -> float:
        """Run the task for a set that the server holds."""
        (seconds,) = self.play(task(self.server, self.set_of(size)), changed=0)
        return seconds

    def created(self) -> None:
        """Be in the state in which a task has created the set."""
        if not self.server.has("created"):
            tell("Preparing: a server with the entries")
            self.create()
            self.server.keep("created")
        self.server.read("created")

    def alternate(self, contestants: Mapping[str, Contestant]) -> dict[str, list[float]]:
        """Run contestants in turn, as many times as there are pairs, and return the seconds of each."""
        times: dict[str, list[float]] = {name: [] for name in contestants}
        names = list(contestants)
        for pair in range(self.pairs):
            for name in names if pair % 2 == 0 else names[::-1]:
                times[name].append(contestants[name]())
                tell(f"  {pair + 1} of {self.pairs}, {name}: {times[name][-1]:.2f} s")
        return times


def tell(text: str) -> None:
    print(text, flush=True)


def quotients(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(left, right, strict=True)]


# The measurements


def create(bench: Bench) -> list[Row]:
    """A set in one task, against one bare command with the same entries."""
    entries = bench.set_of()

    def bare() -> float:
        bench.server.restore("empty")
        seconds = bench.server.bare("entry", "create", "-data", entries.data)
        bench.server.expect(entries.size)
        return seconds

    times = bench.alternate({"task": bench.create, "entry create": bare})
    return [Row(f"create {entries.size} / entry create", quotients(*times.values()), 1.15, times)]


def rerun(bench: Bench) -> list[Row]:
    """The task with nothing to do, against one bare reading, and against a task that does nothing but that."""
    bench.created()
    words = " ".join(bench.server.argv("entry", "show"))

    def shell() -> float:
        tasks = [{"ansible.builtin.shell": command} for command in ("true", f"{words} >/dev/null")]
        return bench.play(*tasks, changed=2)[1]

    show = {"entry show": lambda: bench.server.bare("entry", "show"), "entry show in a task of shell": shell}
    times = bench.alternate({"task": bench.rerun, **show})
    options = task(bench.server, bench.set_of())["trustmesh.spiffe.spire_entry"]
    runs = [module_by_itself(bench.folder, options) for _run in range(bench.pairs)]
    parts = {part: statistics.median(run[part] for run in runs) for part in runs[0].keys() - {"memory"}}
    for part, seconds in sorted(parts.items(), key=lambda one: -one[1]):
        tell(f"  where it goes: {seconds:.3f} s {part}")
    name = f"unchanged rerun of {bench.size}"
    first, *rest = [Row(f"{name} / {other}", quotients(times["task"], times[other]), 1.3) for other in show]
    return [replace(first, sides=times), *rest]


def drift(bench: Bench) -> list[Row]:
    """1 % of the entries changed, gone, or too many: against a rerun and the bare commands that mend them."""
    commands = drifted(bench)

    def mend() -> float:
        bench.server.restore("drifted")
        (seconds,) = bench.play(task(bench.server, bench.set_of()), changed=1)
        bench.server.expect(bench.size)
        return seconds

    def bare() -> float:
        bench.server.restore("drifted")
        seconds = sum(bench.server.bare(*command) for command in commands)
        bench.server.expect(bench.size)
        return seconds

    def unchanged() -> float:
        bench.created()
        return bench.rerun()

    times = bench.alternate({"task": mend, "rerun": unchanged, "bare drift": bare})
    floor = [a + b for a, b in zip(times["rerun"], times["bare drift"], strict=True)]
    return [Row(f"1 % drift of {bench.size} / rerun and bare drift", quotients(times["task"], floor), 1.3, times)]


def drifted(bench: Bench) -> list[tuple[str, ...]]:
    """Keep a state that has drifted by 1 %, and return the bare commands that mend it."""
    bench.created()
    half, quarter = max(1, bench.size // 200), max(1, bench.size // 400)
    ids = {
        f"spiffe://{one['spiffe_id']['trust_domain']}{one['spiffe_id']['path']}": one["id"]
        for one in bench.server.cli("entry", "show")["entries"]
    }
    wanted = [{**one, "entry_id": ids[one["spiffe_id"]]} for one in bench.set_of().entries()]
    # Spread over the set, as drift is.
    hit = wanted[:: max(1, bench.size // (half + quarter))]
    changed, gone = hit[:half], hit[half : half + quarter]
    extra = [{**entry(number, "stray"), "entry_id": f"trustmesh.{OWNER}.stray-{number}"} for number in range(quarter)]

    def written(name: str, content: Any) -> str:
        path = bench.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)

    def delete(name: str, entries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        return ("entry", "delete", "-file", written(name, {"ids": [one["entry_id"] for one in entries]}))

    def data(verb: str, name: str, entries: Sequence[dict[str, Any]]) -> tuple[str, ...]:
        return ("entry", verb, "-data", written(name, as_data(entries)))

    tell("Preparing: a server that has drifted")
    for command in (
        data("update", "drift-changed", [{**one, "x509_svid_ttl": 60} for one in changed]),
        delete("drift-gone", gone),
        data("create", "drift-extra", extra),
    ):
        bench.server.cli(*command)
    bench.server.keep("drifted")
    return [delete("mend-extra", extra), data("update", "mend-changed", changed), data("create", "mend-gone", gone)]


def check(bench: Bench) -> list[Row]:
    """The task in check mode with diff, against the same task without both, nothing to do."""
    bench.created()
    run = task(bench.server, bench.set_of())
    checked = {**run, "check_mode": True, "diff": True}
    order = [(checked, run) if pair % 2 == 0 else (run, checked) for pair in range(bench.pairs)]
    seconds = iter(bench.play(*(one for pair in order for one in pair), changed=0))
    times: dict[str, list[float]] = {"check": [], "run": []}
    for pair in order:
        for one in pair:
            times["check" if one is checked else "run"].append(next(seconds))
    name = f"check mode with diff of {bench.size} / unchanged rerun"
    return [Row(name, quotients(times["check"], times["run"]), 1.1, times)]


def growth(bench: Bench) -> list[Row]:
    """The same at a tenth, three tenths, all and three times the size."""
    sizes = [bench.size // 10, bench.size * 3 // 10, bench.size, bench.size * 3]
    made: dict[int, list[float]] = {size: [] for size in sizes}
    seen: dict[int, list[float]] = {size: [] for size in sizes}
    for pair in range(bench.pairs):
        for size in sizes if pair % 2 == 0 else sizes[::-1]:
            made[size].append(bench.create(size))
            seen[size].append(bench.rerun(size))
            tell(f"  {pair + 1} of {bench.pairs}, {size}: created {made[size][-1]:.2f} s, rerun {seen[size][-1]:.2f} s")

    def row(name: str, times: Mapping[int, Sequence[float]]) -> Row:
        rounds = [[times[size][pair] for size in sizes] for pair in range(bench.pairs)]
        named = {str(size): times[size] for size in sizes}
        return Row(
            f"{name} from {sizes[0]} to {sizes[-1]}: exponent", [exponent(sizes, one) for one in rounds], 1.1, named
        )

    bench.server.restore("empty")
    whole = subprocess.run(
        bench.server.argv("entry", "create", "-data", bench.set_of(sizes[-1]).data),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    held = bench.server.cli("entry", "count")["count"]
    tell(f"  one bare entry create of {sizes[-1]}: code {whole.returncode}, {held} held. {whole.stderr.strip()[-200:]}")
    return [row("create", made), row("unchanged rerun", seen)]


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The power of the size with which the seconds grow, by least squares over the logarithms."""
    slope, _intercept = statistics.linear_regression([math.log(n) for n in sizes], [math.log(s) for s in seconds])
    return slope


def noop(bench: Bench) -> list[Row]:
    """A task that has nothing to do for one entry, against ping. Both are short, so there are four times the pairs."""
    single = task(bench.server, None)
    options = {**single["trustmesh.spiffe.spire_entry"], "entries": [entry(0)]}
    single = {"trustmesh.spiffe.spire_entry": options}
    bench.server.restore("empty")
    bench.play(single, changed=1)
    ping: dict[str, Any] = {"ansible.builtin.ping": {}}
    order = [(single, ping) if pair % 2 == 0 else (ping, single) for pair in range(4 * bench.pairs)]
    seconds = bench.play(ping, *(one for pair in order for one in pair), changed=0)[1:]
    times: dict[str, list[float]] = {"task": [], "ping": []}
    for one, took in zip([one for pair in order for one in pair], seconds, strict=True):
        times["task" if one is single else "ping"].append(took)
    return [Row("no-op task / ping", quotients(*times.values()), 1.5, times)]


def memory(bench: Bench) -> list[Row]:
    """The most memory that the module's own process held, while it created and while it had nothing to do."""
    size = bench.size * 3
    options = {**task(bench.server, bench.set_of(size))["trustmesh.spiffe.spire_entry"]}
    bench.server.restore("empty")
    held = {name: module_by_itself(bench.folder, options)["memory"] for name in ("create", "rerun")}
    bench.server.expect(size)
    for name, megabytes in held.items():
        tell(f"  {name} of {size}: {megabytes:.0f} MB")
    ratio = max(held.values()) / MEMORY_LIMIT_MB
    return [Row(f"memory of the module at {size} / {MEMORY_LIMIT_MB} MB", [ratio], 1.0)]


def loop(bench: Bench) -> list[Row]:
    """A few entries in one task, against the command for each of them in a loop, as it is written without a module."""
    few = bench.set_of(min(LOOPED, bench.size))
    words = [*bench.server.argv("entry", "create"), "-spiffeID", "{{ item.spiffe_id }}", "-parentID"]
    words += ["{{ item.parent_id }}", "-selector", "{{ item.selectors[0] }}", "-selector", "{{ item.selectors[1] }}"]
    looped = {"ansible.builtin.command": {"argv": words}, "loop": few.entries()}

    def by_hand() -> float:
        bench.server.restore("empty")
        (seconds,) = bench.play(looped, changed=1)
        bench.server.expect(few.size)
        return seconds

    times = bench.alternate({"task": lambda: bench.create(few.size), "looped": by_hand})
    each = statistics.median(times["looped"]) / few.size
    tell(f"  looped, {bench.size} entries would take {each * bench.size / 60:.0f} minutes ({each:.2f} s each)")
    return [Row(f"{few.size} in one task / looped entry create", quotients(*times.values()), 1.0, times)]


def manager(bench: Bench) -> list[Row]:
    """The task, against the controller manager's first pass over manifests in files, from its start on."""
    if bench.manager is None:
        tell("  left out: there is no spire-controller-manager beside spire-server")
        return []
    program, entries = bench.manager, bench.set_of()
    entries.manifests  # noqa: B018 - they are written before anything is counted

    def managed() -> float:
        bench.server.restore("empty")
        seconds = controller_manager(program, bench.server, entries)
        bench.server.expect(entries.size)
        return seconds

    def managed_again() -> float:
        bench.server.read("managed")
        return controller_manager(program, bench.server, entries)

    def unchanged() -> float:
        bench.created()
        return bench.rerun()

    made = bench.alternate({"task": bench.create, "controller manager": managed})
    bench.created()
    managed()
    bench.server.keep("managed")
    seen = bench.alternate({"task": unchanged, "controller manager": managed_again})
    return [
        Row(f"create {entries.size} / controller manager", quotients(*made.values()), 1.0, made),
        Row(f"unchanged rerun of {entries.size} / controller manager", quotients(*seen.values()), 1.0, seen),
    ]


MEASUREMENTS: dict[str, Callable[[Bench], list[Row]]] = {
    one.__name__: one for one in (create, rerun, drift, check, growth, noop, memory, loop, manager)
}


def show(row: Row) -> None:
    for name, seconds in row.sides.items():
        middle = statistics.median(seconds)
        tell(f"    {name:<20} median {middle:7.2f} s, from {min(seconds):.2f} to {max(seconds):.2f}, n={len(seconds)}")
    verdict = "met" if row.ratio <= row.goal else "missed"
    spread = f"from {min(row.ratios):.3f} to {max(row.ratios):.3f}"
    tell(f"{row.name:<60} {row.ratio:6.3f}, {spread}  (goal {row.goal} or less: {verdict})")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--pairs", type=int, default=5, help="how often both run (default: %(default)s)")
    parser.add_argument("--size", type=int, default=10_000, help="entries of the set (default: %(default)s)")
    parser.add_argument(
        "--only", action="append", choices=list(MEASUREMENTS), help="measure only this; may be repeated"
    )
    parser.add_argument(
        "--bin-dir",
        type=Path,
        default=ROOT / "build" / "bin",
        help="where spire-server and spire-controller-manager are (default: build/bin)",
    )
    options = parser.parse_args()
    if options.pairs < 1 or options.size < 100:
        parser.error("--pairs must be 1 or more, --size 100 or more")
    binary = options.bin_dir.resolve() / "spire-server"
    if not os.access(binary, os.X_OK):
        parser.error(f"{binary} is missing or no program")
    # Only the mode "packages" brings it.
    manager = binary.with_name("spire-controller-manager")
    # A short path: a socket's may have 108 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="tm-bench-"))
    rows: list[Row] = []
    began = time.monotonic()
    names = options.only or list(MEASUREMENTS)
    server = Server(str(binary), folder)
    try:
        bench = Bench(server, folder, options.size, options.pairs, str(manager) if manager.exists() else None)
        for number, name in enumerate(names, start=1):
            words = (MEASUREMENTS[name].__doc__ or "").split("\n", maxsplit=1)[0]
            load = os.getloadavg()[0]
            tell(
                f"\n{number} of {len(names)}, after {time.monotonic() - began:.0f} s, load {load:.1f}: {name}. {words}"
            )
            measured = MEASUREMENTS[name](bench)
            for row in measured:
                show(row)
            rows += measured
    finally:
        server.stop()
    shutil.rmtree(folder)  # after a failure its logs stay
    tell("")
    for row in rows:
        show(Row(row.name, row.ratios, row.goal))
    BUILD.mkdir(parents=True, exist_ok=True)
    listed = [{"name": row.name, "ratio": round(row.ratio, 3), "goal": row.goal} for row in rows]
    (BUILD / "entries.json").write_text(json.dumps(listed, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spire_entry when things break. After each: a run converges, and one more changes nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries

from ..conftest import Server, run_module, running_server, wait_until
from ..entries import entry, held

MANY = [entry(f"w{number}", selectors=[f"k8s:ns:n{number // 50}", f"k8s:sa:w{number}"]) for number in range(2000)]


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def apply(server: Server, entries: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """Run the module; ``return_entries`` keeps what is returned small, as it is for a set of this size."""
    args = {**server.connection, "entries": entries, "owner": "harm", "purge": "owned", "return_entries": "none"}
    return run_module("spire_entry", {**args, **options})


def converges(server: Server, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """A run brings the server to what is wanted, and the one after it changes nothing. Returns the first."""
    result = apply(server, entries)
    assert not result.get("failed"), result["msg"]
    assert sorted(held(server).values()) == sorted(one["spiffe_id"].rpartition("/")[2] for one in entries)
    again = apply(server, entries)
    assert (again["changed"], again["actions"], again["counts"]["unchanged"]) == (False, [], len(entries))
    return result


def stored(server: Server) -> int:
    """How many entries the database holds, whether or not the server answers."""
    with contextlib.closing(sqlite3.connect(f"file:{server.folder}/datastore.sqlite3?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM registered_entries").fetchone()[0])


def at(server: Server, share: float, run: Future[dict[str, Any]]) -> None:
    """Wait until this share of all entries is made, while ``run`` is making them."""
    wait_until(f"{share:.0%} are made", lambda: stored(server) >= share * len(MANY), 120)
    assert not run.done(), run.result()


def signalled(server: Server, number: signal.Signals) -> None:
    assert server.process
    os.kill(server.process.pid, number)


@pytest.mark.parametrize("share", [0.5, *(pytest.param(share, marks=pytest.mark.thorough) for share in (0.1, 0.9))])
def test_the_server_is_killed(server: Server, aside: ThreadPoolExecutor, share: float) -> None:
    run = aside.submit(apply, server, MANY)
    at(server, share, run)
    server.stop()
    result = run.result()
    assert result["failed"]
    assert result["changed"]
    made = stored(server)
    assert len(result["actions"]) <= made <= len(result["actions"]) + result.get("unknown", 0)
    server.start()
    assert converges(server, MANY)["counts"]["created"] == len(MANY) - made


def test_the_server_is_killed_and_comes_back_while_it_is_waited_for(server: Server, aside: ThreadPoolExecutor) -> None:
    run = aside.submit(apply, server, MANY, wait_timeout=60)
    at(server, 0.5, run)
    server.stop()
    made = stored(server)
    server.start()
    result = run.result()
    # Between two requests it is not even noticed; within one, what was made is known exactly.
    if result.get("failed"):
        assert len(result["actions"]) == made
        assert "unknown" not in result
        assert f"{made} changes were made" in result["msg"]
    converges(server, MANY)


def test_the_server_is_down_before(server: Server) -> None:
    some = MANY[:20]
    server.stop()
    result = apply(server, some)
    assert (result["failed"], result.get("changed", False)) == (True, False)
    assert "nobody answers" in result["msg"] or "there is no socket" in result["msg"]
    server.start()
    converges(server, some)


def test_the_server_comes_up_within_the_waiting_time(server: Server, aside: ThreadPoolExecutor) -> None:
    some = MANY[:20]
    server.stop()
    run = aside.submit(apply, server, some, wait_timeout=60)
    server.start()
    assert run.result()["counts"]["created"] == 20
    converges(server, some)


def test_the_server_stops_answering_during_a_change(server: Server, aside: ThreadPoolExecutor) -> None:
    run = aside.submit(apply, server, MANY, timeout=10)
    at(server, 0.5, run)
    signalled(server, signal.SIGSTOP)
    result = run.result()
    assert result["failed"]
    assert result["changed"]
    assert "no answer from the server" in result["msg"]
    assert "is not known. Run again" in result["msg"]
    assert len(result["actions"]) + result["unknown"] == len(MANY)
    signalled(server, signal.SIGCONT)
    # It may still be working on the request that nobody waits for.
    converges(server, MANY)


def test_two_runs_at_once_with_the_same_input(server: Server, aside: ThreadPoolExecutor) -> None:
    some = MANY[:600]
    results = [run.result() for run in [aside.submit(apply, server, some) for _number in range(2)]]
    for result in results:
        assert not result.get("failed"), result["msg"]
        assert result["changed"] == bool(result["actions"])
        assert result["counts"]["created"] == len(result["actions"]) == len(result["diff"]["after"])
    # Each entry was made by exactly one of the two.
    ids = [action["id"] for result in results for action in result["actions"]]
    assert sorted(ids) == sorted(held(server))
    assert not converges(server, some)["changed"]


def test_two_runs_at_once_with_conflicting_input(server: Server, aside: ThreadPoolExecutor) -> None:
    wanted = [[{**one, "hint": hint} for one in MANY[:600]] for hint in ("red", "green")]
    for result in [run.result() for run in [aside.submit(apply, server, entries) for entries in wanted]]:
        assert not result.get("failed"), result["msg"]
    assert len(held(server)) == 600
    assert {one.hint for one in list_entries(server.client)} <= {"red", "green"}
    converges(server, wanted[0])
    assert {one.hint for one in list_entries(server.client)} == {"red"}


def test_present_and_absent_at_once(server: Server, aside: ThreadPoolExecutor) -> None:
    some = MANY[:600]
    apply(server, some[:300])
    changed = [{**one, "hint": "x"} for one in some]
    runs = [aside.submit(apply, server, changed), aside.submit(apply, server, some, state="absent", purge="none")]
    for result in [run.result() for run in runs]:
        assert not result.get("failed"), result["msg"]
    converges(server, changed)


def test_two_owners_at_once_with_one_key(server: Server, aside: ThreadPoolExecutor) -> None:
    some = MANY[:600]
    runs = [aside.submit(apply, server, some, owner=owner) for owner in ("one", "two")]
    results = [run.result() for run in runs]
    lost = [result for result in results if result.get("failed")]
    assert lost
    assert all("made by the owner" in result["msg"] for result in lost)
    # Whoever lost says what it made nevertheless. One that began when the other was done was refused before that.
    ids = {action["id"] for result in results for action in result.get("actions", [])}
    assert ids == set(held(server))
    for owner in ("one", "two"):
        apply(server, [], owner=owner, allow_empty=True)
    converges(server, some)


@pytest.fixture
def small_disk(server: Server) -> Iterator[Path]:
    """A server whose folder is a disk of its own, with a file that takes most of it. Needs root, as mount does."""
    server.stop()
    kept = server.folder.with_name(server.folder.name + "-kept")
    shutil.copytree(server.folder, kept, ignore=shutil.ignore_patterns("*.sock"))
    subprocess.run(
        [str(shutil.which("mount")), "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(server.folder)], check=True
    )
    try:
        shutil.copytree(kept, server.folder, dirs_exist_ok=True)
        server.start()
        yield server.folder / "filler"
    finally:
        server.stop()
        subprocess.run([str(shutil.which("umount")), "--lazy", str(server.folder)], check=True)
        shutil.rmtree(kept)


def test_the_disk_is_full(server: Server, small_disk: Path) -> None:
    assert not apply(server, MANY[:100]).get("failed")
    room = shutil.disk_usage(server.folder).free
    small_disk.write_bytes(b"\0" * (room - 200_000))
    result = apply(server, MANY)
    assert result["failed"]
    assert result["changed"] == bool(result["actions"])
    assert "full" in result["msg"] or "I/O" in result["msg"], result["msg"]
    ids = {action["id"] for action in result["actions"]}
    assert len(ids) < len(MANY) - 100
    small_disk.unlink()
    assert ids <= set(held(server))
    converges(server, MANY)


def test_the_database_is_restored_from_an_old_copy(server: Server) -> None:
    old, new = MANY[:200], [{**one, "hint": "new"} for one in MANY[100:400]]
    apply(server, old)
    server.stop()
    database = [server.folder / f"datastore.sqlite3{suffix}" for suffix in ("", "-wal", "-shm")]
    copies = {path: path.read_bytes() for path in database if path.exists()}
    server.start()
    assert apply(server, new)["counts"] == {
        "created": 200,
        "updated": 100,
        "deleted": 100,
        "unchanged": 0,
        "adopted": 0,
    }
    server.stop()
    for path in database:
        path.unlink(missing_ok=True)
    for path, data in copies.items():
        path.write_bytes(data)
    server.start()
    assert len(held(server)) == 200
    assert converges(server, new)["counts"]["updated"] == 100

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The builder, with real commands."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.engine import Builder, Caller
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.steps import caller_of, parse_steps
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, ProcessError

BuilderOf = Callable[..., Builder]


def step(name: str, script: str, *needs: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "label": f"the {name}", "commands": [["sh", "-ec", script]], "needs": needs, **more}


def wait_for(condition: Callable[[], Any]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def builder(tmp_path: Path, lines: list[str]) -> BuilderOf:
    (tmp_path / "files").mkdir()

    def make(*steps: dict[str, Any], **more: Any) -> Builder:
        return Builder(parse_steps(steps), tmp_path / "files", tmp_path / "cache", lines.append, **more)

    return make


def run(built: Builder, *goals: str) -> list[str]:
    missing = built.missing(goals)
    built.build(missing)
    return missing


def test_results_are_handed_on_and_built_once(builder: BuilderOf, lines: list[str]) -> None:
    first = step("first", "echo one > @out@/file")
    second = step("second", "cat @out:first@/file > file; echo $MORE @key:first@ >> file", "first", env={"MORE": "two"})
    built = builder(second, first)
    assert run(built, "second") == ["first", "second"]
    assert (built.path("second") / "file").read_text() == f"one\ntwo {built.keys['first']}\n"
    told = [line.partition(" ")[2].split(" ", 1)[1] for line in lines if "building" in line]
    assert told == ["building the first", "building the second"]
    assert lines[0].startswith("[1/2] 0:00 ")
    assert lines[-1].startswith("[2/2 done] 0:00 built the second in ")
    assert run(builder(second, first), "second") == []


def test_steps_that_do_not_need_each_other_run_side_by_side(builder: BuilderOf, tmp_path: Path) -> None:
    def meet(me: str, other: str) -> str:  # each waits for the other: one after the other would never end
        return f"touch {tmp_path}/{me}; n=0; until [ -e {tmp_path}/{other} ]; do n=$((n+1)); [ $n -lt 500 ]; sleep 0.02; done"

    last = step("last", "[ -d @out:left@ ]; [ -d @out:right@ ]", "left", "right")
    assert run(builder(step("left", meet("l", "r")), step("right", meet("r", "l")), last), "last")[-1] == "last"


def test_no_more_jobs_than_allowed(builder: BuilderOf, tmp_path: Path) -> None:
    alone = f"mkdir {tmp_path}/lock; sleep 0.1; rmdir {tmp_path}/lock"
    run(builder(step("a", alone), step("b", alone), step("c", alone), jobs=1), "a", "b", "c")


def test_a_failure_names_its_log_and_keeps_what_is_built(builder: BuilderOf, tmp_path: Path) -> None:
    good, bad = step("good", "true"), step("bad", "echo reason; exit 3", "good")
    with pytest.raises(ProcessError) as caught:
        run(builder(good, bad), "bad")
    log = tmp_path / "cache" / "logs" / "bad.log"
    assert "building the bad failed: sh ended with code 3" in caught.value.message
    assert "What is built so far is kept" in caught.value.message
    assert str(log) in caught.value.message
    assert caught.value.message.endswith("\nreason")
    assert log.read_text() == "+ sh -ec echo reason; exit 3\nreason\n"
    fixed = builder(good, step("bad", "true", "good"))
    assert run(fixed, "bad") == ["bad"]


def test_a_failure_ends_the_commands_beside_it(builder: BuilderOf, tmp_path: Path) -> None:
    slow = step("slow", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    bad = step("bad", f"until [ -s {tmp_path}/pid ]; do sleep 0.02; done; exit 1")
    begun = time.monotonic()
    with pytest.raises(ProcessError, match="the bad failed"):
        run(builder(slow, bad), "slow", "bad")
    assert time.monotonic() - begun < 20
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_program_that_has_moved_builds_nothing_again(builder: BuilderOf) -> None:
    first = step("first", "@program:shell@ -c 'echo one' > @out@/file")
    assert run(builder(first, programs={"shell": "/bin/sh"}), "first") == ["first"]
    assert run(builder(first, programs={"shell": "/bin/bash"}), "first") == []


def test_a_program_that_is_missing_is_named(builder: BuilderOf) -> None:
    with pytest.raises(ProcessError, match="building x failed: /nonexistent/cc: No such file or directory"):
        run(builder({"name": "x", "commands": [["/nonexistent/cc"]]}), "x")


def test_an_input_that_is_missing_is_named(builder: BuilderOf) -> None:
    with pytest.raises(InputError, match="build input .*/files/go.mod does not exist"):
        builder(step("x", "true", inputs=["go.mod"]))


@pytest.mark.parametrize("change", ["content", "name", "mode"])
def test_a_changed_file_below_an_input_folder_builds_anew(builder: BuilderOf, tmp_path: Path, change: str) -> None:
    source = tmp_path / "files" / "src" / "deep" / "main.c"
    source.parent.mkdir(parents=True)
    source.write_text("1")
    steps = (step("x", "true", inputs=["src"]), step("y", "true"))
    run(builder(*steps), "x", "y")
    if change == "content":
        source.write_text("2")
    elif change == "name":
        source.rename(source.with_name("other.c"))
    else:
        source.chmod(0o755)
    assert builder(*steps).missing(["x", "y"]) == ["x"]


def test_a_result_outside_the_cache_that_is_gone_is_built_again(builder: BuilderOf, tmp_path: Path) -> None:
    image = step("image", f"touch {tmp_path}/image-@key@", exists=["test", "-e", f"{tmp_path}/image-@key@"])
    built = builder(image)
    assert run(built, "image") == ["image"]
    assert built.missing(["image"]) == []
    (tmp_path / f"image-{built.keys['image']}").unlink()
    assert run(built, "image") == ["image"]


# What is in the cache is compared before it is used.


@pytest.fixture
def tool(builder: BuilderOf) -> Callable[[], Builder]:
    """A step that leaves a program, a text and a link, built once, and how to come to it again."""
    script = "mkdir @out@/d; echo one > @out@/d/text; echo x > @out@/program; chmod 755 @out@/program; ln -s d @out@/link"
    assert run(builder(step("tool", script)), "tool") == ["tool"]
    return lambda: builder(step("tool", script))


def test_a_result_that_is_what_was_built_is_used(tool: Callable[[], Builder], lines: list[str]) -> None:
    lines.clear()
    assert run(tool(), "tool") == []
    assert lines == []


def harm_content(folder: Path) -> str:
    about = (folder / "program").stat()
    (folder / "program").write_text("y\n")  # of the same size, and as old
    os.utime(folder / "program", ns=(about.st_atime_ns, about.st_mtime_ns))
    return "program is not what was built"


def harm_mode(folder: Path) -> str:
    (folder / "d" / "text").chmod(0o755)
    return "d/text is not what was built"


def harm_link(folder: Path) -> str:
    (folder / "link").unlink()
    (folder / "link").symlink_to("/tmp")  # noqa: S108 - somewhere else
    return "link is not what was built"


def harm_by_leaving_out(folder: Path) -> str:
    (folder / "d" / "text").unlink()
    return "d/text is missing"


def harm_by_adding(folder: Path) -> str:
    (folder / "d" / "more").touch()
    return "d/more was not there when it was built"


def harm_manifest(folder: Path) -> str:
    (folder / ".manifest.json").write_text('{"format"')
    return "its manifest cannot be read"


def lose_manifest(folder: Path) -> str:
    (folder / ".manifest.json").unlink()
    return "it has no manifest"


@pytest.mark.parametrize(
    "harm",
    [harm_content, harm_mode, harm_link, harm_by_leaving_out, harm_by_adding, harm_manifest, lose_manifest],
)
def test_a_result_that_is_not_what_was_built_is_built_again_and_a_line_says_why(
    tool: Callable[[], Builder], lines: list[str], harm: Callable[[Path], str]
) -> None:
    folder = tool().path("tool")
    why = harm(folder)
    lines.clear()
    assert run(tool(), "tool") == ["tool"]
    assert lines.count(f"the tool is built again: {folder} is not used, {why}") == 1
    assert (folder / "program").read_text() == "x\n"
    assert (folder / "d" / "text").read_text() == "one\n"
    assert run(tool(), "tool") == []


def test_files_are_read_again_only_when_something_about_them_changed(
    tool: Callable[[], Builder], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    module = "ansible_collections.trustmesh.spiffe.plugins.module_utils._build.manifest._entry"
    entry = importlib.import_module(module.rpartition(".")[0])._entry
    monkeypatch.setattr(module, lambda path, about: read.append(path) or entry(path, about))
    assert tool().missing(["tool"]) == []
    assert read == []
    os.link(tool().path("tool") / "program", tool().path("tool").parent / "elsewhere")  # as images are made of tools
    again = tool()
    assert again.missing(["tool"]) == []
    assert [path.name for path in read] == ["program"]
    again.remember()
    assert tool().missing(["tool"]) == []
    assert len(read) == 1, "what was seen is kept"


def test_a_result_that_is_built_again_is_looked_at_anew(builder: BuilderOf, tmp_path: Path) -> None:
    there = tmp_path / "image"
    image = step("image", f"date +%N > @out@/archive; touch {there}", exists=["test", "-e", str(there)])
    assert run(builder(image), "image") == ["image"]
    # As after a cache was brought back: the same content in other inodes, and an engine that lacks the image.
    archive = builder(image).path("image") / "archive"
    archive.with_suffix(".new").write_bytes(archive.read_bytes())
    archive.with_suffix(".new").rename(archive)
    there.unlink()
    again = builder(image)
    assert run(again, "image") == ["image"]
    again.remember()
    assert builder(image).missing(["image"]) == []


# Who builds, and with which settings.


def test_commands_do_not_inherit_what_would_choose_the_programs_of_compilers(
    builder: BuilderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("GOFLAGS", "GOENV", "GOAUTH", "CC", "CXX", "CGO_CFLAGS", "PKG_CONFIG")
    for name in names:
        monkeypatch.setenv(name, "-toolexec=/tmp/evil")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org")
    built = builder(step("x", "env > @out@/env", env={"GOFLAGS": "-trimpath"}), env={"GOENV": "off"})
    run(built, "x")
    seen = dict(line.split("=", 1) for line in (built.path("x") / "env").read_text().splitlines() if "=" in line)
    assert {name: seen[name] for name in names if name in seen} == {"GOFLAGS": "-trimpath", "GOENV": "off"}
    assert seen["HTTPS_PROXY"] == "http://proxy.example.org"


def test_only_the_caller_of_sudo_is_built_for() -> None:
    called = {"SUDO_UID": "1000", "SUDO_GID": "100"}
    assert caller_of(0, called) == (1000, 100)
    assert caller_of(1000, called) is None
    assert caller_of(0, {}) is None
    assert caller_of(0, {"SUDO_UID": "0", "SUDO_GID": "0"}) is None


def test_a_step_that_needs_no_root_is_built_as_the_caller_and_belongs_to_root(lines: list[str]) -> None:
    root = os.geteuid() == 0
    caller = Caller(65534, 65534, "/nonexistent") if root else Caller(os.getuid(), os.getgid(), "/nonexistent")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        script = "id -u > @out@/who; echo $HOME >> @out@/who; chmod 666 @out@/who"
        steps = parse_steps([step("plain", script, plain=True), step("other", "id -u > @out@/who")])
        built = Builder(steps, folder, folder / "cache", lines.append, caller=caller)
        run(built, "plain", "other")
        who = built.path("plain") / "who"
        assert who.read_text().split() == [str(caller.uid), "/nonexistent"]
        assert (built.path("other") / "who").read_text().split() == [str(os.geteuid())]
        for path in (who, who.parent):
            assert path.stat().st_uid == os.geteuid()
            assert path.stat().st_mode & 0o022 == 0
        assert built.missing(["plain", "other"]) == []


def test_who_builds_decides_no_result(builder: BuilderOf) -> None:
    assert builder(step("x", "true")).keys == builder(step("x", "true", plain=True)).keys


@pytest.mark.parametrize("name", ["logs/x.log", "locks/x.lock"])
def test_nothing_is_written_through_a_link_in_the_cache(builder: BuilderOf, tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    link = tmp_path / "cache" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(precious)
    with contextlib.suppress(OSError):  # a lock that is a link is refused, a log is made anew
        run(builder(step("x", "echo hello")), "x")
    assert precious.read_text() == "kept"


BUILD = """
import sys
from pathlib import Path
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.engine import Builder
from ansible_collections.trustmesh.spiffe.plugins.module_utils._build.steps import parse_steps
root = Path(sys.argv[1])
steps = [
    {"name": "first", "commands": [["sh", "-c", "echo first >> @files@/ran"]]},
    {"name": "second", "needs": ["first"], "commands": [["sh", "-ec",
        "echo second >> @files@/ran; echo $$ > @out@/pid; echo half > @out@/a; [ -e @files@/quick ] || sleep 60; "
        "sleep 0.2; echo whole > @out@/b"]]},
]
built = Builder(parse_steps(steps), root / "files", root / "cache", print)
built.build(built.missing(["second"]))
print(built.path("second"))
"""


def test_after_kill_9_in_the_middle_a_second_run_goes_on(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    argv = [sys.executable, "-c", BUILD, str(tmp_path)]
    killed = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    wait_for(lambda: list(tmp_path.glob("cache/artifacts/second/*/a")))
    # By its note the command is found again, which is written as soon as it was started: maybe a moment later than that.
    wait_for(lambda: any(note.read_text() for note in tmp_path.glob("cache/artifacts/second/.*.partial.pid")))
    (partial,) = (tmp_path / "cache/artifacts/second").glob(".*.partial")
    orphan = int((partial / "pid").read_text())
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    os.kill(orphan, 0)  # the command outlives its builder
    (files / "quick").touch()
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30)
    result = Path(done.stdout.splitlines()[-1])
    assert (files / "ran").read_text().split() == ["first", "second", "second"]
    assert sorted(item.name for item in result.iterdir()) == [".manifest.json", "a", "b", "pid"]
    assert [item.name for item in result.parent.iterdir()] == [result.name], "nothing half-made is left"
    wait_for(lambda: not Path(f"/proc/{orphan}").exists() or "Z" in Path(f"/proc/{orphan}/stat").read_text().split()[2])


def test_two_builders_of_one_cache_build_a_step_once(builder: BuilderOf, tmp_path: Path) -> None:
    slow = step("slow", f"echo x >> {tmp_path}/count; sleep 0.3; touch @out@/done")
    builders = [builder(slow), builder(slow)]
    threads = [threading.Thread(target=item.build, args=(item.missing(["slow"]),)) for item in builders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "count").read_text() == "x\n"
    assert (builders[0].path("slow") / "done").exists()


def test_a_build_that_takes_long_says_so(
    builder: BuilderOf, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.trustmesh.spiffe.plugins.module_utils._build.engine._HEARTBEAT_S", 0.1)
    run(builder(step("slow", "sleep 0.3")), "slow")
    assert any("[0/1 done] 0:00 still building the slow (0 s)" in line for line in lines)


def test_links_follow_the_results(builder: BuilderOf, tmp_path: Path) -> None:
    place = str(tmp_path / "bin" / "tool")
    old, new = builder(step("tool", "echo 1 > @out@/x")), builder(step("tool", "echo 2 > @out@/x"))
    run(old, "tool")
    assert old.link({place: "tool/x"}, only_tell=True) == [place]
    assert not Path(place).exists()
    assert old.link({place: "tool/x"}) == [place]
    assert old.link({place: "tool/x"}) == []
    run(new, "tool")
    assert new.link({place: "tool/x"}) == [place]
    assert Path(place).read_text() == "2\n"
    assert [item.name for item in Path(place).parent.iterdir()] == ["tool"]


@pytest.mark.parametrize("target", ["stranger/x", "tool"])
def test_a_link_to_no_result_is_refused(builder: BuilderOf, tmp_path: Path, target: str) -> None:
    with pytest.raises(InputError, match=f"build links: '{target}' is not a step and a file"):
        builder(step("tool", "true")).link({str(tmp_path / "x"): target})

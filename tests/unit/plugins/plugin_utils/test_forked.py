# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module in a fork and the same one as Ansible runs it by itself: a user sees no difference but the time.

There is one play with a host for each way. A variable of Python's own environment is what makes Ansible's way be taken.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.plugin_utils._forked import KNOWN
from playbook import ROOT, play

HEADER = """\
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations
"""
ACTION = (
    HEADER
    + """
from ansible_collections.tests.ways.plugins.modules import probe
from ansible_collections.trustmesh.spiffe.plugins.plugin_utils._forked import ForkedModule


class ActionModule(ForkedModule):
    module = probe
"""
)
# What a module can find out about the process that it is in, and every way in which it can end.
MODULE = (
    HEADER
    + """
import locale, os, signal, subprocess, sys, time
from pathlib import Path
from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "end": {"type": "str", "default": "ok"},
            "path": {"type": "path"},
            "pid_file": {"type": "path"},
            "password": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    end = module.params["end"]
    if module.params["pid_file"]:
        Path(module.params["pid_file"]).write_text(str(os.getpid()))
    if end == "raise":
        {}["not there"]
    if end == "exit":
        sys.exit(7)
    if end == "silent":
        return
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "sleep":
        time.sleep(60)
    if end == "fail":
        try:
            raise ValueError("within")
        except ValueError as error:
            module.fail_json("it failed", exception=error, password=module.params["password"])
    if end == "words":
        print("words before")
        print("other words", file=sys.stderr)
    module.warn("a warning")
    module.deprecate("old", version="9.0.0", collection_name="tests.ways")
    module.exit_json(
        changed=True,
        path=module.params["path"],
        check=module.check_mode,
        diff={"before": "a\\n", "after": "b\\n"} if module._diff else None,
        password_echo=f"it is {module.params['password']}",
        folder=os.getcwd(),
        umask=oct(os.umask(0)),
        locale=locale.setlocale(locale.LC_ALL),
        handlers=[str(signal.getsignal(number)) for number in (2, signal.SIGTERM, signal.SIGALRM, signal.SIGPIPE)],
        stdin=sys.stdin.read(),
        program=subprocess.run(["sh", "-c", "cat; echo out; echo error >&2"], text=True, capture_output=True).stdout,
        large="x" * 300000,
        ansible_facts={"probe_fact": "\\u00e4 {{ 1 + 1 }}"},
        variables=sorted(set(os.environ) - {"PYTHONUNBUFFERED", "_", "PWD", "OLDPWD", "SHLVL"}),
    )


if __name__ == "__main__":
    main()
"""
)
# Like the local connection, and another one.
CONNECTION = (
    HEADER
    + """
DOCUMENTATION = "name: near\\nshort_description: near\\nextends_documentation_fragment: [connection_pipelining]"

from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    transport = "tests.ways.near"
"""
)
WAYS = ("forked", "packed")
IN_A_FORK = re.compile(r"<(\w+)> RUN \S+ in a fork")


@dataclass
class Said:
    """How a play ended, and what its tasks returned by the way they took."""

    done: subprocess.CompletedProcess[str]
    results: dict[str, list[dict[str, Any]]]

    @property
    def same(self) -> list[dict[str, Any]]:
        """What both ways returned. Each was taken by its host, and nothing differs of what came back or was shown."""
        # Where ansible-core is another one than a fork was made for, Ansible runs the module in its own way.
        assert set(IN_A_FORK.findall(self.done.stdout)) == ({"forked"} if KNOWN else set()), self.done.stdout
        forked, packed = (self.results[way] for way in WAYS)
        assert forked == packed
        for one, other in zip(self.shown("forked"), self.shown("packed"), strict=True):
            assert one == other
        return forked

    def shown(self, way: str) -> list[str]:
        """What is shown of each task with -vvv, arguments included."""
        blocks = re.findall(rf"^(\w+: )\[{way}\](.*\n(?:    .*\n)*)", self.done.stdout, re.MULTILINE)
        return [start + rest for start, rest in blocks][: len(self.results[way])]


Attempt = Callable[..., Said]


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    """Run tasks by both ways."""
    plugins = tmp_path / "collections" / "ansible_collections" / "tests" / "ways" / "plugins"
    for kind, text in (("modules", MODULE), ("action", ACTION), ("connection", CONNECTION)):
        (plugins / kind).mkdir(parents=True)
        (plugins / kind / f"{'near' if kind == 'connection' else 'probe'}.py").write_text(text)

    def run(
        tasks: list[dict[str, Any]], *words: str, hosts: tuple[str, ...] = WAYS, play_has: Any = None, **env: str
    ) -> Said:
        environment = "{{ {'PYTHONUNBUFFERED': '1'} if inventory_hostname == 'packed' else {} }}"
        results = [f"result_{number}" for number in range(len(tasks))]
        keep = {
            "content": f"{{{{ [{', '.join(results)}] | to_json }}}}",
            "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}.json",
            "mode": "0600",
        }
        one = {
            "hosts": "all",
            "connection": "local",
            # One after the other: what they are asked for and what they leave is the same.
            "serial": 1,
            "tasks": [
                *(
                    {"environment": environment, **task, "register": result, "ignore_errors": True}
                    for task, result in zip(tasks, results, strict=True)
                ),
                {"ansible.builtin.copy": keep, "check_mode": False, "changed_when": False, "diff": False},
            ],
            **(play_has or {}),
        }
        done = play([one], tmp_path, "-i", ",".join(hosts) + ",", "-vvv", *words, **collections(tmp_path), **env)
        assert "unreachable=0    failed=0" in done.stdout, done.stdout + done.stderr
        return Said(done, {host: json.loads((tmp_path / f"{host}.json").read_text()) for host in hosts})

    return run


def collections(folder: Path) -> dict[str, str]:
    return {
        "ANSIBLE_COLLECTIONS_PATH": f"{folder}/collections:{ROOT}/.ansible/collections",
        "ANSIBLE_HOME": f"{folder}/home",
    }


def probe(**options: Any) -> dict[str, Any]:
    return {"tests.ways.probe": options}


@pytest.mark.parametrize("words", [(), ("--check", "--diff")], ids=["run", "check"])
def test_a_result_is_the_same(attempt: Attempt, words: tuple[str, ...]) -> None:
    said = attempt([probe(path="~/a", password="hunter2")], *words)
    (same,) = said.same
    assert same["check"] is ("--check" in words)
    assert (same.get("diff") is not None) is ("--diff" in words)
    assert said.done.stdout.count("+b") == (2 if "--diff" in words else 0)
    assert same["path"] == str(Path("~/a").expanduser())
    assert same["warnings"] == ["a warning"]
    assert [item["msg"] for item in same["deprecations"]] == ["old"]
    assert "hunter2" not in said.done.stdout + said.done.stderr + json.dumps(same)
    assert "password: VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in said.shown("forked")[0]


def test_every_end_is_the_same(attempt: Attempt) -> None:
    ends = ["fail", "raise", "exit", "silent", "words", "ok"]
    same = attempt([probe(end=end) for end in ends]).same
    assert [result["failed"] for result in same] == [end not in ("words", "ok") for end in ends]


def test_a_module_that_is_killed_fails_its_task_alone(attempt: Attempt) -> None:
    said = attempt([probe(end="killed"), probe()])
    for killed, after in said.results.values():
        assert killed["failed"]
        assert "Module result deserialization failed" in killed["msg"]
        assert not after["failed"]


def test_a_traceback_is_shown_where_it_is_asked_for(attempt: Attempt) -> None:
    said = attempt([probe(end="raise"), probe(end="fail")], ANSIBLE_DISPLAY_TRACEBACK="error")
    for raised, failed in said.results.values():
        assert "KeyError: 'not there'" in raised["exception"]
        assert "ValueError: within" in failed["exception"]


def test_wrong_arguments_are_refused_with_the_same_words(attempt: Attempt) -> None:
    wrong = [probe(bogus=1), probe(path={"a": 1}), probe(end=None, password=["a"])]
    same = attempt(wrong).same
    assert "Unsupported parameters for (tests.ways.probe) module: bogus" in same[0]["msg"]


def test_keywords_of_a_task_mean_the_same(attempt: Attempt) -> None:
    secret = {**probe(end="fail", password="hunter2"), "no_log": True}
    retried = {
        **probe(end="{{ item }}"),
        "loop": ["ok", "fail"],
        "retries": 1,
        "delay": 0,
        "until": "result_1 is success",
    }
    expected = {**probe(end="fail"), "failed_when": "'it failed' not in result_2.msg"}
    said = attempt([secret, retried, expected])
    forked, packed = (said.results[way] for way in WAYS)
    assert forked == packed
    assert [result["failed"] for result in forked] == [True, True, False]
    assert [item["failed"] for item in forked[1]["results"]] == [False, True]
    assert "hunter2" not in said.done.stdout + said.done.stderr


def test_ansibles_way_is_taken_where_a_fork_would_differ(attempt: Attempt, tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    found = {"ansible_interpreter_python_fallback": [str(other)]}
    keywords: list[dict[str, Any]] = [
        {"environment": {"A": "b"}},
        {"async": 30, "poll": 1},
        {"become": True, "become_user": getpass.getuser()},
        {"vars": {"ansible_python_interpreter": str(other)}},
        {"vars": {"ansible_python_interpreter": "auto_silent", **found}},
        {"vars": {"ansible_connection": "tests.ways.near"}},
    ]
    said = attempt([{**probe(), **one} for one in keywords], hosts=("forked",))
    assert not IN_A_FORK.findall(said.done.stdout)
    assert [result["failed"] for result in said.results["forked"]] == [False] * len(keywords)


@pytest.mark.parametrize("setting", ["ANSIBLE_KEEP_REMOTE_FILES", "ANSIBLE_PYTHON_MODULE_RLIMIT_NOFILE"])
def test_ansibles_way_is_taken_for_what_only_it_can_do(attempt: Attempt, setting: str) -> None:
    said = attempt([probe()], hosts=("forked",), **{setting: "512" if "LIMIT" in setting else "1"})
    assert not IN_A_FORK.findall(said.done.stdout)
    assert not said.results["forked"][0]["failed"]


def test_where_a_task_is_delegated_to_is_what_counts(attempt: Attempt) -> None:
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    there = {"ansible_connection": "tests.ways.near", "ansible_python_interpreter": sys.executable}
    add = [
        {"ansible.builtin.add_host": {"name": name, "groups": "added", **variables}}
        for name, variables in (("here", here), ("there", there))
    ]
    said = attempt(
        [{**probe(), "delegate_to": "here"}, {**probe(), "delegate_to": "there"}],
        hosts=("forked",),
        play_has={"pre_tasks": add},
    )
    assert len(IN_A_FORK.findall(said.done.stdout)) == 1
    assert [result["failed"] for result in said.results["forked"]] == [False, False]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    limit = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < limit, "It did not happen in time."
        time.sleep(0.05)
    return value


def test_a_task_whose_time_is_over_leaves_no_process(attempt: Attempt, tmp_path: Path) -> None:
    said = attempt([{**probe(end="sleep", pid_file=f"{tmp_path}/pid"), "timeout": 1}], hosts=("forked",))
    (result,) = said.results["forked"]
    assert result["failed"]
    assert "Timed out after 1 second(s)." in result["msg"]
    wait_until(lambda: gone(int((tmp_path / "pid").read_text())))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("attempt")
def test_a_run_that_is_stopped_leaves_no_process(tmp_path: Path, way: str) -> None:
    pid = tmp_path / "pid"
    task = {
        **probe(end="sleep", pid_file=str(pid)),
        "environment": {"PYTHONUNBUFFERED": "1"} if way == "packed" else {},
    }
    playbook = tmp_path / "play.yml"
    playbook.write_text(json.dumps([{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": [task]}]))
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", f"{way},", str(playbook)]
    env = {**os.environ, **collections(tmp_path), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    with subprocess.Popen(argv, env=env, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        child = int(wait_until(lambda: pid.exists() and pid.read_text()))
        process.send_signal(signal.SIGINT)
        process.wait(20)
    wait_until(lambda: gone(child))


# The modules of the collection

FAKE_SERVER = """\
#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
case "$1 $2" in
"entry show") echo '{"entries": [], "next_page_token": ""}' ;;
"bundle show") echo '{"trust_domain": "example.org"}' ;;
*) echo "no such thing" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def binary(tmp_path: Path) -> str:
    path = tmp_path / "spire-server"
    path.write_text(FAKE_SERVER)
    path.chmod(0o755)
    return str(path)


ENTRY = {
    "spiffe_id": "spiffe://example.org/cart",
    "parent_id": "spiffe://example.org/node/blue",
    "selectors": ["unix:uid:1"],
}


def test_an_entry_is_predicted_with_its_diff_and_the_defaults_of_the_group(
    attempt: Attempt, tmp_path: Path, binary: str
) -> None:
    defaults = {"module_defaults": {"group/trustmesh.spiffe.spire": {"binary": binary, "timeout": 9}}}
    said = attempt([{"trustmesh.spiffe.spire_entry": {"entries": [ENTRY]}}], "--check", "--diff", play_has=defaults)
    (same,) = said.same
    assert same["changed"]
    assert same["diff"]
    assert "timeout: 9" in said.shown("forked")[0]
    assert f"binary: {binary}" in said.shown("forked")[0]
    assert said.done.stdout.count("+++ ") == 2
    calls = (tmp_path / "calls").read_text().splitlines()
    half = len(calls) // 2
    assert calls[:half] == calls[half:]


def test_an_entry_is_refused_with_the_same_words(attempt: Attempt, binary: str) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "entries[0].spiffe_id: 'not one'": {"entries": [{**ENTRY, "spiffe_id": "not one"}]},
        "entries[0]: Unsupported parameters": {"entries": [{**ENTRY, "bogus": 1}]},
        "Unsupported parameters for (trustmesh.spiffe.spire_entry)": {"entries": [ENTRY], "bogus": 1},
        "/not/here": {"binary": "/not/here", "entries": [ENTRY], "api_key": "hunter2"},
    }
    said = attempt([{"trustmesh.spiffe.spire_entry": {"binary": binary, **options}} for options in wrong.values()])
    for words, result in zip(wrong, said.same, strict=True):
        assert result["failed"]
        assert words in result["msg"]
    assert "hunter2" not in said.done.stdout + said.done.stderr

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Runs a module on the control node without packing it and without starting a Python for it.

Ansible packs a module with all that it imports, and a new Python unpacks, compiles and imports that again, for every
task. On the control node everything is there already. So the process that works on a task forks, and the child runs the
module, with signals, locale, folder and outputs of its own, as the new Python would. Arguments go in and the result
comes out in the same form and through the same code of Ansible's. Where a new Python could do anything else than the
child, Ansible's own way is taken.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import logging
import os
import selectors
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from ansible import constants as C
from ansible.executor.interpreter_discovery import InterpreterDiscoveryRequiredError
from ansible.module_utils import basic
from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

try:
    from ansible.executor.module_common import _BuiltModule, _get_shebang
    from ansible.module_utils import _internal
    from ansible.module_utils._internal._ansiballz import _loader
    from ansible.module_utils.common.json import Direction, get_module_encoder

    KNOWN = True
except ImportError:
    KNOWN = False  # ansible-core before 2.19, or one in which these have other names

PROFILE = "legacy"
"""The form of arguments and results between Ansible and a module that does not ask for another one."""

display = Display()


class Forked(ActionBase):
    """What makes an action, of whichever kind, run its module in a fork. It takes it out of the class's ``module``."""

    module: ModuleType | None
    """Imported by each action's file, and so only once: Ansible loads that before it forks for the tasks."""

    _payload: bytes | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # What came with the module stays to the end. Whoever looks for garbage in it, here or in the fork of any task,
        # makes that process copy all of it.
        gc.freeze()

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        # With it, Ansible makes no temporary folder for the module, and there is nothing to put into one.
        return self._payload is not None or bool(super()._is_pipelining_enabled(module_style, wrap_async))

    def _execute_module(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self._payload = b"" if self._is_the_same(kwargs["task_vars"]) else None
        result: dict[str, Any] = super()._execute_module(*args, **kwargs)
        return result

    def _configure_module(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> Any:
        if self._payload is None or self.module is None:
            return super()._configure_module(module_name, module_args, task_vars)
        encoder = get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)
        self._payload = json.dumps({"ANSIBLE_MODULE_ARGS": module_args}, cls=encoder).encode()
        built = _BuiltModule(
            b_module_data=self._payload,
            module_style="new",
            shebang=f"#!{sys.executable}",
            serialization_profile=PROFILE,
        )
        return built, self.module.__file__

    def _low_level_execute_command(self, cmd: str, *args: Any, in_data: Any = None, **kwargs: Any) -> dict[str, Any]:
        module = self.module
        if self._payload is None or module is None or in_data is not self._payload:
            answer: dict[str, Any] = super()._low_level_execute_command(cmd, *args, in_data=in_data, **kwargs)
            return answer
        display.vvv(f"RUN {module.__name__} in a fork", host=self._play_context.remote_addr)
        code, out, err = forked(lambda: self._work(module, in_data), self._loader.get_basedir())
        # As for what the connection returns: text that is none does not stop the result from being read.
        stdout, stderr = out.decode(errors="replace"), err.decode(errors="replace")
        return {
            "rc": code,
            "stdout": stdout,
            "stdout_lines": stdout.splitlines(),
            "stderr": stderr,
            "stderr_lines": stderr.splitlines(),
        }

    def _work(self, module: ModuleType, arguments: bytes) -> None:
        """What the child is there for."""
        _run(module, arguments)

    def _is_the_same(self, task_vars: dict[str, Any]) -> bool:
        """Whether a new Python would do what a fork of this one does."""
        return bool(
            KNOWN
            and self.module
            and self._connection.ansible_name == "ansible.builtin.local"
            and not self._connection.become
            and not self._task.async_val
            and not self._compute_environment_string().strip()
            and not C.DEFAULT_KEEP_REMOTE_FILES
            and not C.config.get_config_value("PYTHON_MODULE_RLIMIT_NOFILE", variables=task_vars)
            and self._interpreter_is_this_one(task_vars)
        )

    def _interpreter_is_this_one(self, task_vars: dict[str, Any]) -> bool:
        if self._task.delegate_to:
            task_vars = task_vars["ansible_delegated_vars"][self._task.delegate_to]
        try:
            _shebang, interpreter = _get_shebang("/usr/bin/python", task_vars, self._templar)
        except InterpreterDiscoveryRequiredError:
            return False
        # One file can be the interpreter of several environments: the folder says of which.
        asked, this = Path(interpreter), Path(sys.executable)
        with contextlib.suppress(OSError):
            return asked.is_absolute() and asked.samefile(this) and asked.parent.samefile(this.parent)
        return False


class ForkedModule(Forked, NormalAction):
    """The action of a module of this collection."""


def _run(module: ModuleType, arguments: bytes) -> None:
    """Run the module's main as Ansible's wrapper does in a new Python, in a child that is there for this alone."""
    basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = arguments, PROFILE
    # Warnings of a module go into its result, and not to the display.
    _internal.is_controller = False
    try:
        module.main()
        raise RuntimeError("New-style module did not handle its own exit.")
    except Exception as error:
        _loader._handle_exception(error, PROFILE)


def forked(work: Callable[[], None], folder: str) -> tuple[int, bytes, bytes]:
    """Do ``work`` in a child, and return its exit code and what it wrote to both outputs."""
    out, child_out = os.pipe()
    err, child_err = os.pipe()
    child = os.fork()
    if not child:
        _be_the_child(work, folder, child_out, child_err)
    os.close(child_out)
    os.close(child_err)
    try:
        outputs = _read({out: bytearray(), err: bytearray()})
        _child, status = os.waitpid(child, 0)
    except BaseException:
        # The task's time is over. What the child runs it stops itself.
        os.kill(child, signal.SIGINT)
        raise
    finally:
        os.close(out)
        os.close(err)
    return os.waitstatus_to_exitcode(status), bytes(outputs[out]), bytes(outputs[err])


def _read(outputs: dict[int, bytearray]) -> dict[int, bytearray]:
    with selectors.DefaultSelector() as ready:
        for descriptor in outputs:
            ready.register(descriptor, selectors.EVENT_READ)
        while ready.get_map():
            for key, _events in ready.select():
                data = os.read(key.fd, 64 * 1024)
                outputs[key.fd].extend(data)
                if not data:
                    ready.unregister(key.fd)
    return outputs


def _be_the_child(work: Callable[[], None], folder: str, out: int, err: int) -> NoReturn:
    """Do ``work`` and end, whatever happens: what is above on the stack belongs to another process."""
    code = 1
    try:
        # What was there before the fork is needed to the end: whoever looks for garbage in it copies all of it.
        gc.freeze()
        # As in a new program. The handlers of the process that this was are for that one.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        # What is to be done at the end of the process that this was is its own, and so is its log. Modules' libraries
        # leave files that they remove at the end.
        atexit._clear()
        logging.root.handlers.clear()
        logging.root.setLevel(logging.WARNING)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - until the process ends
        sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb"), encoding="utf-8", write_through=True)
        sys.stderr = io.TextIOWrapper(
            os.fdopen(2, "wb"), encoding="utf-8", errors="backslashreplace", write_through=True
        )
        os.chdir(folder)
        work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        with contextlib.suppress(Exception):
            traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # Without what Ansible does at its end, such as to remove its temporary folder.
        os._exit(code)

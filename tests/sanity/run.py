# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test sanity on a copy of this checkout.

ansible-test only works in a folder ansible_collections/<namespace>/<name> that is no symlink, so the files that git
knows or would add are copied to such a folder first. Its virtual environments stay in build/sanity between runs.
Everything after the script's name is handed to ``ansible-test sanity``.
"""

from __future__ import annotations

import ast
import configparser
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build" / "sanity" / "home"

# ansible-test fetches a script that puts pip into its virtual environments, unless it finds one in its cache. Python
# brings pip along (ensurepip), so this does the same without a download. Options that pip does not know are left out.
# ensurepip runs as a process of its own because it turns pip's settings off for the one it runs in.
BOOTSTRAP = """\
import runpy, subprocess, sys
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
sys.argv = ["pip", "install", *(word for word in sys.argv[1:] if not word.startswith("--no-"))]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def files() -> list[str]:
    """Return the paths that git tracks, and the new ones that it does not ignore."""
    argv = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def copy_to(target: Path) -> None:
    """Copy the checkout's files to ``target``."""
    for name in files():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, path)


def pip_version() -> str:
    """Return the pip version whose bootstrap script ansible-test looks for."""
    from ansible_test import _internal  # noqa: PLC0415 - only there when the development requirements are installed

    text = (Path(_internal.__file__).parent / "python_requirements.py").read_text()
    found = re.search(r"pip='([0-9.]+)'", text)
    if not found:
        raise SystemExit("ansible-test changed: its pip version is not where tests/sanity/run.py looks for it.")
    return found.group(1)


def pip_settings() -> str:
    """Return the pip settings of this user as one configuration file.

    ansible-test starts pip with a bare environment, so settings that come by variable (an index, a certificate) would
    be lost, and those in the user's home too.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    settings = configparser.RawConfigParser()
    for line in listed.splitlines():
        name, sign, value = line.partition("=")
        section, dot, key = name.rpartition(".")
        if not sign or not dot:
            continue
        section = "global" if section == ":env:" else section
        if not settings.has_section(section):
            settings.add_section(section)
        settings.set(section, key, str(ast.literal_eval(value)))
    if not settings.has_section("global"):
        settings.add_section("global")
    settings.set("global", "quiet", "1")
    text = io.StringIO()
    settings.write(text)
    return text.getvalue()


def environment() -> dict[str, str]:
    """Return an environment with a home of ansible-test's own, with its pip bootstrap and the pip settings at hand."""
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"get_pip_{pip_version().replace('.', '_')}.py").write_text(BOOTSTRAP)
    config = HOME / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch(mode=0o600)  # an index address may hold a password
    config.write_text(pip_settings())
    # Settings of these names would point ansible-test at another tree than the copy.
    foreign = ("ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH", "PYTHONPATH")
    return {**{key: value for key, value in os.environ.items() if key not in foreign}, "HOME": str(HOME)}


def main() -> int:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    tool = Path(sys.executable).with_name("ansible-test")
    with tempfile.TemporaryDirectory(prefix="trustmesh-sanity-") as folder:
        target = Path(folder) / "ansible_collections" / "trustmesh" / "spiffe"
        copy_to(target)
        argv = [str(tool), "sanity", "--local", "--python", version, "--color", "no", *sys.argv[1:]]
        return subprocess.run(argv, cwd=target, env=environment(), stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

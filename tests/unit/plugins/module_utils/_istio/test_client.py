# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istioctl rendered is kept, and looked at before it is applied as the administrator of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.client import Istioctl

ISTIOCTL = """#!/bin/sh
case $1 in
  version) echo '{"clientVersion": {"version": "1.31.0"}}' ;;
  manifest) echo x >> "$0.rendered"; printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: istio}\\n' ;;
esac
"""


class Cached:
    """An istioctl that counts, and the folder in which is kept what it rendered."""

    def __init__(self, folder: Path) -> None:
        self.program, self.cache = folder / "istioctl", folder / "cache"
        self.program.write_text(ISTIOCTL)
        self.program.chmod(0o755)

    def render(self) -> list[str]:
        """Render the overlay; return what the user hears of."""
        istioctl = Istioctl(str(self.program), cache_dir=str(self.cache))
        assert [item["metadata"]["name"] for item in istioctl.render({"spec": {}}).objects] == ["istio"]
        return istioctl.notes

    @property
    def times(self) -> int:
        return len(Path(f"{self.program}.rendered").read_text().split())

    @property
    def file(self) -> Path:
        (found,) = self.cache.iterdir()
        return found


@pytest.fixture
def cached(tmp_path: Path) -> Cached:
    made = Cached(tmp_path)
    assert made.render() == []
    return made


def test_what_was_rendered_is_not_rendered_again(cached: Cached) -> None:
    assert cached.render() == []
    assert cached.times == 1
    assert cached.file.stat().st_mode & 0o777 == 0o600


def change(file: Path) -> None:
    file.write_text(file.read_text().replace('"istio"', '"other"'))


def cut(file: Path) -> None:
    os.truncate(file, 20)


def open_up(file: Path) -> None:
    file.chmod(0o666)


def link(file: Path) -> None:
    file.rename(file.parent.parent / "moved")
    file.symlink_to(file.parent.parent / "moved")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (change, "it is not what was written"),
        (cut, "it is not what was written"),
        (open_up, "others can write to it"),
        (link, "it cannot be read"),
    ],
)
def test_what_is_not_what_was_rendered_is_not_applied(cached: Cached, harm: Callable[[Path], None], why: str) -> None:
    file = cached.file
    harm(file)
    (note,) = cached.render()
    assert note.startswith(f"{file} is not used, {why}")
    assert note.endswith("The overlay is rendered again.")
    assert cached.times == 2
    assert cached.render() == []
    assert cached.times == 2


def test_a_cache_that_others_can_write_to_is_refused(cached: Cached) -> None:
    cached.cache.chmod(0o777)
    with pytest.raises(InputError, match=r"can be written to by everybody .* another folder with istio_cache_dir"):
        cached.render()

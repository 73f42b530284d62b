# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of machine_files: read what is to be there, and have a shell of the machine do all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._machine.model import (
    SHOWN,
    changed,
    differences,
    item_of,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import Completed
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome

Shell = Callable[[list[str], bytes], Completed]
"""Runs a command on the machine with an input."""

SCRIPT = r"""
how=$1 shows=$2 most=$3 staged= moves=
umask 022
# Who sends is not cut off by an error: it would be told in the place of what is wrong.
trap 'rm -f $staged; cat >/dev/null' EXIT
is_of() { [ "$(stat -c '%U:%G %a' "$1" 2>/dev/null)" = "$2" ]; }
while read -r kind path owner mode target digest size check seen; do
  if [ "$kind" = folder ]; then
    [ ! -L "$path" ] || { echo "$path is a link" >&2; exit 1; }
    if [ -d "$path" ] && is_of "$path" "$owner $mode"; then continue; fi
    echo "changed $path"
    [ "$how" = look ] || { mkdir -p "$path"; chown "$owner" "$path"; chmod "$mode" "$path"; }
  elif [ "$kind" = link ]; then
    [ "$(readlink "$path")" != "$target" ] || continue
    echo "changed $path"
    [ "$how" = look ] || ln -sfn "$target" "$path"
  elif [ "$kind" = coming ]; then
    echo "changed $path"
  else
    [ ! -d "$path" ] || { echo "$path is a folder" >&2; exit 1; }
    if [ -f "$path" ] && [ ! -L "$path" ]; then
      now=$(sha256sum <"$path" | cut -d ' ' -f 1)
      if [ "$now" = "$digest" ] && is_of "$path" "$owner $mode"; then head -c "$size" >/dev/null; continue; fi
      if [ "$shows$seen" = showopen ] && [ "$(wc -c <"$path")" -le "$most" ]; then
        echo "was $path $(base64 <"$path" | tr -d '\n')"
      fi
    fi
    echo "changed $path"
    [ "$how" != look ] || continue
    new=$(mktemp "${path%/*}/.XXXXXXXXXX")
    staged="$staged $new" moves="$moves $new $path"
    head -c "$size" >"$new"
    [ "$(wc -c <"$new")" -eq "$size" ] || { echo "what $path is to hold did not come as a whole" >&2; exit 1; }
    chown "$owner" "$new"
    chmod "$mode" "$new"
    [ "$check" != - ] || continue
    if ! sh -c "$(printf %s "$check" | base64 -d)" sh "$new" </dev/null >&2; then echo "refused $path"; exit 1; fi
  fi
done
set -- $moves
while [ $# != 0 ]; do mv -f "$1" "$2"; shift 2; done
"""


def spec() -> ArgumentSpec:
    """Return the options of machine_files."""
    options = {
        "path": {"type": "str", "required": True},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "str"},
        "content": {"type": "raw"},
        "src": {"type": "path"},
        "link": {"type": "str"},
        "validate": {"type": "str"},
        "secret": {"type": "bool", "default": False},
    }
    return ArgumentSpec(
        options={"files": {"type": "list", "elements": "dict", "required": True, "options": options}},
        free=["content", "validate"],
    )


def run(params: Mapping[str, Any], check_mode: bool, diff_mode: bool, shell: Shell) -> Outcome:
    """Bring folders, files and links of the machine to what the items say."""
    items = []
    for index, given in enumerate(params["files"]):
        where = f"files[{index}]"
        items.append(item_of(given, where, _read(where, given["src"], check_mode)))
    if not items:
        return Outcome(result={"paths": []})
    how = ["look" if check_mode else "make", "show" if diff_mode else "hide", str(SHOWN)]
    command = ["sh", "-euc", SCRIPT, "sh", *how]
    completed = shell(command, b"".join(item.request(asked=check_mode) for item in items))
    answer = completed.stdout.splitlines()
    if completed.rc != 0:
        said = completed.stderr.strip()[-2000:] or f"it ended with code {completed.rc} and said nothing"
        refused = [line.split(" ", 1)[1] for line in answer if line.startswith("refused ")]
        what = f"{refused[0]} is refused by what checks it" if refused else "the machine could not be changed"
        raise TrustmeshError(f"{what}, so that no file was replaced: {said}")
    paths = changed(answer)
    return Outcome(changed=bool(paths), diff=differences(items, answer) if diff_mode else None, result={"paths": paths})


def _read(where: str, src: str | None, check_mode: bool) -> bytes | None:
    if src is None:
        return None
    try:
        return Path(src).read_bytes()
    except FileNotFoundError:
        if check_mode:
            return None
        raise InputError(f"{where}.src: {src} is no file on the control node.") from None
    except OSError as error:
        raise InputError(f"{where}.src: {src} cannot be read: {error.strerror}.") from None

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_join_token: ask who lives under each alias, then mint only where nobody does."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import SecretFile
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import evict_agent, list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import check_alias
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.codec import NOT_FOUND
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import delete_entries, list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.client import generate_token
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.model import JoinToken
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.join_token.plan import (
    StoredToken,
    TokenPlan,
    Wanted,
    describe,
    plan_token,
)

MAX_TTL = 2**31 - 1
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")


def spec() -> ArgumentSpec:
    """The options of spire_join_token."""
    return ArgumentSpec(
        options={
            "spiffe_id": {"type": "str"},
            "dest": {"type": "path"},
            "tokens": {
                "type": "list",
                "elements": "dict",
                "no_log": False,
                "options": {
                    "spiffe_id": {"type": "str", "required": True},
                    "dest": {"type": "path"},
                    "ttl": {"type": "int"},
                    "force": {"type": "bool"},
                },
            },
            "ttl": {"type": "int", "default": 600},
            "force": {"type": "bool", "default": False},
        },
        required_one_of=[("spiffe_id", "tokens")],
        mutually_exclusive=[("spiffe_id", "tokens"), ("dest", "tokens")],
    ).merge(spire_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Make sure that the node of each alias has joined, or has a token to join with."""
    many = params["tokens"] is not None
    wanted = _check_input(params)
    server = connect(params)
    plans = _plan(server, wanted)
    results = [_result(want, plan) for want, plan in zip(wanted, plans, strict=True)]
    if not check_mode:
        _apply(server, wanted, plans, results)
    outcome = Outcome(
        changed=any(plan.mint for plan in plans),
        result={
            "actions": [action for want, plan in zip(wanted, plans, strict=True) for action in plan.actions(want.alias)]
        },
    )
    if many:
        outcome.result["tokens"] = results
        outcome.diff = [
            {"before_header": want.alias, "after_header": want.alias, **plan.diff(want)}
            for want, plan in zip(wanted, plans, strict=True)
            if plan.mint
        ]
    else:
        outcome.result.update(results[0])
        outcome.diff = plans[0].diff(wanted[0])
    return outcome


def _plan(server: SpireServer, wanted: Sequence[Wanted]) -> list[TokenPlan]:
    """Read the server once, for all of the aliases."""
    if not wanted:
        return []
    agents = list_agents(server)
    entries = list_entries(server, spiffe_id=wanted[0].alias if len(wanted) == 1 else None)
    now = time.time()
    return [plan_token(want, agents, entries, _stored(want.dest), now) for want in wanted]


def _apply(
    server: SpireServer, wanted: Sequence[Wanted], plans: Sequence[TokenPlan], results: Sequence[dict[str, Any]]
) -> None:
    """Carry the plans out and add the tokens to ``results``. What was done is told on failure, but no token."""
    done: list[dict[str, str]] = []
    with ExitStack() as files:
        # All files are opened first: a token that cannot be written would be lost, and an agent evicted for nothing.
        targets = [
            _open(want.dest, files) if want.dest and plan.mint else None
            for want, plan in zip(wanted, plans, strict=True)
        ]
        for want, plan, target, result in zip(wanted, plans, targets, results, strict=True):
            if not plan.mint:
                continue
            try:
                token = _mint(server, want, plan, done)
            except TrustmeshError as error:
                error.details.update(changed=bool(done), actions=done)
                raise
            result["expires_at"] = token.expires_at
            if target:
                # The file's time says until when the token is good, so that a later run can tell.
                target.commit(token.value, modified_at=token.expires_at)
            else:
                result["token"] = token.value


def _open(dest: str, files: ExitStack) -> SecretFile:
    target = SecretFile.open(dest)
    files.callback(target.close)
    return target


def _mint(server: SpireServer, want: Wanted, plan: TokenPlan, done: list[dict[str, str]]) -> JoinToken:
    actions = iter(plan.actions(want.alias))
    for agent in plan.evict:
        evict_agent(server, agent.spiffe_id)
        done.append(next(actions))
    for results in delete_entries(server, [entry.entry_id for entry in plan.delete]):
        failed = next((result for result in results if not result.ok and result.code != NOT_FOUND), None)
        if failed:
            raise TrustmeshError(
                f"{want.field('spiffe_id')}: the server refused to delete the entry {failed.entry_id}, which is "
                f"left of a token that was never used: {failed.message}. Run again."
            )
        done.extend(next(actions) for _result in results)
    token = generate_token(server, want.alias, want.ttl)
    done.append(next(actions))
    return token


def _result(want: Wanted, plan: TokenPlan) -> dict[str, Any]:
    result: dict[str, Any] = {
        "spiffe_id": want.alias,
        "reason": plan.reason,
        "agent": describe(plan.agent, plan.state),
    }
    if want.dest:
        result["dest"] = want.dest
    return result


def _stored(dest: str | None) -> StoredToken | None:
    """Return the token of an earlier run that stands in the file, with the time that the file carries."""
    path = Path(dest) if dest else None
    try:
        if path is None or not path.is_file() or path.stat().st_size > 200:
            return None
        value = path.read_text(encoding="ascii").strip()
        return StoredToken(value, path.stat().st_mtime) if _TOKEN.match(value) else None
    except (OSError, ValueError):
        return None  # whatever it is, it is no token that could be kept


def _check_input(params: Mapping[str, Any]) -> list[Wanted]:
    if params["tokens"] is None:
        return [_wanted("", params, params)]
    wanted = [_wanted(f"tokens[{number}]", item, params) for number, item in enumerate(params["tokens"])]
    for name, values in (("spiffe_id", [want.alias for want in wanted]), ("dest", [want.dest for want in wanted])):
        for number, value in enumerate(values):
            if value is not None and value in values[:number]:
                raise InputError(
                    f"tokens[{number}].{name}: {value} is also in tokens[{values.index(value)}]. Each node needs "
                    "its own."
                )
    return wanted


def _wanted(where: str, item: Mapping[str, Any], defaults: Mapping[str, Any]) -> Wanted:
    ttl = defaults["ttl"] if item["ttl"] is None else item["ttl"]
    force = defaults["force"] if item["force"] is None else item["force"]
    want = Wanted(item["spiffe_id"], ttl, item["dest"], force, where)
    check_alias(want.field("spiffe_id"), want.alias)
    if not 1 <= ttl <= MAX_TTL:
        raise InputError(f"{want.field('ttl')}: {ttl} is not between 1 and {MAX_TTL} seconds.")
    if want.dest is not None and not want.dest.strip():
        # Taken for no dest, it would put the token into the task's output.
        raise InputError(f"{want.field('dest')}: it is empty. Name the file, or leave dest out.")
    if want.dest:
        folder = Path(want.dest).parent
        if Path(want.dest).is_dir():
            raise InputError(f"{want.field('dest')}: {want.dest} is a folder; name the file.")
        if not folder.is_dir():
            raise InputError(
                f"{want.field('dest')}: the folder {folder} does not exist. Create it first, with mode 0700."
            )
    return want

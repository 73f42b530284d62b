# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case of spire_authority: read, plan, one step, and again until nothing is left to do.

The server is read before each step, so that a step is taken from what is, not from what an earlier run left: its own
rotation goes on beside ours.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError, WaitTimeout
from ansible_collections.trustmesh.spiffe.plugins.module_utils._files import replace
from ansible_collections.trustmesh.spiffe.plugins.module_utils._polling import poll
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.client import (
    change_authority,
    prepare_authority,
    show_authorities,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.codec import authorities_from_server
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.model import (
    JWT,
    TAINTED,
    UPSTREAM,
    X509,
    Authorities,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.plan import (
    ACTIVATE,
    PREPARE,
    REVOKE,
    TAINT,
    Plan,
    Step,
    check_type,
    needed_by_peers,
    plan_rotation,
    plan_rotations,
    plan_step,
    targets,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.client import list_relationships
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.peer.client import Peers, peers_option
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.peer.model import not_held
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography

ROTATED = "rotated"
SINGLE = ("prepared", "activated", "tainted", "revoked")
STATUS = {"activated": "active"}
"""What an authority is called in the state of the same meaning, where the words differ."""

DEFAULT_REFRESH_HINT = 300
_POLL_S = 0.5
_UPSTREAM_POLL_S = 4.0
"""Each look makes the server make a new key."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_KEY_ID = re.compile(r"[0-9a-f]{40}\Z")


def spec() -> ArgumentSpec:
    """The options of spire_authority."""
    return ArgumentSpec(
        options={
            "type": {"type": "str", "choices": [X509, JWT, UPSTREAM], "default": X509},
            "state": {"type": "str", "choices": [ROTATED, *SINGLE], "required": True},
            "authority_id": {"type": "str"},
            "older_than": {"type": "int"},
            "upstream_authority_id": {"type": "str"},
            "upstream_timeout": {"type": "int", "default": 180},
            "wait": {"type": "bool", "default": False},
            "renewal_file": {"type": "path"},
            "propagation": {"type": "int", "default": 30},
            "renewal_timeout": {"type": "int", "default": 600},
            "peers": peers_option(),
            "peer_timeout": {"type": "int", "default": 600},
        },
        mutually_exclusive=[("authority_id", "older_than")],
        required_if=[
            ("state", ROTATED, ("authority_id", "older_than"), True),
            *(("state", state, ("authority_id",)) for state in SINGLE if state != "prepared"),
        ],
    ).merge(spire_spec())


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Bring an authority where ``params`` want it."""
    _check_input(params)
    require_cryptography()
    upstream_id = params["upstream_authority_id"] or ""
    rotation = Rotation(
        connect(params),
        params["type"],
        params["propagation"],
        params["renewal_timeout"],
        upstream_id,
        params["upstream_timeout"],
        Renewals.at(params["renewal_file"]),
        Peers.connect(params),
    )
    state = rotation.read()
    check_type(state)
    authority_id = params["authority_id"] or ""
    work: list[Callable[[Authorities], Plan]]
    if params["state"] == ROTATED:
        ids = targets(state, authority_id, params["older_than"], time.time())
        plan = plan_rotations(state, ids)
        work = [partial(plan_rotation, authority_id=tainted_id) for tainted_id in ids]
    else:
        wanted = STATUS.get(params["state"], params["state"])
        plan = plan_step(state, wanted, authority_id, upstream_id)
        work = [partial(plan_step, wanted=wanted, authority_id=authority_id, upstream_id=upstream_id)]
    # Before anything is done, and in check mode too.
    reached = rotation.check_peers(state, plan) if plan.changed or params["wait"] else set()
    outcome = Outcome(changed=plan.changed, diff=plan.diff(), warnings=rotation.warnings(plan, reached))
    outcome.result = {"reason": plan.reason, "actions": plan.actions(), "authorities": state.public()}
    outcome.result["peers"] = rotation.peers.waited
    if check_mode:
        return outcome
    if plan.changed:
        for make_plan in work:
            rotation.carry_out(make_plan, one_step=params["state"] != ROTATED)
    if params["wait"]:
        rotation.wait_after(params["state"], authority_id)
    if plan.changed:
        outcome.result["authorities"] = rotation.read().public()
    return outcome


@dataclass
class Rotation:
    """A change of the authority of one type, with what was seen and done on the way."""

    server: SpireServer
    kind: str
    propagation: int
    renewal_timeout: int
    upstream_id: str = ""
    upstream_timeout: int = 0
    renewals: Renewals | None = None
    peers: Peers = field(default_factory=lambda: Peers([], 0))
    done: list[Step] = field(default_factory=list)
    serials: dict[str, str] | None = None

    @property
    def slots_kind(self) -> str:
        """An upstream authority is changed by changing the local X.509 authority that it signed."""
        return X509 if self.kind == UPSTREAM else self.kind

    def read(self) -> Authorities:
        return authorities_from_server(
            self.kind, show_authorities(self.server, self.slots_kind), show_bundle(self.server)
        )

    def carry_out(self, make_plan: Callable[[Authorities], Plan], one_step: bool) -> None:
        """Take the steps of the plan, each from a fresh reading. On failure tell which were taken."""
        self.serials = None
        try:
            while steps := make_plan(state := self.read()).steps:
                if one_step:
                    self._wait_for_peers(state, steps[0], 0)
                else:
                    self._wait_before(state, steps[0])
                self._take(steps[0])
                if one_step:
                    return
        except TrustmeshError as error:
            error.details.update(changed=bool(self.done), actions=[step.action() for step in self.done])
            raise

    def wait_after(self, state: str, authority_id: str) -> None:
        """Return when what a single step did is known everywhere: for what was done by an earlier run, too.

        On failure tell which steps were taken.
        """
        now = self.read()
        try:
            if state == "prepared" and now.prepared:
                self._wait_for_peers(now, Step(ACTIVATE, now.prepared.authority_id), self.peers.timeout)
                time.sleep(self.propagation)
            elif state == "tainted" and now.status(authority_id) == TAINTED:
                if self.kind != JWT:
                    if self.serials is None and self.renewals:
                        self.serials = self.renewals.read(authority_id)
                    self._wait_for_agents(authority_id)
                time.sleep(self.propagation)
        except TrustmeshError as error:
            error.details.update(changed=bool(self.done), actions=[step.action() for step in self.done])
            raise

    def check_peers(self, state: Authorities, plan: Plan) -> set[str]:
        """Refuse peers that cannot be waited for. Return the trust domains of those that can."""
        if not self.peers.peers:
            return set()
        for step in plan.steps[:1]:
            needed_by_peers(state, step)
        return self.peers.check(show_bundle(self.server).trust_domain)

    def warnings(self, plan: Plan, reached: Collection[str]) -> list[str]:
        """Say when trust domains that are not ``reached`` as peers may learn of the new authority too late."""
        if ACTIVATE not in [step.verb for step in plan.steps]:
            return []
        others = sorted({one.trust_domain for one in list_relationships(self.server)}.difference(reached))
        if not others:
            return []
        hint = show_bundle(self.server).refresh_hint or DEFAULT_REFRESH_HINT
        if self.propagation >= hint:
            return []
        return [
            f"This trust domain federates with {', '.join(others)}, and they read its bundle every {hint} s. They "
            "refuse what the new authority signs until then. Name their servers as peers, which are waited for, or set "
            f"propagation to {hint} or more."
        ]

    def _wait_before(self, state: Authorities, step: Step) -> None:
        if step.verb == ACTIVATE:
            # First, since the agents of the peers have it from them.
            self._wait_for_peers(state, step, self.peers.timeout)
            # What the new authority signs must be believed everywhere from the first moment on. The server cannot tell
            # which agents and workloads have read the bundle; agents ask for it every few seconds.
            time.sleep(self.propagation)
        elif step.verb == REVOKE:
            if self.kind != JWT:
                self._wait_for_agents(step.authority_id)
            # The workloads' SVIDs are known to their agents only, which replace them within seconds once they know.
            time.sleep(self.propagation)
        if step.verb in (TAINT, REVOKE):
            # One that was set back meanwhile, or that an earlier run did not know of, would be cut off for good.
            self._wait_for_peers(state, step, self.peers.timeout)

    def _wait_for_peers(self, state: Authorities, step: Step, seconds: int) -> None:
        """Wait until each peer holds what it needs before a step. With 0 seconds it is looked once."""
        needed = needed_by_peers(state, step) if self.peers.peers else ""
        if needed:
            own = show_bundle(self.server).trust_domain
            late = self.peers.late(needed, own, seconds)
            if late:
                raise not_held(late, step.verb, step.authority_id, needed=needed, own=own, seconds=seconds)

    def _take(self, step: Step) -> None:
        if step.verb == PREPARE:
            self._prepare()
        elif step.verb == ACTIVATE:
            change_authority(self.server, self.slots_kind, step.verb, step.authority_id)
        else:
            if step.verb == TAINT:
                self.serials = self._living()
                if self.renewals:
                    # Before anybody is told to renew, so that a later run knows who has.
                    self.renewals.write(step.authority_id, self.serials)
            change_authority(self.server, self.kind, step.verb, step.authority_id)
        self.done.append(step)

    def _prepare(self) -> None:
        """Prepare, and again until the wanted upstream authority has signed: its files may come a moment later."""
        deadline = time.monotonic() + self.upstream_timeout
        prepare_authority(self.server, self.slots_kind)
        while self.upstream_id:
            state = self.read()
            # One more than is needed would be one too many.
            if self.upstream_id in (state.active.upstream_id, state.prepared.upstream_id if state.prepared else ""):
                return
            if time.monotonic() >= deadline:
                raise _not_signed(state, self.upstream_id, self.upstream_timeout)
            time.sleep(min(_UPSTREAM_POLL_S, max(deadline - time.monotonic(), 0)))
            prepare_authority(self.server, self.slots_kind)
        self._check_prepared()

    def _check_prepared(self) -> None:
        state = self.read()
        if self.kind == UPSTREAM and state.id_of(state.prepared) == state.id_of(state.active):
            raise TrustmeshError(
                f"The upstream authority still signs with {state.id_of(state.active)}, so that a new local authority "
                "gets no other issuer. Let it sign with a new key first, then run again.",
                authorities=state.public(),
            )

    def _living(self) -> dict[str, str]:
        """The serial number of each agent that may renew its SVID, by its id as it may be shown."""
        now = time.time()
        agents = (agent for agent in list_agents(self.server) if agent.is_alive(now))
        return {redact(agent.spiffe_id): agent.serial_number for agent in agents}

    def _wait_for_agents(self, authority_id: str) -> None:
        """Wait until each agent that lived when the authority was tainted uses another SVID, or lives no more.

        An agent whose SVID is of a revoked authority is refused, and one that joined by token is then lost. When the
        taint was an earlier run's work, an agent that renewed meanwhile cannot be told from one that did not, so that
        each must renew once more.
        """
        resumed = self.serials is None
        before = self._living() if self.serials is None else self.serials
        waiting: list[str] = []

        def all_are_renewed() -> bool:
            now = self._living()
            waiting[:] = sorted(agent for agent, serial in before.items() if now.get(agent) == serial)
            return not waiting

        if not poll(all_are_renewed, time.monotonic() + self.renewal_timeout, _POLL_S):
            raise _not_renewed(authority_id, waiting, self.renewal_timeout, resumed)


@dataclass(frozen=True)
class Renewals:
    """A file that remembers which SVIDs the agents had when an authority was tainted."""

    path: Path

    @classmethod
    def at(cls, path: str | None) -> Renewals | None:
        return cls(Path(path)) if path else None

    def write(self, authority_id: str, serials: Mapping[str, str]) -> None:
        """Remember them. Raises InputError when that cannot be, before anything is tainted."""
        text = json.dumps({"authority_id": authority_id, "agents": dict(serials)})
        try:
            replace(self.path, text)
        except OSError as error:
            raise InputError(f"renewal_file: {self.path} cannot be written: {error.strerror}.") from error

    def read(self, authority_id: str) -> dict[str, str] | None:
        """Return what an earlier run has remembered of this authority, if it has."""
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            if kept["authority_id"] == authority_id:
                return {str(agent): str(serial) for agent, serial in kept["agents"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass  # nobody has remembered anything that can be read
        return None


def _not_signed(state: Authorities, upstream_id: str, seconds: int) -> WaitTimeout:
    signed_by = (state.prepared.upstream_id if state.prepared else "") or "the server itself"
    return WaitTimeout(
        f"upstream_authority_id: after {seconds} s what the server prepares is still signed by {signed_by}, and not by "
        f"{upstream_id}. Its files of the new CA may not be there yet (a kubelet takes up to two minutes), or key and "
        "certificate do not fit, which the server does not tell. Nothing is signed with what is prepared. Look at the "
        "files, and run again.",
        authorities=state.public(),
    )


def _not_renewed(authority_id: str, waiting: list[str], seconds: int, resumed: bool) -> WaitTimeout:
    more = f" (and {len(waiting) - 1} more, see agents_not_renewed)" if len(waiting) > 1 else ""
    why = (
        "The authority was tainted before this task, so that each agent has to renew once more, which happens after "
        "half of the life of its SVID at the latest. "
        if resumed
        else ""
    )
    return WaitTimeout(
        f"The authority {authority_id} is tainted but was not revoked: within {seconds} s the agent {waiting[0]}"
        f"{more} did not use a new SVID. It may be down, and once the authority is revoked it cannot come back with "
        f"the SVID it has. {why}Run again to go on waiting, or evict it with spire_agent, or give it up with "
        f"state=revoked and authority_id={authority_id}, which does not wait.",
        agents_not_renewed=waiting,
    )


def _check_input(params: Mapping[str, Any]) -> None:
    authority_id = params["authority_id"]
    if params["state"] == "prepared":
        for name in ("authority_id", "older_than"):
            if params[name] is not None:
                raise InputError(f"{name}: state=prepared takes none, the server makes a new authority.")
    if params["type"] == UPSTREAM and params["state"] in ("prepared", "activated"):
        raise InputError(f"type=upstream: state={params['state']} is for the server's own authority. Use type=x509.")
    if authority_id is not None:
        pattern, form = (_ID, "letters, digits, - and _") if params["type"] == JWT else (_KEY_ID, "40 digits 0-9a-f")
        if not pattern.match(authority_id):
            raise InputError(
                f"authority_id: {authority_id!r} is no id of an authority, which has {form}. spire_server_info shows "
                "the ids."
            )
    _check_waiting(params)
    if params["older_than"] is not None:
        if params["state"] != ROTATED:
            raise InputError("older_than: it goes with state=rotated only. Give authority_id.")
        if params["type"] != X509:
            raise InputError(
                f"older_than: the server does not tell when a {params['type']} authority was made. Give authority_id."
            )
        if params["older_than"] < 0:
            raise InputError(f"older_than: {params['older_than']} is negative. Give a number of seconds.")
    for name in ("propagation", "renewal_timeout", "upstream_timeout", "peer_timeout"):
        if params[name] < 0:
            raise InputError(f"{name}: {params[name]} is negative. Give a number of seconds.")


def _check_waiting(params: Mapping[str, Any]) -> None:
    upstream_id = params["upstream_authority_id"]
    if upstream_id is not None:
        if params["type"] != X509 or params["state"] != "prepared":
            raise InputError("upstream_authority_id: it goes with type=x509 and state=prepared only.")
        if not _KEY_ID.match(upstream_id):
            raise InputError(
                f"upstream_authority_id: {upstream_id!r} is no id of an authority, which has 40 digits 0-9a-f. It is "
                "the subject key id of the upstream CA that is to sign."
            )
    if params["peers"] and params["type"] == JWT:
        raise InputError(
            "peers: type=jwt has none, since only X.509 authorities are looked for at a peer. Leave it out, and set "
            "propagation above the refresh hint of the bundle."
        )
    if params["wait"] and params["state"] not in ("prepared", "tainted"):
        raise InputError("wait: it goes with state=prepared and state=tainted only.")
    if params["renewal_file"] is not None and not (params["wait"] and params["state"] == "tainted"):
        raise InputError("renewal_file: it goes with state=tainted and wait only.")

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case behind ``trust_check``: read and refuse, run everything, report."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import (
    redact,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import (
    engine,
    files,
    junit,
    model,
    options,
    page,
    reading,
    report,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.attempts import Attempts
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.places import (
    cluster_of,
    places_spec,
    read_places,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.spire import RealServer, Server
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import Cluster, RootSource, World


class ChecksFailed(TrustmeshError):
    """At least one check failed. Carries the whole report."""


def spec() -> ArgumentSpec:
    """The options of ``trust_check``."""
    own = ArgumentSpec(
        {
            "scenario": {"type": "str", "required": True},
            "istio_roots": options.many(options.ISTIO_ROOT, default=[]),
            "endpoints": options.many(options.ENDPOINT, default=[]),
            "checks": options.many(options.CHECK, required=True),
            "versions": {"type": "dict", "default": {}},
            "spire_agent_binary": {"type": "path", "default": "spire-agent"},
            "report_dir": {"type": "path"},
            "timeout": {"type": "float", "default": 60},
            "interval": {"type": "float", "default": 0.5},
            "settle": {"type": "float", "default": 10},
            "fail_on_failed": {"type": "bool", "default": True},
        },
        free=["contains"],
    )
    return own.merge(places_spec())


@dataclass(frozen=True)
class _Task:
    """What was asked for, read and judged."""

    scenario: str
    world: World
    checks: list[model.Check]
    limits: engine.Limits
    tested: report.Tested


def run(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Run all checks of ``params``, write and return the report. In check mode only the input is judged."""
    chain.require_cryptography()
    task = _read(params)
    folder = Path(params["report_dir"]).absolute() if params["report_dir"] else None
    if check_mode:
        count = report.counted(len(task.checks), "check")
        word = f"{task.scenario}: {count} well-formed. In check mode nothing is tried."
        return Outcome(result={"report": {}, "table": [word], "failures": [], "report_files": {}})
    if folder:
        files.prepare(folder)
    started = _now()
    attempts = Attempts(task.world)
    verdicts = engine.run(task.checks, attempts, task.limits, attempts.prepare)
    made = report.make(
        scenario=task.scenario,
        endpoints=task.world.mesh.endpoints,
        tested=task.tested,
        verdicts=verdicts,
        started=started,
        finished=_now(),
        agents=_agents(task.world.servers),
    )
    result: dict[str, Any] = {
        "report": made,
        "table": report.table(made, files.width(report.TABLE_WIDTH)),
        "failures": report.failures(made),
        "report_files": _write(folder, made) if folder else {},
    }
    if folder:
        result["table"].append(f"report: {result['report_files']['html']}")
    if result["failures"] and params["fail_on_failed"]:
        raise ChecksFailed("\n".join([report.summary(made), *result["failures"]]), **result)
    return Outcome(result=result)


def _agents(servers: Mapping[str, Server]) -> dict[str, list[dict[str, Any]]]:
    """The agents that may renew their certificates now. A server that does not answer has failed its checks already."""

    def living(server: Server) -> list[dict[str, Any]]:
        try:
            known = server.agents()
        except TrustmeshError:
            return []
        return [
            {"id": redact(agent.spiffe_id), "attestation_type": agent.attestation_type, "expires_at": agent.expires_at}
            for agent in sorted(known, key=lambda agent: agent.spiffe_id)
            if agent.is_alive(time.time())
        ]

    with ThreadPoolExecutor(max_workers=max(len(servers), 1)) as pool:
        return dict(zip(servers, pool.map(living, servers.values()), strict=True))


def _read(params: Mapping[str, Any]) -> _Task:
    scenario = files.name_of("scenario", params["scenario"])
    limits = _limits(params)
    places = read_places(params)
    mesh = reading.read_mesh(params["endpoints"], places.domains, list(places.clusters))
    world = World(
        mesh=mesh,
        servers={name: RealServer(server) for name, server in places.servers.items()},
        clusters=places.clusters,
        istio_roots=_istio_roots(params["istio_roots"], places.clusters),
        spire_agent_binary=params["spire_agent_binary"],
    )
    tested = report.Tested(
        versions=_versions(params["versions"]),
        clusters={name: cluster.context or "" for name, cluster in places.clusters.items()},
        servers=places.domains,
    )
    return _Task(scenario, world, reading.read_checks(params["checks"], mesh), limits, tested)


def _istio_roots(items: Sequence[Mapping[str, Any]], clusters: Mapping[str, Cluster]) -> list[RootSource]:
    sources = []
    for index, item in enumerate(items):
        where = f"istio_roots[{index}]"
        cluster = cluster_of(where, item["cluster"], clusters)
        for option in ("namespace", "config_map"):
            if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", item[option]):
                raise InputError(f"{where}: {option} is {item[option]!r}, which is no name of Kubernetes.")
        sources.append(RootSource.of(item["cluster"], cluster, item["namespace"], item["config_map"]))
    return sources


def _versions(values: Mapping[str, Any]) -> dict[str, str]:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
            raise InputError(f"versions: {name} is {value!r}, expected a text such as 1.15.3.")
    return {str(name): str(value) for name, value in values.items()}


def _limits(params: Mapping[str, Any]) -> engine.Limits:
    for name, low in (("timeout", 1), ("interval", 0.05), ("settle", 0)):
        if not low <= params[name] <= 3600:
            raise InputError(f"{name} is {params[name]:g}, expected {low:g} to 3600 seconds.")
    return engine.Limits(params["timeout"], params["interval"], params["settle"])


def _write(folder: Path, made: report.Report) -> dict[str, str]:
    """Write the reports. They are a product of each run, like a log, so this changes nothing of the system."""
    texts = {
        "json": json.dumps(made, indent=2, ensure_ascii=False) + "\n",
        "html": page.html(made),
        "junit": junit.xml(made),
    }
    names = {kind: f"{made['scenario']}.{'xml' if kind == 'junit' else kind}" for kind in texts}
    return files.write(folder, names, texts)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)

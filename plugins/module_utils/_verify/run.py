# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case behind ``trust_check``: read and refuse, run everything, report."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec, kubectl_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kubectl import access_of
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.connection import connect, spire_spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import (
    SpiffeIdError,
    check_trust_domain,
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
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.spire import RealServer, Server
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.world import Cluster, RootSource, World

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ACCESS = kubectl_spec().options
"""How to get to a cluster: what a server and a cluster both have."""


class ChecksFailed(TrustmeshError):
    """At least one check failed. Carries the whole report."""


def spec() -> ArgumentSpec:
    """The options of ``trust_check``."""
    name: dict[str, Any] = {"type": "str", "required": True}
    server = {"name": name, "trust_domain": name, "cluster": {"type": "str"}, **spire_spec().options}
    return ArgumentSpec(
        {
            "scenario": {"type": "str", "required": True},
            "clusters": options.many({"name": name, **_ACCESS}, default=[]),
            "servers": options.many(server, default=[]),
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
        "table": report.table(made, _width()),
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
    scenario = _scenario(params["scenario"])
    limits = _limits(params)
    given = reading.by_name("clusters", params["clusters"])
    clusters = {name: _access(where, item) for name, (where, item) in given.items()}
    servers: dict[str, Server] = {}
    domains: dict[str, str] = {}
    for name, (where, item) in reading.by_name("servers", params["servers"]).items():
        domains[name] = _trust_domain(where, item["trust_domain"])
        servers[name] = _server(where, item, given, clusters)
    mesh = reading.read_mesh(params["endpoints"], domains, list(clusters))
    world = World(
        mesh=mesh,
        servers=servers,
        clusters=clusters,
        istio_roots=_istio_roots(params["istio_roots"], clusters),
        spire_agent_binary=params["spire_agent_binary"],
    )
    tested = report.Tested(
        versions=_versions(params["versions"]),
        clusters={name: cluster.context or "" for name, cluster in clusters.items()},
        servers=domains,
    )
    return _Task(scenario, world, reading.read_checks(params["checks"], mesh), limits, tested)


def _access(where: str, item: Mapping[str, Any]) -> Cluster:
    for option in _ACCESS:
        value = item[option]
        if isinstance(value, str) and not (value.strip() and value.isprintable()):
            raise InputError(f"{where}: {option} is {value!r}. Give a value on one line, or leave it out.")
    try:
        access = access_of(item)
    except InputError as error:
        raise InputError(f"{where}: {error.message}") from error
    return Cluster(access.kubectl, access.kubeconfig, access.context)


def _server(
    where: str,
    item: Mapping[str, Any],
    given: Mapping[str, tuple[str, Mapping[str, Any]]],
    clusters: Mapping[str, Cluster],
) -> Server:
    at = dict(item)
    if item["pod"] is not None and item["pod_selector"] is not None:
        raise InputError(f"{where}: pod and pod_selector are mutually exclusive. Give one of them.")
    if item["cluster"] is not None:
        cluster = _cluster(where, item["cluster"], clusters)
        if item["pod"] is None and item["pod_selector"] is None:
            raise InputError(f"{where}: cluster is given without pod or pod_selector. Name the server's pod.")
        for option in _ACCESS:
            # What comes from the environment, or is a default, was not given beside the cluster.
            if item[option] not in (None, given[item["cluster"]][1][option], *_unset(option)):
                raise InputError(
                    f"{where}: {option} is given, and so is cluster, which has one of its own. Leave out one of them."
                )
        at |= {**dict.fromkeys(_ACCESS), **dataclasses.asdict(cluster)}
    try:
        return RealServer(connect(at))
    except InputError as error:
        raise InputError(f"{where}: {error.message}") from error


def _unset(option: str) -> list[Any]:
    """What an option of kubectl may be when nobody gave it."""
    _function, variables = _ACCESS[option].get("fallback", (None, ()))
    values: list[Any] = [os.environ[name] for name in variables if name in os.environ]
    if _ACCESS[option]["type"] == "bool":
        values = [boolean(value, strict=False) for value in values]
    return [*values, _ACCESS[option].get("default")]


def _cluster(where: str, name: str, clusters: Mapping[str, Cluster]) -> Cluster:
    if name not in clusters:
        known = ", ".join(clusters) or "there is none"
        raise InputError(f"{where}: cluster is {name!r}, which is none of clusters. Known clusters: {known}.")
    return clusters[name]


def _istio_roots(items: Sequence[Mapping[str, Any]], clusters: Mapping[str, Cluster]) -> list[RootSource]:
    sources = []
    for index, item in enumerate(items):
        where = f"istio_roots[{index}]"
        cluster = _cluster(where, item["cluster"], clusters)
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


def _scenario(name: str) -> str:
    if not _FILE_NAME.fullmatch(name):
        raise InputError(
            f'scenario: "{name}" cannot name a file. Use letters, digits, dots, dashes and underscores,'
            " and a letter or digit first."
        )
    return name


def _trust_domain(where: str, name: str) -> str:
    try:
        return check_trust_domain(name)
    except SpiffeIdError as error:
        raise InputError(f"{where}: trust_domain: {error.message}.") from error


def _write(folder: Path, made: report.Report) -> dict[str, str]:
    """Write the reports. They are a product of each run, like a log, so this changes nothing of the system."""
    texts = {
        "json": json.dumps(made, indent=2, ensure_ascii=False) + "\n",
        "html": page.html(made),
        "junit": junit.xml(made),
    }
    paths = {kind: folder / f"{made['scenario']}.{'xml' if kind == 'junit' else kind}" for kind in texts}
    for kind, text in texts.items():
        files.replace(paths[kind], text)
    return {kind: str(path) for kind, path in paths.items()}


def _width() -> int:
    """The width of the table: that of the user's terminal if it is known, less what Ansible puts in front."""
    columns = os.environ.get("COLUMNS", "")
    return min(max(int(columns) - 8, 72), report.TABLE_WIDTH) if columns.isdecimal() else report.TABLE_WIDTH


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)

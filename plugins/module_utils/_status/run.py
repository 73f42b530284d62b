# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case behind trust_status: ask everybody side by side, tell it in one table. Nothing is changed."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.mesh import info as istio
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.client import list_agents
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.agent.model import Aliases, public
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.entry.client import list_entries
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.federation.info import reports
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.server.info import describe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import redact
from ansible_collections.trustmesh.spiffe.plugins.module_utils._status import report
from ansible_collections.trustmesh.spiffe.plugins.module_utils._status.model import entries_told, make, problems
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.chain import require_cryptography
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import files, options
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.places import (
    Places,
    cluster_of,
    places_spec,
    read_places,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.report import TABLE_WIDTH

_AT_ONCE = 8
_PROBE_S = 5


class NotWell(TrustmeshError):
    """Something is not as it should be. Carries the whole status."""


def spec() -> ArgumentSpec:
    """The options of trust_status."""
    mesh: dict[str, Any] = {
        "cluster": {"type": "str", "required": True},
        "namespace": {"type": "str", "default": "istio-system"},
    }
    own = ArgumentSpec(
        {
            "scenario": {"type": "str", "required": True},
            "meshes": options.many(mesh, default=[]),
            "certificates": {"type": "bool", "default": True},
            "probe": {"type": "bool", "default": False},
            "istioctl": {"type": "path", "default": "istioctl"},
            "timeout": {"type": "int", "default": 60},
            "report_dir": {"type": "path"},
            "fail_on_problems": {"type": "bool", "default": False},
        }
    )
    return own.merge(places_spec())


def run(params: Mapping[str, Any], _check_mode: bool) -> Outcome:
    """Read servers and meshes, write and return what they are like."""
    require_cryptography()
    scenario = files.name_of("scenario", params["scenario"])
    if params["timeout"] < 1:
        raise InputError(f"timeout: {params['timeout']} is not a positive number of seconds.")
    places = read_places(params)
    if not places.servers and not params["meshes"]:
        raise InputError("servers: there are none, and no meshes. Name what is to be looked at.")
    meshes = [_mesh_options(index, item, params, places) for index, item in enumerate(params["meshes"])]
    folder = Path(params["report_dir"]).absolute() if params["report_dir"] else None
    if folder:
        files.prepare(folder)
    warnings: list[str] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = [
            pool.submit(_server, name, places.domains[name], server, params["probe"])
            for name, server in places.servers.items()
        ]
        looked = [
            pool.submit(_mesh, item["cluster"], given, warnings)
            for item, given in zip(params["meshes"], meshes, strict=True)
        ]
        status = make(
            scenario,
            [future.result() for future in asked],
            [future.result() for future in looked],
            datetime.datetime.now(datetime.timezone.utc),
        )
    result: dict[str, Any] = {
        "status": status,
        "table": report.table(status, files.width(TABLE_WIDTH)),
        "problems": problems(status),
        "report_files": _write(folder, status) if folder else {},
    }
    if folder:
        result["table"].append(f"report: {result['report_files']['html']}")
    if result["problems"] and params["fail_on_problems"]:
        raise NotWell("\n".join(result["problems"]), **result)
    return Outcome(warnings=warnings, result=result)


def _mesh_options(index: int, item: Mapping[str, Any], params: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """The options of istio_info for a cluster."""
    cluster = cluster_of(f"meshes[{index}]", item["cluster"], places.clusters)
    return {
        "namespace": item["namespace"],
        "proxies": True,
        "certificates": params["certificates"],
        "proxy_namespaces": None,
        "parallel": _AT_ONCE,
        "istioctl": params["istioctl"],
        "timeout": params["timeout"],
        "kubectl": cluster.kubectl,
        "kubeconfig": cluster.kubeconfig,
        "context": cluster.context,
    }


def _server(name: str, trust_domain: str, server: SpireServer, probe: bool) -> dict[str, Any]:
    """What a server tells. One that does not answer is told as such, and the others are told."""

    def read() -> dict[str, Any]:
        told = describe(server)
        entries = list_entries(server)
        aliases = Aliases.of(entries)
        agents = sorted(list_agents(server), key=lambda agent: redact(agent.spiffe_id))
        return {
            **told,
            "agents": [public(agent, aliases.of_agent(agent)) for agent in agents],
            "entries": entries_told(entries, time.time()),
            "federation": reports(server, None, _PROBE_S if probe else None),
        }

    told = _told(read)
    if not told["problem"] and told["trust_domain"] != trust_domain:
        told["problem"] = f"it signs for the trust domain {told['trust_domain']}, and not for {trust_domain}"
    return {"trust_domain": trust_domain, **told, "name": name}


def _mesh(cluster: str, given: Mapping[str, Any], warnings: list[str]) -> dict[str, Any]:
    """What Istio in a cluster is like."""

    def read() -> dict[str, Any]:
        outcome = istio.run(given, False)
        warnings.extend(f"{cluster}: {warning}" for warning in outcome.warnings)
        return outcome.result

    return {**_told(read), "cluster": cluster, "namespace": given["namespace"]}


def _told(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {**read(), "problem": ""}
    except TrustmeshError as error:
        return {"problem": error.message}


def _write(folder: Path, status: Mapping[str, Any]) -> dict[str, str]:
    """Write the status. It is a product of each run, like a log, so this changes nothing of the system."""
    texts = {"json": json.dumps(status, indent=2, ensure_ascii=False) + "\n", "html": report.html(status)}
    return files.write(folder, {kind: f"{status['scenario']}-status.{kind}" for kind in texts}, texts)

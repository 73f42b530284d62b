# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""The use case behind ``trust_check``: read and refuse, run everything, report."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._process import LocalProcess, PodProcess, Process
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import Outcome
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.call import SpireServer
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.spiffe_id import SpiffeIdError, check_trust_domain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import chain
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify import engine, files, model, page, report
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.attempts import Attempts, RootSource, World

CALL_TIMEOUT = 15.0
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ChecksFailed(TrustmeshError):
    """At least one check failed. Carries the whole report."""


def trust_check(params: Mapping[str, Any], check_mode: bool) -> Outcome:
    """Run all checks of ``params``, write and return the report. In check mode only the input is judged."""
    chain.require_cryptography()
    scenario = _scenario(params["scenario"])
    trust_domain = _trust_domain(params["trust_domain"])
    limits = _limits(params)
    endpoints = model.read_endpoints(params["endpoints"] or {})
    checks = model.read_checks(params["checks"], endpoints, trust_domain)
    folder = Path(params["report_dir"]).absolute() if params["report_dir"] else None
    if check_mode:
        word = f"{scenario}: the {len(checks)} checks are well-formed. In check mode none of them is made."
        return Outcome(result={"report": {}, "table": [word], "failures": [], "report_files": {}})
    if folder:
        files.prepare(folder)
    started = _now()
    attempts = Attempts(_world(params, trust_domain, endpoints))
    verdicts = engine.run(checks, attempts, limits, attempts.prepare)
    made = report.make(
        scenario=scenario,
        trust_domain=trust_domain,
        endpoints=endpoints,
        verdicts=verdicts,
        started=started,
        finished=_now(),
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


def _write(folder: Path, made: report.Report) -> dict[str, str]:
    """Write both reports. They are a product of each run, like a log, so this changes nothing of the system."""
    paths = {kind: folder / f"{made['scenario']}.{kind}" for kind in ("json", "html")}
    files.replace(paths["json"], json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    files.replace(paths["html"], page.html(made))
    return {kind: str(path) for kind, path in paths.items()}


def _width() -> int:
    """The width of the table: that of the user's terminal if it is known, less what Ansible puts in front."""
    columns = os.environ.get("COLUMNS", "")
    return min(max(int(columns) - 8, 72), report.TABLE_WIDTH) if columns.isdecimal() else report.TABLE_WIDTH


def _world(params: Mapping[str, Any], trust_domain: str, endpoints: Mapping[str, model.Endpoint]) -> World:
    at = params["spire_server"]
    return World(
        trust_domain=trust_domain,
        server=SpireServer(_process(at), at["binary"], at["socket_path"], CALL_TIMEOUT),
        endpoints=endpoints,
        kubectl=params["kubectl"],
        istio_root=_root_source(params["istio_root"]),
        spire_agent_binary=params["spire_agent_binary"],
    )


def _process(at: Mapping[str, Any]) -> Process:
    if not at["pod"]:
        return LocalProcess()
    return PodProcess(at["pod"], at["namespace"], at["container"], at["kubectl"], at["kubeconfig"], at["context"])


def _root_source(at: Mapping[str, Any] | None) -> RootSource | None:
    if not at:
        return None
    argv = [at["kubectl"]]
    for option in ("kubeconfig", "context"):
        if at[option]:
            argv += [f"--{option}", at[option]]
    argv += ["--namespace", at["namespace"], "get", "configmap", at["config_map"]]
    return RootSource(LocalProcess(), (*argv, "--output", r"jsonpath={.data.root-cert\.pem}"))


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


def _trust_domain(name: str) -> str:
    try:
        return check_trust_domain(name)
    except SpiffeIdError as error:
        raise InputError(f"trust_domain: {error.message}.") from error


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)

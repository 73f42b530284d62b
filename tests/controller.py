# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for a controller of AWX, which is in no package registry: as much of its API as the modules of awx.awx use.

It keeps objects in memory, refuses references to what is not there, playbooks that it would not offer, and surveys
that AWX refuses, and shows no secret. What it does was read from the modules, and seen on a controller of version 24.6.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ROOT = Path(__file__).resolve().parents[1]
API = "/api/v2/"
SECRET = "$encrypted$"
BEARER = "OpenShift or Kubernetes API Bearer Token"
QUESTIONS = {"text", "textarea", "password", "multiplechoice", "multiselect", "integer", "float"}
# Fields that name another object, and the kind of that.
REFERENCES = {
    "organization": ("organizations",),
    "project": ("projects",),
    "source_project": ("projects",),
    "inventory": ("inventories",),
    "execution_environment": ("execution_environments",),
    "default_environment": ("execution_environments",),
    "credential_type": ("credential_types",),
    "workflow_job_template": ("workflow_job_templates",),
    "unified_job_template": ("job_templates", "projects", "workflow_job_templates", "workflow_approval_templates"),
}
TYPES = {"inventories": "inventory"}
UNIFIED = ("job_templates", "projects", "workflow_job_templates")
ASSOCIATED = {
    "galaxy_credentials": "credentials",
    "credentials": "credentials",
    "success_nodes": "workflow_job_template_nodes",
    "always_nodes": "workflow_job_template_nodes",
    "failure_nodes": "workflow_job_template_nodes",
}

Item = dict[str, Any]


class Refused(Exception):
    """What a request is answered with when it is not done."""

    def __init__(self, status: int, words: Any) -> None:
        super().__init__(str(words))
        self.status, self.words = status, words


@dataclass
class Controller:
    """Objects by kind, and what was asked."""

    playbooks: Iterable[str] = ()
    objects: dict[str, dict[int, Item]] = field(default_factory=dict)
    surveys: dict[int, Item] = field(default_factory=dict)
    associations: dict[tuple[str, int, str], list[int]] = field(default_factory=dict)
    inputs: dict[int, Item] = field(default_factory=dict)
    """What credentials hold, in clear."""
    changes: list[str] = field(default_factory=list)
    """Each request that changed something or tried to."""
    last: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        fields = [{"id": "host"}, {"id": "bearer_token", "secret": True}, {"id": "verify_ssl", "type": "boolean"}]
        fields.append({"id": "ssl_ca_cert", "secret": True})
        self.add("credential_types", {"name": BEARER, "managed": True, "inputs": {"fields": fields}})
        self.add("credential_types", {"name": "Galaxy", "managed": True, "inputs": {"fields": []}})
        self.add("credentials", {"name": "Ansible Galaxy", "credential_type": self.id_of("credential_types", "Galaxy")})

    def id_of(self, kind: str, name: str) -> int:
        """Return the id of an object."""
        return next(one["id"] for one in self.objects[kind].values() if one["name"] == name)

    def named(self, kind: str) -> dict[str, Item]:
        """Return the objects of a kind by their names, without those that every controller has."""
        found = self.objects.get(kind, {}).values()
        return {one["name"]: one for one in found if not one.get("managed") and one["name"] != "Ansible Galaxy"}

    def associated(self, kind: str, name: str, what: str) -> list[str]:
        """Return the names of what is associated with an object."""
        ids = self.associations.get((kind, self.id_of(kind, name), what), [])
        return [self.objects[ASSOCIATED[what]][one]["name"] for one in ids]

    def add(self, kind: str, given: Item) -> Item:
        """Make an object."""
        self.judge(kind, given)
        self.last += 1
        url = f"{API}{kind}/{self.last}/"
        related = {"survey_spec": f"{url}survey_spec/"} if kind in ("job_templates", "workflow_job_templates") else {}
        new: Item = {"id": self.last, "type": TYPES.get(kind, kind.removesuffix("s")), "url": url, "related": related}
        new |= {"summary_fields": {}, "description": ""}
        if kind == "projects":
            related["update"] = f"{url}update/"
            new |= {"scm_revision": "0123abc", "summary_fields": {"current_update": {"id": 1}}}
        self.objects.setdefault(kind, {})[self.last] = new
        self.change(kind, new, given)
        if kind == "organizations":
            # Each begins with the public Galaxy.
            self.associations[kind, self.last, "galaxy_credentials"] = [self.id_of("credentials", "Ansible Galaxy")]
        return new

    def judge(self, kind: str, given: Item, this: int = 0) -> None:
        """Refuse what a controller refuses."""
        for name, kinds in REFERENCES.items():
            value = given.get(name)
            if value is not None and not any(value in self.objects.get(one, {}) for one in kinds):
                raise Refused(400, {name: [f'Invalid pk "{value}" - object does not exist.']})
        if "name" in given and kind not in ("schedules", "workflow_approval_templates"):
            for other in self.objects.get(kind, {}).values():
                same = other.get("name") == given["name"] and other.get("organization") == given.get("organization")
                if same and other["id"] != this:
                    raise Refused(400, {"__all__": ["an object with this name is there"]})
        if kind == "job_templates" and given.get("playbook") not in self.playbooks:
            raise Refused(400, {"playbook": ["Playbook not found for project."]})
        if kind == "inventory_sources" and not (ROOT / given["source_path"]).is_file():
            raise Refused(400, {"source_path": ["it is not in the project"]})
        if kind == "credentials" and given.get("inputs"):
            known = {
                one["id"] for one in self.objects["credential_types"][given["credential_type"]]["inputs"]["fields"]
            }
            if not given["inputs"].keys() <= known:
                raise Refused(400, {"inputs": ["a field that its type does not have"]})

    def change(self, kind: str, item: Item, given: Item) -> None:
        """Set fields. What is secret is kept, and not shown."""
        shown = dict(given)
        if kind == "inventories":
            shown["kind"] = given.get("kind") or ""
        if kind == "credentials":
            fields = self.objects["credential_types"][given["credential_type"]]["inputs"]["fields"]
            secret = {one["id"] for one in fields if one.get("secret")}
            self.inputs[item["id"]] = given.get("inputs", {})
            shown["inputs"] = {
                key: SECRET if key in secret else value for key, value in given.get("inputs", {}).items()
            }
        if "unified_job_template" in given:
            item["related"]["unified_job_template"] = self.unified(given["unified_job_template"])["url"]
        item.update(shown)

    def unified(self, wanted: int) -> Item:
        """Return what can be run, of any kind."""
        kinds = REFERENCES["unified_job_template"]
        return next(self.objects[kind][wanted] for kind in kinds if wanted in self.objects.get(kind, {}))

    def listed(self, kind: str, asked: dict[str, str]) -> Item:
        """Return those objects of a kind that have the values asked for."""
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        found = [one for each in kinds for one in self.objects.get(each, {}).values()]
        either = {key.removeprefix("or__"): value for key, value in asked.items() if key.startswith("or__")}
        both = {key: value for key, value in asked.items() if not key.startswith("or__")}
        results = [
            one
            for one in found
            if all(str(one.get(key)) == value for key, value in both.items())
            and (not either or any(str(one.get(key)) == value for key, value in either.items()))
        ]
        return {"count": len(results), "next": None, "previous": None, "results": results}

    def answer(self, method: str, path: str, asked: dict[str, str], given: Item) -> tuple[int, Any]:
        """Answer a request."""
        kind, *rest = path.removeprefix(API).strip("/").split("/")
        if method != "GET" and kind != "tokens":
            self.changes.append(f"{method} {path}")
        match (method, kind, rest):
            case ("POST", "tokens", []):
                return 201, {"id": 1, "token": "t0ken"}
            case (_, "tokens", _):
                return 204, None
            case ("GET", "project_updates", [_]):
                return 200, {"status": "successful", "finished": "now", "failed": False, "scm_revision": "0123abc"}
            case ("GET", _, []):
                return 200, self.listed(kind, asked)
            case ("POST", _, []):
                return 201, self.add(kind, given)
        item = self.objects.get(kind, {}).get(int(rest[0]))
        if item is None:
            raise Refused(404, {"detail": "Not found."})
        return self.answer_about(method, kind, item, rest[1:], given)

    def answer_about(  # noqa: PLR0911 - a table
        self, method: str, kind: str, item: Item, rest: list[str], given: Item
    ) -> tuple[int, Any]:
        """Answer a request about one object."""
        match (method, rest):
            case ("GET", []):
                return 200, item
            case ("PATCH", []):
                self.judge(kind, {**item, **given}, item["id"])
                self.change(kind, item, {**{key: item[key] for key in ("credential_type",) if key in item}, **given})
                return 200, item
            case ("GET", ["survey_spec"]):
                return 200, self.surveys.get(item["id"], {})
            case ("POST", ["survey_spec"]):
                judge_survey(given)
                self.surveys[item["id"]] = given
                return 200, {}
            case ("POST", ["update"]):
                # It is done at once, and found nothing new.
                self.changes.pop()
                item["summary_fields"] = {}
                return 202, {"id": 2, "url": f"{API}project_updates/2/"}
            case ("POST", ["create_approval_template"]):
                made = self.add("workflow_approval_templates", given)
                self.change(kind, item, {"unified_job_template": made["id"]})
                return 201, made
            case (_, [what]) if what in ASSOCIATED and kind != "workflow_approval_templates":
                return self.associate(method, (kind, item["id"], what), given)
        raise Refused(404, {"detail": "Not found."})

    def associate(self, method: str, key: tuple[str, int, str], given: Item) -> tuple[int, Any]:
        """List, add or remove what is associated with an object."""
        ids = self.associations.setdefault(key, [])
        if method == "GET":
            results = [self.objects[ASSOCIATED[key[2]]][one] for one in ids]
            return 200, {"count": len(results), "next": None, "previous": None, "results": results}
        if given.get("disassociate"):
            ids.remove(given["id"])
        else:
            ids.append(given["id"])
        return 204, None


def judge_survey(spec: Item) -> None:
    """Refuse a survey as a controller does."""
    for name in ("name", "description", "spec"):
        if not isinstance(spec.get(name), list if name == "spec" else str):
            raise Refused(400, {"error": f"{name} is missing or of another type"})
    seen = set()
    for question in spec["spec"]:
        for name in ("type", "question_name", "variable", "required"):
            if name not in question:
                raise Refused(400, {"error": f"{name} is missing"})
        if question["type"] not in QUESTIONS or question["variable"] in seen:
            raise Refused(400, {"error": f"{question['variable']}: a type that is none, or a variable twice"})
        seen.add(question["variable"])
        if any(not isinstance(question.get(name, 0), int) for name in ("min", "max")):
            raise Refused(400, {"error": "min and max are integers"})
        choices = question.get("choices")
        if question["type"].startswith("multi") and (not choices or question.get("default", choices[0]) not in choices):
            raise Refused(400, {"error": f"{question['variable']}: its default is none of its choices"})


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    controller: Controller

    def handle_one(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        given = json.loads(self.rfile.read(length) or "{}")
        with self.controller.lock:
            try:
                if "Authorization" not in self.headers:
                    raise Refused(401, {"detail": "Authentication credentials were not provided."})
                status, told = self.controller.answer(self.command, parts.path, dict(parse_qsl(parts.query)), given)
            except Refused as refused:
                status, told = refused.status, refused.words
            body = b"" if told is None else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_one

    def log_message(self, format: str, *args: Any) -> None:
        pass


def serve(controller: Controller) -> tuple[ThreadingHTTPServer, dict[str, str]]:
    """Start answering for a controller. Returns the server, and what the environment says of it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"controller": controller}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, {
        "CONTROLLER_HOST": f"http://127.0.0.1:{server.server_address[1]}",
        "CONTROLLER_OAUTH_TOKEN": "t0ken",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }

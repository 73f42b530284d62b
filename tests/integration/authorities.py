# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of spire_authority share: the module on a server, what became of it, and an upstream CA."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.bundle.client import show_bundle
from certificates import Identity, issue
from cryptography import x509

from .conftest import TRUST_DOMAIN, Server, run_module


def options(server: Server, **more: Any) -> dict[str, Any]:
    return {**server.connection, "propagation": 0, "renewal_timeout": 60, **more}


def run(server: Server, check: bool = False, **more: Any) -> dict[str, Any]:
    result = run_module("spire_authority", options(server, **more), check=check)
    assert not result.get("failed"), result
    return result


def failure(server: Server, check: bool = False, **more: Any) -> dict[str, Any]:
    result = run_module("spire_authority", options(server, **more), check=check)
    assert result.get("failed"), result
    return result


def slots(server: Server, kind: str = "x509") -> dict[str, Any]:
    answer: dict[str, Any] = server.cli("localauthority", kind, "show")
    return answer


def active(server: Server, kind: str = "x509") -> str:
    return str(slots(server, kind)["active"]["authority_id"])


def trusted(server: Server) -> int:
    return len(show_bundle(server.client).x509_authorities)


def verbs(result: dict[str, Any]) -> list[str]:
    return [action["verb"] for action in result["actions"]]


def upstream_of(server: Server, slot: str = "active") -> str:
    return str(slots(server)[slot]["upstream_authority_subject_key_id"])


def id_of(authority: Identity) -> str:
    """The id by which SPIRE calls an authority that was made here."""
    return authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()


@dataclass
class Root:
    """The files of an upstream CA, which servers read."""

    folder: Path
    trust_domain: str = TRUST_DOMAIN
    names: dict[str, Identity] = field(default_factory=dict)

    def put(self, name: str) -> str:
        """Put the CA of a name into the files, and return its id."""
        made = self.names.setdefault(name, issue(f"spiffe://{self.trust_domain}", ca=True, name=name))
        (self.folder / "root.pem").write_text(made.pem)
        (self.folder / "root.key").write_text(made.key_pem)
        return id_of(made)

    @property
    def plugin(self) -> str:
        paths = {"cert": "root.pem", "key": "root.key", "bundle": "root.pem"}
        data = " ".join(f'{name}_file_path = "{self.folder}/{file}"' for name, file in paths.items())
        return f'UpstreamAuthority "disk" {{ plugin_data {{ {data} }} }}'

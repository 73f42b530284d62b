# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoys as the role configures them, with identities of a real SPIRE: whom they let in and believe, and limits."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._envoy.config import Limits, configuration
from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls.probe import probe
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.xfcc import parse
from peers import free_port

from ..conftest import TRUST_DOMAIN, binary, wait_until
from .conftest import BLUE, GREEN, Site, answers

OTHER = f"spiffe://{TRUST_DOMAIN}/somebody-else"
PERMITTED = f"spiffe://{TRUST_DOMAIN}/client/permitted"


@contextlib.contextmanager
def envoy(site: Site, folder: Path, instance: dict[str, Any], limits: Limits | None = None) -> Iterator[None]:
    """Run an Envoy by the configuration of an instance, with a port of its own for the admin interface."""
    given = configuration(
        {"namespace": "shop", "mesh": False, **instance}, f"{site.folder}/agent.sock", limits or Limits()
    )
    given["admin"]["address"]["socket_address"]["port_value"] = free_port()
    file = folder / f"{instance['name']}.json"
    file.write_text(json.dumps(given))
    argv = [binary("envoy"), "-c", str(file), "--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
    with (folder / f"{instance['name']}.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as run:
        try:
            for listener in instance["listeners"]:
                wait_until(f"{instance['name']} listens", lambda port=listener["port"]: answers(port), 30)
            yield
        finally:
            run.kill()


def upstream(name: str, port: int, *ids: str) -> dict[str, Any]:
    return {"name": name, "address": "127.0.0.1", "port": port, **({"spiffe_ids": [*ids]} if ids else {})}


def listener(port: int, to: str, *allowed: str) -> dict[str, Any]:
    found = {"name": f"in-{port}", "address": "127.0.0.1", "port": port, "routes": [{"upstream": to}]}
    return {**found, **({"allowed_spiffe_ids": [*allowed]} if allowed else {})}


def quote_envoy(site: Site, port: int, *allowed: str) -> dict[str, Any]:
    return {
        "name": "quote",
        "spiffe_id": GREEN,
        "listeners": [listener(port, "quote", *allowed)],
        "upstreams": [upstream("quote", site.quote_port)],
    }


def get(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("expected", "allowed", "status"),
    [
        (GREEN, BLUE, 200),
        # The server is of the trust domain, and not the one that is meant.
        (OTHER, BLUE, 503),
        # The client is, and may not call.
        (GREEN, OTHER, 503),
    ],
)
def test_each_end_lets_in_whom_it_expects(site: Site, tmp_path: Path, expected: str, allowed: str, status: int) -> None:
    front, back = free_port(), free_port()
    gateway = {
        "name": "gateway",
        "spiffe_id": BLUE,
        "listeners": [listener(front, "quote")],
        "upstreams": [upstream("quote", back, expected)],
    }
    with envoy(site, tmp_path, quote_envoy(site, back, allowed)), envoy(site, tmp_path, gateway):
        if status == 200:
            wait_until("the certificates are there", lambda: get(front) == 200, 15)
        else:
            # Certificates have been there long before: what is refused stays so.
            seen = set()
            until = time.monotonic() + 3
            while time.monotonic() < until:
                seen.add(get(front))
            assert seen == {status}


def said(site: Site, port: int, spiffe_id: str, headers: dict[str, str]) -> dict[str, Any]:
    """What an Envoy answers to a client of this SPIFFE ID, who says something of itself."""
    minted = mint(site.spire, spiffe_id)
    return probe("127.0.0.1", port, certificate=minted, key=minted, headers=headers)


def mint(spire: Callable[..., str], spiffe_id: str) -> str:
    """A certificate with its chain, and its key, in the order in which OpenSSL looks for them."""
    text = spire("x509", "mint", "-spiffeID", spiffe_id)
    return "".join(re.findall(r"-----BEGIN .*?-----END [A-Z ]+-----\n", text.partition("Root CAs")[0], re.DOTALL))


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"x-client-spiffe-id": PERMITTED},
        {"x-forwarded-client-cert": f"By={BLUE};Hash=00;URI={PERMITTED}"},
        {"x-client-spiffe-id": PERMITTED, "connection": "x-client-spiffe-id, x-forwarded-client-cert"},
        {"x_client_spiffe_id": PERMITTED},
    ],
    ids=["nothing", "its own header", "a hop more", "hop by hop", "with underscores"],
)
def test_those_behind_a_proxy_are_told_who_its_client_is_by_the_certificate_alone(
    site: Site, tmp_path: Path, claims: dict[str, str]
) -> None:
    front, back = free_port(), free_port()
    inner = quote_envoy(site, back, BLUE)
    inner["listeners"][0] |= {"forwarded_client_cert": "append", "on_behalf_of": [PERMITTED]}
    proxy = {
        "name": "proxy",
        "spiffe_id": BLUE,
        "listeners": [listener(front, "quote", PERMITTED, OTHER)],
        "upstreams": [upstream("quote", back, GREEN)],
    }
    with envoy(site, tmp_path, inner), envoy(site, tmp_path, proxy):
        wait_until("the certificates are there", lambda: said(site, front, PERMITTED, {})["status"] == 200, 15)
        other = said(site, front, OTHER, claims)
        if "x_client_spiffe_id" in claims:
            assert (other["status"], other["from_behind"]) == (400, False), "no header of that kind is taken at all"
            return
        assert (other["status"], other["from_behind"]) == (403, True)
        assert "RBAC: access denied" in other["body"]
        # Who may is known by its certificate, whatever it says.
        claims = {name: value.replace(PERMITTED, OTHER) for name, value in claims.items()}
        seen = said(site, front, PERMITTED, claims)
        assert seen["status"] == 200
        hops = parse(json.loads(seen["body"])["forwarded_client_cert"])
        assert [hop["uri"] for hop in hops] == [[PERMITTED], [BLUE]]
        # Around the proxy nobody says for whom it asks.
        assert said(site, back, PERMITTED, {"x-client-spiffe-id": PERMITTED})["alert"]


def test_a_client_that_does_not_finish_its_handshake_is_cut_off(site: Site, tmp_path: Path) -> None:
    port = free_port()
    with envoy(site, tmp_path, quote_envoy(site, port, BLUE)), socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(10)
        client.sendall(b"\x16\x03\x01")  # the first bytes of a handshake, and no more
        began = time.monotonic()
        assert client.recv(1) == b""
        assert 3 < time.monotonic() - began < 9


def test_no_more_clients_than_the_limit(site: Site, tmp_path: Path) -> None:
    port = free_port()

    def taken(client: socket.socket) -> bool:
        client.settimeout(0.5)
        try:
            return client.recv(1) != b""
        except TimeoutError:
            return True
        except ConnectionResetError:
            return False

    with envoy(site, tmp_path, quote_envoy(site, port, BLUE), Limits(connections=5)), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _client in range(9)]
        # The one that waited for the listener may still be counted.
        assert 4 <= sum(map(taken, clients)) <= 5

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What no option may hold, and what can be an address. Pure: the modules, the filters and the facts all ask here.

Values end up in files, in objects of Kubernetes and in arguments. A line break in a name is another line there, and
what is left of a template means that nobody has said what is meant. Values are never shown: some are secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError

_TEMPLATES = ("{{", "{%")
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters other than those by which a text has lines and columns."""
_SIGNS = {"\n": "a line break", "\r": "a line break", "\0": "a zero byte"}
_TEMPLATE_FIELD = re.compile(r"(?i).*templates?")
"""Fields for templates of SPIRE's own: C(agent_path_template), C(spiffeIDTemplate), C(dnsNameTemplates)."""
# RFC 1123, 2.1, and RFC 952: labels of letters, digits and dashes. What ends in a number is read as an IP address in
# many forms, so only the one that ipaddress knows is taken.
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?:[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?(?:\.(?!\Z)|\Z))+")
_LAST_IS_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)")

HOST = "an IP address or a DNS name of letters, digits, dots and dashes (RFC 1123)"
SERVER_NAME = "a name of letters, digits, dots, dashes and underscores"
PORT = "a port from 1 to 65535"


def unclean(given: Mapping[str, Any], free: Collection[str] = ()) -> list[str]:
    """Return a text for each value in ``given`` that no option may hold, with the option, the index and the field.

    ``free`` are names of options and fields for free text: it may have several lines, and templates of somebody else's.
    """
    return [fault for name, value in given.items() for fault in _faults(str(name), str(name), value, free)]


def _faults(where: str, name: str, value: Any, free: Collection[str]) -> Iterator[str]:
    if isinstance(value, str):
        fault = _fault(value, name in free, name in free or _TEMPLATE_FIELD.fullmatch(name) is not None)
        if fault:
            yield f"{where}: it holds {fault}."
    elif isinstance(value, Mapping):
        for key, item in value.items():
            fault = _fault(key, False, name in free) if isinstance(key, str) else ""
            if fault:
                yield f"{where}: the name of one of its fields holds {fault}."
                continue
            # What is in free text is free as well, and what is in a template field belongs to it.
            below = name if name in free or not isinstance(key, str) else key
            yield from _faults(f"{where}.{key}", below, item, free)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _faults(f"{where}[{index}]", name, item, free)


def _fault(text: str, lines: bool, templates: bool) -> str:
    if not text.isprintable():
        found = _NO_TEXT.search(text) if lines else next(sign for sign in text if not sign.isprintable())
        if found:
            sign = found if isinstance(found, str) else found[0]
            told = _SIGNS.get(sign, f"the character U+{ord(sign):04X}")
            return f"{told} or another character that no {'text' if lines else 'name'} has"
    if not templates:
        for left in _TEMPLATES:
            if left in text:
                return f"«{left}», which is left of a template that nobody filled in"
    return ""


def is_host(value: Any) -> bool:
    """Whether this is an IP address or a DNS name, and nothing else."""
    return is_ip(value) or (is_name(value) and _LAST_IS_NUMBER.fullmatch(value) is None)


def is_ip(value: Any) -> bool:
    """Whether this is an IP address, and means the same everywhere."""
    try:
        # A zone (fe80::1%eth0) means something on one machine only, and may be any text.
        return isinstance(value, str) and getattr(ipaddress.ip_address(value), "scope_id", None) is None
    except ValueError:
        return False


def is_server_name(value: Any) -> bool:
    """Whether this can be asked for in a handshake. Istio's own have underscores: C(outbound_.80_._.web.shop.svc)."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.:-]{1,253}", value) is not None


def is_name(value: Any) -> bool:
    """Whether this can name something in DNS, as a node or a Service is named. It may be of digits alone."""
    return isinstance(value, str) and _HOST_NAME.fullmatch(value) is not None


def is_port(value: Any) -> bool:
    """Whether this is a port, as a number or as its digits."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value):
        value = int(value)
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536


_PLACES = {"port": (is_port, PORT), "server_name": (is_server_name, SERVER_NAME)}
"""The end of a field's name to what it must be. The others are addresses."""


def place_faults(given: Mapping[str, Any]) -> list[str]:
    """Return a text for each address and port in ``given`` that is none; which of the two it is says its name.

    An empty address is not known yet, and not judged.
    """
    found = []
    for name, value in given.items():
        good, words = next(
            (rule for ending, rule in _PLACES.items() if name.endswith(ending)),
            (is_host, HOST),
        )
        if value not in ("", None) and not good(value):
            found.append(f"{name}: {str(value)[:80]!r} is not {words}.")
    return found


def told_place(whose: str, host: Any, port: Any) -> str:
    """Return ``host:port`` as somebody else has told it, or refuse it: it goes on into configurations of others."""
    if not is_host(host):
        raise InputError(
            f"{whose} has told the address {str(host)[:80]!r}, which is not {HOST}. Nothing was done with it: find"
            " out who put it there."
        )
    if not is_port(port):
        raise InputError(
            f"{whose} has told the port {str(port)[:80]!r}, which is not {PORT}. Nothing was done with it: find out"
            " who put it there."
        )
    return f"{host}:{port}"

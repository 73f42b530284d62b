# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Reads Envoy's header x-forwarded-client-cert. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

Element = dict[str, list[str]]
"""One hop: lower-case key to its values (URI and DNS may come several times). Cert and Chain are decoded to PEM."""


def parse(header: str) -> list[Element]:
    """Return the hops in the order in which proxies appended them. Raises ValueError when it is no such header."""
    return [_element(text) for text in _split(header, ",") if text.strip()]


def _element(text: str) -> Element:
    element: Element = {}
    for pair in _split(text, ";"):
        if not pair.strip():
            continue
        key, equals, value = pair.strip().partition("=")
        if not equals or not key:
            raise ValueError(f"{pair.strip()[:60]!r} is no key=value pair of x-forwarded-client-cert")
        key = key.strip().lower()
        value = value.strip()
        if value.startswith('"'):
            value = _unquote(value)
        element.setdefault(key, []).append(unquote(value) if key in ("cert", "chain") else value)
    return element


def _split(text: str, separator: str) -> Iterator[str]:
    """Split at ``separator`` outside double quotes."""
    start, quoted, escaped = 0, False, False
    for position, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and letter == "\\":
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif letter == separator and not quoted:
            yield text[start:position]
            start = position + 1
    if quoted:
        raise ValueError("x-forwarded-client-cert has a quote that never ends")
    yield text[start:]


def _unquote(value: str) -> str:
    if len(value) < 2 or not value.endswith('"'):
        raise ValueError(f"x-forwarded-client-cert has text after a quoted value: {value[-30:]!r}")
    inner, out, escaped = value[1:-1], [], False
    for letter in inner:
        if letter == "\\" and not escaped:
            escaped = True
            continue
        out.append(letter)
        escaped = False
    return "".join(out)

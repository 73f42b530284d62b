# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Which fields of a live object are not as they are rendered. Pure: no Ansible, no I/O.

A live object always holds more than the rendered one: the server fills in defaults, other programs add fields of their
own. So the rendered object is compared as a subset. What we set in an earlier run and render no more is found in the
server's own record of who set which field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.model import FIELD_MANAGER
from ansible_collections.trustmesh.spiffe.plugins.module_utils._kube.model import KubeObject

Path = tuple[str, ...]


class _Missing:
    def __repr__(self) -> str:
        return "(absent)"


MISSING = _Missing()
"""Stands for a value that is not there; None is a value that JSON can hold."""


@dataclass(frozen=True)
class Change:
    """One field: where it is, what is there, what is wanted."""

    path: Path
    before: Any
    after: Any

    @property
    def where(self) -> str:
        text = ""
        for part in self.path:
            text += part if part.startswith("[") else f".{part}"
        return text.lstrip(".")


@dataclass(frozen=True)
class Yielded:
    """A field that belongs to istiod once it runs; we only give its first value."""

    kind: str
    path: Path
    reason: str

    def matches(self, kind: str, path: Path) -> bool:
        if kind != self.kind or len(path) != len(self.path):
            return False
        return all(want in ("*", have) for want, have in zip(self.path, path, strict=True))


YIELDED = (
    Yielded(
        "ValidatingWebhookConfiguration",
        ("webhooks", "*", "failurePolicy"),
        "rendered as Ignore; istiod sets it to Fail once it can answer, and it must stay so",
    ),
    Yielded(
        "ValidatingWebhookConfiguration",
        ("webhooks", "*", "clientConfig", "caBundle"),
        "istiod writes the bundle of its own serving certificate",
    ),
    Yielded(
        "MutatingWebhookConfiguration",
        ("webhooks", "*", "clientConfig", "caBundle"),
        "istiod writes the bundle of its own serving certificate",
    ),
)

# Lists that the server keeps as maps, and the fields that are the key. Every other list is one value as a whole.
_LIST_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "containers": (("name",),),
    "initContainers": (("name",),),
    "env": (("name",),),
    "volumes": (("name",),),
    "imagePullSecrets": (("name",),),
    "secrets": (("name",),),
    "webhooks": (("name",),),
    "matchConditions": (("name",),),
    "volumeMounts": (("mountPath",),),
    "hostAliases": (("ip",),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
}
_KEY_DEFAULTS = {"protocol": "TCP"}
# Free maps: an empty text in them is a value, not an unset field.
_FREE_MAPS = {"labels", "annotations", "data", "matchLabels", "nodeSelector", "selector"}
_QUANTITY_PARENTS = {"requests", "limits", "capacity"}
_QUANTITY_FIELDS = {"divisor", "sizeLimit", "averageValue"}
_INT_OR_STRING = {"targetPort", "port", "maxSurge", "maxUnavailable", "minAvailable"}
_WHOLE_LIST_KINDS = {"CustomResourceDefinition"}
_QUANTITY = re.compile(r"([+-]?[0-9.]+)([EPTGMk]i?|Ki|[num]|[eE][+-]?[0-9]+)?")
_DECIMAL_SUFFIX = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIX = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def differences(wanted: KubeObject, live: KubeObject) -> list[Change]:
    """Return every field of ``live`` that an apply of ``wanted`` would change or remove."""
    kind = wanted["kind"]
    found = [*_unequal(wanted, live, (), kind), *_no_longer_wanted(wanted, live)]
    return [change for change in found if not _is_yielded(kind, change)]


def with_yielded_fields(wanted: KubeObject, live: KubeObject) -> KubeObject:
    """Return ``wanted`` with the values that istiod has put in since, so that applying it takes nothing back."""
    if not any(rule.kind == wanted["kind"] for rule in YIELDED):
        return wanted
    live_hooks = {hook.get("name"): hook for hook in live.get("webhooks") or []}
    hooks = []
    for hook in wanted.get("webhooks") or []:
        policy = live_hooks.get(hook.get("name"), {}).get("failurePolicy")
        if wanted["kind"] == "ValidatingWebhookConfiguration" and hook.get("failurePolicy") == "Ignore" and policy:
            hooks.append({**hook, "failurePolicy": policy})
        else:
            hooks.append(hook)
    return {**wanted, "webhooks": hooks}


def _is_yielded(kind: str, change: Change) -> bool:
    if change.path[-1] == "failurePolicy" and change.after not in ("Ignore", MISSING):
        return False  # the user asked for Fail: that is not istiod's to decide
    return any(rule.matches(kind, change.path) for rule in YIELDED)


def _unequal(wanted: Any, live: Any, path: Path, kind: str) -> Iterator[Change]:
    if live is MISSING:
        in_free_map = len(path) > 1 and path[-2] in _FREE_MAPS
        if wanted is None or (not wanted and not in_free_map):
            return  # the server leaves out fields that hold nothing
        if isinstance(wanted, dict) and not in_free_map and path[-1] not in _FREE_MAPS:
            live = {}
        else:
            yield Change(path, MISSING, wanted)
            return
    if wanted is None:
        return
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            yield Change(path, live, wanted)
            return
        for key, value in wanted.items():
            yield from _unequal(value, live.get(key, MISSING), (*path, key), kind)
    elif isinstance(wanted, list):
        yield from _unequal_lists(wanted, live, path, kind)
    elif not _equal_scalars(wanted, live, path):
        yield Change(path, live, wanted)


def _unequal_lists(wanted: list[Any], live: Any, path: Path, kind: str) -> Iterator[Change]:
    if not isinstance(live, list):
        yield Change(path, live, wanted)
        return
    keys = _list_keys(path, wanted, kind)
    if keys:
        by_key = {_key_of(item, keys): item for item in live if isinstance(item, dict)}
        for item in wanted:
            key = _key_of(item, keys)
            yield from _unequal(item, by_key.get(key, MISSING), (*path, f"[{'/'.join(key)}]"), kind)
        return
    # A list that is one value: each member as a subset, but none more and none fewer.
    if len(wanted) != len(live) or any(
        next(_unequal(ours, theirs, (*path, f"[{index}]"), kind), None) is not None
        for index, (ours, theirs) in enumerate(zip(wanted, live, strict=True))
    ):
        yield Change(path, live, wanted)


def _list_keys(path: Path, items: Sequence[Any], kind: str) -> tuple[str, ...]:
    if kind in _WHOLE_LIST_KINDS or not path or not all(isinstance(item, dict) for item in items):
        return ()
    for keys in _LIST_KEYS.get(path[-1], ()):
        if items and all(keys[0] in item for item in items):
            return keys
    return ()


def _key_of(item: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(item.get(key, _KEY_DEFAULTS.get(key, ""))) for key in keys)


def _equal_scalars(wanted: Any, live: Any, path: Path) -> bool:
    if isinstance(wanted, bool) or isinstance(live, bool):
        return wanted is live
    if wanted == live:
        return True
    if isinstance(wanted, (dict, list)) or isinstance(live, (dict, list)) or live is None:
        return False
    field_name = path[-1]
    if field_name in _QUANTITY_FIELDS or (len(path) > 1 and path[-2] in _QUANTITY_PARENTS):
        ours, theirs = quantity(wanted), quantity(live)
        return ours is not None and ours == theirs
    if field_name in _INT_OR_STRING:
        return str(wanted) == str(live)
    return False


def quantity(value: Any) -> Decimal | None:
    """Return a Kubernetes quantity (``500m``, ``1Gi``, ``2``) as a number, or None when it is none."""
    match = _QUANTITY.fullmatch(str(value).strip())
    if not match:
        return None
    number, suffix = match.group(1), match.group(2) or ""
    try:
        base = Decimal(number)
    except ArithmeticError:
        return None
    if suffix in _BINARY_SUFFIX:
        return base * 2 ** _BINARY_SUFFIX[suffix]
    if suffix in _DECIMAL_SUFFIX:
        return base.scaleb(_DECIMAL_SUFFIX[suffix])
    return base.scaleb(int(suffix[1:]))


def _no_longer_wanted(wanted: KubeObject, live: KubeObject) -> Iterator[Change]:
    """Yield the fields that the server records as ours and that are rendered no more."""
    for entry in (live.get("metadata") or {}).get("managedFields") or []:
        if entry.get("manager") != FIELD_MANAGER or entry.get("operation") != "Apply" or entry.get("subresource"):
            continue
        yield from _unrendered(entry.get("fieldsV1") or {}, wanted, live, ())


def _unrendered(owned: Mapping[str, Any], wanted: Any, live: Any, path: Path) -> Iterator[Change]:
    for mark, below in owned.items():
        kind, _colon, rest = mark.partition(":")
        if kind == "f":
            step = rest
            ours = wanted.get(rest, MISSING) if isinstance(wanted, dict) else MISSING
            theirs = live.get(rest, MISSING) if isinstance(live, dict) else MISSING
        elif kind == "k":
            keys = json.loads(rest)
            step = f"[{'/'.join(str(value) for value in keys.values())}]"
            ours, theirs = _member(wanted, keys), _member(live, keys)
        elif kind == "v":
            value = json.loads(rest)
            step = f"[{value}]"
            ours = value if isinstance(wanted, list) and value in wanted else MISSING
            theirs = value if isinstance(live, list) and value in live else MISSING
        else:
            continue  # the mark of the parent itself
        if theirs is MISSING:
            continue  # recorded but gone: nothing that an apply would remove
        if ours is MISSING:
            yield Change((*path, step), theirs, MISSING)
        elif below and ours is not None:
            yield from _unrendered(below, ours, theirs, (*path, step))


def _member(items: Any, keys: Mapping[str, Any]) -> Any:
    if not isinstance(items, list):
        return MISSING
    for item in items:
        if isinstance(item, dict) and all(
            item.get(key, _KEY_DEFAULTS.get(key, MISSING)) == value for key, value in keys.items()
        ):
            return item
    return MISSING

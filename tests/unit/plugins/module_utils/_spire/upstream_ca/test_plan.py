# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a CA and of its Secret, and where a server stands. Real: tests/integration/test_upstream_ca.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError, TrustmeshError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.authority.model import (
    UPSTREAM,
    Authorities,
    Slot,
    Trusted,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.model import (
    DAY,
    Authority,
    Known,
    Pair,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._spire.upstream_ca.plan import (
    Folder,
    foreseen,
    plan_folder,
    plan_secret,
    stage,
    warnings,
)


def known(name: str, days: float = 300) -> Known:
    authority = Authority(name, f"sha-{name}", f"CN={name}", "2027-01-01T00:00:00Z", days * DAY, True, (name,))
    return Known(Pair("certificate", "the key", "bundle"), authority)


ONE, TWO = known("one"), known("two")


@pytest.mark.parametrize(
    ("state", "folder", "in_cluster", "steps"),
    [
        ("present", Folder(), None, ["make"]),
        ("present", Folder(), ONE, ["restore"]),
        ("present", Folder(ONE), None, []),
        ("present", Folder(ONE), TWO, []),
        ("present", Folder(TWO, ONE), ONE, []),
        # Stopped between putting the old one aside and making the new one.
        ("present", Folder(None, ONE), ONE, ["make"]),
        ("rotating", Folder(None, ONE), ONE, ["make"]),
        ("rotating", Folder(ONE), ONE, ["keep", "make"]),
        ("rotating", Folder(TWO, ONE), ONE, []),
        ("finished", Folder(TWO, ONE), TWO, ["drop"]),
        ("finished", Folder(TWO), TWO, []),
        ("finished", Folder(), None, []),
        ("absent", Folder(ONE), None, []),
    ],
)
def test_what_becomes_of_the_folder(state: str, folder: Folder, in_cluster: Known | None, steps: list[str]) -> None:
    plan = plan_folder(state, folder, in_cluster)
    assert plan.folder == steps
    assert "the key" not in repr((plan, folder)), "what is shown by mistake has no key in it"


def test_what_cannot_be_replaced_says_why() -> None:
    with pytest.raises(InputError, match=r"Run trustmesh\.spiffe\.site first"):
        plan_folder("rotating", Folder(), ONE)
    with pytest.raises(TrustmeshError, match="no new one yet"):
        plan_folder("finished", Folder(None, ONE), ONE)


def test_check_mode_knows_what_will_be_there() -> None:
    assert foreseen(plan_folder("rotating", Folder(ONE), None), Folder(ONE), None) == Folder(None, ONE)
    assert foreseen(plan_folder("present", Folder(), ONE), Folder(), ONE) == Folder(ONE)
    assert foreseen(plan_folder("finished", Folder(TWO, ONE), None), Folder(TWO, ONE), None) == Folder(TWO)


@pytest.mark.parametrize(
    ("same", "annotations", "steps"),
    [
        (True, {}, []),
        (False, {}, ["apply ca"]),
        (True, {"a": ""}, []),
        (False, {"a": ""}, ["apply ca", "annotate a"]),
        (True, {"a": "one"}, []),
        # Stopped between the two.
        (True, {"a": "zero", "b": "one"}, ["annotate a"]),
    ],
)
def test_who_is_told_of_the_secret(same: bool, annotations: dict[str, str], steps: list[str]) -> None:
    assert plan_secret("one", same, annotations, "ca") == steps


FIRST = Authorities(UPSTREAM, Slot("a", 5, "one"), None, None, {"one": Trusted(False, 1)})
SECOND = replace(
    FIRST,
    active=Slot("b", 6, "two"),
    old=Slot("a", 5, "one"),
    bundle={"one": Trusted(False, 1), "two": Trusted(False, 2)},
)


@pytest.mark.parametrize(
    ("state", "previous", "where"),
    [
        (FIRST, "one", ("before", "one")),
        (replace(FIRST, prepared=Slot("b", 6, "two")), "one", ("before", "one")),
        (SECOND, "one", ("activated", "one")),
        (SECOND, "", ("activated", "one")),
        (replace(SECOND, bundle={**SECOND.bundle, "one": Trusted(True, 1)}), "one", ("tainted", "one")),
        (replace(SECOND, bundle={"two": Trusted(False, 2)}), "one", ("done", "")),
        # The server has prepared by itself, or has gone on to what it had prepared.
        (replace(SECOND, old=None, prepared=Slot("c", 7, "two")), "one", ("lost", "one")),
        (replace(SECOND, old=Slot("b", 6, "two")), "one", ("lost", "one")),
        (replace(FIRST, active=Slot("a", 5)), "one", ("self_signed", "")),
        # It never took up the one before, and stands under another one.
        (replace(FIRST, active=Slot("z", 5, "zero")), "one", ("before", "zero")),
    ],
)
def test_where_a_server_stands(state: Authorities, previous: str, where: tuple[str, str]) -> None:
    assert stage(state, "two", previous) == where


def test_the_end_of_a_ca_is_told_in_time() -> None:
    assert warnings(known("one", 31), 30, True) == []
    (told,) = warnings(known("one", 29.5), 30, True)
    assert "in 29 days" in told
    assert "Replace it with the playbook trustmesh.spiffe.rotate_upstream_ca" in told
    (told,) = warnings(known("one", 2), 30, False)
    assert "Put a new certificate and key into their files" in told

# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a remote secret, and why. Real: tests/integration/istio/test_istio_remote_secret.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.trustmesh.spiffe.plugins.module_utils._errors import InputError
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.model import (
    ASKED,
    CLUSTER,
    LABEL,
    Account,
    Authority,
    Held,
    Token,
    Wanted,
)
from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.remote_secret.plan import (
    plan_absent,
    plan_present,
    warnings,
)

ACCOUNT = Account("istio-system", "reader", "1")
CA = Authority("pem", ("aa",))
WANTED = Wanted("green", "istio-system", "https://green", CA, ACCOUNT, 1000, 300, "tests")
TOKEN = Token("very-secret", ACCOUNT, 0, 1000)
HELD = Held(WANTED.labels, WANTED.annotations, ("green",), True, WANTED.server, CA, TOKEN)
THEIRS = Held(dict([LABEL]), {CLUSTER: "green"}, ("green",))


def test_a_secret_that_is_not_there_is_made() -> None:
    plan = plan_present(WANTED, None, 0)
    assert (plan.verb, plan.reasons, plan.before) == ("created", ("there is none",), {})
    assert plan.after == {
        "server": "https://green",
        "ca_sha256": ["aa"],
        "account": "istio-system/reader",
        "account_uid": "1",
        "expires": "(new)",
    }


@pytest.mark.parametrize("now", [0, 500, 699.9])
def test_a_good_one_is_left_alone(now: float) -> None:
    plan = plan_present(WANTED, HELD, now)
    assert not plan.changed
    assert (plan.reasons, plan.before, plan.after) == ((), {}, {})


@pytest.mark.parametrize(
    ("held", "now", "words"),
    [
        (replace(HELD, token=None), 0, "no kubeconfig of the form"),
        (replace(HELD, keys=(), token=None, authority=None, server=""), 0, "no kubeconfig of the form"),
        (replace(HELD, server="https://other"), 0, "its server is https://other"),
        (replace(HELD, authority=Authority("other", ("bb",))), 0, "its CA is another one"),
        (replace(HELD, token=replace(TOKEN, account=Account("a", "b", "1"))), 0, "is of the ServiceAccount a/b"),
        (replace(HELD, token=replace(TOKEN, account=replace(ACCOUNT, uid="2"))), 0, "was made anew"),
        (HELD, 700, "its token ends at 1970-01-01T00:16:40Z"),
        (HELD, 1000, "its token ended at 1970-01-01T00:16:40Z"),
        (replace(HELD, annotations={CLUSTER: "green"}), 0, "not asked for with a life of 1000 s"),
        (replace(HELD, annotations={CLUSTER: "green", ASKED: "600"}), 0, "not asked for with a life of 1000 s"),
        (replace(HELD, annotations={ASKED: "1000"}), 0, "labels or annotations"),
        (replace(HELD, labels={**HELD.labels, "trustmesh.io/scenario": "other"}), 0, "labels or annotations"),
        (replace(HELD, labels={**HELD.labels, LABEL[0]: "false"}), 0, "labels or annotations"),
        (THEIRS, 0, "somebody else made it for the same cluster"),
    ],
)
def test_one_that_differs_is_written_anew(held: Held, now: float, words: str) -> None:
    plan = plan_present(WANTED, held, now)
    assert plan.verb == "updated"
    (reason,) = plan.reasons
    assert words in reason
    assert "very-secret" not in repr(plan)


def test_one_by_which_istiod_has_misread_is_written_anew() -> None:
    plan = plan_present(WANTED, HELD, 0, strangers=["a (x)", "b (x)", "c (x)", "d (x)"])
    assert plan.verb == "updated"
    assert plan.reasons == ("istiod has read by it, before it knew their trust domain: a (x), b (x), c (x) and others",)
    assert "their trust domain: a (x)" in plan_present(WANTED, HELD, 0, strangers=["a (x)"]).reasons[0]
    assert plan_present(WANTED, HELD, 700, strangers=["a (x)"]).reasons == ("its token ends at 1970-01-01T00:16:40Z",)


def test_all_differences_are_told() -> None:
    held = replace(HELD, server="https://other", token=replace(TOKEN, expires=600))
    assert len(plan_present(replace(WANTED, lifetime=600), held, 500).reasons) == 2
    assert plan_present(WANTED, HELD, 0, believed=False).reasons == (
        "the other API server does not take its token any more",
    )


def test_labels_and_annotations_of_others_are_their_own() -> None:
    held = replace(HELD, labels={**HELD.labels, "a": "b"}, annotations={**HELD.annotations, "a": "b"})
    assert not plan_present(WANTED, held, 0).changed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keys": ("green", "red")}, "for red"),
        ({"keys": ("red",)}, "for red"),
        ({"opaque": False}, "another type than Opaque"),
        ({"labels": {}}, "neither this collection nor istioctl"),
        ({"annotations": {}}, "neither this collection nor istioctl"),
        ({"annotations": {CLUSTER: "red"}}, "neither this collection nor istioctl made it for the cluster green"),
    ],
)
def test_one_that_serves_something_else_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=f"istio-system/istio-remote-secret-green that serves .*{words}.*Look what"):
        plan_present(WANTED, replace(THEIRS, **change), 0)


def test_one_of_ours_is_refused_too_when_somebody_has_put_more_into_it() -> None:
    with pytest.raises(InputError, match="for red"):
        plan_present(WANTED, replace(HELD, keys=("green", "red")), 0)


def test_only_what_is_ours_is_removed() -> None:
    assert plan_absent(HELD).verb == "deleted"
    assert plan_absent(HELD).before["expires"] == "1970-01-01T00:16:40Z"
    assert not plan_absent(THEIRS).changed
    assert not plan_absent(None).changed


def test_what_the_user_hears_of() -> None:
    good = plan_present(WANTED, HELD, 0)
    assert warnings(WANTED, good, TOKEN) == []
    assert "leads each pod to itself" in warnings(replace(WANTED, server="https://127.0.0.1"), good, TOKEN)[0]
    taken = plan_present(WANTED, THEIRS, 0)
    assert "Secret istio-system/reader-istio-remote-secret-token" in warnings(WANTED, taken, None)[0]
    (shorter,) = warnings(replace(WANTED, lifetime=5000, renew_before=4000), good, TOKEN)
    assert "for 1000 s, and not for the 5000 s" in shorter
    assert "between 1970-01-01T00:08:20Z and 1970-01-01T00:16:40Z" in shorter
